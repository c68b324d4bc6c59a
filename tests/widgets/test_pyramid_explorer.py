"""PyramidExplorer without a browser: every kind of detector, regions, anchors, runs, and words that are text."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import traitlets
from adversary_run import adversary_run
from widget_pictures import pixels

from widgets import PyramidExplorer
from widgets.parts.pictures import Picture
from workbench import load_data, load_detector
from workbench.analysis.pyramid import BEST_ONLY, LEFT_OUT, MATCHED
from workbench.detectors import build_detector
from workbench.errors import DataError, WorkbenchError
from workbench.types import Target

SMALL = {"kind": "faster-rcnn", "backbone": {"name": "small", "widths": [8, 8, 8]}, "channels": 8, "min_size": None}
SINGLE = {key: value for key, value in SMALL.items() if key != "channels"} | {"pyramid": False}


def build(config):
    torch.manual_seed(0)
    return build_detector(config, tuple("0123456789")).eval()


@pytest.fixture(scope="module")
def data():
    return load_data("digit-scenes", split="test", length=8)


@pytest.fixture(scope="module")
def trained():
    return load_detector("digit-scenes/faster-rcnn")


@pytest.fixture
def explorer(trained, data):
    return PyramidExplorer({"<i>pyramid</i>": trained, "C4": build(SINGLE)}, data, index=7)


def test_what_is_shown_first(explorer, data):
    assert [level.name for level in explorer.view.levels] == ["P2", "P3", "P4"]
    assert len(explorer.objects) == len(data.target(7)["labels"]) == 5
    assert all(thing.source is None for thing in explorer.objects)
    assert explorer.chosen == 0
    assert explorer.level == "P2"
    assert len(explorer.proposed) == explorer.proposals == 100
    for image in (explorer.maps, explorer.where, explorer.anchors):
        assert pixels(image).std() > 20
    assert explorer._facts.value.startswith("Object 1 (<b>0</b>): √(wh) is 36.1 pixels; 4 + log₂(36.1 / 112) = 2.37")
    assert explorer._controls["label"].layout.display == "none"


def test_a_region_of_ones_own(explorer):
    explorer.picker.drawn = [10.0, 10.0, 90.0, 90.0]  # 80 px: 4 + log2(80 / 112) = 3.51
    assert (explorer.chosen, explorer.level) == (None, "P3")
    assert "= 3.51, so it goes to <b>P3</b>" in explorer._facts.value
    assert explorer._facts.value.startswith("This region")
    before = explorer.anchors.value
    explorer.all_anchors = True
    assert explorer.anchors.value != before
    explorer.chosen = 4
    assert explorer.box == pytest.approx(list(explorer.objects[4].box))
    assert explorer.level == "P2"


def test_a_change_asks_and_draws_no_more_than_it_must(explorer, trained, monkeypatch):
    passes, drawn = [], []
    hook = trained.rpn.register_forward_hook(lambda *_: passes.append(1))
    redraw = Picture._redraw
    monkeypatch.setattr(Picture, "_redraw", lambda self, *_: (drawn.append(self), redraw(self)))

    def cost(name, value):
        passes.clear(), drawn.clear()
        setattr(explorer, name, value)
        return len(passes), drawn

    assert cost("proposals", 50) == (1, [explorer.where])
    assert cost("proposals", 100) == (0, [explorer.where]), "asked before"
    assert cost("chosen", 3) == (0, [explorer.anchors])
    assert cost("all_anchors", True) == (0, [explorer.anchors])
    assert cost("chosen", 2) == (0, [])
    assert cost("index", 6) == (1, [explorer.maps, explorer.where, explorer.anchors])
    hook.remove()


def test_another_detector_and_other_proposals(explorer):
    explorer.detector = "C4"
    assert explorer.level == "C4"
    assert "log₂" not in explorer._facts.value
    assert [level.name for level in explorer.view.body] == ["C2", "C3", "C4"]
    where, anchors = explorer.where.value, explorer.anchors.value
    explorer.proposals = 0
    assert len(explorer.proposed) == 0
    assert explorer.where.value != where
    assert explorer.anchors.value == anchors


@pytest.mark.parametrize(
    ("config", "levels"),
    [
        ({**SMALL, "pyramid": {"top_down": False}}, ["P2", "P3", "P4"]),
        ({**SMALL, "pyramid": {"lateral": False}}, ["P2", "P3", "P4"]),
        ({**SMALL, "pyramid": {"finest": True}}, ["P2"]),
        ({**SINGLE, "backbone": {**SMALL["backbone"], "stage": 3}}, ["C3"]),
        ({**SMALL, "kind": "mask-rcnn", "mask": {"layers": [8], "width": 8}}, ["P2", "P3", "P4"]),
        ({**SMALL, "kind": "retinanet"}, ["P3", "P4", "P5", "P6"]),
        ({**SMALL, "kind": "rpn"}, ["P2", "P3", "P4"]),
    ],
)
def test_every_form(config, levels, data):
    explorer = PyramidExplorer(build(config), data, index=7, proposals=20)
    assert [level.name for level in explorer.view.levels] == levels
    assert explorer.level in levels
    assert len(explorer.table) == 5
    for image in (explorer.maps, explorer.where, explorer.anchors):
        assert pixels(image).std() > 10
    assert explorer.error == ""


def test_crowds_are_left_out_and_names_are_text(trained):
    boxes = torch.tensor([[10.0, 10, 40, 50], [60, 60, 100, 120], [40.0, 40, 43, 43]])
    crowd = torch.tensor([False, True, False])
    target = Target(boxes=boxes, labels=torch.tensor([1, 2, 1]), iscrowd=crowd)
    image = np.full((128, 128, 3), 120, np.uint8)
    explorer = PyramidExplorer(trained, image, target, classes=("<b>one</b>", "two"))
    assert explorer.table["anchors say"].tolist() == [MATCHED, LEFT_OUT, BEST_ONLY]
    for text in (explorer._facts.value, explorer._table.value):
        assert "<b>one</b>" not in text
    assert "&lt;b&gt;one" in explorer._table.value
    explorer.chosen = 1
    assert "It is a crowd or difficult, and not learned." in explorer._facts.value


def test_without_a_target_what_is_found_are_the_objects(trained, data):
    explorer = PyramidExplorer(trained, data.image(7))
    assert explorer.objects
    assert all(thing.source is not None for thing in explorer.objects)
    alone = PyramidExplorer(build({**SMALL, "kind": "rpn"}), data.image(7))
    assert (alone.objects, alone.box, len(alone.table)) == ([], [0, 0, 128, 128], 0)
    assert pixels(alone.anchors).std() > 10


def test_comparison_of_detectors_once_that_is_open(explorer):
    assert explorer.comparison.titles == ("The levels of all detectors",)
    assert explorer.compared.value == b""
    explorer.comparison.selected_index = 0
    both = pixels(explorer.compared)
    alone = PyramidExplorer(explorer.sources["C4"].detector(), explorer.data, index=7)
    alone.comparison.selected_index = 0
    assert both.shape[0] > 1.8 * pixels(alone.compared).shape[0], "a row for each"


def test_a_run_shows_its_levels_over_training(tmp_path, data):
    run = adversary_run(tmp_path)
    explorer = PyramidExplorer(run, data, index=5)
    explorer.comparison.selected_index = 0
    assert explorer.comparison.titles == ("The levels over training",)
    last = explorer.maps.value
    explorer.step = 2
    assert explorer.maps.value != last
    assert len(explorer._compared) == 3


def test_errors_are_shown_and_the_next_change_works(explorer, monkeypatch):
    monkeypatch.setattr(type(explorer.sources["C4"].detector()), "proposals", lambda *_: 1 / 0)
    explorer.proposals = 10
    assert "ZeroDivisionError" in explorer.error
    monkeypatch.undo()
    explorer.proposals = 20
    assert explorer.error == ""
    with pytest.raises(DataError, match=r"PyramidExplorer has no \['inversion'\]; it has detector, step, proposals"):
        explorer.show(inversion="soft")
    with pytest.raises(traitlets.TraitError):
        explorer.index = 8


def test_a_detector_without_anchors_is_refused(data):
    fast = build_detector({"kind": "fast-rcnn", "backbone": SMALL["backbone"], "min_size": None}, data.classes)
    with pytest.raises(WorkbenchError, match="FastRCNN has no anchors on maps"):
        PyramidExplorer(fast, data)
