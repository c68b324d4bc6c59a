"""The pictures that are annotated: those of a folder, or of a data set."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor

from workbench.data.annotations import Id
from workbench.data.dataset import Dataset
from workbench.data.reading.images import ENDINGS, image_size, read_image
from workbench.data.reading.paths import DataRoot, checked_name
from workbench.data.reading.picture_folder import PictureFolder
from workbench.errors import DataError


class Pictures:
    """Pictures by file name; those of a folder come first, then what the file lists beside them.

    A file may list a picture of the folder by another name: written otherwise (backslashes, capitals, another form of
    Unicode), without the folders above it, or with folders that lie above the one given, as exports of annotation
    tools do. Where that means one picture only, it has the name that the file gives it.

    Args:
        source: a folder of pictures, or a data set.
        listed: images of the COCO file, by id.

    Raises:
        DataError: there is no such folder, or two pictures of a data set have one name.
    """

    def __init__(self, source: Dataset | str | PathLike[str], listed: Mapping[Id, dict[str, Any]]):
        self._data = source if isinstance(source, Dataset) else None
        self._folder: PictureFolder | None = None
        if isinstance(source, Dataset):
            self.title = f"{source.name}, split {source.split}"
            self._places = {source.file_name(index): index for index in range(len(source))}
            if len(self._places) < len(source):
                raise DataError(f"{source}: several pictures have one file name; give the folder of the pictures")
            names = list(self._places)
        else:
            root = DataRoot(source, "the folder of pictures")
            self.title = root.path.name
            self._folder = PictureFolder(root, root.path)
            files = [path for path in root.files(root.path) if path.suffix.lower() in ENDINGS]
            names = [path.relative_to(root.path).as_posix() for path in files]
        given = dict.fromkeys(
            name for one in listed.values() if isinstance(name := one.get("file_name"), str) and name
        )
        known = set(names)
        self._files = {} if self._folder is None else self._meant(given.keys() - known, known - given.keys())
        called = {file: name for name, file in self._files.items()}
        self.names = [
            *(called.get(name, name) for name in names),
            *(one for one in given if one not in known | self._files.keys()),
        ]
        self.positions = {name: place for place, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def _meant(self, names: Iterable[str], files: Iterable[str]) -> dict[str, str]:
        """Name → the file of the folder that it means, of those for which that is clear."""
        assert self._folder is not None
        by_last: dict[str, list[tuple[str, str]]] = {}
        for file in files:
            path = _plain(file)
            by_last.setdefault(path.rpartition("/")[2], []).append((path, file))
        found = {}
        for name in names:
            try:
                path = _plain(checked_name(self._folder.path, name))
            except DataError:
                continue
            same = by_last.get(path.rpartition("/")[2], ())
            means = [file for other, file in same if path.endswith(other) or other.endswith(path)]
            if len(means) == 1:
                found[name] = means[0]
        often = Counter(found.values())
        return {name: file for name, file in found.items() if often[file] == 1}

    def image(self, name: str) -> Tensor:
        """A picture uint8 [3, H, W].

        Raises:
            DataError: it is not there, leads out of the folder, or cannot be read.
        """
        if self._data is not None:
            return self._data.image(self._place(name))
        return read_image(self._file(name))

    def size(self, name: str) -> tuple[int, int]:
        """Height and width in pixels, upright; raises as `image` does."""
        if self._data is not None:
            return self._data.size(self._place(name))
        return image_size(self._file(name))

    def _place(self, name: str) -> int:
        if name not in self._places:
            raise DataError(f"{self.title} has no picture {name!r}")
        return self._places[name]

    def _file(self, name: str) -> Path:
        assert self._folder is not None
        found = self._folder.find(self._files.get(name, name))
        if found is None:
            raise DataError(f"{self._folder.path} has no picture {name!r}")
        return self._folder.file(found)


def _plain(name: str) -> str:
    """A path in a form in which those that mean the same are equal; it begins with a slash."""
    return "/" + unicodedata.normalize("NFC", name.replace("\\", "/")).casefold().removeprefix("./")
