"""Mean shapes of a class: masks of objects within their boxes, averaged by the ratio of width and height."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from workbench.data import Dataset
from workbench.detectors.layers.mask_head import project
from workbench.progress import Bar
from workbench.types import Target, learnable

THRESHOLDS = tuple(round(0.05 * place, 2) for place in range(1, 20))  #: that "best" chooses from
SMALLEST = 4.0  #: pixels of a box's shorter side, below which a mask says little
Parts = list[tuple[Tensor, Tensor]]  # of a class: ratios [n] of width and height, and masks [n, s, s] uint8 in 0..1


def aligned_masks(data: Dataset, key: str, side: int, most: int, *, progress: bool) -> list[Parts]:
    """Masks of objects within their boxes, class by class."""
    found: list[Parts] = [[] for _ in data.classes]
    left = np.full(len(data.classes) + 1, most)
    for index in Bar(range(len(data)), desc=f"shapes of {data.name}", disable=not progress):
        target: Target = data.target(index)
        labels = target["labels"]
        if not len(labels) or not (left[labels.numpy()] > 0).any() or key not in target:
            continue
        boxes = target["boxes"].as_subclass(Tensor).float()
        usable = learnable(target) & ((boxes[:, 2:] - boxes[:, :2]).amin(1) >= SMALLEST)
        usable &= target[key].flatten(1).any(1)
        rows = []
        for row in torch.where(usable)[0].tolist():
            if left[labels[row]] > 0:
                left[labels[row]] -= 1
                rows.append(row)
        own = torch.tensor(rows, dtype=torch.int64)
        cells = project(target[key].as_subclass(Tensor), boxes[own], own, side, aligned=True) >= 0.5
        for row, mask in zip(rows, cells, strict=True):
            found[int(labels[row]) - 1].append((ratios_of(boxes[row][None]), mask[None]))
        if (left[1:] <= 0).all():
            break
    return found


def ratios_of(boxes: Tensor) -> Tensor:
    """Width / height [N] of boxes [N, 4]."""
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3)
    return sides[:, 0] / sides[:, 1]


def mean_shapes(parts: Parts, aspects: int, side: int) -> tuple[Tensor, ...]:
    """Means [A, s, s], counts [A], ratios [A] and edges [A - 1] of the objects of a class."""
    if not parts:
        none = torch.zeros(aspects, dtype=torch.int64)
        return torch.zeros(aspects, side, side), none, torch.ones(aspects), torch.ones(aspects - 1)
    ratios, masks = (torch.cat(column) for column in zip(*parts, strict=True))
    edges = torch.quantile(ratios, torch.linspace(0, 1, aspects + 1)[1:-1]) if aspects > 1 else torch.zeros(0)
    place = (ratios[:, None] > edges).sum(1)
    counts = torch.bincount(place, minlength=aspects)
    whole = masks.float().mean(0)
    means = [masks[place == one].float().mean(0) if counts[one] else whole for one in range(aspects)]
    usual = [ratios[place == one].log().mean().exp() if counts[one] else ratios.mean() for one in range(aspects)]
    return torch.stack(means), counts, torch.stack(usual), edges


def best_threshold(parts: Parts, means: Tensor, edges: Tensor) -> float:
    """The threshold with the highest mean IoU between the masks of a class and its mean shapes; 0.5 without masks."""
    if not parts:
        return 0.5
    ratios, masks = (torch.cat(column) for column in zip(*parts, strict=True))
    own = means[(ratios[:, None] > edges).sum(1)]
    ious = []
    for value in THRESHOLDS:
        shape = own >= value
        both, either = (shape & masks).sum((1, 2)), (shape | masks).sum((1, 2))
        ious.append(float((both / either.clamp(min=1)).mean()))
    return THRESHOLDS[int(np.argmax(ious))]
