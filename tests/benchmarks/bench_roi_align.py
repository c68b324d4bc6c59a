"""RoIAlign, forward and backward: our look-up against torchvision's CPU kernel on the same boxes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from measure import Row, must_agree, ratio
from torch import Tensor

from workbench.detectors.layers.roi_pool import assign_levels, bag_roi_align, kernel_roi_align, to_rois

AIM = 0.25


def boxes_of(count: int, size: float, largest: float, generator: torch.Generator) -> Tensor:
    """Boxes [count, 4]: log-uniform sides from 12 to `largest` pixels, inside an image of `size` pixels."""
    sides = 12 * (largest / 12) ** torch.rand(count, 2, generator=generator)
    corner = torch.rand(count, 2, generator=generator) * (size - sides).clamp(min=0)
    return torch.cat([corner, (corner + sides).clamp(max=size)], dim=1)


def case(
    images: int,
    rois: int,
    channels: int,
    size: int,
    strides: tuple[int, ...],
    canonical: float,
    largest: float,
) -> dict[str, Callable[[], tuple[Tensor, list[Tensor]]]]:
    """Both sides as functions that give the pooled features and the gradients of the maps."""
    generator = torch.Generator().manual_seed(0)
    levels = [
        torch.randn(images, channels, size // s, size // s, generator=generator)
        .contiguous(memory_format=torch.channels_last)
        .requires_grad_()
        for s in strides
    ]
    boxes = to_rois([boxes_of(rois, size, largest, generator) for _ in range(images)])
    assigned = assign_levels(boxes[:, 1:], strides, canonical_size=canonical)
    upstream = torch.randn(len(boxes), channels, 7, 7, generator=generator)

    def side(pool: Callable[..., Tensor]) -> Callable[[], tuple[Tensor, list[Tensor]]]:
        def both_ways() -> tuple[Tensor, list[Tensor]]:
            pooled = pool(levels, boxes, assigned, strides, 7, 2)
            return pooled, list(torch.autograd.grad(pooled, levels, upstream))

        return both_ways

    return {"ours": side(bag_roi_align), "theirs": side(kernel_roi_align)}


CASES = {
    "RoIAlign, 2000 RoIs, 256 channels, 320 px": (2, 1000, 256, 320, (4, 8, 16, 32), 224.0, 300.0),
    "RoIAlign, 768 RoIs, 64 channels, 128 px": (16, 48, 64, 128, (4, 8, 16), 112.0, 90.0),
}


def run(quick: bool) -> list[Row]:
    """Time both cases after checking that features and gradients agree to 1e-4."""
    rows = []
    for job, numbers in CASES.items():
        sides = case(*numbers)
        (ours, ours_grads), (theirs, theirs_grads) = sides["ours"](), sides["theirs"]()
        must_agree(job, ours.detach(), theirs.detach(), atol=1e-4)
        for a, b in zip(ours_grads, theirs_grads, strict=True):
            must_agree(f"{job}, gradient", a, b, atol=1e-4, rtol=1e-4)
        rounds = 3 if quick else 9
        rows.append(ratio(job, sides["ours"], sides["theirs"], peer="torchvision", aim=AIM, rounds=rounds))
    return rows
