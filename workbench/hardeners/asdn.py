"""Adversarial Spatial Dropout Network, ASDN (A-Fast-RCNN, Wang et al. 2017, sec. 4.2.1).

A network A looks at the pooled features X of a foreground RoI and predicts for each of the d x d cells how much the
detector would miss it; some of the cells it believes in are zeroed in all channels. It learns in two stages:

1. *Pre-training* (a stage `train: hardener`): the exhaustive search finds the window of highest loss, and A learns
   that mask M̃ by binary cross entropy (eq. 1). The detector is frozen and sees untouched features.
2. *Joint* (`train: both`): masks are sampled from A's heat map (drop some of its top cells at random), the detector
   learns on what is left, and the masks that lowered the probability of the true class significantly become
   the targets of A, by the same loss. A stage `train: detector` uses A as it is ("fixed ASDN", Table 2).

| | paper | released |
|---|---|---|
| A | fc6 and fc7 of the head, fc to d x d, sigmoid | four 3 x 3 x 256 convolutions with ReLU, 3 x 3 to 1, sigmoid |
| windows of the search | all (stride not said) | stride 2 |
| cells dropped | 13 of the top 21 of 36; here the same fractions of d x d | 15 of the top 20 of 49 |
| significant | not said; here as released | the probability falls by more than 0.1 |
| eq. 1 | summed over cells, mean over its RoIs | mean over cells; joint: over the cells of all RoIs |
| weight of the joint loss | 1 | 0.0025 |
| background RoIs | untouched ("for foreground objects") | untouched |
| pre-training | 10,000 steps | 25,000 steps, three quarters of the RoIs foreground |

Where we depart. Eq. 1 is printed without its logarithms; we use them, as the words "binary cross entropy" ask for.
The probabilities before and after are both of the head without its dropout (the released code draws dropout anew for
each, so chance alone can pass its threshold). The released code masks every other image only where two make a step
(`iter_size` 2), and with one never, so users saw a loss of 0; here `clean_images` never spares all images.

`background_share` is ours: where objects alone are masked, holes mean "object" to a head that can see them. A learns
from objects in any case; background RoIs are masked by what it says of them. The default of 0 is the published
method, and what the shipped results were trained with.

Where it does not help: where few masks pass the threshold, A learns little (`health`: masks_passed); where A picks
the same cells for every RoI it is a fixed mask (mask_entropy). A network that never saw a stage `hardener` or `both`
drops cells by its random first weights.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.errors import RecipeError
from workbench.hardeners.base import Decision, MaskDecision, candidates, draw_background
from workbench.hardeners.inverted_attention import drop_sampled
from workbench.hardeners.layers.adversary import Adversary, FullyConnected
from workbench.hardeners.layers.heat_map import HeatNet, mask_entropy
from workbench.hardeners.layers.window_search import hardest_windows
from workbench.options import Count, Factor, Number, Part, Share
from workbench.registry import HARDENERS
from workbench.types import HeadLayout, RoIBatch

Net = Literal["fully-connected", "convolutional"]


@HARDENERS.register("asdn")
class ASDN(Adversary):
    """Learn which cells hurt the detector most, and drop some of them.

    `health`: hardened (share of foreground RoIs), masks_passed (share of masks that lower the probability enough to
    be learned from) and mask_entropy (the function) while masking; in pre-training window_found, the share of the
    searched window's cells among as many top cells of A, where 4 / 49 is chance for 2 x 2 of 7 x 7.

    Args:
        net: of A, see `Net`.
        stride: of the search, in cells.
        drop, pool: fractions of the cells; `drop` of all are dropped, at random out of the top `pool`.
        fall: a mask is learned from if the true class's probability falls by more than this.
        weight: of the adversary's loss in joint training.
        average: eq. 1 as a mean over cells (and over all RoIs of the batch in joint training) instead of a sum.
        clean_images: leave the RoIs of so many images of the batch alone.
        background_share: share of the background RoIs that are masked as well; see the module.

    Raises:
        RecipeError: an option outside its range.

    Example:
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> detector.take_hardener(ASDN())
        >>> images, targets = zip(*wb.load_data("digit-scenes", length=2))
        >>> sorted(detector.losses(images, targets))  # its own loss trains it in the same step
        ['adversary', 'box', 'classifier', 'objectness', 'rpn_box']
    """

    pretrains = True
    mixed = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {},
        "released": {
            "net": "convolutional",
            "stride": 2,
            "drop": 15 / 49,
            "pool": 20 / 49,
            "weight": 0.0025,
            "average": True,
        },
    }

    def __init__(
        self,
        *,
        net: Net = "fully-connected",
        stride: Count = 1,
        drop: Share = 13 / 36,
        pool: Share = 21 / 36,
        fall: Part = 0.1,
        weight: Factor = 1.0,
        average: bool = False,
        clean_images: Number = 1,
        background_share: Share = 0.0,
    ):
        super().__init__()
        if drop > pool:
            raise RecipeError(f"hardener.drop is {drop}, pool {pool}; expected drop <= pool")
        self.net_kind = net
        self.stride = stride
        self.drop, self.pool = drop, pool
        self.fall = fall
        self.weight = weight
        self.average = average
        self.clean_images = clean_images
        self.background_share = background_share

    @property
    def fixed_mask_entropy(self) -> float | None:  # type: ignore[override]
        """Of samples that differ: with k cells of n dropped out of the top m, log(m / k) / log(n / k)."""
        return math.log(self.pool / self.drop) / math.log(1 / self.drop) if 0 < self.drop < 1 else None

    def build(self, head: HeadLayout) -> nn.Module:
        """A for a head."""
        if self.net_kind == "convolutional":
            return HeatNet(head.channels)
        return FullyConnected(head, head.size**2)

    def heat(self, features: Tensor) -> Tensor:
        """A(X), [R, h, w] in 0..1, of features [R, C, h, w]."""
        return self.run(features).sigmoid().view(len(features), *features.shape[2:])

    def sample(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Masks [R, 1, h, w] of features [R, C, h, w] as in training, 1 = kept."""
        return self._drawn(features, self.run(features), generator)

    def _drawn(self, features: Tensor, logits: Tensor, generator: torch.Generator) -> Tensor:
        kept = drop_sampled(logits, self.drop, self.pool, generator)
        return kept.view(len(features), 1, *features.shape[2:])

    def decide(self, batch: RoIBatch) -> Decision:
        """Masks [r, 1, h, w] and the loss of eq. 1; in pre-training the loss only."""
        pretraining = self.learning == "hardener"
        rows = candidates(batch, clean_images=0 if pretraining else self.clean_images)
        if len(rows) == 0:
            self._figures = {}
            return Decision(adversary_loss=self.idle_loss())
        logits = self.run(batch.features[rows])  # [r, h w]
        if pretraining:
            return Decision(adversary_loss=self._search_loss(batch, rows, logits))
        mask = self._drawn(batch.features[rows], logits.detach(), batch.generator)
        loss = None
        if self.learning == "both":
            loss = self._joint_loss(batch, rows, logits, mask)
        else:
            self.note(batch, rows, mask_entropy=mask_entropy(1 - mask.flatten(1)))
        others = draw_background(batch, self.background_share, clean_images=self.clean_images)
        if len(others):
            with torch.no_grad():
                more = self.sample(batch.features[others], batch.generator)
            rows, mask = torch.cat([rows, others]), torch.cat([mask, more])
        return MaskDecision(mask, rows, adversary_loss=loss)

    def _search_loss(self, batch: RoIBatch, rows: Tensor, logits: Tensor) -> Tensor:
        """Eq. 1 with the windows of the search."""
        features, labels = batch.features[rows], batch.labels[rows]
        target = hardest_windows(batch.score, features, labels, stride=self.stride).flatten(1).float()
        top = logits.detach().topk(int(target[0].sum()), dim=1).indices
        self.note(batch, rows[:0], window_found=target.gather(1, top).mean())
        loss = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
        return loss / (target.numel() if self.average else len(target))

    def _joint_loss(self, batch: RoIBatch, rows: Tensor, logits: Tensor, mask: Tensor) -> Tensor:
        """Eq. 1 with the masks that lower the probability of the true class by more than `fall`."""
        features, labels = batch.features[rows], batch.labels[rows]
        with torch.no_grad():
            both = torch.cat([features, features * mask.to(features.dtype)])
            before, after = batch.score.true_class(both, labels.repeat(2)).chunk(2)
            hard = (before - after > self.fall).float()
        dropped = 1 - mask.flatten(1)
        self.note(batch, rows, masks_passed=hard.mean(), mask_entropy=mask_entropy(dropped))
        cells = F.binary_cross_entropy_with_logits(logits, dropped, reduction="none")
        number = len(batch.labels) * logits.shape[1] if self.average else hard.sum().clamp(min=1)
        return self.weight * (cells.sum(1) * hard).sum() / number
