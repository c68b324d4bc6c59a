"""Masks that are predicted within windows of an image, as proposals: enlarged, cut at a threshold, and coded."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from workbench.rle import encode_masks
from workbench.types import Proposals

PIXELS = 2**24  #: of masks that are enlarged at once


def window_proposals(
    logits: Tensor, windows: Tensor, scores: Tensor, size: tuple[int, int], *, threshold: float = 0.2
) -> Proposals:
    """Proposals of an image from masks within windows, best first; boxes are drawn tightly around the masks.

    A mask is enlarged to the pixels of its window bilinearly, as `F.interpolate` does it; what reaches outside the
    image is cut off. Masks without a pixel are left out.

    Args:
        logits: of the masks [N, h, w].
        windows: [N, 4] xyxy pixels of the image; they may reach outside.
        scores: [N] in 0..1.
        size: height and width of the image.
        threshold: of the probability from which a pixel belongs to the object (DeepMask: 0.2).
    """
    return proposals_and_rows(logits, windows, scores, size, threshold=threshold)[0]


def proposals_and_rows(
    logits: Tensor, windows: Tensor, scores: Tensor, size: tuple[int, int], *, threshold: float
) -> tuple[Proposals, Tensor]:
    """The proposals that `window_proposals` gives, and which of the N windows [P] each is from."""
    order = scores.argsort(descending=True, stable=True)
    logits, windows, scores = logits[order].float(), windows[order].float(), scores[order].float()
    cut = math.log(threshold / (1 - threshold))
    boxes, codes, kept = [], [], []
    step = max(1, PIXELS // (size[0] * size[1]))
    for start in range(0, len(logits), step):
        masks = enlarge(logits[start : start + step], windows[start : start + step], size) > cut
        rows, columns = masks.any(dim=2), masks.any(dim=1)
        some = rows.any(dim=1)
        kept.append(some)
        boxes.append(_around(rows[some], columns[some]))
        codes += encode_masks(masks[some])
    if not kept:
        return Proposals(windows, scores, []), order
    there = torch.cat(kept)
    return Proposals(torch.cat(boxes), scores[there], codes), order[there]


def joined_proposals(parts: Sequence[Proposals]) -> tuple[Proposals, Tensor]:
    """Proposals of several scales of one image as one, best first, and which one of all parts [P] each is."""
    boxes, scores = torch.cat([part.boxes for part in parts]), torch.cat([part.scores for part in parts])
    masks = [code for part in parts for code in part.masks or []]
    order = scores.argsort(descending=True, stable=True)
    return Proposals(boxes, scores, masks)[order], order


def enlarge(logits: Tensor, windows: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps [N, h, w] enlarged to their windows [N, 4] in an image of `size`: [N, H, W], −∞ outside the windows.

    Rows and columns are interpolated apart, each as a product with the weights of its neighbours.
    """
    rows = _weights(windows[:, 1], windows[:, 3], logits.shape[1], size[0])  # [N, H, h]
    columns = _weights(windows[:, 0], windows[:, 2], logits.shape[2], size[1])  # [N, W, w]
    whole = torch.bmm(torch.bmm(rows, logits), columns.transpose(1, 2))
    outside = (rows.sum(dim=2) == 0)[:, :, None] | (columns.sum(dim=2) == 0)[:, None]
    return whole.masked_fill_(outside, -torch.inf)


def _weights(low: Tensor, high: Tensor, cells: int, pixels: int) -> Tensor:
    """What each cell gives to each pixel [N, pixels, cells] of windows that span low [N] to high [N]; 0 outside."""
    centre = torch.arange(pixels, device=low.device) + 0.5  # of each pixel
    within = (centre - low[:, None]) / (high - low)[:, None]  # 0..1 [N, pixels]
    place = (within * cells - 0.5).clamp(0, cells - 1)  # the outermost cells reach to the edges
    near = 1 - (place[:, :, None] - torch.arange(cells, device=low.device)).abs()
    return near.clamp_(min=0) * ((within >= 0) & (within <= 1))[:, :, None]


def _around(rows: Tensor, columns: Tensor) -> Tensor:
    """Boxes [N, 4] around masks, of which is known which rows [N, H] and columns [N, W] have a pixel."""
    sides = [edge for used in (columns, rows) for edge in _ends(used)]
    return torch.stack([sides[0], sides[2], sides[1], sides[3]], dim=1).float()


def _ends(used: Tensor) -> tuple[Tensor, Tensor]:
    """The first place [N] and the one after the last [N] where bool [N, n] is set."""
    as_number = used.to(torch.uint8)
    return as_number.argmax(dim=1), used.shape[1] - as_number.flip(1).argmax(dim=1)
