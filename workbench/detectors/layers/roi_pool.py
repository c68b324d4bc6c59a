"""RoIAlign over the levels of a feature pyramid (Mask R-CNN, sec. 3; FPN, eq. 1).

torchvision's CPU kernel is the largest single cost of a training step on small images, nearly all of it in the
backward pass. Every output of RoIAlign is a weighted sum of a few feature cells, so on a CPU we look the
cells up with `embedding_bag`: the features of all levels form one table [cells, C], each output is one bag. The
gradient is the same look-up the other way round. Elsewhere torchvision's kernel is the faster one and is used.
Both give the same numbers (`aligned=False`, as torchvision's detectors use it).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F
from torchvision.ops import roi_align as torchvision_roi_align


def assign_levels(
    boxes: Tensor, strides: tuple[int, ...], *, canonical_size: float = 224.0, canonical_level: int = 4
) -> Tensor:
    """The pyramid level of each box, k = floor(k0 + log2(sqrt(wh) / canonical size)) (FPN, eq. 1).

    Args:
        boxes: [R, 4] xyxy pixels of the network's input.
        strides: pixels per cell of each level, finest first, powers of two.
        canonical_size: pixels; a box of this size goes to `canonical_level`.
        canonical_level: log2 of that level's stride.

    Returns:
        [R] int64, an index into `strides`.
    """
    finest = int(math.log2(strides[0]))
    coarsest = int(math.log2(strides[-1]))
    size = torch.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    level = torch.floor(canonical_level + torch.log2(size / canonical_size) + 1e-6)
    return level.clamp(finest, coarsest).long() - finest


def _axis_taps(start: Tensor, length: Tensor, extent: Tensor, bins: int, samples: int) -> tuple[Tensor, Tensor]:
    """Cells and weights along one axis: [R, bins, T] each, T at most 2 * samples.

    `start` and `length` [R] are in cells, `extent` [R] is the number of cells of each RoI's level.
    """
    length = length.clamp(min=1.0)
    offset = (torch.arange(bins * samples, device=start.device, dtype=start.dtype) + 0.5) / samples
    position = start[:, None] + offset[None, :] * (length / bins)[:, None]
    extent = extent[:, None].to(start.dtype)
    inside = (position >= -1.0) & (position <= extent)
    position = torch.minimum(position.clamp(min=0.0), extent - 1)
    low = position.floor()
    high = torch.minimum(low + 1, extent - 1)
    weight = position - low
    weights = torch.stack([(1 - weight) * inside, weight * inside], dim=-1) / samples
    cells = torch.stack([low, high], dim=-1)
    shape = (len(start), bins, 2 * samples)
    return _merge_taps(cells.reshape(shape).int(), weights.reshape(shape))


def _merge_taps(cells: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Join taps [R, bins, T] on the same cell: neighbouring samples share cells, and fewer taps are faster."""
    first = cells[..., :1]
    steps = cells - first
    span = int(steps.max()) + 1
    if span >= cells.shape[-1]:
        return cells, weights
    merged = weights.new_zeros((*cells.shape[:-1], span)).scatter_add_(-1, steps.long(), weights)
    within = torch.arange(span, device=cells.device, dtype=cells.dtype)
    return first + torch.minimum(within, steps.amax(dim=-1, keepdim=True)), merged


class WeightedRows(torch.autograd.Function):
    """Row n of the result is the sum over taps t of weight[n, t] * table[index[n, t]]; on a CPU.

    The taps are a sparse matrix, so the gradient of the table is its transpose times the gradient of the result.
    scipy transposes by counting; PyTorch's own backward of `embedding_bag` sorts and is up to ten times slower.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        """Table [cells, C], index [n, T] int32 and weight [n, T] → [n, C]."""
        ctx.save_for_backward(index, weight)
        ctx.cells = len(table)
        return F.embedding_bag(index, table, mode="sum", per_sample_weights=weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Gradient [n, C] → that of the table."""
        index, weight = ctx.saved_tensors
        bags, taps = index.shape
        ends = np.arange(0, bags * taps + 1, taps, dtype=np.int32)
        rows = (weight.float().numpy().ravel(), index.numpy().ravel(), ends)
        by_cell = csr_matrix(rows, shape=(bags, ctx.cells)).tocsc()
        table = F.embedding_bag(
            torch.from_numpy(by_cell.indices),
            gradient.contiguous(),
            torch.from_numpy(by_cell.indptr[:-1]),
            mode="sum",
            per_sample_weights=torch.from_numpy(by_cell.data).to(gradient.dtype),
        )
        return table, None, None


def bag_roi_align(
    features: list[Tensor], rois: Tensor, levels: Tensor, strides: tuple[int, ...], size: int, samples: int
) -> Tensor:
    """RoIAlign as one `embedding_bag` over all levels; see `roi_align` for the arguments."""
    channels = features[0].shape[1]
    table = torch.cat([level.permute(0, 2, 3, 1).reshape(-1, channels) for level in features])
    if len(rois) == 0:
        return table.new_zeros((0, channels, size, size)) + 0 * table.sum()
    device = rois.device
    heights = torch.tensor([level.shape[2] for level in features], device=device, dtype=torch.int32)[levels]
    widths = torch.tensor([level.shape[3] for level in features], device=device, dtype=torch.int32)[levels]
    cells_before = [0]
    for level in features[:-1]:
        cells_before.append(cells_before[-1] + level.shape[0] * level.shape[2] * level.shape[3])
    first = torch.tensor(cells_before, device=device, dtype=torch.int32)[levels]
    first = first + rois[:, 0].int() * heights * widths
    boxes = rois[:, 1:] / torch.tensor(strides, device=device, dtype=rois.dtype)[levels][:, None]
    x, wx = _axis_taps(boxes[:, 0], boxes[:, 2] - boxes[:, 0], widths, size, samples)
    y, wy = _axis_taps(boxes[:, 1], boxes[:, 3] - boxes[:, 1], heights, size, samples)
    rows = first[:, None, None] + y * widths[:, None, None]
    index = rows[:, :, None, :, None] + x[:, None, :, None, :]
    weight = wy[:, :, None, :, None] * wx[:, None, :, None, :]
    taps = x.shape[-1] * y.shape[-1]
    pooled = WeightedRows.apply(table, index.reshape(-1, taps), weight.reshape(-1, taps).to(table.dtype))
    return pooled.reshape(len(rois), size, size, channels).permute(0, 3, 1, 2)


def kernel_roi_align(
    features: list[Tensor], rois: Tensor, levels: Tensor, strides: tuple[int, ...], size: int, samples: int
) -> Tensor:
    """RoIAlign by torchvision's kernel, level by level; see `roi_align` for the arguments."""
    pooled = features[0].new_zeros((len(rois), features[0].shape[1], size, size))
    for index, (level, stride) in enumerate(zip(features, strides, strict=True)):
        at_level = torch.where(levels == index)[0]
        part = torchvision_roi_align(level.to(rois.dtype), rois[at_level], size, 1 / stride, samples)
        pooled = pooled.index_copy(0, at_level, part.to(pooled.dtype))
    return pooled


def roi_align(
    features: list[Tensor],
    rois: Tensor,
    levels: Tensor,
    strides: tuple[int, ...],
    size: int,
    samples: int = 2,
) -> Tensor:
    """Pool each RoI to size x size cells with `samples` x `samples` bilinear samples per cell.

    Args:
        features: one [B, C, h, w] per level, finest first.
        rois: [R, 5], image index in the batch, then xyxy pixels.
        levels: [R] int64, an index into `features`.
        strides: pixels per cell of each level.
        size: cells per side of the output.
        samples: samples per cell and axis; 0 lets torchvision choose by the size of the RoI.

    Returns:
        [R, C, size, size], differentiable with respect to `features`.
    """
    pool = bag_roi_align if rois.device.type == "cpu" and samples > 0 else kernel_roi_align
    return pool(features, rois, levels, strides, size, samples)


def to_rois(boxes: list[Tensor]) -> Tensor:
    """Boxes [N, 4] of each image as one [R, 5] with the image index in front."""
    index = torch.cat([box.new_full((len(box), 1), i) for i, box in enumerate(boxes)])
    return torch.cat([index, torch.cat(boxes)], dim=1)


class PyramidPool(nn.Module):
    """Pools boxes from the level that fits their size (FPN, eq. 1); a subclass says how.

    Args:
        strides: pixels per cell of each level that is pooled from, finest first.
        size: cells per side of the output.
        canonical_size: pixels; a box of this size goes to `canonical_level`, the log2 of that level's stride.
    """

    def __init__(
        self,
        strides: tuple[int, ...],
        *,
        size: int = 7,
        canonical_size: float = 224.0,
        canonical_level: int = 4,
    ):
        super().__init__()
        self.strides = tuple(strides)
        self.size = size
        self.canonical_size = canonical_size
        self.canonical_level = canonical_level

    def levels(self, boxes: Tensor) -> Tensor:
        """The level [R] of each box [R, 4]."""
        if len(self.strides) == 1:
            return torch.zeros(len(boxes), dtype=torch.long, device=boxes.device)
        return assign_levels(
            boxes, self.strides, canonical_size=self.canonical_size, canonical_level=self.canonical_level
        )

    def forward(self, features: list[Tensor], boxes: list[Tensor]) -> Tensor:
        """Features [R, C, size, size] of the boxes [N, 4] of every image, in order."""
        rois = to_rois(boxes)
        return self.pool(features[: len(self.strides)], rois, self.levels(rois[:, 1:]))

    def pool(self, features: list[Tensor], rois: Tensor, levels: Tensor) -> Tensor:
        """Pool each of the RoIs [R, 5] (image index, xyxy pixels) from the map at its level [R]."""
        raise NotImplementedError


class RoIAlign(PyramidPool):
    """Bilinear samples (Mask R-CNN, sec. 3); the levels are those of torchvision's MultiScaleRoIAlign.

    Args:
        samples: per cell and axis; 0 lets torchvision choose by the size of the RoI.
    """

    def __init__(self, strides: tuple[int, ...], *, samples: int = 2, **options: Any):
        super().__init__(strides, **options)
        self.samples = samples

    def pool(self, features: list[Tensor], rois: Tensor, levels: Tensor) -> Tensor:
        """See `PyramidPool`."""
        return roi_align(features, rois, levels, self.strides, self.size, self.samples)
