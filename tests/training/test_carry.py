"""Runs that go on with their data elsewhere, or for longer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tiny_detector import tiny_recipe

from workbench.errors import RecipeError, RunError
from workbench.training import Recipe, Run
from workbench.training.carry import NEXT, change, complete, with_data_root, with_stage
from workbench.training.trainer import train

ON_DISK = {
    "name": "of-files", "data": {"name": "coco", "root": "/old"}, "detector": {"kind": "faster-rcnn"},
    "validation": {"name": "coco", "root": "/old"}, "test": {"name": "voc", "root": "/other"},
    "stages": [{"steps": 1, "lr": 1.0}],
}  # fmt: skip


def bits(folder: Path) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in load_file(folder / "detector.safetensors").items()}


def roots(recipe: Recipe) -> list[str | None]:
    return [recipe.data.root, recipe.validation.root, recipe.test.root]


def test_data_are_looked_for_elsewhere():
    recipe = Recipe.from_dict(ON_DISK, trial=False)
    assert roots(with_data_root(recipe, "/new")) == ["/new", "/new", "/other"]
    assert roots(with_data_root(recipe, {"test": Path("/new")})) == ["/old", "/old", "/new"]
    with pytest.raises(RunError, match=r"'tests' is no part with a folder; did you mean 'test'"):
        with_data_root(recipe, {"tests": "/new"})
    with pytest.raises(RunError, match="tiny has no data in folders"):
        with_data_root(tiny_recipe(), "/new")


def test_a_further_stage_is_the_last_one_but_for_what_is_given():
    recipe = with_stage(tiny_recipe(), {"steps": 7})
    assert [(stage.steps, stage.lr) for stage in recipe.stages] == [(20, 0.01), (7, 0.01)]
    with pytest.raises(RecipeError, match="unknown key"):
        with_stage(tiny_recipe(), {"step": 7})


def test_an_extended_run_ends_as_one_that_was_to_be_so_long(tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.training.run.start_process", lambda folder, recipe, **_: train(recipe, folder))
    recipe = tiny_recipe(ema=0.9, checkpoint_every=6)
    longer = with_stage(recipe, {"steps": 9, "lr": 0.001})
    train(longer, tmp_path / "at once")
    train(recipe, tmp_path / "extended")
    run = Run.open(tmp_path / "extended")
    before = bits(run.folder)
    run.extend(steps=9, lr=0.001)
    assert run.status == "done"
    assert run.recipe == longer
    assert run.progress().total == 29
    assert bits(run.folder) == bits(tmp_path / "at once") != before


def test_only_a_finished_run_is_extended(tmp_path):
    tiny_recipe().save(tmp_path / "recipe.yaml")
    with pytest.raises(RunError, match="is failed; only a run that is done can be extended"):
        Run.open(tmp_path).extend(steps=5)


def test_a_change_that_was_interrupted_is_completed(tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.training.run.start_process", lambda folder, recipe, **_: train(recipe, folder))
    recipe = tiny_recipe(checkpoint_every=6)
    train(recipe, tmp_path / "run")
    longer = with_stage(recipe, {"steps": 5})
    longer.save(tmp_path / "run" / NEXT)  # killed before anything else was done
    shutil.copytree(tmp_path / "run", tmp_path / "half")
    (tmp_path / "half" / "done.json").unlink()  # killed later
    for name in ("run", "half"):
        complete(tmp_path / name)
        assert not (tmp_path / name / NEXT).exists()
        run = Run.open(tmp_path / name)
        assert run.recipe == longer
        assert run.resume().status == "done"
    assert bits(tmp_path / "run") == bits(tmp_path / "half")


def test_what_is_alive_is_not_changed(tmp_path, monkeypatch):
    from workbench.training.processes import lock

    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    tiny_recipe().save(tmp_path / "recipe.yaml")
    with lock.hold(tmp_path), pytest.raises(RunError, match="alive"):
        change(tmp_path, tiny_recipe(seed=1))
    assert Run.open(tmp_path).recipe.seed == 0
