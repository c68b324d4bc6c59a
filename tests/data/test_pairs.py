"""The protocols: who trains on what, and that nothing leaks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data import load_data
from workbench.data.drawing.patterns import paste_pattern
from workbench.data.drawing.pixels import digit_indices
from workbench.data.pairs import OcclusionPlan, PairSet, training_data
from workbench.data.pairs import test_data as make_test_data
from workbench.errors import DataError

EXCLUSIVE = {"protocol": "exclusive", "left_out": 3, "pair_classes": 3}


def digits(split: str = "train", **occlusion: object):
    return load_data("digits", split=split, occlusion=occlusion)


def test_exclusive_pairs_are_of_other_classes() -> None:
    train, test = digits(**EXCLUSIVE), digits("test", **EXCLUSIVE)
    assert train.classes == test.classes == tuple("0123456")
    assert set(np.unique(train.labels)) == set(range(1, 8))
    assert {train.pairs.clean.classes[label - 1] for label in train.pairs.labels} == set("789")
    assert (train.numbers == 0).all()
    assert len(train.pairs) == 3 * 5 * 24
    assert not set(train.rows) & set(train.pairs.clean.rows)


def test_classes_that_give_no_pairs() -> None:
    """As those of ILSVRC2012 that the occluders were cut from."""
    pairs = digits(protocol="exclusive", left_out=4, pair_classes=3, no_pairs=["7"]).pairs
    assert {pairs.clean.classes[label - 1] for label in pairs.labels} == set("689")
    with pytest.raises(DataError, match="pair_classes is 3, but the exclusive protocol has 2 classes"):
        digits(**EXCLUSIVE, no_pairs=["7"])
    with pytest.raises(DataError, match="no_pairs: there is no class 'seven'"):
        digits(**EXCLUSIVE, no_pairs=["seven"])


def test_inclusive_pairs_are_among_the_training_images() -> None:
    train = digits(pair_classes=3)
    assert set(train.pairs.clean.rows) < set(train.rows)
    assert len(np.unique(train.pairs.labels)) == 3
    assert len(train) == 1200


def test_training_set_f_adds_the_pairs_occluded_images() -> None:
    train = digits(pair_classes=3, training_set="F")
    assert len(train) == 1200 + 3 * 5 * 24
    added = train.subset(range(1200, len(train)))
    for k in (0, 7, 359):
        assert torch.equal(added.image(k), train.pairs.occluded.image(k))
        assert added.target(k)["label"] == train.pairs.occluded.target(k)["label"]


def test_a_pair_is_an_image_and_the_same_image_under_its_pattern() -> None:
    pairs = digits(pair_classes=3).pairs
    for clean, occluded in pairs.index[[0, 30, 111]]:
        pattern = pairs.patterns[pairs.occluded.target(occluded)["pattern"] - 1]
        expected, hidden = paste_pattern(pairs.clean.image(clean), pattern)
        assert torch.equal(pairs.occluded.image(occluded), expected)
        share = float(hidden.float().mean())
        assert pairs.occluded.target(occluded)["occlusion"].item() == pytest.approx(share, rel=0.01)


@pytest.mark.parametrize(("which", "ratio"), [("10C", 0.1), ("20C", 0.2)])
def test_subsets_of_the_pairs_patterns(which: str, ratio: float) -> None:
    pairs = digits(pair_classes=3, pair_patterns=which).pairs
    used = {pairs.patterns[number - 1] for number in pairs.numbers}
    assert {(pattern.ratio, pattern.place) for pattern in used} == {(ratio, "centre")}
    assert len(pairs) == 3 * 5 * 3


def test_the_test_images_come_clean_and_under_every_pattern() -> None:
    test = digits("test", pair_classes=3)
    assert len(test) == 397 * 25
    targets = [test.target(i) for i in range(50)]
    assert [target["pattern"] for target in targets] == [*range(25), *range(25)]
    assert [target["source"] for target in targets] == [0] * 25 + [1] * 25
    assert len({target["image_id"] for target in targets}) == 50
    clean = load_data("digits", split="test")
    assert torch.equal(test.image(25), clean.image(1))
    assert test.target(25)["label"] == clean.target(1)["label"]


def test_cross_pattern_tests_on_other_occluders() -> None:
    other = {"pair_classes": 3, "test_occluders": ["cat", "wheel", "helmet"]}
    names = [{p.occluder.name for p in data.patterns} for data in (digits(**other), digits("test", **other))]
    assert not names[0] & names[1]


def test_splits_share_no_digit() -> None:
    seen = [set(digit_indices(split)) for split in ("train", "val", "test")]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 1797


def test_digits_are_what_they_say_and_do_not_change() -> None:
    data, again = load_data("digits", split="val"), load_data("digits", split="val")
    assert data.classes[data.target(3)["label"] - 1] == str(data.target(3)["label"] - 1)
    assert torch.equal(data.image(9), again.image(9))
    assert not torch.equal(data.image(9), load_data("digits", split="val", seed=1).image(9))
    image, target = data[0]
    assert (image.shape, image.dtype) == ((3, 32, 32), torch.uint8)
    assert target["labels"].tolist() == [target["label"]]
    assert target["boxes"].tolist() == [[0, 0, 32, 32]]


@given(left=st.integers(1, 8), number=st.integers(1, 3), images=st.integers(1, 6), seed=st.integers(0, 20))
@settings(max_examples=15, deadline=None)
def test_pairs_never_come_from_the_task_in_the_exclusive_protocol(left, number, images, seed) -> None:
    clean = load_data("digits", split="val")
    plan = OcclusionPlan(
        protocol="exclusive", left_out=left, left_out_choice="random", pair_classes=min(left, number),
        pair_images=images, seed=seed,
    )  # fmt: skip
    train, test = training_data(clean, plan), make_test_data(clean, plan)
    assert isinstance(train.pairs, PairSet)
    assert train.classes == test.classes
    assert not {train.pairs.clean.classes[label - 1] for label in train.pairs.labels} & set(train.classes)
    assert len(train.pairs.clean) <= min(left, number) * images


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "exclusiv"}, "occlusion.protocol 'exclusiv'"),
        ({**EXCLUSIVE, "training_set": "F"}, "classes are no part of the task"),
        ({"protocol": "exclusive", "pair_classes": 3}, "left_out is 0"),
        ({"left_out": 10}, "left_out is 10 of 10 classes"),
        ({"left_out": ["9", "ten"]}, "there is no class 'ten'"),
        ({"pair_classes": 11}, "pair_classes is 11"),
        ({"pair_images": 0}, r"occlusion\.pair_images is 0; expected at least 1"),
        ({"ratios": [20]}, r"occlusion\.ratios is \[20\]; expected less than 1"),
        ({"pair_classes": 3, "ratios": [0.2], "pair_patterns": "10C"}, "needs the ratio 0.1"),
        ({"random_places": -1}, "random_places is -1"),
        ({"occluder": ["cup"]}, r"occlusion\.occluder does not exist \(did you mean .occluders"),
    ],
)
def test_plans_that_make_no_sense_are_refused(options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        digits(**options)


def test_other_occluders_lie_in_places_of_their_own() -> None:
    """A pattern is an occluder at a place (sec. 3.2): nothing of it may be known from the pairs."""
    plan = OcclusionPlan(test_occluders=["cat", "wheel", "helmet"])
    places = [
        {p.position for p in patterns if p.place == "random"} for patterns in (plan.patterns, plan.test_patterns)
    ]
    assert [len(some) for some in places] == [18, 18]
    assert not places[0] & places[1]
    same = OcclusionPlan()
    assert same.test_patterns == same.patterns == plan.patterns


def test_clean_images_come_from_the_clean_data_and_occluded_ones_are_made_here() -> None:
    some = {"occluders": ["cup"], "random_places": 0, "pair_classes": 2, "pair_images": 2}
    data = load_data("digits", split="test", occlusion=some)
    for index in (0, 1, 12):
        row, number = int(data.rows[index]), int(data.numbers[index])
        assert data.origin(index) == ((data, index) if number else (data.clean, row))
        assert data.clean_origin(index) == (data.clean, row)
    assert data.numbers[1] > 0
