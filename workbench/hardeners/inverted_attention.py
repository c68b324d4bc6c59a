"""Inverted Attention (Huang et al. 2019, "Improving Object Detection with Inverted Attention").

For an RoI with features F and the gradient G of its own class's score, w = mean of G over cells and the attention
is M = sum_c w_c F_c (eq. 1; Grad-CAM without the rectifier). The cells that matter most are zeroed, so the head
must find the class from the others (eqs. 2 to 4 and 7). No parameters, nothing at test time.

| | paper | released (the group's weakly supervised CASD code) |
|---|---|---|
| inversion | soft: the top 33 % of cells | 16 random ones of the top 25 of 49 cells |
| orientation | both: only in the top 80 % of channels | spatial: in all channels |
| which RoIs | 20 %, "which" is not said; here random | 1/6 of the foreground and 1/18 of the background, those |
| | | whose own-class probability falls most, and by at least 0.02 |

Where the paper is silent: the score is the logit of the RoI's label (for background RoIs the background logit).
"Overturn" keeps each cell with weight 1 - M scaled to 0..1. Gradients are computed only for the RoIs that are
masked; for a head of two linear layers in closed form (`TwoLayerScore`).

It does not always help. On digit scenes and on `parts` (five seeds each) it changes AP by no more than
chance does, while occluders in the training images add 0.07: zeroed features cost even a plain head little, and an
occluder also adds evidence. Besides, the masked channels depend on the label, so a head can learn to read the class
off the mask; and for a head with weights of its own for every cell M says little about what a cell is worth.
`score_of: prediction` and `cam: hires-cam` (Draelos and Carin 2020) are ours against these two; strongly used they do
harm. All of it is measured in the notebook 01_inverted_attention.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from workbench.hardeners.base import Decision, Hardener, MaskDecision, draw_rows, uniform
from workbench.hardeners.random_dropout import random_cells
from workbench.options import Offset, Share
from workbench.registry import HARDENERS
from workbench.types import RoIBatch

Strategy = Literal["soft", "hard", "overturn", "random", "sampled"]
INVERSIONS = get_args(Strategy)
Orientation = Literal["both", "spatial", "channel"]
ORIENTATIONS = get_args(Orientation)
Choice = Literal["random", "hardest"]
Cam = Literal["grad-cam", "hires-cam"]
ScoreOf = Literal["label", "prediction"]


class Attention(NamedTuple):
    """Gradient-guided attention of some RoIs."""

    map: Tensor  #: [R, h, w], M of eq. 1
    weights: Tensor  #: [R, C], w of eq. 1: how sensitive the score is to each channel


def attention(features: Tensor, weights: Tensor) -> Attention:
    """M = sum_c w_c F_c (eq. 1) of features [R, C, h, w] and pooled gradients [R, C]."""
    features, weights = features.float(), weights.float()
    return Attention(torch.einsum("rc,rchw->rhw", weights, features), weights)


def attention_by_cell(features: Tensor, gradient: Tensor) -> Attention:
    """M = sum_c G_c F_c, cell by cell (HiResCAM), of features and their gradient G [R, C, h, w]."""
    features, gradient = features.float(), gradient.float()
    return Attention((gradient * features).sum(1), gradient.mean(dim=(2, 3)))


def normalise(maps: Tensor) -> Tensor:
    """Each map [R, h, w] scaled to 0..1; a constant map becomes 0."""
    flat = maps.flatten(1)
    low, high = flat.min(1).values[:, None, None], flat.max(1).values[:, None, None]
    return (maps - low) / (high - low).clamp(min=1e-12)


def drop_top(values: Tensor, drop: float) -> Tensor:
    """1 where kept, 0 for the nearest whole number of `drop` * n largest of values [R, n]."""
    kept = torch.ones_like(values)
    return kept.scatter_(1, values.topk(round(drop * values.shape[1]), dim=1).indices, 0.0)


def drop_sampled(values: Tensor, drop: float, pool: float, generator: torch.Generator) -> Tensor:
    """As `drop_top`, but the dropped ones are drawn at random from the top `pool` * n."""
    count = values.shape[1]
    top = values.topk(round(pool * count), dim=1).indices
    draws = uniform(tuple(top.shape), values, generator)
    chosen = top.gather(1, draws.topk(min(round(drop * count), top.shape[1]), dim=1).indices)
    return torch.ones_like(values).scatter_(1, chosen, 0.0)


def invert_spatial(
    maps: Tensor,
    inversion: str,
    generator: torch.Generator,
    *,
    drop_cells: float = 0.33,
    threshold: float = 0.5,
    pool_cells: float = 25 / 49,
) -> Tensor:
    """Inverted attention a^s (eq. 2), [R, 1, h, w] in 0..1, from maps [R, h, w].

    Args:
        inversion: soft (drop the top `drop_cells`), hard (drop normalised attention above `threshold`), overturn
            (1 - normalised attention), random (drop `drop_cells` anywhere), sampled (drop `drop_cells` out of the
            top `pool_cells`).
    """
    rois, height, width = maps.shape
    if inversion == "overturn":
        return (1 - normalise(maps))[:, None]
    if inversion == "hard":
        return (normalise(maps) <= threshold).float()[:, None]
    if inversion == "random":
        return random_cells(rois, height, width, drop_cells, maps, generator)
    flat = maps.flatten(1)
    if inversion == "sampled":
        kept = drop_sampled(flat, drop_cells, pool_cells, generator)
    else:
        kept = drop_top(flat, drop_cells)
    return kept.view(rois, 1, height, width)


def combine(spatial: Tensor, weights: Tensor, orientation: str, drop_channels: float) -> Tensor:
    """A of eq. 4 from a^s [R, 1, h, w] and channel weights [R, C].

    Returns:
        [R, 1, h, w] for "spatial", else [R, C, h, w].
    """
    if orientation == "spatial":
        return spatial
    channel = drop_top(weights, drop_channels)[:, :, None, None]
    if orientation == "channel":
        return channel.expand(-1, -1, *spatial.shape[2:])
    return torch.where(channel == 0, spatial, 1.0)


@HARDENERS.register("inverted-attention")
class InvertedAttention(Hardener):
    """Zero the cells that the head relies on, in the channels that it relies on.

    Args:
        inversion: one of `INVERSIONS`, see `invert_spatial`.
        orientation: one of `ORIENTATIONS`; "both" masks only sensitive channels at sensitive cells (eq. 4).
        share: fraction of RoIs that are masked.
        background_share: the same for background RoIs where it differs; None treats all RoIs alike.
        selection: "random", or "hardest": the RoIs whose own-class probability falls most under their mask.
        margin: with "hardest", only RoIs whose probability falls by at least this.
        drop_cells, drop_channels: fractions dropped by soft thresholds (T_s, T_c).
        threshold: of the "hard" inversion, on attention scaled to 0..1.
        pool_cells: of the "sampled" inversion, the fraction of cells that can be dropped.
        cam: "grad-cam" (eq. 1), or "hires-cam", which weights every cell with its own gradient.
        score_of: whose logit the attention explains: the RoI's "label", or the head's own "prediction".

    Raises:
        RecipeError: an option outside its range.

    Example:
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> images, targets = zip(*wb.load_data("digit-scenes", length=2))
        >>> plain = detector.losses(images, targets, torch.Generator().manual_seed(0))
        >>> detector.take_hardener(InvertedAttention(share=1.0))
        >>> hardened = detector.losses(images, targets, torch.Generator().manual_seed(0))
        >>> bool(hardened["classifier"] > plain["classifier"])
        True
    """

    mixed = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {},  # sec. 4.1.2
        "released": {
            "inversion": "sampled",
            "orientation": "spatial",
            "share": 1 / 6,
            "background_share": 1 / 18,
            "selection": "hardest",
            "margin": 0.02,
            "drop_cells": 16 / 49,
            "pool_cells": 25 / 49,
        },
    }

    def __init__(
        self,
        *,
        inversion: Strategy = "soft",
        orientation: Orientation = "both",
        share: Share = 0.2,
        background_share: Share | None = None,
        selection: Choice = "random",
        margin: Offset = 0.0,
        drop_cells: Share = 0.33,
        drop_channels: Share = 0.8,
        threshold: Share = 0.5,
        pool_cells: Share = 25 / 49,
        cam: Cam = "grad-cam",
        score_of: ScoreOf = "label",
    ):
        super().__init__()
        self.inversion = inversion
        self.orientation = orientation
        self.share = share
        self.background_share = background_share
        self.selection = selection
        self.margin = margin
        self.drop_cells = drop_cells
        self.drop_channels = drop_channels
        self.threshold = threshold
        self.pool_cells = pool_cells
        self.cam = cam
        self.score_of = score_of

    def masks(self, batch: RoIBatch, rows: Tensor) -> Tensor:
        """A [r, 1 or C, h, w] for the RoIs at `rows` [r], all of them masked."""
        found = self._attend(batch, rows)
        spatial = invert_spatial(
            found.map,
            self.inversion,
            batch.generator,
            drop_cells=self.drop_cells,
            threshold=self.threshold,
            pool_cells=self.pool_cells,
        )
        return combine(spatial, found.weights, self.orientation, self.drop_channels)

    def _attend(self, batch: RoIBatch, rows: Tensor) -> Attention:
        features, labels = batch.features[rows], batch.labels[rows]
        with torch.no_grad():
            if self.score_of == "prediction":
                labels = batch.score(features).argmax(1)
            if self.cam == "hires-cam":
                return attention_by_cell(features, batch.score.gradient(features, labels))
            return attention(features, batch.score.pooled_gradient(features, labels))

    def decide(self, batch: RoIBatch) -> Decision:
        """Masks [R, 1 or C, h, w]; RoIs that are not chosen keep everything."""
        groups = self._groups(batch.labels)
        if self.selection == "hardest":
            rows, masks = self._hardest(batch, groups)
        else:
            rows = torch.cat([draw_rows(group, share, batch.generator) for group, share in groups])
            masks = self.masks(batch, rows) if len(rows) else None
        if masks is None or len(rows) == 0:
            return Decision()
        return MaskDecision(masks, rows)

    def _groups(self, labels: Tensor) -> list[tuple[Tensor, float]]:
        rows = torch.arange(len(labels), device=labels.device)
        if self.background_share is None:
            return [(rows, self.share)]
        return [(rows[labels > 0], self.share), (rows[labels == 0], self.background_share)]

    @torch.no_grad()
    def _hardest(self, batch: RoIBatch, groups: list[tuple[Tensor, float]]) -> tuple[Tensor, Tensor]:
        """The RoIs whose own-class probability falls most under their mask, and those masks."""
        everything = torch.arange(len(batch.labels), device=batch.labels.device)
        masks = self.masks(batch, everything)
        before = batch.score.true_class(batch.features, batch.labels)
        after = batch.score.true_class(batch.features * masks.to(batch.features.dtype), batch.labels)
        fall = before - after
        rows = []
        for group, share in groups:
            best = group[fall[group].argsort(descending=True)[: round(share * len(group))]]
            rows.append(best[fall[best] >= self.margin])
        chosen = torch.cat(rows).sort().values
        return chosen, masks[chosen]
