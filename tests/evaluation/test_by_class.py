"""Differences by class: the same figures as the results', and intervals that know who is better."""

import numpy as np
import pytest

from workbench.errors import DataError
from workbench.evaluation import difference_by_class, evaluate_detections

CLASSES = ("cat", "dog", "car")
CAT, DOG = (0, 0, 20, 20), (30, 0, 50, 20)
NUMBER = 12


@pytest.fixture
def results(in_memory, target, found):
    """The first finds every cat and no dog, the second every dog and half of the cats; there is no car."""
    data = in_memory([target([(*CAT, 1), (*DOG, 2)]) for _ in range(NUMBER)], CLASSES)
    first = [found([(*CAT, 1, 0.9)]) for _ in range(NUMBER)]
    second = [found([(*DOG, 2, 0.9)] + [(*CAT, 1, 0.8)] * (i % 2)) for i in range(NUMBER)]
    return [evaluate_detections(answers, data) for answers in (first, second)]


@pytest.mark.parametrize("measure", ["AP", "AP50", "VOC2007", "VOC2012"])
def test_by_hand(results, measure):
    table = difference_by_class(*results, measure=measure)
    assert table.index.tolist() == list(CLASSES)
    assert table["n"].tolist() == [NUMBER, NUMBER, 0]
    half = {"AP": 51 / 101, "AP50": 51 / 101, "VOC2007": 6 / 11, "VOC2012": 0.5}[measure]
    assert table["a"].tolist()[:2] == pytest.approx([1, 0])
    assert table["b"].tolist()[:2] == pytest.approx([half, 1])
    assert table["difference"].tolist()[:2] == pytest.approx([half - 1, 1])
    assert table.loc["cat", "low"] < half - 1 < table.loc["cat", "high"] < 0
    assert table.loc["dog", ["low", "high"]].tolist() == pytest.approx([1, 1])  # in every resample
    assert table.loc["car"].drop("n").isna().all()


def test_it_is_the_results_own_ap(results):
    table = difference_by_class(*results)
    for column, result in zip("ab", results, strict=True):
        assert np.allclose(table[column], result.by_class["AP"], equal_nan=True)


def test_what_cannot_be_compared(results, in_memory, target, found):
    other = evaluate_detections([found([])], in_memory([target([(*CAT, 1)])], CLASSES))
    with pytest.raises(DataError, match="on the same images"):
        difference_by_class(results[0], other)
    with pytest.raises(DataError, match="no measure 'AR'; choose one of AP"):
        difference_by_class(*results, measure="AR")
