"""Focal loss on 200,000 anchors of 80 classes, forward and backward, against torchvision's `sigmoid_focal_loss`.

Both sides begin with the labels of the anchors, as a detector has them: torchvision's needs a dense target made of
them and the ignored anchors taken out, as its own RetinaNet does. Before timing, loss and gradient must agree. Memory
is the peak of what tensors hold beyond the logits, in units of the logits' size.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from measure import Row, must_agree, peak_bytes, ratio
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from workbench.losses import focal_loss

ANCHORS, CLASSES = 200_000, 80
AIM, MEMORY = 0.25, 1.2
PEER = "sigmoid_focal_loss"


def anchors(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits [A, K] of a detector in training, and labels [A]: 1 % objects, 1 % ignored, the rest background."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(ANCHORS, CLASSES, generator=generator) - 4
    labels = torch.zeros(ANCHORS, dtype=torch.long)
    chosen = torch.randperm(ANCHORS, generator=generator)[: ANCHORS // 50].chunk(2)
    labels[chosen[0]] = torch.randint(1, CLASSES + 1, (len(chosen[0]),), generator=generator)
    labels[chosen[1]] = -1
    return logits.to(dtype).requires_grad_(), labels


def ours(logits: Tensor, labels: Tensor) -> Callable[[], tuple[Tensor, Tensor]]:
    """Loss and gradient."""

    def job() -> tuple[Tensor, Tensor]:
        loss = focal_loss(logits, labels)
        return loss.detach(), torch.autograd.grad(loss, logits)[0]

    return job


def theirs(logits: Tensor, labels: Tensor) -> Callable[[], tuple[Tensor, Tensor]]:
    """The same as torchvision's RetinaNet does it."""

    def job() -> tuple[Tensor, Tensor]:
        target = torch.zeros_like(logits)
        objects = labels > 0
        target[objects, labels[objects] - 1] = 1
        valid = labels >= 0
        loss = sigmoid_focal_loss(logits[valid], target[valid], reduction="sum")
        return loss.detach(), torch.autograd.grad(loss, logits)[0]

    return job


def memory(name: str, mine: Callable, other: Callable, size: int) -> list[Row]:
    """Peaks in units of the logits: ours with the aim, torchvision's beside it."""
    rows = []
    for job, peer, aim in ((mine, "size of the logits", MEMORY), (other, f"{PEER}, the same", None)):
        peak = peak_bytes(job)
        value = peak / size
        rows.append(Row(name, peer, value, value, value, aim, peak / 2**20, size / 2**20, 1, unit="MiB"))
    return rows


def run(quick: bool) -> list[Row]:
    """float32 with the aims, and bfloat16 logits, which torchvision computes in bfloat16."""
    rows = []
    for dtype, aim in ((torch.float32, AIM), (torch.bfloat16, None)):
        logits, labels = anchors(dtype)
        mine, other = ours(logits, labels), theirs(logits, labels)
        if dtype is torch.float32:
            for name, a, b in zip(("loss", "gradient"), mine(), other(), strict=True):
                must_agree(f"focal {name}", a, b, atol=1e-6, rtol=1e-4)
        kind = str(dtype).removeprefix("torch.")
        name = f"focal loss, 200k x 80, both directions, {kind}"
        rows.append(ratio(name, mine, other, peer=PEER, aim=aim, rounds=5 if quick else 11))
        if dtype is torch.float32:
            rows += memory("focal loss, memory beyond the logits", mine, other, math.prod(logits.shape) * 4)
    return rows
