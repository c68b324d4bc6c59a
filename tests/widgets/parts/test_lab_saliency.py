"""What OcclusionLab explains without a browser: maps of what is seen now, their areas, and the messages."""

from __future__ import annotations

import asyncio
import io

import numpy as np
import pytest
import torch
from bright_detector import BrightDetector
from PIL import Image
from small_detectors import RETINANET

from widgets import OcclusionLab
from widgets.parts import lab_saliency, turns
from workbench.detectors import build_detector
from workbench.errors import DataError

CLASSES = ("square", "<b>bold</b>")
BOXES = [[8, 8, 24, 24], [40, 16, 48, 24]]
WHITE = torch.full((3, 48, 64), 255, dtype=torch.uint8)
TARGET = {"boxes": torch.tensor(BOXES).float(), "labels": torch.tensor([1, 2])}


@pytest.fixture
def detector():
    return BrightDetector(CLASSES, BOXES, [1, 2])


@pytest.fixture
def lab(detector):
    """The object on the left, its lower right quarter under grey; few masks."""
    lab = OcclusionLab({"one": detector}, WHITE, TARGET, texture="grey")
    lab.sent = []
    lab.send = lambda content, buffers=None: lab.sent.append((content, buffers))
    return lab


def say(lab, **content):
    lab.sent.clear()
    lab._handle_custom_msg(content, [])
    return lab.sent


def test_a_map_of_the_picture_as_it_is_seen(lab, detector):
    maps = lab.saliency(masks=96)
    assert list(maps) == ["one"]
    one = maps["one"]
    assert (one.method, one.label, one.box.tolist()) == ("d-rise", 1, BOXES[0])
    assert one.score == pytest.approx(lab.scores["one"][1])
    assert one.points_at()
    (content, (picture,)) = lab.sent[-1]
    assert content["kind"] == "saliency"
    assert content["key"] == [0, 16, 16, 24, 24, "grey", "rectangle"]
    assert (content["done"], content["method"], content["names"], content["failed"]) == (1, "d-rise", ["one"], {})
    assert content["energy"] == [one.energy()]
    shown = np.asarray(Image.open(io.BytesIO(picture)))
    assert shown.shape == (48, 64, 3)
    colour = shown.astype(int)[..., 0] - shown[..., 2]
    assert colour[8:24, 8:24].mean() > colour.mean() + 10  # bright where the object is


def test_it_is_judged_against_the_middle_of_the_box(lab):
    lab.saliency(masks=96)
    curves, boxed = lab.judge_saliency()["one"]
    assert curves.measure == "score"
    content, _ = lab.sent[-1]
    assert content["key"] == [0, 16, 16, 24, 24, "grey", "rectangle"]
    areas = [curves.deletion_area, curves.insertion_area, boxed.deletion_area, boxed.insertion_area]
    assert content == {"kind": "saliency-areas", "key": content["key"], "areas": {"one": areas}}


def test_methods_are_offered_and_a_detector_of_another_class_is_left_out(detector):
    dense = build_detector(RETINANET, ("square",)).eval()
    lab = OcclusionLab({"one": detector, "dense": dense}, WHITE, TARGET)
    lab.sent = []
    lab.send = lambda content, buffers=None: lab.sent.append((content, buffers))
    (setup, _), _ = say(lab, kind="hello")
    assert setup["methods"] == {"layer-cam": True, "hires-cam": True, "d-rise": False}
    assert list(lab.saliency()) == ["dense"]  # by LayerCAM, which the other one has not
    lab.chosen = 1  # whose class the dense one does not know
    with pytest.raises(
        DataError, match=r"no detector that knows the class '<b>bold</b>' can be asked by 'layer-cam'"
    ):
        lab.saliency("layer-cam")
    assert list(lab.saliency("d-rise", masks=16)) == ["one"]
    lab.chosen = None
    with pytest.raises(DataError, match="choose an object first"):
        lab.saliency()


def test_messages_without_a_kernel_are_answered_at_once(lab, monkeypatch):
    monkeypatch.setattr(lab_saliency, "MASKS", (32, 32))
    sent = say(lab, kind="saliency", method="d-rise")
    assert [content["kind"] for content, _ in sent] == ["saliency"]
    assert sent[0][0]["done"] == 1
    assert [content["kind"] for content, _ in say(lab, kind="judge-saliency")] == ["saliency-areas"]
    assert say(lab, kind="stop-saliency") == []
    (content, _), *_ = say(lab, kind="saliency", method="layer-cam")
    assert content["kind"] == "error"
    assert "can be asked by 'layer-cam'" in content["text"]


def test_one_that_fails_says_so_and_the_others_are_shown(lab, detector, monkeypatch):
    def fails(*_, **__):
        raise DataError("it is not found <now>")

    lab.detectors["two"] = lab._probe.detectors["two"] = BrightDetector(CLASSES, BOXES, [1, 2])
    whole, first = lab_saliency.steps_of, lab._probe.detectors["one"]
    monkeypatch.setattr(
        lab_saliency, "steps_of", lambda one, *rest, **o: fails() if one is first else whole(one, *rest, **o)
    )
    assert list(lab.saliency(masks=16)) == ["two"]
    assert lab.sent[-1][0]["failed"] == {"one": "it is not found <now>"}


def test_in_a_kernel_it_grows_between_other_messages_and_stops(lab, monkeypatch):
    monkeypatch.setattr(turns, "SHOWN", 0.0)
    monkeypatch.setattr(lab_saliency, "MASKS", (10**6, 10**6))

    async def kernel():
        assert say(lab, kind="saliency", method="d-rise") == []
        while len(lab.sent) < 2:
            await asyncio.sleep(0.001)
        assert 0 < lab.sent[-1][0]["done"] < 0.01
        say(lab, kind="change", seq=5, state={"box": [0, 0, 8, 8]})
        assert [content["kind"] for content, _ in lab.sent] == ["answer"]
        say(lab, kind="stop-saliency")
        await asyncio.sleep(0.02)
        assert lab.sent == []
        say(lab, kind="saliency", method="hires-cam")
        while not lab.sent:
            await asyncio.sleep(0.001)
        return lab.sent[0][0]

    failure = asyncio.run(kernel())
    assert failure["kind"] == "saliency-failed"
    assert failure["text"].startswith("DataError: no detector that knows")


def test_another_picture_and_closing_stop_it(lab, monkeypatch):
    monkeypatch.setattr(lab_saliency, "MASKS", (10**6, 10**6))

    async def kernel():
        for end in (lambda: lab.show(WHITE, TARGET), lab.close):
            say(lab, kind="saliency", method="d-rise")
            assert lab._saliency_turns.running
            end()
            assert not lab._saliency_turns.running

    asyncio.run(kernel())
