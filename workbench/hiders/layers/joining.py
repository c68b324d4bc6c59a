"""Targets of some objects, of objects that move, and of two targets that become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors

from workbench.hiders.layers.pixels import like, plain, tight_box, window_of
from workbench.types import Target

UNKNOWN = {torch.bool: False, torch.int64: 0, torch.float32: torch.nan}  #: what fills up columns that are not there


def columns_of(target: Target) -> list[str]:
    """Keys that have a value for each object of a target."""
    number = len(target["labels"])
    return [
        key
        for key, value in target.items()
        if isinstance(value, Tensor) and value.ndim > 0 and len(value) == number and not key.startswith("mask_")
    ]


def take(target: Target, rows: Sequence[int] | Tensor) -> Target:
    """A target with some of its objects only."""
    index = torch.as_tensor(rows, dtype=torch.long)
    taken: dict[str, Any] = {
        key: like(target[key], target[key].as_subclass(Tensor)[index]) for key in columns_of(target)
    }
    return target | taken  # type: ignore[return-value]


def moved(image: Tensor, target: Target, shift: tuple[int, int], size: tuple[int, int]) -> tuple[Tensor, Target]:
    """An image [3, h, w] and the columns of its target by `shift` (rows, columns), in an image of another `size`.

    Objects have `masks`. What leaves the image is gone, and what comes in is black; an object's pixels are those that
    are still there, and its `occlusion` is of these where `masks_amodal` are known.
    """
    down, across = shift
    found: dict[str, Any] = {key: target[key] for key in columns_of(target)}
    for key in ("masks", "masks_amodal"):
        if key in found:
            found[key] = tv_tensors.Mask(_shifted(plain(found[key]), shift, size))
    if "ellipses" in found:
        found["ellipses"] = found["ellipses"] + torch.tensor([0.0, 0, 0, across, down])
    limits = torch.tensor([size[1], size[0], size[1], size[0]], dtype=torch.float32)
    for key in [key for key in found if key.startswith("boxes")]:
        boxes = found[key].as_subclass(Tensor) + torch.tensor([across, down, across, down])
        boxes = torch.minimum(boxes.clamp(min=0), limits)
        found[key] = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=size)
    _count_again(found)
    return _shifted(image, shift, size), found  # type: ignore[return-value]


def _count_again(columns: dict[str, Any]) -> None:
    """What follows from the masks, in place."""
    seen = columns["masks"].as_subclass(Tensor)
    visible = seen.flatten(1).sum(1)
    if "area" in columns:
        columns["area"] = visible.to(columns["area"].dtype)
    for row, pixels in enumerate(seen):
        if "boxes_visible" in columns and window_of(pixels) is not None:
            columns["boxes_visible"][row] = tight_box(pixels)
    if "masks_amodal" in columns:
        whole = columns["masks_amodal"].as_subclass(Tensor)
        own = whole.flatten(1).sum(1)
        if "occlusion" in columns:
            columns["occlusion"] = torch.where(own > 0, 1 - visible / own, columns["occlusion"])
        for row, pixels in enumerate(whole):
            if window_of(pixels) is not None:
                columns["boxes"][row] = tight_box(pixels)


def _shifted(pixels: Tensor, shift: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Pixels [..., h, w] moved by (rows, columns) in [..., H, W] of `size`."""
    out = pixels.new_zeros((*pixels.shape[:-2], *size))
    to, source = [], []
    for step, there, here in zip(shift, size, pixels.shape[-2:], strict=True):
        first, last = max(0, step), min(there, here + step)
        to.append(slice(first, max(first, last)))
        source.append(slice(first - step, max(first, last) - step))
    out[(..., *to)] = pixels[(..., *source)]
    return out


def joined(target: Target, more: Target) -> Target:
    """A target with the objects of another one behind its own; columns that only the other has are left out."""
    found: dict[str, Any] = {}
    for key in columns_of(target):
        own, added = target[key].as_subclass(Tensor), len(more["labels"])
        filling = own.new_full((added, *own.shape[1:]), UNKNOWN.get(own.dtype, 0))
        theirs = more[key].as_subclass(Tensor).to(own.dtype) if key in more else filling
        found[key] = like(target[key], torch.cat([own, theirs]))
    if "mask_occluder" in target and "masks" in more and "masks_amodal" in more:
        missing = (plain(more["masks_amodal"]) & ~plain(more["masks"])).any(0)
        found["mask_occluder"] = tv_tensors.Mask(plain(target["mask_occluder"]) | missing)
    return target | found  # type: ignore[return-value]
