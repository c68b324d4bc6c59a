"""Boxes and points in pixels."""

from __future__ import annotations

import pytest
from javascript import evaluate, needs_node

pytestmark = needs_node


@pytest.mark.parametrize(("point", "smallest"), [((5, 5), 1), ((1, 1), 0), ((30, 30), None), ((8, 8), 1)])
def test_the_smallest_box_at_a_point(tmp_path, point, smallest):
    boxes = [[0, 0, 20, 20], [4, 4, 8, 8], [4, 4, 9, 9]]
    asked = f"smallestAt({boxes}, {list(point)})"
    assert evaluate(asked, {"shared/boxes.js": "smallestAt"}, tmp_path) == smallest
