"""Mask R-CNN (He et al. 2017): Faster R-CNN with a mask of every object.

State dicts of torchvision's `maskrcnn_resnet50_fpn` and `maskrcnn_resnet50_fpn_v2` load, with `V2` as options for the
latter, and give the same boxes, scores, masks and losses.

The RoI head is that of Faster R-CNN, so every hardener works: it changes what the *box* branch learns from. The mask
branch pools features of its own, which stay whole: it is asked which pixels belong to the object, and would have to
answer for pixels that the image shows and the hardener hides.

The masks to learn are those of the visible pixels (`target["masks"]`), which COCO has and which `evaluate` compares;
`learn: amodal` learns whole objects, hidden parts too (`target["masks_amodal"]`, in digit scenes). On a single C4 map
the paper's branch shares conv5 with the box branch; here it always has convolutions of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

from workbench.detectors.base import evaluating
from workbench.detectors.faster_rcnn import FasterRCNN
from workbench.detectors.layers.fpn import norm_layer
from workbench.detectors.layers.mask_branch import MaskBranch
from workbench.detectors.layers.mask_head import LEARN, Learn
from workbench.detectors.layers.roi_pool import RoIAlign
from workbench.options import Count, Share, check_options
from workbench.registry import DETECTORS

#: Options of torchvision's `maskrcnn_resnet50_fpn_v2` (Li et al. 2021).
V2 = {
    "backbone": {"name": "resnet50", "norm": "batch"},
    "pyramid": {"norm": "batch"},
    "head": {"kind": "conv-fc"},
    "rpn": {"conv_depth": 2},
    "mask": {"norm": "batch"},
}


@DETECTORS.register("mask-rcnn")
class MaskRCNN(FasterRCNN):
    """Two-stage detector that also gives masks; build one with `MaskRCNN.build`. Its losses have a `mask`, too.

    Example:
        >>> options = {"backbone": {"name": "small"}, "min_size": None}
        >>> detector = MaskRCNN.build(("cat", "dog"), **options, mask={"layers": [32]})
        >>> image, boxes = torch.rand(3, 64, 64), torch.tensor([[8.0, 8, 40, 40]])
        >>> detector.mask_boxes([image], [boxes], [torch.tensor([2])])[0].shape
        torch.Size([1, 28, 28])
    """

    mask_branch: MaskBranch  #: one of the branches of its RoI head

    @classmethod
    def build(cls, classes: Sequence[str], *, mask: dict | None = None, **options: Any) -> MaskRCNN:
        """A Mask R-CNN from plain values, as a recipe gives them; the other options are those of `FasterRCNN.build`.

        Args:
            mask: "learn": "visible" or "amodal"; "layers": channels of the 3x3 convolutions, four of 256; "width" of
                the transposed convolution, 256; "pool_size": 14 cells, half the side of a mask; "norm": "batch" or
                None; "threshold": 0.5, from which a pixel belongs to the object.

        Raises:
            RecipeError: options that do not exist or do not fit together.
        """
        detector = super().build(classes, **options)
        detector._take_masks(**check_options("detector.mask", cls._take_masks, mask or {}, given=("self",)))
        return detector.to(memory_format=torch.channels_last)

    def _take_masks(
        self,
        *,
        learn: Learn = "visible",
        layers: Sequence[Count] = (256, 256, 256, 256),
        width: Count = 256,
        pool_size: Count = 14,
        norm: str | None = None,
        threshold: Share = 0.5,
    ) -> None:
        boxes = self.roi_heads.pool
        self.mask_branch = MaskBranch(
            RoIAlign(boxes.strides, size=pool_size, canonical_size=boxes.canonical_size),
            MaskRCNNHeads(self.roi_heads.layout().channels, list(layers), 1, norm_layer(norm, "detector.mask.norm")),
            MaskRCNNPredictor(layers[-1], width, len(self.classes) + 1),
            key=LEARN[learn],
            threshold=threshold,
        )
        self.roi_heads.add_branch(self.mask_branch)

    def mask_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor], labels: Sequence[Tensor]) -> list[Tensor]:
        """Masks [N, 28, 28] in 0..1 within given boxes [N, 4], of an object of class `labels` [N], of each image."""
        with evaluating(self):
            features, scaled = self._features_and_boxes(images, boxes)
            return self.mask_branch.masks(features, scaled, [label.to(self.device) for label in labels])
