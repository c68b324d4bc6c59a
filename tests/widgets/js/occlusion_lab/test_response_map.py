"""Colours of scores, and what stands where a score is not known yet."""

from __future__ import annotations

from javascript import evaluate, needs_node

from workbench.figures.drawing.colours import SCORES

pytestmark = needs_node


def test_scores_have_the_colours_of_the_figures(tmp_path):
    scores = (255 * SCORES).round().astype(int).tolist()
    asked = "[[-1, 0, 0.5, 1, 2].map(heat), SCORES.length]"
    found, number = evaluate(asked, {"occlusion_lab/response_map.js": "heat"}, tmp_path, SCORES=scores)
    assert number == 256
    assert found == [scores[0], scores[0], scores[128], scores[255], scores[255]]


def test_cells_that_are_not_known_yet_have_the_score_of_the_coarser_cell(tmp_path):
    """Of 4 × 4 cells, first only that at (2, 2) is known, then that at (1, 1) too."""
    asked = """(() => {
      const values = Array(16).fill(NaN);
      values[10] = 0.5;
      const before = [nearestKnown(values, 4, 4, 0, 0), nearestKnown(values, 4, 4, 3, 1)];
      values[5] = 0.25;
      return [before, nearestKnown(values, 4, 4, 0, 0), nearestKnown(values, 4, 4, 3, 1)];
    })()"""
    values = {"SCORES": SCORES.tolist()}
    found = evaluate(
        f"[{asked}, SCORES.length]", {"occlusion_lab/response_map.js": "nearestKnown"}, tmp_path, **values
    )
    assert found[0] == [[0.5, 0.5], 0.25, 0.5]
