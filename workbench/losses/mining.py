"""Which examples count: online hard example mining, OHEM (Shrivastava et al. 2016; A-Fast-RCNN, sec. 5.4).

All RoIs are scored without gradient; the loss of each is that of its class plus that of its box; non-maximum
suppression on the loss drops neighbours that would count the same pixels twice; the hardest B of each image are
learned from. There is no quota for objects, and background counts from IoU 0 on.

| | paper | released |
|---|---|---|
| suppression | per image, IoU 0.7 | per image and label (`per_label`) |
| kept | 64 of each of 2 images | 64 of one image, two images per update |

Learning again from the few kept RoIs costs one more forward pass of these, but then nothing else of the many is
kept in memory, and a hardener or dropout can act on them. So RoIs are hard before they are hardened.

On the anchors of a one-stage detector (Lin's thesis, sec. 5.5.1, Table 5.1d) it is the same, with IoU 0.5 and B = 128
as the best setting. "OHEM 1:3" then keeps three anchors of background per anchor of an object. Where we depart there:
objects and background are suppressed apart, so that no object is lost to a neighbour of background.

It does not always help: mislabelled and hidden objects are hard as well, and the noise counts most.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from workbench.errors import RecipeError
from workbench.options import Count, Overlap
from workbench.registry import ANCHOR_MINING, MINING


@MINING.register("ohem")
class OHEM:
    """Keep the RoIs of highest loss.

    Args:
        kept: RoIs of each image to learn from.
        nms_iou: of two RoIs that overlap by more, the one of lower loss is dropped.
        per_label: only RoIs of the same label suppress each other.

    Raises:
        RecipeError: an option outside its range.

    Example:
        >>> boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
        >>> OHEM(kept=2)(boxes, torch.tensor([1, 1, 0]), torch.tensor([3.0, 2, 1]))  # the first two are one place
        tensor([0, 2])
    """

    def __init__(self, *, kept: Count = 128, nms_iou: Overlap = 0.7, per_label: bool = False):
        self.kept = kept
        self.nms_iou = nms_iou
        self.per_label = per_label

    def __call__(self, boxes: Tensor, labels: Tensor, losses: Tensor) -> Tensor:
        """Rows [S], ascending, of the RoIs of one image to learn from.

        Args:
            boxes: [P, 4] xyxy pixels.
            labels: [P] int64.
            losses: [P], of class and box together.
        """
        groups = labels if self.per_label else torch.zeros_like(labels)
        return hardest(boxes, losses, groups, nms_iou=self.nms_iou, kept=self.kept).sort().values


@ANCHOR_MINING.register("ohem")
class AnchorOHEM:
    """Keep the anchors of highest loss.

    Args:
        kept: anchors of each image to learn from, at most.
        nms_iou: of two anchors that overlap by more, the one of lower loss is dropped.
        negatives_per_positive: 3 is OHEM 1:3: of the `kept` at most a quarter are of objects, and to each of them
            come this many of background (to none as well, so that images without objects are learned from).

    Raises:
        RecipeError: an option outside its range.

    Example:
        >>> boxes = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]])
        >>> labels, losses = torch.tensor([1, 0, 0, -1]), torch.tensor([1.0, 2, 3, 4])  # the last one is ignored
        >>> AnchorOHEM(kept=2)(boxes, labels, losses)
        tensor([1, 2])
        >>> AnchorOHEM(kept=2, negatives_per_positive=1)(boxes, labels, losses)
        tensor([0, 2])
    """

    def __init__(self, *, kept: Count = 128, nms_iou: Overlap = 0.5, negatives_per_positive: Count | None = None):
        if negatives_per_positive is not None and negatives_per_positive >= kept:
            what = f"negatives_per_positive is {negatives_per_positive}"
            raise RecipeError(f"detector.mining.{what}; expected less than {kept}")
        self.kept = kept
        self.nms_iou = nms_iou
        self.negatives_per_positive = negatives_per_positive

    def __call__(self, boxes: Tensor, labels: Tensor, losses: Tensor) -> Tensor:
        """Rows [S], ascending, of the anchors of one image to learn from.

        Args:
            boxes: [A, 4] xyxy pixels.
            labels: [A] int64, -1 for anchors that are never kept.
            losses: [A], of class and box together.
        """
        ratio = self.negatives_per_positive
        if ratio is None:
            return self._hardest(boxes, losses, labels >= 0, self.kept).sort().values
        positive = self._hardest(boxes, losses, labels > 0, self.kept // (1 + ratio))
        negative = self._hardest(boxes, losses, labels == 0, ratio * max(1, len(positive)))
        return torch.cat([positive, negative]).sort().values

    def _hardest(self, boxes: Tensor, losses: Tensor, among: Tensor, kept: int) -> Tensor:
        rows = torch.where(among)[0]
        groups = torch.zeros_like(rows)
        return rows[hardest(boxes[rows], losses[rows], groups, nms_iou=self.nms_iou, kept=kept)]


@ANCHOR_MINING.register("ohem-1:3")
class BalancedAnchorOHEM(AnchorOHEM):
    """OHEM 1:3: three anchors of background per anchor of an object; the other options are those of `AnchorOHEM`."""

    def __init__(self, *, kept: Count = 128, nms_iou: Overlap = 0.5):
        super().__init__(kept=kept, nms_iou=nms_iou, negatives_per_positive=3)


def hardest(boxes: Tensor, losses: Tensor, groups: Tensor, *, nms_iou: float, kept: int) -> Tensor:
    """Rows of the first `kept` boxes that non-maximum suppression leaves, highest loss first.

    What survives among the hardest does not depend on the rest, so only as many boxes are looked at as it takes: of
    100,000 anchors mostly some hundred.
    """
    looked_at = 4 * kept
    while True:
        top = losses.topk(min(looked_at, len(losses))).indices
        found = batched_nms(boxes[top].float(), losses[top].float(), groups[top], nms_iou)[:kept]
        if len(found) == kept or len(top) == len(losses):
            return top[found]
        looked_at *= 4


def build_mining(config: dict | None) -> OHEM | None:
    """The mining of RoIs that a recipe describes ({"kind": "ohem", and its options}); None is none.

    Raises:
        RecipeError: a kind or option that does not exist.

    Example:
        >>> build_mining({"kind": "ohem", "kept": 64}).kept
        64
    """
    return None if config is None else MINING.build(config)


def build_anchor_mining(config: dict | None) -> AnchorOHEM | None:
    """The mining of anchors that a recipe describes ({"kind": "ohem" or "ohem-1:3", and options}); None is none.

    Raises:
        RecipeError: a kind or option that does not exist.

    Example:
        >>> build_anchor_mining({"kind": "ohem-1:3"}).negatives_per_positive
        3
    """
    return None if config is None else ANCHOR_MINING.build(config)
