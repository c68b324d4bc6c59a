"""Searches: what is tried follows from what was tried, failures count as such, and an interrupted search goes on."""

from __future__ import annotations

import importlib
import json
import math
import shutil
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest
from made_up_result import save_result

from workbench.errors import RecipeError, RunError
from workbench.training import Comparison, Recipe, loguniform, sweep, uniform
from workbench.training.processes import detached
from workbench.training.recording.fingerprint import TRAINING
from workbench.training.search import Study

pytest.importorskip("optuna")
MODULE = importlib.import_module("workbench.training.search")
SPACE = {"stages.0.lr": loguniform(1e-4, 1e-1), "optimizer.kind": ["sgd", "adamw"]}
BEST = 1e-2  #: the rate at which AP is highest


@pytest.fixture
def recipe() -> Recipe:
    parts = {"name": "try", "data": {"name": "digit-scenes"}, "detector": {"kind": "faster-rcnn"}}
    return Recipe.from_dict({**parts, "stages": [{"steps": 2, "lr": 1.0}], "test": {"name": "digit-scenes"}})


def worth(recipe: Recipe) -> float:
    """AP: the nearer the rate is to BEST the higher, SGD 0.1 above AdamW."""
    off = math.log10(recipe.stages[0].lr / BEST)
    return 0.5 - 0.1 * off**2 + (0.1 if recipe.optimizer.kind == "sgd" else 0.0)


class Trainings:
    """Stands in for `compare`, and for the runs that it leaves: what was trained, in which calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.calls: list[list[str]] = []
        self.failing: set[int] = set()  #: places in the order of trainings
        self.interrupt_at: int | None = None  #: number of the call that is interrupted
        self.rows: dict[tuple[str, int], dict] = {}
        monkeypatch.setattr(MODULE, "compare", self.compare)
        monkeypatch.setattr(MODULE, "find_runs", lambda jobs, root: None)
        monkeypatch.setattr(
            MODULE, "comparison_of", lambda jobs: self.table((job.recipe.name, job.recipe.seed) for job in jobs)
        )

    @property
    def trained(self) -> list[str]:
        return [name for call in self.calls for name in call]

    def table(self, keys) -> Comparison:
        return Comparison(pd.DataFrame([self.rows[key] for key in keys]))

    def compare(self, recipes, *, seeds, **how) -> Comparison:
        recipes = list(recipes)
        if len(self.calls) == self.interrupt_at:
            self.interrupt_at = None
            raise KeyboardInterrupt
        for one in recipes:
            failed = len(self.trained) in self.failing
            self.calls.append([])
            for seed in seeds:
                row = {"recipe": one.name, "seed": seed, "status": "done", "folder": "", "error": ""}
                result = {"error": "boom", "status": "failed"} if failed else {"AP": worth(one) + seed / 1000}
                self.rows[one.name, seed] = {"reused": False, "seconds": 1.0, **row, **result}
            self.calls[-1].append(one.name)
        return self.table((one.name, seed) for one in recipes for seed in seeds)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    return Trainings(monkeypatch)


def search(recipe: Recipe, folder: Path, *, draws: int = 30, **how):
    settings = {"seeds": 1, "workers": 1, "search": "tpe", "progress": False, "folder": folder, **how}
    return sweep(recipe, SPACE, draws=draws, **settings)


def test_a_search_finds_what_is_best_and_tries_more_there(recipe, trainings, tmp_path):
    tried = search(recipe, tmp_path)
    assert len(trainings.trained) == len(tried.settings) == 30
    best = tried.best("AP")
    assert best["optimizer.kind"] == "sgd"
    assert abs(math.log10(best["stages.0.lr"] / BEST)) < 0.3
    aps = tried.frame()["AP"]
    assert aps[15:].mean() > aps[:10].mean() + 0.03, "the first ten are drawn at random"
    assert (tried.frame()["optimizer.kind"][15:] == "sgd").mean() > 0.6
    assert tried.keys == list(SPACE)
    assert tried.figure("AP", "stages.0.lr").layout.xaxis.type == "log"


def test_a_loss_is_searched_for_its_lowest_value(recipe, trainings, tmp_path):
    low = search(recipe, tmp_path, draws=25, lowest=True)
    assert low.frame()["AP"][15:].mean() < low.frame()["AP"][:10].mean() - 0.03
    assert len(list(tmp_path.glob("search-*"))) == 1
    search(recipe, tmp_path, draws=2)
    assert len(list(tmp_path.glob("search-*"))) == 2, "another aim is another search"


def test_the_same_call_trains_nothing_and_more_draws_go_on(recipe, trainings, tmp_path):
    first = search(recipe, tmp_path, draws=4, seeds=2)
    again = search(recipe, tmp_path, draws=4, seeds=2)
    assert len(trainings.trained) == 4
    pd.testing.assert_frame_equal(first.frame(), again.frame())
    more = search(recipe, tmp_path, draws=7, seeds=2)
    assert len(trainings.trained) == 7
    assert list(more.settings)[:4] == list(first.settings)
    other = search(recipe, tmp_path / "other", draws=7, seeds=2)
    assert list(other.settings) == list(more.settings), "what is drawn does not depend on interruptions"


def test_what_was_interrupted_is_taken_up_first(recipe, trainings, tmp_path):
    trainings.interrupt_at = 3
    with pytest.raises(KeyboardInterrupt):
        search(recipe, tmp_path, draws=6)
    assert len(trainings.trained) == 3
    after = search(recipe, tmp_path, draws=6)
    assert len(trainings.trained) == len(after.settings) == 6
    assert trainings.trained == list(after.settings)


def test_a_run_that_fails_is_a_failed_trial(recipe, trainings, tmp_path):
    trainings.failing = {1, 2}
    tried = search(recipe, tmp_path, draws=5)
    assert tried.comparison.failures["error"].tolist() == ["boom", "boom"]
    assert tried.frame()["AP"].notna().tolist() == [True, False, False, True, True]
    search(recipe, tmp_path, draws=5)
    assert len(trainings.trained) == 5, "it is not tried again"


def test_several_at_a_time(recipe, trainings, tmp_path, monkeypatch):
    sizes = []

    def compare(recipes, **how):
        sizes.append(len(recipes))
        return trainings.compare(recipes, **how)

    monkeypatch.setattr(MODULE, "compare", compare)
    search(recipe, tmp_path, draws=7, workers=6, seeds=2)
    assert sizes == [3, 3, 1]


def test_two_processes_share_a_search(recipe, trainings, tmp_path):
    """What one of them holds is not taken by the other, which waits for it at the end."""
    begun, go_on = threading.Event(), threading.Event()
    results, real = {}, trainings.compare

    def compare(recipes, **how):
        if threading.current_thread().name == "slow":
            begun.set()
            assert go_on.wait(60)
        return real(recipes, **how)

    MODULE.compare = compare  # undone by the fixture
    slow = threading.Thread(target=lambda: results.update(slow=search(recipe, tmp_path, draws=4)), name="slow")
    fast = threading.Thread(target=lambda: results.update(fast=search(recipe, tmp_path, draws=4)), name="fast")
    slow.start()
    assert begun.wait(60)
    fast.start()
    while len(trainings.trained) < 3:
        assert fast.is_alive()
    assert fast.is_alive(), "one is still at work"
    go_on.set()
    for thread in (slow, fast):
        thread.join(60)
    assert list(results["slow"].settings) == list(results["fast"].settings)
    assert sorted(trainings.trained) == sorted(results["fast"].settings)


def test_values_of_all_kinds(recipe, tmp_path):
    space = {"augment.hide": [None, {"kind": "grid-mask"}], "ema": [None, 0.5, 1], "flag": [True, 1, "a"]}
    study = Study(tmp_path, recipe, space, "tpe", seeds=[0], metric="AP", lowest=False, draw_seed=0)
    seen = {key: [] for key in space}
    with study.next_trials(30, most=30) as trials:
        for setting in trials.values():
            for key, value in setting.items():
                assert any(value is own or value == own for own in space[key])
                seen[key].append(json.dumps(value))
    assert {key: len(set(values)) for key, values in seen.items()} == {"augment.hide": 2, "ema": 3, "flag": 3}


def test_what_cannot_be_searched_is_refused(recipe, trainings, tmp_path, monkeypatch):
    with pytest.raises(RunError, match="there is no search 'tpee'; did you mean 'tpe'"):
        search(recipe, tmp_path, search="tpee")
    with pytest.raises(RunError, match="there is no metric 'APP'; did you mean 'AP'"):
        search(recipe, tmp_path, metric="APP")
    with pytest.raises(RecipeError, match="nothing to sweep"):
        search(recipe, tmp_path, draws=0)
    with pytest.raises(RecipeError, match="unknown key"):
        sweep(recipe, {"stages.0.rate": uniform(0, 1)}, search="tpe", folder=tmp_path, progress=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(RunError, match=r"needs Optuna: pip install 'occlusion-workbench\[search\]'"):
        search(recipe, tmp_path)


def test_runs_that_a_search_left_are_used_again_even_without_its_journal(recipe, tmp_path, monkeypatch):
    """With a stand-in for the trainer; one of the settings fails."""
    monkeypatch.setattr(detached, "SOURCES", Path(__file__).parents[1] / "support" / "stand_in")
    for name in ("compare", "processes.starting"):
        module = importlib.import_module(f"workbench.training.{name}")
        monkeypatch.setattr(module, "code_fingerprint", lambda parts=TRAINING: "fingerprint of " + parts[-1])
    runs, notes = tmp_path / "runs", {"result": str(save_result(tmp_path / "result.json")), "ap": 0.5}
    changed = recipe.replace(notes=notes)
    space = {"stages.0.lr": loguniform(1e-4, 1e-1), "notes.fail": [None]}
    how = {"seeds": 2, "draws": 2, "search": "tpe", "folder": runs, "progress": False}
    first = sweep(changed, space, **how)
    assert first.frame()["AP"].tolist() == pytest.approx([0.5, 0.51] * 2)
    shutil.rmtree(next(runs.glob("search-*")))
    again = sweep(changed, space, **how)
    assert again.frame()["folder"].tolist() == first.frame()["folder"].tolist()
    failed = sweep(changed, {**space, "notes.fail": ["crash"], "ema": [0.5]}, **how)
    assert len(failed.comparison.failures) == 4
    assert "ended before it could say why" in failed.comparison.failures["error"].tolist()[0]
