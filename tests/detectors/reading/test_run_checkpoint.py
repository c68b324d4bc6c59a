"""Checkpoints of runs as detectors: the same as the run gives, weights alone, nothing is executed."""

from __future__ import annotations

import shutil

import pytest
import torch
from adversary_run import adversary_run

from workbench import load_detector
from workbench.errors import WeightsError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return adversary_run(tmp_path_factory.mktemp("runs") / "run")


def test_it_is_the_detector_of_the_run_at_that_step(run):
    step, path = run.checkpoints[0]
    ours, theirs = load_detector(path), run.detector(step)
    assert ours.classes == theirs.classes
    assert ours.hardener is None
    assert not ours.training
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in ours.state_dict().items())


def test_it_can_be_taken_elsewhere_and_earlier_ones_need_their_recipe(run, tmp_path):
    _, path = run.checkpoints[-1]
    alone = shutil.copy(path, tmp_path / path.name)
    assert load_detector(alone).config == load_detector(path).config
    state = torch.load(path, weights_only=True)
    del state["config"]
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    earlier = tmp_path / "run" / "checkpoints" / path.name
    torch.save(state | {"version": 1}, earlier)
    with pytest.raises(WeightsError, match=r"does not say what detector it is of, and neither does .*recipe\.yaml"):
        load_detector(earlier)
    shutil.copy(run.folder / "recipe.yaml", tmp_path / "run" / "recipe.yaml")
    assert load_detector(earlier).classes == load_detector(path).classes
    with pytest.raises(WeightsError, match="says the names of its classes itself; leave classes out"):
        load_detector(path, classes=["a"])


def test_a_damaged_one_is_noticed(run, tmp_path):
    _, path = run.checkpoints[-1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = tmp_path / "step-00000001.pt"
    damaged.write_bytes(content)
    with pytest.raises(WeightsError, match=r"step-00000001\.pt is no checkpoint that can be read: it is damaged"):
        load_detector(damaged)


class Harmful:
    def __reduce__(self):
        return print, ("executed",)


def test_nothing_in_it_is_executed(tmp_path, capsys):
    torch.save({"detector": Harmful(), "ema": None, "classes": []}, tmp_path / "step-00000002.pt")
    with pytest.raises(WeightsError, match="is no checkpoint that can be read"):
        load_detector(tmp_path / "step-00000002.pt")
    assert capsys.readouterr().out == ""
