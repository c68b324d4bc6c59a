"""Training images at other places and sizes, with all that targets know of places.

Mirroring, and what torchvision's references for detection have: `ScaleJitter` and `FixedSizeCrop`, which together are
the large-scale jitter of Ghiasi et al. (2021), and `RandomShortestSize`, the multi-scale training of Detectron. What
is random is drawn apart from its use; for the same draw images and targets equal torchvision's.

Masks are resized to the nearest pixel; `area` (of masks) and `occlusion` are counted anew where the masks to count
them are known. A part of an object that is cut off is not hidden: `occlusion` is of the pixels that lie in the image,
and becomes unknown (NaN) of an object that is cut where masks are not known. Objects wholly outside are no objects of
the image any more; those of which no pixel is shown any more are `ignored`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as V

from workbench.hiders.layers.joining import take
from workbench.hiders.layers.pixels import like, plain
from workbench.training.recipe_sections import FixedSizeSpec, ScaleJitterSpec, ShortestSizeSpec
from workbench.types import Proposals, Target

Size = tuple[int, int]  #: height and width, pixels


def flip_horizontally(image: Tensor, target: Target) -> tuple[Tensor, Target]:
    """Image [3, H, W] and target mirrored left to right; what is not a place stays."""
    width = image.shape[-1]
    flipped = target.copy()
    values: dict[str, Any] = dict(target)
    for key, value in values.items():
        if key.startswith("mask"):  # of objects or of the image
            flipped[key] = like(value, value.flip(-1))
        elif isinstance(value, Proposals):
            flipped[key] = value.flip_horizontally(width)
        elif key.startswith("boxes") or key == "proposals":
            left, top, right, bottom = value.as_subclass(Tensor).unbind(-1)
            flipped[key] = like(value, torch.stack([width - right, top, width - left, bottom], dim=-1))
        elif key == "ellipses":
            long, short, angle, x, y = value.unbind(-1)
            flipped[key] = torch.stack([long, short, -angle, width - x, y], dim=-1)
    return like(image, image.flip(-1)), flipped


def jittered_size(size: Size, spec: ScaleJitterSpec, rng: np.random.Generator) -> Size:
    """A random size with the sides' ratio of an image of `size`: a random factor of what fits into `spec.size`."""
    height, width = size
    factor = rng.uniform(*spec.range) * min(spec.size[0] / height, spec.size[1] / width)
    return max(1, int(height * factor)), max(1, int(width * factor))


def shortest_size(size: Size, spec: ShortestSizeSpec, rng: np.random.Generator) -> Size:
    """A size whose shorter side is one of `spec.sizes`, drawn, and whose longer side is at most `spec.longest`."""
    factor = spec.sizes[rng.integers(len(spec.sizes))] / min(size)
    if spec.longest is not None:
        factor = min(factor, spec.longest / max(size))
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))


def resized(image: Tensor, target: Target, size: Size) -> tuple[Tensor, Target]:
    """An image [3, H, W] and its target at another size."""
    before: Size = (image.shape[-2], image.shape[-1])
    if size == before:
        return image, target
    down, across = size[0] / before[0], size[1] / before[1]
    changed: dict[str, Any] = dict(target)
    for key, value in changed.items():
        if key.startswith("mask"):
            changed[key] = tv_tensors.Mask(V.resize_mask(plain(value).to(torch.uint8), list(size)).bool())
        elif isinstance(value, Proposals):
            changed[key] = value.resized(before, size)
        elif key.startswith("boxes"):
            scale = torch.tensor([across, down, across, down])
            changed[key] = _boxes(value.as_subclass(Tensor) * scale, size)
        elif key == "ellipses":
            mean = (across * down) ** 0.5  # sides are rounded to whole pixels, so that the two hardly differ
            changed[key] = value * torch.tensor([mean, mean, 1.0, across, down])
        elif key == "area":
            changed[key] = value * (across * down)
    return V.resize_image(image, list(size), antialias=True), _counted(target, changed)


def fixed_size(image: Tensor, target: Target, spec: FixedSizeSpec, share: float) -> tuple[Tensor, Target]:
    """An image [3, H, W] cut and filled up, to the right and below, to `spec.size`, and its target.

    Args:
        share: where the part is cut out, 0..1 of the room above and to the left alike, as in torchvision's reference.
    """
    before: Size = (image.shape[-2], image.shape[-1])
    top, left = (int(max(0, side - wanted) * share) for side, wanted in zip(before, spec.size, strict=True))
    height, width = (min(side, wanted) for side, wanted in zip(before, spec.size, strict=True))
    part = image.as_subclass(Tensor)[:, top : top + height, left : left + width]
    filled = torch.tensor(spec.fill, dtype=image.dtype)[:, None, None].repeat(1, *spec.size)
    filled[:, :height, :width] = part
    return tv_tensors.Image(filled), _cut(target, (top, left), (height, width), spec.size)


def _cut(target: Target, corner: Size, kept: Size, size: Size) -> Target:
    """A target of the part of `kept` rows and columns below and right of `corner`, in an image of `size`."""
    (top, left), (height, width) = corner, kept
    changed: dict[str, Any] = dict(target)
    outside = target["boxes"].new_zeros(len(target["labels"]), dtype=torch.bool).as_subclass(Tensor)
    cut = outside.clone()
    for key, value in changed.items():
        if key.startswith("mask"):
            pixels = plain(value)
            moved = pixels.new_zeros((*pixels.shape[:-2], *size))
            moved[..., :height, :width] = pixels[..., top : top + height, left : left + width]
            changed[key] = tv_tensors.Mask(moved)
        elif isinstance(value, Proposals):
            changed[key] = value.moved(-top, -left, kept)
        elif key.startswith("boxes"):
            boxes = value.as_subclass(Tensor) - torch.tensor([left, top, left, top])
            inside = torch.minimum(boxes.clamp(min=0), torch.tensor([width, height, width, height]))
            if key == "boxes":
                outside = (inside[:, 2:] <= inside[:, :2]).any(1)
                cut = (inside != boxes).any(1)
            changed[key] = _boxes(inside, size)
        elif key == "ellipses":
            changed[key] = value - torch.tensor([0.0, 0, 0, left, top])
    if "area" in changed and "masks" not in changed:
        sides = changed["boxes"].as_subclass(Tensor)
        changed["area"] = torch.where(cut, (sides[:, 2:] - sides[:, :2]).prod(1), changed["area"])
    counted = _counted(target, changed, cut)
    return take(counted, (~outside).nonzero()[:, 0]) if outside.any() else counted


def _counted(before: Target, changed: dict[str, Any], cut: Tensor | None = None) -> Target:
    """What follows from the masks that are known: `area`, `occlusion`, and objects that show no pixel any more.

    Args:
        cut: [N] bool, objects a part of which lies outside: without masks their `occlusion` is unknown.
    """
    if "occlusion" in changed and cut is not None:
        changed["occlusion"] = changed["occlusion"].masked_fill(cut, torch.nan)
    if "masks" not in changed:
        return changed  # type: ignore[return-value]
    visible = plain(changed["masks"]).flatten(1).sum(1)
    gone = plain(before["masks"]).flatten(1).any(1) & (visible == 0)
    if gone.any():
        changed["ignored"] = changed.get("ignored", torch.zeros_like(gone)) | gone
    if "area" in changed:
        changed["area"] = torch.where(visible > 0, visible.to(changed["area"].dtype), changed["area"])
    if "occlusion" in changed and "masks_amodal" in changed:
        own = plain(changed["masks_amodal"]).flatten(1).sum(1)
        changed["occlusion"] = torch.where(own > 0, 1 - visible / own.clamp(min=1), changed["occlusion"])
    return changed  # type: ignore[return-value]


def _boxes(boxes: Tensor, size: Size) -> tv_tensors.BoundingBoxes:
    return tv_tensors.BoundingBoxes(boxes.float(), format="XYXY", canvas_size=size)
