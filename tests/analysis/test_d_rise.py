"""D-RISE of detectors whose answers are known: numbers by hand, and the same as mask by mask."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from bright_detector import BrightDetector
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.analysis import d_rise as module
from workbench.analysis.d_rise import d_rise, d_rise_steps, similarity, similarity_name
from workbench.analysis.explaining.grid_masks import GridMasks
from workbench.errors import DataError, WorkbenchError
from workbench.types import CLASS_SCORES, OBJECTNESS, Detections

BOXES = [[4, 4, 20, 20], [28, 8, 44, 28]]
CLASSES = ("one", "two")


def found(boxes, labels, scores, **extras):
    rows = {name: torch.tensor(value) for name, value in extras.items()}
    return Detections(
        torch.tensor(boxes).float().reshape(-1, 4), torch.tensor(labels), torch.tensor(scores), extras=rows
    )


@pytest.fixture
def detector():
    """Scores each of two boxes by its brightness: under a mask, by the mean of the mask there."""
    return BrightDetector(CLASSES, BOXES, [1, 2])


@pytest.fixture
def white():
    return torch.full((3, 32, 48), 255, dtype=torch.uint8)


@pytest.fixture
def asked():
    return found(BOXES, [1, 2], [1.0, 1.0])


def test_similarity_by_hand():
    """The second box overlaps the first by half of each: IoU 1/3; the third one is of another class."""
    target = found([[0, 0, 4, 4]], [1], [0.9])
    others = found([[0, 0, 4, 4], [2, 0, 6, 4], [0, 0, 4, 4]], [1, 1, 2], [0.2, 0.9, 1.0])
    assert similarity(target, others).tolist() == pytest.approx([0.3])
    assert similarity(target, others[:1]).tolist() == pytest.approx([0.2])
    assert similarity(target, others[2:]).tolist() == [0]
    assert similarity(target, others[:0]).tolist() == [0]
    assert similarity(target[:0], others).tolist() == []


def test_similarity_by_vectors_and_objectness():
    """Vectors (3, 4) and (4, 3) have a cosine of 24 / 25; a target without a vector is sure of its class: 4 / 5.

    The first column is background.
    """
    vectors = {CLASS_SCORES: [[0.0, 0.3, 0.4]]}
    target = found([[0, 0, 4, 4]], [1], [0.4], **vectors)
    other = found([[0, 0, 4, 4]], [1], [0.5], **{CLASS_SCORES: [[0.0, 0.4, 0.3]]})
    assert similarity(target, other).tolist() == pytest.approx([24 / 25])
    sure = found([[0, 0, 4, 4]], [1], [0.4])
    assert similarity(sure, other).tolist() == pytest.approx([4 / 5])
    other.extras[OBJECTNESS] = torch.tensor([0.25])
    assert similarity(target, other).tolist() == pytest.approx([6 / 25])
    assert similarity_name(other) == "IoU × cosine of class scores × objectness"
    del other.extras[CLASS_SCORES]
    assert similarity(target, other).tolist() == pytest.approx([0.25])
    assert similarity_name(other) == "IoU × same class × objectness"
    assert similarity_name(sure) == "IoU × same class × score"


def test_maps_are_those_of_mask_by_mask(detector, white, asked):
    """The definition, one mask after the other: Σ s M / Σ M minus the mean of s; s is what is left of the box."""
    masks = list(islice(GridMasks((32, 48), (6, 6), 0.4, 5).drawn(), 50))
    weighted, total, scores = torch.zeros(2, 32, 48), torch.zeros(32, 48), []
    for one in masks:
        mask = GridMasks((32, 48), (6, 6), 0.4, 5).batch([one])[0]
        seen = (white * mask).round().byte()
        similar = torch.tensor([detector._brightness(seen, box) for box in BOXES])
        weighted += similar[:, None, None] * mask
        total += mask
        scores.append(similar)
    by_hand = weighted / total - torch.stack(scores).mean(dim=0)[:, None, None]
    maps = d_rise(detector, white, asked, masks=50, grid=6, keep=0.4, seed=5, batch_size=7)
    torch.testing.assert_close(torch.stack([one.map for one in maps]), by_hand, atol=1e-5, rtol=0)
    wanted = {"grid": (6, 6), "keep": 0.4, "fill": "black", "seed": 5, "similarity": "IoU × same class × score"}
    assert maps[0].settings == {**wanted, "masks": 50}
    assert [(one.label, one.score, one.box.tolist(), one.done) for one in maps] == [
        (1, 1, BOXES[0], 1),
        (2, 1, BOXES[1], 1),
    ]


def test_each_map_lies_on_its_own_object_though_all_are_of_the_same_masks(detector, white, asked):
    maps = d_rise(detector, white, asked, masks=200, grid=8)
    for own, other in ((0, 1), (1, 0)):
        one, boxes = maps[own], torch.tensor(BOXES).float()
        assert one.points_at()
        assert one.energy() > 2.5 * one.chance()
        assert one.energy(boxes[other]) < one.chance(boxes[other])
    assert detector.calls == 13  # of 16 images each, for both


def test_deterministic_by_seed_whatever_the_batches(detector, white, asked):
    first, second, other = (
        torch.stack([one.map for one in d_rise(detector, white, asked, masks=40, grid=8, **options)])
        for options in ({}, {"batch_size": 3}, {"seed": 1})
    )
    torch.testing.assert_close(first, second, atol=1e-6, rtol=0)
    assert (first - other).abs().max() > 0.01


def test_it_grows_and_can_be_left(detector, white, asked):
    """The map so far is that of a smaller budget, and nobody is asked after it was left."""
    steps = d_rise_steps(detector, white, asked, masks=40, grid=8)
    seen = list(islice(steps, 2))
    assert detector.calls == 2
    steps.close()
    assert [one[0].done for one in seen] == [0.4, 0.8]
    whole = d_rise(detector, white, asked, masks=32, grid=8)
    assert torch.equal(seen[1][0].map, whole[0].map)
    assert [one[0].settings["masks"] for one in d_rise_steps(detector, white, asked, masks=40, grid=8)] == [
        16,
        32,
        40,
    ]


def test_a_budget_of_seconds(white, asked, monkeypatch):
    """Each batch takes a second of a clock that is set by hand."""
    now = [0.0]

    class Slow(BrightDetector):
        def detect(self, images):
            now[0] += 1
            return super().detect(images)

    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    spent = []
    slow = Slow(CLASSES, BOXES, [1, 2])
    maps = d_rise(slow, white, asked, masks=None, seconds=2.5, grid=8, batch_size=4, progress=spent.append)
    assert (slow.calls, maps[0].settings["masks"]) == (3, 12)
    assert spent == pytest.approx([0.4, 0.8, 1])
    again = d_rise(BrightDetector(CLASSES, BOXES, [1, 2]), white, asked, masks=12, grid=8)
    torch.testing.assert_close(maps[0].map, again[0].map, atol=1e-6, rtol=0)
    assert d_rise(slow, white, asked, masks=4, seconds=100, grid=8)[0].settings["masks"] == 4


@settings(max_examples=15)
@given(scale=st.floats(0.1, 1), masks=st.integers(1, 20))
def test_a_detector_that_sees_nothing_has_an_empty_map(scale, masks):
    """And so has one whose answer is always the same, however few the masks."""
    white = torch.full((3, 16, 16), 255, dtype=torch.uint8)
    asked = found([[2, 2, 8, 8]], [1], [1.0])

    class Same:
        classes, needs_proposals = CLASSES, False

        def __init__(self, answer):
            self.answer = answer

        def detect(self, images):
            return [self.answer] * len(images)

    for answer in (found([], [], []), found([[2, 2, 8, 8]], [1], [scale])):
        (one,) = d_rise(Same(answer), white, asked, masks=masks, grid=3)
        assert one.map.abs().max() < 1e-5
        assert torch.isfinite(one.map).all()


def test_proposals_are_those_of_the_clean_image(white, asked, monkeypatch):
    monkeypatch.setattr("workbench.analysis.explaining.looking.searched", lambda image: f"of {int(image.max())}")

    class Needy(BrightDetector):
        needs_proposals = True

        def detect(self, images, proposals):
            assert proposals == ["of 255"] * len(images)
            return super().detect(images)

    assert d_rise(Needy(CLASSES, BOXES, [1, 2]), white, asked, masks=5)[1].map.shape == (32, 48)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masks": None}, "masks and seconds are both None"),
        ({"masks": 0}, "masks is 0; expected at least 1"),
        ({"seconds": 0.0}, r"seconds is 0\.0; expected more than 0"),
        ({"batch_size": 0}, "batch_size is 0; expected at least 1"),
        ({"keep": 1.5}, r"keep 1\.5; expected whole numbers from 1, and a share in \(0, 1\)"),
        ({"grid": (0, 3)}, r"grid \(0, 3\)"),
        ({"fill": "pink"}, "fill 'pink' does not exist"),
    ],
)
def test_what_makes_no_sense(detector, white, asked, options, message):
    with pytest.raises(DataError, match=message):
        d_rise(detector, white, asked, **options)


def test_what_cannot_detect():
    class Mute:
        classes = ("one",)

        def score_boxes(self, images, boxes):
            return []

    with pytest.raises(WorkbenchError, match="Mute gives no detections"):
        d_rise(Mute(), torch.zeros(3, 8, 8, dtype=torch.uint8), found([[0, 0, 4, 4]], [1], [1.0]))


def test_no_detections_no_maps(detector, white):
    assert d_rise(detector, white, found([], [], []), masks=3) == []
