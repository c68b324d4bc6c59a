"""A map of what one detection rests on, whatever method made it, and whether it lies where the object is.

Two measures come from the field: the pointing game (Zhang et al., Top-down Neural Attention by Excitation Backprop,
2016) asks whether the highest value lies on the object, and its energy-based form (Wang et al., Score-CAM, 2020)
which share of the positive values does. Both have a chance level, the share of the image that the object covers, and
say nothing of whether the detector uses what is bright: for that see `saliency_curves`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from workbench.errors import DataError
from workbench.types import Detections


@dataclass(frozen=True)
class LevelMap:
    """What one map of a network adds to a `Saliency`."""

    name: str  #: of the layer, and of the level where it gives several
    map: Tensor  #: [h, w] float32, cells of the layer, before it is enlarged
    stride: float  #: pixels of the image per cell
    share: float  #: of the positive values of all levels together, by area, 0..1; 0 where there are none


@dataclass(frozen=True)
class Saliency:
    """What one detection rests on, pixel by pixel; all tensors on the CPU."""

    map: Tensor  #: [H, W] float32 of the image; the higher, the more it speaks for the detection; below 0: against
    method: str  #: one of `workbench.analysis.explain.METHODS`
    box: Tensor  #: [4] float32, xyxy pixels
    label: int  #: in 1..K
    score: float  #: of the detection, 0..1; NaN where it is not known
    settings: dict[str, Any] = field(default_factory=dict)  #: what the method was asked for, to make the map again
    levels: tuple[LevelMap, ...] = ()  #: fine to coarse, of methods that look into the network
    done: float = 1.0  #: share of the budget that is spent; below 1 while the map grows

    @property
    def detection(self) -> Detections:
        """The detection that is explained, as `Detections` of one row."""
        return Detections(self.box[None], torch.tensor([self.label]), torch.tensor([self.score]))

    @property
    def peak(self) -> tuple[int, int]:
        """Column and row of the highest value; of several the first."""
        row, column = divmod(int(self.map.argmax()), self.map.shape[1])
        return column, row

    def points_at(self, region: Tensor | None = None, *, tolerance: float = 0.0) -> bool:
        """The pointing game: whether the highest value lies on the object; False for a map without a positive value.

        Args:
            region: pixels of the object bool [H, W], or a box [4]; None: the box of the detection.
            tolerance: pixels by which it may miss a box on each side; 15 in the published game.
        """
        if not float(self.map.max()) > 0:
            return False
        column, row = self.peak
        return bool(self._inside(region, tolerance)[row, column])

    def energy(self, region: Tensor | None = None) -> float:
        """Share of the positive values that lies on the object, 0..1; NaN for a map without a positive value.

        Args:
            region: pixels of the object bool [H, W], or a box [4]; None: the box of the detection.
        """
        positive = self.map.clamp(min=0).double()
        total = float(positive.sum())
        return float(positive[self._inside(region)].sum()) / total if total > 0 else float("nan")

    def chance(self, region: Tensor | None = None) -> float:
        """Share of the image that the object covers: the energy of an even map, and how often chance points at it."""
        return float(self._inside(region).float().mean())

    def _inside(self, region: Tensor | None, tolerance: float = 0.0) -> Tensor:
        """Pixels [H, W] of a region."""
        region = self.box if region is None else region.as_subclass(Tensor).cpu()
        if region.shape == self.map.shape:
            return region.bool()
        if region.shape != (4,):
            given = f"{region.dtype} {tuple(region.shape)}"
            raise DataError(
                f"the region is {given}; expected a box [4], or pixels {tuple(self.map.shape)} as the map"
            )
        return box_pixels(region, self.map.shape, tolerance)


def box_pixels(box: Tensor, size: tuple[int, ...], tolerance: float = 0.0) -> Tensor:
    """The pixels of an image of `size` (height, width) whose centres lie in a box [4], bool [H, W]."""
    x1, y1, x2, y2 = (float(value) for value in box)
    y, x = (torch.arange(side, dtype=torch.float32) + 0.5 for side in size)
    rows = (y > y1 - tolerance) & (y < y2 + tolerance)
    columns = (x > x1 - tolerance) & (x < x2 + tolerance)
    return rows[:, None] & columns


def check_asked(image: Tensor, detections: Detections, num_classes: int | None) -> Detections:
    """The detections to explain, on the CPU and without masks.

    Args:
        image: that they are in.
        detections: as they were given.
        num_classes: K of the detector; None: not known.

    Raises:
        DataError: the image is no uint8 [3, H, W], a label is none of the detector's, or a box is not finite or
            empty.
    """
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != torch.uint8:
        raise DataError(f"image is {image.dtype} {tuple(image.shape)}; expected uint8 [3, H, W]")
    if not isinstance(detections, Detections):
        what = f"a {type(detections).__name__} says nothing of what to explain"
        raise DataError(f"{what}; expected Detections, as detector.detect([image])[0] gives them")
    detections = detections.to("cpu")
    boxes, labels = detections.boxes.as_subclass(Tensor), detections.labels.as_subclass(Tensor)
    if wrong := [one for one in labels.tolist() if not 1 <= one <= (num_classes or one)]:
        raise DataError(f"label {wrong[0]} is outside 1..{num_classes or 'K'}, the detector's classes")
    height, width = image.shape[-2:]
    for box in boxes.tolist():
        x1, y1, x2, y2 = box
        if not (x1 < x2 and y1 < y2 and x1 < width and y1 < height and x2 > 0 and y2 > 0):
            raise DataError(f"box {box} has no pixel inside the image of {width} × {height}; expected xyxy")
    return Detections(boxes.float(), labels, detections.scores.float(), None, detections.extras)
