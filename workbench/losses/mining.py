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

It does not always help: mislabelled and hidden objects are hard as well, and the noise counts most.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from workbench.errors import RecipeError


class OHEM:
    """Keep the RoIs of highest loss.

    Args:
        kept: RoIs of each image to learn from.
        nms_iou: of two RoIs that overlap by more, the one of lower loss is dropped.
        per_label: only RoIs of the same label suppress each other.

    Raises:
        RecipeError: an option outside its range.
    """

    def __init__(self, *, kept: int = 128, nms_iou: float = 0.7, per_label: bool = False):
        if kept < 1:
            raise RecipeError(f"roi.mining.kept is {kept}; expected a number of RoIs of at least 1")
        if not 0 < nms_iou <= 1:
            raise RecipeError(f"roi.mining.nms_iou is {nms_iou}; expected an overlap in 0..1")
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
        return batched_nms(boxes.float(), losses.float(), groups, self.nms_iou)[: self.kept].sort().values


def build_mining(config: dict | None) -> OHEM | None:
    """The mining that a recipe describes ({"kind": "ohem", and its options}); None is none.

    Raises:
        RecipeError: a kind or option that does not exist.
    """
    if config is None:
        return None
    options = dict(config)
    kind = options.pop("kind", None)
    if kind != "ohem":
        raise RecipeError(f"roi.mining.kind {kind!r} does not exist; choose 'ohem'")
    try:
        return OHEM(**options)
    except TypeError as reason:
        raise RecipeError(f"roi.mining: {reason}") from reason
