"""Names of boxes stand where the figures of Python put them."""

from __future__ import annotations

import json

import numpy as np
from javascript import evaluate, needs_node

from workbench.figures.drawing.tags import place_tags

pytestmark = needs_node


def test_tags_go_where_figures_put_them(tmp_path):
    """Ten places at each of three boxes are enough, and chosen in the same order."""
    rng = np.random.default_rng(0)
    corners = np.sort(rng.integers(0, [[640], [480]], (100, 3, 2, 2)), axis=3)  # [scene, box, x or y, low or high]
    boxes = corners.transpose(0, 1, 3, 2).reshape(100, 3, 4).tolist()
    widths = rng.integers(20, 90, (100, 3)).tolist()
    asked = f"{json.dumps(boxes)}.map((scene, i) => tagPlaces(scene, {json.dumps(widths)}[i], 640, 480))"
    found = evaluate(asked, {"shared/tags.js": "tagPlaces"}, tmp_path)
    for scene, sizes, places in zip(boxes, widths, found, strict=True):
        expected = place_tags(scene, [(width, 16) for width in sizes], (640, 480))
        assert [tuple(place[:2]) for place in places] == [place[:2] for place in expected]
