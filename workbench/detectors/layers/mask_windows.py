"""Where windows look for masks on a feature pyramid, and for which objects (Lin et al. 2017; Lin's thesis, sec. 4.6).

A window of 5 x 5 cells looks for objects of one scale (the larger of width and height), which doubles from level to
level; one of 7 x 7 cells for objects of √2 that scale, half an octave above. An object belongs to the level and
window whose scale is nearest to its own in log space, and there to all cells whose centres are within ±1 cell of its
own centre; where two objects claim a cell, to the nearer one. A mask covers a square region about the centre of its
cell, which is larger than the scale by the padding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.detectors.layers.mask_head import project
from workbench.detectors.layers.matching import balanced_sample

SCALES = {5: 1.0, 7: math.sqrt(2)}  #: cells a side of a window → scale of its objects, in that of 5 x 5


class Places(NamedTuple):
    """P places where windows look: each window at each cell of each level, or some of them."""

    level: Tensor  #: [P] int64
    window: Tensor  #: [P] int64, which of the windows
    row: Tensor  #: [P] int64, of the cell in the middle
    column: Tensor  #: [P] int64
    stride: Tensor  #: [P] float32, pixels of the network's input
    side: Tensor  #: [P] float32, of the region that a mask covers, in the same pixels

    def take(self, rows: Tensor) -> Places:
        """Only these."""
        return Places(*(part[rows] for part in self))

    def regions(self) -> Tensor:
        """What the masks cover, [P, 4] xyxy pixels of the network's input; they may reach outside."""
        centre = (torch.stack([self.column, self.row], dim=1) + 0.5) * self.stride[:, None]
        half = self.side[:, None] / 2
        return torch.cat([centre - half, centre + half], dim=1)

    def within(self, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Which cells hold a pixel of the images [B, P] bool, and do not lie in what only fills up the batch.

        Args:
            sizes: height and width of each image, in pixels of the network's input.
        """
        height, width = self.stride.new_tensor(sizes)[:, :, None].unbind(dim=1)
        return (self.row * self.stride < height) & (self.column * self.stride < width)


class MaskWindows:
    """The windows of a pyramid, of several sizes at each level.

    Args:
        strides: of the levels, fine to coarse, in pixels of the network's input.
        sizes: of the windows in cells a side, some of `SCALES`.
        finest_scale: pixels, of objects of the 5 x 5 window at the first level.
        padding: factor from the scale to the side of a mask's region.
    """

    def __init__(self, strides: Sequence[int], *, sizes: Sequence[int], finest_scale: float, padding: float):
        self.sizes, self.padding = tuple(sizes), padding
        slots = [(level, window) for level in range(len(strides)) for window in range(len(sizes))]
        self.levels, self.windows = [level for level, _ in slots], [window for _, window in slots]
        self.strides = [float(strides[level]) for level in self.levels]
        #: of each window at each level, as all lists here: the scale of its objects in pixels
        self.scales = [finest_scale * strides[i] / strides[0] * SCALES[sizes[k]] for i, k in slots]

    def places(self, maps: Sequence[Tensor]) -> Places:
        """All places on maps [B, C, h, w] of the levels: level by level, window by window, row by row."""
        shapes, device = self._shapes(maps), maps[0].device
        numbers = [height * width for height, width in shapes]
        starts, widths = self._starts(shapes), [width for _, width in shapes]
        sides = [self.padding * scale for scale in self.scales]
        slot = torch.arange(len(shapes), device=device).repeat_interleave(
            torch.tensor(numbers, device=device), output_size=starts[-1]
        )
        level, window, stride, side, start, width = (
            torch.tensor(each, device=device)[slot]
            for each in (self.levels, self.windows, self.strides, sides, starts, widths)
        )
        cell = torch.arange(starts[-1], device=device) - start
        return Places(level, window, cell // width, cell % width, stride, side)

    def assign(self, maps: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """The object whose mask each place learns [B, P] int64, a row of its image's boxes; −1 where there is none.

        Args:
            maps: [B, C, h, w] of the levels.
            boxes: [N, 4] of each image, xyxy pixels of the network's input.
        """
        shapes, truth = self._shapes(maps), torch.cat(list(boxes))
        starts = self._starts(shapes)
        start, size = (torch.tensor(each, device=truth.device) for each in (starts[:-1], shapes))
        size = size.flip(1)  # width, height
        scale = (truth[:, 2:] - truth[:, :2]).amax(dim=1)
        slot = (scale.log()[:, None] - truth.new_tensor(self.scales).log()).abs().argmin(dim=1)
        centre = (truth[:, :2] + truth[:, 2:]) / 2 / truth.new_tensor(self.strides)[slot, None] - 0.5  # [N, 2] cells
        steps = torch.arange(-1, 2, device=truth.device)
        near = centre.floor().long()[:, None] + torch.cartesian_prod(steps, steps)  # [N, 9, 2]
        away = near - centre[:, None]
        there = ((away.abs() <= 1) & (near >= 0) & (near < size[slot, None])).all(dim=2)  # [N, 9]
        place = start[slot, None] + near[..., 1] * size[slot, None, 0] + near[..., 0]
        image, row = _rows(boxes)
        claimant = torch.where(there)[0]
        claimed = image[claimant] * starts[-1] + place[there]
        order = away.square().sum(dim=2)[there].argsort(stable=True)  # the nearest first
        rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        best = rank.new_full((len(boxes) * starts[-1],), len(rank)).scatter_reduce_(0, claimed, rank, "amin")
        owners = torch.cat([row[claimant[order]], row.new_full((1,), -1)])
        return owners[best].view(len(boxes), -1)

    def _shapes(self, maps: Sequence[Tensor]) -> list[tuple[int, int]]:
        """Height and width of the map of each window at each level."""
        return [(maps[level].shape[2], maps[level].shape[3]) for level in self.levels]

    @staticmethod
    def _starts(shapes: Sequence[tuple[int, int]]) -> list[int]:
        """Where the places of each window at each level begin, and at last how many there are."""
        starts = [0]
        for height, width in shapes:
            starts.append(starts[-1] + height * width)
        return starts


def _rows(boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Of each box of all images the image [N], and its row among that image's [N]."""
    device = boxes[0].device
    image = [torch.full((len(each),), number, device=device) for number, each in enumerate(boxes)]
    return torch.cat(image), torch.cat([torch.arange(len(each), device=device) for each in boxes])


def sample_places(
    owners: Tensor, within: Tensor, samples: int, positive_fraction: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Up to `samples` places of each image to learn from: the image [S] and the place [S] of each.

    Args:
        owners: [B, P], the object of each place; −1 where there is none.
        within: [B, P] bool, which places may be drawn.
        samples, positive_fraction, generator: as for `balanced_sample`.
    """
    state = torch.where(within, (owners >= 0).long(), -1)
    drawn = [balanced_sample(each, samples, positive_fraction, generator) for each in state]
    image = [torch.full_like(each, number) for number, each in enumerate(drawn)]
    return torch.cat(image), torch.cat(drawn)


def have_masks(masks: Sequence[Tensor], image: Tensor, owner: Tensor) -> Tensor:
    """At which places [S] bool there is an object whose mask is known.

    Args:
        masks: [N, H, W] of each image; without a pixel where that of an object is unknown.
        image: [S], of each place.
        owner: [S], the object there, a row of its image's masks; −1 where there is none.
    """
    known = [*(each.flatten(1).any(dim=1).bool() for each in masks), torch.zeros_like(owner[:1]).bool()]
    starts = torch.tensor([0, *(len(each) for each in masks)], device=owner.device).cumsum(0)
    return torch.cat(known)[torch.where(owner < 0, -1, starts[image] + owner)]  # at last that of no object


def mask_goals(masks: Sequence[Tensor], regions: Tensor, image: Tensor, owner: Tensor, size: int) -> Tensor:
    """What the objects' masks are within the regions of their places: [M, size, size] in 0..1.

    Args:
        masks: [N, H, W] of each image.
        regions: [M, 4] xyxy pixels.
        image: [M], rising.
        owner: [M], rows of the image's masks.
        size: cells a side.
    """
    counts = torch.bincount(image, minlength=len(masks)).tolist()
    parts = zip(masks, regions.split(counts), owner.split(counts), strict=True)
    return torch.cat([project(each, boxes, owners, size, aligned=True) for each, boxes, owners in parts])
