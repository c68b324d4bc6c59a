"""Kinds of errors, what they cost, and what only one of two detectors gets wrong: all worked by hand."""

import numpy as np
import pytest

from workbench.errors import DataError
from workbench.evaluation import evaluate_detections
from workbench.evaluation.diagnosis import ERROR_KINDS, missed_only_in, only_in

CLASSES = ("cat", "dog", "car")
CAT, DOG, CAR = (0, 0, 20, 20), (30, 0, 50, 20), (60, 0, 80, 20)
OBJECTS = [(*CAT, 1), (*DOG, 2), (*CAR, 3)]
MISTAKES = [  # of the class cat, best first, with the kind that each is of
    ((1, 0, 21, 20), "localisation"),  # a duplicate
    ((10, 0, 30, 20), "localisation"),  # IoU 1/3
    (DOG, "similar"),
    (CAR, "other"),
    ((0, 60, 20, 80), "background"),
]


@pytest.fixture
def make(in_memory, target, found):
    def build(rows, objects=OBJECTS, similar=None, **extra):
        data = in_memory([target(objects, **extra)], CLASSES)
        return evaluate_detections([found(rows)], data).diagnosis(similar)

    return build


def all_mistakes():
    return [(*CAT, 1, 0.9), *((*box, 1, 0.8 - 0.1 * i) for i, (box, _) in enumerate(MISTAKES))]


def test_each_kind_by_hand(make):
    table = make(all_mistakes()).false_positives
    assert table["kind"].tolist() == [kind for _, kind in MISTAKES]
    assert table["duplicate"].tolist() == [True, False, False, False, False]
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    assert table["object_class"].tolist() == ["cat", "cat", "dog", "car", ""]
    assert table["iou"].tolist() == pytest.approx([19 / 21, 1 / 3, 1, 1, 0])
    assert table["lower"].tolist() == [0, 0, 0, 0, 0]  # its only cat is found before


def test_what_is_similar_is_for_the_user_to_say(make):
    kinds = make(all_mistakes(), similar=[("cat", "car")]).false_positives["kind"]
    assert kinds.tolist() == ["localisation", "localisation", "other", "similar", "background"]
    with pytest.raises(DataError, match="no class 'cow'"):
        make(all_mistakes(), similar=[("cat", "cow")])


@pytest.mark.parametrize(("shift", "kind"), [(16.3, "localisation"), (16.4, "background")])
def test_localisation_begins_at_a_tenth(make, shift, kind):
    """Boxes of width 20 shifted by s overlap by (20 - s) / (20 + s): 0.1 at s = 180 / 11 = 16.36."""
    rows = [(0, shift, 20, 20 + shift, 1, 0.9)]
    assert make(rows, objects=[(*CAT, 1)]).false_positives["kind"].tolist() == [kind]


def test_a_difficult_object_is_no_background_and_need_not_be_found(make):
    made = make([(*DOG, 1, 0.9)], difficult=[False, True, False])
    assert made.false_positives["kind"].tolist() == ["similar"]
    assert made.missed()["class"].tolist() == ["cat", "car"]


def test_the_top_are_as_many_as_the_class_has_objects(make):
    made = make(all_mistakes())
    assert made.top()["rank"].tolist() == [1]
    assert made.kinds(4).loc["cat"].to_dict() == dict(zip(ERROR_KINDS, [2, 1, 1, 0], strict=True))
    assert made.kinds(4).loc["dog"].sum() == 0
    shares = made.kinds_by_rank([2, 5])
    assert shares.loc[2].tolist() == [1, 0, 0, 0]
    assert shares.loc[5].tolist() == pytest.approx([0.4, 0.2, 0.2, 0.2])


def test_cost_is_the_ap_gained_without_a_kind(make):
    """One background mistake before the only right detection of a cat: precision 1/2 becomes 1."""
    cost = make([(0, 60, 20, 80, 1, 0.9), (*CAT, 1, 0.8), (*DOG, 2, 0.9), (*CAR, 3, 0.9)]).cost(2012)
    assert cost["AP"].tolist() == pytest.approx([0.5, 1, 1, 2.5 / 3])
    assert cost["background"].tolist() == pytest.approx([0.5, 0, 0, 0.5 / 3])
    assert cost[["localisation", "similar", "other"]].to_numpy() == pytest.approx(np.zeros((4, 3)))


def test_missed_objects_know_what_lies_over_them(make):
    made = make([(*CAT, 1, 0.3), (*DOG, 1, 0.9)], occlusion=[0.0, 0.5, 0.2])
    assert made.missed()["class"].tolist() == ["cat", "dog", "car"]
    assert made.missed(0.2)["class"].tolist() == ["dog", "car"]
    dog = made.objects_found.iloc[1]
    assert (dog["found_class"], dog["iou"], dog["occlusion"]) == ("cat", 1, 0.5)
    assert np.isnan(dog["score"])
    assert made.objects_found.iloc[2]["detection"] == -1


def test_only_one_of_two_detectors_makes_a_mistake(make):
    nearly = (0, 62, 20, 82)  # IoU 18 / 22 with the other's mistake: the same one
    a = make([(0, 60, 20, 80, 1, 0.9), (*DOG, 1, 0.8), (*CAR, 3, 0.9)])
    b = make([(*nearly, 1, 0.5), (*DOG, 3, 0.8), (*DOG, 2, 0.7)])
    assert only_in(a, b, 5)["detection"].tolist() == [1]
    assert only_in(b, a, 5)["detection"].tolist() == [1]  # of another class: not the same
    assert len(only_in(a, a, 5)) == 0
    assert missed_only_in(a, b)["class"].tolist() == ["dog"]
    assert missed_only_in(b, a)["class"].tolist() == ["car"]


def test_errors_on_other_objects_are_not_compared(make):
    with pytest.raises(DataError, match="only on the same data"):
        only_in(make([]), make([], objects=OBJECTS[:2]))


@pytest.mark.parametrize("objects", [OBJECTS, []])
def test_a_detector_that_finds_nothing_makes_no_false_positives(make, objects):
    made = make([], objects=objects)
    assert len(made.false_positives) == 0
    assert made.kinds().to_numpy().sum() == 0
    assert len(made.missed()) == len(objects)
    assert len(made.kinds_by_rank()) <= 1
    assert len(only_in(made, made)) == 0
