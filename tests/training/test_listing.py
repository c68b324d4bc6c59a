"""Lists of runs: what they say of each, what sets recipes apart, order, filters, and a thousand of them."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import pytest

from workbench.errors import RunError
from workbench.training import Recipe, list_runs
from workbench.training.listing import read_runs, select

SHIPPED = "digit-scenes/faster-rcnn"


def make_run(folder: Path, recipe: Recipe, *, step: int = 0, result: dict | None = None, age: float = 0.0) -> None:
    folder.mkdir(parents=True)
    recipe.save(folder / "recipe.yaml")
    os.utime(folder / "recipe.yaml", (1e9 - age, 1e9 - age))
    rows = [{"step": step, "time": 1.0, "kind": "train", "loss": 0.5}] if step else []
    rows += [{"step": step, "time": 1.0, "kind": "val", "AP": step / 100}] if step else []
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if result is not None:
        (folder / "done.json").write_text(json.dumps({"seconds": 1.0, "result": result}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three runs, the newest first: one of a sweep, one with changes, one of an own recipe; and what is none."""
    shipped = Recipe.load(SHIPPED, trial=False)
    changed = shipped.model_copy(update={"batch_size": 4, "seed": 3})
    swept = shipped.model_copy(update={"name": f"{SHIPPED} @ ema=0.5", "ema": 0.5})
    own = shipped.model_copy(update={"name": "mine", "hardener": {"kind": "random-dropout"}})
    make_run(tmp_path / "swept", swept, step=7)
    make_run(tmp_path / "changed", changed, step=9, result={"AP": 0.25, "APl": None}, age=1)
    make_run(tmp_path / "own", own, age=2)
    (tmp_path / "other").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "recipe.yaml").write_text("name: [")
    os.utime(tmp_path / "broken" / "recipe.yaml", (1e8, 1e8))
    return tmp_path


def test_a_list_says_how_runs_stand_and_what_sets_their_recipes_apart(folder):
    swept, changed, own, broken = read_runs(folder)
    assert [one.run.name for one in (swept, changed, own, broken)] == ["swept", "changed", "own", "broken"]
    assert (swept.status, swept.step, swept.metrics, swept.overrides) == ("failed", 7, {"AP": 0.07}, {"ema": 0.5})
    total = Recipe.load(SHIPPED, trial=False).steps
    assert (changed.status, changed.step, changed.steps, changed.seed) == ("done", total, total, 3)
    assert changed.metrics == {"AP": 0.25}
    assert changed.overrides == {"batch_size": 4}
    assert own.overrides == {}, "nothing is known of that name but itself"
    assert (broken.status, broken.steps) == ("failed", 0)


def test_the_table_is_filtered_and_sorted(folder):
    table = list_runs(folder, sort="AP", reverse=True)
    assert table["name"].tolist() == ["changed", "swept", "own", "broken"], "those without it last"
    assert table["AP"].tolist()[:2] == [0.25, 0.07]
    assert math.isnan(table["AP"].tolist()[2])
    assert list_runs(folder, where="status=done")["name"].tolist() == ["changed"]
    assert list_runs(folder, where=["AP>0.05", "AP<=0.07"])["name"].tolist() == ["swept"]
    assert list_runs(folder, where="hardener.kind=random-dropout")["name"].tolist() == ["own"]
    assert list_runs(folder, where="batch_size!=4")["name"].tolist() == ["swept", "own"]
    assert list_runs(folder, reverse=True)["name"].tolist()[0] == "broken"
    assert list_runs(folder, sort="name")["name"].tolist() == ["broken", "changed", "own", "swept"]
    assert list_runs(folder / "other").empty
    with pytest.raises(RunError, match=r"no run has 'APP'; did you mean 'AP'"):
        list_runs(folder, sort="APP")
    with pytest.raises(RunError, match="expected a condition such as status=done"):
        list_runs(folder, where="AP")


def test_a_thousand_runs_are_listed_in_a_second(tmp_path):
    shipped = Recipe.load(SHIPPED, trial=False)
    text = {seed: shipped.model_copy(update={"seed": seed}).to_yaml() for seed in range(10)}
    row = json.dumps({"step": 5, "time": 1.0, "kind": "train", **{f"loss/{part}": 0.123456 for part in range(10)}})
    for number in range(1000):
        one = tmp_path / f"run-{number:04d}"
        one.mkdir()
        (one / "recipe.yaml").write_text(text[number % 10])
        (one / "metrics.jsonl").write_text(f"{row}\n" * 100)
        (one / "done.json").write_text('{"seconds": 1.0, "result": {"AP": %f}}' % (number / 1000))
    begun = time.process_time()
    runs = select(read_runs(tmp_path), where=["AP>=0.5"], sort="AP", reverse=True)
    seconds = time.process_time() - begun
    assert [one.run.name for one in runs[:2]] == ["run-0999", "run-0998"]
    assert len(runs) == 500
    print(f"{seconds:.2f} s for 1000 runs")
    assert seconds < 3, "1 s on an idle core"
