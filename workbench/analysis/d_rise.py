"""D-RISE: what a detection rests on, from the outside of the detector (Petsiuk et al., CVPR 2021).

The image is seen through random masks, and the map of a detection is the mean of the masks, weighted by how much like
it the most similar detection of each masked image is. The similarity of two detections is the product of
the IoU of their boxes, the cosine of their vectors of class scores, and the objectness. All detections of an image
are explained from the same masked images, so that several cost as much as one.

| a detector gives | agreement of the classes | certainty |
|---|---|---|
| vectors of class scores and objectness | cosine | objectness |
| vectors of class scores | cosine | - |
| a class and a score | 1 for the same class, else 0 | the score, in place of the objectness |

The third row is ours: most detectors give no more than that, and without the score a masked image in which the object
is barely found would count as much as the clean one. `settings["similarity"]` says which it was. A target without a
vector, such as a true object, is certain of its class, as in the paper.

Where we depart: the paper compares with all proposals, here it is what `detect` gives, after its threshold and its
suppression of doubles, and the vectors have background as well, where a detector is unsure. Of the weighted mean the
same mean with all weights equal is taken off, so that 0 says "not needed" and what is below "in the way", and each
pixel's mean is over the masks in which it is seen and not over p N masks: the expectation is the same up to a
constant, and the noise of few masks is less (see `docs/results.md`).

It is slow (a pass of the detector for each mask) and its cells are coarse: it says which part counts, not which
stroke.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou

from workbench.analysis.explaining.grid_masks import GridMasks, Masking
from workbench.analysis.explaining.looking import finder
from workbench.analysis.saliency import Saliency, check_asked
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.types import CLASS_SCORES, OBJECTNESS, Detections

METHOD = "d-rise"
MASKS = 1000  #: unless said otherwise


class _Weighted:
    """Sums over the masks so far, of N detections."""

    def __init__(self, number: int, size: tuple[int, int]):
        self.size, self.count = size, 0
        self._sums = torch.zeros(number + 1, size[0] * size[1])  # of similarity × mask; the last row of masks alone
        self._similar = torch.zeros(number, dtype=torch.float64)

    def add(self, masks: Tensor, similar: Tensor) -> None:
        """Take in masks [B, H, W] and similarities [B, N]."""
        weights = torch.cat([similar, torch.ones(len(similar), 1)], dim=1)
        self._sums.addmm_(weights.t(), masks.flatten(1))
        self._similar += similar.double().sum(dim=0)
        self.count += len(masks)

    def maps(self) -> Tensor:
        """[N, H, W] float32: the mean similarity where a pixel is seen, less that of all masks."""
        seen = self._sums[:-1] / self._sums[-1].clamp(min=1e-6)
        return (seen - (self._similar / self.count)[:, None]).float().view(-1, *self.size)


def similarity(targets: Detections, found: Detections) -> Tensor:
    """How much like each of N targets the most similar of the detections of another image is, [N] in 0..1.

    See the module for what it is made of, by what the detections have in their extras.
    """
    if not len(found):
        return torch.zeros(len(targets))
    found = found.to("cpu")
    alike = box_iou(targets.boxes.float(), found.boxes.float()) * _same_class(targets, found)
    if OBJECTNESS in found.extras:
        alike = alike * found.extras[OBJECTNESS].float()
    elif CLASS_SCORES not in found.extras:
        alike = alike * found.scores.float()
    return alike.amax(dim=1)


def similarity_name(found: Detections) -> str:
    """What the similarity to such detections is made of, in words."""
    agreement = "cosine of class scores" if CLASS_SCORES in found.extras else "same class"
    if OBJECTNESS in found.extras:
        return f"IoU × {agreement} × objectness"
    return f"IoU × {agreement}" + ("" if CLASS_SCORES in found.extras else " × score")


def d_rise_steps(
    detector: DetectorLike, image: Tensor, detections: Detections, **options: Any
) -> Iterator[list[Saliency]]:
    """The maps of `d_rise` as they grow, one list after each batch of masked images.

    Whoever has seen enough stops asking.

    Args:
        options: those of `d_rise`, but for `progress`.
    """
    growing = _Growing(detector, image, detections, **options)
    while growing.go_on():
        yield growing.maps()


def d_rise(
    detector: DetectorLike,
    image: Tensor,
    detections: Detections,
    *,
    masks: int | None = MASKS,
    seconds: float | None = None,
    grid: int | tuple[int, int] = 16,
    keep: float = 0.5,
    fill: str = "black",
    batch_size: int = 16,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> list[Saliency]:
    """What each detection rests on, by masking the image at random; see the module.

    The maps are the same for the same seed and number of masks, whatever the size of the batches. A detector that
    needs proposals gets those of selective search in the clean image.

    Args:
        detector: anything with `detect`.
        image: uint8 [3, H, W].
        detections: what to explain: of this detector, or boxes and labels of your own.
        masks: how many masked images are looked at; the paper has 5,000. None: as many as `seconds` allow.
        seconds: go on no longer than that, but for at least one batch.
        grid: cells of a mask along each side, or (down, across).
        keep: p, the chance of a cell to be seen.
        fill: what is seen of masked parts: "black" (the paper's), "mean" or "blur".
        batch_size: masked images at once.
        seed: of the masks.
        progress: called with the share of the budget that is spent, 0..1.

    Raises:
        DataError: a budget, grid, share, fill or batch size that makes no sense, or what `check_asked` finds.

    Example:
        >>> image, _ = wb.load_data("digit-scenes", split="test")[7]
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> found = detector.detect([image])[0].above(0.9)
        >>> maps = d_rise(detector, image, found, masks=64)
        >>> len(maps) == len(found), maps[0].map.shape, maps[0].points_at()
        (True, torch.Size([128, 128]), True)
    """
    options: dict[str, Any] = {"masks": masks, "seconds": seconds, "grid": grid, "keep": keep, "fill": fill}
    growing = _Growing(detector, image, detections, **options, batch_size=batch_size, seed=seed)
    while growing.go_on():
        if progress is not None:
            progress(growing.done)
    return growing.maps()


class _Growing:
    """The masks so far, and what they gave."""

    def __init__(
        self,
        detector: DetectorLike,
        image: Tensor,
        detections: Detections,
        *,
        masks: int | None = MASKS,
        seconds: float | None = None,
        grid: int | tuple[int, int] = 16,
        keep: float = 0.5,
        fill: str = "black",
        batch_size: int = 16,
        seed: int = 0,
    ):
        _check_budget(masks, seconds, batch_size)
        self._look = finder(as_detector(detector), image)
        self._targets = check_asked(image, detections, len(as_detector(detector).classes))
        height, width = image.shape[-2:]
        self._cells = (grid, grid) if isinstance(grid, int) else (int(grid[0]), int(grid[1]))
        self._masks, self._under = GridMasks((height, width), self._cells, keep, seed), Masking(image, fill)
        self._drawn = self._masks.drawn()
        self._most, self._seconds, self._batch_size = masks, seconds, batch_size
        self._settings: dict[str, Any] = {"grid": self._cells, "keep": keep, "fill": fill, "seed": seed}
        self._sums, self._buffer = _Weighted(len(self._targets), (height, width)), torch.empty(0)
        self._start, self._spent = time.monotonic(), 0.0

    @property
    def done(self) -> float:
        """Share of the budget that is spent, 0..1: of masks or of time, whichever runs out first."""
        of_masks = 0.0 if self._most is None else self._sums.count / self._most
        of_time = 0.0 if self._seconds is None else self._spent / self._seconds
        return min(1.0, max(of_masks, of_time))

    def go_on(self) -> bool:
        """Look at one batch more, unless the budget is spent."""
        if self._sums.count and self.done >= 1:
            return False
        left = self._batch_size if self._most is None else min(self._batch_size, self._most - self._sums.count)
        if len(self._buffer) < left:
            self._buffer = torch.empty(left, *self._sums.size)
        masks = self._masks.batch(islice(self._drawn, left), self._buffer)
        found = self._look(list(self._under(masks)))
        similar = torch.stack([similarity(self._targets, one) for one in found])
        self._settings["similarity"] = similarity_name(found[0])
        self._sums.add(masks, similar)
        self._spent = time.monotonic() - self._start
        return True

    def maps(self) -> list[Saliency]:
        """One for each detection."""
        settings = {**self._settings, "masks": self._sums.count}
        rows = zip(self._sums.maps(), self._targets.boxes, self._targets.labels, self._targets.scores, strict=True)
        return [
            Saliency(map_, METHOD, box, int(label), float(score), settings, done=self.done)
            for map_, box, label, score in rows
        ]


def _same_class(targets: Detections, found: Detections) -> Tensor:
    """Agreement of the classes of targets [N] and detections [M], [N, M] in 0..1."""
    if CLASS_SCORES not in found.extras:
        return (targets.labels[:, None] == found.labels).float()
    scores = found.extras[CLASS_SCORES][:, 1:].float()  # without background
    own = targets.extras.get(CLASS_SCORES)
    own = F.one_hot(targets.labels - 1, scores.shape[1]) if own is None else own[:, 1:]
    return F.normalize(own.float(), dim=1) @ F.normalize(scores, dim=1).t()


def _check_budget(masks: int | None, seconds: float | None, batch_size: int) -> None:
    if masks is None and seconds is None:
        raise DataError("masks and seconds are both None; say how many masks, or how long, or both")
    if masks is not None and masks < 1:
        raise DataError(f"masks is {masks}; expected at least 1")
    if seconds is not None and not 0 < seconds < math.inf:
        raise DataError(f"seconds is {seconds}; expected more than 0")
    if batch_size < 1:
        raise DataError(f"batch_size is {batch_size}; expected at least 1")
