"""Whether a detector really rests on what a map says: deletion and insertion (Petsiuk et al., RISE, 2018).

Deletion takes the pixels of an image away, those of the highest values first; a good map makes the score fall early,
so that the area under the curve is small. Insertion puts them into a blurred image; a good map makes the score rise
early. Neither looks at where the object is. They can only be judged against something: a random order of patches of
the image, and the box of the detection from its middle outwards, which knows nothing of the detector (`baselines`).

| measure | the score of one detection |
|---|---|
| "score" | probability of its class at its box (`score_boxes`), for detectors that can say it |
| "similarity" | the similarity of the most similar detection, as D-RISE has it; for any detector |

Where we depart: the curves have points at the shares of pixels (i / steps)², close together where small objects are
decided; the area is that under straight lines between them, over all pixels as published. Pixels of the same value
come in a random order, since a map that is 0 in most places must not sweep the image from the top.

What it cannot say: pixels that are taken away leave edges that no photograph has, and all of the fall is put down to
what is missing. A curve under noise (every pixel by itself) falls faster than any map's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.analysis.d_rise import similarity
from workbench.analysis.explaining.grid_masks import Masking
from workbench.analysis.explaining.looking import finder, scorer
from workbench.analysis.saliency import Saliency
from workbench.detectors.base import ScoresBoxes
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError

MEASURES = ("score", "similarity")
BASELINES = ("box", "random")
PATCHES = 16  #: of a random order, along the longer side of the image


@dataclass(frozen=True)
class SaliencyCurves:
    """How the score of one detection follows the pixels of an image; all tensors float32 on the CPU."""

    shares: Tensor  #: [S + 1] of all pixels, 0..1
    deletion: Tensor  #: [S + 1] scores with these taken away
    insertion: Tensor  #: [S + 1] scores with these put into the blurred image
    measure: str  #: one of `MEASURES`

    @property
    def deletion_area(self) -> float:
        """Area under the deletion curve, 0..1; the less, the better the map."""
        return float(torch.trapezoid(self.deletion, self.shares))

    @property
    def insertion_area(self) -> float:
        """Area under the insertion curve, 0..1; the more, the better the map."""
        return float(torch.trapezoid(self.insertion, self.shares))


def saliency_curves(
    detector: DetectorLike,
    image: Tensor,
    saliency: Saliency,
    *,
    steps: int = 20,
    measure: str | None = None,
    fill: str = "mean",
    start: str = "blur",
    batch_size: int = 16,
    seed: int = 0,
) -> SaliencyCurves:
    """Deletion and insertion by a map; see the module. Each costs a pass of the detector for each step.

    Args:
        detector: that the map is of, or another one.
        image: uint8 [3, H, W], that of the map.
        saliency: of the detection whose score is asked for.
        steps: S, points of a curve besides its start.
        measure: one of `MEASURES`; None: "score" where the detector can say it.
        fill: what deletion leaves: "black", "mean" or "blur".
        start: what insertion starts from.
        batch_size: images at once.
        seed: of the order of pixels of the same value.

    Raises:
        DataError: an unknown measure or fill, no step, or a map that is not of this image.
        WorkbenchError: the detector cannot say what is measured.

    Example:
        >>> from workbench.analysis.explain import explain
        >>> image, _ = wb.load_data("digit-scenes", split="test")[7]
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> best = explain(detector, image, method="hires-cam")[0]
        >>> curves = saliency_curves(detector, image, best)
        >>> by_chance = saliency_curves(detector, image, baselines(best)["random"])
        >>> curves.deletion_area < by_chance.deletion_area, curves.insertion_area > by_chance.insertion_area
        (True, True)
    """
    detector = as_detector(detector)
    measure = measure or ("score" if isinstance(detector, ScoresBoxes) else "similarity")
    if measure not in MEASURES or steps < 1:
        raise DataError(
            f"measure {measure!r} and steps {steps}; expected one of {', '.join(MEASURES)}, and at least 1"
        )
    if saliency.map.shape != image.shape[-2:]:
        size, own = tuple(image.shape[-2:]), tuple(saliency.map.shape)
        raise DataError(f"the map is {own} and the image {size} pixels; give the image that the map is of")
    ask = _asking(detector, image, saliency, measure)
    before = pixel_ranks(saliency.map, seed)
    shares = torch.linspace(0, 1, steps + 1).square()
    curves = []
    for ground, keeps in ((fill, torch.ge), (start, torch.lt)):
        under, scores = Masking(image, ground), []
        for some in shares.split(batch_size):
            seen = keeps(before, some[:, None, None]).float()
            scores.append(ask(list(under(seen))))
        curves.append(torch.cat(scores))
    return SaliencyCurves(shares, curves[0], curves[1], measure)


def pixel_ranks(values: Tensor, seed: int = 0) -> Tensor:
    """For each pixel the share of pixels that come before it, highest values first: [H, W] float32 in [0, 1)."""
    flat = values.flatten()
    shuffled = torch.randperm(len(flat), generator=torch.Generator().manual_seed(seed))
    order = shuffled[flat[shuffled].argsort(descending=True, stable=True)]
    ranks = torch.empty(len(flat))
    ranks[order] = torch.arange(len(flat), dtype=torch.float64).div(len(flat)).float()
    return ranks.view(values.shape)


def baselines(saliency: Saliency, seed: int = 0) -> dict[str, Saliency]:
    """What a map must beat, as maps of the same detection, by name.

    "box" is highest in the middle of the box and falls in all directions, to 0 at its border and below outside;
    "random" has a random value in each of 16 patches along the longer side of the image.
    """
    height, width = saliency.map.shape
    x1, y1, x2, y2 = saliency.box.tolist()
    y, x = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    away = torch.maximum(
        ((2 * y - y1 - y2) / (y2 - y1)).abs()[:, None].expand(height, width),
        ((2 * x - x1 - x2) / (x2 - x1)).abs()[None].expand(height, width),
    )
    patch = max(height, width) / PATCHES
    cells = (max(1, round(height / patch)), max(1, round(width / patch)))
    drawn = torch.rand(1, 1, *cells, generator=torch.Generator().manual_seed(seed))
    chance = F.interpolate(drawn, size=(height, width), mode="nearest-exact")[0, 0]
    named = {"box": 1 - away, "random": chance}
    return {name: replace(saliency, map=one, method=name, settings={}, levels=()) for name, one in named.items()}


def _asking(
    detector: DetectorLike, image: Tensor, saliency: Saliency, measure: str
) -> Callable[[Sequence[Tensor]], Tensor]:
    """What gives the score [B] of the detection in each of B images."""
    detector = as_detector(detector)
    if measure == "score":
        return scorer(detector, saliency.box, saliency.label)
    find, target = finder(detector, image), saliency.detection
    return lambda images: torch.cat([similarity(target, one) for one in find(images)])
