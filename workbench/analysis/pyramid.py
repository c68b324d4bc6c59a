"""What the levels of a feature pyramid make of one image (T.-Y. Lin's thesis, ch. 4): maps, boxes, anchors.

| thesis | here |
|---|---|
| bottom-up maps C_k and pyramid P_k (Fig. 4.3) | `look` → `PyramidView.body` and `.levels` |
| the level of an RoI, k = ⌊k0 + log2(√(wh) / 224)⌋ (eq. 4.1) | `PyramidView.box_levels` |
| an anchor is positive above IoU 0.7 or as the best of an object, negative below 0.3 (sec. 4.4.1) | `.match` |

All follows the detector's own canonical size, anchors and thresholds, in pixels of the network's input. Where there
are no RoIs (RetinaNet, a proposal network alone), the level of a box is that of the anchor that overlaps it most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor
from torchvision.models.detection.transform import resize_boxes

from workbench.detectors.base import Detector, HasLevels, HasRoILevels, asked, evaluating
from workbench.detectors.layers.fpn import Pyramid, SingleMap
from workbench.detectors.layers.matching import match_anchors, overlaps
from workbench.detectors.layers.proposing import keeping_maps
from workbench.detectors.layers.roi_pool import PyramidPool
from workbench.detectors.layers.roi_pool import assign_levels as assign_levels  # eq. 4.1 as the detectors have it
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.types import Target, learnable

MATCHED, BEST_ONLY, MISSED, LEFT_OUT = "matched", "best only", "missed", "left out"
#: What anchors can make of an object, and what it means.
MATCH_KINDS = {
    MATCHED: "has anchors at or above the positive threshold",
    BEST_ONLY: "is matched by its best anchor only, which is below the threshold",
    MISSED: "has no anchor",
    LEFT_OUT: "is a crowd or difficult, and not learned",
}


@dataclass(frozen=True)
class Level:
    """One map of a network for one image."""

    name: str  #: P and log2 of the stride for a level of a pyramid, C for a map of its body and for a single map
    stride: int  #: pixels of the network's input per cell
    energy: Tensor  #: [h, w] float32, root mean square over the channels
    covers: tuple[float, float]  #: height and width in pixels of the image; with padding a little more than it has
    num_anchors: int = 0


class BoxLevels(NamedTuple):
    """Where R boxes go."""

    sides: Tensor  #: [R] √(wh) in pixels of the network's input
    exact: Tensor  #: [R] k0 + log2(side / canonical size), before it is rounded down; NaN without RoIs on levels
    levels: Tensor  #: [R] int64, positions in `PyramidView.levels`


@dataclass(frozen=True)
class AnchorMatch:
    """Anchors against the objects of an image, as training sees them."""

    boxes: Tensor  #: [A, 4] xyxy pixels of the image; they may reach outside
    levels: Tensor  #: [A] int64, positions in `PyramidView.levels`
    states: Tensor  #: [A] int64: 1 matched, -1 ignored (between the thresholds), 0 background
    objects: Tensor  #: [A] int64, the object that it is matched to or overlaps most; -1 where there is none
    best_iou: Tensor  #: [N] of each object with any anchor; NaN where it is left out
    best_level: Tensor  #: [N] int64, where that anchor is; -1 where it is left out
    kinds: tuple[str, ...]  #: N of `MATCH_KINDS`
    positive_iou: float
    negative_iou: float

    def counts(self, state: int = 1) -> Tensor:
        """Anchors [N, L] of a state for each object and level."""
        out = torch.zeros(len(self.kinds), int(self.levels.max()) + 1, dtype=torch.long)
        some = (self.states == state) & (self.objects >= 0)
        return out.index_put_((self.objects[some], self.levels[some]), torch.tensor(1), accumulate=True)


@dataclass(frozen=True)
class PyramidView:
    """What a detector's network makes of one image; see `look`."""

    levels: tuple[Level, ...]  #: fine to coarse
    body: tuple[Level, ...]  #: the maps that the pyramid is built from; those of `levels` where there is none
    image_size: tuple[int, int]  #: height and width
    input_size: tuple[int, int]  #: the same as the network sees it
    anchors: Tensor  #: [A, 4] xyxy pixels of the network's input
    anchor_levels: Tensor  #: [A] int64
    detector: Detector

    @property
    def pool(self) -> PyramidPool | None:
        """What takes RoIs from the levels; None where there are no RoIs."""
        return self.detector.roi_pool() if isinstance(self.detector, HasRoILevels) else None

    def box_levels(self, boxes: Tensor) -> BoxLevels:
        """Where boxes [R, 4] in pixels of the image go."""
        boxes = self._to_input(boxes)
        sides = ((boxes[:, 2:] - boxes[:, :2]).clamp(min=0)).prod(dim=1).sqrt()
        if self.pool is None:
            best = overlaps(boxes, self.anchors).argmax(dim=1)
            return BoxLevels(sides, torch.full_like(sides, math.nan), self.anchor_levels[best])
        if len(self.pool.strides) == 1:
            return BoxLevels(sides, torch.full_like(sides, math.nan), self.pool.levels(boxes))
        exact = exact_level(sides, self.pool.canonical_size, self.pool.canonical_level)
        return BoxLevels(sides, exact, self.pool.levels(boxes))

    def match(self, target: Target) -> AnchorMatch:
        """The anchors against the objects of the image."""
        matcher = asked(self.detector, HasLevels).anchor_matcher()
        boxes, learned = self._to_input(target["boxes"]), learnable(target)
        rows = torch.where(learned)[0]
        index, state = (one[0] for one in match_anchors(self.anchors, [boxes[rows]], matcher))
        overlap = overlaps(boxes[rows], self.anchors)  # [n, A]
        best_iou, best_level = torch.full((len(boxes),), math.nan), torch.full((len(boxes),), -1)
        objects, matched = torch.full_like(state, -1), torch.zeros(len(boxes), dtype=torch.bool)
        if len(rows):
            highest, most = overlap.max(dim=0)
            objects = torch.where(highest > 0, rows[torch.where(state > 0, index, most)], -1)
            best = overlap.max(dim=1)
            best_iou[rows], best_level[rows] = best.values, self.anchor_levels[best.indices]
            matched[objects[(state > 0) & (objects >= 0)]] = True
        seen = zip(learned.tolist(), matched.tolist(), best_iou.tolist(), strict=True)
        return AnchorMatch(
            resize_boxes(self.anchors, self.input_size, self.image_size),
            self.anchor_levels,
            state,
            objects,
            best_iou,
            best_level,
            tuple(_kind(*one, matcher.high_threshold) for one in seen),
            matcher.high_threshold,
            matcher.low_threshold,
        )

    def _to_input(self, boxes: Tensor) -> Tensor:
        plain = boxes.as_subclass(Tensor).cpu().float().reshape(-1, 4)
        return resize_boxes(plain, self.image_size, self.input_size)


@dataclass(frozen=True)
class PyramidSteps:
    """How a pyramid comes about for one image, step by step; maps [C, h, w] float32 on the CPU, fine to coarse."""

    body: tuple[Tensor, ...]  #: C_k, the maps of the network's body
    lateral: tuple[Tensor, ...]  #: conv1(C_k), what the lateral connections add
    merged: tuple[Tensor, ...]  #: M_k = conv1(C_k) + M_{k+1} enlarged
    levels: tuple[Tensor, ...]  #: P_k = conv3(M_k), and levels on top where the network has any


def pyramid_steps(detector: DetectorLike, image: Tensor) -> PyramidSteps:
    """The maps of Fig. 4.3 as the network itself computes them.

    Args:
        detector: one with a whole pyramid: top-down path, lateral connections and all levels.
        image: [3, H, W], uint8 or float in 0..1.

    Raises:
        DataError: a detector without such a pyramid.
    """
    detector = as_detector(detector)
    pyramid = _trunk(detector)
    if not isinstance(detector, HasLevels) or not isinstance(pyramid, Pyramid) or not pyramid.fpn.whole:
        raise DataError(
            f"{type(detector).__name__} has no whole pyramid; expected top-down path and lateral connections"
        )
    lateral: dict[int, Tensor] = {}
    merged: dict[int, Tensor] = {}
    body: list[dict[str, Tensor]] = []
    handles = [pyramid.body.register_forward_hook(lambda *call: body.append(call[2]))]
    for level, (inner, layer) in enumerate(zip(pyramid.fpn.inner_blocks, pyramid.fpn.layer_blocks, strict=True)):
        handles += [
            inner.register_forward_hook(lambda *call, level=level: lateral.update({level: call[2]})),
            layer.register_forward_hook(lambda *call, level=level: merged.update({level: call[1][0]})),
        ]
    try:
        with evaluating(detector):
            levels = pyramid(detector.prepare([image]).tensors)
    finally:
        for handle in handles:
            handle.remove()
    steps = (body[0].values(), (lateral[i] for i in sorted(lateral)), (merged[i] for i in sorted(merged)), levels)
    return PyramidSteps(*(tuple(one[0].float().cpu() for one in maps) for maps in steps))


def look(detector: DetectorLike, image: Tensor) -> PyramidView:
    """The levels of `detector`, and its anchors, for an image uint8 or float (0..1) [3, H, W]; all on the CPU.

    Raises:
        WorkbenchError: a detector without levels and anchors, such as Fast R-CNN.
    """
    detector = as_detector(detector)
    seeing, trunk = asked(detector, HasLevels), _trunk(detector)
    caught: list[dict[str, Tensor]] = []
    hook = None if trunk is None else trunk.body.register_forward_hook(lambda *call: caught.append(call[2]))
    try:
        with evaluating(detector), keeping_maps():
            batch = seeing.prepare([image])
            maps = seeing.maps(batch)
            anchors = seeing.level_anchors(batch, maps)
    finally:
        if hook is not None:
            hook.remove()
    size, inside = tuple(image.shape[-2:]), tuple(batch.image_sizes[0])
    letter, padded = "C" if isinstance(trunk, SingleMap) else "P", tuple(batch.tensors.shape[-2:])
    counts = [len(level) for level in anchors]
    levels = _levels(letter, maps, size, inside, padded, counts)
    body = list(caught[0].values()) if caught else []
    return PyramidView(
        levels,
        _levels("C", body, size, inside, padded, [0] * len(body)) if body else levels,
        size,
        inside,
        torch.cat(anchors).cpu(),
        torch.repeat_interleave(torch.arange(len(maps)), torch.tensor(counts)),
        detector,
    )


def _trunk(detector: Detector) -> Pyramid | SingleMap | None:
    """The module that makes the maps of a body, where the detector has one."""
    return next((part for part in detector.modules() if isinstance(part, Pyramid | SingleMap)), None)


def exact_level(sides: Tensor, canonical_size: float = 224.0, canonical_level: int = 4) -> Tensor:
    """k0 + log2(side / canonical size) (eq. 4.1 before it is rounded down) of boxes with these sides √(wh) [R]."""
    return canonical_level + torch.log2(sides / canonical_size)


def object_table(view: PyramidView, target: Target, classes: Sequence[str]) -> pd.DataFrame:
    """One row per object: its class, side, levels and anchors; NaN where there is no equation or no match."""
    where, match = view.box_levels(target["boxes"]), view.match(target)
    names = [level.name for level in view.levels]
    counts, between = match.counts(), match.counts(-1).sum(dim=1)
    rows = [
        {
            "class": classes[label - 1],
            "side": float(where.sides[row]),
            "exact level": float(where.exact[row]),
            "level": names[where.levels[row]],
            **{f"anchors {name}": int(number) for name, number in zip(names, counts[row], strict=True)},
            "ignored anchors": int(between[row]),
            "best IoU": float(match.best_iou[row]),
            "anchors say": match.kinds[row],
        }
        for row, label in enumerate(target["labels"].tolist())
    ]
    return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="object"))


def _levels(
    letter: str,
    maps: Sequence[Tensor],
    image: tuple[int, int],
    inside: tuple[int, int],
    padded: tuple[int, int],
    counts: Sequence[int],
) -> tuple[Level, ...]:
    """The maps [1, C, h, w], each of twice the stride of the one before.

    Args:
        image, inside, padded: height and width of the image, of what the network sees of it, and of its whole input.
    """
    finest = round(math.log2(padded[0] / maps[0].shape[-2]))
    covers = tuple(whole * pixels / part for whole, pixels, part in zip(padded, image, inside, strict=True))
    out = []
    for place, (level, count) in enumerate(zip(maps, counts, strict=True), start=finest):
        energy = level[0].float().square().mean(dim=0).sqrt().cpu()
        shape = tuple(side * 2**place / whole for side, whole in zip(energy.shape, padded, strict=True))
        reach = (covers[0] * shape[0], covers[1] * shape[1])
        out.append(Level(f"{letter}{place}", 2**place, energy, reach, count))
    return tuple(out)


def _kind(learned: bool, matched: bool, best_iou: float, positive_iou: float) -> str:
    if not learned:
        return LEFT_OUT
    if not matched:
        return MISSED
    return MATCHED if best_iou >= positive_iou else BEST_ONLY
