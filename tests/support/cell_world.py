"""Pooled features in which each class lights up one channel at one of four places, and a head that knows it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

from workbench.detectors.layers.head_score import TwoLayerScore
from workbench.types import HeadLayout, RoIBatch

CHANNELS, SIZE, WIDTH, CLASSES = 6, 7, 32, 3
Head = tuple[TwoMLPHead, FastRCNNPredictor]


def world(rois: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features [R, 6, 7, 7] and labels [R]: each class lights up 2 x 2 cells of its channel, background nothing."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES + 1, (rois,), generator=generator)
    features = 0.2 * torch.rand(rois, CHANNELS, SIZE, SIZE, generator=generator)
    for roi, label in enumerate(labels.tolist()):
        top, left = (1 + 3 * torch.randint(0, 2, (2,), generator=generator)).tolist()
        if label:
            features[roi, label, top : top + 2, left : left + 2] += 1.0
    return features, labels


def learned_head() -> Head:
    """Two linear layers that have learned the classes."""
    torch.manual_seed(0)
    box_head, predictor = TwoMLPHead(CHANNELS * SIZE**2, WIDTH), FastRCNNPredictor(WIDTH, CLASSES + 1)
    features, labels = world(600, 0)
    optimizer = torch.optim.Adam([*box_head.parameters(), *predictor.cls_score.parameters()], 3e-3)
    for _ in range(80):
        optimizer.zero_grad()
        F.cross_entropy(predictor.cls_score(box_head(features)), labels).backward()
        optimizer.step()
    return box_head, predictor


def batch_of(head: Head, features: Tensor, labels: Tensor, seed: int = 0) -> RoIBatch:
    """What a hardener sees of them, as RoIs of two images."""
    index = torch.arange(len(labels)) % 2
    return RoIBatch(features, labels, index, TwoLayerScore(*head), torch.Generator().manual_seed(seed))


def head_layout(head: Head) -> HeadLayout:
    """What an adversary must know of the head."""
    return HeadLayout(CHANNELS, SIZE, (head[0].fc6, head[0].fc7))
