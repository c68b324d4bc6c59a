"""Mask R-CNN R50-FPN at 300 px, batch 2: our training step against torchvision's.

Same state dict, same images, frozen BatchNorm, stem and layer1 frozen, equal numbers of proposals and RoIs. Before
timing, detections with their masks must agree, and losses too for the same draws. torchvision runs in float32, as its
reference training does on CPUs. The objects are ellipses in the boxes of `bench_faster_rcnn`.
"""

from __future__ import annotations

import torch
from bench_faster_rcnn import CLASSES, LOSSES, PEER, SIZE, calm, our_loss, peer_loss, photographs, step_of
from measure import Row, has_amx, must_agree, ratio, skipped
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN as TorchvisionMaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from workbench.detectors import Detector, build_detector
from workbench.detectors.layers.mask_head import paste
from workbench.types import Target

AIMS = {"float32": 0.90, "bfloat16": 0.40}


def scenes() -> tuple[list[Tensor], list[Target]]:
    """The images of `bench_faster_rcnn`, whose objects are ellipses."""
    images, targets = photographs()
    y, x = torch.meshgrid(*[torch.arange(SIZE) + 0.5] * 2, indexing="ij")
    for target in targets:
        x1, y1, x2, y2 = (side[:, None, None] for side in target["boxes"].unbind(1))
        across, down = (x - (x1 + x2) / 2) / (x2 - x1), (y - (y1 + y2) / 2) / (y2 - y1)
        target["masks"] = (across**2 + down**2 <= 0.25).to(torch.uint8)
    return images, targets


def pair() -> tuple[nn.Module, Detector]:
    """torchvision's detector, and ours with its weights."""
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, trainable_layers=3, norm_layer=FrozenBatchNorm2d
    )
    peer = TorchvisionMaskRCNN(backbone, len(CLASSES) + 1, min_size=SIZE, max_size=SIZE)
    calm(peer)
    config = {"kind": "mask-rcnn", "backbone": {"name": "resnet50", "frozen_stages": 2}}
    ours = build_detector(config | {"min_size": SIZE, "max_size": SIZE}, CLASSES)
    ours.load_state_dict(peer.state_dict())
    return peer, ours


def check(peer: nn.Module, ours: Detector, images: list[Tensor], targets: list[Target]) -> None:
    """Stop unless boxes, masks and losses agree."""
    with torch.no_grad():
        want = peer.eval()(images)
    found = ours.detect(images)
    shapes = ours.mask_boxes(images, [one.boxes for one in found], [one.labels for one in found])
    for a, b, shape in zip(found, want, shapes, strict=True):
        must_agree("detections", a.boxes, b["boxes"], atol=1e-3)
        must_agree("masks", paste(shape, a.boxes, (SIZE, SIZE), threshold=None), b["masks"][:, 0], atol=1e-3)
    torch.manual_seed(5)
    theirs = peer.train()(images, targets)
    generator = torch.Generator().manual_seed(5)
    for _ in images:  # torchvision's transform draws a size for every image, also where there is one
        torch.empty(1).uniform_(generator=generator)
    mine = ours.losses(images, targets, generator)
    for name, peer_name in {**LOSSES, "mask": "loss_mask"}.items():
        must_agree(f"loss {name}", mine[name].detach(), theirs[peer_name].detach(), atol=1e-4, rtol=1e-4)


def run(quick: bool) -> list[Row]:
    """The training step in float32 and bfloat16."""
    peer, ours = pair()
    images, targets = scenes()
    check(peer, ours, images, targets)
    their_step = step_of(list(peer.parameters()), peer_loss(peer, images, targets, bf16=False), ours=False)
    rows = []
    for kind, aim in AIMS.items():
        name, bf16 = f"training step, Mask R50-FPN, {kind}", kind == "bfloat16"
        if bf16 and not has_amx():
            rows.append(skipped(name, PEER, aim, "no AMX"))
            continue
        my_loss = our_loss(ours, images, targets, bf16=bf16)
        if bf16:
            exact = our_loss(ours, images, targets, bf16=False)().detach()
            must_agree("loss in bfloat16", my_loss().detach(), exact, atol=0, rtol=0.05)
        my_step = step_of(list(ours.parameters()), my_loss, ours=True)
        rows.append(ratio(name, my_step, their_step, peer=PEER, aim=aim, rounds=3 if quick else 9))
    return rows
