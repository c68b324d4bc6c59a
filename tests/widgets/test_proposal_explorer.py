"""ProposalExplorer without a browser: proposers of every kind, objects, regions, top-down paths, names as text."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import traitlets
from adversary_run import adversary_run
from colour_detector import ColourDetector
from small_detectors import DEEP_MASK, FAST_RCNN, MASK_RCNN, SHARP_MASK
from widget_pictures import pixels

from widgets import ProposalExplorer
from widgets.proposal_explorer import HEADINGS
from workbench import load_data, load_detector
from workbench.analysis.mask_proposals import best_of_objects
from workbench.data import Dataset
from workbench.detectors import build_detector
from workbench.errors import DataError, WorkbenchError
from workbench.proposals import WithProposals
from workbench.types import Proposals, Target

CLASSES = tuple("0123456789")
PARTS = len(HEADINGS)


def build(config):
    torch.manual_seed(0)
    return build_detector(config, CLASSES).eval()


class TrueBoxes:
    """A source whose proposals of an image are its objects, but for the last."""

    problems = ()

    def __call__(self, data: Dataset, index: int, image_id: int) -> Proposals:
        return Proposals.ranked(data.target(index)["boxes"].as_subclass(torch.Tensor)[:-1])


def corner(image):
    """The whole image, and a quarter of it."""
    height, width = image.shape[-2:]
    return torch.tensor([[0.0, 0, width, height], [0, 0, width / 2, height / 2]])


@pytest.fixture(scope="module")
def data():
    return load_data("digit-scenes", split="test", length=8)


@pytest.fixture(scope="module")
def sharp():
    return build(SHARP_MASK)


@pytest.fixture
def explorer(sharp, data):
    """Of a scene with five objects."""
    known = WithProposals(data, TrueBoxes())
    return ProposalExplorer({"<i>sharp</i>": sharp, "known": known, "corner": corner}, data, index=7, number=4)


def shown(explorer):
    """Which of the parts are to be seen."""
    return [box.layout.display is None for box in explorer._boxes]


def test_what_is_shown_first(explorer, data):
    target = data.target(7)
    assert len(explorer.objects) == len(explorer.table) == 5
    assert {name: len(found) for name, found in explorer.found.items()} == {
        "<i>sharp</i>": 100, "known": 4, "corner": 2
    }  # fmt: skip
    by_mask = best_of_objects(explorer.found["<i>sharp</i>"], target)
    assert explorer.best["<i>sharp</i>"].iou.equal(by_mask.iou)
    assert explorer.best["<i>sharp</i>"].overlapping() == "masks"
    assert explorer.missed == by_mask.missed.nonzero()[:, 0].tolist()
    assert explorer.path.rank == int(by_mask.index[explorer.chosen]) + 1
    assert (explorer.note, explorer.error) == ("", "")
    assert shown(explorer) == [True] * PARTS
    for image in (explorer.one, explorer.all, explorer.ranked, explorer.top_down, explorer.masks):
        assert pixels(image).std() > 20
    assert explorer._controls["label"].layout.display == "none"
    facts = explorer._facts.value
    assert facts.startswith(
        f"Object {explorer.chosen + 1}: {explorer.objects[explorer.chosen].name}. Among the best 100"
    )
    assert "known: IoU <b>1.00</b> of boxes, rank 1" in facts
    assert "<i>sharp" not in facts
    assert "&lt;i&gt;sharp" in explorer._table.value


def test_objects_that_are_missed(explorer):
    explorer.detector = "known"
    assert explorer.missed == [4]
    assert explorer.best["known"].index.tolist()[:4] == [0, 1, 2, 3]
    assert explorer.path is None
    assert explorer.note == "Choose <i>sharp</i> as the proposer to see its top-down path."
    assert "&lt;i&gt;" in explorer._note.value
    assert shown(explorer) == [True, True, True, False, False]
    explorer.chosen = 4
    assert "<b>missed</b>" in explorer._facts.value.partition("known")[2].partition("corner")[0]


def test_another_object_has_another_best(explorer):
    best = explorer.best["<i>sharp</i>"].index
    for chosen in (1, 3):
        explorer.chosen = chosen
        assert explorer.path.rank == int(best[chosen]) + 1
    explorer.rank = 5
    assert (explorer.path.rank, explorer.chosen) == (5, 3)
    assert explorer._controls["rank"].value == 5
    explorer.chosen = 0
    assert explorer.rank == explorer._controls["rank"].value == 0
    explorer.show(chosen=1, rank=2)
    assert (explorer.chosen, explorer.rank, explorer.path.rank) == (1, 2, 2)


def test_a_region_of_ones_own(explorer):
    explorer.picker.drawn = [0.0, 0.0, 64.0, 64.0]
    assert explorer.chosen is None
    assert explorer._facts.value.startswith("This region. Among")
    assert "corner: IoU <b>1.00</b> of boxes, rank 2" in explorer._facts.value
    assert explorer.of_one["corner"].index.tolist() == [1]
    assert explorer.path.rank == int(explorer.of_one["<i>sharp</i>"].index) + 1


def test_how_many_are_given_and_drawn(explorer):
    grid, everything = explorer.ranked.value, explorer.all.value
    explorer.number = 3
    assert explorer.ranked.value != grid
    assert explorer.all.value == everything
    explorer.top = 10
    assert len(explorer.found["<i>sharp</i>"]) == 10
    before = explorer.top_down.value
    explorer.channels = "strongest"
    assert explorer.top_down.value != before


def test_more_and_more_proposals_once_that_is_open(explorer):
    assert explorer.compared.value == b""
    assert explorer.comparison.titles == ("All objects, the more proposals there are",)
    explorer.comparison.selected_index = 0
    first = pixels(explorer.compared)
    assert first.std() > 20
    explorer.top = 1000
    assert pixels(explorer.compared).shape[0] > first.shape[0], "a second row"


@pytest.mark.parametrize(
    ("config", "parts"),
    [(DEEP_MASK, 3), (SHARP_MASK | {"refine": False}, 3), (SHARP_MASK | {"variant": "skip"}, 5),
     (MASK_RCNN, 3), (FAST_RCNN, 3)],
)  # fmt: skip
def test_every_kind_of_detector(config, parts, data):
    if config is FAST_RCNN:
        pytest.importorskip("cv2.ximgproc", reason="selective search needs opencv-contrib-python-headless")
    explorer = ProposalExplorer(build(config), data, index=7, top=20, number=2)
    assert sum(shown(explorer)) == parts
    masks = {"deep-mask", "sharp-mask"}
    assert (explorer.found["detector"].masks is not None) == (config["kind"] in masks)
    assert explorer.error == ""


def test_a_name_is_enough_and_amodal_masks_are_compared_with_such(data):
    amodal = build(DEEP_MASK | {"learn": "amodal"})
    explorer = ProposalExplorer({"RPN": "digit-scenes/faster-rcnn", "amodal": amodal}, data, index=7)
    assert len(explorer.found["RPN"]) == 100
    expected = best_of_objects(explorer.found["amodal"], data.target(7), masks="masks_amodal")
    assert explorer.best["amodal"].iou.equal(expected.iou)
    assert not expected.iou.equal(best_of_objects(explorer.found["amodal"], data.target(7)).iou)


def test_one_image_with_and_without_a_target(data):
    image = np.full((48, 64, 3), 120, np.uint8)
    target = Target(boxes=torch.tensor([[0.0, 0, 32, 24]]), labels=torch.tensor([2]))
    explorer = ProposalExplorer(corner, image, target)
    assert (explorer.objects[0].name, explorer.missed) == ("label 2", [])
    assert ProposalExplorer(corner, image, target, classes=("a", "<b>b</b>")).table["class"].tolist() == ["<b>b</b>"]
    found = ProposalExplorer([corner, ColourDetector(found=[([4.0, 4, 20, 20], 1)])], image)
    assert [(thing.name, thing.box) for thing in found.objects] == [("red", (4, 4, 20, 20))]
    alone = ProposalExplorer(corner, image)
    assert (alone.objects, alone.box, len(alone.table)) == ([], [0, 0, 64, 48], 0)
    nothing = ProposalExplorer(lambda image: torch.zeros(0, 4), image, target)
    assert nothing.missed == [0]
    assert nothing.note == "detector proposes nothing for this image."
    assert shown(nothing) == [True, True, False, False, False]


def test_a_run_shows_its_objects_over_training(tmp_path, data):
    explorer = ProposalExplorer(adversary_run(tmp_path), data, index=5, top=20)
    explorer.comparison.selected_index = 0
    assert explorer.comparison.titles == ("All objects over training",)
    assert pixels(explorer.compared).std() > 20
    last = explorer.found[explorer.detector]
    explorer.step = 2
    assert not explorer.found[explorer.detector].boxes.equal(last.boxes)


def test_errors_are_shown_and_the_next_change_works(explorer):
    explorer.rank = 500
    assert explorer.error == "DataError: rank is 500; <i>sharp</i> gives 100 proposals"
    assert explorer.rank == 0
    explorer.rank = 3
    assert (explorer.error, explorer.path.rank) == ("", 3)
    with pytest.raises(DataError, match=r"ProposalExplorer has no \['score'\]; it has detector, step, top, number"):
        explorer.show(score=0.5)
    with pytest.raises(traitlets.TraitError):
        explorer.top = 7


def test_what_gives_no_proposals_is_refused(data):
    with pytest.raises(DataError, match="there are no proposals; give them by with_proposals"):
        ProposalExplorer({"bare": data}, data)
    short = WithProposals(load_data("digit-scenes", split="test", length=3), TrueBoxes())
    with pytest.raises(DataError, match="have 3 images, those to look at 8"):
        ProposalExplorer(short, data)
    with pytest.raises(DataError, match="a single image was given"):
        ProposalExplorer(short, data.image(0))
    with pytest.raises(WorkbenchError, match="gives no detections; choose one of"):
        ProposalExplorer(load_detector("dfv/digits-decoder"), data)
    with pytest.raises(DataError, match="a int is no detector"):
        ProposalExplorer([3], data)
