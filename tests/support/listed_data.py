"""Data whose objects are written down, without any pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from workbench.data import Dataset
from workbench.data.dataset import make_target


class Listed(Dataset):
    """Images of 100 x 200 pixels with objects (label, x1, y1, x2, y2, hidden fraction, crowd); none can be opened.

    The last two may be left out: unknown, and no crowd.
    """

    name, split, classes = "listed", "all", ("cat", "dog", "cup")

    def __init__(self, images: Sequence[Sequence[tuple]]):
        self.objects = images

    def __len__(self):
        return len(self.objects)

    def size(self, index):
        return 100, 200

    def image(self, index):
        raise AssertionError("no picture is to be opened")

    def target(self, index):
        rows = [(*row, float("nan"), 0)[:7] if len(row) == 5 else row for row in self.objects[index]]
        boxes = torch.tensor([row[1:5] for row in rows], dtype=torch.float32).reshape(-1, 4)
        return make_target(
            image_id=index + 1,
            size=(100, 200),
            boxes=boxes,
            labels=torch.tensor([row[0] for row in rows], dtype=torch.long),
            area=(boxes[:, 2:] - boxes[:, :2]).prod(1),
            occlusion=torch.tensor([float(row[5]) for row in rows]),
            iscrowd=torch.tensor([bool(row[6]) for row in rows], dtype=torch.bool),
        )
