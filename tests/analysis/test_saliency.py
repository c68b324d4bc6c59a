"""Where a map lies, counted by hand, and what cannot be asked."""

from __future__ import annotations

import math

import pytest
import torch

from workbench.analysis.saliency import Saliency, box_pixels, check_asked
from workbench.errors import DataError
from workbench.types import Detections

IMAGE = torch.zeros(3, 6, 8, dtype=torch.uint8)


def saliency(values, box=(2.0, 1, 6, 4), **more):
    return Saliency(values, "layer-cam", torch.tensor(box), 3, 0.5, **more)


@pytest.fixture
def values():
    """3 in the box of 4 × 3 pixels, 1 outside it, and -8 that does not count."""
    values = torch.zeros(6, 8)
    values[1, 2] = values[3, 5] = 1.5
    values[5, 7] = 1
    values[0, 0] = -8
    return values


def test_energy_is_a_share_of_what_is_positive(values):
    one = saliency(values)
    assert one.energy() == pytest.approx(3 / 4)
    assert one.chance() == pytest.approx(12 / 48)
    assert one.energy(torch.tensor([0.0, 0, 8, 6])) == 1
    pixels = torch.zeros(6, 8, dtype=torch.bool)
    pixels[5, 7] = pixels[0, 0] = True
    assert (one.energy(pixels), one.chance(pixels)) == (pytest.approx(1 / 4), pytest.approx(2 / 48))
    assert saliency(torch.ones(6, 8)).energy() == pytest.approx(one.chance())


def test_the_pointing_game(values):
    one = saliency(values)
    assert one.peak == (2, 1)  # the first of two
    assert one.points_at()
    values[5, 7] = 9
    assert not one.points_at()
    assert one.points_at(tolerance=2)  # 1.5 px to the right and below
    assert not one.points_at(tolerance=1)
    assert one.points_at(torch.tensor([6.0, 5, 8, 6]))


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_map_of_nothing_points_nowhere(value):
    one = saliency(torch.full((6, 8), value))
    assert not one.points_at()
    assert math.isnan(one.energy())


def test_pixels_of_a_box_are_those_whose_centres_it_holds():
    assert box_pixels(torch.tensor([1.4, 0.6, 2.6, 9]), (3, 4)).nonzero().tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_a_region_of_another_size(values):
    with pytest.raises(DataError, match=r"region is torch.bool \(3, 3\); expected a box \[4\], or pixels \(6, 8\)"):
        saliency(values).energy(torch.ones(3, 3, dtype=torch.bool))


def test_the_detection_of_a_map(values):
    found = saliency(values).detection
    assert (found.boxes.tolist(), found.labels.tolist(), found.scores.tolist()) == ([[2, 1, 6, 4]], [3], [0.5])


def detections(box=(0.0, 0, 4, 4), label=1):
    return Detections(torch.tensor([box]), torch.tensor([label]), torch.ones(1))


@pytest.mark.parametrize(
    ("image", "asked", "message"),
    [
        (IMAGE.float(), detections(), r"image is torch.float32 \(3, 6, 8\); expected uint8 \[3, H, W\]"),
        (IMAGE[:1], detections(), r"image is torch.uint8 \(1, 6, 8\)"),
        (IMAGE, detections(label=4), r"label 4 is outside 1\.\.3"),
        (IMAGE, detections(label=0), r"label 0 is outside 1\.\.3"),
        (IMAGE, detections((4.0, 0, 4, 4)), r"has no pixel inside the image of 8 × 6; expected xyxy"),
        (IMAGE, detections((9.0, 0, 12, 4)), "has no pixel inside"),
        (IMAGE, detections((float("nan"), 0, 12, 4)), "has no pixel inside"),
        (IMAGE, torch.zeros(1, 4), "a Tensor says nothing of what to explain; expected Detections"),
    ],
)
def test_what_cannot_be_explained(image, asked, message):
    with pytest.raises(DataError, match=message):
        check_asked(image, asked, 3)


def test_labels_of_a_module_that_does_not_say_how_many_it_has():
    assert check_asked(IMAGE, detections(label=90), None).labels.tolist() == [90]
    with pytest.raises(DataError, match=r"label 0 is outside 1\.\.K"):
        check_asked(IMAGE, detections(label=0), None)
