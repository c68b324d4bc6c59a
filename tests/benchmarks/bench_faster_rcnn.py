"""Faster R-CNN R50-FPN at 300 px, batch 2: our training step and inference against torchvision's.

Same state dict, same images, frozen BatchNorm, stem and layer1 frozen, equal numbers of proposals and RoIs. Before
timing, detections must agree, and losses too for the same draws. torchvision runs in float32, as its reference
training does on CPUs; a last row shows what bfloat16 gives it. Also: the step of the digit-scenes recipe.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from measure import Row, has_amx, milliseconds, must_agree, ratio, skipped
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from workbench.data import load_data
from workbench.detectors import Detector, build_detector
from workbench.training.recipe import Recipe
from workbench.training.recipe_sections import OptimizerSpec
from workbench.training.stepping.optimisation import build_optimizer
from workbench.types import Target

CLASSES = tuple(f"class {i}" for i in range(20))
SIZE = 300
PEER = "torchvision float32"
LOSSES = {
    "classifier": "loss_classifier",
    "box": "loss_box_reg",
    "objectness": "loss_objectness",
    "rpn_box": "loss_rpn_box_reg",
}


def photographs(count: int = 2) -> tuple[list[Tensor], list[Target]]:
    """Images [3, 300, 300] of smooth noise, six boxes on each."""
    generator = torch.Generator().manual_seed(0)
    images, targets = [], []
    for _ in range(count):
        coarse = torch.rand(1, 3, 20, 20, generator=generator)
        images.append(nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bilinear")[0])
        corner = torch.rand(6, 2, generator=generator) * 180
        side = 30 + torch.rand(6, 2, generator=generator) * 90
        labels = torch.randint(1, len(CLASSES) + 1, (6,), generator=generator)
        targets.append({"boxes": torch.cat([corner, corner + side], dim=1), "labels": labels})
    return images, targets


def calm(detector: nn.Module) -> None:
    """Random weights behind frozen statistics of 1 would let activations grow without bound."""
    for module in detector.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.running_var.fill_(8.0)


def pair() -> tuple[nn.Module, Detector]:
    """torchvision's detector, and ours with its weights."""
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, trainable_layers=3, norm_layer=FrozenBatchNorm2d
    )
    peer = TorchvisionFasterRCNN(backbone, len(CLASSES) + 1, min_size=SIZE, max_size=SIZE)
    calm(peer)
    config = {
        "kind": "faster-rcnn",
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
    """Stop unless detections agree to 1e-3 pixels and losses to 1e-4 for the same draws."""
    with torch.no_grad():
        want = peer.eval()(images)
    for a, b in zip(ours.detect(images), want, strict=True):
        must_agree("detections", a.boxes, b["boxes"], atol=1e-3)
        must_agree("scores", a.scores, b["scores"], atol=1e-4)
    torch.manual_seed(5)
    theirs = peer.train()(images, targets)
    generator = torch.Generator().manual_seed(5)
    for _ in images:  # torchvision's transform draws a size for every image, also where there is one
        torch.empty(1).uniform_(generator=generator)
    mine = ours.losses(images, targets, generator)
    for name, peer_name in LOSSES.items():
        must_agree(f"loss {name}", mine[name].detach(), theirs[peer_name].detach(), atol=1e-4, rtol=1e-4)


def step_of(parameters: list[nn.Parameter], loss: Callable[[], Tensor], *, ours: bool) -> Callable[[], float]:
    """A whole step: losses, backward, SGD (at a rate of almost 0, so that every round does the same work)."""
    learning = [p for p in parameters if p.requires_grad]
    spec = OptimizerSpec(kind="sgd", momentum=0.9)
    optimizer = build_optimizer(learning, spec, lr=1e-12) if ours else torch.optim.SGD(learning, 1e-12, 0.9)

    def step() -> float:
        optimizer.zero_grad()
        total = loss()
        total.backward()
        optimizer.step()
        return float(total.detach())

    return step


def our_loss(detector: Detector, images: list[Tensor], targets: list[Target], *, bf16: bool) -> Callable[[], Tensor]:
    """The sum of losses, with the same draws at every call."""

    def loss() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return detector.losses(images, targets, torch.Generator().manual_seed(5)).total

    return loss


def peer_loss(peer: nn.Module, images: list[Tensor], targets: list[Target], *, bf16: bool) -> Callable[[], Tensor]:
    """The same for torchvision's detector."""

    def loss() -> Tensor:
        torch.manual_seed(5)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return torch.stack(list(peer.train()(images, targets).values())).sum()

    return loss


def detection(detect: Callable[[list[Tensor]], object], images: list[Tensor], *, bf16: bool) -> Callable[[], object]:
    """Inference without gradients."""

    def job() -> object:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return detect(images)

    return job


def against_torchvision(quick: bool) -> list[Row]:
    """Step and inference, float32 and bfloat16."""
    rounds = 3 if quick else 9
    peer, ours = pair()
    images, targets = photographs()
    check(peer, ours, images, targets)
    their_detection = detection(lambda batch: peer.eval()(batch), images, bf16=False)
    their_step = step_of(list(peer.parameters()), peer_loss(peer, images, targets, bf16=False), ours=False)
    rows = []
    for bf16, step_aim, detection_aim in ((False, 0.80, None), (True, 0.35, 0.35)):
        kind = "bfloat16" if bf16 else "float32"
        step_name, detection_name = f"training step, R50-FPN, {kind}", f"detection, R50-FPN, {kind}"
        if bf16 and not has_amx():
            rows += [skipped(name, PEER, 0.35, "no AMX") for name in (step_name, detection_name)]
            continue
        my_loss = our_loss(ours, images, targets, bf16=bf16)
        if bf16:
            exact = our_loss(ours, images, targets, bf16=False)().detach()
            must_agree("loss in bfloat16", my_loss().detach(), exact, atol=0, rtol=0.05)
        my_step = step_of(list(ours.parameters()), my_loss, ours=True)
        rows.append(ratio(step_name, my_step, their_step, peer=PEER, aim=step_aim, rounds=rounds))
        my_detection = detection(ours.detect, images, bf16=bf16)
        rows.append(ratio(detection_name, my_detection, their_detection, peer=PEER, aim=detection_aim, rounds=rounds))
        if bf16:
            half = step_of(list(peer.parameters()), peer_loss(peer, images, targets, bf16=True), ours=False)
            rows.append(ratio(step_name, my_step, half, peer="torchvision bfloat16", aim=None, rounds=rounds))
    return rows


def digit_scenes_step(quick: bool) -> list[Row]:
    """One step of the shipped recipe, batch 16 at 128 px, without the making of the scenes."""
    recipe = Recipe.load("digit-scenes/faster-rcnn")
    data = load_data("digit-scenes", split="train", length=recipe.batch_size)
    images, targets = (list(part) for part in zip(*(data[i] for i in range(len(data))), strict=True))
    torch.manual_seed(0)
    detector = build_detector(copy.deepcopy(recipe.detector), data.classes)
    learning = list(detector.parameters())
    optimizer = build_optimizer(learning, recipe.optimizer, lr=1e-12)
    bf16 = has_amx()
    loss = our_loss(detector, images, targets, bf16=bf16)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    name = f"training step, digit-scenes recipe, {'bfloat16' if bf16 else 'float32'}"
    return [milliseconds(name, step, aim=None, rounds=5 if quick else 15)]


def run(quick: bool) -> list[Row]:
    """All of it."""
    return against_torchvision(quick) + digit_scenes_step(quick)
