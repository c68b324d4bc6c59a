"""Regions lie where they are said to lie, for any objects."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from workbench.evaluation.auditing.drawn_regions import RANGES, chosen_regions, draw_regions, range_of

BOX = st.tuples(st.integers(0, 100), st.integers(0, 60), st.integers(8, 80), st.integers(8, 60), st.booleans())


@given(st.lists(BOX, max_size=5), st.integers(0, 6), st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_regions_are_within_the_image_and_as_near_as_they_say(objects, each, seed) -> None:
    boxes = np.array([(x, y, min(140, x + w), min(90, y + h)) for x, y, w, h, _ in objects], float).reshape(-1, 4)
    ignored = np.array([one[-1] for one in objects], bool)
    drawn = [
        draw_regions(boxes, ignored, (90, 140), each=each, least_size=12, rng=np.random.default_rng(seed))
        for _ in range(2)
    ]
    (regions, iou), again = drawn
    assert np.array_equal(regions, again[0]), "they depend on the seed alone"
    sides = regions[:, 2:] - regions[:, :2]
    assert (np.sqrt(sides.prod(axis=1)) >= 12 - 1e-9).all()
    assert (regions >= 0).all()
    assert (regions <= [140, 90, 140, 90]).all()
    own = torch.from_numpy(boxes[~ignored])
    peer = box_iou(own, torch.from_numpy(regions)).amax(0).numpy() if len(own) else np.zeros(len(regions))
    np.testing.assert_allclose(iou, peer, atol=1e-9)
    assert (np.bincount(range_of(iou), minlength=len(RANGES)) <= each).all()
    for x1, y1, x2, y2 in boxes[ignored]:
        width = np.minimum(regions[:, 2], x2) - np.maximum(regions[:, 0], x1)
        height = np.minimum(regions[:, 3], y2) - np.maximum(regions[:, 1], y1)
        assert (width.clip(0) * height.clip(0) < 0.1 * sides.prod(axis=1)).all()


def test_every_range_is_found_around_an_object_of_some_size() -> None:
    box = np.array([[60.0, 30, 120, 80]])
    regions, iou = draw_regions(
        box, np.array([False]), (120, 200), each=8, least_size=16, rng=np.random.default_rng(0)
    )
    assert len(regions) == 8 * len(RANGES)
    for place, (low, high) in enumerate(RANGES.values()):
        own = iou[range_of(iou) == place]
        assert len(own) == 8
        assert ((own >= low) & (own < high)).all()


def test_ranges_begin_where_they_say_and_given_ones_keep_their_order() -> None:
    assert range_of(np.array([0.0, 0.0999, 0.1, 0.3, 0.4999, 0.5, 1.0])).tolist() == [0, 0, 1, 2, 2, 3, 3]
    given = np.array([[0, 0, 10, 10], [0, 0, 10, 5], [50, 50, 60, 60], [0, 0, 10, 9], [70, 50, 80, 60.0]])
    boxes, none = np.array([[0.0, 0, 10, 10]]), np.array([False])
    regions, iou = chosen_regions(given, boxes, none, (100, 100), each=2, least_size=1)
    assert iou.tolist() == [0, 0, 1, 0.5], "the two best of each range"
    assert regions.tolist() == given[[2, 4, 0, 1]].tolist()
