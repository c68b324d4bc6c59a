"""The training task before segmentation: an object whose outline is known, and how near a worker comes to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from workbench.annotation.outlines import mask_for, polygons_of
from workbench.data import Dataset
from workbench.errors import DataError

SEARCHED = 500  #: pictures that are searched for an example
SMALLEST = 100  #: pixels of an example


@dataclass(frozen=True)
class Example:
    """An object to practise on."""

    index: int  #: of the image in the gold data
    category: str
    mask: np.ndarray  #: bool [H, W]
    box: list[float]  #: xyxy pixels

    def judge(self, rings: list[list[float]]) -> dict[str, Any]:
        """How well outlines meet it: IoU, and the shares of it that are missing and of them that are too much."""
        drawn = mask_for(rings, self.mask.shape)
        both, whole = int((drawn & self.mask).sum()), int((drawn | self.mask).sum())
        return {
            "overlap": round(both / max(1, whole), 3),
            "missing": round(1 - both / max(1, int(self.mask.sum())), 3),
            "beyond": round(1 - both / max(1, int(drawn.sum())), 3),
            "gold": polygons_of(self.mask),
        }


class Training:
    """The examples of gold data, one for each category.

    Args:
        gold: data with masks.

    Raises:
        DataError: it is no data set.
    """

    def __init__(self, gold: Dataset):
        if not isinstance(gold, Dataset):
            raise DataError(f"gold is a data set with masks, not a {type(gold).__name__}")
        self.gold = gold
        self._examples: dict[str, Example | None] = {}

    def example(self, category: str) -> Example | None:
        """The largest visible object of a category in the first pictures that have one; None if there is none."""
        if category not in self._examples:
            self._examples[category] = self._find(category)
        return self._examples[category]

    def image(self, example: Example) -> Tensor:
        """The picture of an example, uint8 [3, H, W]."""
        return self.gold.image(example.index)

    def _find(self, category: str) -> Example | None:
        if category not in self.gold.classes:
            return None
        label = self.gold.classes.index(category) + 1
        for index in range(min(SEARCHED, len(self.gold))):
            target = self.gold.target(index)
            rows = (target["labels"] == label).nonzero().flatten().tolist()
            if "masks" not in target or not rows:
                continue
            masks = {row: target["masks"][row].numpy().astype(bool) for row in rows if not _crowd(target, row)}
            best = max(masks, key=lambda row: masks[row].sum(), default=None)
            if best is not None and masks[best].sum() >= SMALLEST:
                return Example(index, category, masks[best], [round(v, 1) for v in target["boxes"][best].tolist()])
        return None


def _crowd(target: Any, row: int) -> bool:
    return "iscrowd" in target and bool(target["iscrowd"][row])
