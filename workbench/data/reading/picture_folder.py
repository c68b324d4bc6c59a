"""Pictures by the names that lists of others have for them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from workbench.data.reading.images import ENDINGS
from workbench.data.reading.paths import DataRoot
from workbench.errors import DataError


class PictureFolder:
    """The pictures below a folder; each folder in it is looked through once.

    Args:
        root: of the data; links stay within it.
        path: the folder.
        parts: folders in it which names are looked for in, one after the other; "" is the folder itself.
    """

    def __init__(self, root: DataRoot, path: Path, parts: Sequence[str] = ("",)):
        self.root, self.path, self.parts = root, path, tuple(parts)
        self._known: dict[str, dict[str, str]] = {}

    def find(self, name: str) -> str | None:
        """The file, relative to the folder, that `name` means; None if there is none.

        The name may lack its ending, and be written with other capitals, the backslashes of Windows or in another
        form of Unicode; it is used whole otherwise.

        Raises:
            DataError: the name leads out.
        """
        self.root.check(self.path, name)
        found = next(filter(None, (self._find(f"{part}/{name}" if part else name) for part in self.parts)), None)
        if found not in (None, name):
            self.root.check(self.path, found)
        return found

    def _find(self, name: str) -> str | None:
        folder, _, last = name.replace("\\", "/").rpartition("/")
        if folder not in self._known:
            self._known[folder] = self._files(folder)
        known = self._known[folder]
        plain = _plain(last)
        found = next(
            (known[one] for one in (last, plain, *(plain + ending for ending in ENDINGS)) if one in known), None
        )
        return found if found is None or not folder else f"{folder}/{found}"

    def file(self, name: str) -> Path:
        """The path of a file that `find` has found."""
        return self.root.inside(self.path, name)

    def _files(self, folder: str) -> dict[str, str]:
        """The names in a folder, by themselves and by how they are written plainly."""
        try:
            place = self.root.inside(self.path, folder) if folder else self.path
            names = sorted(os.listdir(place), reverse=True)  # of two that differ in capitals only, the first
        except (OSError, DataError):
            return {}
        return {_plain(name): name for name in names} | {name: name for name in names}


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def first_place(root: DataRoot, names: Iterable[str]) -> Path | None:
    """The first of several places in a root that is there; None if none is.

    Raises:
        DataError: it is a link that is not followed.
    """
    for name in names:
        path = root.path / name
        if path.exists():
            return root.followed(path)
    return None
