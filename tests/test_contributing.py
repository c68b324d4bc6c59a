"""CONTRIBUTING.md is followed: its map shows what is there, and its four traces work as they are written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

import workbench
from workbench import Recipe, launch, load_data, plug_in, plugins, registry
from workbench.errors import DataError, RecipeError

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CODE = dict(re.findall(r"```python\n# ([\w/]+\.py)\n(.*?)```", TEXT, re.DOTALL))
BRIEF = {"validation": None, "test": None, "stages.0.steps": 2, "batch_size": 2, "schedule.kind": "constant"}
MAP = TEXT.partition("## The map")[2].partition("\n## ")[0]
#: Room, what can be named there, one level down.
ROWS = re.findall(r"^\| `(\w+)/` \| (.*?) \| (.*?)\|$", MAP, re.MULTILINE)


def test_the_map_has_every_room():
    rooms = {path.parent.relative_to(ROOT / "workbench") for path in (ROOT / "workbench").rglob("__init__.py")}
    below = {f"{room}/{part}" for room, _, parts in ROWS for part in re.findall(r"`(\w+)/`", parts)}
    assert {room for room, _, _ in ROWS} | below == {room.as_posix() for room in rooms} - {"."}


def test_the_map_names_folders_and_files_that_are_there():
    beside = re.findall(r"`([\w./]+(?:/|\.\w+))`", MAP.partition("Beside these")[2])
    assert len(beside) == 9
    for name in beside:
        assert any((ROOT / home / name).exists() for home in (".", "workbench", "widgets")), name


@pytest.mark.parametrize(("room", "named"), [row[:2] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_map_names_what_rooms_have(room, named):
    exported = {*workbench.__all__, *getattr(import_module(f"workbench.{room}"), "__all__", ())}
    for name in re.findall(r"`(\w+)`", named):
        assert (ROOT / "workbench" / room / f"{name}.py").is_file() or name in exported, name


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    """Plugs in the file of CONTRIBUTING.md; what it registers is forgotten afterwards."""
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(plugins, "_loaded", {})

    def follow() -> None:
        path = tmp_path / "my_methods.py"
        path.write_text(CODE["my_methods.py"])
        plug_in(path)

    yield follow
    for kinds in (registry.HARDENERS, registry.DETECTORS, registry.DATASETS):
        for kind in ("centre-drop", "noisy-classifier", "squares"):
            kinds._made.pop(kind, None)


def trained(recipe: Recipe, folder: Path):
    run = launch(recipe, folder)
    assert run.wait(timeout=180) == "done", run.log()
    return run


def test_add_a_detector(plugged, tmp_path):
    plugged()
    recipe = Recipe.load("dfv/digits-c")
    section = {**recipe.detector, "kind": "noisy-classifier", "noise": 0.5}
    recipe = recipe.replace({**BRIEF, "stages": [recipe.to_dict()["stages"][0]], "detector": section})
    detector = trained(recipe, tmp_path / "run").detector()
    assert (type(detector).__name__, detector.noise, detector.config) == ("NoisyClassifier", 0.5, section)
    vectors, labels = torch.zeros(4, detector.num_features), torch.tensor([1, 2, 3, 4])
    quiet = detector.vector_losses(vectors, labels, torch.Generator().manual_seed(0))["classifier"]
    detector.noise = 5.0
    loud = detector.vector_losses(vectors, labels, torch.Generator().manual_seed(0))["classifier"]
    assert loud > quiet


def test_add_a_hardener_and_a_data_set(plugged, tmp_path):
    """Both in one run."""
    recipe = Recipe.load("digit-scenes/faster-rcnn")
    changes = {**BRIEF, "data": {"name": "squares"}, "hardener": {"kind": "centre-drop", "keep": 0.5}}
    with pytest.raises(RecipeError, match="centre-drop"):
        recipe.replace({"hardener": changes["hardener"]})
    with pytest.raises(DataError, match="squares"):
        load_data("squares")
    plugged()
    with pytest.raises(RecipeError, match=r"hardener\.keep"):
        recipe.replace({**changes, "hardener": {"kind": "centre-drop", "keep": 2}})
    with pytest.raises(DataError, match=r"length"):
        load_data("squares", length=0)
    image, target = load_data("squares", length=100)[3]
    x1, y1, x2, y2 = target["boxes"][0].int().tolist()
    assert (image[:, y1:y2, x1:x2] == 220).all()
    assert int((image == 220).sum()) == 3 * 24 * 24
    detector = trained(recipe.replace(changes), tmp_path / "run").detector(hardener=True)
    assert detector.classes == ("square",)
    assert (type(detector.hardener).__name__, detector.hardener.keep) == ("CentreDrop", 0.5)


def test_add_a_widget(tmp_path):
    """A copy of `widgets` with one file more, as a process of its own sees it."""
    shutil.copytree(ROOT / "widgets", tmp_path / "widgets", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "widgets/object_counter.py").write_text(CODE["widgets/object_counter.py"])
    show = """
import widgets
from workbench import load_data

assert "ObjectCounter" in dir(widgets), dir(widgets)
assert widgets.ObjectCounter(load_data("digits", split="test").subset(range(4)), images=100).value == "4 objects"
counter = widgets.ObjectCounter(load_data("digits", split="test"), images=3)
data, _ = counter._repr_mimebundle_()
assert data["application/vnd.jupyter.widget-view+json"] and data["image/png"]
assert "3 objects" in [text.get_text() for text in counter.still().texts]
counter.save_view("a.png")
before = counter.value
counter.images = 30
print(before, "|", counter.value)
counter.load_view("a.png")
assert counter.value == before, counter.value
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", show], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "3 objects | 30 objects"
