"""Which objects can be hidden at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.drawing.hiding import hidden_count, hide
from workbench.errors import DataError
from workbench.evaluation.auditing.objects import labels_in_common, rounds_of


def block(x1: int, y1: int, x2: int, y2: int, size: tuple[int, int] = (40, 40)) -> np.ndarray:
    pixels = np.zeros(size, bool)
    pixels[y1:y2, x1:x2] = True
    return pixels


def test_objects_apart_are_hidden_at_once_and_one_within_another_is_not() -> None:
    apart = {0: block(0, 0, 10, 10), 3: block(20, 0, 30, 10)}
    assert rounds_of(apart, 0.9) == ((0, 3),)
    within = {0: block(0, 0, 20, 20), 1: block(5, 5, 10, 10)}
    assert rounds_of(within, 0.1) == ((0,), (1,)), "of the inner one no pixel could be covered"
    touching = {0: block(0, 0, 10, 10), 1: block(8, 0, 18, 10)}  # 20 of 100 pixels are shared
    assert rounds_of(touching, 0.8) == ((0, 1),)
    assert rounds_of(touching, 0.81) == ((0,), (1,))
    assert rounds_of({}, 0.5) == ()


boxes = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=7
)


@given(boxes=boxes, most=st.sampled_from([0.1, 0.5, 0.7, 0.95]))
@settings(max_examples=60, deadline=None)
def test_every_object_of_a_round_can_be_hidden_with_the_others_left_free(boxes, most) -> None:
    pixels = {row: block(x, y, x + w, y + h) for row, (x, y, w, h) in enumerate(boxes)}
    rounds = rounds_of(pixels, most)
    assert sorted(row for group in rounds for row in group) == list(range(len(boxes)))
    for group in rounds:
        covers = np.zeros((40, 40), bool)
        for row in group:
            others = [pixels[other] for other in group if other != row]
            keep = np.logical_or.reduce(others) if others else None
            laid = hide(pixels[row], most, "grey", "random", rng=np.random.default_rng(row), keep=keep)
            covers[laid.window] |= laid.cover
        for row in group:
            assert int((covers & pixels[row]).sum()) == hidden_count(int(pixels[row].sum()), most)


def test_classes_go_by_name() -> None:
    theirs = [("c", "a"), ("a", "x", "b", "c")]
    maps = labels_in_common(theirs, ("a", "b", "c"))
    assert [one.tolist() for one in maps] == [[0, 3, 1], [0, 1, 0, 0, 3]]  # the first lacks b
    named = labels_in_common([("c", "a", "bee"), theirs[1]], ("a", "b", "c"), {"bee": "b"})
    assert [one.tolist() for one in named] == [[0, 3, 1, 2], [0, 1, 0, 2, 3]]


def test_detectors_without_a_common_class_are_refused() -> None:
    with pytest.raises(DataError, match="no class of the data is known to all detectors"):
        labels_in_common([("a",), ("b",)], ("a", "b"))
