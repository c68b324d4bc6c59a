"""Spoilt labels: at the rates that were asked for, the same again, nested in each other, and all keys cut alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from folders import coco_content, write_coco
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors

import workbench as wb
from workbench.data import check_data, check_loading, load_data
from workbench.data.noisy_labels import NoisyLabels, loosened
from workbench.errors import DataError

SCENES = {"name": "digit-scenes", "options": {"length": 40}}


def noisy(of: dict | None = None, split: str = "train", **options) -> NoisyLabels:
    return load_data("noisy-labels", split, of=of or SCENES, **options)


@pytest.fixture(scope="module")
def clean():
    return load_data("digit-scenes", length=40)


def all_faults(data: NoisyLabels) -> np.ndarray:
    """[N, 3] missed, loose, wrong of all objects."""
    found = [data.faults(index) for index in range(len(data))]
    return np.concatenate([np.stack([one.missed, one.loose, one.wrong], axis=1) for one in found])


def test_without_errors_all_is_as_it_is(clean):
    data = noisy()
    assert data.classes == clean.classes
    for index in range(3):
        image, target = data[index]
        own, true = clean[index]
        assert torch.equal(image, own)
        assert target.keys() == true.keys()
        assert all(torch.equal(target[key], true[key]) for key in true if isinstance(true[key], torch.Tensor))


def test_rates_are_those_that_were_asked_for():
    number = len(all_faults(noisy()))
    for rates in ((0.3, 0.0, 0.0), (0.1, 0.5, 0.2)):
        found = all_faults(noisy(missed=rates[0], loose=rates[1], wrong=rates[2])).mean(axis=0)
        assert np.abs(found - rates).max() < 4 * np.sqrt(0.25 / number)


def test_what_was_done_is_what_faults_say(clean):
    data = noisy(missed=0.3, loose=0.4, wrong=0.3, looseness=0.2)
    for index in range(20):
        faults, target, true = data.faults(index), data.target(index), clean.target(index)
        kept = torch.from_numpy(~faults.missed)
        tight = torch.from_numpy(~faults.loose[~faults.missed])
        for key in ("masks", "masks_amodal", "occlusion", "iscrowd"):
            assert torch.equal(target[key][tight], true[key][kept][tight]), key
            assert type(target[key]) is type(true[key])
        assert torch.equal(target["mask_occluder"], true["mask_occluder"])
        moved = (target["boxes"] != true["boxes"][kept]).any(1).numpy()
        assert np.array_equal(moved, faults.loose[~faults.missed])
        changed = (target["labels"] != true["labels"][kept]).numpy()
        assert np.array_equal(changed, faults.wrong[~faults.missed])
        assert set(target["labels"].tolist()) <= set(range(1, 11))
        assert isinstance(target["boxes"], tv_tensors.BoundingBoxes)
        assert torch.equal(target["area"][tight], true["area"][kept][tight])
        areas = target["masks"].flatten(1).sum(1).float()
        torch.testing.assert_close(target["area"], areas, rtol=0.2, atol=20)  # to the pixels of the rims


def test_masks_are_stretched_with_their_boxes(tmp_path: Path):
    content = coco_content()
    content["annotations"][0] |= {"bbox": [10, 10, 20, 10], "segmentation": [[10, 10, 30, 10, 30, 20, 10, 20]]}
    data = noisy({"name": "coco", "root": str(write_coco(tmp_path, content))}, loose=1.0, looseness=0.3)
    target = data.target(1)
    assert not dict.__contains__(target, "masks")
    x1, y1, x2, y2 = target["boxes"][0].tolist()
    rows, columns = torch.meshgrid(torch.arange(40) + 0.5, torch.arange(60) + 0.5, indexing="ij")
    assert torch.equal(target["masks"][0], (columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2))
    assert [x1, y1, x2, y2] != [10, 10, 30, 20]


def test_a_higher_rate_keeps_what_a_lower_one_did():
    low, high = (noisy(missed=rate, loose=rate, wrong=rate) for rate in (0.2, 0.6))
    assert (all_faults(high) >= all_faults(low)).all()
    apart = noisy(missed=0.2, seed=1)
    assert (all_faults(apart)[:, 0] != all_faults(low)[:, 0]).any()
    one, other = noisy(loose=1.0, looseness=0.01).target(0), noisy(loose=1.0, looseness=0.03).target(0)
    true = load_data("digit-scenes", length=40).target(0)["boxes"]
    inside = ((other["boxes"] > 0) & (other["boxes"] < 128)).all(1)  # not clipped
    torch.testing.assert_close(
        3 * (one["boxes"] - true)[inside].as_subclass(torch.Tensor),
        (other["boxes"] - true)[inside].as_subclass(torch.Tensor),
        atol=1e-3,
        rtol=1e-3,
    )


def test_an_image_depends_on_nothing_but_its_index():
    data = noisy(missed=0.5, wrong=0.5, loose=0.5)
    backwards = [data.target(index) for index in reversed(range(5))][::-1]
    again = [noisy(missed=0.5, wrong=0.5, loose=0.5).target(index) for index in range(5)]
    for one, other in zip(backwards, again, strict=True):
        assert torch.equal(one["boxes"], other["boxes"])
        assert torch.equal(one["labels"], other["labels"])


def test_crowds_stay_and_masks_wait(tmp_path: Path):
    of = {"name": "coco", "root": str(write_coco(tmp_path, coco_content()))}
    data = noisy(of, missed=1.0)
    target = data.target(1)
    assert target["iscrowd"].tolist() == [True]
    assert data.annotation_ids(1) == [3]
    assert "masks" in target
    assert not dict.__contains__(target, "masks")  # nobody has asked for them
    assert target["masks"].shape == (1, 40, 60)
    assert target["masks"].sum() == 400
    assert data.export_coco()["annotations"][0]["id"] == 3
    assert data.category_ids == (1, 18)
    both = noisy(of, wrong=1.0).target(1)["labels"].tolist()
    assert both == [2, 1, 1]  # person and dog the other way round; the crowd of people as it is
    bare = noisy({**of, "options": {"masks": False}}, loose=1.0).target(1)
    width, height = (bare["boxes"][0, 2:] - bare["boxes"][0, :2]).tolist()
    assert bare["area"][0].item() == pytest.approx(width * height, rel=1e-4)
    assert bare["area"][2] == 400


BOXES = st.tuples(st.floats(0, 80), st.floats(0, 30), st.floats(1, 20), st.floats(1, 10))


@given(st.lists(BOXES, min_size=1, max_size=5), st.floats(0, 2), st.integers(0, 999))
@settings(max_examples=40)
def test_loose_boxes_stay_in_the_image_and_have_a_size(rows, looseness, seed):
    boxes = np.array([(x, y, x + width, y + height) for x, y, width, height in rows])
    moved = loosened(boxes, looseness, (40, 100), np.random.default_rng(seed))
    assert (moved >= 0).all()
    assert (moved <= [100, 40, 100, 40]).all()
    assert (moved[:, 2:] - moved[:, :2] >= min(1.0, (boxes[:, 2:] - boxes[:, :2]).min()) - 1e-9).all()


def test_it_can_be_named_in_recipes_and_is_data_for_the_doctor():
    options = {"of": {"name": "digit-scenes"}, "missed": 0.2}
    check_loading("noisy-labels", options)
    section = {"name": "noisy-labels", "options": options}
    recipe = wb.Recipe.load("digit-scenes/faster-rcnn").replace({"data": section})
    assert recipe.data.name == "noisy-labels"
    report = check_data(noisy(missed=0.2, loose=0.5), images=False)
    assert not [one for one in report.problems if one.level == "error"]
    assert len(noisy(images=7)) == 7


def test_what_cannot_be_is_said():
    with pytest.raises(DataError, match=r"missed is 2; expected at most 1|missed is 2"):
        noisy(missed=2)
    with pytest.raises(DataError, match=r"noisy-labels\.wrong is 0\.5, and face-scenes has one class only"):
        noisy({"name": "face-scenes", "options": {"length": 2}}, wrong=0.5)
    with pytest.raises(DataError, match="has no boxes of objects"):
        noisy({"name": "digits"})
    with pytest.raises(DataError, match=r"data\.options\.of"):
        check_loading("noisy-labels", {"of": {"name": "no-such"}})
