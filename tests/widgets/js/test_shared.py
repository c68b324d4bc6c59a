"""What the widgets' JavaScript shares, without a page."""

from __future__ import annotations

import json

import numpy as np
import pytest
from javascript import evaluate, needs_node

from workbench.figures.drawing.tags import place_tags

pytestmark = needs_node

PLAY = """(() => {
  const sent = [];
  const questions = new NewestWins((number, change) => sent.push([number, change]));
  questions.ask({ x: 1 });
  questions.ask({ x: 2, y: 1 });
  questions.ask({ x: 3 });
  const stranger = questions.answered(7);
  const own = questions.answered(1);
  questions.next();
  const again = questions.answered(1);
  questions.answered(2);
  questions.next();
  return { sent, stranger, own, again, inFlight: questions.inFlight };
})()"""


def test_the_newest_question_wins(tmp_path):
    """Three changes and one answer: what came meanwhile goes as one question, the last value of each name."""
    found = evaluate(PLAY, {"shared/newest.js": "NewestWins"}, tmp_path)
    assert found["sent"] == [[1, {"x": 1}], [2, {"x": 3, "y": 1}]]
    assert (found["stranger"], found["own"], found["again"], found["inFlight"]) == (False, True, False, None)


@pytest.mark.parametrize(("point", "smallest"), [((5, 5), 1), ((1, 1), 0), ((30, 30), None), ((8, 8), 1)])
def test_the_smallest_box_at_a_point(tmp_path, point, smallest):
    boxes = [[0, 0, 20, 20], [4, 4, 8, 8], [4, 4, 9, 9]]
    asked = f"smallestAt({boxes}, {list(point)})"
    assert evaluate(asked, {"shared/boxes.js": "smallestAt"}, tmp_path) == smallest


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
