"""Kinds of one's own of what detectors and data are made of: branches, losses, mining, proposals and benchmarks."""

from __future__ import annotations

import re

import pytest
from small_detectors import FASTER_RCNN, RETINANET

from workbench import Recipe, evaluate, load_data, plug_in, plugins, with_proposals
from workbench.detectors import build_detector
from workbench.errors import DataError, RecipeError
from workbench.registry import Registry

PLUG_IN = '''
from dataclasses import dataclass

import torch
from torch import nn

from workbench.data.digit_scenes import DigitScenes
from workbench.detectors.layers.branches import ImageBranch
from workbench.losses import OHEM, AnchorLoss, AnchorOHEM
from workbench.options import Count, Factor
from workbench.proposals import Computed
from workbench.registry import ANCHOR_MINING, BENCHMARKS, BRANCHES, DATASETS, LOSSES, MINING, NORMALISERS, PROPOSALS


@BRANCHES.register("mine")
class Brightness(ImageBranch):
    """Learns nothing of use from the finest map."""

    gives = ("bright",)

    def __init__(self, channels, strides, *, weight: Factor = 1.0):
        self.read, self.weight = nn.Conv2d(channels, 1, 1), weight

    @property
    def parts(self):
        return {"bright_head": self.read}

    def losses(self, batch, features, targets):
        return {"bright": self.weight * self.read(features[0]).square().mean()}

    def extend(self, found, batch, features, sizes):
        for one in found:
            one.extras["bright"] = torch.ones(len(one))


@LOSSES.register("mine")
@dataclass(frozen=True, kw_only=True)
class Steep(AnchorLoss):
    """Linear above 0."""

    slope: Factor = 2.0

    def _both(self, x):
        return self.slope * x.clamp(min=0), self.slope * (x > 0).to(x.dtype)


@NORMALISERS.register("mine")
class Fixed(nn.Module):
    """By a number."""

    def __init__(self, *, by: Count = 4):
        super().__init__()
        self.by = by

    def forward(self, counts):
        return torch.full((len(counts),), 1 / self.by)


@MINING.register("mine")
class Few(OHEM):
    """The hardest few."""

    def __init__(self, *, kept: Count = 4):
        super().__init__(kept=kept)


@ANCHOR_MINING.register("mine")
class FewAnchors(AnchorOHEM):
    """The hardest few."""

    def __init__(self, *, kept: Count = 4):
        super().__init__(kept=kept)


@PROPOSALS.register("mine")
def corners(data, top, *, side: Count = 32):
    box = torch.tensor([[0.0, 0.0, side, side]])
    return Computed(lambda image: box, {"kind": "mine", "side": side}, cache="kept")


class Measured:
    summary = {"mine": 0.25}


@BENCHMARKS.register("mine")
def measured(found, data) -> Measured:
    return Measured()


@DATASETS.register("mine")
class Mine(DigitScenes):
    """Scenes with a measure of their own."""

    benchmark = "mine"
'''


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    """A plug-in with a kind of each part, forgotten afterwards."""
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_parts.py").write_text(PLUG_IN)
    plug_in("my_parts.py")
    yield
    for one in Registry.all:
        one._made.pop("mine", None)


def learned(config: dict) -> dict[str, float]:
    """The losses of a detector of `config` on two scenes, after a backward pass."""
    images, targets = zip(*load_data("mine", length=2), strict=True)
    detector = build_detector(config, tuple("0123456789"))
    losses = detector.losses(images, targets)
    losses.total.backward()
    return losses.floats()


def test_a_branch_and_a_mining_of_ones_own_and_a_measure_of_the_data(plugged):
    config = FASTER_RCNN | {"branches": [{"kind": "mine", "weight": 0.0}], "roi": {"mining": {"kind": "mine"}}}
    assert learned(config)["bright"] == 0
    detector = build_detector(config, tuple("0123456789"))
    result = evaluate(detector, load_data("mine", length=2), progress=False)
    assert result.summary["mine"] == 0.25
    assert "bright" in detector.detect([load_data("mine")[0][0]])[0].extras


@pytest.mark.parametrize("parts", [{"normaliser": {"kind": "mine", "by": 2}}, {"mining": {"kind": "mine"}}], ids=str)
def test_losses_of_ones_own(plugged, parts):
    assert learned(RETINANET | {"loss": {"kind": "mine", "slope": 1.0}} | parts)["classifier"] >= 0


def test_proposals_of_ones_own(plugged):
    data = with_proposals(load_data("mine", length=1), kind="mine", side=40)
    assert data.target(0)["proposals"].boxes.tolist() == [[0, 0, 40, 40]]
    with pytest.raises(DataError, match=r"proposals\.side is 0; expected at least 1"):
        with_proposals(load_data("mine", length=1), kind="mine", side=0)


@pytest.mark.parametrize(
    ("recipe", "change", "message"),
    [
        ("digit-scenes/faster-rcnn", {"detector.branches": [{"kind": "mine", "weight": -1}]},
         "detector.branches.0.weight is -1; expected at least 0"),
        ("digit-scenes/faster-rcnn", {"detector.branches": ["occlusion", {"kind": "mine", "wight": 1}]},
         "detector.branches.1.wight is not an option of mine (did you mean 'weight'?); choose from weight"),
        ("digit-scenes/faster-rcnn", {"detector.roi.mining": {"kind": "mine", "kept": 0}},
         "detector.roi.mining.kept is 0; expected at least 1"),
        ("digit-scenes/faster-rcnn", {"hardener": [{"kind": "asdn"}, {"kind": "astn", "blocks": 0}]},
         "hardener.1.blocks is 0; expected at least 1"),
        ("digit-scenes/faster-rcnn", {"hardener": [{"kind": "asdnn"}]},
         "hardener.0.kind 'asdnn' does not exist (did you mean 'asdn'?)"),
        ("digit-scenes/faster-rcnn", {"data.proposals": {"kind": "selective-search", "mode": "slow"}},
         "data.proposals.mode is 'slow'; expected 'fast' or 'quality'"),
        ("digit-scenes/faster-rcnn", {"data.options": {"family": "letters"}},
         "data.options.family is 'letters'; expected 'digits' or 'parts'"),
        ("retinanet/digits", {"detector.loss": {"kind": "mine", "slop": 1}},
         "detector.loss.slop is not an option of mine (did you mean 'slope'?); choose from"),
        ("retinanet/digits", {"detector.normaliser": {"kind": "mine", "by": "x"}},
         "detector.normaliser.by is 'x'; expected a valid integer"),
        ("retinanet/digits", {"detector.mining": {"kind": "min"}},
         "detector.mining.kind 'min' does not exist (did you mean 'mine'?)"),
    ],
)  # fmt: skip
def test_a_recipe_says_what_is_wrong_with_its_whole_key(plugged, recipe, change, message):
    with pytest.raises(RecipeError, match=re.escape(f"\n  {message}")):
        Recipe.load(recipe).replace(change)
