"""Messages that no browser sends by itself: they are answered or refused, and the widget stays usable."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import torch
import traitlets
from bright_detector import BrightDetector
from campaign import STRANGE, cases, changed, only_own_errors
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO

from widgets import Annotator, AttentionExplorer, DatasetBrowser, OcclusionLab
from workbench import load_data, load_detector

TO_LAB = {
    "kind": "change",
    "seq": 1,
    "state": {"box": [1, 2, 30, 40], "chosen": 0, "texture": "grey", "min_score": 0.1},
}
TO_BROWSER = {"kind": "set", "seq": 1, "state": {"page": 1, "selected": 0, "class_name": "3", "occlusion": [0, 1]}}
DRAWN = {"image": "000000.png", "category": "3", "rings": [[1, 1, 9, 1, 9, 9]], "amodal": None, "seconds": 1.0}
TO_ANNOTATOR = {"kind": "act", "seq": 1, "view": "v", "do": "segment", "values": DRAWN, "state": {"picture": 1}}
KEYS = ("kind", "seq", "grid", "state", "box", "outline", "page", "index")
TRAITS = ("chosen", "box", "drawn", "objects", "picture", "width")
MESSAGES = ("hello", "change", "map", "stop-map", "set", "count")


@pytest.fixture(scope="module")
def lab() -> OcclusionLab:
    detector = BrightDetector(("a", "b"), [[8, 8, 24, 24], [40, 16, 48, 24]], [1, 2])
    return OcclusionLab({"one": detector}, torch.full((3, 48, 64), 255, dtype=torch.uint8))


@pytest.fixture(scope="module")
def browser() -> DatasetBrowser:
    return DatasetBrowser(load_data("digit-scenes", "test", length=6), page_size=2)


@pytest.fixture(scope="module")
def explorer() -> AttentionExplorer:
    data = load_data("digit-scenes", "test", length=2)
    return AttentionExplorer(load_detector("digit-scenes/faster-rcnn"), data)


@given(message=changed(TO_LAB, KEYS), kind=st.none() | st.sampled_from(MESSAGES))
@cases(75)
def test_occlusion_lab(lab: OcclusionLab, message: Any, kind: str | None) -> None:
    hand_in(lab, message if kind is None else {**message, "kind": kind})
    assert 0 <= lab.min_score <= 1
    lab.box = [1, 1, 20, 20]
    assert lab.box == [1, 1, 20, 20]


@given(message=changed(TO_BROWSER, KEYS), kind=st.none() | st.sampled_from(MESSAGES))
@cases(20)
def test_dataset_browser(browser: DatasetBrowser, message: Any, kind: str | None) -> None:
    hand_in(browser, message if kind is None else {**message, "kind": kind})
    browser.selected = 1
    assert browser.selected == 1


@pytest.fixture(scope="module")
def annotator(tmp_path_factory) -> Annotator:
    return Annotator(load_data("digit-scenes", "test", length=3), tmp_path_factory.mktemp("annotated") / "my.json")


@given(
    message=changed(TO_ANNOTATOR, ("do", "values", "image", "rings", "category", "picture")),
    kind=st.none() | st.sampled_from(("hello", "set", "next", "undo", "draft", "trace", "train", "judge", "news")),
    do=st.none() | st.sampled_from(("cross", "paint", "delete", "claim", "finish", "verdicts", "label", "group")),
)
@cases(40)
def test_annotator(annotator: Annotator, message: Any, kind: str | None, do: str | None) -> None:
    message = message if kind is None else {**message, "kind": kind}
    hand_in(annotator, message if do is None else {**message, "do": do})
    assert COCO(str(annotator._store.path)).dataset["categories"]
    annotator.picture = 2
    assert annotator.act("cross", image="000002.png", category="3", point=[5, 5]) == {}
    assert annotator.undo()


@given(
    name=st.sampled_from(["chosen", "box", "drawn", "objects", "picture", "width"]), value=st.sampled_from(STRANGE)
)
@cases(30)
def test_regions(explorer: AttentionExplorer, name: str, value: Any) -> None:
    with only_own_errors(), suppress(traitlets.TraitError):
        explorer.picker.set_state({name: value})
    explorer.index = 1
    assert not explorer.error


def hand_in(widget: Any, message: Any) -> None:
    """As the comm does with what comes from the browser."""
    with only_own_errors():
        widget._handle_custom_msg(message, [])
