"""Run folders with one damaged file: everything that is asked of them is answered, and resumed they end the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from campaign import cases, damaged, only_own_errors
from hypothesis import given
from hypothesis import strategies as st
from tiny_detector import tiny_recipe

from workbench.figures.training import learning_curves
from workbench.training import Run
from workbench.training.trainer import train

FILES = (
    "recipe.yaml", "metrics.jsonl", "log.txt", "proc.json", "done.json", "error.json", "stop.json", "exit.json",
    "result.json", "detector.safetensors", "checkpoints/step-00000015.pt", "checkpoints/step-00000020.pt",
)  # fmt: skip
RECIPE = tiny_recipe(ema=0.9, validation={"name": "tiny", "every": 10}, test={"name": "tiny", "limit": 3})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(RECIPE, folder)
    for name, text in {"error": '{"kind": "disk", "message": "no"}', "exit": '{"pid": 1, "status": -9}'}.items():
        (folder / f"{name}.json").write_text(text)
    (folder / "stop.json").write_text('{"time": 1.5}')
    return folder


@given(draw=st.data(), name=st.sampled_from(FILES), done=st.booleans())
@cases(30)
def test_all_that_a_run_is_asked(finished: Path, tmp_path: Path, draw: st.DataObject, name: str, done: bool) -> None:
    folder = tmp_path / "run"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(finished, folder)
    if not done:
        (folder / "done.json").unlink()
    (folder / name).write_bytes(draw.draw(damaged((finished / name).read_bytes())))
    run = Run.open(folder)
    assert run.status in ("done", "failed", "stopped")
    assert len(run.log(1000)) > 0 or name == "log.txt"
    assert run.seconds >= 0
    assert run.failure == {} or run.failure["message"]
    learning_curves(run.metrics())
    for ask in (run.progress, run.detector, lambda: run.detector(20), lambda: run.result, run._repr_html_):
        with only_own_errors():
            ask()


@given(draw=st.data(), name=st.sampled_from([name for name in FILES if name != "recipe.yaml"]))
@cases(7)
def test_resumed_it_ends_the_same(finished: Path, tmp_path: Path, draw: st.DataObject, name: str) -> None:
    folder = tmp_path / "run"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(finished, folder)
    (folder / name).write_bytes(draw.draw(damaged((finished / name).read_bytes())))
    for missing in ("done.json", "detector.safetensors", "result.json"):
        (folder / missing).unlink()
    assert train(RECIPE, folder)
    for file in ("detector.safetensors", "result.json"):
        assert (folder / file).read_bytes() == (finished / file).read_bytes()
