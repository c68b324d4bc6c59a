"""The masks of a table of results: run-length codes on disk, of which only the wanted ones are read."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from workbench.rle import RLE

CODES, ROWS = "masks.bin", "masks.npy"
CHUNK = 50_000  #: masks that are Python objects at a time
ROW = np.dtype([("place", np.int64), ("length", np.int32), ("size", np.int32, 2)])  #: length 0: this row has none
UNSORTED = np.dtype([("row", np.int64), *((name, ROW[name]) for name in ROW.names)])


class MaskColumn:
    """The masks of the rows of a table.

    Args:
        folder: of the table.

    Raises:
        OSError, ValueError: the files are not there, or broken.
    """

    def __init__(self, folder: Path):
        self._rows = np.load(folder / ROWS, mmap_mode="r", allow_pickle=False)  # [N] ROW
        self._codes = np.asarray(np.memmap(folder / CODES, np.uint8, mode="r"))  # slices of a memmap are slow to make
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
    """Writes the masks of a table whose rows come in any order; without any mask no file is made.

    Args:
        folder: of the table.
    """

    def __init__(self, folder: Path):
        self.folder, self._place = folder, 0  # bytes
        self._waiting: list[tuple[int, int, bytes, list[int]]] = []
        self._codes: IO[bytes] | None = None

    def __enter__(self) -> MaskWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        if self._codes is not None:
            self._codes.close()

    def add(self, row: int, code: RLE) -> None:
        """The mask of a row, whose number rises from call to call."""
        text = code["counts"]
        self._waiting.append((row, self._place, text, code["size"]))
        self._place += len(text)
        if len(self._waiting) == CHUNK:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._codes is None:
            self._codes = (self.folder / CODES).open("wb")
        row, place, texts, sizes = zip(*self._waiting, strict=True)
        self._waiting = []
        rows = np.zeros(len(row), UNSORTED)
        rows["row"], rows["place"], rows["size"] = row, place, sizes
        rows["length"] = [len(text) for text in texts]
        with (self.folder / "unsorted").open("ab") as file:
            rows.tofile(file)
        self._codes.writelines(texts)

    def sort(self, order: np.ndarray, starts: np.ndarray) -> None:
        """Bring the rows into `order` [N], some at a time: from each of `starts` to the next; the last is N."""
        if self._codes is None:
            return
        unsorted = np.memmap(self.folder / "unsorted", UNSORTED, mode="r")
        known = unsorted["row"]
        rows = np.lib.format.open_memmap(self.folder / ROWS, "w+", ROW, (len(order),))
        for begin, end in pairwise(starts):
            wanted = order[begin:end]
            place = np.searchsorted(known, wanted).clip(max=len(known) - 1)
            found = known[place] == wanted
            for name in ROW.names:
                rows[name][begin:end][found] = unsorted[name][place[found]]
        rows.flush()
        (self.folder / "unsorted").unlink()
