"""The mask branch of Mask R-CNN (He et al. 2017, sec. 3): the numbers and names of torchvision's, at less work.

A mask is wanted of one class per RoI only, its true class or the one that was found. So the last convolution is made
with the weights of that class, one row of K+1, and the transposed convolution before it, whose windows do not
overlap, as one matrix product.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.models.detection.roi_heads import expand_boxes
from torchvision.ops import roi_align

Learn = Literal["visible", "amodal"]
LEARN: dict[Learn, str] = {"visible": "masks", "amodal": "masks_amodal"}  #: what a mask shows → where targets have it


def own_masks(head: nn.Module, predictor: MaskRCNNPredictor, features: Tensor, labels: Tensor) -> Tensor:
    """Mask logits [R, 2s, 2s] of each RoI's own class [R] from pooled features [R, C, s, s]."""
    x = head(features).permute(0, 2, 3, 1)  # [R, s, s, D]
    rois, size = x.shape[:2]
    enlarge, last = predictor.conv5_mask, predictor.mask_fcn_logits
    width = enlarge.out_channels
    corners = enlarge.weight.permute(2, 3, 1, 0).flatten(0, 2)  # [2 * 2 * width, D]
    x = F.relu(F.linear(x, corners, enlarge.bias.repeat(4))).reshape(rois, 4 * size**2, width)
    own = last.weight.flatten(1)[labels]
    logits = torch.bmm(x, own[:, :, None]).view(rois, size, size, 2, 2) + last.bias[labels].view(-1, 1, 1, 1, 1)
    return logits.transpose(2, 3).reshape(rois, 2 * size, 2 * size).float()


def project(masks: Tensor, boxes: Tensor, owners: Tensor, size: int, *, aligned: bool = False) -> Tensor:
    """What the masks are within boxes, as [R, size, size] in 0..1.

    Args:
        masks: [N, H, W].
        boxes: [R, 4], xyxy pixels.
        owners: [R], which mask belongs to each box.
        size: cells a side.
        aligned: the centres of pixels are half a pixel inside; False: at their upper left corners, as in Mask R-CNN.
    """
    rois = torch.cat([owners[:, None].to(boxes), boxes], dim=1)
    return roi_align(masks[:, None].to(boxes.dtype), rois, size, aligned=aligned)[:, 0]


def paste(masks: Tensor, boxes: Tensor, size: tuple[int, int], *, threshold: float | None = 0.5) -> Tensor:
    """Masks [N, s, s] in 0..1 enlarged to their boxes in an image of `size` (height, width).

    Args:
        boxes: [N, 4] xyxy pixels of that image.
        threshold: from which a pixel belongs to the object.

    Returns:
        [N, H, W] bool, or float32 in 0..1 if `threshold` is None: then torchvision's `paste_masks_in_image`.
    """
    height, width = size
    side = masks.shape[-1]
    around = F.pad(masks.float(), (1, 1, 1, 1))  # so that edges fade out
    corners = expand_boxes(boxes, (side + 2) / side).long().tolist()
    kind = torch.float32 if threshold is None else torch.bool
    out = torch.zeros((len(masks), height, width), dtype=kind, device=masks.device)
    for whole, mask, (x1, y1, x2, y2) in zip(out, around, corners, strict=True):
        pixels = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        grown = F.interpolate(mask[None, None], pixels, mode="bilinear", align_corners=False)[0, 0]
        left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2 + 1, width), min(y2 + 1, height)
        part = grown[top - y1 : bottom - y1, left - x1 : right - x1]
        whole[top:bottom, left:right] = part if threshold is None else part >= threshold
    return out
