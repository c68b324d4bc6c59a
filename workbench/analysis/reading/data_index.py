"""Which images of a data set hold what: read once, bit by bit, and only as far as it is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.data import Dataset


@dataclass(frozen=True)
class Wanted:
    """Images with at least one object of a class whose hidden fraction lies in a range; None: any."""

    label: int | None = None  #: in 1..K
    occlusion: tuple[float, float] | None = None  #: lowest and highest hidden fraction, 0..1

    @property
    def everything(self) -> bool:
        """True if every image is wanted, also one without objects."""
        return self.label is None and self.occlusion is None


class DataIndex:
    """Labels and occlusion of the first `scanned` images of a data set; grows with `scan` and `find`."""

    def __init__(self, data: Dataset):
        self.data = data
        self.labels: list[np.ndarray] = []  #: of each scanned image, [N] int
        self.occlusion: list[np.ndarray] = []  #: of each scanned image, [N] float, NaN where unknown

    @property
    def scanned(self) -> int:
        """How many images are known so far."""
        return len(self.labels)

    @property
    def complete(self) -> bool:
        """True if all images are known."""
        return self.scanned == len(self.data)

    def scan(self, count: int) -> None:
        """Read the targets of the next `count` images; no image is decoded."""
        for position in range(self.scanned, min(len(self.data), self.scanned + count)):
            target = self.data.target(position)
            labels = np.asarray(target["labels"])
            unknown = np.full(len(labels), np.nan)
            self.occlusion.append(np.asarray(target["occlusion"]) if "occlusion" in target else unknown)
            self.labels.append(labels)

    def matches(self, position: int, wanted: Wanted) -> bool:
        """Whether a scanned image is wanted."""
        if wanted.everything:
            return True
        fits = np.ones(len(self.labels[position]), dtype=bool)
        if wanted.label is not None:
            fits &= self.labels[position] == wanted.label
        if wanted.occlusion is not None:
            low, high = wanted.occlusion
            fits &= (self.occlusion[position] >= low) & (self.occlusion[position] <= high)
        return bool(fits.any())

    def find(self, wanted: Wanted, count: int) -> list[int]:
        """The first `count` wanted images, or fewer if there are not so many; scans only as far as needed."""
        if wanted.everything:
            return list(range(min(count, len(self.data))))
        found: list[int] = []
        position = 0
        while len(found) < count and position < len(self.data):
            if position == self.scanned:
                self.scan(1)
            if self.matches(position, wanted):
                found.append(position)
            position += 1
        return found

    def counts(self) -> dict[str, int]:
        """Class → objects, in the scanned images."""
        labels = np.concatenate(self.labels) if self.labels else np.zeros(0, int)
        number = np.bincount(labels.astype(int), minlength=len(self.data.classes) + 1)
        return {name: int(number[label]) for label, name in enumerate(self.data.classes, start=1)}

    def all_occlusion(self) -> np.ndarray:
        """Hidden fractions [M] of all objects in the scanned images, NaN where unknown."""
        return np.concatenate(self.occlusion) if self.occlusion else np.zeros(0)
