"""Places of tags: inside the picture, and apart while there is room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workbench.figures.drawing.tags import place_tags

FRAME = (100, 80)
edges = st.tuples(st.integers(0, 90), st.integers(0, 70), st.integers(1, 60), st.integers(1, 60))


def test_above_then_below_then_inside():
    box = (20, 30, 50, 60)
    assert place_tags([box], [(10, 5)], FRAME) == [(20, 25, 30, 30)]
    second = place_tags([box, box, box], [(30, 5)] * 3, FRAME)
    assert second == [(20, 25, 50, 30), (20, 60, 50, 65), (20, 30, 50, 35)]


def test_at_the_border_it_moves_inwards():
    assert place_tags([(95, 0, 100, 9)], [(20, 5)], FRAME) == [(80, 0, 100, 5)]


@given(st.lists(edges, min_size=1, max_size=12))
def test_inside_and_apart(corners):
    boxes = [(x, y, x + w, y + h) for x, y, w, h in corners]
    places = place_tags(boxes, [(20, 6)] * len(boxes), FRAME)
    for i, (x1, y1, x2, y2) in enumerate(places):
        assert 0 <= x1 <= x2 <= FRAME[0]
        assert 0 <= y1 <= y2 <= FRAME[1]
        for u1, v1, u2, v2 in places[:i]:
            assert min(x2, u2) - max(x1, u1) < 1e-6 or min(y2, v2) - max(y1, v1) < 1e-6
