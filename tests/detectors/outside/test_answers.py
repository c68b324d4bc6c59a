"""Answers in all the forms that others give them: the same detections come out of each."""

from __future__ import annotations

from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from workbench.detectors.outside.answers import read_answer
from workbench.errors import DataError

BOXES = [[1.0, 2, 11, 22], [30, 30, 50, 60.5]]
LABELS, SCORES = [3, 0], [0.9, 0.25]
MASKS = np.zeros((2, 8, 9), bool)
MASKS[1, 2:4, 3:6] = True
Named = namedtuple("Named", ["boxes", "labels", "scores"])


class Instances:
    """detectron2's: fields as attributes, boxes in an object of their own, AttributeError for what is not there."""

    pred_boxes = SimpleNamespace(tensor=torch.tensor(BOXES))
    scores, pred_classes, pred_masks = torch.tensor(SCORES), torch.tensor(LABELS), torch.from_numpy(MASKS)


class Results:
    """ultralytics': labels are floats beside the boxes, masks are floats in an object of their own."""

    boxes = SimpleNamespace(xyxy=torch.tensor(BOXES), conf=torch.tensor(SCORES), cls=torch.tensor(LABELS).float())
    masks = SimpleNamespace(data=torch.from_numpy(MASKS).float())


TORCH = {"boxes": torch.tensor(BOXES), "labels": torch.tensor(LABELS), "scores": torch.tensor(SCORES)}
PIPELINE = [
    {"score": score, "label": label, "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))}
    for box, label, score in zip(BOXES, LABELS, SCORES, strict=True)
]
FORMS = {
    "torchvision's dict": TORCH,
    "lists": {"boxes": BOXES, "labels": LABELS, "scores": SCORES},
    "an object (MAITE)": SimpleNamespace(
        boxes=np.array(BOXES), labels=np.array(LABELS, np.int32), scores=np.array(SCORES, np.float16)
    ),
    "a named tuple": Named(BOXES, LABELS, SCORES),
    "a tuple": (BOXES, LABELS, SCORES),
    "scores before labels": (np.array(BOXES), np.array(SCORES), np.array(LABELS)),
    "rows": np.array([[*box, score, label] for box, label, score in zip(BOXES, LABELS, SCORES, strict=True)]),
    "rows as lists": [[*box, score, label] for box, label, score in zip(BOXES, LABELS, SCORES, strict=True)],
    "detectron2": {"instances": Instances()},
    "ultralytics": Results(),
    "mmdetection": SimpleNamespace(pred_instances=SimpleNamespace(bboxes=BOXES, labels=LABELS, scores=SCORES)),
    "supervision": SimpleNamespace(xyxy=np.array(BOXES), class_id=np.array(LABELS), confidence=np.array(SCORES)),
    "a pipeline of Hugging Face": PIPELINE,
    "a graph is left behind": {**TORCH, "scores": torch.tensor(SCORES, requires_grad=True) * 1},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(form):
    answer = read_answer(FORMS[form], "it")
    assert answer.boxes.dtype == answer.scores.dtype == torch.float32
    torch.testing.assert_close(answer.boxes, torch.tensor(BOXES))
    torch.testing.assert_close(answer.scores, torch.tensor(SCORES), atol=1e-4, rtol=0)
    assert torch.equal(answer.labels, torch.tensor(LABELS))
    assert not answer.scores.requires_grad


@pytest.mark.parametrize(
    "given",
    [
        {**TORCH, "masks": torch.from_numpy(MASKS)[:, None].float() * 0.9},
        (*FORMS["a tuple"], MASKS.astype(np.uint8) * 255),
        {"instances": Instances()},
        Results(),
    ],
)
def test_masks_of_any_kind_become_bool(given):
    masks = read_answer(given, "it").masks
    assert masks.dtype == torch.bool
    assert np.array_equal(masks.numpy(), MASKS)


def test_scores_of_all_classes_may_stand_beside_scores_or_in_their_place():
    every = torch.tensor([[0.1, 0.9], [0.25, 0.2]])
    beside = read_answer({**TORCH, "class_scores": every}, "it")
    assert torch.equal(beside.class_scores, every)
    assert torch.equal(beside.scores, torch.tensor(SCORES))
    behind = read_answer((BOXES, LABELS, SCORES, every, MASKS), "it")
    assert torch.equal(behind.class_scores, every)
    assert behind.masks.any()
    alone = read_answer({"boxes": BOXES, "labels": LABELS, "scores": every}, "it")  # MAITE allows it
    assert alone.scores is None
    assert torch.equal(alone.class_scores, every)
    bare = read_answer({"boxes": BOXES, "class_scores": every}, "it")
    assert bare.labels is None


def test_labels_may_be_names():
    for labels in (["cat", "dog"], np.array(["cat", "dog"]), np.array(["cat", "dog"], object)):
        assert read_answer((BOXES, labels, SCORES), "it").labels == ["cat", "dog"]
        assert read_answer((BOXES, SCORES, labels), "it").labels == ["cat", "dog"]


@pytest.mark.parametrize(
    "given",
    [
        None, [], (), np.zeros((0, 6)), torch.zeros(0, 6), ([], [], []), {"boxes": [], "labels": [], "scores": []},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0), "scores": torch.zeros(0, 80)},
        {"boxes": torch.zeros(0), "labels": [], "scores": [], "masks": torch.zeros(0, 1, 5, 5)},
    ],
    ids=str,
)  # fmt: skip
def test_nothing_found_is_nothing(given):
    answer = read_answer(given, "it")
    assert answer.boxes.shape == (0, 4)
    assert len(answer.labels) == len(answer.scores) == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("cat", "the answer is a str; expected a dict with boxes, labels and scores, a tuple"),
        ({"bbox": BOXES}, "the answer is a dict with 'bbox'; expected"),
        ({"boxes": BOXES, "labels": LABELS}, "has no scores"),
        ({"boxes": BOXES, "scores": SCORES}, "has no labels"),
        ({**TORCH, "scores": [0.5]}, r"2 boxes came with scores of another shape; expected \[2\]"),
        ({**TORCH, "labels": [1, 2, 3]}, "2 boxes came with labels of another shape"),
        ({**TORCH, "labels": [1.5, 2]}, "1.5 is among the labels; expected whole numbers or names"),
        ({**TORCH, "masks": MASKS[:1]}, r"masks have the shape \[1, 8, 9\]; expected \[2, H, W\]"),
        ({**TORCH, "class_scores": torch.ones(3, 4)}, r"class_scores of another shape; expected \[2, C\]"),
        ({**TORCH, "objectness": [0.5]}, r"2 boxes came with objectness of the shape \[1\]; expected \[2\]"),
        ({**TORCH, "boxes": [1, 2, 3, 4]}, r"boxes have the shape \[4\]; expected \[N, 4\]"),
        ({**TORCH, "boxes": [["a", "b", "c", "d"]]}, "boxes are a list that is no array of numbers"),
        ((BOXES, LABELS), "the answer is a tuple of 2"),
        (np.zeros((2, 7)), r"the answer is an array \[2, 7\]"),
        (np.array([[0, 0, 9, 9, 3, 0.9]]), "the last column holds no whole numbers, but the fifth does"),
    ],
)
def test_what_cannot_be_read_is_named(given, message):
    with pytest.raises(DataError, match=f"a model, image 1: .*{message}"):
        read_answer(given, "a model, image 1")
