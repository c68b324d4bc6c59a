"""Simulated workers: the same again from the seed, independent of each other, and errors that are errors."""

from __future__ import annotations

import numpy as np
import pytest
from listed_data import Listed

import workbench as wb
from workbench.annotation import SimulatedWorker, simulate, simulate_votes, worker_quality
from workbench.annotation.counting.claims import shapes_of
from workbench.errors import DataError

DATA = Listed([[(1, 10, 10, 60, 60), (2, 110, 10, 150, 90), (1, 60, 0, 100, 100, 0.0, 1)]] * 30)


def test_actions_depend_on_seed_and_own_name_alone():
    first, second = SimulatedWorker("a", 0.5, 0.7), SimulatedWorker("b", 0.5, 0.7)
    together = simulate([first, second], DATA, "spot")
    assert [one for one in together if one.worker == "a"] == simulate([first], DATA, "spot")
    assert simulate([first], DATA, "spot", seed=1) != simulate([first], DATA, "spot")
    times = [one.time for one in together]
    assert times == sorted(times)
    assert np.diff([one.time for one in together if one.worker == "a"]).mean() == pytest.approx(10, rel=0.5)


def test_perfect_workers_make_no_error_and_others_no_right_ones_of_them():
    perfect = SimulatedWorker("p", 1.0, 1.0)
    for stage in ("label", "spot", "segment"):
        quality = worker_quality(simulate([perfect], DATA, stage), DATA, stage=stage)
        assert quality.workers.loc["p", ["precision", "recall"]].tolist() == [1, 1]
    blind = SimulatedWorker("n", 0.0, 0.5)
    assert [one.kind for one in simulate([blind], DATA, "label")] == ["done"] * 30


def test_some_jobs_only():
    worker = SimulatedWorker("a", 1.0, 1.0, jobs=7)
    images = {one.image for one in simulate([worker], DATA, "label")}
    assert len(images) == 7
    assert simulate([SimulatedWorker("a", jobs=0)], DATA, "segment") == []


def test_no_more_than_ten_crosses():
    row = [(1, 5 + 12 * x, 5 + 40 * y, 14 + 12 * x, 40 + 40 * y) for x in range(15) for y in range(2)]
    crosses = simulate([SimulatedWorker("a", 1.0, 0.9)], Listed([row]), "spot")
    assert sum(one.kind == "add" for one in crosses) == 10


def test_masks_are_fitted_to_their_boxes():
    data = wb.load_data("digit-scenes", split="test", length=4)
    exact = simulate([SimulatedWorker("a", 1.0, 1.0)], data, "segment", masks=True)
    quality = worker_quality(exact, data, stage="segment").workers.loc["a"]
    assert quality["overlap"] > 0.9  # boxes of hidden digits are larger than what shows of them
    loose = simulate([SimulatedWorker("a", 1.0, 0.7, looseness=0.1)], data, "segment", masks=True)
    for one in loose:
        if one.kind == "add":
            (box,) = shapes_of([one], data.size(one.image)).boxes
            assert (box >= 0).all()
    assert worker_quality(loose, data, stage="segment").workers.loc["a", "overlap"] < quality["overlap"]
    with pytest.raises(DataError, match="there are no masks"):
        simulate([SimulatedWorker("a")], DATA, "segment", masks=True)


@pytest.mark.parametrize(
    "wrong", [{"recall": 1.1}, {"precision": 0}, {"looseness": -1}, {"wrong_class": 2}, {"jobs": -1}]
)
def test_skills_out_of_range(wrong):
    with pytest.raises(DataError, match="outside its range"):
        SimulatedWorker("a", **wrong)


def test_what_cannot_be_is_said():
    worker = SimulatedWorker("a", recall=1.0, precision=0.2)
    with pytest.raises(DataError, match=r"cannot have the precision 0\.2 with the recall 1\.0: that takes 240"):
        simulate([worker], DATA, "label")
    with pytest.raises(DataError, match="two workers have one name"):
        simulate([worker, worker], DATA, "spot")
    with pytest.raises(DataError, match="nobody simulates stage 'verify'"):
        simulate([worker], DATA, "verify")
    with pytest.raises(DataError, match="good segments"):
        simulate_votes([worker], {"a": True, "b": False})
