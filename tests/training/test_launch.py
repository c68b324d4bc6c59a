"""Processes: started, found again, stopped, never left behind."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from workbench.errors import RecipeError, RunError
from workbench.training import Recipe, Run, launch
from workbench.training.launch import new_folder
from workbench.training.processes import detached, lock
from workbench.training.processes.record import Record
from workbench.training.processes.starting import start_process

STAND_IN = Path(__file__).parents[1] / "support" / "stand_in"
REAL = {"data": {"name": "digit-scenes"}, "detector": {"kind": "faster-rcnn"}}


def recipe_of(steps: int = 3, *, name: str = "try", seed: int = 0, processes: int = 1, **notes: object) -> Recipe:
    stages = [{"steps": steps, "lr": 1e-3}]
    more = {"name": name, "seed": seed, "processes": processes, "stages": stages, "notes": notes}
    return Recipe.from_dict({**REAL, **more})


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run the stand-in for the trainer, keep runs in the test's folder, and leave no process behind."""
    monkeypatch.setattr(detached, "SOURCES", STAND_IN)
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    yield
    for path in tmp_path.rglob("proc.json"):
        if record := Record.read(path.parent):
            detached.terminate(record, grace=0)


def until(condition, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(condition())


def test_a_run_goes_through_its_states_to_done(tmp_path):
    run = launch(recipe_of(5, step=0.1), tmp_path / "run")
    assert run.status in ("starting", "running")
    assert until(lambda: run.status == "running")
    assert run.wait(20) == "done"
    assert run.metrics()["step"].tolist() == [1, 2, 3, 4, 5]
    assert run.seconds == 1.5
    assert run.error is None
    assert Run.open(tmp_path / "run").status == "done"


def test_the_default_folder_tells_recipe_and_seed_and_never_repeats(tmp_path):
    recipe = recipe_of(name="digit-scenes/faster-rcnn+ia", seed=7)
    runs = [launch(recipe), launch(recipe)]
    assert runs[0].folder != runs[1].folder
    for run in runs:
        assert run.folder.parent == tmp_path / "runs"
        assert run.name.startswith("digit-scenes-faster-rcnn+ia-7-2")


def test_a_name_cannot_lead_out_of_the_runs_folder(tmp_path):
    folder = new_folder(recipe_of(name="../../etc/x y"), tmp_path)
    assert folder.resolve().parent == tmp_path.resolve()


def test_it_outlives_the_process_and_the_session_that_launched_it(tmp_path):
    def kernel() -> None:
        os.setsid()
        launch(recipe_of(1000, step=0.05), tmp_path / "run")
        time.sleep(60)

    process = multiprocessing.get_context("fork").Process(target=kernel)
    process.start()
    assert until(lambda: (tmp_path / "run" / "worker-0.json").is_file())
    os.killpg(process.pid, signal.SIGKILL)
    process.join()
    run = Run.open(tmp_path / "run")
    reached = run.progress().step
    assert until(lambda: run.progress().step > reached + 2)
    assert run.status == "running"
    assert run.stop() == "stopped"


def test_stop_lets_it_end_in_order_and_resume_goes_on(tmp_path):
    run = launch(recipe_of(40, step=0.05), tmp_path / "run", threads=3)
    assert until(lambda: run.status == "running")
    assert run.stop() == "stopped"
    assert "stopped in an orderly way" in run.log()
    reached = run.metrics()["step"].max()
    assert 0 < reached < 40
    assert run.resume().wait(20) == "done"
    assert run.metrics()["step"].tolist() == list(range(1, 41))
    assert run.log(100).count("3 threads") == 2  # the same number again: sums in another order give other bits


def test_what_ignores_the_signal_is_killed_with_its_children(tmp_path):
    run = launch(recipe_of(1000, step=0.05, stubborn=True, child=True), tmp_path / "run")
    record = Record.read(run.folder)
    assert until(lambda: len(detached.members(record)) == 2)  # the child is in a session of its own
    begun = time.monotonic()
    assert run.stop(grace=0.5) == "stopped"
    assert time.monotonic() - begun < 5
    assert detached.members(record) == []


def test_a_kill_counts_as_failed_and_can_be_resumed(tmp_path):
    run = launch(recipe_of(40, step=0.05, child=True), tmp_path / "run")
    record = Record.read(run.folder)
    assert until(lambda: len(detached.members(record)) == 2)
    psutil.Process(record.pid).kill()
    assert until(lambda: run.status == "failed")
    assert "ended before it could say why" in run.error
    assert until(lambda: "killed by SIGKILL" in run.error), "written by the process that started it"
    assert str(run.folder) in run.error
    (run.folder / "exit.json").write_text('{"pid": 1, "status": -9}')
    assert "SIGKILL" not in run.error, "that was another process"
    run.resume()  # sweeps the orphaned child first
    assert not [process for process in detached.members(record) if process.pid != record.pid]
    assert run.wait(20) == "done"


def test_a_zombie_is_dead_and_a_reused_pid_is_another_process(tmp_path):
    run = launch(recipe_of(1), tmp_path / "run")
    run.wait(20)
    record = Record.read(run.folder)
    child = subprocess.Popen([sys.executable, "-c", ""])
    assert until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    born = psutil.Process(child.pid).create_time()
    change = lambda **values: Record(**{**vars(record), **values})  # noqa: E731
    assert detached.find(change(pid=child.pid, create_time=born)) is None
    child.wait()
    me = psutil.Process()
    assert detached.find(change(pid=me.pid, create_time=me.create_time())) == me
    assert detached.find(change(pid=me.pid, create_time=me.create_time() - 100)) is None


def test_no_zombie_stays_in_the_launching_process(tmp_path):
    run = launch(recipe_of(1), tmp_path / "run")
    pid = Record.read(run.folder).pid
    run.wait(20)
    assert until(lambda: not psutil.pid_exists(pid), 5)


def test_a_live_folder_is_refused_by_launch_and_resume(tmp_path, monkeypatch):
    recipe = recipe_of(1000, step=0.05)
    run = launch(recipe, tmp_path / "run")
    for resume in (False, True):
        with pytest.raises(RunError, match="alive"):
            launch(recipe, tmp_path / "run", resume=resume)
    with pytest.raises(RunError, match="alive"):
        run.resume()
    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    (run.folder / "proc.json").unlink()  # even when its record is lost: the process holds the lock
    with pytest.raises(RunError, match="alive"):
        launch(recipe, tmp_path / "run", resume=True)


def test_a_start_never_ends_what_another_kernel_has_just_started(tmp_path):
    run = launch(recipe_of(1000, step=0.05), tmp_path / "run")
    with pytest.raises(RunError, match="alive"):
        start_process(run.folder, run.recipe)  # as if `resume` had seen it dead a moment before
    assert run.alive


def test_a_full_disk_does_not_keep_a_run_from_being_stopped(tmp_path, monkeypatch):
    run = launch(recipe_of(1000, step=0.05), tmp_path / "run")
    assert until(lambda: run.status == "running")

    def full(*_: object) -> None:
        raise RunError("the disk is full")

    monkeypatch.setattr("workbench.training.run.write_record", full)
    run.stop()
    assert not run.alive


def test_a_lock_that_is_just_being_let_go_is_waited_for(tmp_path):
    run = launch(recipe_of(2), tmp_path / "run")
    run.wait(20)
    (run.folder / "done.json").unlink()
    with open(run.folder / lock.LOCK) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        threading.Timer(0.3, fcntl.flock, (file.fileno(), fcntl.LOCK_UN)).start()
        assert run.resume().wait(20) == "done"


def test_a_finished_folder_is_kept(tmp_path):
    recipe = recipe_of(2)
    launch(recipe, tmp_path / "run").wait(20)
    with pytest.raises(RunError, match="resume=True or choose another"):
        launch(recipe, tmp_path / "run")
    with pytest.raises(RunError, match=r"another recipe \(.*\); they differ in"):
        launch(recipe.replace(seed=1), tmp_path / "run", resume=True)
    assert launch(recipe, tmp_path / "run", resume=True).status == "done"
    with pytest.raises(RunError, match="nothing to resume"):
        Run.open(tmp_path / "run").resume()


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="not empty"):
        launch(recipe_of(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_start_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    with pytest.raises(RecipeError, match="no recipe"):
        launch("no/such-recipe", tmp_path / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot"):
        launch(recipe_of(), tmp_path / "file" / "run")
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(detached, "trainer_command", lambda *_: [str(tmp_path / "no-such-program")])
    for name in ("empty", "new"):
        with pytest.raises(RunError, match="No such file"):
            launch(recipe_of(), tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_start_that_fails_takes_folders_away_and_says_why_it_failed(tmp_path, monkeypatch):
    def fail(folder: Path, *_: object, **__: object) -> None:
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "step-1.pt").touch()
        (folder / "elsewhere").symlink_to(tmp_path / "kept")
        raise RunError("the first error")

    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "thesis.tex").touch()
    monkeypatch.setitem(launch.__globals__, "start_process", fail)
    with pytest.raises(RunError, match="the first error"):
        launch(recipe_of(), tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]
    monkeypatch.setattr(shutil, "rmtree", lambda _: (tmp_path / "no such folder").rmdir())
    with pytest.raises(RunError, match="the first error"):
        launch(recipe_of(), tmp_path / "run")
    assert (tmp_path / "kept" / "thesis.tex").exists()


def test_a_read_only_folder_is_a_clear_error(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError, match=r"run cannot be written: Permission denied"):
        launch(recipe_of(), tmp_path / "run")


def test_a_process_that_cannot_be_recorded_is_not_left_running(tmp_path, monkeypatch):
    started = []

    def fail(path: Path, content: dict) -> None:
        started.append(content["pid"])
        raise RunError("the disk is full")

    monkeypatch.setattr("workbench.training.processes.record.write_record", fail)
    with pytest.raises(RunError, match="disk is full"):
        launch(recipe_of(1000, step=0.05), tmp_path / "run")
    assert until(lambda: not psutil.pid_exists(started[0]), 5)
    assert not (tmp_path / "run").exists()


def test_a_copied_folder_does_not_own_the_process_of_the_original(tmp_path):
    run = launch(recipe_of(1000, step=0.05), tmp_path / "run")
    assert until(lambda: run.status == "running")
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("recipe.yaml", "proc.json", "metrics.jsonl"):
        (copy / name).write_bytes((run.folder / name).read_bytes())
    other = Run.open(copy)
    assert other.status == "failed"
    other.stop()
    assert run.status == "running"


def test_threads_are_the_share_of_the_cores(monkeypatch):
    monkeypatch.setattr(detached, "available_cores", lambda: 8)
    assert [detached.core_share(n) for n in (1, 2, 3, 16)] == [8, 4, 2, 1]


def test_more_gpu_processes_than_gpus_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.training.processes.world.device_count", lambda kind: 1)
    with pytest.raises(RunError, match="2 processes need as many GPUs; there are 1"):
        launch(recipe_of().replace(device="cuda"), tmp_path / "run", processes=2)


@pytest.mark.parametrize("victim", ["agent", "worker"])
def test_no_process_of_several_survives_another(tmp_path, victim):
    run = launch(recipe_of(2000, step=0.05), tmp_path / "run", processes=2)
    assert run.recipe.processes == 2
    workers = [run.folder / f"worker-{rank}.json" for rank in (0, 1)]
    assert until(lambda: run.status == "running" and all(path.is_file() for path in workers), 60)
    record = Record.read(run.folder)
    pids = [json.loads(path.read_text())["pid"] for path in workers]
    assert {record.pid, *pids} == {process.pid for process in detached.members(record)}
    psutil.Process(record.pid if victim == "agent" else pids[1]).kill()
    assert until(lambda: run.status == "failed" and not detached.members(record), 40)
