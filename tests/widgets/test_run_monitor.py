"""RunMonitor without a browser: what it shows of a run, its buttons, and that it ends."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from widgets import RunMonitor
from widgets.run_monitor import duration
from workbench import plugins
from workbench.errors import RunError
from workbench.training import Recipe, Run, launch
from workbench.training.processes import detached
from workbench.training.processes.queue import JobState
from workbench.training.processes.record import Record

STAND_IN = Path(__file__).parents[1] / "support" / "stand_in"


@pytest.fixture
def make_run(tmp_path, monkeypatch):
    """Launch a pretended training of 40 steps; it is gone after the test."""
    monkeypatch.setattr(detached, "SOURCES", STAND_IN)

    def make(steps: int = 40, **notes: object) -> Run:
        content = {
            "data": {"name": "digit-scenes"},
            "detector": {"kind": "faster-rcnn", "backbone": {"name": "small"}},
        }
        recipe = Recipe.from_dict({**content, "stages": [{"steps": steps, "lr": 1.0}], "notes": notes})
        return launch(recipe, tmp_path / "a <b>run</b>")

    yield make
    for path in tmp_path.rglob("proc.json"):
        detached.terminate(Record.read(path.parent), grace=0)


@pytest.fixture
def monitor_of():
    """Make monitors that are closed after the test."""
    made = []

    def make(run: Run | Path, **options: float) -> RunMonitor:
        made.append(RunMonitor(run, **{"interval": 0.05, **options}))
        return made[-1]

    yield make
    for monitor in made:
        monitor.close()


def until(condition, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(condition())


def test_it_follows_a_run_to_its_end_by_itself(make_run, monitor_of):
    monitor = monitor_of(make_run(20, step=0.25))  # long enough to be watched on a busy machine
    seen = []
    monitor.observe(lambda change: seen.append(change["new"]), names="status")
    assert until(lambda: monitor.status == "done")
    assert seen[-1] == "done"
    assert set(seen) <= {"running", "done"}
    assert monitor.step == 20
    assert monitor._bar.value == monitor._bar.max == 20
    lines = {line.name: line for line in monitor.curves.figure.data}
    assert list(lines["total"].x) == list(range(1, 21))
    assert lines["total"].y[3] == 0.25
    assert monitor.stop_button.disabled
    assert monitor.resume_button.disabled


def test_while_it_runs_it_tells_speed_and_what_is_left(make_run, monitor_of):
    monitor = monitor_of(make_run(4000, step=0.02))
    assert until(lambda: "left" in monitor._facts.value)
    assert monitor._facts.value.startswith("step ")
    assert " of 4,000 · " in monitor._facts.value
    assert "steps/s" in monitor._facts.value
    assert not monitor.stop_button.disabled
    assert monitor.resume_button.disabled


def test_the_buttons_stop_and_resume(make_run, monitor_of):
    run = make_run(60, step=0.05)
    monitor = monitor_of(run)
    assert until(lambda: monitor.status == "running")
    monitor.stop_button.click()
    assert monitor.status in ("stopping", "stopped")
    assert until(lambda: monitor.status == "stopped")
    assert run.status == "stopped"
    assert not monitor.resume_button.disabled
    monitor.resume_button.click()
    assert monitor.status in ("starting", "running")
    assert until(lambda: monitor.status == "done")
    assert list(monitor.curves.figure.data[0].x) == list(range(1, 61))


def test_a_run_resumed_before_the_stopping_thread_has_returned_is_shown_as_running(make_run, monitor_of, monkeypatch):
    run = make_run(60, step=0.05)
    monitor, returned = monitor_of(run), threading.Event()
    stop = run.stop
    monkeypatch.setattr(run, "stop", lambda: (stop(), returned.wait(60)))
    assert until(lambda: monitor.status == "running")
    monitor.stop_button.click()
    assert until(lambda: monitor.status == "stopped")
    monitor.resume_button.click()
    seen = monitor.status
    returned.set()
    assert seen in ("starting", "running")


def test_a_run_in_a_queue_says_why_it_waits_and_can_be_stopped(make_run, monitor_of, monkeypatch):
    run = make_run(1)
    run.wait(20)
    monkeypatch.setattr(Run, "status", "queued")
    monkeypatch.setattr(Run, "job", JobState("PENDING", "<Resources>"))
    monitor = monitor_of(run)
    assert monitor.status == "queued"
    assert "PENDING (&lt;Resources&gt;)" in monitor._facts.value
    assert not monitor.stop_button.disabled
    assert monitor.resume_button.disabled


def test_why_a_run_cannot_be_stopped_is_said(make_run, monitor_of, monkeypatch):
    def refuse() -> None:
        raise RunError("stop it <i>there</i>")

    run = make_run(1000, step=0.05)
    monitor = monitor_of(run)
    assert until(lambda: monitor.status == "running")
    monkeypatch.setattr(run, "stop", refuse)
    monitor.stop_button.click()
    assert until(lambda: "stop it &lt;i&gt;there&lt;/i&gt;" in monitor._message.value)
    assert until(lambda: monitor.status == "running")


def test_it_finds_the_run_by_its_folder_as_after_a_restart(make_run, monitor_of):
    folder = make_run(2).folder
    assert until(lambda: Run.open(folder).status == "done")
    monitor = monitor_of(folder)
    assert (monitor.status, monitor.step) == ("done", 2)
    with pytest.raises(RunError, match="holds no run"):
        RunMonitor(folder / "nothing")


def test_what_comes_from_files_is_escaped(make_run, monitor_of):
    run = make_run(1)
    run.wait(20)
    (run.folder / "done.json").unlink()
    (run.folder / "log.txt").write_text("<script>alert(1)</script>\n")
    (run.folder / "error.json").write_text(json.dumps({"message": "<img src=x onerror=alert(2)>"}))
    monitor = monitor_of(run)
    assert monitor.status == "failed"
    shown = [monitor._log.value, monitor._message.value, monitor._badge.value, monitor._top.children[0].value]
    assert "&lt;script&gt;" in shown[0]
    assert "&lt;img" in shown[1]
    assert not any(bad in text for text in shown for bad in ("<script", "<img", "<b>run"))


def test_new_metrics_are_drawn_into_the_same_plot(make_run, monitor_of):
    run = make_run(2)
    run.wait(20)
    monitor = monitor_of(run, interval=60)
    curves = monitor.curves
    with open(run.folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": 3, "time": 9e9, "kind": "train", "loss": 7.0, "loss/box": 1.0}) + "\n")
    monitor.refresh()
    assert monitor.curves is curves
    assert curves.figure.data[0].y[-1] == 7.0
    assert curves.figure.layout.xaxis2.visible is False, "the losses have all the room while there is no precision"
    with open(run.folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": 3, "time": 9e9, "kind": "val", "AP": 0.5}) + "\n")
    monitor.refresh()
    assert [line.name for line in curves.figure.data] == ["total", "box", "AP"]
    assert curves.figure.data[2].mode == "lines+markers"
    assert curves.figure.layout.xaxis2.visible is None


def test_the_health_of_an_adversary_is_shown_once_there_is_one(make_run, monitor_of):
    run = make_run(2)
    run.wait(20)
    monitor = monitor_of(run, interval=60)
    assert monitor.health is None
    children = len(monitor.children)
    for step in range(3, 9):
        row = {"step": step, "time": 9e9, "kind": "train", "stage": 0, "loss": 1.0, "loss/adversary": 2.0}
        with open(run.folder / "metrics.jsonl", "a") as file:
            file.write(json.dumps({**row, "hardener/hardened": 0.5 if step < 4 else None}) + "\n")
        monitor.refresh()
        if step == 3:
            shown = monitor.health
            assert len(monitor.children) == children + 2
            assert monitor._warnings.value == ""
    assert monitor.health is shown
    line = monitor.health.figure.data[1]
    assert (line.name, list(line.x)) == ("objects hardened", [3])
    assert len(monitor.children) == children + 2
    assert monitor._warnings.value == "", "one of these six was hardened"
    with open(run.folder / "metrics.jsonl", "a") as file:
        for step in range(9, 20):
            file.write(json.dumps({**row, "step": step, "hardener/hardened": 0.0}) + "\n")
    monitor.refresh()
    assert "Never masked" in monitor._warnings.value
    assert 'role="alert"' in monitor._warnings.value
    assert monitor.children.index(monitor._warnings) < monitor.children.index(monitor.health)


def test_angles_are_shown_once_there_are_some(make_run, monitor_of):
    run = make_run(2)
    run.wait(20)
    monitor = monitor_of(run, interval=60)
    assert monitor.angles is None
    for step in (3, 4):
        row = {"step": step, "time": 9e9, "kind": "train", "stage": 0, "loss": 1.0, "loss/adversary": 2.0}
        row |= {f"hardener/angle_{number}": float(number == step) for number in range(1, 10)}
        with open(run.folder / "metrics.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")
        monitor.refresh()
    assert monitor.children.index(monitor.angles) == monitor.children.index(monitor.health) + 1
    assert list(monitor.angles.figure.data[0].y) == [0, 0, 0.5, 0.5, 0, 0, 0, 0, 0]


def test_closing_ends_the_thread_and_leaves_the_run(make_run, monitor_of):
    run = make_run(2000, step=0.05)
    monitor = monitor_of(run)
    monitor.close()
    monitor._thread.join(5)
    assert not monitor._thread.is_alive()
    assert monitor._thread.name not in {thread.name for thread in threading.enumerate()}
    assert run.alive


def test_a_run_that_cannot_be_resumed_says_why(make_run, monitor_of):
    run = make_run(1)
    run.wait(20)
    monitor = monitor_of(run, interval=60)
    monitor._resume(None)
    assert "nothing to resume" in monitor._message.value


def test_what_a_strangers_folder_asks_for_is_shown_and_not_executed(make_run, monitor_of, tmp_path, monkeypatch):
    """It stays to be read until the run goes on."""
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(plugins, "_loaded", {})
    run = make_run(1)
    run.wait(20)
    (run.folder / "done.json").unlink()
    code = tmp_path / "methods.py"
    code.write_text(f"open({str(tmp_path / 'executed')!r}, 'w')")
    record = json.loads((run.folder / "proc.json").read_text())
    (run.folder / "proc.json").write_text(json.dumps(record | {"environment": {"WORKBENCH_PLUGINS": str(code)}}))
    monitor = monitor_of(run, interval=60)
    monitor.resume_button.click()
    monitor.refresh()
    assert f"plug-in {code} (sha256 " in monitor._message.value
    assert "resume(trust=True)" in monitor._message.value
    assert not (tmp_path / "executed").exists()
    run.resume(trust=True).wait(20)
    monitor.refresh()
    assert monitor._message.value == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (600, "10 min"), (5400, "1 h 30 min")]
)
def test_durations_are_told_as_people_do(seconds, text):
    assert duration(seconds) == text
