"""Where a detector's head looks when it names an object, and what is left when it may not look there.

Attention is that of Inverted Attention (Huang et al. 2019, eq. 1): for a region with pooled features F and a class,
w_c = mean over cells of d logit / d F_c and M = sum_c w_c F_c. The class can be any, not only the true one: M
answers "what speaks for this class here". The score is the softmax probability that the head gives to that class.

Where we depart: the paper shows attention of RoIs that training had sampled; here the box is any box. M is kept with
its sign (Grad-CAM would cut it at 0): below 0 a cell speaks against the class.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from workbench.data import Dataset
from workbench.detectors.base import Detector, HasRoIs, asked, evaluating
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.hardeners.inverted_attention import (
    INVERSIONS,
    ORIENTATIONS,
    Attention,
    InvertedAttention,
    attention,
    combine,
    invert_spatial,
)
from workbench.types import RoIBatch, Score, check_label, learnable

STRATEGIES = ("random", "overturn", "hard", "soft")  #: the four of the paper's Fig. 6, in its order
PATCH = 224  #: pixels, side of the patch that maps are shown on


@dataclass(frozen=True)
class RoIAttention:
    """What a head makes of one region, asked about one class; all tensors on the CPU."""

    map: Tensor  #: [h, w] float32, M of eq. 1; below 0 where a cell speaks against the class
    weights: Tensor  #: [C] float32, w of eq. 1: how sensitive the class's logit is to each channel
    features: Tensor  #: [C, h, w] float32, what the head is given
    channels: Tensor  #: [k] int64, the channels to show: those of the largest weights
    patch: Tensor  #: [3, 224, 224] uint8, exactly the box; small images keep crisp pixels
    box: Tensor  #: [4] float32, xyxy pixels of the image
    label: int  #: in 0..K, the class that was asked about; 0 is background
    probabilities: Tensor  #: [K+1] float32, of all classes; background first

    @property
    def score(self) -> float:
        """Probability of `label`, 0..1."""
        return float(self.probabilities[self.label])

    @property
    def channel_maps(self) -> Tensor:
        """What each of `channels` adds to the map, w_c F_c, [k, h, w]."""
        return self.weights[self.channels, None, None] * self.features[self.channels]

    @property
    def spread(self) -> float:
        """How evenly the attention covers the region; see `spread`."""
        return float(spread(self.map[None])[0])


@dataclass(frozen=True)
class Inversion:
    """A region whose attention was inverted: the mask, and what the head makes of what is left."""

    before: RoIAttention
    mask: Tensor  #: [1 or C, h, w] float32 in 0..1, weight with which each element is kept (A of eqs. 2 to 4)
    after: RoIAttention  #: of the masked features, with their own gradient; shows the channels of `before`

    @property
    def kept(self) -> Tensor:
        """The mask averaged over channels, [h, w] in 0..1."""
        return self.mask.mean(dim=0)

    @property
    def kept_channels(self) -> Tensor:
        """The mask in each channel of `before.channels`, [k, h, w]."""
        return self.mask.expand(len(self.before.weights), -1, -1)[self.before.channels]


def roi_attention(
    detector: DetectorLike, image: Tensor, box: Tensor, label: int | None = None, *, channels: int = 4
) -> RoIAttention:
    """Attention of the detector's head at one box.

    Args:
        detector: any with `roi_features` and `head_score`.
        image: [3, H, W], uint8 or float in 0..1.
        box: [4], xyxy pixels; the part outside the image is cut off.
        label: the class to explain, 0..K; None: the most probable one that is not background.
        channels: how many of the most sensitive channels to keep for showing.

    Raises:
        DataError: a label outside 0..K, or a box that is empty or outside the image.
    """
    detector = as_detector(detector)
    box = region(detector, image, box, label)
    pooled = asked(detector, HasRoIs).roi_features([image], [box[None]])
    with evaluating(detector):
        head = asked(detector, HasRoIs).head_score()
        probabilities = F.softmax(head(pooled).float(), dim=1)
        label = int(probabilities[0, 1:].argmax()) + 1 if label is None else label
        found = _attend(head, pooled, torch.tensor([label], device=pooled.device))
    return RoIAttention(
        map=found.map[0].cpu(),
        weights=found.weights[0].cpu(),
        features=pooled[0].float().cpu(),
        channels=found.weights[0].topk(min(channels, pooled.shape[1])).indices.cpu(),
        patch=crop(image, box),
        box=box,
        label=label,
        probabilities=probabilities[0].cpu(),
    )


def inversions(
    detector: DetectorLike,
    seen: RoIAttention,
    *,
    strategies: Sequence[str] = STRATEGIES,
    orientation: str = "both",
    drop_cells: float = 0.33,
    drop_channels: float = 0.8,
    threshold: float = 0.5,
    generator: torch.Generator | None = None,
) -> dict[str, Inversion]:
    """The region under each inversion strategy (Fig. 6), by the strategy's name.

    Args:
        detector: the one that `seen` is from.
        strategies: names from `INVERSIONS`.
        orientation: "both" (cells only in sensitive channels), "spatial" (cells in all channels) or "channel"
            (whole channels; then all strategies are the same).
        drop_cells, drop_channels: T_s and T_c as the fractions that they drop.
        threshold: of "hard", on attention scaled to 0..1.
        generator: of the random ones; None: the same cells every time.

    Raises:
        DataError: a name that does not exist or a fraction outside 0..1.
    """
    detector = as_detector(detector)
    fractions = {"drop_cells": drop_cells, "drop_channels": drop_channels, "threshold": threshold}
    _check(strategies, orientation, fractions)
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    options = {"drop_cells": drop_cells, "threshold": threshold}
    spatial = [invert_spatial(seen.map[None], name, generator, **options) for name in strategies]
    masks = [combine(one, seen.weights[None], orientation, drop_channels)[0] for one in spatial]
    features = torch.stack([seen.features * mask for mask in masks])
    with evaluating(detector):
        head, moved = asked(detector, HasRoIs).head_score(), features.to(detector.device)
        found = _attend(head, moved, torch.full((len(masks),), seen.label, device=moved.device))
        probabilities = F.softmax(head(moved).float(), dim=1).cpu()
    result = {}
    for row, (name, mask) in enumerate(zip(strategies, masks, strict=True)):
        own = {"map": found.map[row].cpu(), "weights": found.weights[row].cpu(), "features": features[row]}
        result[name] = Inversion(seen, mask, replace(seen, **own, probabilities=probabilities[row]))
    return result


def masked_features(
    detector: DetectorLike,
    features: Tensor,
    labels: Tensor,
    *,
    generator: torch.Generator | None = None,
    **options: Any,
) -> Tensor:
    """Pooled features as Inverted Attention leaves them when it masks every object: what a hardened head trains on.

    Args:
        detector: any with `head_score`, whose head's attention is inverted.
        features: [R, C, h, w], as `roi_features` gives them.
        labels: [R] int64 in 0..K, the class of each RoI, whose attention it is.
        generator: of what is random; None: the same every time.
        options: of `InvertedAttention`, such as `orientation`, but for `share`, which is 1. `background_share` is 0
            unless it is given: RoIs of label 0 stay as they are.

    Returns:
        [R, C, h, w] float32.

    Raises:
        WorkbenchError: the detector has no RoIs.
        RecipeError: an option with a wrong value.
    """
    detector = as_detector(detector)
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    head, hardener = asked(detector, HasRoIs), InvertedAttention(share=1.0, **{"background_share": 0.0} | options)
    with evaluating(detector):
        batch = RoIBatch(features, labels, torch.zeros_like(labels), head.head_score(), generator)
        return hardener(batch).features


def spread(maps: Tensor) -> Tensor:
    """How evenly attention [R, h, w] covers its cells: 0 all in one cell, 1 the same everywhere; [R] float32.

    It is the entropy of the positive part scaled to sum 1, as a fraction of the largest possible:
    -sum_i p_i log p_i / log(h w) with p_i = max(M_i, 0) / sum_j max(M_j, 0). So (h w)^spread is an effective number
    of cells. NaN where no cell is positive. It does not depend on the scale of M, so detectors can be compared.
    """
    positive = maps.flatten(1).float().clamp(min=0)
    total = positive.sum(dim=1, keepdim=True)
    share = positive / total
    entropy = -torch.special.xlogy(share, share).sum(dim=1)
    return entropy / math.log(max(2, positive.shape[1]))


def spread_table(detector: DetectorLike, data: Dataset, indices: Iterable[int] | None = None) -> pd.DataFrame:
    """Spread of the attention and score for the true class of every object at its true box, one row each.

    Columns: image, object, label, occlusion (NaN where unknown), score, spread. Crowds and difficult objects are left
    out. For comparing detectors: the mean of the difference in `spread` between two tables.

    Args:
        indices: positions of the images in `data`; None: all.
    """
    detector = as_detector(detector)
    rows: list[dict[str, float]] = []
    for index in range(len(data)) if indices is None else indices:
        image, target = data[index]
        objects = torch.where(learnable(target))[0]
        if len(objects) == 0:
            continue
        labels = target["labels"][objects].to(detector.device)
        pooled = asked(detector, HasRoIs).roi_features([image], [target["boxes"].as_subclass(Tensor)[objects]])
        with evaluating(detector):
            head = asked(detector, HasRoIs).head_score()
            spreads = spread(_attend(head, pooled, labels).map).tolist()
            scores = head.true_class(pooled, labels).tolist()
        occlusion = target.get("occlusion", torch.full((len(target["labels"]),), torch.nan))[objects].tolist()
        columns = zip(objects.tolist(), labels.tolist(), occlusion, scores, spreads, strict=True)
        names = ("object", "label", "occlusion", "score", "spread")
        rows += [{"image": index, **dict(zip(names, row, strict=True))} for row in columns]
    return pd.DataFrame(rows, columns=["image", "object", "label", "occlusion", "score", "spread"])


def cell_importance(head: Score, features: Tensor, labels: Tensor) -> Tensor:
    """How far the logit of each RoI's class falls when one cell is zeroed in all channels, [R, h, w].

    What attention stands for, measured: one pass of the head per cell.

    Args:
        features: [R, C, h, w].
        labels: [R], 0..K.
    """
    with torch.no_grad():
        own = head(features).gather(1, labels[:, None])[:, 0]
        falls = torch.zeros_like(features[:, 0])
        for y in range(features.shape[2]):
            for x in range(features.shape[3]):
                without = features.clone()
                without[:, :, y, x] = 0
                falls[:, y, x] = own - head(without).gather(1, labels[:, None])[:, 0]
    return falls


def map_correlation(maps: Tensor, others: Tensor) -> Tensor:
    """Pearson's correlation over the cells of each pair of maps [R, h, w]: [R] in -1..1, 0 for a constant map."""
    centred = [(m.flatten(1) - m.flatten(1).mean(1, keepdim=True)).float() for m in (maps, others)]
    return F.cosine_similarity(*centred, dim=1)


def crop(image: Tensor, box: Tensor, side: int = PATCH) -> Tensor:
    """Exactly a box [4] of an image [3, H, W], to the fraction of a pixel, as uint8 [3, side, side].

    Where it is enlarged pixels stay crisp squares, where it is shrunk they are averaged.
    """
    pixels = image.detach().as_subclass(Tensor).cpu()
    if pixels.is_floating_point():
        pixels = (pixels.clamp(0, 1) * 255).round().to(torch.uint8)
    picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    patch = picture.resize((side, side), Image.Resampling.BOX, box=tuple(box.tolist()))
    return torch.from_numpy(np.array(patch)).permute(2, 0, 1)


def _attend(head: Score, pooled: Tensor, labels: Tensor) -> Attention:
    """Attention of eq. 1 of pooled features [R, C, h, w], each RoI asked about its own label [R]."""
    return attention(pooled, head.pooled_gradient(pooled, labels))


def region(detector: Detector, image: Tensor, box: Tensor, label: int | None) -> Tensor:
    """The part of a box [4] inside the image, float32 on the CPU; at least a pixel wide and high.

    Raises:
        DataError: no such part, or a label that is outside 0..K of the detector.
    """
    if label is not None:
        check_label(label, len(detector.classes), least=0)
    height, width = image.shape[-2:]
    given = torch.as_tensor(box).as_subclass(Tensor).float().cpu().reshape(4)
    box = torch.minimum(given.clamp(min=0), given.new_tensor([width, height, width, height]))
    if not torch.isfinite(given).all() or (box[2:] - box[:2] < 1).any():
        raise DataError(f"box {given.tolist()} has no pixel inside the image of {width} × {height}; expected xyxy")
    return box


def _check(strategies: Sequence[str], orientation: str, fractions: dict[str, float]) -> None:
    for value, allowed in [*((name, INVERSIONS) for name in strategies), (orientation, ORIENTATIONS)]:
        if value not in allowed:
            raise DataError(f"{value!r} does not exist; choose from {', '.join(allowed)}")
    for name, fraction in fractions.items():
        if not 0 <= fraction <= 1:
            raise DataError(f"{name} is {fraction}; expected a fraction in 0..1")
