"""Figures of workers show what was counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from listed_data import Listed

from workbench.annotation import SimulatedWorker, simulate, worker_quality
from workbench.errors import DataError
from workbench.figures.annotation import error_rates_figure, figure_names, workers_figure

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


def test_errors_of_each_kind_start_at_clean_labels():
    rows = [("", 0.0, 0.4), ("", 0.0, 0.5), ("missed", 0.5, 0.2), ("missed", 0.5, 0.3), ("wrong", 0.5, 0.1)]
    runs = pd.DataFrame(rows, columns=["kind", "rate", "AP"])
    axes = error_rates_figure(runs).axes[0]
    assert axes.get_legend_handles_labels()[1] == ["missed", "wrong"]
    missed, wrong = (bars.lines[0] for bars in axes.containers)
    np.testing.assert_allclose(missed.get_ydata(), [0.45, 0.25])  # means over seeds
    np.testing.assert_allclose(wrong.get_ydata(), [0.45, 0.1])
    low, high = axes.containers[0].lines[2][0].get_segments()[1][:, 1]
    np.testing.assert_allclose([low, high], [0.25 - 12.7062 * 0.05, 0.25 + 12.7062 * 0.05], rtol=1e-5)  # t(0.975, 1)
    with pytest.raises(DataError, match="no column 'AP50'"):
        error_rates_figure(runs, ["AP50"])
