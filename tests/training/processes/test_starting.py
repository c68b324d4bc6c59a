"""What a run folder would have executed: followed for its own user, refused for a stranger's."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

import workbench as wb
from workbench import plugins
from workbench.errors import RunError
from workbench.training import Recipe, Run, launch
from workbench.training.processes import detached
from workbench.training.processes.record import RECORD, Record
from workbench.training.processes.starting import load_recorded, record_itself, start_process

STAND_IN = Path(__file__).parents[2] / "support" / "stand_in"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings of the test's own, no plug-ins, and the stand-in for the trainer."""
    monkeypatch.setattr(detached, "SOURCES", STAND_IN)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(plugins, "_loaded", {})


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "it was executed"


@pytest.fixture
def code(tmp_path: Path, mark: Path) -> Path:
    path = tmp_path / "methods.py"
    path.write_text(f"open({str(mark)!r}, 'a').write('x')\n")
    return path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that was stopped; its trainer prints where it is."""
    recipe = {"data": {"name": "digit-scenes"}, "detector": {"kind": "faster-rcnn"}, "name": "try"}
    run = launch(Recipe.from_dict({**recipe, "stages": [{"steps": 2, "lr": 1e-3}]}), tmp_path / "run")
    assert run.wait(20) == "done"
    (run.folder / "done.json").unlink()
    return run


def forge(run: Run, **values: Any) -> None:
    """Write a record as a stranger would: with a seal that is not the user's."""
    content = json.loads((run.folder / RECORD).read_text())
    (run.folder / RECORD).write_text(json.dumps(content | values))


@pytest.mark.parametrize("way", ["variable", "plug-in"])
@pytest.mark.parametrize("again", ["resume", "launch", "start"])
def test_a_strangers_plug_in_is_shown_and_not_executed(
    run: Run, code: Path, mark: Path, way: str, again: str
) -> None:
    if way == "variable":
        forge(run, environment={"WORKBENCH_PLUGINS": str(code)})
    else:
        forge(run, plug_ins={str(code): {"file": str(code), "sha256": plugins.source_hash(code)}})
    actions = {
        "resume": run.resume,
        "launch": lambda: launch(run.recipe, run.folder, resume=True),
        "start": lambda: start_process(run.folder, run.recipe),
    }
    with pytest.raises(RunError) as caught:
        actions[again]()
    assert str(code) in str(caught.value)
    assert plugins.source_hash(code) in str(caught.value)
    assert "trust=True" in str(caught.value)
    assert not mark.exists()
    assert not run.alive


def test_by_the_users_word_it_is_executed(run: Run, code: Path, mark: Path) -> None:
    forge(run, environment={"WORKBENCH_PLUGINS": str(code), "SOMETHING": "set"})
    assert run.resume(trust=True).wait(20) == "done"
    assert mark.exists()
    record = Record.read(run.folder)
    assert record is not None
    assert record.own
    assert record.environment == {"SOMETHING": "set"}
    assert record.plug_ins[str(code)]["sha256"] == plugins.source_hash(code)


def test_ones_own_record_is_followed_until_the_plug_in_changes(run: Run, code: Path, mark: Path) -> None:
    wb.plug_in(code)
    run.resume().wait(20)
    (run.folder / "done.json").unlink()
    plugins._loaded.clear()  # as after a restart of the kernel
    os.environ[plugins.VARIABLE] = ""
    mark.unlink()
    load_recorded(run.folder)
    assert mark.exists()
    assert os.environ[plugins.VARIABLE] == str(code)
    plugins._loaded.clear()
    mark.unlink()
    code.write_text(code.read_text() + "# other\n")
    with pytest.raises(RunError, match="changed since"):
        run.resume()
    assert not mark.exists()


@pytest.mark.parametrize("name", ["methods", "methods.inner"])
def test_a_module_of_the_same_name_elsewhere_is_not_executed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Also not the package around it, to find out."""
    first, other, mark = tmp_path / "first", tmp_path / "other", tmp_path / "other was executed"
    for place, text in ((first, ""), (other, f"open({str(mark)!r}, 'w')\n")):
        package = place / "methods"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(text)
        (package / "inner.py").write_text(text)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(first)
        wb.plug_in(name)
        run.resume().wait(20)
        (run.folder / "done.json").unlink()
        for module in ("methods", "methods.inner"):
            sys.modules.pop(module, None)
        plugins._loaded.clear()
        load_recorded(run.folder)
        assert name in plugins.plugged_in()
    for module in ("methods", "methods.inner"):
        sys.modules.pop(module, None)
    plugins._loaded.clear()
    monkeypatch.syspath_prepend(other)
    with pytest.raises(RunError, match="which changed since it was started"):
        load_recorded(run.folder)
    assert not mark.exists()


def test_a_strangers_variables_are_shown(run: Run) -> None:
    forge(run, environment={"LD_PRELOAD": "/x.so", "CUDA_VISIBLE_DEVICES": "1"})
    with pytest.raises(RunError, match=r"variable LD_PRELOAD='/x\.so'") as caught:
        run.resume()
    assert "CUDA" not in str(caught.value)
    forge(run, environment={"CUDA_VISIBLE_DEVICES": "1"})
    run.resume().wait(20)
    record = Record.read(run.folder)
    assert record is not None
    assert record.environment == {"CUDA_VISIBLE_DEVICES": "1"}


@pytest.mark.parametrize("own", [True, False])
def test_only_ones_own_run_goes_on_where_it_was_started(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    """Nor is anything imported from there, though an empty part of PYTHONPATH means the current directory."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "yaml.py").write_text("raise SystemExit('imported from the current directory')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*sys.path, ""]))
    if own:
        record = Record.read(run.folder)
        assert record is not None
        Record(**{**vars(record), "cwd": str(tmp_path / "there")}).write(run.folder)
    else:
        forge(run, cwd=str(tmp_path / "there"))
    assert run.resume().wait(20) == "done", run.log()
    assert (f"in {tmp_path / 'there'}" in run.log()) == own


def test_nothing_is_written_through_a_link(run: Run, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("years of work")
    for name in ("log.txt", "proc.lock"):
        kept = (run.folder / name).rename(tmp_path / name)
        (run.folder / name).symlink_to(tmp_path / "precious")
        with pytest.raises(RunError, match=f"{name}|cannot start a run"):
            run.resume()
        (run.folder / name).unlink()
        kept.rename(run.folder / name)
    assert (tmp_path / "precious").read_text() == "years of work"


def test_a_strangers_token_kills_nothing(run: Run, tmp_path: Path) -> None:
    other = launch(run.recipe.replace(notes={"step": 0.05}).replace({"stages.0.steps": 1000}), tmp_path / "other")
    try:
        record = Record.read(other.folder)
        assert record is not None
        forge(run, token=record.token, pid=0)
        run.resume().wait(20)
        assert other.alive
    finally:
        other.stop(grace=0)


def test_a_strangers_record_stops_no_process_of_the_users(run: Run, tmp_path: Path) -> None:
    """Neither any process whose pid it names, nor another run whose record was copied."""
    other = launch(run.recipe.replace(notes={"step": 0.05}).replace({"stages.0.steps": 1000}), tmp_path / "other")
    victim = psutil.Popen(["sleep", "60"])
    try:
        copied = Record.read(other.folder)
        assert copied is not None
        forge(run, pid=victim.pid, create_time=victim.create_time())
        assert not run.alive
        run.stop(grace=0)
        forge(run, pid=copied.pid, create_time=copied.create_time, token=copied.token)
        assert not run.alive
        run.stop(grace=0)
        assert other.alive
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()
        other.stop(grace=0)


def test_a_record_without_ones_seal_still_finds_the_run_that_it_is_of(run: Run, tmp_path: Path) -> None:
    """As of a user whose home cannot be written to, and so holds no key."""
    other = launch(run.recipe.replace(notes={"step": 0.05}).replace({"stages.0.steps": 1000}), tmp_path / "other")
    try:
        forge(other, seal="")
        record = Record.read(other.folder)
        assert detached.find(record) is not None
        other.stop(grace=0)
        assert not other.alive
    finally:
        other.stop(grace=0)


@pytest.mark.parametrize(("here", "kept"), [("17", "17"), ("18", ""), (None, "")])
def test_a_trainer_keeps_the_job_that_it_is_part_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: str | None, kept: str
) -> None:
    place = {"kind": "slurm", "partition": "gpu"}
    sent = {"pid": 0, "create_time": 0.0, "cmd": [], "started": 1.0, "token": "", "cwd": "/", "threads": 1}
    Record(folder=str(tmp_path.resolve()), **sent, environment={"A": "b"}, place=place, job="17").write(tmp_path)
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    if here is not None:
        monkeypatch.setenv("SLURM_JOB_ID", here)
    recipe = Recipe.load("digit-scenes/faster-rcnn", trial=False)
    record_itself(tmp_path, recipe, command=["python"], threads=2)
    record = Record.read(tmp_path)
    assert record is not None
    assert record.own
    assert (record.pid, record.threads, record.job) == (os.getpid(), 2, kept)
    assert record.place == (place if kept else {})
    assert record.environment == ({"A": "b"} if kept else {})
