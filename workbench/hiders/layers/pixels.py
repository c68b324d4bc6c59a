"""Pixels of objects in training images: which are shown, and the boxes around them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from workbench.data.drawing.hiding import object_pixels
from workbench.types import Target

Window = tuple[slice, slice]  #: rows and columns


def plain(pixels: Tensor) -> Tensor:
    """Pixels [...] as bool, without what tv_tensors add."""
    return pixels.as_subclass(Tensor).bool()


def window_of(pixels: Tensor) -> Window | None:
    """Rows and columns that hold pixels [H, W] bool; None if there are none."""
    rows, columns = pixels.any(1).nonzero()[:, 0], pixels.any(0).nonzero()[:, 0]
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def tight_box(pixels: Tensor) -> Tensor:
    """The box [4] float32 (xyxy) around pixels [H, W] bool, of which there is one at least."""
    window = window_of(pixels)
    if window is None:
        raise ValueError("there are no pixels to draw a box around")
    rows, columns = window
    return torch.tensor([columns.start, rows.start, columns.stop, rows.stop], dtype=torch.float32)


def has_mask(target: Target, row: int, key: str = "masks") -> bool:
    """Whether the pixels of an object are known under a key."""
    return key in target and bool(target[key][row].any())


def shown(target: Target, row: int, size: tuple[int, int]) -> Tensor:
    """The pixels of an object that an image of `size` (height, width) shows [H, W] bool.

    They are its mask where that is known; else those of its (visible) box that `mask_hidden` leaves. A mask without a
    pixel is unknown, unless all of the object is known to be hidden.
    """
    gone = "occlusion" in target and bool(target["occlusion"][row] >= 1)
    if has_mask(target, row) or has_mask(target, row, "masks_amodal") or gone:
        return plain(target["masks"][row]) if "masks" in target else torch.zeros(size, dtype=torch.bool)
    box = target["boxes_visible" if "boxes_visible" in target else "boxes"][row]
    pixels = torch.from_numpy(object_pixels(size, box.as_subclass(Tensor).tolist()))
    return pixels & ~plain(target["mask_hidden"]) if "mask_hidden" in target else pixels


def own_count(target: Target, row: int, visible: int) -> int | float:
    """How many pixels an object has, hidden ones too, when `visible` are shown; unknown ones do not count."""
    if has_mask(target, row) and has_mask(target, row, "masks_amodal"):
        return int(target["masks_amodal"][row].sum())
    hidden = float(target["occlusion"][row]) if "occlusion" in target else 0.0
    return visible / (1 - hidden) if 0 < hidden < 1 else visible


def shrunk(box: Tensor, tight: Tensor) -> Tensor:
    """A box [4] moved in to another one, but for the sides that are less than a pixel from it."""
    return torch.where((box - tight).abs() < 1, box, tight)


def cut(pixels: Tensor, window: Window) -> Tensor:
    """The part of pixels [..., H, W] in a window."""
    return pixels[(..., *window)]


def like(original: Tensor, changed: Tensor) -> Tensor:
    """Values with what a tv_tensor like the original knows beside them, such as the format of boxes."""
    if isinstance(original, tv_tensors.TVTensor):
        return tv_tensors.wrap(changed.as_subclass(Tensor), like=original)
    return changed


def as_array(pixels: Tensor) -> np.ndarray:
    """Pixels [H, W] as numpy has them."""
    return plain(pixels).numpy()
