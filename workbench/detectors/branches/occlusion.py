"""The occlusion branch of AOFD: where something hides a face, from maps of the whole image (Chen et al., sec. 3.4).

It is fully convolutional on the backbone's maps, so that context decides and what it learns shapes the features that
the detector uses. Two classes, occluded or not, by a softmax loss L_s with the factor μ (eq. 1; μ = 1e-5). What it
says counts inside the predicted boxes, enlarged by 1.3.

What the paper leaves open, and what we do:

- The layers of Fig. 4 are not given: here 3 x 3 convolutions with ReLU on one map, a 1 x 1 convolution to two logits,
  and bilinear interpolation to the size of the input.
- L_s is summed over pixels and averaged over images: a μ of 1e-5 would do nothing to a mean, and of half a million
  pixels it makes about 1, the size of the other losses.
- "Only areas inside bounding boxes are maintained" is said of what the branch follows in the figure and of the noise
  that it obviates. Here it learns inside the true boxes, enlarged by 1.3, too; `region: image` learns everywhere, and
  teaches that what hides no face is no occlusion.

Images without the label `mask_occluder` give it, and what is below it, no gradient. Where one face hides another, the
front face is an occluder there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import expand_boxes

from workbench.detectors.layers.branches import ImageBranch
from workbench.options import Count, Factor, Share
from workbench.registry import BRANCHES
from workbench.types import Detections

KEY = "mask_occluder"  #: of targets, [H, W], and what targets call it
FOUND = "masks_occluder"  #: of the extras of detections: bool [N, H, W]


@BRANCHES.register("occlusion")
class OcclusionBranch(ImageBranch):
    """A map of what hides objects. Detections get the pixels that it finds around each: `extras["masks_occluder"]`.

    Args:
        channels, strides: of the detector's maps.
        stride: pixels between the cells of the map that it looks at, or nearest to that; 16 is that of VGG16's.
        layers: channels of its 3 x 3 convolutions.
        weight: the factor μ of its loss.
        region: where it learns: inside the true boxes, enlarged, or everywhere.
        enlarge: factor of the boxes' sides.
        threshold: from which probability a pixel is occluded.
    """

    learns_from = (KEY,)
    needs_every_image = False
    gives = (FOUND,)

    def __init__(
        self,
        channels: int,
        strides: Sequence[int],
        *,
        stride: Count = 16,
        layers: Sequence[Count] = (256, 256),
        weight: Factor = 1e-5,
        region: Literal["boxes", "image"] = "boxes",
        enlarge: Annotated[float, Field(ge=1, le=100)] = 1.3,
        threshold: Share = 0.5,
    ):
        parts: list[nn.Module] = []
        for inputs, outputs in zip((channels, *layers), layers, strict=False):
            parts += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
        self.head = nn.Sequential(*parts, nn.Conv2d((channels, *layers)[-1], 2, 1))
        self.level = min(range(len(strides)), key=lambda level: abs(strides[level] - stride))
        self.weight, self.region = weight, region
        self.enlarge, self.threshold = enlarge, threshold

    @property
    def parts(self) -> dict[str, nn.Module]:
        """One network."""
        return {"occlusion_head": self.head}

    def logits(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Of both classes at each pixel, [B, 2, H, W] float32 of maps [B, C, h, w]; occluded is 1."""
        return F.interpolate(self.head(maps).float(), size, mode="bilinear", align_corners=False)

    def losses(self, batch: ImageList, features: list[Tensor], targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """`occlusion`: the softmax loss, summed over pixels; images without the label count as 0 in the mean."""
        known = [index for index, target in enumerate(targets) if KEY in target]
        if not known:
            return {"occlusion": features[self.level].new_zeros((), dtype=torch.float32)}
        logits = self.logits(features[self.level][known], batch.tensors.shape[-2:])
        total = []
        for found, index in zip(logits, known, strict=True):
            height, width = batch.image_sizes[index]
            truth = targets[index][KEY].long()
            each = F.cross_entropy(found[None, :, :height, :width], truth[None], reduction="none")[0]
            if self.region == "boxes":
                each = each * covered(expand_boxes(targets[index]["boxes"], self.enlarge), (height, width))
            total.append(each.sum())
        return {"occlusion": self.weight * torch.stack(total).sum() / len(targets)}

    def extend(
        self, found: list[Detections], batch: ImageList, features: list[Tensor], sizes: list[tuple[int, int]]
    ) -> None:
        """`extras["masks_occluder"]`, bool [N, H, W]: the occluded pixels inside each enlarged box."""
        for detections, chance, size in zip(found, self.chances(batch, features, sizes), sizes, strict=True):
            around = inside(expand_boxes(detections.boxes, self.enlarge), size)
            around &= chance >= self.threshold  # in place, as these are N masks of the whole image
            detections.extras[FOUND] = around

    def chances(self, batch: ImageList, features: list[Tensor], sizes: list[tuple[int, int]]) -> list[Tensor]:
        """Of each pixel to be occluded, [H, W] float32 in 0..1 for each image; arguments as for `extend`."""
        chances = self.logits(features[self.level], batch.tensors.shape[-2:]).softmax(dim=1)[:, 1:]
        return [
            F.interpolate(chance[None, :, :height, :width], size, mode="bilinear", align_corners=False)[0, 0]
            for chance, (height, width), size in zip(chances, batch.image_sizes, sizes, strict=True)
        ]


def inside(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Which pixels of an image of `size` (height, width) have their centre in each box, bool [N, H, W]."""
    rows, columns = _sides(boxes, size)
    return rows[:, :, None] & columns[:, None, :]


def covered(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Which pixels have their centre in any box, bool [H, W]; crowds need not the memory of `inside`."""
    rows, columns = _sides(boxes, size)
    return (rows.float().T @ columns.float()) > 0


def _sides(boxes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The rows [N, H] and the columns [N, W] of pixels that boxes [N, 4] hold, bool."""
    y, x = (torch.arange(side, device=boxes.device) + 0.5 for side in size)
    left, top, right, bottom = (edge[:, None] for edge in boxes.unbind(dim=1))
    return (y >= top) & (y < bottom), (x >= left) & (x < right)
