"""FaceExplorer without a browser: a run with a mask generator and an occlusion branch, and what others lack."""

from __future__ import annotations

import pytest
import torch
import traitlets
from adversary_run import adversary_run
from colour_detector import ColourDetector
from widget_pictures import pixels

from widgets import AdversaryExplorer, FaceExplorer
from widgets.parts.sources import LAST
from workbench import load_data
from workbench.errors import DataError

FIXED = ["left half", "right half", "top half", "bottom half", "random half"]
PARTS = {
    "hardener": {"kind": "mask-generator", "width": 8},
    "detector.branches": [{"kind": "occlusion", "layers": [8]}],
}
TARGET = {"boxes": torch.tensor([[4.0, 8.0, 20.0, 24.0]]), "labels": torch.tensor([1])}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two steps of each stage: the detector's own, the generator's own, and together."""
    return adversary_run(tmp_path_factory.mktemp("run"), **PARTS)


@pytest.fixture(scope="module")
def data():
    return load_data("digit-scenes", split="test", length=6)


@pytest.fixture
def explorer(run, data):
    return FaceExplorer(run, data, index=5)


def picture():
    image = torch.zeros(3, 32, 48, dtype=torch.uint8)
    image[0, 8:12, 4:8] = 255
    return image


def shown(explorer):
    """Which of the parts are to be seen: masks, generators, occlusion, bars."""
    return [box.layout.display is None for box in explorer._boxes]


def test_a_run_comes_with_its_generator_and_its_branch(explorer):
    assert list(explorer.scores) == ["untouched", "generator", *FIXED]
    assert explorer.scores == pytest.approx(explorer.seen.scores)
    assert (explorer.step, explorer.note, explorer.error) == (LAST, "", "")
    assert int((explorer.seen.masks["generator"] == 0).sum()) == round(0.33 * 49)
    assert explorer.iou == explorer.occlusion.iou
    assert shown(explorer) == [True, False, True, True]
    for image in (explorer.masks, explorer.occluded, explorer.bars):
        assert pixels(image).std() > 20
    steps = [("2", 2), ("4", 4), ("6", 6), ("last", LAST)]
    assert list(explorer._controls["step"].options) == steps


def test_scrubbing_shows_when_it_began_to_learn(explorer):
    seen, found = explorer.seen, explorer.occlusion
    explorer.step = 2
    assert explorer.note == "The generator learned nothing before this checkpoint: what is shown of it is chance."
    assert 'role="status"' in explorer._note.value
    assert not torch.equal(explorer.seen.map, seen.map)
    assert not torch.equal(explorer.occlusion.chance, found.chance)
    explorer.step = 4
    assert explorer.note == ""
    with pytest.raises(traitlets.TraitError):
        explorer.step = 3


def test_options_ask_again(explorer):
    seen, found = explorer.seen, explorer.occlusion
    explorer._controls["area"].value = 0.5
    assert int((explorer.seen.masks["generator"] == 0).sum()) == 24
    assert explorer.occlusion is found, "which does not depend on masks"
    explorer.sample = 1
    assert not torch.equal(explorer.seen.masks["random half"], seen.masks["random half"])
    explorer.show(area=0.33, sample=0)
    assert torch.equal(explorer.seen.masks["random half"], seen.masks["random half"])


def test_another_face_or_a_region_of_ones_own(explorer):
    first, found = explorer.box, explorer.occlusion
    explorer.chosen = 0 if explorer.chosen else 1
    assert explorer.box != first
    assert not torch.equal(explorer.occlusion.box, found.box)
    explorer.picker.drawn = [4.0, 4.0, 60.0, 60.0]
    assert (explorer.chosen, explorer.seen.box.tolist()) == (None, [4, 4, 60, 60])
    explorer.label = 3
    assert explorer._facts.value.startswith("Score of <b>2</b>")


def test_generators_of_several_stand_beside_each_other(run, data):
    names = {"<i>with</i>": run, "without": run, "saved": run.detector()}
    explorer = FaceExplorer(names, data, index=5, area=0.25)
    assert shown(explorer) == [True, True, True, True]
    beside = explorer._generators()[""]
    assert list(beside) == ["<i>with</i>", "without"]
    assert all(int((one.masks["generator"] == 0).sum()) == 12 for one in beside.values())
    explorer.step = 2
    assert torch.equal(explorer._generators()[""]["without"].map, explorer.seen.map), "at the same step"
    explorer.comparison.selected_index = 0
    assert explorer.comparison.titles == ("This region over training",)
    assert pixels(explorer.compared).std() > 20
    explorer.detector = "saved"
    assert list(explorer.scores) == ["untouched", *FIXED]
    assert explorer.note.startswith("This detector came without a mask generator")
    assert explorer.error == ""


def test_what_is_missing_is_said():
    explorer = FaceExplorer(ColourDetector(), picture(), TARGET)
    assert list(explorer.scores) == ["untouched", *FIXED]
    assert explorer.note.endswith("FaceExplorer(run, ...). The detector has no occlusion branch.")
    assert shown(explorer) == [True, False, False, True]
    assert (explorer.occlusion, explorer.iou) == (None, None)
    explorer.comparison.selected_index = 0
    assert explorer.compared.value == b""
    with pytest.raises(DataError, match=r"FaceExplorer has no \['masks'\]; it has detector, step, area, sample"):
        explorer.show(masks=3)


def test_without_the_truth_only_what_is_found_is_shown(run, data):
    explorer = FaceExplorer(run, data.image(5))
    assert explorer.note == "What truly hides objects is not known of this image."
    assert (explorer.iou, explorer.occlusion.truth) == (None, None)


def test_the_adversary_explorer_sends_on_to_this_one(run, data):
    explorer = AdversaryExplorer(run, data, index=5)
    assert explorer.note == "Only the search is shown; widgets.FaceExplorer shows what a mask generator does."
    assert list(explorer.scores) == ["untouched", "worst window"]
