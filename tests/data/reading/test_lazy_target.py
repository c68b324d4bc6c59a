"""Targets that make values on demand: dicts to their readers, and nothing is made that nobody asks for."""

import pickle

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from workbench.data.reading.lazy_target import LazyTarget, at_hand, without_estimates


@pytest.fixture
def made() -> list[str]:
    return []


@pytest.fixture
def target(made: list[str]) -> LazyTarget:
    def masks(target):
        made.append("masks")
        return tv_tensors.Mask(torch.tensor([[[True, False]]]))

    def occlusion(target):
        made.append("occlusion")
        return target["masks"].float().mean((1, 2))

    return LazyTarget({"image_id": 5}, {"masks": masks, "occlusion": occlusion})


WHOLE = ["image_id", "masks", "occlusion"]


def test_values_are_made_once_and_only_if_asked_for(target: LazyTarget, made: list[str]) -> None:
    assert list(target) == list(target.keys()) == WHOLE
    assert "occlusion" in target
    assert "colour" not in target
    assert len(target) == 3
    assert target.get("colour", 7) == 7
    assert at_hand(target) == {"image_id": 5}
    assert made == []
    assert target["occlusion"].tolist() == [0.5]
    assert target.get("occlusion") is target["occlusion"]
    assert made == ["occlusion", "masks"]
    with pytest.raises(KeyError, match="colour"):
        target["colour"]


@pytest.mark.parametrize(
    "copy",
    [
        dict,
        lambda target: {**target},
        lambda target: target.copy(),
        lambda target: target | {},
        lambda target: {} | target,
        lambda target: dict(target.items()),
        lambda target: pickle.loads(pickle.dumps(target)),
        lambda target: dict(zip(target.keys(), target.values(), strict=True)),
    ],
)
def test_copies_are_whole_and_plain(target: LazyTarget, copy) -> None:
    found = copy(target)
    assert type(found) is dict
    assert sorted(found) == WHOLE
    assert found["occlusion"].tolist() == [0.5]


def test_it_can_be_changed(target: LazyTarget, made: list[str]) -> None:
    target["occlusion"] = torch.tensor([0.1])
    target |= {"proposals": 1}
    del target["masks"]
    assert sorted(target) == ["image_id", "occlusion", "proposals"]
    assert target.pop("occlusion").tolist() == pytest.approx([0.1])
    assert made == []


def test_training_estimates_nothing(target: LazyTarget, made: list[str]) -> None:
    found = without_estimates(target)
    assert type(found) is dict
    assert sorted(found) == ["image_id", "masks"]
    assert made == ["masks"]
    assert target["occlusion"] is not None
    assert sorted(without_estimates(target)) == WHOLE


def test_plain_targets_pass(made: list[str]) -> None:
    plain = {"image_id": 5, "occlusion": torch.zeros(1)}
    assert at_hand(plain) == without_estimates(plain) == plain


def test_torchvisions_transforms_see_its_masks(target: LazyTarget) -> None:
    image = tv_tensors.Image(torch.zeros(3, 1, 2, dtype=torch.uint8))
    _, flipped = v2.RandomHorizontalFlip(p=1)(image, target)
    assert flipped["masks"].tolist() == [[[False, True]]]
