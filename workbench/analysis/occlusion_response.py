"""How the score of one object answers to an occluder, at one position and at all of them.

The response map slides an occluder over the image and notes the class probability of a fixed box at every
position. It is the occlusion sensitivity of Zeiler & Fergus (Visualizing and Understanding Convolutional
Networks, ECCV 2014, section "Occlusion Sensitivity") made for detectors. Where we depart: they record the
probability of the true class of a whole image classified by a network; here it is the probability that the
detector's head gives to the object's class for the object's own box, so that neither a proposal that drifts
away nor another object of the class can change it. Of a detector that cannot score boxes, the detection that
matches the object is followed instead (see `analysis.following`), and the response says so. Their occluder is a
grey square; ours is any texture of `workbench.data.drawing.occluders` at any size. It may reach over the border of
the image, so the map has a value for every part of the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.analysis.following import object_scores, scores_boxes
from workbench.data.drawing.occluders import paste
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.types import Target, check_label


@dataclass(frozen=True)
class OcclusionResponse:
    """Scores of one object for an occluder at every position of a grid; row-major, like the image."""

    scores: Tensor  #: [gh, gw] float32 in 0..1, probability of `label` at `box`; NaN where not yet computed
    positions: Tensor  #: [gh, gw, 4] float32, xyxy pixels of the occluder, centred in the cell
    stride: float  #: pixels, side of a cell
    baseline: float  #: the same score without an occluder
    box: Tensor  #: [4] float32, xyxy pixels of the object
    label: int  #: in 1..K
    followed: bool = False  #: scores are those of the detection that matches the object, as boxes cannot be scored

    @property
    def done(self) -> float:
        """Share of the grid that is computed, 0..1."""
        return float(self.scores.isfinite().float().mean())

    @property
    def drop(self) -> Tensor:
        """How much the score fell at each position, [gh, gw]; negative where the occluder helps."""
        return self.baseline - self.scores

    @property
    def left(self) -> Tensor:
        """What is left of the score at each position, as a share of the score without an occluder, [gh, gw] in 0..1.

        It shows where an object is hurt also where its score was low before.
        """
        return (self.scores / max(self.baseline, 1e-6)).clamp(max=1)


def grid_positions(height: int, width: int, occluder_size: tuple[float, float], stride: float) -> Tensor:
    """Occluder boxes [gh, gw, 4] (xyxy) centred in square cells that tile the image.

    They start at whole pixels, so that all cover equally many; that moves a centre by less than a pixel.

    Args:
        height, width: of the image, pixels.
        occluder_size: (height, width), pixels.
        stride: side of a cell, pixels.
    """
    rows, columns = math.ceil(height / stride), math.ceil(width / stride)
    y = (torch.arange(rows, dtype=torch.float32) + 0.5) * stride
    x = (torch.arange(columns, dtype=torch.float32) + 0.5) * stride
    y, x = torch.meshgrid(y, x, indexing="ij")
    top, left = (y - occluder_size[0] / 2).floor(), (x - occluder_size[1] / 2).floor()
    return torch.stack([left, top, left + occluder_size[1], top + occluder_size[0]], dim=-1)


def response_steps(
    detector: DetectorLike,
    image: Tensor,
    box: Tensor,
    label: int,
    *,
    occluder_size: int | tuple[int, int],
    stride: int,
    texture: str = "grey",
    outline: str = "rectangle",
    batch_size: int = 16,
    coarse_first: bool = False,
    generator: torch.Generator | None = None,
) -> Iterator[OcclusionResponse]:
    """The map of `occlusion_response` as it grows: one value per batch, positions near the object first.

    The other arguments are those of `occlusion_response`.

    Args:
        coarse_first: every fourth row and column of the whole map comes before every second, and these before the
            rest.
    """
    detector = as_detector(detector)
    height, width = (occluder_size, occluder_size) if isinstance(occluder_size, int) else occluder_size
    size = (height, width)
    _check(image, size, stride, label, len(detector.classes))
    box, followed = torch.as_tensor(box, dtype=torch.float32).reshape(4).cpu(), not scores_boxes(detector)
    positions = grid_positions(image.shape[1], image.shape[2], size, stride)
    baseline = object_scores(detector, [image], box, label)[0]
    scores = torch.full(positions.shape[:2], torch.nan)
    centres = (positions[..., :2] + positions[..., 2:]).flatten(0, 1) / 2
    order = (centres - (box[:2] + box[2:]) / 2).square().sum(1).argsort(stable=True)
    if coarse_first:
        order = order[_level(*positions.shape[:2]).flatten()[order].argsort(stable=True)]
    for chunk in order.split(batch_size):
        places = positions.flatten(0, 1)[chunk]
        occluded = [paste(image, place, texture, outline=outline, generator=generator)[0] for place in places]
        scores.view(-1)[chunk] = torch.tensor(object_scores(detector, occluded, box, label))
        yield OcclusionResponse(scores.clone(), positions, stride, baseline, box, label, followed)


def occlusion_response(
    detector: DetectorLike,
    image: Tensor,
    box: Tensor,
    label: int,
    *,
    occluder_size: int | tuple[int, int],
    stride: int,
    texture: str = "grey",
    outline: str = "rectangle",
    batch_size: int = 16,
    generator: torch.Generator | None = None,
    progress: Callable[[float], None] | None = None,
) -> OcclusionResponse:
    """The score of one object for an occluder at every position (occlusion sensitivity).

    The method is that of Zeiler & Fergus 2014. Each position costs one pass of the detector over the image.

    Args:
        image: uint8 [3, H, W].
        box: [4], xyxy pixels of the object.
        label: its class, 1..K.
        occluder_size: side, or (height, width), in pixels.
        stride: pixels between positions, which is also the side of a cell of the map.
        texture, outline: as for `paste`.
        batch_size: positions at once.
        generator: a new patch of the texture at each position; None: always the same.
        progress: called with the share done, 0..1.

    Raises:
        DataError: impossible sizes, strides and labels.
    """
    options: dict[str, Any] = {
        "occluder_size": occluder_size,
        "stride": stride,
        "texture": texture,
        "outline": outline,
    }
    steps = response_steps(detector, image, box, label, **options, batch_size=batch_size, generator=generator)
    for response in steps:
        if progress is not None:
            progress(response.done)
    return response


def hidden_fraction(target: Target, index: int, occluder: Tensor) -> tuple[float, str]:
    """How much of object `index` is hidden, 0..1, when the pixels `occluder` (bool [H, W]) are covered, and
    of what.

    With amodal masks it is exact, and counts what was hidden already: ("object"). With visible masks only, it
    is the part of the visible pixels that is now covered ("visible pixels"); without a mask, the part of the
    box ("box").
    """
    if "masks_amodal" in target:
        whole = target["masks_amodal"][index].bool()
        seen = target["masks"][index].bool() & ~occluder if "masks" in target else whole & ~occluder
        return _share(whole.sum() - (seen & whole).sum(), whole.sum()), "object"
    if "masks" in target and target["masks"][index].any():
        visible = target["masks"][index].bool()
        return _share((visible & occluder).sum(), visible.sum()), "visible pixels"
    return box_coverage(target["boxes"][index], occluder), "box"


def box_coverage(box: Tensor, occluder: Tensor) -> float:
    """Share of the pixels of a box [4] (xyxy; clipped to the image) that `occluder` (bool [H, W]) covers."""
    height, width = occluder.shape
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    part = occluder[max(0, y1) : min(height, y2), max(0, x1) : min(width, x2)]
    return _share(part.sum(), part.numel())


def _level(rows: int, columns: int) -> Tensor:
    """[rows, columns]: 0 for the middle of each 4 × 4 cells, 1 for that of each 2 × 2, and 2 for the rest."""
    level = torch.full((rows, columns), 2)
    for place, step in ((1, 2), (0, 4)):
        level[step // 2 :: step, step // 2 :: step] = place
    return level


def _share(part: Tensor, whole: Tensor | int) -> float:
    return float(part) / max(1.0, float(whole))


def _check(image: Tensor, size: tuple[int, int], stride: int, label: int, num_classes: int) -> None:
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != torch.uint8:
        raise DataError(f"image is {image.dtype} {tuple(image.shape)}; expected uint8 [3, H, W]")
    if stride <= 0 or min(size) <= 0:
        raise DataError(f"occluder_size {size} and stride {stride} must be at least one pixel")
    check_label(label, num_classes)
