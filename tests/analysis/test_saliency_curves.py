"""Deletion and insertion where every score is a brightness: areas by hand, and better maps have better ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from bright_detector import BrightDetector
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.analysis.saliency import Saliency, box_pixels
from workbench.analysis.saliency_curves import SaliencyCurves, baselines, pixel_ranks, saliency_curves
from workbench.errors import DataError

BOX = torch.tensor([2.0, 2, 6, 6])


@pytest.fixture
def detector():
    return BrightDetector(("bright", "dark"), [BOX.tolist()], [1])


@pytest.fixture
def white():
    return torch.full((3, 8, 16), 255, dtype=torch.uint8)


def of(values):
    return Saliency(values.float(), "layer-cam", BOX, 1, 1.0)


def test_areas_by_hand(detector, white):
    """The box has 16 of 128 pixels. Taken away first, the score falls to 0 at a share of 1/8; put in, it rises.

    Shares of four steps: 0, 1/16, 1/4, 9/16, 1, so that half of the box is gone at the first.
    """
    best = of(box_pixels(BOX, (8, 16)))
    curves = saliency_curves(detector, white, best, steps=4, fill="black", start="black")
    assert curves.measure == "score"
    assert curves.shares.tolist() == [0, 1 / 16, 1 / 4, 9 / 16, 1]
    assert curves.deletion.tolist() == [1, 0.5, 0, 0, 0]
    assert curves.insertion.tolist() == [0, 0.5, 1, 1, 1]
    assert curves.deletion_area == pytest.approx(1 / 16 * 0.75 + 3 / 16 * 0.25)
    assert curves.insertion_area == pytest.approx(1 - curves.deletion_area)
    worst = saliency_curves(detector, white, of(-best.map), steps=4, fill="black", start="black")
    assert worst.deletion.tolist() == pytest.approx([1, 1, 1, 1, 0])
    assert worst.insertion.tolist() == pytest.approx([0, 0, 0, 0, 1])


def test_a_measure_for_any_detector(detector, white):
    """By similarity the answer is that of `detect`: the score of the one box, which is the same here."""
    best = of(box_pixels(BOX, (8, 16)))
    one, other = (
        saliency_curves(detector, white, best, steps=3, measure=measure, batch_size=2)
        for measure in ("score", "similarity")
    )
    torch.testing.assert_close(one.deletion, other.deletion)
    torch.testing.assert_close(one.insertion, other.insertion)

    class Outside:
        classes, needs_proposals = detector.classes, False

        def detect(self, images):
            return detector.detect(images)

    assert saliency_curves(Outside(), white, best, steps=3).measure == "similarity"


def test_another_class_is_no_match(detector, white):
    other = replace(of(box_pixels(BOX, (8, 16))), label=2)
    curves = saliency_curves(detector, white, other, steps=3, measure="similarity")
    assert curves.deletion.tolist() == [0, 0, 0, 0]


def test_insertion_starts_from_a_blurred_image_and_ends_at_the_image(detector):
    image = torch.zeros(3, 8, 16, dtype=torch.uint8)
    image[:, 2:6, 2:6] = 255
    curves = saliency_curves(detector, image, of(torch.zeros(8, 16)), steps=3)
    assert 0 < curves.insertion[0] < 0.95
    assert (curves.insertion[-1], curves.deletion[0]) == (1, 1)
    assert curves.deletion[-1] == pytest.approx(32 / 255, abs=1e-6)  # the mean colour


@settings(max_examples=20)
@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 5))
def test_ranks_are_shares_of_pixels_that_come_before(height, width, seed):
    values = torch.randn(height, width, generator=torch.Generator().manual_seed(seed)).round(decimals=1)
    ranks = pixel_ranks(values, seed)
    assert torch.equal(ranks.flatten().sort().values, torch.arange(height * width) / (height * width))
    higher = values.flatten()[:, None] > values.flatten()
    assert (ranks.flatten()[:, None] < ranks.flatten())[higher].all()


def test_equal_pixels_come_in_a_random_order_of_the_seed():
    ranks = pixel_ranks(torch.zeros(20, 20))
    assert torch.equal(ranks, pixel_ranks(torch.zeros(20, 20)))
    assert not torch.equal(ranks, pixel_ranks(torch.zeros(20, 20), 1))
    assert abs(float(ranks[:10].mean()) - 0.5) < 0.06  # no sweep from the top


def test_baselines():
    found = baselines(of(torch.zeros(8, 16)))
    assert list(found) == ["box", "random"]
    box = found["box"]
    assert (box.method, box.label, box.energy(), box.points_at()) == ("box", 1, 1, True)
    assert box.map[3:5, 3:5].unique().tolist() == [0.75]  # half a pixel from the middle of 2
    assert torch.equal(box.map > 0, box_pixels(BOX, (8, 16)))
    assert box.map[4, 15] < box.map[4, 8] < 0
    chance = found["random"].map
    assert chance.unique().numel() == 8 * 16  # of 16 patches along the longer side
    assert 0 <= chance.min() <= chance.max() < 1
    large = baselines(of(torch.zeros(64, 128)))["random"].map
    assert large.unique().numel() == 8 * 16
    assert large[:8, :8].unique().numel() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measure": "luck"}, "measure 'luck' and steps 20; expected one of score, similarity"),
        ({"steps": 0}, "steps 0; expected"),
        ({"fill": "pink"}, "fill 'pink' does not exist"),
    ],
)
def test_what_makes_no_sense(detector, white, options, message):
    with pytest.raises(DataError, match=message):
        saliency_curves(detector, white, of(torch.zeros(8, 16)), **options)


def test_a_map_of_another_image(detector, white):
    with pytest.raises(DataError, match=r"the map is \(4, 4\) and the image \(8, 16\) pixels"):
        saliency_curves(detector, white, of(torch.zeros(4, 4)))


def test_area_is_under_straight_lines():
    shares = torch.tensor([0.0, 0.25, 1.0])
    curves = SaliencyCurves(shares, torch.tensor([1.0, 0.5, 0.0]), torch.tensor([0.0, 1.0, 1.0]), "score")
    assert (curves.deletion_area, curves.insertion_area) == (0.75 * 0.25 + 0.25 * 0.75, 0.125 + 0.75)
