"""Box formats: clipping and recognising mix-ups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.data.reading.boxes import clip, finite_box, look_like_fractions, look_like_xywh, look_like_xyxy

NUMBERS = st.floats(-1e6, 1e6)


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), st.integers(1, 5000), st.integers(1, 5000))
def test_clipping_keeps_what_is_inside(box: tuple, height: int, width: int) -> None:
    (x1, y1, x2, y2), outside = clip(box, (height, width))
    assert 0 <= min(x1, x2) <= max(x1, x2) <= width
    assert 0 <= min(y1, y2) <= max(y1, y2) <= height
    moved = max(abs(new - old) for new, old in zip((x1, y1, x2, y2), box, strict=True))
    assert outside == pytest.approx(moved)


def test_clipping_by_hand() -> None:
    assert clip((-2.5, 3, 70, 41), (40, 60)) == ((0, 3, 60, 40), 10)
    assert clip((0, 0, 60, 40), (40, 60)) == ((0, 0, 60, 40), 0)


@pytest.mark.parametrize("value", [None, "1234", [1, 2, 3], [1, 2, 3, None], [1, 2, 3, True], [10**400] * 4])
def test_what_is_no_box(value: object) -> None:
    assert finite_box(value) is None


@given(st.integers(0, 10_000), st.integers(12, 60))
def test_mixed_up_formats_are_told_from_right_ones(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(100, 400, (number, 2)).astype(float)  # height, width
    corners = np.sort(rng.uniform(0.02, 0.98, (number, 2, 2)), axis=1) * sizes[:, None, ::-1]
    corners[:, 1] = np.maximum(corners[:, 1], corners[:, 0] + 1)
    xyxy = corners.reshape(number, 4)
    xywh = np.concatenate([corners[:, 0], corners[:, 1] - corners[:, 0]], axis=1)
    assert look_like_xyxy(xyxy, sizes)
    assert not look_like_xyxy(xywh, sizes)
    assert look_like_xywh(xywh, sizes)
    assert not look_like_xywh(xyxy, sizes)
    assert look_like_fractions(xyxy / np.tile(sizes[:, ::-1], 2), sizes)
    assert not look_like_fractions(xyxy, sizes)


def test_two_boxes_say_nothing() -> None:
    sizes = np.full((2, 2), 100.0)
    boxes = np.array([[60.0, 60, 90, 90]] * 2)
    assert not look_like_xyxy(boxes, sizes)
    assert look_like_xyxy(np.repeat(boxes, 2, 0), np.full((4, 2), 100.0))
