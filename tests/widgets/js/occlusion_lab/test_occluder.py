"""How the occluder moves and grows, worked by hand."""

from __future__ import annotations

import pytest
from javascript import evaluate, needs_node

pytestmark = needs_node

OCCLUDER = "occlusion_lab/occluder.js"
SETUP = "{ smallest: 4, width: 128, height: 96 }"


@pytest.mark.parametrize(
    ("box", "handle", "shift", "expected"),
    [
        ([20, 20, 40, 40], 4, [10, 5], [20, 20, 50, 45]),  # the lower right corner
        ([20, 20, 40, 40], 0, [30, -50], [36, 0, 40, 40]),  # the upper left one, kept 4 pixels wide and inside
        ([20, 20, 40, 40], 3, [500, 7], [20, 20, 128, 40]),  # the right edge moves in x only
    ],
)
def test_a_handle_resizes_within_the_picture(tmp_path, box, handle, shift, expected):
    assert evaluate(f"resized({box}, {handle}, {shift}, {SETUP})", {OCCLUDER: "resized"}, tmp_path) == expected


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([1.4, 1.6, 11.4, 9.6], [1, 2, 11, 10]),
        ([120, -7, 140, 3], [108, 0, 128, 10]),
        ([-5, 0, 300, 20], [0, 0, 128, 20]),
    ],
)
def test_an_occluder_stays_in_the_picture_in_whole_pixels(tmp_path, box, expected):
    assert evaluate(f"placed({box}, {SETUP})", {OCCLUDER: "placed"}, tmp_path) == expected


def test_small_occluders_have_handles_at_their_corners_only(tmp_path):
    asked = f"[[40, 40, 52, 52], [10, 10, 60, 60]].map((box) => handles(box, 2, {SETUP}))"
    found = evaluate(asked, {OCCLUDER: "handles"}, tmp_path)
    assert [at is not None for at in found[0]] == [True, False] * 4
    assert found[0][0] == [72, 72], "8 pixels outside of 80, 80"
    assert None not in found[1]
    assert evaluate(f"handleAt([35.5, 36], [40, 40, 52, 52], 2, {SETUP})", {OCCLUDER: "handleAt"}, tmp_path) == 0
    assert evaluate(f"handleAt([46, 46], [40, 40, 52, 52], 2, {SETUP})", {OCCLUDER: "handleAt"}, tmp_path) == -1
