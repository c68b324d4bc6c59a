"""What DFV augmentation costs: what it adds to a training step, and the bank of difference vectors once per epoch.

The step is a ResNet-18's at 224 px with 16 images, and that of the small network of the digit recipes with 32.
What the hardener adds is timed by itself, both directions, with the last layer, so that the few per cent do not
drown in the noise. Before timing: with alpha 0 the losses and gradients are those of the step without a hardener.
The banks are those of the recipe `dfv/digits-c-full` (360 pairs) and of 240 pairs at 224 px.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from measure import Job, Row, added, milliseconds, must_agree
from torch import Tensor

from workbench.data import Dataset, load_data
from workbench.detectors import build_detector
from workbench.detectors.classifier import Classifier
from workbench.hardeners import DFVAugmentation

AIM = 1.02
PLAN = {"pair_classes": 3, "pair_images": 5}
#: backbone, images per step, and steps per timing (the clock of CPU time is coarse)
NETWORKS: dict[str, tuple[dict, int, int]] = {
    "ResNet-18, 224 px": ({"name": "resnet18"}, 16, 1),
    "small network, 32 px": ({"name": "small", "widths": [32, 64, 256], "blocks": 1, "stem": 24}, 32, 20),
}


def parts_of(model: Classifier, data: Dataset, batch: int, pairs: int) -> tuple[Job, Job, Job]:
    """The last layer's step with and without the hardener, and the whole step without it."""
    images, targets = ([item[side] for item in (data[i] for i in range(batch))] for side in (0, 1))
    bank = torch.randn(pairs, model.num_features, 1, 1, generator=torch.Generator().manual_seed(0))
    hardener = DFVAugmentation()
    hardener.begin_epoch(lambda: bank)
    labels = torch.tensor([target["label"] for target in targets])
    live = torch.rand(batch, model.num_features, generator=torch.Generator().manual_seed(1)).requires_grad_()
    optimizer = torch.optim.SGD(model.parameters(), 1e-12)

    def last_layer(hardened: bool) -> tuple[Tensor, ...]:
        model.hardener = hardener if hardened else None
        loss = model.vector_losses(live, labels, torch.Generator().manual_seed(0)).total
        return loss.detach(), *torch.autograd.grad(loss, [live, *model.last.parameters()])

    def whole() -> None:
        model.hardener = None
        optimizer.zero_grad()
        model.losses(images, targets).total.backward()
        optimizer.step()

    hardener.alpha = 0.0
    for ours, plain in zip(last_layer(True), last_layer(False), strict=True):
        must_agree("DFV augmentation with alpha 0", ours, plain, atol=0)
    hardener.alpha = 0.9
    return lambda: last_layer(True), lambda: last_layer(False), whole


def repeated(job: Job, times: int) -> Job:
    """The job so many times."""
    return lambda: [job() for _ in range(times)]


def step(name: str, rounds: int) -> Row:
    """What the hardener adds to a step."""
    backbone, batch, repeat = NETWORKS[name]
    torch.manual_seed(0)
    data = load_data("digits", occlusion=PLAN)
    model = build_detector({"kind": "classifier", "backbone": backbone}, data.classes)
    more, less, whole = (repeated(job, repeat) for job in parts_of(model, data, batch, pairs=360))
    job = f"DFV augmentation, {name}"
    return added(job, more, less, whole, peer="the step without it", aim=AIM, rounds=rounds)


def bank(name: str, build: Callable[[], tuple[Classifier, Dataset]], rounds: int) -> Row:
    """The bank of an epoch."""
    model, data = build()
    job = f"bank of {len(data.pairs)} difference vectors, {name}"
    return milliseconds(job, lambda: model.differences(data.pairs), aim=None, rounds=rounds)


def _digits() -> tuple[Classifier, Dataset]:
    data = load_data("digits", ground="plain", occlusion=PLAN)
    backbone = NETWORKS["small network, 32 px"][0]
    return build_detector({"kind": "classifier", "backbone": backbone}, data.classes), data


def _photographs() -> tuple[Classifier, Dataset]:
    data = load_data("digits", occlusion={"pair_classes": 5, "pair_images": 2})
    return build_detector({"kind": "classifier", "backbone": {"name": "resnet18"}}, data.classes), data


def run(quick: bool) -> list[Row]:
    """All of it."""
    steps = [step(name, 3 if quick else 7) for name in NETWORKS]
    banks = [("small network, 32 px", _digits, 3), ("ResNet-18, 224 px", _photographs, 1 if quick else 2)]
    return [*steps, *(bank(name, build, rounds) for name, build, rounds in banks)]
