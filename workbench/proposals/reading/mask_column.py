"""The masks of a table of results: run-length codes on disk, of which only the wanted ones are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from workbench.rle import RLE

CODES, ROWS = "masks.bin", "masks.npy"
ROW = np.dtype([("place", np.int64), ("length", np.int32), ("size", np.int32, 2)])  #: length 0: this row has none


class MaskColumn:
    """The masks of the rows of a table.

    Args:
        folder: of the table.

    Raises:
        OSError, ValueError: the files are not there, or broken.
    """

    def __init__(self, folder: Path):
        self._rows = np.load(folder / ROWS, mmap_mode="r", allow_pickle=False)  # [N] ROW
        self._codes = np.memmap(folder / CODES, np.uint8, mode="r")
        if self._rows.dtype != ROW:
            raise ValueError("the masks of this table are of another layout")

    @classmethod
    def of(cls, folder: Path) -> MaskColumn | None:
        """The masks of a table; None for one without."""
        return cls(folder) if (folder / ROWS).exists() else None

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice) -> list[RLE] | None:
        """The codes of some rows; None unless each of these has a mask."""
        wanted = self._rows[rows]
        if not wanted["length"].all():
            return None
        begin, end = wanted["place"], wanted["place"] + wanted["length"]
        places = zip(begin.tolist(), end.tolist(), wanted["size"].tolist(), strict=True)
        return [{"size": size, "counts": self._codes[first:last].tobytes()} for first, last, size in places]


class MaskWriter:
    """Writes the masks of a table whose rows come in any order; without any mask no file is made."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._length, self._place = 0, 0  # rows, bytes
        self._codes: IO[bytes] | None = None
        self._rows: IO[bytes] | None = None

    def __enter__(self) -> MaskWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        for file in (self._codes, self._rows):
            if file is not None:
                file.close()

    def append(self, codes: Sequence[RLE | None]) -> None:
        """The masks of the next rows, None for those without."""
        if self._codes is None and any(codes):
            self._codes = (self.folder / CODES).open("wb")
            self._rows = (self.folder / f"{ROWS}.unsorted").open("wb")
            np.zeros(self._length, ROW).tofile(self._rows)
        self._length += len(codes)
        if self._codes is None:
            return
        texts = [b"" if code is None else code["counts"] for code in codes]
        rows = np.zeros(len(codes), ROW)
        rows["length"] = [len(text) for text in texts]
        rows["size"] = [(0, 0) if code is None else code["size"] for code in codes]
        rows["place"] = self._place + np.cumsum(rows["length"], dtype=np.int64) - rows["length"]
        rows.tofile(self._rows)
        self._place += self._codes.write(b"".join(texts))

    def sort(self, order: np.ndarray, parts: Iterable[int]) -> None:
        """Bring the rows into `order` [N], some at a time: `parts` are the first rows of each, and the end."""
        if self._rows is None:
            return
        self._rows.flush()
        unsorted = np.memmap(self.folder / f"{ROWS}.unsorted", ROW, mode="r")
        rows = np.lib.format.open_memmap(self.folder / ROWS, "w+", ROW, (len(order),))
        for begin, end in pairwise(parts):
            rows[begin:end] = unsorted[order[begin:end]]
        rows.flush()
        (self.folder / f"{ROWS}.unsorted").unlink()
