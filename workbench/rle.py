"""Masks as COCO's run-length codes {"size": [height, width], "counts": bytes}: about 100 bytes a mask, not H × W.

The runs go down one column after the other, first of background, then of the object, and so on. pycocotools trusts a
code that it is given (too few runs leave memory unset), so codes of others are held against `checked` first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

RLE = dict[str, Any]  #: {"size": [height, width], "counts": bytes}

_LONGEST = 6  #: characters of one number: 30 bits, as pycocotools counts in 32
_MOST = 2**15  #: pixels a side, so that all lengths fit


def encode_masks(masks: Tensor) -> list[RLE]:
    """The codes of masks [N, H, W]."""
    if len(masks) == 0:
        return []
    pixels = masks.detach().cpu().numpy().astype(np.uint8)
    return coco_mask.encode(np.asfortranarray(pixels.transpose(1, 2, 0)))


def decode_masks(codes: Sequence[RLE], size: tuple[int, int]) -> Tensor:
    """Masks bool [N, H, W] of codes for images of `size` (height, width)."""
    masks = np.zeros((len(codes), *size), bool)
    for mask, code in zip(masks, codes, strict=True):
        _paint(mask, run_lengths(code["counts"]))
    return torch.from_numpy(masks)


def _paint(mask: np.ndarray, lengths: np.ndarray) -> None:
    """Set what runs [n] cover in a mask [H, W]; columns without a pixel of it cost nothing."""
    height = len(mask)
    lengths = lengths[: len(lengths) // 2 * 2]  # without the background behind the object
    if len(lengths) == 0:
        return
    end = int(lengths.sum())
    first, last = int(lengths[0]) // height, -(-end // height)
    within = np.append(lengths, last * height - end)
    within[0] -= first * height
    values = np.arange(len(within)) % 2 == 1
    mask[:, first:last] = np.repeat(values, within).reshape(last - first, height).T


def for_json(code: RLE) -> dict[str, Any]:
    """The code with plain numbers and text, as files hold it."""
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}


def mask_box(code: RLE) -> tuple[float, float, float, float]:
    """The box x, y, width, height in pixels around a mask."""
    x, y, width, height = coco_mask.toBbox(code).tolist()
    return x, y, width, height


def run_lengths(counts: bytes) -> np.ndarray:
    """The lengths of the runs [n] int64 in pixels.

    Each number is written in groups of five bits, lowest first, as the characters from "0" on; the sixth bit says
    that more follow. From the fourth number on, the difference to the last but one is written.

    Raises:
        ValueError: the text is broken.
    """
    groups = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if len(groups) == 0 or groups.min() < 0 or groups.max() > 63:
        raise ValueError("compressed RLE is empty or holds other characters than its 64")
    last = np.flatnonzero(groups & 32 == 0)
    if len(last) == 0 or last[-1] != len(groups) - 1:
        raise ValueError("compressed RLE ends within a number")
    first = np.concatenate([[0], last[:-1] + 1])
    digits = last - first + 1
    if digits.max() > _LONGEST:
        raise ValueError(f"compressed RLE holds a number of more than {5 * _LONGEST} bits")
    place = np.arange(len(groups)) - np.repeat(first, digits)
    values = np.add.reduceat((groups & 31) << 5 * place, first)
    values -= ((groups[last] & 16) > 0) * (1 << 5 * digits)
    values[1::2], values[2::2] = values[1::2].cumsum(), values[2::2].cumsum()
    return values


def flip(code: RLE) -> RLE:
    """The code of the mask mirrored left to right, without its pixels."""
    height, width = code["size"]
    ends = run_lengths(code["counts"]).cumsum()
    begin, end = ends[0::2][: len(ends) // 2], ends[1::2]
    begin, end = begin[begin < end], end[begin < end]
    left = begin // height
    pieces = (end - 1) // height - left + 1  # a run is cut where a column ends
    row = np.repeat(np.arange(len(begin)), pieces)
    column = left[row] + np.arange(len(row)) - (pieces.cumsum() - pieces)[row]
    shift = (width - 1 - 2 * column) * height
    begin = np.maximum(begin[row], column * height) + shift
    end = np.minimum(end[row], (column + 1) * height) + shift
    order = np.argsort(begin)
    edges = np.stack([begin[order], end[order]], axis=1).ravel()
    touching = np.flatnonzero(edges[:-1] == edges[1:])  # the end of a piece and the beginning of the next
    edges = np.delete(edges, np.concatenate([touching, touching + 1]))
    return compressed(np.diff(edges, prepend=0, append=height * width), (height, width))


def compressed(lengths: np.ndarray, size: tuple[int, int]) -> RLE:
    """The code of runs of `lengths` [n], which add up to the pixels of `size` (height, width)."""
    height, width = size
    lengths = lengths[:-1] if len(lengths) > 1 and lengths[-1] == 0 else lengths
    return coco_mask.frPyObjects({"size": [height, width], "counts": lengths.tolist()}, height, width)


def checked(value: object) -> RLE:
    """A code as files hold it, compressed (text) or not (a list of lengths), as one that can be decoded.

    Raises:
        ValueError: says what is wrong.
    """
    size, counts = (value.get("size"), value.get("counts")) if isinstance(value, dict) else (None, None)
    sides = size if isinstance(size, list | tuple) else ()
    if len(sides) != 2 or not all(type(side) is int and 0 < side < _MOST for side in sides):
        raise ValueError(f"RLE has size {size!r}; expected [height, width] in pixels")
    height, width = sides = (sides[0], sides[1])
    if isinstance(counts, list):
        lengths = _listed(counts, height * width)
    elif isinstance(counts, str | bytes):
        counts = counts.encode() if isinstance(counts, str) else counts
        lengths = run_lengths(counts)
    else:
        raise ValueError(f"RLE counts are neither text nor a list but {type(counts).__name__}")
    if lengths.min(initial=0) < 0 or lengths.sum() != height * width:
        raise ValueError(f"RLE counts add up to {lengths.sum()} instead of {height} × {width}, or some are negative")
    return {"size": [height, width], "counts": counts} if isinstance(counts, bytes) else compressed(lengths, sides)


def _listed(counts: list, most: int) -> np.ndarray:
    if not all(type(count) is int and 0 <= count <= most for count in counts):
        raise ValueError("RLE counts are no list of lengths of runs in pixels")
    return np.array(counts, np.int64)
