"""Figures of workers show what was counted."""

from __future__ import annotations

import numpy as np
import pytest
from listed_data import Listed

from workbench.annotation import SimulatedWorker, simulate, worker_quality
from workbench.errors import DataError
from workbench.figures.annotation import figure_names, workers_figure

DATA = Listed([[(1, 10, 10, 60, 60), (2, 110, 10, 150, 90)]] * 40)


@pytest.fixture(scope="module")
def quality():
    crowd = [SimulatedWorker(f"w{n}", 0.4 + 0.05 * n, 0.9, jobs=20 + 2 * n) for n in range(10)]
    experts = [SimulatedWorker(f"e{n}", 0.9, 0.98) for n in range(3)]
    return worker_quality(simulate([*crowd, *experts], DATA, "label"), DATA, experts=["e0", "e1", "e2"])


def test_every_figure_can_be_drawn(quality):
    assert quality.figure_names == figure_names(quality) == ("union", "workers", "agreement")
    for name in figure_names(quality):
        figure = quality.figure(name)
        figure.draw_without_rendering()
        assert quality.what in figure.get_suptitle()


def test_the_union_and_the_experts(quality):
    left, right = quality.figure("union").axes
    assert left.lines[0].get_xdata().tolist() == quality.union["recall"].tolist()
    assert [len(dots.get_offsets()) for dots in left.collections] == [10, 3]
    assert [text.get_text() for text in left.texts] == [str(n) for n in quality.union.index]
    curves = {line.get_label(): line.get_ydata().tolist() for line in right.lines}
    assert curves["recall"] == quality.union["recall"].tolist()
    assert curves["precision"] == quality.union["precision"].tolist()


def test_dots_are_the_grid(quality):
    axes, bar = workers_figure(quality, precision=0.6).axes
    grid = quality.grid(0.1)
    np.testing.assert_allclose(axes.collections[0].get_offsets()[:, 0], grid["recall"] + 0.05)
    np.testing.assert_allclose(axes.collections[0].get_array(), grid["jobs"])
    assert axes.lines[0].get_ydata() == [0.6, 0.6]
    assert bar.get_ylabel() == "jobs per worker, mean"


def test_one_worker_without_a_truth_has_no_figure():
    alone = worker_quality(simulate([SimulatedWorker("w")], DATA, "label"))
    assert alone.figure_names == ()
    with pytest.raises(DataError, match="no figure 'union'"):
        alone.figure("union")
