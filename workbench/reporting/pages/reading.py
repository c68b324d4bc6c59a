"""A page out of a notebook or a text: its title, what it begins with, its first picture and its body."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bs4 import BeautifulSoup, Tag
from PIL import Image

from workbench.errors import DataError

if TYPE_CHECKING:
    from nbformat import NotebookNode

VIEW = "application/vnd.jupyter.widget-view+json"  #: what only a widget's kernel can fill
#: What of an output is shown: the first of these that it has.
SHOWN = ("text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/plain")
SCRIPTED = "application/vnd.plotly.v1+json"  #: what only a script can draw
THUMBNAIL = (480, 300)  # pixels of a page's picture in the index


@dataclass(frozen=True)
class Page:
    """A page of a site before it is framed.

    Args:
        source: the notebook or text that it is made of.
        title: its first heading, or else the file's name.
        begins: the first sentences below the title, as plain text; may be empty.
        body: HTML.
        picture: of a notebook, the first that it shows, as a data URI.
    """

    source: Path
    title: str
    begins: str
    body: str
    picture: str | None = None

    @property
    def file(self) -> str:
        """The name of the page's file."""
        return f"{self.source.stem}.html"

    @property
    def is_notebook(self) -> bool:
        """Whether cells were run to make it."""
        return self.source.suffix == ".ipynb"


def read_document(path: Path, *, execute: bool = False) -> Page:
    """A text in Markdown; `execute` means nothing to it.

    Raises:
        DataError: it cannot be read.
    """
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a text in UTF-8: {error}") from error
    renderer = IPythonRenderer(escape=False, anchor_link_text="#")
    return _page(path, MarkdownWithMath(renderer=renderer).render(text))


def read_notebook(path: Path, *, execute: bool = False) -> Page:
    """A notebook as its file has it, or run anew.

    Raises:
        DataError: it cannot be read, or one of its cells fails.
    """
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    notebook = _load(path)
    if execute:
        _run(notebook, path)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            _name_what_is_scripted(output.get("data", {}))
    exporter = HTMLExporter(
        template_name="basic",
        anchor_link_text="#",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        config=Config(NbConvertBase={"display_data_priority": list(SHOWN)}),
    )
    body, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": path.stem, "path": str(path.parent)}})
    return _page(path, body, _first_picture(notebook))


def _load(path: Path) -> NotebookNode:
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (OSError, ValueError, AttributeError, nbformat.ValidationError) as error:
        reason = str(error).strip().splitlines()
        raise DataError(
            f"{path} cannot be read as a notebook: {reason[0] if reason else type(error).__name__}"
        ) from error
    return notebook


def _run(notebook: NotebookNode, path: Path) -> None:
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    client = NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    )
    try:
        client.execute()
    except CellExecutionError as error:
        number = 1 + next(place for place, cell in enumerate(notebook.cells) if _failed(cell))
        raise DataError(f"{path}: cell {number} fails with {error.ename}: {error.evalue}") from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise DataError(f"{path} could not be run to its end: {error}") from error


def _failed(cell: NotebookNode) -> bool:
    return any(output.output_type == "error" for output in cell.get("outputs", []))


def _name_what_is_scripted(data: dict[str, Any]) -> None:
    """Put a text in the place of what would stay empty; what has a picture is shown by that."""
    data.pop(VIEW, None)
    if SCRIPTED in data:
        data.pop("text/html", None)
        if not {"image/png", "image/svg+xml", "image/jpeg"} & set(data):
            data["text/plain"] = "An interactive figure: run the notebook to see it."


def _first_picture(notebook: NotebookNode) -> str | None:
    """The first picture among the outputs, small, as a data URI; None: there is none that can be read."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind in ("image/png", "image/jpeg"):
                if kind in output.get("data", {}):
                    try:
                        return _thumbnail(base64.b64decode(output["data"][kind]))
                    except (OSError, ValueError, Image.DecompressionBombError):
                        continue
    return None


def _thumbnail(content: bytes) -> str:
    with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as opened:
        picture = opened.convert("RGBA")
    ground = Image.new("RGBA", picture.size, "white")
    ground.alpha_composite(picture)
    small = ground.convert("RGB")
    small.thumbnail(THUMBNAIL)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def _page(path: Path, body: str, picture: str | None = None) -> Page:
    """Title and beginning are taken from the body itself, so that all sources are read alike."""
    soup = BeautifulSoup(body, "html.parser")
    for anchor in soup.select("a.anchor-link"):
        anchor.decompose()
    heading = soup.find("h1")
    title = "" if heading is None else heading.get_text(" ", strip=True)
    paragraphs = [] if heading is None else heading.find_all_next("p")
    texts = [one.get_text(" ", strip=True) for one in paragraphs if not _is_aside(one)]
    return Page(path, title or path.stem, next(filter(None, texts), ""), body, picture)


def _is_aside(paragraph: Tag) -> bool:
    """Whether all of it is emphasised, as sources and captions are."""
    return all(isinstance(part, Tag) and part.name == "em" for part in paragraph.contents)
