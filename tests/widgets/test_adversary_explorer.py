"""AdversaryExplorer without a browser: what is shown of a run's adversary, and what is said where there is none."""

from __future__ import annotations

import pytest
import torch
import traitlets
from adversary_run import adversary_run
from colour_detector import ColourDetector
from stages import stage
from widget_pictures import pixels

from widgets import AdversaryExplorer
from widgets.parts.pictures import Picture
from widgets.parts.sources import LAST
from workbench import load_data
from workbench.errors import DataError
from workbench.hardeners import ASDN, ASTN, Chain
from workbench.types import HeadLayout

NAMES = ["untouched", "worst window", "ASDN", "ASTN", "ASDN + ASTN"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two steps of each stage: the detector's own, the adversaries' own, and together."""
    return adversary_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def data():
    return load_data("digit-scenes", split="test", length=6)


@pytest.fixture
def explorer(run, data):
    return AdversaryExplorer(run, data, index=5)


def test_only_what_changes_is_drawn(explorer, monkeypatch):
    drawn, redraw = [], Picture._redraw
    monkeypatch.setattr(Picture, "_redraw", lambda self, *_: (drawn.append(self), redraw(self)))
    for name, value, expected in (
        ("sample", 3, [explorer.dropout, explorer.bars]),
        ("stride", 2, [explorer.search, explorer.bars]),
        ("label", 1, [explorer.search, explorer.dropout, explorer.rotation, explorer.bars]),
    ):
        drawn.clear()
        setattr(explorer, name, value)
        assert drawn == expected


def colour_detector(hardener=None):
    """Three channels on 4 × 4 cells."""
    detector = ColourDetector()
    detector.hardener = hardener
    if hardener is not None:
        torch.manual_seed(0)
        hardener.bind_head(HeadLayout(3, 4))
    return detector


def picture():
    image = torch.zeros(3, 32, 48, dtype=torch.uint8)
    image[0, 8:12, 4:8] = 255
    return image


TARGET = {"boxes": torch.tensor([[4.0, 8.0, 20.0, 24.0]]), "labels": torch.tensor([1])}


def test_a_run_comes_with_its_adversary(explorer, run):
    assert list(explorer.scores) == NAMES
    assert (explorer.step, explorer.note, explorer.error) == (LAST, "", "")
    seen = explorer.seen
    assert explorer.scores == pytest.approx(seen.scores)
    assert len(seen.dropout.masks) == explorer.masks == 5
    assert len(seen.rotation.angles) == 4
    for image in (explorer.search, explorer.dropout, explorer.rotation, explorer.bars):
        assert pixels(image).std() > 20
    assert "masks are hard enough" in explorer._facts.value
    steps = [("2", 2), ("4", 4), ("6", 6), ("last", LAST)]
    assert list(explorer._controls["step"].options) == steps


def test_the_hardener_of_a_checkpoint_is_its_own_and_not_a_mean(run):
    early, last = (run.detector(step, hardener=True) for step in (2, 6))
    state = torch.load(dict(run.checkpoints)[6], weights_only=True)
    own, mean = state["detector"], state["ema"]["state"]
    name = "hardener.hardeners.0.net.out.weight"
    assert torch.equal(last.state_dict()[name], own[name])
    assert not torch.equal(own[name], mean[name])
    assert not torch.equal(early.state_dict()[name], own[name])
    plain = run.detector()
    assert plain.hardener is None
    both = {key: value for key, value in last.state_dict().items() if not key.startswith("hardener.")}
    assert all(torch.equal(value, both[key]) for key, value in plain.state_dict().items())
    assert torch.equal(run.detector(hardener=True).state_dict()[name], own[name])


def test_scrubbing_shows_when_it_began_to_learn(explorer):
    before, bars = explorer.seen, explorer.bars.value
    explorer.step = 2
    assert explorer.note.startswith("ASDN and ASTN learned nothing before this checkpoint")
    assert 'role="status"' in explorer._note.value
    assert not torch.equal(explorer.seen.dropout.heat, before.dropout.heat)
    assert explorer.bars.value != bars
    explorer.step = 4
    assert explorer.note == ""
    assert explorer._note.value == ""
    with pytest.raises(traitlets.TraitError):
        explorer.step = 3


def test_options_ask_again(explorer):
    masks, search = explorer.seen.dropout.masks, explorer.search.value
    explorer.sample = 1
    assert not torch.equal(explorer.seen.dropout.masks, masks)
    assert explorer.search.value == search
    explorer._controls["masks"].value = 2
    assert len(explorer.seen.dropout.masks) == 2
    explorer.show(stride=2, masks=3)
    assert explorer.seen.search.rises.shape == (4, 4)
    explorer.show(stride=1, masks=5, sample=0)
    assert torch.equal(explorer.seen.dropout.masks, masks), "the same number draws the same masks"


def test_objects_and_regions_can_be_asked_about(explorer):
    first = explorer.box
    explorer.chosen = 0 if explorer.chosen else 1
    assert explorer.box != first
    assert explorer.seen.box.tolist() == pytest.approx(explorer.box)
    explorer.picker.drawn = [4.0, 4.0, 60.0, 60.0]
    assert (explorer.chosen, explorer.seen.box.tolist()) == (None, [4, 4, 60, 60])
    explorer.label = 3
    assert explorer.seen.label == 3
    assert explorer._facts.value.startswith("Score of <b>2</b>")
    assert explorer._controls["label"].description == "True class"


def test_over_training_once_that_is_open(explorer):
    assert explorer.compared.value == b""
    explorer.comparison.selected_index = 0
    assert explorer.comparison.titles == ("This region over training",)
    three = pixels(explorer.compared)
    assert three.std() > 20
    explorer.step = 2
    assert pixels(explorer.compared).shape == three.shape
    assert (pixels(explorer.compared) != three).any(), "another name is bold"


def test_a_saved_detector_shows_the_search_alone(run, data):
    explorer = AdversaryExplorer({"run": run, "<b>saved</b>": run.detector()}, data, index=5)
    explorer.detector = "<b>saved</b>"
    assert explorer.note.startswith("This detector came without an adversary")
    assert list(explorer.scores) == NAMES[:2]
    assert explorer._of_asdn.layout.display == explorer._of_astn.layout.display == "none"
    assert (explorer.dropout.value, explorer.rotation.value) == (b"", b"")
    assert "hard enough" not in explorer._facts.value
    explorer.comparison.selected_index = 0
    assert explorer.comparison.titles == ("All objects of this image",)
    assert pixels(explorer.compared).std() > 20
    explorer.detector = "run"
    assert explorer._of_asdn.layout.display is None
    assert explorer.note == ""


def test_a_run_without_an_adversary_says_so(run, data, monkeypatch):
    monkeypatch.setattr(type(run), "detector", lambda *_, **__: colour_detector())
    explorer = AdversaryExplorer(run, picture(), TARGET, classes=("red", "green"))
    assert explorer.note == "This run trains no adversary, so only the search is shown."


def test_an_untrained_adversary_is_named():
    explorer = AdversaryExplorer(colour_detector(ASDN()), picture(), TARGET)
    assert explorer.note.startswith("ASDN learned nothing")
    assert list(explorer.scores) == NAMES[:3]
    chain = Chain(ASTN(blocks=3))
    detector = colour_detector(chain)
    chain.begin_stage(stage("both"))  # a stage of a training begins
    begun = AdversaryExplorer(detector, picture(), TARGET)
    assert begun.note == ""
    assert list(begun.scores) == [*NAMES[:2], "ASTN"]


def test_errors_are_shown_and_the_next_change_works(monkeypatch):
    detector = colour_detector()
    explorer = AdversaryExplorer(detector, picture(), TARGET)
    monkeypatch.setattr(detector, "roi_features", lambda *_: 1 / 0)
    before = explorer.label
    explorer.label = 2
    assert "ZeroDivisionError" in explorer.error
    assert explorer.label == before
    monkeypatch.undo()
    explorer.label = 2
    assert explorer.error == ""
    with pytest.raises(DataError, match=r"AdversaryExplorer has no \['inversion'\]; it has detector, step, masks"):
        explorer.show(inversion="soft")
