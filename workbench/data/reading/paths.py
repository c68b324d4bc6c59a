"""Folders, paths and JSON from others, read with care: a name from a file leads nowhere but into its folder."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TextIO

from workbench.errors import DataError
from workbench.files import unfetched, user_path

#: Names of which no part is . or .., and which every system reads alike.
_PLAIN = re.compile(r"(?:(?!\.\.?/)[^/\\:\0\ud800-\udfff]{1,200}/){0,20}(?!\.\.?$)[^/\\:\0\ud800-\udfff]{1,200}")
#: What file managers, packers and systems leave behind, beside all hidden files.
_LITTER = {
    "__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information",
}  # fmt: skip


class DataRoot:
    """The folder of a data set, and the one rule for links in it.

    Links are followed where they stay within this folder, and where they lead out of it only with `follow_links`; a
    link in a circle is an error.

    Args:
        root: the folder; ~ and ${VARIABLES} are replaced.
        name: of the data set, for messages.
        follow_links: also follow links that lead out of the folder.

    Raises:
        DataError: `root` is None or no folder.
    """

    def __init__(self, root: str | PathLike[str] | None, name: str, *, follow_links: bool = False):
        if root is None:
            raise DataError(f'{name} lies in a folder: say which, load_data("{name}", root=FOLDER) or --root FOLDER')
        self.path = user_path(root, DataError)
        if not self.path.is_dir():
            raise DataError(f"{self.path}: this folder does not exist")
        self.follow_links = follow_links
        self._real = os.path.realpath(self.path)
        self._links: dict[tuple[Path, str], set[str] | None] = {}

    def inside(self, folder: Path, name: object) -> Path:
        """`folder / name`, where `name` comes from a file and must not lead out of `folder`.

        A name that is not there is also looked for in another form of Unicode, and with slashes for the backslashes
        of Windows.

        Raises:
            DataError: it leads out, is no name of a file, or is a link that is not followed.
        """
        text = checked_name(folder, name)
        path = folder / text
        if not os.path.lexists(path):
            path = next((other for other in _otherwise(folder, text) if os.path.lexists(other)), path)
        return self.followed(path, text)

    def followed(self, path: Path, name: str | None = None) -> Path:
        """`path`, if its links may be followed.

        Raises:
            DataError: a link leads out of the root and `follow_links` is off, or leads in a circle.
        """
        what = f"file name {name!r}" if name is not None else f"{path}:"
        real = os.path.realpath(path)
        if os.path.islink(real):  # where links end, there is none
            raise DataError(f"{what} is a link that leads in a circle; remove it")
        if not self.follow_links and real != self._real and not real.startswith(self._real.rstrip(os.sep) + os.sep):
            raise DataError(f"{what} leads out of {self.path} by a link; follow_links=True follows it")
        return path

    def check(self, folder: Path, name: object) -> None:
        """Raise a DataError as `inside` does; the links of a folder are looked up once for many names."""
        if isinstance(name, str) and _PLAIN.fullmatch(name):
            parent, _, last = name.rpartition("/")
            if (folder, parent) not in self._links:
                self._links[folder, parent] = self._links_in(folder, parent)
            links = self._links[folder, parent]
            if links is not None and last not in links:
                return
        self.inside(folder, name)

    def _links_in(self, folder: Path, parent: str) -> set[str] | None:
        """Names of the links in a folder; None where the folder is not what it seems, and no name in it is plain."""
        try:
            with os.scandir(self.inside(folder, parent) if parent else folder) as entries:
                return {entry.name for entry in entries if entry.is_symlink()}
        except FileNotFoundError:
            return set()
        except (OSError, DataError):
            return None

    def folders(self, folder: Path) -> list[Path]:
        """The folders in `folder` by name, without hidden ones.

        Raises:
            DataError: a link is not followed, a name is no text, or the folder cannot be read.
        """
        return [Path(entry.path) for entry in self._entries(folder) if entry.is_dir()]

    def loose_files(self, folder: Path) -> list[Path]:
        """The files in `folder` itself by name, without hidden ones; raises as `folders` does."""
        return [Path(entry.path) for entry in self._entries(folder) if entry.is_file()]

    def files(self, folder: Path) -> list[Path]:
        """The files below `folder`, by folder and then by name, without hidden ones and what file managers leave.

        Raises:
            DataError: a link is not followed or leads in a circle, something is no regular file, or a name no text.
        """
        found: dict[str, list[Path]] = {}
        for place, files in self._walk(folder, ()):
            found[place] = files
        return [path for place in sorted(found) for path in found[place]]

    def _walk(self, folder: Path, above: tuple[os.stat_result, ...]) -> Iterator[tuple[str, list[Path]]]:
        state = os.stat(folder)
        if any(os.path.samestat(state, one) for one in above):
            raise DataError(f"{folder}: a link leads in a circle; remove it")
        files = []
        for entry in self._entries(folder):
            path = Path(entry.path)
            if entry.is_dir():
                yield from self._walk(path, (*above, state))
            else:
                check_regular(path)
                files.append(path)
        yield str(folder), files

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """What lies in a folder, by name, without hidden files and litter."""
        try:
            with os.scandir(folder) as entries:
                kept = [entry for entry in entries if entry.name[0] != "." and entry.name not in _LITTER]
        except OSError as error:
            raise DataError(f"{folder}: this folder cannot be read ({error.strerror or error})") from error
        for entry in kept:
            if not is_text(entry.name):
                raise DataError(f"{folder}: the name {entry.name!r} is not UTF-8; rename it")
            if entry.is_symlink():
                self.followed(Path(entry.path))
        return sorted(kept, key=lambda entry: entry.name)


def is_text(name: str) -> bool:
    """Whether a text can be written down: it holds no half of a pair of surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_regular(path: Path) -> None:
    """Raise a DataError where there is something else than a file: to read a pipe would never end."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise DataError(f"{path}: this is a folder, a pipe or a device, not a file")


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        DataError: the file cannot be read, or is in another encoding; it is named.
    """
    check_regular(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: this file is not in UTF-8 ({error}); save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path}: this file cannot be read ({error.strerror or error})") from error


def read_json(path: Path, *, load: Callable[[TextIO], Any] = json.load) -> Any:
    """The content of a JSON file.

    Args:
        load: which reads it from the open file; it raises a ValueError where it is no JSON.

    Raises:
        DataError: the file cannot be read; it is named.
    """
    check_regular(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            return load(file)
    except OSError as error:
        raise DataError(f"{path}: this file cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: this is not JSON ({unfetched(path) or error})") from error


def checked_name(folder: Path, name: object) -> str:
    """A name that, as it is written, is one of a file and stays in `folder`."""
    if not isinstance(name, str) or not name or "\0" in name or not is_text(name):
        raise DataError(f"{name!r} is no file name")
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or name.startswith("\\")
    if absolute or ".." in PureWindowsPath(name).parts:
        raise DataError(f"file name {name!r} leads out of {folder}; names must be relative to it")
    return name


def _otherwise(folder: Path, name: str) -> Iterator[Path]:
    """Where else a file may lie that another system calls `name`."""
    for text in dict.fromkeys((name, name.replace("\\", "/"))):
        for form in ("NFC", "NFD"):
            yield folder / unicodedata.normalize(form, text)
