"""Sweeps: what is tried, under which names, and what the runs say together."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from workbench.errors import RecipeError, RunError
from workbench.training import Comparison, Recipe, Sweep, loguniform, settings, sweep, uniform
from workbench.training import sweep as sweep_function
from workbench.training.space import AT

RATES = [0.001, 0.01, 0.1]


def tried(*, other: bool = True) -> Sweep:
    """AP = 0.2 + place of the rate / 10 + 0.01 with harder data, and 0.02 less or more with seeds 0 and 1."""
    rows, names = [], {}
    for place, rate in enumerate(RATES):
        for hard in (False, True) if other else (False,):
            name = f"base{AT}lr={rate}, hard={hard}"
            names[name] = {"stages.0.lr": rate, "hard": hard} if other else {"stages.0.lr": rate}
            for seed in (0, 1):
                ap = 0.2 + place / 10 + 0.01 * hard + (0.02 if seed else -0.02)
                about = {"recipe": name, "seed": seed, "status": "done", "reused": False, "seconds": 1.0}
                rows.append({**about, "folder": f"/runs/{place}-{seed}", "error": "", "AP": ap, "loss": 1 - ap})
    return Sweep(Comparison(pd.DataFrame(rows)), names)


def test_lists_are_combined_and_drawn_values_are_the_same_for_each_combination():
    space = {"a": [1, 2], "lr": loguniform(1e-4, 1e-1), "b": ["x", None]}
    all_of_it = settings(space, draws=3)
    assert len(all_of_it) == 2 * 2 * 3
    assert [list(one) for one in all_of_it] == [["a", "lr", "b"]] * 12
    assert {(one["a"], one["b"]) for one in all_of_it} == {(1, "x"), (1, None), (2, "x"), (2, None)}
    assert len({one["lr"] for one in all_of_it}) == 3
    assert settings(space, draws=5)[:12] == all_of_it, "more draws begin with the same"
    assert settings(space, draws=3, seed=1) != all_of_it
    assert settings({"a": [1, 2]}, draws=9) == [{"a": 1}, {"a": 2}], "nothing is drawn"


def test_draws_keep_their_bounds_and_their_law():
    rates = [one["lr"] for one in settings({"lr": loguniform(1e-4, 1e-2)}, draws=400)]
    shares = [one["p"] for one in settings({"p": uniform(0.2, 0.4)}, draws=400)]
    assert min(rates) >= 1e-4
    assert max(rates) <= 1e-2
    assert sum(rate < 1e-3 for rate in rates) == pytest.approx(200, abs=40)  # half, ± 4 standard errors
    assert min(shares) >= 0.2
    assert max(shares) <= 0.4
    assert sum(shares) / 400 == pytest.approx(0.3, abs=0.012)
    assert all(float(f"{rate:.4g}") == rate for rate in rates)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: uniform(2, 1), "the lower first, got 2 and 1"),
        (lambda: uniform(0, math.inf), "finite"),
        (lambda: loguniform(0, 1), "positive"),
        (lambda: settings({}), "nothing to sweep: 0 keys"),
        (lambda: settings({"a": [1]}, draws=0), "draws=0"),
        (lambda: settings(None), "the space is None; expected key of the recipe"),
        (lambda: settings([{"a": [1]}]), r"the space is \[.*expected key"),
        (lambda: settings({"seed": [1, 2]}), r"seed is set for each run of a sweep; give seeds=\[\.\.\.\]"),
        (lambda: settings({"name": ["a"], "a": [1]}), "name is set for each run"),
        (lambda: settings({"a": []}), r"a: expected a list of values, .* got \[\]"),
        (lambda: settings({"a": "abc"}), "a: expected a list"),
    ],
)
def test_what_cannot_be_swept_is_refused(make, said):
    with pytest.raises(RecipeError, match=said):
        make()


def test_each_setting_is_a_recipe_of_its_own_name(monkeypatch):
    seen = {}

    def compare(recipes, **how):
        seen.update(recipes=list(recipes), how=how)
        return "compared"

    monkeypatch.setitem(sweep_function.__globals__, "compare", compare)
    space = {"stages.0.lr": [0.001, 0.01], "optimizer.kind": ["sgd"]}
    gave = sweep("digit-scenes/faster-rcnn", space, seeds=2, on="slurm", folder="there")
    assert [recipe.name for recipe in seen["recipes"]] == [
        f"digit-scenes/faster-rcnn @ stages.0.lr={rate}, optimizer.kind=sgd" for rate in (0.001, 0.01)
    ]
    assert [recipe.stages[0].lr for recipe in seen["recipes"]] == [0.001, 0.01]
    assert seen["how"] == {"seeds": 2, "on": "slurm", "folder": "there"}
    assert gave.comparison == "compared"
    assert gave.keys == ["stages.0.lr", "optimizer.kind"]
    with pytest.raises(RecipeError, match="unknown key"):
        sweep(Recipe.load("digit-scenes/faster-rcnn"), {"stages.0.rate": [1]})


def test_the_table_has_a_row_for_each_setting_and_the_best_is_found():
    result = tried()
    table = result.table(["AP"])
    assert list(table.columns) == ["stages.0.lr", "hard", "AP", "AP_low", "AP_high"]
    assert table["AP"].tolist() == pytest.approx([0.2, 0.21, 0.3, 0.31, 0.4, 0.41])
    # two values 0.04 apart: half = t(0.975, 1) · 0.04 / √2 / √2
    assert (table["AP_high"] - table["AP"]).tolist() == pytest.approx([12.7062 * 0.02] * 6, abs=1e-4)
    assert result.best("AP") == {"stages.0.lr": 0.1, "hard": True}
    assert result.best("loss", lowest=True) == {"stages.0.lr": 0.1, "hard": True}
    assert result.frame().columns[:3].tolist() == ["stages.0.lr", "hard", "recipe"]
    assert "0.41" in repr(result)
    assert "<table" in result._repr_html_()
    with pytest.raises(RunError, match="there is no metric 'APP'"):
        result.best("APP")


def test_without_a_result_there_is_no_best():
    result = tried()
    nothing = Sweep(Comparison(result.comparison.frame().assign(AP=math.nan)), result.settings)
    with pytest.raises(RunError, match="no run has AP"):
        nothing.best("AP")


def test_the_figure_is_of_the_workbench():
    assert len(tried().figure("AP").data) == 4
