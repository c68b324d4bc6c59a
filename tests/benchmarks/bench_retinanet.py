"""RetinaNet R50 at 300 px, batch 2: our training step and inference against torchvision's.

Same state dict, same images, frozen BatchNorm, stem and layer1 frozen, the form of torchvision. Before timing,
detections and losses must agree. torchvision runs in float32, as its reference training does on CPUs; a last row
shows what bfloat16 gives it.
"""

from __future__ import annotations

import torch
from bench_faster_rcnn import CLASSES, PEER, SIZE, calm, detection, our_loss, peer_loss, photographs, step_of
from measure import Row, has_amx, must_agree, ratio, skipped
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from workbench.detectors import Detector, build_detector
from workbench.types import Target

LOSSES = {"classifier": "classification", "box": "bbox_regression"}


def pair() -> tuple[nn.Module, Detector]:
    """torchvision's detector, and ours with its weights."""
    torch.manual_seed(0)
    levels = {"returned_layers": [2, 3, 4], "extra_blocks": LastLevelP6P7(256, 256)}
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, trainable_layers=3, norm_layer=FrozenBatchNorm2d, **levels
    )
    peer = RetinaNet(backbone, len(CLASSES) + 1, min_size=SIZE, max_size=SIZE)
    calm(peer)
    for module in peer.head.modules():  # the published initialisation makes all scores of random maps the same
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=1)
    config = {
        "kind": "retinanet",
        "form": "torchvision",
        "backbone": {"name": "resnet50", "norm": "frozen", "frozen_stages": 2},
        "min_size": SIZE,
        "max_size": SIZE,
    }
    ours = build_detector(config, CLASSES)
    ours.load_state_dict(peer.state_dict())
    learning = [sum(p.numel() for p in net.parameters() if p.requires_grad) for net in (peer, ours)]
    if learning[0] != learning[1]:
        raise SystemExit(f"torchvision trains {learning[0]} numbers and we {learning[1]}: not the same work")
    return peer, ours


def check(peer: nn.Module, ours: Detector, images: list[Tensor], targets: list[Target]) -> None:
    """Stop unless detections agree to 1e-3 pixels and losses to 1e-4."""
    with torch.no_grad():
        want = peer.eval()(images)
    for mine, theirs in zip(ours.detect(images), want, strict=True):
        classes = theirs["labels"] > 0  # torchvision lets an untrained background logit detect, too
        must_agree("boxes", mine.boxes[:20], theirs["boxes"][classes][:20], atol=1e-3)
        must_agree("scores", mine.scores[:20], theirs["scores"][classes][:20], atol=1e-4)
    losses, expected = ours.losses(images, targets), peer.train()(images, targets)
    for name, other in LOSSES.items():
        must_agree(f"loss {name}", losses[name].detach(), expected[other].detach(), atol=1e-4, rtol=1e-4)


def run(quick: bool) -> list[Row]:
    """Step and inference, float32 and bfloat16."""
    rounds = 3 if quick else 9
    peer, ours = pair()
    images, targets = photographs()
    check(peer, ours, images, targets)
    their_detection = detection(lambda batch: peer.eval()(batch), images, bf16=False)
    their_step = step_of(list(peer.parameters()), peer_loss(peer, images, targets, bf16=False), ours=False)
    rows = []
    for bf16, aim in ((False, 0.9), (True, 0.4)):
        kind = "bfloat16" if bf16 else "float32"
        name, found = f"training step, RetinaNet R50, {kind}", f"detection, RetinaNet R50, {kind}"
        if bf16 and not has_amx():
            rows += [skipped(name, PEER, aim, "no AMX")]
            continue
        my_loss = our_loss(ours, images, targets, bf16=bf16)
        if bf16:
            exact = our_loss(ours, images, targets, bf16=False)().detach()
            must_agree("loss in bfloat16", my_loss().detach(), exact, atol=0, rtol=0.05)
        my_step = step_of(list(ours.parameters()), my_loss, ours=True)
        rows.append(ratio(name, my_step, their_step, peer=PEER, aim=aim, rounds=rounds))
        mine = detection(ours.detect, images, bf16=bf16)
        rows.append(ratio(found, mine, their_detection, peer=PEER, aim=None, rounds=rounds))
        if bf16:
            half = step_of(list(peer.parameters()), peer_loss(peer, images, targets, bf16=True), ours=False)
            rows.append(ratio(name, my_step, half, peer="torchvision bfloat16", aim=None, rounds=rounds))
    return rows
