"""Paths as users and recipes write them, and files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any

from workbench.errors import WorkbenchError

_POINTER = b"version https://git-lfs"


def settings_folder() -> Path:
    """The user's folder of settings, which need not be there.

    Raises:
        RuntimeError: the user has no home.
    """
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "occlusion-workbench"


def user_path(path: str | PathLike[str], error: type[WorkbenchError]) -> Path:
    """`path` with ~ and ${VARIABLES} replaced, so that recipes need not name a machine's folders.

    Args:
        error: what is raised.

    Raises:
        WorkbenchError: it is no path, or a variable is not set; it is an `error`.
    """
    if not isinstance(path, str | PathLike):
        raise error(f"expected a path or a name, got {path!r:.60} ({type(path).__name__})")
    text = os.path.expandvars(os.fspath(path))
    unset = re.search(r"\$\{?(\w+)\}?", text)
    if unset and unset[1] not in os.environ:
        raise error(f"{os.fspath(path)}: the variable {unset[1]} is not set; set it or write the path itself")
    return Path(text).expanduser()


def unfetched(path: str | PathLike[str]) -> str:
    """What to do where a file is only what Git LFS leaves in its place; "" for any other, and where there is none.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("faces.pth").write_text("version https://git-lfs.github.com/spec/v1\\noid sha256:1\\nsize 4\\n")
        >>> unfetched("faces.pth")
        'this is only the pointer of Git LFS to the file; `git lfs pull` fetches it'
    """
    try:
        with open(path, "rb") as file:
            begins = file.read(len(_POINTER))
    except OSError:
        return ""
    return "this is only the pointer of Git LFS to the file; `git lfs pull` fetches it" if begins == _POINTER else ""


@contextmanager
def whole_file(path: str | PathLike[str]) -> Iterator[IO[bytes]]:
    """A file to write bytes to that takes its place at `path` when the block ends well, and else leaves no trace.

    Readers see the old content or the new one, never half of it, also after a power cut. The new file has the usual
    permissions.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(path)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp's files are private
        os.replace(name, path)
        _sync_folder(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def check_writable(path: str | PathLike[str], error: type[WorkbenchError]) -> None:
    """See whether a file can be written at `path`, before hours are spent on what is to go there; makes its folder.

    Args:
        path: of the file.
        error: what is raised.

    Raises:
        WorkbenchError: it cannot be written; it is an `error`.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if path.parent.is_file():
            raise NotADirectoryError(errno.ENOTDIR, f"{path.parent} is a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(descriptor)
        os.unlink(name)
    except OSError as reason:
        raise error(f"{path} cannot be written: {reason.strerror or reason}") from reason


def write_json(path: str | PathLike[str], content: Any, *, indent: int | None = None) -> None:
    """Write JSON so that the file appears whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps(content, allow_nan=False, indent=indent)
    with whole_file(path) as file:
        file.write(text.encode())


MARK = b"\nsha256:"  #: before the checksum, 64 hex digits at the end of a file


def is_as_written(file: IO[bytes]) -> bool | None:
    """Whether a file's bytes have the checksum at its end; None: there is none, and those of the archive hold.

    Raises:
        ValueError: it has no checksum and is no archive.
    """
    size = file.seek(0, io.SEEK_END) - len(MARK) - 64
    file.seek(max(0, size))
    mark, stated = file.read(len(MARK)), file.read()
    if size < 0 or mark != MARK:
        try:
            return None if zipfile.ZipFile(file).testzip() is None else False
        except zipfile.BadZipFile as error:
            raise ValueError("it is no archive, as torch.save writes it") from error
    file.seek(0)
    digest = hashlib.sha256()
    while size > 0 and (part := file.read(min(size, 1 << 20))):
        digest.update(part)
        size -= len(part)
    return digest.hexdigest().encode() == stated


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; not every system lets folders be opened."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
