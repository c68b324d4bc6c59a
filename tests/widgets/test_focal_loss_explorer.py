"""FocalLossExplorer without a browser: what follows from its sliders, where it points, and what it refuses."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image
from small_detectors import RETINANET

import widgets.focal_loss_explorer as home
from widgets import FocalLossExplorer
from workbench.analysis.anchor_losses import gather_windows, hardest_share, hardest_windows
from workbench.data import load_data
from workbench.detectors import build_detector
from workbench.errors import DataError, WorkbenchError
from workbench.losses.focal import Focal

NAME = "<i>one</i>"


@pytest.fixture(scope="module")
def data():
    return load_data("digit-scenes", split="test", length=6)


@pytest.fixture(scope="module")
def detectors(data):
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        made.append(build_detector(RETINANET, data.classes))
        for parameter in made[-1].head.parameters():
            parameter.data *= 3  # scores that differ
    return dict(zip((NAME, "two"), made, strict=True))


@pytest.fixture
def explorer(detectors, data):
    return FocalLossExplorer(detectors, data, images=4, progress=False)


def picture(explorer):
    return np.asarray(Image.open(io.BytesIO(explorer._picture.value)))


def line(explorer, name, panel):
    return next(
        t for t in explorer.panels.figure.data if t.name == name and t.xaxis == ("x" if panel == 1 else f"x{panel}")
    )


def test_what_is_shown_first(explorer, detectors, data):
    expected = gather_windows(detectors[NAME], data, range(4))
    assert explorer.shares["windows"].tolist() == [len(expected.positives), len(expected.negatives)]
    each = expected.negatives.losses(Focal())
    assert explorer.shares.loc["background", "hardest 5%"] == pytest.approx(hardest_share(each, 0.05))
    ours, hardest = explorer.table, hardest_windows(expected.negatives, each, 6)
    assert ours["loss"].tolist() == pytest.approx(hardest["loss"].tolist())
    assert (ours["label"] == 0).all()
    assert picture(explorer).std() > 10
    assert "hardest ones" in explorer._facts.value
    assert repr(explorer) == f"FocalLossExplorer({NAME}, two; 4 images)"


def test_gamma_moves_curve_distribution_and_shares(explorer):
    curve, spread = line(explorer, "focal loss, background", 1), line(explorer, "focal loss, background", 3)
    before, shares, was = np.array(curve.y), explorer.shares, np.array(spread.y)
    explorer._controls["gamma"].value = 0.0
    curve, spread = line(explorer, "focal loss, background", 1), line(explorer, "focal loss, background", 3)
    assert (np.array(curve.y) >= before).all()
    assert (np.array(spread.y) >= was - 1e-9).all(), "the loss is spread over more windows"
    assert (explorer.shares.loc["background", "hardest 1%"] < shares.loc["background", "hardest 1%"]).all()
    plain = line(explorer, "cross entropy, background", 3)
    assert np.array(plain.y).tolist() == np.array(spread.y).tolist()
    assert "γ = 0:" in explorer._table.value
    assert explorer.error == ""


def test_alpha_weighs_objects_against_background(explorer):
    objects = explorer.shares.loc["objects", "of all loss"]
    explorer.alpha = 0.75
    assert explorer.shares.loc["objects", "of all loss"] > objects
    of_objects, of_background = (np.array(line(explorer, f"focal loss, {kind}", 1).y) for kind in home.WINDOW_KINDS)
    assert of_objects / of_background == pytest.approx(3)


def test_the_slider_leads_to_other_windows(explorer):
    first = picture(explorer)
    explorer._controls["hardest"].value = 0.1
    assert explorer.place == pytest.approx(0.9)
    number = len(explorer.windows.negatives)
    assert explorer.table["place"].between(0.9 - 6 / number, 0.9 + 6 / number).all()
    assert (picture(explorer) != first).any()
    mark = line(explorer, "focal loss, background", 3)
    assert explorer.table["loss"].is_monotonic_decreasing
    dot = next(t for t in explorer.panels.figure.data if t.mode == "markers" and len(t.x))
    assert dot.xaxis == "x3"
    assert dot.x[0] == pytest.approx(0.9, abs=1e-3)
    assert dot.y[0] == pytest.approx(np.interp(0.9, mark.x, mark.y), abs=0.02)
    explorer.show(place=1.0)
    assert (picture(explorer) == first).all()


def test_pointing_at_a_curve_shows_the_windows_there(explorer):
    curve = line(explorer, "focal loss, objects", 2)
    index = 40
    number = explorer.panels.figure.data.index(curve)
    explorer.panels._pointed = {"event": "hover", "line": number, "point": index, "turn": 1}
    assert explorer.kind == "objects"
    assert explorer.place == pytest.approx(curve.x[index], abs=1e-6)
    assert (explorer.table["label"] > 0).all()
    assert explorer._controls["kind"].value == "objects"
    assert explorer._controls["hardest"].value == pytest.approx(1 - explorer.place)


def test_the_hardest_can_be_magnified(explorer):
    curve = line(explorer, "focal loss, background", 3)
    straight = np.array(curve.x)
    explorer.magnified = True
    curve = line(explorer, "focal loss, background", 3)
    number = len(explorer.windows.negatives)
    assert explorer.panels.figure.layout.xaxis3.type == "log"
    assert np.array(curve.x) == pytest.approx(np.maximum(1 - straight, 1 / number))
    explorer.magnified = False
    assert explorer.panels.figure.layout.xaxis3.type == "linear"
    assert explorer.panels.figure.layout.xaxis3.range == (0, 1)


def test_another_detector_is_gathered_once_and_the_bar_fills(explorer, monkeypatch):
    seen, gather = [], home.gather_windows

    def counted(*arguments, watch, **options):
        seen.append([])
        return gather(*arguments, watch=lambda done: (seen[-1].append(done), watch(done)), batch_size=2, **options)

    monkeypatch.setattr(home, "gather_windows", counted)
    before = explorer.shares
    for name in ("two", NAME, "two"):
        explorer.detector = name
    assert seen == [[0.5, 1.0]]
    assert explorer._bar.layout.display == "none"
    assert not explorer.shares.equals(before)


def test_answers_come_quickly(detectors, data):
    """CPU seconds of one change, all windows kept."""
    explorer = FocalLossExplorer(detectors, data, progress=False)
    seconds = []
    for gamma in (0.5, 1.0, 1.5):
        began = time.process_time()
        explorer.gamma = gamma
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.4


def test_what_does_not_fit(explorer, detectors, data):
    with pytest.raises(DataError, match="no detector"):
        FocalLossExplorer({}, data)
    with pytest.raises(DataError, match=r"FocalLossExplorer has no \['delta'\]"):
        explorer.show(delta=1)
    with pytest.raises(traitlets.TraitError, match="detector is 'three'"):
        explorer.detector = "three"
    faster = build_detector(RETINANET | {"kind": "faster-rcnn"}, data.classes)
    with pytest.raises(WorkbenchError, match="FasterRCNN has no dense anchors; choose one of retinanet"):
        FocalLossExplorer(faster, data, progress=False)
    mixed = FocalLossExplorer({**detectors, "faster": faster}, data, images=2, progress=False)
    mixed.detector = "faster"
    assert "FasterRCNN has no dense anchors" in mixed.error
    assert 'role="alert"' in mixed._message.value
    mixed.detector = "two"
    assert mixed.error == ""
