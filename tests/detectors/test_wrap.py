"""Detectors of others in all rooms: what one gives is taken as ours is, and what it lacks is said."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from bright_detector import BrightDetector
from torch import nn
from torchvision.models import detection

from workbench import evaluate, wrap
from workbench.data.dataset import Dataset, make_target
from workbench.detectors import Ensemble, as_detector, build_detector, save_detector
from workbench.detectors.base import HasRoIs, Learns, ScoresBoxes, asked
from workbench.errors import DataError, WeightsError, WorkbenchError
from workbench.types import Detections

CLASSES = ("dark", "bright")
BOXES = ((4, 4, 20, 16), (30, 10, 50, 40))


class Squares(Dataset):
    """Grey images with a dark and a bright object, in the order of the classes."""

    name, split, classes = "squares", "test", CLASSES

    def __len__(self):
        return 6

    def size(self, index):
        return 48, 64

    def image(self, index):
        image = torch.full((3, 48, 64), 128, dtype=torch.uint8)
        for (x1, y1, x2, y2), value in zip(BOXES, (10 + index, 250 - index), strict=True):
            image[:, y1:y2, x1:x2] = value
        return image

    def target(self, index):
        boxes = torch.tensor(BOXES, dtype=torch.float32)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
        return make_target(image_id=index, size=(48, 64), boxes=boxes, labels=torch.tensor([1, 2]), area=area)


DATA = Squares()


def find(images, names=CLASSES, first=0, form=lambda box: box):
    """What is darker and what is brighter than the rest, by number."""
    answers = []
    for image in images:
        boxes = []
        for part in (image[..., 0] < 100, image[..., 0] > 200):
            y, x = part.nonzero()
            boxes.append(form([x.min(), y.min(), x.max() + 1, y.max() + 1]))
        labels = [names.index(name) + first for name in CLASSES]
        answers.append((np.array(boxes, float), np.array(labels), np.array([0.9, 0.8])))
    return answers


def summary(detector, **options):
    return evaluate(detector, DATA, progress=False, **options).summary["AP"]


def test_a_function_is_evaluated_like_a_detector():
    detector = wrap(find, CLASSES)
    assert summary(detector) == pytest.approx(1)
    (found,) = detector.detect([DATA.image(0)])
    assert found.boxes.tolist() == [list(map(float, box)) for box in BOXES]
    assert (found.labels.dtype, found.labels.tolist()) == (torch.int64, [1, 2])
    assert detector.detect([]) == []
    assert repr(detector) == "Wrapped(find, a function of 2 classes)"


@pytest.mark.parametrize(
    ("classes", "names", "first", "options"),
    [
        (["dark", "bright"], ("dark", "bright"), 1, {"first_label": 1}),
        (["bright", "dark"], ("bright", "dark"), 0, {}),
        ({17: "dark", 90: "bright"}, None, 0, {}),
        (["background", "dark", "bright"], ("background", "dark", "bright"), 0, {}),
    ],
)
def test_labels_of_all_kinds_give_the_same_ap(classes, names, first, options):
    """Classes are compared by name, so that neither numbers nor their order count."""
    if names is None:
        names = tuple({17: "dark", 90: "bright"}.get(number, "") for number in range(91))
    assert summary(wrap(lambda images: find(images, names, first), classes, **options)) == pytest.approx(1)


def test_labels_from_1_that_were_not_announced_are_an_error_and_no_bad_ap():
    detector = wrap(lambda images: find(images, CLASSES, 1), CLASSES)
    with pytest.raises(DataError, match=r"it gave the label 2; its 2 labels were expected.*first_label=1"):
        summary(detector)


def test_one_more_class_hides_labels_from_1_but_not_from_the_result():
    """No label is out of range then; the objects say that 1 must be taken from every label."""

    class Many(Squares):
        classes = ("dark", "bright", "other")

        def __len__(self):
            return 24

    shifted = wrap(lambda images: find(images, Many.classes, 1), Many.classes)
    result = evaluate(shifted, Many(), progress=False)
    assert result.summary["AP"] < 0.1
    assert any("if 1 is taken from every label" in note for note in result.warnings)


@pytest.mark.parametrize(
    ("options", "form"),
    [
        ({"boxes": "xywh"}, lambda b: [b[0], b[1], b[2] - b[0], b[3] - b[1]]),
        ({"boxes": "cxcywh", "relative": True},
         lambda b: [(b[0] + b[2]) / 128, (b[1] + b[3]) / 96, (b[2] - b[0]) / 64, (b[3] - b[1]) / 48]),
    ],
)  # fmt: skip
def test_boxes_of_all_forms_give_the_same_ap(options, form):
    assert summary(wrap(lambda images: find(images, form=form), CLASSES, **options)) == pytest.approx(1)


def test_evident_fractions_are_an_error_and_no_ap_of_0():
    detector = wrap(lambda images: find(images, form=lambda b: [b[0] / 64, b[1] / 48, b[2] / 64, b[3] / 48]), CLASSES)
    with pytest.raises(DataError, match="are fractions of the image; wrap it with relative=True"):
        summary(detector)


def test_detections_come_best_first_and_masks_must_have_the_size_of_the_image():
    def masked(size):
        masks = np.zeros((2, *size), bool)
        masks[1, :4] = True
        return lambda images: [{"boxes": BOXES, "labels": [0, 1], "scores": [0.2, 0.7], "masks": masks}]

    (found,) = wrap(masked((48, 64)), CLASSES, masks=True).detect([DATA.image(0)])
    assert found.scores.tolist() == pytest.approx([0.7, 0.2])
    assert [int(mask.sum()) for mask in found.masks] == [4 * 64, 0]
    with pytest.raises(DataError, match=r"masks are \[24, 32\] pixels for an image of \[48, 64\]"):
        wrap(masked((24, 32)), CLASSES).detect([DATA.image(0)])


def test_scores_of_all_classes_stand_for_labels_and_scores():
    every = np.array([[0.1, 0.6, 0.3], [0.7, 0.1, 0.2]])
    answer = {"boxes": BOXES, "class_scores": every, "objectness": [0.3, 0.4]}
    (found,) = wrap(lambda images: [answer], CLASSES, background="last").detect([DATA.image(0)])
    assert found.labels.tolist() == [1, 2]
    assert found.scores.tolist() == pytest.approx([0.7, 0.6])
    torch.testing.assert_close(found.extras["class_scores"][0], torch.tensor([0.2, 0.7, 0.1]))
    assert found.extras["objectness"].tolist() == pytest.approx([0.4, 0.3]), "in the order of the detections"
    with pytest.raises(DataError, match="background is 'middle'; expected 'first' or 'last'"):
        wrap(find, CLASSES, background="middle")


def test_what_is_lacking_is_said_by_name():
    detector = wrap(find, CLASSES)
    for ability, message in (
        (Learns, "has no losses"),
        (ScoresBoxes, "cannot score"),
        (HasRoIs, "has no pooled features"),
    ):
        with pytest.raises(WorkbenchError, match=f"Wrapped {message}"):
            asked(detector, ability)
    with pytest.raises(WorkbenchError, match="Wrapped has no losses"):
        summary(detector, losses=True)
    with pytest.raises(WeightsError, match="a Wrapped cannot be saved"):
        save_detector(detector, "w.safetensors")
    with pytest.raises(DataError, match="is a detector of the workbench already"):
        wrap(detector)


class WithDetect:
    """A detector of a user's that never heard of ours."""

    classes = CLASSES

    def detect(self, images):
        arrays = [image.permute(1, 2, 0).numpy() for image in images]
        parts = [[torch.as_tensor(part) for part in answer] for answer in find(arrays)]
        return [Detections(boxes, labels + 1, scores) for boxes, labels, scores in parts]


def test_an_object_with_detect_is_one():
    detector = as_detector(WithDetect())
    assert summary(WithDetect()) == summary(detector) == pytest.approx(1)
    assert not isinstance(detector, ScoresBoxes)
    assert isinstance(as_detector(BrightDetector(CLASSES, BOXES, [1, 2])), ScoresBoxes)
    nameless = type("Nameless", (), {"detect": WithDetect.detect})()
    with pytest.raises(DataError, match=r"a Nameless has detect, but no names of classes; wb.wrap\(thing.detect"):
        summary(nameless)


def test_what_says_of_itself_what_it_is_needs_no_wrap():
    torch.manual_seed(0)
    model = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    assert as_detector(model).classes[:2] == ("person", "bicycle")


@pytest.mark.parametrize("thing", [find, nn.Conv2d(3, 1, 1)])
def test_functions_and_modules_are_pointed_to_wrap(thing):
    with pytest.raises(DataError, match=r"is no detector; give one, a Run.*wb.wrap\(it, classes=\[...\]\) makes one"):
        summary(thing)


@pytest.mark.parametrize("thing", [3, "yolo11n.pt", nn.Conv2d, None])
def test_nothing_else_can_be_wrapped(thing):
    with pytest.raises(DataError, match=r"cannot be wrapped; expected an \.onnx file .*, a detection model of"):
        wrap(thing, CLASSES)


def test_ensembles_take_them_beside_ours():
    """Members may have the classes in another order; boxes can be scored where all can."""
    config = {"kind": "retinanet", "backbone": {"name": "small", "widths": [8, 8]}, "channels": 8, "min_size": None}
    ours = build_detector(config, ("bright", "dark")).eval()
    both = Ensemble([wrap(find, CLASSES), ours])
    (found,) = both.detect([DATA.image(0)])
    assert found.scores[:2].tolist() == pytest.approx([0.9, 0.8])
    assert [both.classes[label - 1] for label in found.labels[:2]] == ["dark", "bright"]
    assert not isinstance(both, ScoresBoxes)
    assert isinstance(Ensemble([ours, ours]), ScoresBoxes)


def test_a_copy_is_a_detector_of_its_own():
    detector = copy.deepcopy(wrap(find, CLASSES, score_boxes=lambda images, boxes: [np.full((1, 2), 0.5)]))
    assert summary(detector) == pytest.approx(1)
    assert detector.score_boxes.__self__ is detector
