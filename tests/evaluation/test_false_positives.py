"""Recall at a fixed number of false positives, by hand."""

import numpy as np
import pytest

from workbench.errors import DataError
from workbench.evaluation import evaluate_detections, recall_at_false_positives

HERE, FAR, NOTHING = (0, 0, 20, 20), (40, 40, 60, 60), (70, 0, 90, 20)


@pytest.fixture
def result(in_memory, target, found):
    """A clear object (class 1) and one half hidden (class 2). By falling score: nothing, clear, nothing, hidden."""
    data = in_memory([target([(*HERE, 1), (*FAR, 2)], occlusion=[0.0, 0.5])])
    return evaluate_detections(
        [found([(*NOTHING, 1, 0.9), (*HERE, 1, 0.8), (*NOTHING, 2, 0.7), (*FAR, 2, 0.6)])], data
    )


@pytest.mark.parametrize(("number", "recalls"), [(0, (0, 0, 0)), (1, (0.5, 1, 0)), (2, (1, 1, 1))])
def test_by_hand_for_all_objects_and_by_occlusion(result, number, recalls):
    table = recall_at_false_positives(result, number)
    assert table.loc[["all", "< 5 %", "40–60 %"], "recall"].tolist() == list(recalls)
    assert table["n"].tolist() == [2, 1, 0, 0, 1, 0, 1]
    assert np.isnan(table.loc["5–20 %", "recall"])
    assert "IoU ≥ 0.5" in table.attrs["note"]


def test_the_score_is_the_lowest_that_passes(result):
    scores = [recall_at_false_positives(result, number).loc["all", "score"] for number in (0, 1, 2)]
    assert scores == pytest.approx([np.nan, 0.8, 0.6], nan_ok=True)


def test_other_thresholds_and_numbers_are_refused(result):
    with pytest.raises(DataError, match=r"threshold 0\.52 is not one of"):
        recall_at_false_positives(result, threshold=0.52)
    with pytest.raises(DataError, match="expected a number from 0 on"):
        recall_at_false_positives(result, -1)
