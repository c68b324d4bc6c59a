"""A run read from its folder: states, metrics, progress, checkpoints, pictures of it."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

from workbench.errors import RunError
from workbench.training import Recipe, Run, launch
from workbench.training import run as run_module
from workbench.training.processes.lock import hold
from workbench.training.processes.record import Record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with a recipe of 100 steps and nothing else."""
    stages = [{"steps": 60, "lr": 1e-3}, {"steps": 40, "lr": 1e-4}]
    recipe = {"name": "<b>try</b>", "data": {"name": "digit-scenes"}, "detector": {"kind": "faster-rcnn"}}
    Recipe.from_dict({**recipe, "stages": stages}).save(tmp_path / "recipe.yaml")
    return tmp_path


def write_rows(folder: Path, *rows: dict, mode: str = "a") -> None:
    with open(folder / "metrics.jsonl", mode) as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def train_row(step: int, when: float, **more: float) -> dict:
    return {"step": step, "time": when, "kind": "train", "loss": 1.0, **more}


def pretend_alive(folder: Path, started: float) -> None:
    """Record this test's own process as the run's."""
    me = psutil.Process()
    process = {"pid": me.pid, "create_time": me.create_time(), "cmd": ["python"], "started": started, "token": "none"}
    Record(folder=os.path.realpath(folder), cwd=str(folder), threads=1, **process).write(folder)


def test_a_folder_without_a_recipe_is_no_run(tmp_path):
    with pytest.raises(RunError, match=r"holds no run \(no recipe.yaml"):
        Run.open(tmp_path)


def test_a_dead_run_is_judged_by_the_files_it_left(folder):
    run = Run.open(folder)
    assert run.status == "failed"
    (folder / "stop.json").write_text("{}")
    assert run.status == "stopped"
    assert run.error is None
    (folder / "error.json").write_text('{"kind": "disk", "message": "the disk is full"}')
    assert (run.status, run.error) == ("failed", "the disk is full")
    (folder / "done.json").write_text('{"step": 100, "seconds": 12.5}')
    assert (run.status, run.seconds) == ("done", 12.5)


def test_a_live_run_is_starting_until_its_process_has_logged(folder):
    run, now = Run.open(folder), time.time()
    pretend_alive(folder, started=now)
    write_rows(folder, train_row(10, now - 60))  # from before it was stopped and resumed
    assert run.status == "starting"
    write_rows(folder, train_row(11, now + 1))
    assert run.status == "running"
    (folder / "done.json").write_text("{}")
    assert run.status == "running"  # it is done only when its process has ended


def test_a_run_that_cannot_be_ended_from_here_says_so(folder):
    with hold(folder), pytest.raises(RunError, match="held by a process that cannot be ended from here"):
        Run.open(folder).stop(grace=0)
    assert not (folder / "stop.json").exists()


def test_a_run_of_this_very_process_is_not_ended_by_a_signal_to_it(folder):
    pretend_alive(folder, time.time())
    with pytest.raises(RunError, match=r"trained by this very process.* interrupt the cell"):
        Run.open(folder).stop(grace=0)
    assert not (folder / "stop.json").exists()


def test_metrics_leave_out_what_is_half_written_and_join_it_later(folder):
    run = Run.open(folder)
    assert run.metrics().empty
    assert list(run.metrics().columns) == ["step", "time", "kind"]
    write_rows(folder, train_row(1, 0.0))
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 2, "time": 1.0, "ki')
    assert run.metrics()["step"].tolist() == [1]
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('nd": "train"}\n\n[]\nnot json\n')
    assert run.metrics()["step"].tolist() == [1, 2]


def test_metrics_notice_that_a_resume_wrote_the_file_anew(folder):
    run = Run.open(folder)
    write_rows(folder, *(train_row(step, float(step)) for step in range(1, 6)))
    assert len(run.metrics()) == 5
    rows = [train_row(step, float(step + (100 if step > 3 else 0))) for step in range(1, 9)]
    write_rows(folder, *rows, mode="w")  # longer than before, and other from step 4 on
    assert run.metrics()["time"].tolist() == [1, 2, 3, 104, 105, 106, 107, 108]


def test_metrics_keep_the_last_of_repeated_steps_apart_by_kind(folder):
    write_rows(folder, train_row(1, 0.0, lr=1.0), train_row(2, 1.0, lr=2.0), train_row(2, 2.0, lr=3.0))
    write_rows(folder, {"step": 2, "time": 3.0, "kind": "val", "AP": 0.5})
    table = Run.open(folder).metrics()
    assert table["lr"].tolist()[:2] == [1.0, 3.0]
    assert table["kind"].tolist() == ["train", "train", "val"]
    assert table["AP"].tolist()[2] == 0.5
    assert isinstance(table, pd.DataFrame)


def test_progress_counts_only_the_present_process(folder):
    run = Run.open(folder)
    assert run.progress().step == 0
    assert run.progress().total == 100
    assert math.isnan(run.progress().seconds_left)
    pretend_alive(folder, started=1000.0)
    write_rows(folder, train_row(10, 100.0), train_row(30, 1002.0), train_row(40, 1007.0))
    progress = run.progress()
    assert (progress.step, progress.steps_per_second) == (40, 2.0)  # ten steps in five seconds
    assert progress.seconds_left == 30.0


def test_log_gives_the_last_lines(folder):
    assert Run.open(folder).log() == ""
    (folder / "log.txt").write_bytes(b"one\ntwo\nthr\xffee\n")
    assert Run.open(folder).log(2) == "two\nthr\ufffdee\n"


def test_html_is_escaped(folder):
    (folder / "error.json").write_text(json.dumps({"message": "<script>alert(1)</script>"}))
    page = Run.open(folder)._repr_html_()
    assert "<script>" not in page
    assert "&lt;b&gt;try" in page
    assert "0 of 100" in page


def test_a_checkpoint_that_is_not_there_is_named(folder):
    with pytest.raises(RunError, match="no checkpoint yet"):
        Run.open(folder).detector()
    (folder / "checkpoints").mkdir()
    for step in (50, 100):
        (folder / "checkpoints" / f"step-{step:08d}.pt").write_text("")
    run = Run.open(folder)
    assert [step for step, _ in run.checkpoints] == [50, 100]
    with pytest.raises(RunError, match=r"no checkpoint of step 70; kept are \[50, 100\]"):
        run.detector(70)


def test_wait_gives_up_in_time(folder):
    pretend_alive(folder, started=time.time())
    begun = time.monotonic()
    assert Run.open(folder).wait(0.3) == "starting"
    assert time.monotonic() - begun < 2


def test_watching_shows_the_end_and_an_interruption_harms_nothing(folder, monkeypatch, capsys):
    run = Run.open(folder)
    pretend_alive(folder, started=0.0)
    write_rows(folder, train_row(40, 1.0), {"step": 40, "time": 1.5, "kind": "val", "AP": 0.25})

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module.time, "sleep", interrupt)
    assert run.watch() == "running"
    shown = capsys.readouterr()
    assert "step 40 of 100" in shown.err, "a line where the output is a file"
    assert "\r" not in shown.err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run.watch() == "running"
    shown = capsys.readouterr()
    assert "40/100" in shown.err, "a bar in a terminal"
    assert "AP=0.250" in shown.err
    assert "goes on by itself" in shown.out
    (folder / "proc.json").unlink()
    (folder / "error.json").write_text('{"message": "the loss is not finite"}')
    assert run.watch() == "failed"
    assert "failed: the loss is not finite" in capsys.readouterr().out


def test_the_real_trainer_from_launch_to_detector(tmp_path):
    data = {"name": "digit-scenes", "options": {"length": 8}}
    small = {"kind": "faster-rcnn", "backbone": {"name": "small"}, "min_size": None}
    recipe = Recipe.from_dict(
        {
            "name": "tiny", "data": data, "detector": small, "hardener": {"kind": "random-dropout"}, "batch_size": 2,
            "stages": [{"steps": 3, "lr": 1e-4}], "log_every": 1, "checkpoint_every": 2, "device": "cpu",
            "test": {**data, "limit": 2}, "precision": "float32",
        }
    )  # fmt: skip
    run = launch(recipe, tmp_path / "run", threads=1)
    assert run.wait(120) == "done", run.log(30)
    assert run.metrics()["step"].tolist() == [1, 2, 3]
    assert run.result.num_images == 2
    assert json.loads((run.folder / "environment.json").read_text())["threads"] == 1
    final, last, before = run.detector(), run.detector(3), run.detector(2)
    assert final.classes == last.classes == tuple("0123456789")
    states = [detector.state_dict() for detector in (final, last, before)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])
    with pytest.raises(RunError, match="cannot be read"):
        run.detector(tmp_path / "recipe.pt")


FILES = (
    "done.json", "error.json", "exit.json", "stop.json", "metrics.jsonl", "log.txt", "proc.json", "proc.lock",
    "checkpoints/step-00000001.pt",
)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_in_a_folder_of_others_is_not_waited_for(folder, name):
    (folder / "checkpoints").mkdir()
    os.mkfifo(folder / name)
    run = Run.open(folder)
    assert run.status == "failed"
    assert run.error
    assert (len(run.metrics()), run.log()) == (0, "")
    with pytest.raises(RunError, match=r"no checkpoint|regular file"):
        run.detector()
