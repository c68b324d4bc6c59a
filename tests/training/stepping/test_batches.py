"""Proposals are there before the first step, and the log says how far they are."""

from __future__ import annotations

import logging

import pytest
import torch

import workbench as wb
from workbench.training.processes import world
from workbench.training.stepping import batches
from workbench.training.trainer import train
from workbench.types import Proposals

PROPOSALS = {"kind": "detector", "name": "digit-scenes/faster-rcnn", "top": 20}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Stop:
    """A signal that came, or not."""

    def __init__(self, name: str | None = None):
        self.name = name


def test_progress_is_logged_and_a_signal_ends_it(monkeypatch, caplog):
    """Also where only a part of the data is used."""
    monkeypatch.setattr(batches, "LOG_EVERY", -1)
    data = wb.with_proposals(wb.load_data("digit-scenes", split="val", length=5), **PROPOSALS).subset([1, 3, 4])
    with caplog.at_level(logging.INFO):
        batches.prepare_proposals(data, workers=0, part=(0, 1), stop=Stop())
        assert caplog.messages[-1] == "proposals of digit-scenes val: 3 of 3 images"
        caplog.clear()
        batches.prepare_proposals(data, workers=0, part=(0, 1), stop=Stop("SIGTERM"))
        assert caplog.messages == ["proposals of digit-scenes val: 1 of 3 images"]
        batches.prepare_proposals(data, workers=0, part=(1, 2), stop=Stop())
        assert caplog.messages[-1] == "proposals of digit-scenes val: 1 of 1 images (part 2 of 2)"


def test_all_of_a_target_goes_to_the_device():
    """Proposals too; "meta" is the device that every machine has besides the CPU."""
    target = {"image_id": 3, "boxes": torch.zeros(1, 4), "proposals": Proposals.ranked(torch.zeros(2, 4))}
    images, (moved,) = batches.to_device([torch.zeros(3, 4, 4)], [target], torch.device("meta"))
    places = [
        images[0].device,
        moved["boxes"].device,
        moved["proposals"].boxes.device,
        moved["proposals"].scores.device,
    ]
    assert {place.type for place in places} == {"meta"}
    assert moved["image_id"] == 3


def kept(folder) -> int:
    return len(list(folder.rglob("*.safetensors")))


def fast_rcnn(**changes) -> wb.Recipe:
    """The recipe as it is, but short."""
    size = {"data.options.length": 8, "batch_size": 4, "lr_batch_size": 4}
    short = size | {"log_every": 1, "schedule.kind": "constant"}
    return wb.Recipe.load("a-fast-rcnn/digits-fast-rcnn").replace(short | changes, validation=None, test=None)


def test_proposals_are_all_there_before_the_first_step(tmp_path, monkeypatch):
    assert train(fast_rcnn(**{"stages.0.steps": 1}), tmp_path / "run")
    assert kept(tmp_path / "cache") == 8, "one step alone needs four"
    monkeypatch.setattr(world.StopSignal, "__init__", lambda self: self.__dict__.update(name="SIGTERM", _before={}))
    other = fast_rcnn(**{"stages.0.steps": 1, "data.options.seed": 1})
    assert not train(other, tmp_path / "stopped")
    assert kept(tmp_path / "cache") == 9, "it stops after the image that it is at"
    assert wb.Run.open(tmp_path / "stopped").metrics().empty


def test_fast_rcnn_learns_on_the_shipped_detectors_proposals(tmp_path):
    assert train(fast_rcnn(**{"stages.0.steps": 12}), tmp_path / "run")
    metrics = wb.Run.open(tmp_path / "run").metrics()
    assert metrics["loss"].iloc[-3:].mean() < metrics["loss"].iloc[:3].mean() - 0.3


def test_a_limit_takes_the_first_images_of_any_part_of_a_recipe():
    recipe = wb.Recipe.load("digit-scenes/faster-rcnn").replace({"data.limit": 3, "test.limit": 2})
    data, test = batches.load_spec(recipe.data), batches.load_spec(recipe.test)
    assert (len(data), len(test)) == (3, 2)
    whole = wb.load_data("digit-scenes")
    assert [int(data.target(i)["image_id"]) for i in range(3)] == [int(whole.target(i)["image_id"]) for i in range(3)]
