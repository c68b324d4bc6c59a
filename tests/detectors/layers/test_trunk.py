"""How images are prepared: the sizes of multi-scale training come from the generator that is passed in."""

from __future__ import annotations

import copy

import pytest
import torch

from workbench.detectors import build_detector
from workbench.detectors.layers.trunk import build_transform

IMAGES = [torch.rand(3, 40, 40) for _ in range(12)]


def sizes(seed: int | None, *, torch_seed: int = 0) -> list[int]:
    transform = build_transform((32, 48, 64), None)
    torch.manual_seed(torch_seed)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    batch, _ = transform(IMAGES, None, generator)
    return [height for height, _ in batch.image_sizes]


def test_sizes_are_drawn_from_the_generator_alone() -> None:
    assert set(sizes(0)) == {32, 48, 64}
    assert sizes(0) == sizes(0, torch_seed=1)
    assert sizes(0) != sizes(1)
    assert sizes(None) != sizes(None, torch_seed=1)  # torch's own, as torchvision


def test_one_size_draws_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    build_transform(32, None)(IMAGES, None, generator)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("kind", ["faster-rcnn", "retinanet", "rpn"])
def test_losses_at_several_sizes_depend_on_the_generator_alone(kind: str) -> None:
    backbone = {"name": "small", "widths": [8, 8, 8]}
    detector = build_detector({"kind": kind, "backbone": backbone, "channels": 8, "min_size": [32, 96]}, ("a",))
    target = {"boxes": torch.tensor([[4.0, 4, 30, 30]]), "labels": torch.tensor([1])}

    def total(seed: int) -> float:
        return float(detector.losses(IMAGES[:4], [target] * 4, torch.Generator().manual_seed(seed)).total.detach())

    assert total(0) == total(0)
    assert len({total(seed) for seed in range(4)}) > 1
    copy.deepcopy(detector)  # which a generator that is kept would forbid
