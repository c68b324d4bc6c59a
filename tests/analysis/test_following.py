"""Detections that stand for an object where boxes cannot be scored: which one counts, and that maps say so."""

from __future__ import annotations

import pytest
import torch
from bright_detector import BrightDetector

from workbench import wrap
from workbench.analysis.following import best_match, object_scores, scores_boxes
from workbench.analysis.occlusion_response import occlusion_response
from workbench.detectors import as_detector
from workbench.errors import DataError
from workbench.types import CLASS_SCORES, Detections

BOX = torch.tensor([0.0, 0, 10, 10])
FOUND = Detections(
    torch.tensor([[0.0, 0, 10, 5], [0, 0, 10, 4.9], [0, 0, 10, 10], [0, 1, 10, 10]]),
    torch.tensor([1, 1, 2, 1]),
    torch.tensor([0.6, 0.9, 0.8, 0.3]),
)


def test_the_surest_of_its_class_that_overlaps_by_half_counts():
    """The first has an IoU of exactly 0.5; the second, which is surer, has 0.49."""
    assert best_match(FOUND, BOX, 1) == pytest.approx(0.6)
    assert best_match(FOUND, BOX, 2) == pytest.approx(0.8)
    assert best_match(FOUND, BOX, 3) == best_match(FOUND[:0], BOX, 1) == 0
    assert best_match(FOUND, BOX + 20, 1) == 0


def test_where_all_classes_have_scores_those_count_whatever_a_detection_is_called():
    every = torch.tensor([[0.2, 0.6, 0.2], [0.0, 0.9, 0.1], [0.1, 0.7, 0.8], [0.5, 0.3, 0.2]])
    found = Detections(FOUND.boxes, FOUND.labels, FOUND.scores, None, {CLASS_SCORES: every})
    assert best_match(found, BOX, 1) == pytest.approx(0.7)
    assert best_match(found, BOX, 2) == pytest.approx(0.8)


def bright_box(images):
    """One detection at a fixed place, scored by the brightness of its upper half."""
    return [([[8, 8, 24, 24]], [0], [image[8:16, 8:24].mean() / 255]) for image in images]


@pytest.fixture
def white():
    return torch.full((3, 32, 48), 255, dtype=torch.uint8)


def test_boxes_are_scored_where_that_is_possible(white):
    other = as_detector(BrightDetector(("lamp",), [[0, 0, 4, 4]], [1]))
    box = torch.tensor([8.0, 8, 24, 24])
    assert scores_boxes(other)
    assert object_scores(other, [white], box, 1) == [1.0]  # though it detects nothing there
    follower = wrap(bright_box, ["lamp"])
    assert not scores_boxes(follower)
    assert object_scores(follower, [white, white // 2], box, 1) == pytest.approx([1, 127 / 255])


def test_a_response_map_follows_the_detection_and_says_so(white):
    """A grey patch of 8 × 8 hides a half of the upper half at two of 4 × 6 positions."""
    box, options = torch.tensor([8.0, 8, 24, 24]), {"occluder_size": 8, "stride": 8}
    response = occlusion_response(wrap(bright_box, ["lamp"]), white, box, 1, **options)
    expected = torch.ones(4, 6)
    expected[1, 1:3] = 1 - 0.5 * 127 / 255
    torch.testing.assert_close(response.scores, expected)
    assert response.followed
    scored = occlusion_response(BrightDetector(("lamp",), [[8, 8, 24, 24]], [1]), white, box, 1, **options)
    assert not scored.followed
    with pytest.raises(DataError, match=r"wb\.wrap\(it"):
        occlusion_response(bright_box, white, box, 1, **options)
