"""Labels spoilt at known rates: what annotation errors cost a detector can be measured with them.

Train on these data and test on clean ones. Three errors of annotators (T.-Y. Lin's thesis, ch. 2, is about avoiding
them): objects that are missed, boxes that are loose, and wrong classes. What happens to an object is drawn from
(seed, image, object) alone, and with a higher rate all that was spoilt at a lower one still is, so that a series of
rates differs by its rates only.

The errors are independent of the objects. Those of people are not: small and hidden objects are missed first, so at
the same rate real errors may cost less or more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from workbench.data.altered import Altered
from workbench.data.reading.boxes import xywh
from workbench.data.reading.lazy_target import LazyTarget, at_hand
from workbench.errors import DataError
from workbench.options import Count, Factor, Number, Share
from workbench.registry import DATASETS
from workbench.types import Target

THINNEST = 1.0  #: pixels; a side that would be thinner stays where it is


@dataclass(frozen=True)
class Faults:
    """What was done to the objects of an image; each [N] is of the objects as they truly are."""

    missed: np.ndarray  #: bool, left out
    loose: np.ndarray  #: bool, with another box
    wrong: np.ndarray  #: bool, with another class


@DATASETS.register("noisy-labels")
class NoisyLabels(Altered):
    """Another data set whose labels are spoilt at known rates; its images are as they are.

    Crowds stay as they are. A missed object is left out with all that is known of it: its pixels become background,
    as for an annotator who did not see it. A loose box has every side moved by a normal number of the standard
    deviation `looseness` times its width or height, within the image, and its masks are stretched with it, as an
    outline that is drawn carelessly is not tight either; other boxes of the object, such as visible ones, stay.

    Args:
        split: of the other data set, unless `of` says one.
        of: the other data set, as arguments of `load_data`: {"name": ..., "split", "root", "options"}.
        images: only so many of its images, evenly spaced; None: all.
        missed: share of the objects that are left out.
        loose: share of the boxes that are loose.
        looseness: how loose these are.
        wrong: share of the objects that have another class, each other one with equal probability.
        seed: of all that is drawn.

    Raises:
        DataError: an option that is wrong, wrong classes where there is one only, or data that cannot be read.

    Example:
        >>> scenes = {"name": "digit-scenes", "options": {"length": 50}}
        >>> data = wb.load_data("noisy-labels", of=scenes, missed=0.3, loose=1.0, looseness=0.1)
        >>> round(float(np.concatenate([data.faults(i).missed for i in range(50)]).mean()), 1)
        0.3
    """

    def __init__(
        self,
        split: str = "train",
        *,
        of: dict[str, Any],
        images: Count | None = None,
        missed: Share = 0.0,
        loose: Share = 0.0,
        looseness: Factor = 0.1,
        wrong: Share = 0.0,
        seed: Number = 0,
    ):
        super().__init__(of, split, images)
        if wrong > 0 and len(self.classes) < 2:
            raise DataError(f"noisy-labels.wrong is {wrong}, and {self.whole.name} has one class only; leave it out")
        self.missed, self.loose, self.looseness, self.wrong, self.seed = missed, loose, looseness, wrong, seed

    def faults(self, index: int) -> Faults:
        """What was done to the objects of image `index`, in the order of the other data set's target."""
        target = super().target(index)
        return self._drawn(index, target)[0]

    def annotation_ids(self, index: int) -> list[int] | None:
        """Those of the objects that are left."""
        ids = super().annotation_ids(index)
        if ids is None:
            return None
        return [one for one, gone in zip(ids, self.faults(index).missed.tolist(), strict=True) if not gone]

    def target(self, index: int) -> Target:
        """The spoilt target; no image is decoded, and masks are when somebody asks for them."""
        index = self._position(index)
        true = super().target(index)
        faults, rng = self._drawn(index, true)
        kept = torch.from_numpy(np.flatnonzero(~faults.missed))
        number = len(true["labels"])
        known = {key: _rows(key, value, kept, number) for key, value in at_hand(true).items()}
        before = known["boxes"].as_subclass(Tensor)
        self._spoil(known, faults, kept.numpy(), self.size(index), rng)
        move = partial(_stretched, before=before, after=known["boxes"].as_subclass(Tensor))
        for key in known:
            if key.startswith("masks"):
                known[key] = move(known[key])
        later = {
            key: partial(_later, true, key, kept, number, move if key.startswith("masks") else None)
            for key in true
            if key not in known
        }
        return LazyTarget(known, later) if later else known  # type: ignore[return-value]  # to readers a dict

    def _drawn(self, index: int, true: Target) -> tuple[Faults, np.random.Generator]:
        """What happens to each object, and the generator for the rest."""
        rng = np.random.default_rng([self.seed, self._position(index)])
        number = len(true["labels"])
        chances = rng.random((number, 3))  # drawn whatever the rates are, so that series of rates are nested
        single = ~np.asarray(true["iscrowd"]) if "iscrowd" in true else np.ones(number, bool)
        rates = np.array([self.missed, self.loose, self.wrong])
        hit = (chances < rates) & single[:, None]
        return Faults(hit[:, 0], hit[:, 1], hit[:, 2]), rng

    def _spoil(
        self,
        known: dict[str, Any],
        faults: Faults,
        kept: np.ndarray,
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> None:
        """Loosen boxes and change classes of what is left."""
        number = len(faults.missed)
        steps = rng.standard_normal((number, 4))[kept]  # drawn for all, for the same reason
        turns = rng.integers(1, max(2, len(self.classes)), number)[kept]
        loose, wrong = faults.loose[kept], faults.wrong[kept]
        true = known["boxes"].as_subclass(Tensor).double().numpy()
        boxes, labels = true.copy(), known["labels"].numpy().copy()
        boxes[loose] = _moved(true[loose], self.looseness * steps[loose], size)
        labels[wrong] = (labels[wrong] - 1 + turns[wrong]) % len(self.classes) + 1
        known["boxes"] = tv_tensors.wrap(torch.from_numpy(boxes).float(), like=known["boxes"])
        known["labels"] = torch.from_numpy(labels)
        if "area" in known:
            grown = xywh(boxes)[:, 2:].prod(axis=1) / xywh(true)[:, 2:].prod(axis=1).clip(1e-6)
            known["area"] = torch.where(
                torch.from_numpy(loose), known["area"] * torch.from_numpy(grown).float(), known["area"]
            )


def loosened(boxes: np.ndarray, looseness: float, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Boxes [N, 4] (xyxy pixels) whose sides are moved by normal numbers, within an image of `size` (height, width).

    Args:
        boxes: within the image.
        looseness: standard deviation of each side, as a share of the box's width or height.
        size: height and width in pixels.
        rng: drawn from, four numbers a box.

    Example:
        >>> loosened(np.array([[10.0, 10, 30, 20]]), 0.1, (40, 40), np.random.default_rng(0)).round(1).tolist()
        [[10.3, 9.9, 31.3, 20.1]]
    """
    return _moved(boxes, looseness * rng.standard_normal((len(boxes), 4)), size)


def _moved(boxes: np.ndarray, steps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes [N, 4] with sides moved by `steps` [N, 4] times their width or height; never thinner than a pixel."""
    height, width = size
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    moved = (boxes + steps * sides).clip(0, [width, height, width, height])
    for low, high in ((0, 2), (1, 3)):
        thin = moved[:, high] - moved[:, low] < THINNEST
        moved[np.ix_(thin, [low, high])] = boxes[np.ix_(thin, [low, high])]
    return moved


def _rows(key: str, value: Any, kept: Tensor, number: int) -> Any:
    """What is known of `number` objects, of those that are left; what is known of the image as it is."""
    of_objects = isinstance(value, Tensor) and value.ndim > 0 and not key.startswith("mask_")
    if not of_objects or len(value) != number or len(kept) == number:
        return value
    rows = value[kept]
    return tv_tensors.wrap(rows, like=value) if isinstance(value, tv_tensors.TVTensor) else rows


def _later(
    true: Target, key: str, kept: Tensor, number: int, move: Callable[[Tensor], Tensor] | None, _: Target
) -> Any:
    rows = _rows(key, true[key], kept, number)
    return rows if move is None else move(rows)


def _stretched(masks: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Masks [N, H, W] moved and stretched as their boxes [N, 4] were; each pixel is that of the nearest place."""
    moved = masks.as_subclass(Tensor).clone()
    for row in torch.where((before != after).any(1))[0].tolist():
        inside, places = [], []
        for axis, length in enumerate(masks.shape[:0:-1]):  # columns by x, rows by y
            (old, old_end), (new, new_end) = before[row, axis::2].tolist(), after[row, axis::2].tolist()
            place = (torch.arange(length) + 0.5 - new) * ((old_end - old) / (new_end - new)) + old
            inside.append((place >= 0) & (place < length))
            places.append(place.long().clamp(0, length - 1))
        (x, y), (x_in, y_in) = places, inside
        moved[row] = moved[row][y][:, x] & y_in[:, None] & x_in
    return tv_tensors.wrap(moved, like=masks) if isinstance(masks, tv_tensors.TVTensor) else moved
