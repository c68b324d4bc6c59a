"""Classes of two sides by name: the order does not matter, a map renames, what has no counterpart is left out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from workbench.detectors import relabel
from workbench.detectors.base import Detector
from workbench.detectors.class_map import ClassMap, few, lacking_note
from workbench.errors import DataError
from workbench.types import CLASS_SCORES, Detections

IMAGE = torch.zeros(3, 20, 20)


class Known(Detector):
    """Finds one object of each label that it is given, best first; scores of all classes are its own row."""

    def __init__(self, classes, labels, *, scores=True):
        super().__init__()
        self.classes, self.found = classes, torch.tensor(labels)
        self.weight = nn.Parameter(torch.zeros(()))
        if scores:
            self.score_boxes = self._score_boxes

    def detect(self, images):
        number = len(self.found)
        every = torch.arange(1, number * (len(self.classes) + 1) + 1).reshape(number, -1) / 100
        boxes = torch.tensor([[0.0, 0, 5, 5]]).repeat(number, 1)
        scores = torch.linspace(0.9, 0.1, number)
        return [Detections(boxes, self.found, scores, None, {CLASS_SCORES: every}) for _ in images]

    def _score_boxes(self, images, boxes):
        return [torch.tensor([[0.1, 0.2, 0.3, 0.4]]).repeat(len(box), 1) for box in boxes]


OURS = ("cat", "tv", "dog")


def test_equal_classes_give_the_detector_itself():
    detector = Known(OURS, [1])
    assert relabel(detector, OURS) is detector
    assert relabel(detector, ["cat", "tv", "dog"], {"tv": "tv"}) is detector


def test_labels_follow_names_and_a_map():
    detector = relabel(Known(OURS, [1, 2, 3]), ("dog", "person", "tvmonitor"), {"tv": "tvmonitor"})
    (found,) = detector.detect([IMAGE])
    assert detector.classes == ("dog", "person", "tvmonitor")
    assert found.labels.tolist() == [3, 1]
    assert found.scores.tolist() == pytest.approx([0.5, 0.1])
    assert detector.map.left_out == ("cat",)
    assert detector.map.lacking == ("person",)
    assert detector.notes == ("1 detections of classes that the data do not have were left out: cat.",)
    torch.testing.assert_close(found.extras[CLASS_SCORES][0], torch.tensor([0.05, 0.08, 0, 0.07]))
    (scores,) = detector.score_boxes([IMAGE], [torch.zeros(1, 4)])
    torch.testing.assert_close(scores, torch.tensor([[0.1, 0.4, 0, 0.3]]))
    assert not hasattr(relabel(Known(OURS, [1], scores=False), ("dog",)), "score_boxes")


def test_several_of_ours_may_be_one_of_theirs():
    detector = relabel(Known(OURS, [1, 2, 3]), ("animal",), {"cat": "animal", "dog": "animal"})
    assert detector.detect([IMAGE])[0].labels.tolist() == [1, 1]
    assert float(detector.score_boxes([IMAGE], [torch.zeros(1, 4)])[0][0, 1]) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("names", "theirs", "message"),
    [
        ({"telly": "dog"}, ("dog",), r"the detector has no 'telly'"),
        (
            {"tv": "tvmonito"},
            ("tvmonitor", "dog"),
            "'tv' is to be 'tvmonito', which the data do not have; did you mean",
        ),
        (None, ("lamp", "chair"), r"knows the classes cat, tv, dog, the data have lamp, chair, and none is the same"),
        (["tv"], ("dog",), r"classes is \['tv'\]; expected a dict"),
    ],
)
def test_maps_that_do_not_fit_are_refused(names, theirs, message):
    with pytest.raises(DataError, match=message):
        ClassMap.between(OURS, theirs, names)


@pytest.mark.parametrize("label", [0, 4])
def test_labels_that_cannot_be_are_named(label):
    with pytest.raises(DataError, match=rf"Known gave the label {label}, which is outside 1\.\.3"):
        relabel(Known(OURS, [label]), ("dog",)).detect([IMAGE])


NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True)


@given(ours=NAMES, theirs=NAMES)
def test_every_label_becomes_that_of_its_name(ours, theirs):
    if not set(ours) & set(theirs):
        with pytest.raises(DataError):
            ClassMap.between(ours, theirs)
        return
    found = ClassMap.between(ours, theirs)
    for own, label in zip(ours, found.labels[1:], strict=True):
        assert (theirs[label - 1] == own) if label else own not in theirs
    assert set(found.lacking) == set(theirs) - set(ours)
    assert set(found.left_out) == set(ours) - set(theirs)
    assert found.same == (ours == theirs)


def test_what_is_lacking_is_counted_in_words():
    assert lacking_note({}, OURS) is None
    note = lacking_note({"tvs": 3, "sofa": 2}, OURS)
    assert "lacks 2 classes of the data: tvs (3), sofa (2). Their 5 objects count as missed" in note
    assert "'tvs' (did you mean 'tv'?)" in note
    assert few([*"abcdefg"]) == "a, b, c, d, e, … (7 in all)"
