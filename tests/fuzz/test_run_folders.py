"""Run folders with damaged files: followed, used and resumed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from campaign import cases, damaged, only_own_errors
from hypothesis import given
from hypothesis import strategies as st
from tiny_detector import tiny_recipe

from workbench import Run, load_detector
from workbench.training.trainer import train

RESUMED = 12  #: of the cases, at most: a second each


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(tiny_recipe({"stages.0.steps": 8, "validation": {"name": "tiny"}, "test": {"name": "tiny"}}), folder)
    return folder


def spoilt(whole: Path, folder: Path, draw: st.DataObject) -> Path:
    """A copy of the folder in which one file is damaged; the file."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    path = folder / draw.draw(st.sampled_from(files))
    path.write_bytes(draw.draw(damaged(path.read_bytes())))
    return path


@given(draw=st.data())
@cases(80)
def test_a_run_is_followed_and_used(tmp_path: Path, whole: Path, draw: st.DataObject) -> None:
    spoilt(whole, tmp_path / "run", draw)
    with only_own_errors():
        run = Run.open(tmp_path / "run")
        for ask in (
            lambda: run.status,
            run.metrics,
            run.log,
            lambda: run.error,
            lambda: run.seconds,
            run._repr_html_,
            lambda: run.recipe,
            run.progress,
            lambda: run.result,
            run.detector,
            lambda: load_detector(tmp_path / "run"),
        ):
            with only_own_errors():
                ask()


@given(draw=st.data())
@cases(RESUMED)
def test_a_run_is_resumed(tmp_path: Path, whole: Path, draw: st.DataObject) -> None:
    """What was done is done again where it cannot be read; the run ends as it did, or says why not."""
    folder = tmp_path / "run"
    spoilt(whole, folder, draw)
    for name in ("done.json", "detector.safetensors", "result.json"):
        (folder / name).unlink(missing_ok=True)
    with only_own_errors():
        assert train(Run.open(folder).recipe, folder)
        assert Run.open(folder).progress().step == 8
