"""Box formats: clipping and recognising mix-ups."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.reading.boxes import (
    CENTRE,
    FRACTIONS,
    XYWH,
    XYXY,
    YXHW,
    YXYX,
    clip,
    finite_box,
    hidden_share,
    likely_format,
    too_thin,
)

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


def test_boxes_that_are_too_thin() -> None:
    boxes = np.array([[100, 50, 100 + 1e-6, 80], [0, 0, 5e-4, 9], [0, 0, 9, 0], [5, 5, 4, 9], [9, 9, 9.01, 9.01]])
    assert too_thin(boxes).tolist() == [True, True, True, True, False]


def _corners(seed: int, number: int, height: float, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Objects anywhere in images of about that size, and the sizes."""
    rng = np.random.default_rng(seed)
    sizes = np.array([height, width]) * rng.uniform(0.8, 1.2, (number, 1))
    corners = np.sort(rng.uniform(0.02, 0.98, (number, 2, 2)), axis=1) * sizes[:, None, ::-1]
    corners[:, 1] = np.maximum(corners[:, 1], corners[:, 0] + 1)
    return corners.reshape(number, 4), sizes


def _written(xyxy: np.ndarray, form: str) -> np.ndarray:
    low, size = xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]
    pairs = {
        XYXY: (low, xyxy[:, 2:]),
        XYWH: (low, size),
        YXYX: (low[:, ::-1], xyxy[:, :1:-1]),
        YXHW: (low[:, ::-1], size[:, ::-1]),
        CENTRE: (low + size / 2, size),
    }
    return np.concatenate(pairs[form], axis=1)


@pytest.mark.parametrize("written", [XYXY, XYWH, YXYX, YXHW, CENTRE])
@pytest.mark.parametrize("meant", [XYXY, XYWH, YXYX])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_mixed_up_formats_are_known_from_right_ones(written: str, meant: str, seed: int) -> None:
    xyxy, sizes = _corners(seed, 200, 300, 400)
    found = likely_format(_written(xyxy, written), sizes, meant)
    assert found is None if written == meant else found is not None
    if {written, meant} in ({XYXY, XYWH}, {XYXY, YXYX}, {XYWH, YXHW}):
        assert found == written
    assert likely_format(_written(xyxy / np.tile(sizes[:, ::-1], 2), written), sizes, meant) == FRACTIONS


@given(seed=st.integers(0, 10_000), form=st.sampled_from([XYXY, XYWH, YXYX]))
@settings(max_examples=50, deadline=None)
def test_boxes_that_reach_outside_are_no_other_format(seed: int, form: str) -> None:
    """A third of the objects are cut by the image's edge, and their boxes are not clipped."""
    xyxy, sizes = _corners(seed, 60, 300, 400)
    xyxy[::3] += 30
    xyxy[1::6] -= 30
    assert likely_format(_written(xyxy, form), sizes, form) is None


def test_few_boxes_say_nothing() -> None:
    boxes, sizes = np.array([[60.0, 60, 90, 90]] * 4), np.full((4, 2), 100.0)
    assert likely_format(boxes[:2], sizes[:2], XYWH) is None
    assert likely_format(boxes, sizes, XYWH) == XYXY
    assert likely_format(boxes[:0], sizes[:0], XYWH) is None


def test_one_box_within_a_pixel_is_in_fractions() -> None:
    assert likely_format(np.array([[0.2, 0.1, 0.5, 0.5]]), np.array([[120, 160]]), XYWH) == FRACTIONS
    assert likely_format(np.array([[0.2, 0.1, 0.5, 0.5]]), np.array([[8, 8]]), XYWH) is None


def test_the_hidden_share_of_a_box_by_hand() -> None:
    """Half is seen; all, and more than all, is; nothing is; the full box is none, or not known."""
    full = np.array([[0.0, 0, 10, 20], [0, 0, 10, 20], [0, 0, 10, 20], [5, 5, 5, 9], [0, 0, 1, 1]])
    visible = np.array([[0.0, 0, 10, 10], [-5, 0, 10, 20], [3, 3, 3, 9], [0, 0, 1, 1], [0, 0, 1, 1]])
    share = hidden_share(full, visible, known=np.array([True, True, True, True, False]))
    assert share.dtype == np.float32
    assert share[:3].tolist() == [0.5, 0, 1]
    assert np.isnan(share[3:]).all()
