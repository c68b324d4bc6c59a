"""Online hard example mining: 2000 RoIs scored, 256 learned from, against back-propagating through all 2000.

Both sides pool from the same maps and learn from the same RoIs. Before timing: losses and the gradients of head and
maps agree to 1e-5.
"""

from __future__ import annotations

import torch
from bench_roi_align import boxes_of
from measure import Row, must_agree, ratio
from torch import Tensor
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

from workbench.detectors.layers.roi_head import RoIHead
from workbench.detectors.layers.roi_pool import RoIAlign

AIM, STRIDES, SIZE = 0.5, (4, 8, 16, 32), 320


def run(quick: bool) -> list[Row]:
    """The RoI head of R50-FPN with two images of 1000 RoIs each, both directions."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    pool, box_head, predictor = RoIAlign(STRIDES), TwoMLPHead(256 * 49, 1024), FastRCNNPredictor(1024, 21)
    head = RoIHead(pool, box_head, predictor, mining={"kind": "ohem", "kept": 128})
    maps = [
        torch.rand(2, 256, SIZE // stride, SIZE // stride, generator=generator)
        .contiguous(memory_format=torch.channels_last)
        .requires_grad_()
        for stride in STRIDES
    ]
    objects = [boxes_of(10, SIZE, 200, generator) for _ in range(2)]
    targets = [{"boxes": boxes, "labels": torch.randint(1, 21, (10,), generator=generator)} for boxes in objects]
    near = [boxes.repeat(40, 1) + 8 * torch.randn(400, 1, generator=generator) for boxes in objects]  # moved
    proposals = [torch.cat([some, boxes_of(590, SIZE, 300, generator)]) for some in near]
    learning = [*head.parameters(), *maps]

    def ours() -> tuple[Tensor, ...]:
        losses = head.losses(maps, proposals, targets)
        total = losses["classifier"] + losses["box"]
        return total.detach(), *torch.autograd.grad(total, learning)

    def through_all() -> tuple[Tensor, ...]:
        rois, labels, truth, _ = head.sample(proposals, targets)
        logits, deltas = predictor(box_head(pool(maps, rois)))
        each = sum(head.roi_losses(logits, deltas, rois, labels, truth))
        counts = [len(boxes) for boxes in rois]
        parts = zip(rois, labels, each.detach().split(counts), strict=True)
        kept = torch.cat([head.mining(*image) + first for image, first in zip(parts, (0, counts[0]), strict=True)])
        total = each[kept].mean()
        return total.detach(), *torch.autograd.grad(total, learning)

    for mine, theirs in zip(ours(), through_all(), strict=True):
        scale = max(float(theirs.abs().max()), 1e-12)  # a level that no RoI is pooled from has none
        must_agree("OHEM", mine / scale, theirs / scale, atol=1e-5)
    job = "OHEM, 2000 to 256 RoIs, R50-FPN head"
    return [ratio(job, ours, through_all, peer="backward through all", aim=AIM, rounds=3 if quick else 7)]
