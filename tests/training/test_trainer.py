"""Training runs of a second each: exact resumption, records, errors, players, processes."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import tiny_detector
import torch
from forks import forks
from safetensors.torch import load_file
from tiny_detector import TinyData, tiny_recipe, train_tiny
from torchvision.transforms.v2 import functional as V

from workbench import files
from workbench.errors import DataError, RecipeError, RunError, WeightsError
from workbench.registry import DETECTORS
from workbench.training import Run, trainer
from workbench.training.processes import world
from workbench.training.recipe import Recipe
from workbench.training.recipe_sections import AugmentSpec
from workbench.training.recording import checkpoint
from workbench.training.recording.records import Journal
from workbench.training.stepping import batches
from workbench.training.stepping.batches import StepSampler, flip_horizontally
from workbench.training.trainer import train
from workbench.types import Losses

CHANGING = ("time", "steps_per_s")  # differ between equal runs


def rows(folder: Path, kind: str = "train") -> list[dict]:
    """Rows of the metrics file that must be equal in equal runs."""
    parsed = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in CHANGING} for row in parsed if row["kind"] == kind]


def start(folder: Path, recipe: Recipe, *, seconds_per_step: float = 0.0, **environment: str):
    folder.mkdir(exist_ok=True)
    recipe.save(folder / "recipe.yaml")
    process = forks().Process(target=train_tiny, args=(str(folder), seconds_per_step, environment))
    process.start()
    return process


def last_step(folder: Path) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        return json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    return 0


def wait_for(condition, *, seconds: float = 120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def weights(folder: Path) -> dict[str, bytes]:
    """All bits of the final weights."""
    return {name: value.numpy().tobytes() for name, value in load_file(folder / "detector.safetensors").items()}


def test_killed_again_and_again_the_weights_and_metrics_are_those_of_one_go(tmp_path):
    recipe = tiny_recipe(log_every=2, checkpoint_every=4, ema=0.9, validation={"name": "tiny", "every": 6})
    recipe = recipe.replace({"stages": [{"steps": 9, "lr": 0.01}, {"steps": 11, "lr": 0.003}]})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert train(recipe, whole)
    steps = sorted(random.Random(3).sample(range(1, 19), 4))
    for step in steps:
        process = start(killed, recipe, seconds_per_step=0.01)
        wait_for(lambda at=step: last_step(killed) >= at)
        time.sleep(random.Random(step).uniform(0, 0.03))
        process.kill()
        process.join()
        assert not (killed / "done.json").exists()
    process = start(killed, recipe)
    process.join()
    assert process.exitcode == 0
    assert weights(killed) == weights(whole)
    assert rows(killed) == rows(whole)
    assert rows(killed, "val") == rows(whole, "val")
    assert [row["step"] for row in rows(killed)] == [2, 4, 6, 8, 9, 10, 12, 14, 16, 18, 20]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_after_its_step_with_a_checkpoint(tmp_path, number):
    recipe = tiny_recipe(log_every=1, checkpoint_every=1000)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(recipe, whole)
    process = start(stopped, recipe, seconds_per_step=0.02)
    wait_for(lambda: last_step(stopped) >= 3)
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == 0
    said = json.loads((stopped / "stop.json").read_text())
    assert said["signal"] == number.name
    assert [checkpoint.checkpoint_step(path) for path in checkpoint.checkpoints(stopped)] == [said["step"]]
    assert rows(stopped)[-1]["step"] == said["step"] < 20
    assert train(recipe, stopped)
    assert weights(stopped) == weights(whole)
    assert not (stopped / "stop.json").exists()


def test_another_seed_gives_other_weights_and_the_same_seed_the_same(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(tiny_recipe(seed=seed), tmp_path / name)
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def test_loader_processes_change_nothing(tmp_path):
    for workers in (0, 2):
        train(tiny_recipe({"stages.0.steps": 6, "workers": workers}), tmp_path / str(workers))
    assert weights(tmp_path / "0") == weights(tmp_path / "2")


def test_what_a_finished_run_leaves(tmp_path):
    seen = []
    recipe = tiny_recipe({"data.options": {"length": 8}, "test": {"name": "tiny", "limit": 3}, "keep": 2})
    assert train(recipe, tmp_path, progress=seen.append)
    assert Recipe.load(tmp_path / "recipe.yaml") == recipe
    done = json.loads((tmp_path / "done.json").read_text())
    assert done["step"] == 20
    assert done["result"] == json.loads(json.dumps(done["result"]))
    assert set(done["result"]) >= {"AP", "AP50", "AP_unoccluded"}
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["threads"] == 1
    assert environment["precision"] == "float32"
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["step-00000015.pt", "step-00000020.pt"]
    train_rows = rows(tmp_path)
    assert [row["step"] for row in train_rows] == list(range(2, 21, 2))
    assert train_rows[1]["epoch"] == pytest.approx(4 * 4 / 8)
    assert train_rows[0]["loss"] == pytest.approx(train_rows[0]["loss/classifier"] + train_rows[0]["loss/size"])
    assert [row["step"] for row in seen] == [row["step"] for row in train_rows]
    assert "done: 20 steps" in (tmp_path / "log.txt").read_text()
    before = weights(tmp_path)
    assert train(recipe, tmp_path)  # done: nothing happens
    assert weights(tmp_path) == before
    assert not list(tmp_path.rglob("*.tmp"))


def test_it_learns(tmp_path):
    train(tiny_recipe({"stages.0.steps": 150, "stages.0.lr": 0.05, "detector.plain": True}), tmp_path)
    losses = [row["loss"] for row in rows(tmp_path)]
    assert losses[-1] < 0.1 < losses[0]


def test_final_weights_are_the_running_mean(tmp_path):
    train(tiny_recipe(ema=0.9), tmp_path)
    path = tmp_path / "checkpoints" / "step-00000020.pt"
    state = checkpoint.load_checkpoint(path)
    final = load_file(tmp_path / "detector.safetensors")
    assert all(torch.equal(final[name], state["ema"]["state"][name]) for name in final)
    assert not torch.equal(final["head.weight"], state["detector"]["head.weight"])
    detector = checkpoint.load_checkpoint_detector(path, tiny_recipe(ema=0.9))
    assert torch.equal(detector.head.weight, final["head.weight"])


@pytest.mark.parametrize(
    ("player", "moves", "stays"),
    [("detector", "head.weight", "hardener.scale"), ("hardener", "hardener.scale", "head.weight")],
)
def test_only_the_player_of_the_stage_learns(tmp_path, player, moves, stays):
    recipe = tiny_recipe({"hardener": {"kind": "tiny-adversary"}, "keep": None, "checkpoint_every": 1})
    recipe = recipe.replace({"stages": [{"train": player, "steps": 2, "lr": 0.01}]})
    train(recipe, tmp_path)
    first, second = (checkpoint.load_checkpoint(path)["detector"] for path in checkpoint.checkpoints(tmp_path))
    assert not torch.equal(first[moves], second[moves])
    assert torch.equal(first[stays], second[stays])
    statistics_move = not torch.equal(first["body.1.running_mean"], second["body.1.running_mean"])
    assert statistics_move == (player == "detector")


def test_a_player_can_be_slower(tmp_path):
    moved = {}
    for rate in (None, 1e-9):
        recipe = tiny_recipe({"hardener": {"kind": "tiny-adversary"}, "keep": None, "checkpoint_every": 1})
        stage = {"train": "both", "steps": 2, "lr": 0.01, "hardener_lr": rate, "schedule": {"kind": "constant"}}
        recipe = recipe.replace({"stages": [stage]})
        folder = tmp_path / str(rate)
        folder.mkdir()
        train(recipe, folder)
        first, last = (checkpoint.load_checkpoint(path)["detector"] for path in checkpoint.checkpoints(folder))
        moved[rate] = {n: float((last[n] - first[n]).abs().max()) for n in ("hardener.scale", "head.weight")}
    assert moved[1e-9]["hardener.scale"] < 1e-6 < 1e-4 < moved[None]["hardener.scale"]
    assert moved[1e-9]["head.weight"] == pytest.approx(moved[None]["head.weight"], rel=1e-3)


def test_a_stage_can_leave_the_hardener_out(tmp_path):
    stages = [{"steps": 2, "lr": 0.01, "harden": False}, {"train": "both", "steps": 2, "lr": 0.01}]
    train(tiny_recipe({"hardener": {"kind": "tiny-adversary"}, "log_every": 1}, stages=stages), tmp_path)
    assert ["loss/adversary" in row for row in rows(tmp_path)] == [False, False, True, True]
    assert ["hardener/scale" in row for row in rows(tmp_path)] == [False, False, True, True]
    log = (tmp_path / "log.txt").read_text()
    assert log.index("a stage: detector, active: False") < log.index("a stage: both, active: True")


def test_a_run_can_begin_from_another_ones_weights(tmp_path):
    train(tiny_recipe(), tmp_path / "first")
    slow = tiny_recipe({"stages.0.lr": 1e-9, "checkpoint_every": 2}, start=str(tmp_path / "first"), seed=5)
    train(slow, tmp_path / "second")
    first, second = (load_file(tmp_path / name / "detector.safetensors") for name in ("first", "second"))
    torch.testing.assert_close(second["head.weight"], first["head.weight"], atol=1e-6, rtol=0)
    assert not torch.equal(first["body.1.running_mean"], second["body.1.running_mean"]), "it went on learning"

    (tmp_path / "third").mkdir()
    process = start(tmp_path / "third", slow, seconds_per_step=0.05)
    wait_for(lambda: last_step(tmp_path / "third") >= 4)
    process.kill()
    process.join()
    train(slow, tmp_path / "third")
    third = load_file(tmp_path / "third" / "detector.safetensors")
    assert all(torch.equal(third[name], second[name]) for name in second), "resumed, not begun anew"


def test_a_start_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WeightsError, match="nowhere"):
        train(tiny_recipe(start="nowhere"), tmp_path)
    assert "nowhere" in json.loads((tmp_path / "error.json").read_text())["message"]


def test_a_checkpoint_at_the_end_of_each_stage_stays(tmp_path):
    stages = [{"steps": 3, "lr": 0.01}, {"steps": 9, "lr": 0.001, "schedule": {"kind": "constant"}}]
    train(tiny_recipe(stages=stages, keep=1), tmp_path)
    assert [checkpoint.checkpoint_step(path) for path in checkpoint.checkpoints(tmp_path)] == [3, 12]
    assert {row["lr"] for row in rows(tmp_path) if row["stage"] == 1} == {0.001}


def test_learning_rate_is_scaled_to_the_batch(tmp_path):
    train(tiny_recipe({"lr_batch_size": 16, "schedule.kind": "constant", "stages.0.steps": 2}), tmp_path)
    assert rows(tmp_path)[0]["lr"] == pytest.approx(0.01 * 4 / 16)
    assert "learning rate 0.0025 (0.01 stated for 16 images)" in (tmp_path / "log.txt").read_text()


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    recipe = tiny_recipe({"detector.explode_at": 7})
    with pytest.raises(RunError, match=r"not finite at step 7 \(size\).*doctor\(recipe\)"):
        train(recipe, tmp_path)
    said = json.loads((tmp_path / "error.json").read_text())
    assert (said["kind"], said["step"], said["stage"]) == ("non-finite-loss", 7, 0)
    assert said["last_checkpoint"] == "step-00000005.pt"
    assert said["losses"][0]["size"] == "nan"
    sampler = StepSampler(10, seed=0, batch_size=4, first=6, last=7, rank=0, size=1)
    assert said["image_ids"] == [100 + index for _, index in next(iter(sampler))]
    checkpoint.load_checkpoint(tmp_path / "checkpoints" / said["last_checkpoint"])
    assert not (tmp_path / "done.json").exists()


def test_gradients_that_are_no_numbers_stop_the_run(tmp_path, monkeypatch):
    norm = lambda *_, **__: torch.tensor(float("inf"))  # noqa: E731
    monkeypatch.setattr("workbench.training.stepping.optimisation.gradient_norm", norm)
    with pytest.raises(RunError, match=r"gradient is not finite at step 1\. .*There is no good checkpoint"):
        train(tiny_recipe(), tmp_path)


def test_a_full_disk_stops_the_run_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    first = tmp_path / "checkpoints" / "step-00000005.pt"

    def full(descriptor: int) -> None:
        if first.exists():
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RunError, match=r"step-00000010.pt.*disk .* seems full: make room, then resume"):
        train(tiny_recipe(), tmp_path)
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["step-00000005.pt"]
    assert not list(tmp_path.rglob("*.tmp"))
    monkeypatch.undo()
    assert train(tiny_recipe(), tmp_path)


def test_a_full_disk_is_said_though_only_its_reserve_is_left(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        if (tmp_path / "checkpoints" / "step-00000005.pt").exists() and (tmp_path / ".reserve").exists():
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RunError, match="make room"):
        train(tiny_recipe(), tmp_path)
    run = Run.open(tmp_path)
    assert (run.status, run.failure["kind"]) == ("failed", "disk")
    assert "make room, then resume" in run.error


def test_equal_trainings_give_equal_files(tmp_path):
    hidden = {"kinds": ["grey"], "fractions": [0.5], "least_size": 1}
    recipe = tiny_recipe(ema=0.9, test={"name": "tiny", "limit": 3, "audit": hidden})
    for name in "ab":
        train(recipe, tmp_path / name)
    figures = Run.open(tmp_path / "a").result.summary
    assert figures["audit_recall_clean"] == figures["audit_recall_50"] > 0, "it says the same whatever it sees"
    for file in ("detector.safetensors", "result.json", "recipe.yaml"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_it_holds_its_folder_whoever_started_it(tmp_path):
    """A process of its own here; it can be followed, is in the way of others, and can be stopped."""
    recipe = tiny_recipe({"log_every": 1, "checkpoint_every": 1000, "stages.0.steps": 100_000})
    process = start(tmp_path / "run", recipe, seconds_per_step=0.01)
    run = Run.open(tmp_path / "run")
    wait_for(lambda: run.status == "running")
    for resume in (True, False):
        with pytest.raises(RunError, match="alive"):
            train(recipe, tmp_path / "run", resume=resume)
    with pytest.raises(RunError, match="alive"):
        run.resume()
    assert run.stop() == "stopped"
    process.join()
    assert process.exitcode == 0
    assert [step for step, _ in run.checkpoints] == [run.progress().step]
    assert not run.alive


@pytest.mark.parametrize("change", [shutil.rmtree, lambda folder: folder.rename(folder.with_name("moved"))])
def test_it_ends_when_its_folder_is_gone_and_writes_none_of_it_again(tmp_path, change):
    recipe = tiny_recipe({"log_every": 1, "checkpoint_every": 1, "stages.0.steps": 100_000, "keep": None})
    process = start(tmp_path / "run", recipe, seconds_per_step=0.01)
    wait_for(lambda: last_step(tmp_path / "run") >= 3)
    with contextlib.suppress(OSError):  # it may write meanwhile
        change(tmp_path / "run")
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    process.join(30)
    assert process.exitcode == 1
    assert not (tmp_path / "run").exists()
    moved = tmp_path / "moved"
    assert not (moved / "error.json").exists()
    if moved.exists():  # and can be resumed where it is
        assert checkpoint.newest_checkpoint(moved)["step"] >= 2


def test_a_run_that_took_the_folder_over_is_left_alone(tmp_path):
    recipe = tiny_recipe({"log_every": 1, "checkpoint_every": 1000, "stages.0.steps": 100_000})
    process = start(tmp_path / "run", recipe, seconds_per_step=0.01)
    wait_for(lambda: last_step(tmp_path / "run") >= 2)
    (tmp_path / "run").rename(tmp_path / "old")
    assert train(tiny_recipe(), tmp_path / "run")
    process.join(30)
    assert process.exitcode == 1
    assert Run.open(tmp_path / "run").status == "done"
    assert [row["step"] for row in rows(tmp_path / "run")] == list(range(2, 21, 2))


@pytest.mark.parametrize("classes", [("bright", "dark"), ("dark", "bright", "grey"), ("dark",)])
def test_a_checkpoint_of_other_classes_is_refused(tmp_path, monkeypatch, classes):
    train(tiny_recipe({"stages.0.steps": 5}), tmp_path)
    (tmp_path / "done.json").unlink()
    before = weights(tmp_path)
    monkeypatch.setattr(TinyData, "classes", classes)
    with pytest.raises(RunError, match=r"the data have other classes than .* was trained for: \d and 2, "):
        train(tiny_recipe({"stages.0.steps": 5}), tmp_path)
    assert weights(tmp_path) == before


@pytest.mark.parametrize("part", ["validation", "test"])
def test_data_of_other_classes_are_found_before_the_first_step(tmp_path, monkeypatch, part):
    def other(self, split="train", *, length=10):
        self.length, self.split = length, split
        self.classes = ("bright", "dark") if split == part else ("dark", "bright")

    monkeypatch.setattr(TinyData, "__init__", other)
    with pytest.raises(RunError, match=f"nothing was trained: {part}: it has other classes .* in another order"):
        train(tiny_recipe({part: {"name": "tiny", "split": part}}), tmp_path)
    assert rows(tmp_path) == []
    assert Run.open(tmp_path).status == "failed", "though the process that trained is alive"


def test_two_images_are_evaluated_before_the_first_step(tmp_path, monkeypatch):
    seen = []

    def detect(self, images):
        seen.append(len(images))
        raise DataError("image 100 has no masks")

    monkeypatch.setattr(tiny_detector.TinyDetector, "detect", detect)
    with pytest.raises(RunError, match=r"nothing was trained: test: image 100 has no masks\. It would stop the run"):
        train(tiny_recipe(test={"name": "tiny"}), tmp_path)
    assert seen == [2]
    assert rows(tmp_path) == []


def test_a_step_that_ruins_the_weights_is_not_saved(tmp_path, monkeypatch):
    """A weight that the loss does not see; the file of the last step before stays and is named."""
    update = torch.optim.AdamW.step
    steps = iter(range(1, 100))

    def ruin(self, *arguments, **options):
        update(self, *arguments, **options)
        if next(steps) == 8:
            self.param_groups[0]["params"][0].data.view(-1)[0] = float("nan")

    monkeypatch.setattr(torch.optim.AdamW, "step", ruin)
    monkeypatch.setattr(tiny_detector.TinyDetector, "losses", lambda self, images, targets, generator=None: Losses(
        a=sum(p.nan_to_num().square().sum() for p in self.parameters() if p.requires_grad)
    ))  # fmt: skip
    with pytest.raises(RunError, match=r"weight \S+ is not finite at step 10.*step-00000005\.pt"):
        train(tiny_recipe({"detector.plain": True}), tmp_path)
    assert json.loads((tmp_path / "error.json").read_text())["last_checkpoint"] == "step-00000005.pt"
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["step-00000005.pt"]


def test_a_divergence_keeps_the_checkpoint_before_it(tmp_path, monkeypatch):
    """The loss is a hundred times as large from step 12 on; two newest checkpoints are kept besides."""
    losses = tiny_detector.TinyDetector.losses

    def larger(self, images, targets, generator=None):
        found = losses(self, images, targets, generator)
        return Losses({name: value * (100 if self.calls >= 12 else 1) for name, value in found.items()})

    monkeypatch.setattr(tiny_detector.TinyDetector, "losses", larger)
    recipe = tiny_recipe({"stages.0.steps": 40, "keep": 2, "detector.plain": True, "stages.0.lr": 1e-5})
    assert train(recipe, tmp_path)
    assert [checkpoint.checkpoint_step(path) for path in checkpoint.checkpoints(tmp_path)] == [10, 35, 40]
    assert "it diverges; step-00000010.pt is kept" in (tmp_path / "log.txt").read_text()


def test_metrics_on_a_full_disk(tmp_path):
    journal = Journal(tmp_path, after_step=0)
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"metrics.jsonl cannot be written.*make room"):
        journal.write(1, "train", {"loss": 1.0})


def test_a_folder_with_another_recipe_is_refused(tmp_path):
    train(tiny_recipe({"stages.0.steps": 5}), tmp_path)
    (tmp_path / "done.json").unlink()
    with pytest.raises(RunError, match="another recipe"):
        train(tiny_recipe({"stages.0.steps": 6}), tmp_path)
    assert train(tiny_recipe({"stages.0.steps": 6}), tmp_path, resume=False)
    assert rows(tmp_path)[-1]["step"] == 6


def test_a_stage_without_anything_to_learn_is_refused(tmp_path, monkeypatch):
    class Frozen(tiny_detector.TinyDetector):
        def __init__(self, classes):
            super().__init__(classes)
            self.requires_grad_(False)

    monkeypatch.setitem(DETECTORS._made, "frozen", Frozen)
    with pytest.raises(RunError, match="no parameters that learn"):
        train(tiny_recipe(detector={"kind": "frozen"}), tmp_path)


def test_processes_must_be_as_many_as_the_recipe_says(tmp_path):
    with pytest.raises(RunError, match="asks for 2 processes and 1 are running"):
        train(tiny_recipe(processes=2), tmp_path)


def test_two_processes_learn_what_one_does(tmp_path):
    changes = {"detector.plain": True, "optimizer.kind": "sgd", "validation": {"name": "tiny", "every": 10}}
    recipe = tiny_recipe(changes)
    train(recipe, tmp_path / "one")
    _run_two(tmp_path / "two", recipe.replace(processes=2))
    one, two = (load_file(tmp_path / name / "detector.safetensors") for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-5)
    ours = [row["loss"] for row in rows(tmp_path / "two")]
    assert ours == pytest.approx([row["loss"] for row in rows(tmp_path / "one")], rel=1e-4)
    assert [row["step"] for row in rows(tmp_path / "two")] == list(range(2, 21, 2))


MIXED = {"name": "mixed", "options": {"sources": {
    "few": {"name": "tiny", "options": {"length": 3}}, "many": {"name": "tiny", "options": {"length": 7}},
}}}  # fmt: skip
STAGES = [
    {"steps": 4, "lr": 0.01, "sources": ["few"]},
    {"steps": 6, "lr": 0.01, "loss_factors": {"size": 0.0}},
    {"steps": 3, "lr": 0.01, "sources": ["few"], "loss_factors": {"classifier": 2.0}},
]


def test_a_stage_takes_its_sources_and_weighs_its_losses(tmp_path, monkeypatch):
    seen, kept = [], tiny_detector.TinyDetector.losses

    def recorded(self, images, targets, generator=None):
        seen.append([target["image_id"] for target in targets])
        return kept(self, images, targets, generator)

    recipe = tiny_recipe(data=MIXED, stages=STAGES, log_every=1, checkpoint_every=2)
    monkeypatch.setattr(tiny_detector.TinyDetector, "losses", recorded)
    train(recipe, tmp_path / "whole")
    steps = seen[1:]  # the first one asks for the names of the losses
    assert {image for step in (*steps[:4], *steps[10:]) for image in step} == {1, 2, 3}
    assert {image for step in steps[4:10] for image in step} == set(range(1, 11))
    found = rows(tmp_path / "whole")
    assert [row["loss/size"] == 0 for row in found] == [False] * 4 + [True] * 6 + [False] * 3
    assert found[3]["epoch"] == pytest.approx(16 / 3), "of its own images"
    monkeypatch.setattr(tiny_detector.TinyDetector, "losses", kept)
    process = start(tmp_path / "killed", recipe, seconds_per_step=0.02)
    wait_for(lambda: last_step(tmp_path / "killed") >= 7)
    process.kill()
    process.join()
    assert train(recipe, tmp_path / "killed")
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            {"stages.0.sources": ["few", "mny"]},
            "stages.0.sources: the data have no source 'mny'; did you",
        ),
        ({"data": {"name": "tiny"}}, "stages.0.sources: tiny has none; they are for data.name: mixed"),
        ({"stages.0.sources": []}, "stages.0.sources"),
        ({"stages.1.loss_factors": {"size": -1}}, "stages.1.loss_factors.size"),
    ],
)
def test_sources_and_factors_that_do_not_exist_are_refused(overrides, said):
    with pytest.raises(RecipeError, match=said):
        tiny_recipe(data=MIXED, stages=STAGES).replace(overrides)


def test_a_factor_of_an_unknown_loss_is_refused_before_the_first_step(tmp_path):
    recipe = tiny_recipe({"stages.0.loss_factors": {"sise": 0.5, "adversary": 1.0}})
    with pytest.raises(RunError, match=r"loss_factors: there is no loss 'sise'; did you mean"):
        train(recipe, tmp_path)


def test_two_processes_killed_and_resumed_end_the_same(tmp_path):
    adversary = {"hardener": {"kind": "tiny-adversary"}, "stages.0.train": "both"}
    recipe = tiny_recipe({"processes": 2, "log_every": 3, **adversary})
    _run_two(tmp_path / "whole", recipe)
    ranks = _start_two(tmp_path / "killed", recipe, seconds_per_step=0.02)
    wait_for(lambda: last_step(tmp_path / "killed") >= 9)
    for rank in ranks:
        rank.kill()
    for rank in ranks:
        rank.join()
    _run_two(tmp_path / "killed", recipe)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


def test_processes_share_the_first_ones_values(tmp_path):
    """Such as running statistics, before anything is computed in evaluation mode."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    ranks = [forks().Process(target=_share, args=(rank, address, tmp_path)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(60)
    assert [(tmp_path / str(rank)).read_text() for rank in range(2)] == ["[0, 1] [7.0]"] * 2


def _share(rank: int, address: str, folder: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    values = [torch.tensor([0, 1]) if rank == 0 else torch.tensor([5, 5]), torch.tensor([7.0 + rank])]
    world.World(rank, 2, torch.device("cpu"), 1).share(values)
    (folder / str(rank)).write_text(" ".join(str(value.tolist()) for value in values))
    torch.distributed.destroy_process_group()


def test_no_worker_outlives_torchrun(tmp_path):
    recipe = tiny_recipe({"processes": 2, "log_every": 1, "stages.0.steps": 10_000})
    recipe.save(tmp_path / "recipe.yaml")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    command += ["--nproc-per-node", "2", tiny_detector.__file__, str(tmp_path), "0.01"]
    agent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: last_step(tmp_path) >= 1)
        workers = psutil.Process(agent.pid).children(recursive=True)
        assert len(workers) >= 2
    finally:
        agent.kill()
        agent.wait()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive


def _start_two(folder: Path, recipe: Recipe, *, seconds_per_step: float = 0.0) -> list:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    return [start(folder, recipe, seconds_per_step=seconds_per_step, **common, **rank) for rank in ranks]


def _run_two(folder: Path, recipe: Recipe) -> None:
    ranks = _start_two(folder, recipe)
    for rank in ranks:
        rank.join(60)
    assert [rank.exitcode for rank in ranks] == [0, 0]


def test_each_epoch_shows_each_image_once_and_ranks_share_the_batch():
    numbers = {"seed": 5, "batch_size": 4, "first": 0, "last": 15}
    both = [list(StepSampler(10, **numbers, rank=rank, size=2)) for rank in range(2)]
    alone = list(StepSampler(10, **numbers, rank=0, size=1))
    assert [a + b for a, b in zip(*both, strict=True)] == alone
    stream = [place for batch in alone for place in batch]
    for epoch in range(6):
        assert sorted(index for e, index in stream if e == epoch) == list(range(10))
    assert list(StepSampler(10, **numbers | {"first": 7}, rank=0, size=1)) == alone[7:]


def test_flip_agrees_with_torchvision():
    image, target = TinyData()[3]
    target = {**target, "boxes_visible": target["boxes"] + 1, "masks": torch.arange(192).view(1, 12, 16) % 3 == 0}
    flipped, moved = flip_horizontally(image, target)
    assert torch.equal(flipped, V.horizontal_flip(image))
    assert torch.equal(moved["boxes"], V.horizontal_flip(target["boxes"]))
    assert moved["boxes"].tolist() == [[6, 2, 14, 9]]
    assert type(moved["boxes"]) is type(target["boxes"])
    assert torch.equal(moved["masks"], target["masks"].flip(-1))
    again = flip_horizontally(flipped, moved)[1]
    assert torch.equal(again["boxes_visible"], target["boxes_visible"])
    assert moved["labels"] is target["labels"]


def test_half_of_the_images_are_mirrored_others_in_the_next_epoch():
    view = batches.TrainingView(TinyData(length=200), seed=1, augment=AugmentSpec(flip=True))
    mirrored = torch.tensor(
        [[not torch.equal(view[epoch, i][0], view.data[i][0]) for i in range(200)] for epoch in range(2)]
    )
    assert 80 < int(mirrored[0].sum()) < 120
    assert 60 < int((mirrored[0] ^ mirrored[1]).sum()) < 140


def test_devices_and_precision():
    assert world.choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="expected auto, cpu"):
        world.choose_device("gpu")
    with pytest.raises(ValueError, match="is not there"):
        world.choose_device("cuda:99")
    assert world.choose_precision("float32", torch.device("cpu")) is torch.float32
    assert world.choose_precision("bf16", torch.device("cpu")) is torch.bfloat16
    expected = torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
    assert world.choose_precision("auto", torch.device("cpu")) is expected


@pytest.mark.parametrize("kind", ["mps", "xpu", "cuda"])
def test_auto_is_whatever_accelerator_there_is(monkeypatch, kind):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device(kind))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    assert world.choose_device("auto", local_rank=1) == world.choose_device(f"{kind}:1") == torch.device(kind, 1)
    assert world.choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match=rf"'{kind}:2' is not there \(2 {kind.upper()} devices are\)"):
        world.choose_device(f"{kind}:2")
    other = "cuda" if kind != "cuda" else "mps"
    with pytest.raises(ValueError, match=rf"'{other}' is not there \(0 {other.upper()} devices are\)"):
        world.choose_device(other)


def test_without_an_accelerator_auto_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    assert world.choose_device("auto") == torch.device("cpu")


@pytest.mark.parametrize(
    ("change", "message"), [({"processes": 2}, "asks for 2 processes"), ({"device": "cuda:99"}, "device: 'cuda:99'")]
)
def test_what_stops_it_before_it_begins_is_written_down(tmp_path, capsys, change, message):
    folder = tmp_path / "run"
    folder.mkdir()
    tiny_recipe(change).save(folder / "recipe.yaml")
    assert trainer.main([str(folder)]) == 1
    assert message in capsys.readouterr().err
    assert message in json.loads((folder / "error.json").read_text())["message"]
