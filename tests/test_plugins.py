"""Own methods: known here, to the processes that train, and to the fingerprint of the code."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from workbench import Recipe, plug_in, plugins
from workbench.errors import RecipeError
from workbench.hardeners import build_hardener
from workbench.registry import HARDENERS
from workbench.training.recording.fingerprint import code_fingerprint

METHOD = '''
import torch
from workbench.hardeners import Hardener, MaskDecision
from workbench.registry import HARDENERS


@HARDENERS.register("centre-drop")
class CentreDrop(Hardener):
    """Drop the middle cell of every RoI."""

    def __init__(self, *, keep: float = 0.0):
        super().__init__()
        self.keep = keep

    def decide(self, batch):
        mask = torch.ones_like(batch.features[:, :1])
        mask[..., mask.shape[-2] // 2, mask.shape[-1] // 2] = self.keep
        return MaskDecision(mask)
'''


@pytest.fixture
def method(tmp_path, monkeypatch):
    """A file with a hardener; what is plugged in is forgotten afterwards."""
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(plugins, "_loaded", {})
    path = tmp_path / "my_methods.py"
    path.write_text(METHOD)
    yield path
    HARDENERS._made.pop("centre-drop", None)


def test_a_method_of_ones_own_is_known_when_it_is_plugged_in(method):
    """That a run trains with it, `test_contributing.py` shows."""
    with pytest.raises(RecipeError, match=r"hardener\.kind 'centre-drop' does not exist"):
        build_hardener({"kind": "centre-drop"})
    plug_in(method)
    assert build_hardener({"kind": "centre-drop", "keep": 0.5}).keep == 0.5
    with pytest.raises(RecipeError, match=r"hardener\.keep is 'x'; expected a valid number"):
        build_hardener({"kind": "centre-drop", "keep": "x"})


def test_the_fingerprint_of_the_code_follows_it(method):
    before = code_fingerprint()
    plug_in(method)
    with_it = code_fingerprint()
    assert with_it != before
    method.write_text(METHOD.replace("= self.keep", "= self.keep / 2"))
    os.utime(method, ns=(1, 1))
    assert code_fingerprint() != with_it


def test_changed_code_is_taken_when_plugged_in_again(method):
    plug_in(method)
    method.write_text(METHOD.replace("keep: float = 0.0", "keep: float = 0.5"))
    plug_in(method)
    assert build_hardener({"kind": "centre-drop"}).keep == 0.5
    assert [path.name for path in method.parent.iterdir()] == [method.name]
    assert os.environ[plugins.VARIABLE] == str(method)


@pytest.mark.parametrize(
    ("code", "message"), [("import nothing_of_that_name", "ModuleNotFoundError"), ("1 +", "SyntaxError")]
)
def test_what_cannot_be_imported_is_told(method, code, message):
    method.write_text(code)
    with pytest.raises(RecipeError, match=rf"plug-in .*my_methods\.py cannot be imported \({message}"):
        plug_in(method)
    assert os.environ[plugins.VARIABLE] == ""
    with pytest.raises(RecipeError, match="plug-in no_such_module cannot be imported"):
        plug_in("no_such_module")
    with pytest.raises(RecipeError, match="plug-in time cannot be imported"):
        plug_in("time")


def test_the_terminal_knows_what_the_variable_names(method, tmp_path):
    recipe = Recipe.load("digit-scenes/faster-rcnn").to_dict() | {"hardener": {"kind": "centre-drop"}}
    import yaml

    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    command = [sys.executable, "-m", "workbench", "doctor", str(tmp_path / "mine.yaml"), "--set", "test=null"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, plugins.VARIABLE: str(method)})
    assert done.returncode == 0, done.stderr
    done = subprocess.run(command, capture_output=True, text=True)
    assert "hardener.kind 'centre-drop' does not exist" in done.stderr
