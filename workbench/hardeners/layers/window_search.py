"""Exhaustive search for the occlusion that hurts most (A-Fast-RCNN, Wang et al. 2017, sec. 4.2.1).

A window of d/3 x d/3 cells slides over the d x d features of an RoI, all channels under it are zeroed, and the head
classifies what is left; the window of highest loss labels the pre-training of `ASDN`, and `HardDropout` hides it.

| | paper | released |
|---|---|---|
| window | d/3 x d/3 (d = 6: 2 x 2) | 2 x 2 on 7 x 7; here d/3 to the nearest whole number |
| stride | not said; here 1: all windows | 2, the last window of a row and column shifted back to fit: 16 windows |
| worst window | highest classification loss | lowest probability of the true class, which is the same window |

The search is exact. For a head that begins with a linear layer it costs little more than one pass (`TwoLayerScore`);
other heads classify every window in batches of bounded memory. With a convolutional head on 14 x 14 cells there are
100 windows of 5 x 5, each a pass of the head; take a stride of 2 or more there.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.errors import RecipeError
from workbench.types import Score


def windows(height: int, width: int, *, side: int | None = None, stride: int = 1) -> Tensor:
    """All positions of a square window, [W, h, w] bool, True inside; row by row.

    Args:
        height, width: of the map, in cells.
        side: of the window, in cells; None takes a third of the map's shorter side, to the nearest whole number.
        stride: cells between positions. The last one of a row or column always touches the edge.
    """
    if stride < 1:
        raise RecipeError(f"stride is {stride}; expected a number of cells of at least 1")
    side = max(1, round(min(height, width) / 3)) if side is None else min(side, height, width)
    found = torch.zeros(0, height, width, dtype=torch.bool)
    for top in _starts(height, side, stride):
        for left in _starts(width, side, stride):
            window = torch.zeros(1, height, width, dtype=torch.bool)
            window[0, top : top + side, left : left + side] = True
            found = torch.cat([found, window])
    return found


def _starts(extent: int, side: int, stride: int) -> list[int]:
    return sorted({*range(0, extent - side + 1, stride), extent - side})


@torch.no_grad()
def window_losses(score: Score, features: Tensor, labels: Tensor, cells: Tensor) -> Tensor:
    """Cross entropy [R, W] of features [R, C, h, w] with each window of cells [W, h, w] zeroed, labels [R]."""
    logits = score.without_cells(features, cells).float()
    spread = labels[:, None].expand(-1, len(cells))
    return F.cross_entropy(logits.flatten(0, 1), spread.flatten(), reduction="none").view(len(labels), -1)


def hardest_windows(score: Score, features: Tensor, labels: Tensor, *, stride: int = 1) -> Tensor:
    """The window of highest loss of each RoI as a map [R, h, w] bool, True inside (M̃ of A-Fast-RCNN, sec. 4.2.1).

    Args:
        features: [R, C, h, w].
        labels: [R] int64, 0 = background.
        stride: cells between the windows that are tried.
    """
    cells = windows(*features.shape[2:], stride=stride).to(features.device)
    return cells[window_losses(score, features, labels, cells).argmax(1)]
