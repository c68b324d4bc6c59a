"""RoI max pooling (Fast R-CNN, sec. 2.1): each cell of the output is the maximum over a whole window of the map.

torchvision's CPU kernel looks at every cell of every window. A maximum may look at cells twice, so any window is
covered by four overlapping ones whose sides are powers of two; the maxima of all such windows of a map are made once
(a sparse table, each size from the one half as large), and every RoI then costs four look-ups per output cell,
whatever its size. The results are bit-equal. In training torchvision's kernel is used, which also gives where each
maximum was, and on all devices but CPUs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import roi_pool as torchvision_roi_pool

from workbench.detectors.layers.roi_pool import PyramidPool

CHUNK = 2**16  #: values per look-up: small enough to stay in the processor's cache


def kernel_roi_max_pool(feature: Tensor, rois: Tensor, stride: int, size: int) -> Tensor:
    """RoI max pooling by torchvision's kernel; see `roi_max_pool`."""
    return torchvision_roi_pool(feature.to(rois.dtype), rois, size, 1 / stride).to(feature.dtype)


def table_roi_max_pool(feature: Tensor, rois: Tensor, stride: int, size: int) -> Tensor:
    """RoI max pooling by a sparse table of range maxima, forward only; see `roi_max_pool`."""
    channels, height, width = feature.shape[1:]
    top, bottom = _windows(rois[:, 2], rois[:, 4], stride, size, height)
    left, right = _windows(rois[:, 1], rois[:, 3], stride, size, width)
    tall, wide = _log2(bottom - top)[:, :, None], _log2(right - left)[:, None, :]
    table, first = _maxima(feature, tall, wide)
    start = first[tall, wide] + (rois[:, 0].long() * height * width)[:, None, None]
    rows = torch.stack([top, bottom - (1 << tall[:, :, 0])])[:, :, :, None] * width
    columns = torch.stack([left, right - (1 << wide[:, 0])])[:, :, None, :]
    corners = (start + rows[:, None] + columns[None]).reshape(4, len(rois), size**2)
    empty = ((bottom <= top)[:, :, None] | (right <= left)[:, None, :]).flatten(1)
    corners[:, empty] = len(table) - 1
    pooled = feature.new_empty((len(rois), channels, size**2))
    at_once = max(1, CHUNK // (channels * size**2))
    for part, corner in zip(pooled.split(at_once), corners.split(at_once, dim=1), strict=True):
        one, two, three, four = (table.index_select(0, cells) for cells in corner.flatten(1))
        torch.maximum(torch.maximum(one, two, out=one), torch.maximum(three, four, out=three), out=one)
        part.copy_(one.view(-1, size**2, channels).transpose(1, 2))
    return pooled.view(-1, channels, size, size)


def _windows(low: Tensor, high: Tensor, stride: int, size: int, extent: int) -> tuple[Tensor, Tensor]:
    """First cell of each window along one axis, and the one after its last, [R, size] int64, as the kernel has it."""
    first, last = _rounded(low * (1 / stride)), _rounded(high * (1 / stride))
    length = (last - first + 1).clamp(min=1).to(low.dtype) / size
    steps = torch.arange(size + 1, dtype=low.dtype) * length[:, None]
    start = (steps[:, :-1].floor().long() + first[:, None]).clamp(0, extent)
    end = (steps[:, 1:].ceil().long() + first[:, None]).clamp(0, extent)
    return start, end


def _rounded(values: Tensor) -> Tensor:
    """The nearest whole number, halves away from zero (torch's own rounding takes them to even numbers)."""
    return (values.sign() * (values.double().abs() + 0.5).floor()).long()


def _log2(lengths: Tensor) -> Tensor:
    """The largest k with 2^k <= length, 0 for empty windows."""
    return torch.frexp(lengths.clamp(min=1).float())[1].long() - 1


def _maxima(feature: Tensor, tall: Tensor, wide: Tensor) -> tuple[Tensor, Tensor]:
    """Maxima of all windows of 2^a × 2^b cells that are asked for, and the row [a, b] at which those of a size begin.

    The table is [rows, C], one row per cell that a window begins in, with a row of zeros at the end.
    """
    heights, widths = int(tall.max()) + 1, int(wide.max()) + 1
    wanted = torch.zeros((heights, widths), dtype=torch.bool)
    wanted[tall, wide] = True
    flat = feature.permute(0, 2, 3, 1).contiguous()  # [B, h, w, C]
    cells = flat[..., 0].numel()
    first = ((wanted.flatten().cumsum(0) - 1) * cells).view(wanted.shape)
    parts = []
    for a in range(heights):
        flat = _doubled(flat, 1, a)
        row = flat
        for b in range(widths):
            row = _doubled(row, 2, b)
            parts += [row.flatten(0, 2)] if wanted[a, b] else []
    return torch.cat([*parts, flat.new_zeros((1, flat.shape[-1]))]), first


def _doubled(maxima: Tensor, axis: int, level: int) -> Tensor:
    """Maxima over windows of 2^level cells along `axis` from those over half as many; the ends are never used."""
    step = (1 << level) // 2
    if step == 0 or step >= maxima.shape[axis]:
        return maxima
    extent = maxima.shape[axis] - step
    longer = maxima.clone()
    both = maxima.narrow(axis, 0, extent), maxima.narrow(axis, step, extent)
    torch.maximum(*both, out=longer.narrow(axis, 0, extent))
    return longer


def roi_max_pool(feature: Tensor, rois: Tensor, stride: int, size: int) -> Tensor:
    """The maxima of size × size windows of each RoI, 0 where a window lies outside the map.

    Args:
        feature: [B, C, h, w].
        rois: [R, 5], image index in the batch, then xyxy pixels.
        stride: pixels per cell of the map.

    Returns:
        [R, C, size, size], differentiable with respect to `feature`.
    """
    learns = torch.is_grad_enabled() and feature.requires_grad
    cells = feature.shape[0] * feature.shape[2] * feature.shape[3]
    repays = 4 * len(rois) * size**2 > 8 * cells  # the table is a few maps large
    pool = kernel_roi_max_pool if learns or rois.device.type != "cpu" or not repays else table_roi_max_pool
    return pool(feature, rois, stride, size)


class RoIMaxPool(PyramidPool):
    """Pools boxes from the level that fits their size, by maxima."""

    def pool(self, features: list[Tensor], rois: Tensor, levels: Tensor) -> Tensor:
        """See `PyramidPool`."""
        if len(features) == 1:
            return roi_max_pool(features[0], rois, self.strides[0], self.size)
        pooled = features[0].new_zeros((len(rois), features[0].shape[1], self.size, self.size))
        for index, (level, stride) in enumerate(zip(features, self.strides, strict=True)):
            at_level = torch.where(levels == index)[0]
            part = roi_max_pool(level, rois[at_level], stride, self.size)
            pooled = pooled.index_copy(0, at_level, part)
        return pooled
