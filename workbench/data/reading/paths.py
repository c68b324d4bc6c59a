"""Folders, paths and JSON from others, read with care: a name from a file leads nowhere but into its folder."""

from __future__ import annotations

import json
import os
import re
from os import PathLike
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from workbench.errors import DataError
from workbench.files import user_path

_PLAIN = re.compile(r"(?:(?!\.\.?/)[^/\\:\0]{1,200}/){0,20}(?!\.\.?$)[^/\\:\0]{1,200}")  # no part is . or ..


def existing_folder(root: str | PathLike[str] | None, name: str) -> Path:
    """`root` as a Path, ~ and ${VARIABLES} replaced.

    Raises:
        DataError: it is None or no folder.
    """
    if root is None:
        raise DataError(f'{name} lies in a folder: load_data("{name}", root=FOLDER)')
    folder = user_path(root, DataError)
    if not folder.is_dir():
        raise DataError(f"{folder}: this folder does not exist")
    return folder


def path_inside(folder: Path, name: object) -> Path:
    """`folder / name`, where `name` comes from a file and must not lead out of `folder`, not by a link either.

    Raises:
        DataError: it leads out, or is no name of a file.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise DataError(f"{name!r} is no file name")
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or name.startswith("\\")
    if absolute or ".." in PureWindowsPath(name).parts:
        raise DataError(f"file name {name!r} leads out of {folder}; names must be relative to it")
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:  # links in a circle, names that are too long
        raise DataError(f"file name {name!r} cannot be followed ({error})") from error
    if not inside:
        raise DataError(f"file name {name!r} leads out of {folder} by a link")
    return path


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: the file cannot be read; it is named.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise DataError(f"{path}: this file cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: this is not JSON ({error})") from error


class PathsInside:
    """Checks many names as `path_inside` does, but looks up the links of a folder once instead of for every name."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._links: dict[str, set[str] | None] = {}

    def check(self, name: object) -> None:
        """Raise DataError where a name is none or leads out of the folder."""
        if not isinstance(name, str) or not _PLAIN.fullmatch(name):
            path_inside(self.folder, name)
            return
        parent, _, last = name.rpartition("/")
        if parent not in self._links:
            self._links[parent] = self._look_up(parent)
        links = self._links[parent]
        if links is None or last in links:
            path_inside(self.folder, name)

    def _look_up(self, parent: str) -> set[str] | None:
        """Names of the links in a folder; None where the folder is not what it seems, and no name in it is plain."""
        try:
            folder = path_inside(self.folder, parent) if parent else self.folder
            with os.scandir(folder) as entries:
                return {entry.name for entry in entries if entry.is_symlink()}
        except FileNotFoundError:
            return set()
        except (OSError, DataError):
            return None
