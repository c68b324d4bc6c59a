"""AttentionExplorer without a browser: what is looked at, what follows from what, and what is drawn."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import traitlets
from bright_detector import BrightDetector
from colour_detector import ColourDetector
from small_detectors import RETINANET
from widget_pictures import pixels

from widgets import AttentionExplorer
from widgets.parts.sources import LAST
from workbench.analysis.explain import explain
from workbench.data.dataset import Dataset, make_target
from workbench.detectors import build_detector
from workbench.errors import DataError, RunError
from workbench.training import Run

LEFT, RIGHT = [4.0, 8.0, 20.0, 24.0], [24.0, 8.0, 40.0, 28.0]


def picture(seed=0):
    """Red in the upper left corner of both boxes and green in the lower right one of the left box."""
    image = torch.full((3, 32, 48), 5 * seed, dtype=torch.uint8)
    image[0, 8:12, [4, 5, 6, 7, 24, 25, 26, 27]] = 255
    image[1, 20:24, 16:20] = 153
    return image


def truth(count=2):
    boxes = torch.tensor([LEFT, RIGHT])[:count]
    labels = torch.tensor([2, 1])[:count]
    areas, hidden = torch.tensor([256.0, 320.0])[:count], torch.tensor([0.25, math.nan])[:count]
    size = (32, 48)
    return make_target(image_id=0, size=size, boxes=boxes, labels=labels, area=areas, occlusion=hidden)


class Pictures(Dataset):
    """Three images with two, one and no objects."""

    name, classes, split = "pictures", ("red", "green"), "test"

    def __len__(self):
        return 3

    def image(self, index):
        return picture(index)

    def target(self, index):
        return truth(2 - index)

    def size(self, index):
        return 32, 48


class FakeRun(Run):
    """A run whose checkpoint of step s has a head of gain s / 100."""

    def __init__(self, steps, name="run"):
        super().__init__(Path(name))
        self.kept, self.loaded = list(steps), []

    @property
    def status(self):
        return "running"

    @property
    def checkpoints(self):
        return [(step, Path(str(step))) for step in self.kept]

    def detector(self, checkpoint=None, *, hardener=False):
        self.loaded.append(checkpoint)
        if checkpoint is not None and checkpoint not in self.kept:
            raise RunError(f"no checkpoint of step {checkpoint}")
        return ColourDetector(gain=(self.kept[-1] if checkpoint is None else checkpoint) / 100)


@pytest.fixture
def detector():
    return ColourDetector()


@pytest.fixture
def explorer(detector):
    return AttentionExplorer(detector, Pictures())


def control(explorer, name):
    return explorer._controls[name]


def test_first_state(explorer):
    """The larger object, its true class: a red corner of 1 in 16 cells against nothing."""
    assert [thing.name for thing in explorer.objects] == ["green", "red"]
    assert (explorer.chosen, explorer.label, explorer.box) == (1, 1, RIGHT)
    assert explorer.seen.map.argmax() == 0
    before, after = explorer.scores["soft"]
    share = torch.tensor([0.0, explorer.seen.map.sum(), 0.0]).softmax(0)[1]
    assert before == pytest.approx(float(share))
    assert after == pytest.approx(1 / 3)  # nothing red is left
    assert list(explorer.scores) == ["random", "overturn", "hard", "soft"]
    for image in (explorer.on_patch, explorer.strategies):
        assert pixels(image).std() > 20
    assert control(explorer, "chosen").options == (("1: green, 25% hidden", 0), ("2: red", 1))
    assert control(explorer, "detector").layout.display == "none"
    assert control(explorer, "step").layout.display == "none"


def test_the_map_and_the_pictures_answer_to_the_class(explorer):
    explorer.chosen = 0
    assert (explorer.label, explorer.box) == (2, LEFT)
    assert explorer.seen.map.argmax() == 15
    green = pixels(explorer.on_patch)
    explorer.label = 1
    assert explorer.seen.map.argmax() == 0
    assert explorer.chosen == 0
    assert (pixels(explorer.on_patch) != green).any()
    explorer.label = 0
    assert explorer.seen.map.abs().max() == 0
    assert "background" in explorer._facts.value


def test_thresholds_change_the_inversion_without_another_look(explorer, detector):
    looks, before = detector.looks, pixels(explorer.strategies)
    explorer.drop_cells = 0.0
    assert explorer.scores["soft"][1] == pytest.approx(explorer.scores["soft"][0])
    assert (pixels(explorer.strategies) != before).any()
    explorer.show(drop_cells=0.1, drop_channels=0.0)
    assert explorer.inverted["soft"].mask.min() == 1
    explorer.orientation = "spatial"
    assert explorer.inverted["soft"].mask.shape == (1, 4, 4)
    explorer.inversion = "sampled"
    assert list(explorer.inverted)[-1] == "sampled"
    assert detector.looks == looks


def test_controls_and_traitlets_are_one(explorer):
    control(explorer, "drop_cells").value = 0.6
    assert explorer.drop_cells == 0.6
    assert float((explorer.inverted["soft"].mask == 0).float().mean()) == pytest.approx(10 / 16 * 2 / 3)
    control(explorer, "label").value = 2
    assert (explorer.label, explorer.seen.label) == (2, 2)
    explorer.chosen = 0
    assert control(explorer, "chosen").value == 0
    assert explorer.picker.chosen == 0
    explorer.picker.chosen = 1
    assert explorer.box == RIGHT
    assert explorer.picker.box == RIGHT
    control(explorer, "index").value = 1
    assert (explorer.index, explorer.chosen, explorer.label) == (1, 0, 2)


def test_a_drawn_region_has_no_object(explorer):
    explorer.picker.drawn = [2.0, 2.0, 30.0, 30.0]
    assert (explorer.box, explorer.chosen, explorer.label) == ([2, 2, 30, 30], None, 1)
    assert explorer.seen.box.tolist() == [2, 2, 30, 30]
    assert control(explorer, "chosen").value is None
    explorer.chosen = 1
    assert explorer.box == RIGHT


def test_leafing_on(explorer):
    """The third image has no object: then it is the whole image and its most probable class."""
    first = explorer.picker.picture
    explorer.index = 1
    assert [thing["text"] for thing in explorer.picker.objects] == ["1: green, 25% hidden"]
    assert explorer.picker.picture != first
    explorer.index = 2
    assert (explorer.chosen, explorer.box, explorer.picker.objects) == (None, [0, 0, 48, 32], [])
    assert explorer.label in (1, 2)
    assert explorer.error == ""
    explorer.index = 0
    assert (explorer.chosen, explorer.label) == (1, 1)


def test_found_objects_can_be_explained_too():
    detector = ColourDetector(found=[(LEFT, 2), ([0.0, 0, 8, 8], 1)])
    explorer = AttentionExplorer(detector, picture(), truth())
    assert [text for text, _ in control(explorer, "chosen").options][2:] == ["3: red, found"]
    explorer.chosen = 2
    assert (explorer.box, explorer.label) == ([0, 0, 8, 8], 1)
    alone = AttentionExplorer(detector, np.asarray(picture().permute(1, 2, 0)))
    assert (alone.chosen, alone.label) == (0, 2)
    assert control(alone, "index").layout.display == "none"


def test_state_can_be_given(detector):
    state = {"index": 1, "box": RIGHT, "label": 1, "drop_cells": 0.5, "inversion": "hard"}
    explorer = AttentionExplorer(detector, Pictures(), **state)
    assert {name: getattr(explorer, name) for name in state} == state
    assert explorer.seen.box.tolist() == RIGHT
    with pytest.raises(DataError, match=r"no \['colour'\]; it has detector"):
        AttentionExplorer(detector, Pictures(), colour=3)
    with pytest.raises(DataError, match="no detector to explore"):
        AttentionExplorer({}, Pictures())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("index", 3),
        ("chosen", 2),
        ("label", 3),
        ("box", [1.0]),
        ("detector", "x"),
        ("step", 5),
        ("drop_cells", 2),
    ],
)
def test_what_does_not_exist_changes_nothing(explorer, name, value):
    before = getattr(explorer, name)
    with pytest.raises(traitlets.TraitError):
        setattr(explorer, name, value)
    assert getattr(explorer, name) == before


def test_detectors_side_by_side_keep_the_class_by_name():
    other = ColourDetector(("green", "red", "<i>blue</i>"), gain=2)
    explorer = AttentionExplorer({"one": ColourDetector(), "two": other}, Pictures(), chosen=0)
    height = pixels(explorer.on_patch).shape[0]
    assert pixels(AttentionExplorer(other, Pictures()).on_patch).shape[0] < height  # a row for the other one
    explorer.detector = "two"
    assert explorer.label == 1  # green
    assert [text for text, _ in control(explorer, "label").options][1:] == ["green", "red", "<i>blue</i>"]
    explorer.label = 3
    assert "<b>&lt;i&gt;blue" in explorer._facts.value
    assert "<i>" not in explorer._facts.value
    explorer.detector = "one"  # which knows no blue
    assert explorer.label == 0


def test_all_objects_are_compared_once_that_is_open():
    explorer = AttentionExplorer({"one": ColourDetector(), "two": ColourDetector(gain=2)}, Pictures())
    assert explorer.compared.value == b""
    explorer.comparison.selected_index = 0
    shown = pixels(explorer.compared)
    explorer.index = 1
    assert pixels(explorer.compared).shape[1] < shown.shape[1]  # one object instead of two
    explorer.index = 2
    assert (explorer.error, explorer.compared.value) == ("", b"")


def test_checkpoints_of_a_run():
    run = FakeRun([100, 200])
    explorer = AttentionExplorer(run, Pictures())
    assert control(explorer, "step").options == (("100", 100), ("200", 200), ("last", LAST))
    assert explorer.step == LAST
    assert explorer.detector == "run"
    last = explorer.seen.score
    explorer.step = 100
    assert explorer.seen.score < last
    explorer.comparison.selected_index = 0
    assert pixels(explorer.compared).std() > 20
    assert run.loaded == [None, 100, 200]  # each once
    run.kept.append(300)
    explorer.refresh()
    assert (explorer.step, control(explorer, "step").options[2]) == (100, ("300", 300))
    explorer.step = LAST
    assert explorer.seen.score > last


def test_a_checkpoint_that_is_gone():
    run = FakeRun([100, 200])
    explorer = AttentionExplorer({"a": run, "b": ColourDetector()}, Pictures())
    run.kept.remove(100)
    explorer.refresh()
    assert [step for _, step in control(explorer, "step").options] == [200, LAST]
    assert explorer.error == ""
    explorer.detector = "b"
    assert control(explorer, "step").layout.display == "none"


def test_an_error_is_shown_and_the_next_change_works(explorer, detector, monkeypatch):
    before = explorer.chosen, list(explorer.box), explorer.label
    monkeypatch.setattr(detector, "roi_features", lambda *_: 1 / 0)
    explorer.chosen = 0
    assert (explorer.chosen, list(explorer.box), explorer.label) == before != (0, LEFT, explorer.label)
    assert "ZeroDivisionError" in explorer.error
    assert 'role="alert"' in explorer._message.value
    monkeypatch.undo()
    explorer.chosen = 0
    assert explorer.error == ""
    assert explorer._message.value == ""
    assert explorer.seen.box.tolist() == LEFT


def test_runs_of_the_same_name_are_told_apart():
    runs = [FakeRun([100], "a/run"), FakeRun([100, 200], "b/run"), FakeRun([100], "c")]
    explorer = AttentionExplorer(runs, Pictures(), detector="run (2)", step=200)
    assert list(explorer.sources) == ["run", "run (2)", "c"]
    assert explorer.step == 200
    explorer.detector = "run"  # which has no such checkpoint
    assert explorer.step == LAST
    explorer.comparison.selected_index = 0
    assert pixels(explorer.compared).shape[0] > 400  # a row for each run


# ---- methods beside attention --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dense():
    torch.manual_seed(0)
    return build_detector(RETINANET, ("red", "green")).eval()


def hidden(explorer, name):
    return control(explorer, name).layout.display == "none"


def test_a_dense_detector_is_asked_by_its_maps(dense):
    explorer = AttentionExplorer(dense, Pictures())
    assert control(explorer, "method").options == ("layer-cam", "hires-cam", "d-rise")
    assert (explorer.method, explorer.saliency.method, explorer.saliency.label) == ("layer-cam", "layer-cam", 1)
    assert explorer.saliency.box.tolist() == RIGHT
    assert [level.stride for level in explorer.saliency.levels] == pytest.approx([8, 16, 32, 64], rel=0.6)
    assert [hidden(explorer, name) for name in ("layer", "masks", "inversion", "threshold")] == [
        False,
        True,
        True,
        True,
    ]
    assert explorer.view.layout.display is None
    assert explorer.on_patch.layout.display == "none"
    assert pixels(explorer.view.over).std() > 10
    assert "speaks for <b>red</b>" in explorer._facts.value
    first = explorer.saliency.map
    explorer.label = 2
    assert explorer.saliency.label == 2
    assert not torch.equal(explorer.saliency.map, first)
    explorer.show(layer="body", method="hires-cam")
    assert [level.name for level in explorer.saliency.levels] == [
        "backbone.body.0",
        "backbone.body.1",
        "backbone.body.2",
    ]
    explorer.chosen = 0
    assert explorer.saliency.box.tolist() == LEFT
    with pytest.raises(traitlets.TraitError, match="this detector can be asked by"):
        explorer.method = "attention"
    assert explorer.method == "hires-cam"


def test_background_has_no_map(dense):
    explorer = AttentionExplorer(dense, Pictures())
    control(explorer, "label").value = 0
    assert "background is none" in explorer.error
    assert explorer.label == 1
    explorer.label = 2
    assert explorer.error == ""


def test_methods_of_a_head_and_back(explorer, detector):
    looks = detector.looks
    assert control(explorer, "method").options == ("attention", "d-rise")
    explorer.show(method="d-rise", masks=200)
    assert explorer.saliency.settings["masks"] == 200
    assert (hidden(explorer, "masks"), hidden(explorer, "layer"), hidden(explorer, "drop_cells")) == (
        False,
        True,
        True,
    )
    assert detector.looks == looks
    assert "After 200 masks, by IoU" in explorer._facts.value or "Nothing in the image" in explorer._facts.value
    explorer.comparison.selected_index = 0
    explorer.method = "attention"
    assert explorer.error == ""
    assert not hidden(explorer, "drop_cells")
    assert explorer.on_patch.layout.display is None
    assert explorer.view.layout.display == "none"
    assert "The head says" in explorer._facts.value
    assert pixels(explorer.compared).std() > 20


def test_the_method_follows_the_detector(dense, detector):
    explorer = AttentionExplorer({"heads": detector, "dense": dense}, Pictures())
    assert explorer.method == "attention"
    explorer.detector = "dense"
    assert explorer.method == "layer-cam"
    explorer.detector = "heads"  # which has neither maps nor layers
    assert explorer.method == "attention"
    explorer.show(detector="dense", method="hires-cam")
    explorer.comparison.selected_index = 0
    assert pixels(explorer.compared).std() > 10  # of the dense one alone


def test_objects_and_checkpoints_by_maps(dense, monkeypatch):
    """All objects of an image cost D-RISE as much as one, and the comparison has a limit of masks."""
    explorer = AttentionExplorer({"one": dense, "two": dense}, Pictures(), method="d-rise", masks=200)
    monkeypatch.setattr("widgets.attention_explorer.COMPARED", 16)
    seen = []
    monkeypatch.setattr(
        "widgets.attention_explorer.explain",
        lambda *args, **options: seen.append(options) or explain(*args, **options),
    )
    explorer.comparison.selected_index = 0
    assert seen == [{"method": "d-rise", "masks": 16}] * 2  # once for each detector, for both objects
    assert pixels(explorer.compared).std() > 10

    class Dense(FakeRun):
        def detector(self, checkpoint=None, *, hardener=False):
            return dense

    run = AttentionExplorer(Dense([100, 200]), Pictures())
    run.comparison.selected_index = 0
    assert pixels(run.compared).shape[1] > pixels(run.compared).shape[0]  # two checkpoints in a row


def test_what_only_detects_is_asked_from_the_outside():
    explorer = AttentionExplorer(BrightDetector(("red", "green"), [LEFT, RIGHT], [2, 1]), Pictures(), masks=200)
    assert control(explorer, "method").options == ("d-rise",)
    assert explorer.saliency.settings["masks"] == 200
    explorer.view.judged.selected_index = 0
    assert explorer.view.found.measure == "score"
    explorer.picker.drawn = [2.0, 2.0, 30.0, 30.0]
    assert explorer.saliency.box.tolist() == [2, 2, 30, 30]
    assert explorer.error == ""
