"""The mask branch of Mask R-CNN (He et al. 2017, sec. 3): pooling, head and predictor, all torchvision's modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor

from workbench.detectors.layers.branches import RoIBranch, RoISamples
from workbench.detectors.layers.mask_head import own_masks, paste, project
from workbench.detectors.layers.roi_pool import PyramidPool
from workbench.types import Detections


class MaskBranch(RoIBranch):
    """A mask of every object, on features pooled for itself.

    Args:
        pool: pools [R, C, s, s] from the feature maps.
        head, predictor: make [R, K+1, 2s, 2s] logits of them.
        key: of the masks to learn, in targets.
        threshold: from which a pixel belongs to the object, 0..1.
    """

    gives = ("masks",)

    def __init__(
        self, pool: PyramidPool, head: nn.Module, predictor: MaskRCNNPredictor, *, key: str, threshold: float
    ):
        self.pool, self.head, self.predictor = pool, head, predictor
        self.key, self.threshold = key, threshold
        self.learns_from = (key,)

    @property
    def parts(self) -> dict[str, nn.Module]:
        """torchvision's names."""
        return {"mask_roi_pool": self.pool, "mask_head": self.head, "mask_predictor": self.predictor}

    def losses(self, features: list[Tensor], rois: RoISamples, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """`mask`: binary cross entropy of the true class's mask, the mean over all cells of the RoIs of objects.

        RoIs of objects whose mask is unknown teach nothing.
        """
        rois = rois.objects()
        known = [target[self.key].flatten(1).any(dim=1) for target in targets]
        if not torch.cat(known).all():  # at once: a GPU is waited for
            rois = rois.take([torch.where(each[owners])[0] for each, owners in zip(known, rois.owners, strict=True)])
        logits = self.logits(features, rois.boxes, rois.labels)
        parts = zip(targets, rois.boxes, rois.owners, strict=True)
        side = logits.shape[-1]
        goals = torch.cat([project(target[self.key], boxes, owners, side) for target, boxes, owners in parts])
        total = F.binary_cross_entropy_with_logits(logits, goals, reduction="sum")
        return {"mask": total / max(1, logits.numel())}

    def extend(
        self,
        found: list[Detections],
        features: list[Tensor],
        boxes: list[Tensor],
        sizes: list[tuple[int, int]],
    ) -> None:
        """`masks` of the detections, in pixels of the images."""
        shapes = self.masks(features, boxes, [one.labels for one in found])
        for detections, masks, size in zip(found, shapes, sizes, strict=True):
            detections.masks = paste(masks, detections.boxes, size, threshold=self.threshold)

    def masks(self, features: list[Tensor], boxes: list[Tensor], labels: list[Tensor]) -> list[Tensor]:
        """Masks [N, 2s, 2s] in 0..1 within the boxes [N, 4] of each image, of objects of class `labels` [N]."""
        return list(self.logits(features, boxes, labels).sigmoid().split([len(box) for box in boxes]))

    def logits(self, features: list[Tensor], boxes: list[Tensor], labels: list[Tensor]) -> Tensor:
        """The same as logits of all images [R, 2s, 2s]."""
        return own_masks(self.head, self.predictor, self.pool(features, boxes), torch.cat(labels))
