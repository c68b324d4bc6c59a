"""One door to all methods: which fit a detector, and that each gives what its own function gives."""

from __future__ import annotations

import pytest
import torch
from bright_detector import BrightDetector
from colour_detector import ColourDetector

from workbench.analysis.attention import roi_attention
from workbench.analysis.class_activation import class_activation
from workbench.analysis.explain import METHODS, explain, methods_of
from workbench.data import load_data
from workbench.detectors import load_detector
from workbench.errors import DataError
from workbench.types import Detections

IMAGE = torch.full((3, 32, 48), 200, dtype=torch.uint8)


@pytest.fixture(scope="module")
def scene():
    return load_data("digit-scenes", split="test")[7][0].as_subclass(torch.Tensor)


def test_methods_are_those_that_a_detector_can_be_asked_for():
    assert METHODS == ("layer-cam", "hires-cam", "attention", "d-rise")
    assert methods_of(load_detector("digit-scenes/faster-rcnn")) == METHODS
    assert methods_of(load_detector("digit-scenes/retinanet")) == ("layer-cam", "hires-cam", "d-rise")
    assert methods_of(BrightDetector(("a",), [], [])) == ("d-rise",)
    assert methods_of(ColourDetector()) == ("attention", "d-rise")


def test_the_quickest_method_of_what_is_found(scene):
    detector = load_detector("digit-scenes/retinanet")
    found = detector.detect([scene])[0].above(0.5)
    by_door = explain(detector, scene)
    itself = class_activation(detector, scene, found, method="layer-cam")
    assert len(by_door) == len(itself) == len(found)
    assert all(torch.equal(one.map, other.map) for one, other in zip(by_door, itself, strict=True))


def test_black_boxes_are_explained_from_the_outside():
    maps = explain(BrightDetector(("a",), [[4, 4, 12, 12], [20, 4, 40, 30]], [1, 1]), IMAGE, masks=50)
    assert [one.method for one in maps] == ["d-rise"] * 2
    assert maps[0].settings["masks"] == 50
    dark = explain(BrightDetector(("a",), [[4, 4, 12, 12]], [1]), IMAGE // 4, masks=50)
    assert dark == []  # found with a score below 0.5


def test_attention_lies_in_the_box_and_nowhere_else():
    """The left box has a green corner: of 4 × 4 cells of 4 pixels only the last is bright."""
    image = torch.zeros(3, 32, 48, dtype=torch.uint8)
    image[1, 20:24, 16:20] = 255
    box = torch.tensor([4.0, 8, 20, 24])
    asked = Detections(box[None], torch.tensor([2]), torch.tensor([0.5]))
    (one,) = explain(ColourDetector(), image, asked, method="attention")
    cells = roi_attention(ColourDetector(), image, box, 2).map
    assert (one.method, one.label, one.score, one.energy()) == ("attention", 2, 0.5, 1)
    assert one.map[23, 19] == cells[3, 3] > 0
    assert one.map[16, 10] == 0
    assert one.peak[0] >= 17
    assert one.map[21, 17] < one.map[23, 19]  # towards the middle of the next cell


def test_what_cannot_be_asked(scene):
    with pytest.raises(DataError, match=r"method 'layercam' does not exist; did you mean 'layer-cam'\?"):
        explain("digit-scenes/faster-rcnn", scene, method="layercam")
    with pytest.raises(DataError, match=r"a Linear has no detect\(images\); say which detections to explain"):
        explain(torch.nn.Linear(2, 2), scene)
    with pytest.raises(DataError, match="is no detector"):
        explain(3, scene)
