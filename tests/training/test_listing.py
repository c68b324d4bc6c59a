"""Lists of runs: what they say of each, what sets recipes apart, order, filters, and a thousand of them."""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from pathlib import Path

import pytest
from many_runs import make_many

from workbench.errors import RunError
from workbench.training import Recipe, list_runs, listing
from workbench.training.listing import _flat, _recipe_values, read_runs, select
from workbench.training.recipe_files import read_recipe

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


def bytes_read() -> int:
    """By this process so far."""
    return int(Path("/proc/self/io").read_text().split()[1])


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


@pytest.mark.parametrize(
    "text",
    [
        "name: a\nseed: 3\n",
        "name: a\nstages:\n- steps: 5\n  lr: 0.1\n- steps: 6\n",
        "name: a\nnotes: 'two\n\n  lines'\naugment: {}\n",
        "stages: &all [{steps: 5}]\nother: *all\n",
        "name: &n a\n<<: {seed: 3}\nseed: 4\n",
        "seed: 4\nname: a\n<<: {seed: 3}\n",
        "# a comment\nname: a\n\n# another\nseed: 3 # here\n",
        "---\nname: a\nseed: 3\n",
        '{name: a,\nseed: 3}\n',
        'notes: "a\nname: b"\nseed: 3\n',
        "stages.0.steps: 5\nname: a\n",
    ],
)  # fmt: skip
def test_what_is_parsed_key_by_key_is_what_the_file_says(text, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    assert dict(_recipe_values(path, {})) == dict(_flat(read_recipe(path)))


@pytest.mark.parametrize("text", ["name: a\nname: b\n", "name: a\n---\nseed: 1\n", "name: [\n", "name: \xff"])
def test_a_recipe_that_cannot_be_read_says_nothing(text, tmp_path):
    (tmp_path / "recipe.yaml").write_bytes(text.encode("latin-1"))
    assert _recipe_values(tmp_path / "recipe.yaml", {}) == []


def test_listing_a_run_opens_few_files_reads_their_ends_and_parses_only_what_is_new(tmp_path, monkeypatch):
    make_many(tmp_path, 50, ended=25)
    opened, parsed = Counter[str](), []
    real_open, real_read = os.open, listing.read_value

    def count(path, *arguments, **options):
        opened[Path(path).name] += 1
        return real_open(path, *arguments, **options)

    def parse(text):
        parsed.append(text)
        return real_read(text)

    read_before = bytes_read()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", count)
        patch.setattr(listing, "read_value", parse)
        runs = read_runs(tmp_path)
    assert bytes_read() - read_before < 50 * 6_000 + 25 * 16_384, "a file of metrics has 40 kB"
    assert {name: number for name, number in opened.items() if number >= 25} == {
        "recipe.yaml": 50, "proc.json": 50, "proc.lock": 50, "done.json": 75, "metrics.jsonl": 25,
    }  # fmt: skip
    keys = len(Recipe.load(SHIPPED, trial=False).to_dict())
    assert len(parsed) == keys + 49, "the seeds set them apart"
    assert [one.metrics for one in runs if one.run.name == "run-0007"] == [{"AP": 0.007}]
    assert [one.metrics for one in runs if one.run.name == "run-0030"] == [{"AP": 0.5}]


def test_a_thousand_runs_are_listed(tmp_path):
    make_many(tmp_path, 1000, ended=1000)
    begun = time.process_time()
    runs = select(read_runs(tmp_path), where=["AP>=0.5"], sort="AP", reverse=True)
    print(f"{time.process_time() - begun:.2f} s for 1000 runs")
    assert [one.run.name for one in runs[:2]] == ["run-0999", "run-0998"]
    assert len(runs) == 500
