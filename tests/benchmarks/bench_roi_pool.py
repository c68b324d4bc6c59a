"""RoI max pooling of a detector's proposals, forward, as fc6 takes it: our table of maxima against torchvision."""

from __future__ import annotations

from collections.abc import Callable

import torch
from bench_roi_align import boxes_of
from measure import Row, must_agree, ratio
from torch import Tensor

from workbench.detectors.layers.roi_max_pool import kernel_roi_max_pool, table_roi_max_pool
from workbench.detectors.layers.roi_pool import to_rois

AIM = 0.5
STRIDE, HEIGHT, WIDTH = 16, 38, 63  # of an image of 600 × 1000 pixels

#: images, RoIs of each, channels, cells per side
CASES = {
    "RoI max pooling, forward, VGG16, 2000 RoIs": (1, 2000, 512, 7),
    "RoI max pooling, forward, AlexNet, 2 × 2000 RoIs": (2, 2000, 256, 6),
}


def case(images: int, rois: int, channels: int, size: int) -> dict[str, Callable[[], Tensor]]:
    """Both sides as functions that give the pooled features, a row per RoI."""
    generator = torch.Generator().manual_seed(0)
    feature = torch.randn(images, channels, HEIGHT, WIDTH, generator=generator).relu()
    feature = feature.contiguous(memory_format=torch.channels_last)
    boxes = to_rois([boxes_of(rois, HEIGHT * STRIDE, 500.0, generator) for _ in range(images)])
    return {
        "ours": lambda: table_roi_max_pool(feature, boxes, STRIDE, size).flatten(1),
        "theirs": lambda: kernel_roi_max_pool(feature, boxes, STRIDE, size).flatten(1),
    }


def run(quick: bool) -> list[Row]:
    """Time both cases after checking that every bit agrees."""
    rows = []
    for job, numbers in CASES.items():
        sides = case(*numbers)
        must_agree(job, sides["ours"](), sides["theirs"](), atol=0)
        rounds = 3 if quick else 9
        rows.append(ratio(job, sides["ours"], sides["theirs"], peer="torchvision", aim=AIM, rounds=rounds))
    return rows
