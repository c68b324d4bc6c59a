"""Zoom and pan: what is below the pointer stays there, and some of the picture is always in sight."""

from __future__ import annotations

import pytest
from javascript import evaluate, needs_node

pytestmark = needs_node

NAMES = {"annotator/viewport.js": "Viewport"}


def seen(steps: str, folder):
    start = "const one = new Viewport(); one.picture = [200, 100]; one.room = [400, 400]; one.fit();"
    return evaluate(f"(() => {{ {start} {steps} }})()", NAMES, folder)


def test_the_whole_picture_in_the_middle(tmp_path):
    assert seen("return [one.scale, one.toCanvas([0, 0]), one.toCanvas([200, 100])];", tmp_path) == [
        2,
        [0, 100],
        [400, 300],
    ]


def test_zoom_about_a_place(tmp_path):
    before, after, scale = seen(
        "const b = one.toPicture([100, 150]); one.zoom(3, [100, 150]);"
        "return [b, one.toPicture([100, 150]), one.scale];",
        tmp_path,
    )
    assert after == pytest.approx(before)
    assert scale == 6
    assert seen("one.zoom(0.1, [3, 3]); return [one.scale, one.toCanvas([0, 0])];", tmp_path) == [2, [0, 100]]
    assert seen("one.zoom(1e9, [3, 3]); return one.scale;", tmp_path) == 40


def test_pan_keeps_some_of_it_in_sight(tmp_path):
    steps = "one.zoom(4, [200, 200]); one.pan([1e6, -1e6]); return one.toPicture([200, 200]);"
    x, y = seen(steps, tmp_path)
    assert (x, y) == (0, 100)


def test_a_cursor_that_leaves_the_sight_takes_it_along(tmp_path):
    steps = "one.zoom(4, [200, 200]); one.reveal([199, 99]); return one.toCanvas([199, 99]);"
    x, y = seen(steps, tmp_path)
    assert 0 <= x <= 400
    assert 0 <= y <= 400


def test_another_size_of_the_canvas(tmp_path):
    assert seen("one.resize([200, 300]); return one.scale;", tmp_path) == 1
    steps = "one.zoom(2, [200, 200]); const m = one.toPicture([200, 200]); one.resize([300, 300]);"
    steps += "return [m, one.toPicture([150, 150])];"
    first, second = seen(steps, tmp_path)
    assert second == pytest.approx(first)
