"""Notebooks and texts as a folder of HTML files that link to each other and are opened without a server.

The pages ask nothing of any other place: pictures lie in them, they hold no script, and their content policy
forbids both. What a notebook shows is shown as its outputs have it: widgets by their still pictures, tables,
figures. An output that only a script could draw, such as a plotly figure without a picture, is named in its place.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path

from workbench.errors import DataError
from workbench.files import user_path
from workbench.reporting.pages.framing import GENERATOR, framed, index_body, style
from workbench.reporting.pages.linking import linked
from workbench.reporting.pages.reading import Page, read_document, read_notebook

INDEX = "index.html"
READERS: dict[str, Callable[..., Page]] = {".ipynb": read_notebook, ".md": read_document}


def write_site(
    folder: str | PathLike[str],
    sources: Iterable[str | PathLike[str]],
    *,
    title: str = "Report",
    execute: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write notebooks and texts as one site: an index with a picture of each, a page for each, links between them.

    Args:
        folder: where it is written; a site that is there already is replaced once the new one is complete.
        sources: notebooks (.ipynb) and texts (.md), in the order of the site.
        title: of the index.
        execute: run the notebooks anew, each in its own folder, in place of showing the outputs that they hold. The
            files stay as they are.
        progress: called with the name of what is under way.

    Returns:
        The path of the index.

    Raises:
        DataError: no source, a source of another kind or that cannot be read, two of one name, a cell that fails,
            or a folder that holds something else.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("notes.md").write_text("# Notes\\n\\nWhat was seen.")
        >>> index = write_site("site", ["notes.md"], title="My report")
        >>> sorted(path.name for path in index.parent.iterdir())
        ['index.html', 'notes.html', 'style.css']
    """
    target = user_path(folder, DataError)
    paths = _checked([user_path(source, DataError) for source in sources])
    _check_replaceable(target)
    with _beside(target) as place:  # from there it is moved in one step: nobody sees half a site
        pages = []
        for path in paths:
            if progress is not None:
                progress(path.name)
            pages.append(READERS[path.suffix](path, execute=execute))
        homes = {page.source.resolve(): page.file for page in pages}
        root = Path(os.path.commonpath([path.resolve().parent for path in paths]))
        bodies = [linked(page.body, page.source, homes, root) for page in pages]
        made = Path(place) / "site"
        made.mkdir()
        (made / "style.css").write_text(style(), encoding="utf-8")
        for page, body in zip(pages, bodies, strict=True):
            (made / page.file).write_text(framed(body, page, pages, title), encoding="utf-8")
        (made / INDEX).write_text(framed(index_body(pages, title), None, pages, title), encoding="utf-8")
        if target.exists():
            target.rename(Path(place) / "before")
        made.rename(target)
    return target / INDEX


def _beside(target: Path) -> tempfile.TemporaryDirectory:
    """A folder of its own on the same disk, which also shows that one can write there before hours are spent."""
    try:
        return tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror or error}") from error


def _checked(paths: Sequence[Path]) -> Sequence[Path]:
    """The sources, if they make a site."""
    if not paths:
        raise DataError("no source for the site; give notebooks (.ipynb) or texts (.md)")
    names: dict[str, Path] = {}
    for path in paths:
        if path.suffix not in READERS:
            raise DataError(f"{path} is no source for the site; expected a notebook (.ipynb) or a text (.md)")
        if not path.is_file():
            raise DataError(f"{path} does not exist, or is no file")
        name = f"{path.stem.lower()}.html"
        if name == INDEX:
            raise DataError(f"{path} would take the place of the site's index; give the file another name")
        if name in names:
            raise DataError(f"{path} and {names[name]} would both become {name}; give one of them another name")
        names[name] = path
    return paths


def _check_replaceable(target: Path) -> None:
    """Raise DataError where the folder holds something else than a site, or cannot be written."""
    if not target.parent.is_dir():
        raise DataError(f"{target.parent} is no folder; make it, or write the site somewhere else")
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise DataError(f"{target} is no folder; write the site somewhere else")
    if target.exists() and any(target.iterdir()):
        index = target / INDEX
        if not index.is_file() or GENERATOR not in index.read_text(encoding="utf-8", errors="replace")[:2000]:
            raise DataError(
                f"{target} holds something else than a site, which would be lost; write it somewhere else"
            )
