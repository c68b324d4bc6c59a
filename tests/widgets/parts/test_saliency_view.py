"""What is said and shown of a map, how it grows, and which detection a region is."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace

import pytest
import torch
from bright_detector import BrightDetector
from widget_pictures import pixels

from widgets.parts import turns
from widgets.parts.saliency_view import SaliencyView, as_detection, as_detections, options_of, sentence, steps_of
from workbench.analysis.occlusion_probe import Thing
from workbench.analysis.saliency import LevelMap, Saliency

BOXES = [[4, 4, 20, 20], [28, 8, 44, 28]]
CLASSES = ("one", "two")
IMAGE = torch.full((3, 32, 48), 255, dtype=torch.uint8)


@pytest.fixture
def detector():
    return BrightDetector(CLASSES, BOXES, [1, 2])


@pytest.fixture
def outside(detector):
    """The same, which cannot score boxes."""
    return SimpleNamespace(classes=CLASSES, needs_proposals=False, detect=detector.detect)


@pytest.fixture
def view():
    return SaliencyView(lambda action: action())


def saliency(values=None, **more):
    values = torch.eye(32, 48) if values is None else values
    return Saliency(values, "layer-cam", torch.tensor([0.0, 0, 16, 16]), 1, 0.5, **more)


def steps(detector, masks=48):
    asked = as_detection(detector, IMAGE, BOXES[0], 1)
    return steps_of(detector, IMAGE, asked, method="d-rise", masks=masks)


def test_a_region_is_of_the_class_that_is_asked_or_seen(detector, outside):
    one = as_detection(detector, IMAGE // 2, BOXES[0], 2)
    assert (one.labels.tolist(), one.scores.tolist(), one.boxes.tolist()) == (
        [2],
        [pytest.approx(127 / 255)],
        [BOXES[0]],
    )
    assert as_detection(detector, IMAGE, BOXES[1]).labels.tolist() == [1]  # all classes score alike there
    assert as_detection(outside, IMAGE, [28.0, 8, 44, 20]).labels.tolist() == [2]
    assert as_detection(outside, IMAGE // 2, [28.0, 8, 44, 20], 2).scores.tolist() == [pytest.approx(127 / 255)]
    nowhere = as_detection(outside, IMAGE, [0.0, 0, 3, 3])
    assert (nowhere.labels.tolist(), math.isnan(nowhere.scores[0])) == ([1], True)


def test_objects_are_detections_where_their_classes_are_known(detector):
    things = [Thing("two", (1.0, 2, 3, 4), None), Thing("one", (5.0, 6, 7, 8), None)]
    found = as_detections(detector, IMAGE, things)
    assert (found.labels.tolist(), found.boxes.tolist()) == ([2, 1], [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert as_detections(detector, IMAGE, []) is None
    assert as_detections(detector, IMAGE, [*things, Thing("three", (0.0, 0, 1, 1), None)]) is None


def test_options():
    assert options_of("hires-cam", "body", 5) == {"method": "hires-cam", "layers": ("backbone.body",)}
    assert options_of("d-rise", "body", 5) == {"method": "d-rise", "masks": 5}
    assert options_of("attention", "body", 5) == {"method": "attention"}


def test_what_is_said():
    said = sentence(saliency(levels=(LevelMap("P3", torch.ones(4, 4), 8.0, 0.75),)), "&lt;b&gt;")
    assert said == (
        "<b>50%</b> of what speaks for <b>&lt;b&gt;</b> (score <b>0.50</b>) lies in the box, by chance it would be "
        "17%; the highest place is inside of it. Most comes from P3, whose cells are 8 pixels (75%)."
    )
    masked = sentence(saliency(-torch.ones(32, 48), settings={"masks": 1200, "similarity": "IoU"}), "a")
    assert masked == "Nothing in the image speaks for <b>a</b> (score <b>0.50</b>) here."
    values = torch.zeros(32, 48)
    values[30, 40] = 1
    assert "<b>outside</b> of it. After 1,200 masks, by IoU." in sentence(
        saliency(values, settings={"masks": 1200, "similarity": "IoU"}), "a"
    )


def test_a_map_its_levels_and_its_curves_once_they_are_open(view, detector):
    calls = detector.calls
    one = saliency(levels=(LevelMap("P3", torch.ones(4, 6), 8.0, 1.0),))
    view.show({"a": one, "b": saliency()}, IMAGE, detector, CLASSES, "a")
    assert pixels(view.over).shape[1] > 1.5 * pixels(view.over).shape[0]  # two beside each other
    assert pixels(view.levels).std() > 10
    assert (view.curves.value, view.found) == (b"", None)
    view.judged.selected_index = 0
    assert pixels(view.curves).std() > 10
    assert view.found.measure == "score"
    before = view.curves.value
    view.show({"a": one}, IMAGE, detector, CLASSES, "a")
    assert view.curves.value == before  # of the same map
    view.show({"a": saliency()}, IMAGE, detector, CLASSES, "a")
    assert view._of_levels.layout.display == "none"
    assert detector.calls == calls


def test_a_map_grows_without_a_kernel_at_once(view, detector):
    took = []
    view.judged.selected_index = 0
    view.grow(steps(detector), IMAGE, detector, CLASSES, "a", took.append)
    assert [one.done for one in took] == [pytest.approx(1 / 3), 1]  # the first and the last
    assert view._growing.layout.display == "none"
    assert view.found is not None
    view.grow(steps(detector, 5), IMAGE, detector, CLASSES, "a", took.append)
    assert took[-1].settings["masks"] == 5


def test_in_a_kernel_it_can_be_stopped_and_is_judged_then(view, detector, monkeypatch):
    monkeypatch.setattr(turns, "SHOWN", 0.0)

    async def kernel():
        took = []
        view.judged.selected_index = 0
        view.grow(steps(detector, 100_000), IMAGE, detector, CLASSES, "a", took.append)
        assert (len(took), view.growing, view._growing.layout.display) == (1, True, None)
        assert view.found is None
        while len(took) < 3:
            await asyncio.sleep(0.001)
        view.stop()
        calls = detector.calls
        await asyncio.sleep(0.02)
        assert detector.calls == calls
        assert view.saliency is took[-1]
        return took

    took = asyncio.run(kernel())
    assert took[-1].done < 0.01
    assert view._growing.layout.display == "none"
    assert view.found is not None


def test_what_goes_wrong_later_is_said(detector, monkeypatch):
    monkeypatch.setattr(turns, "SHOWN", 0.0)
    said = []

    def guarded(action):
        try:
            action()
        except ZeroDivisionError as error:
            said.append(str(error))

    async def late():
        view = SaliencyView(guarded)
        first = next(steps(detector, 48))

        def rest():
            yield first
            raise ZeroDivisionError("later")

        view.grow(rest(), IMAGE, detector, CLASSES, "a", lambda _: None)
        while view.growing:
            await asyncio.sleep(0.001)

    asyncio.run(late())
    assert said == ["later"]
