"""The networks that predict masks in windows of a feature pyramid (Lin et al. 2017; Lin's thesis, sec. 4.6).

Of each window size one: a hidden layer that sees the window, then a score and a mask beside each other. They are the
same at all levels, and fully convolutional. But masks are wanted at few places only, and training draws few, so there
the hidden layer is a matrix product with the cells of the windows; the numbers are those of the convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.detectors.layers.mask_windows import Places


class WindowMLP(nn.Module):
    """Score and mask of a window.

    Args:
        channels: C of the maps.
        size: of the window, in cells a side.
        width: of the hidden layer.
        mask_size: cells a side of the mask.
    """

    def __init__(self, channels: int, size: int, *, width: int, mask_size: int):
        super().__init__()
        self.size, self.mask_size = size, mask_size
        self.hidden = nn.Conv2d(channels, width, size, padding=size // 2)
        self.score = nn.Conv2d(width, 1, 1)
        self.mask = nn.Conv2d(width, mask_size**2, 1)
        nn.init.kaiming_normal_(self.hidden.weight, nonlinearity="relu")
        for layer in (self.score, self.mask):
            nn.init.normal_(layer.weight, std=0.01)
        for layer in (self.hidden, self.score, self.mask):
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, C, h, w] → logits of the score at each cell [B, h w]."""
        return self.score(F.relu(self.hidden(maps))).flatten(1)

    def vectors(self, windows: Tensor) -> Tensor:
        """Cells of windows [S, size, size, C] → hidden layer [S, width]."""
        weight = self.hidden.weight.permute(0, 2, 3, 1).flatten(1)
        return F.relu(F.linear(windows.flatten(1), weight, self.hidden.bias))

    def scores_of(self, vectors: Tensor) -> Tensor:
        """Logits of the score [S] of the hidden layer [S, width]."""
        return F.linear(vectors, self.score.weight.flatten(1), self.score.bias)[:, 0].float()

    def masks_of(self, vectors: Tensor) -> Tensor:
        """Logits of the mask [S, mask_size, mask_size] of the hidden layer [S, width]."""
        logits = F.linear(vectors, self.mask.weight.flatten(1), self.mask.bias)
        return logits.view(-1, self.mask_size, self.mask_size).float()


class WindowHead(nn.Module):
    """A `WindowMLP` for each window size.

    Args:
        channels: C of the maps.
        sizes: of the windows, in cells a side.
        width: of the hidden layers.
        mask_size: cells a side of a mask.
    """

    def __init__(self, channels: int, sizes: Sequence[int], *, width: int, mask_size: int):
        super().__init__()
        self.mlps = nn.ModuleList(WindowMLP(channels, size, width=width, mask_size=mask_size) for size in sizes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps [B, C, h, w] of the levels → logits of the score at all places [B, P], see `MaskWindows.places`."""
        return torch.cat([mlp(level) for level in maps for mlp in self.mlps], dim=1).float()

    def at(
        self, maps: Sequence[Tensor], image: Tensor, places: Places, masked: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits of the score [S] at some places, and of the mask [M, mask_size, mask_size] at some of these.

        Args:
            maps: [B, C, h, w] of the levels.
            image: [S] int64, which image of the batch each place is in.
            places: S of them.
            masked: [S] bool, where a mask is wanted; None: at all.
        """
        wanted = torch.ones_like(image, dtype=torch.bool) if masked is None else masked
        cells = torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2) for level in maps])  # [all cells, C]
        rows, scores, masks = [], [], []
        for number, mlp in enumerate(self.mlps):
            mine = torch.where(places.window == number)[0]
            index, inside = _cells_of_windows(maps, image[mine], places.take(mine), mlp.size)
            windows = cells.index_select(0, index.flatten()).view(*index.shape, cells.shape[1]) * inside[..., None]
            vectors = mlp.vectors(windows)
            rows.append(mine)
            scores.append(mlp.scores_of(vectors))
            masks.append(mlp.masks_of(vectors[wanted[mine]]))
        order = torch.cat(rows)
        return torch.cat(scores)[order.argsort()], torch.cat(masks)[order[wanted[order]].argsort()]


def _cells_of_windows(maps: Sequence[Tensor], image: Tensor, places: Places, size: int) -> tuple[Tensor, Tensor]:
    """Where the cells of windows lie among all cells of all maps, [S, size, size] int64, and which are on the map."""
    starts, shapes = [0], [tuple(level.shape[2:]) for level in maps]
    for height, width in shapes:
        starts.append(starts[-1] + len(maps[0]) * height * width)
    height, width = torch.tensor(shapes, device=image.device)[places.level, :, None, None].unbind(dim=1)
    start = torch.tensor(starts, device=image.device)[places.level, None, None]
    reach = torch.arange(size, device=image.device) - size // 2
    row, column = (places.row[:, None] + reach)[:, :, None], (places.column[:, None] + reach)[:, None]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    row, column = (row.clamp(min=0)).minimum(height - 1), (column.clamp(min=0)).minimum(width - 1)
    return start + (image[:, None, None] * height + row) * width + column, inside
