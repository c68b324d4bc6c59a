"""Linked widgets follow each other, draw once for a choice, and say on their page what they cannot show."""

from __future__ import annotations

from unittest.mock import Mock

import ipywidgets
import numpy as np
import pytest
import torch
import traitlets
from hypothesis import given
from hypothesis import strategies as st
from listed_data import Listed
from small_detectors import FASTER_RCNN

import widgets
from widgets import AttentionExplorer, DatasetBrowser, DFVExplorer, ErrorBrowser, OcclusionLab, PyramidExplorer, link
from widgets.parts.looking import Looks, Place
from workbench import evaluate, load_data
from workbench.detectors import build_detector
from workbench.errors import DataError

DATA = Listed([[(1, 0, 0, 10 + place, 10), (2, 50, 50, 60, 60 + place)] for place in range(8)])


class Viewer(Looks, ipywidgets.Widget):
    """Shows an image of some data; `drawn` are all that it has shown, and `said` all its notices."""

    COLUMNS = ("image",)

    index = traitlets.Int(None, allow_none=True)

    def __init__(self, data, index=None):
        self.data, self.drawn, self.said, self.row = data, [], [], None
        super().__init__(index=index)
        self._announce()

    def choose(self, index, row=None):
        self.index, self.row = index, row
        self.drawn.append((index, row))
        self._announce()

    def _chosen_rows(self):
        return [] if self.index is None else [{"image": self.index}]

    def _looked_at(self):
        return None if self.index is None else Place(self.data, self.index, self.row)

    def _go_to(self, place):
        if place.index == 5:
            raise OSError("<b>gone</b>")
        self.choose(place.index, place.object)

    def _show_notice(self):
        self.said.append(self.notice)


def test_each_follows_and_draws_once():
    one, two, three = Viewer(DATA), Viewer(DATA), Viewer(DATA.subset([4, 3]))
    link(one, two, three)
    two.choose(3, 1)
    assert [each.drawn for each in (one, two, three)] == [[(3, 1)], [(3, 1)], [(1, 1)]]
    three.choose(0)
    assert [each.index for each in (one, two, three)] == [4, 4, 0]
    assert [len(each.drawn) for each in (one, two, three)] == [2, 2, 2]
    one.choose(4, 0)
    assert [each.row for each in (one, two, three)] == [0, 0, 0]


@given(choices=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.sampled_from([None, 0, 1])), max_size=12))
def test_circles_of_links_end(choices):
    viewers = [Viewer(DATA) for _ in range(4)]
    links = [link(one, two) for one, two in zip(viewers, [*viewers[1:], viewers[0]], strict=True)]
    for who, index, row in choices:
        before = [len(each.drawn) for each in viewers]
        viewers[who].choose(index, row)
        assert {each.index for each in viewers} == {index}
        drawn = [len(each.drawn) - old for each, old in zip(viewers, before, strict=True)]
        assert max(drawn) == 1, "none draws twice"
    for each in links:
        each.unlink()


def test_what_one_does_not_have_it_says_and_nothing_else_changes():
    one, two, three = Viewer(DATA), Viewer(DATA.subset([1, 2])), Viewer(DATA)
    link(one, two, three)
    one.choose(2)
    one.choose(6)
    assert (two.index, three.index) == (1, 6)
    assert two.notice.startswith("listed/all image 6 is not among the 2 images here")
    one.choose(5)
    assert three.notice == "OSError: <b>gone</b>"
    assert three.index == 6
    one.choose(1)
    assert (two.notice, three.notice) == ("", "")
    assert (two.said[-1], two.index, three.index) == ("", 0, 1)
    one.choose(6)
    two.choose(1)
    assert two.notice == "", "it shows what its user chose"


def test_an_end_of_links():
    one, two, three = Viewer(DATA), Viewer(DATA), Viewer(DATA)
    linked = link(one, two, three)
    assert repr(linked) == "Link(Viewer, Viewer, Viewer)"
    two.close()
    one.choose(3)
    assert (two.index, three.index, linked.widgets) == (None, 3, [one, three])
    linked.unlink()
    linked.unlink()
    one.choose(4)
    assert (three.index, linked.widgets) == (3, [])
    assert not one._trait_notifiers["looks_at"]["change"], "nothing is left behind"


def test_the_first_that_shows_an_image_leads():
    one, two, three = Viewer(DATA), Viewer(DATA, 2), Viewer(DATA, 3)
    link(one, two, three)
    assert [each.index for each in (one, two, three)] == [2, 2, 2]


def test_what_cannot_be_linked():
    one = Viewer(DATA)
    with pytest.raises(DataError, match="link got 1 widgets; expected two or more different ones"):
        link(one, one)
    with pytest.raises(DataError, match="link got a HTML, which shows no single image"):
        link(one, ipywidgets.HTML())
    assert widgets.link is link


# ---- the widgets themselves ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    return load_data("digit-scenes", split="test", length=12)


@pytest.fixture(scope="module")
def detector(data):
    return build_detector(FASTER_RCNN, data.classes).eval()


def counted(monkeypatch, kind, name):
    """How often a method is called."""
    spy = Mock(side_effect=getattr(kind, name))
    monkeypatch.setattr(kind, name, lambda self, *args, **options: spy(self, *args, **options))
    return spy


def test_an_image_chosen_in_a_browser_is_shown_by_all(data, detector, monkeypatch):
    browser = DatasetBrowser(data)
    lab = OcclusionLab(detector, *data[0])
    looks = AttentionExplorer(detector, data.subset([9, 7]), chosen=0)
    levels = PyramidExplorer(detector, data)
    link(browser, lab, looks, levels)
    draws = {one: counted(monkeypatch, one, "_draw") for one in (AttentionExplorer, PyramidExplorer)}
    finds = counted(monkeypatch, OcclusionLab, "_find")
    browser._handle_custom_msg({"kind": "set", "state": {"selected": 7}}, [])
    assert torch.equal(lab.image, data.image(7))
    assert (looks.index, levels.index) == (1, 7)
    assert [spy.call_count for spy in (*draws.values(), finds)] == [1, 1, 1]
    row = len(data.target(7)["labels"]) - 1
    browser.object = row
    for one in (browser, lab, looks, levels):
        assert one.selection["object"].unique().tolist() == [row]
        assert one.selection["image_id"].unique().tolist() == [7]
    levels.index = 3
    assert (browser.selected, lab.looks_at[:2], looks.index) == (3, (data, 3), 1)
    assert "is not among the 2 images here" in looks._message.value
    levels.chosen = len(data.target(3)["labels"]) - 1
    assert browser.object == lab.chosen == levels.chosen
    looks.index = 0
    assert looks._message.value == ""


def test_a_lab_leads_with_an_image_of_its_own(data, detector):
    lab, browser = OcclusionLab(detector, *data[4]), DatasetBrowser(data)
    link(browser, lab)
    assert browser.selected == 4, "it is found by its id and its objects"
    lab.chosen = 0
    assert browser.object == 0
    lab.show(torch.zeros(3, 40, 40, dtype=torch.uint8))
    assert "this image is not among the 12 images here" in browser.notice
    assert browser.selected == 4


def test_a_list_of_errors_without_one_of_the_image_says_so(data, detector):
    result = evaluate("digit-scenes/faster-rcnn", data, progress=False)
    errors, browser = ErrorBrowser(result, data), DatasetBrowser(data)
    link(errors, browser)
    listed = errors.table["image"].tolist()
    absent = next(place for place in range(len(data)) if place not in listed)
    browser.selected = there = listed[-1]
    assert errors.selection["image"].tolist() == [there]
    page, chosen = errors.page, errors.chosen
    browser.selected = absent
    assert (errors.page, errors.chosen) == (page, chosen)
    assert f"image {absent} has no error among the {len(listed)} that are listed." in errors._message.value
    errors.chosen = 0
    assert browser.selected == listed[0]
    assert browser.object == (None if errors.selection["object"].isna()[0] else errors.selection["object"][0])
    assert errors._message.value == ""


def test_a_map_of_vectors_leads_with_its_clean_images():
    some = {"occluders": ["cup"], "random_places": 0, "pair_classes": 2, "pair_images": 2}
    data = load_data("digits", split="test", ground="plain", occlusion=some)
    torch.manual_seed(0)
    kind = {"kind": "classifier", "backbone": {"name": "small", "widths": [8, 12], "stem": 8}}
    explorer = DFVExplorer(build_detector(kind, data.classes), data, images=2)
    rows = explorer.data.rows[explorer._clean_rows]
    seen = np.flatnonzero(np.isin(data.rows, rows[[3, 8]])).tolist()  # two images, clean and under patterns
    browser = DatasetBrowser(data.subset(seen))
    link(browser, explorer)
    explorer.image = 3
    assert seen[browser.selected] == np.flatnonzero((data.rows == rows[3]) & (data.numbers == 0))[0]
    hidden = np.flatnonzero((data.rows == rows[8]) & (data.numbers == 2))[0]
    browser.selected = seen.index(hidden)
    assert explorer.image == 8, "the clean image stands for it"
    assert explorer.selection["image_id"].tolist() == [data.image_id(int(np.flatnonzero(data.rows == rows[8])[0]))]
    explorer.image = 4
    assert "is not among the" in browser.notice
    assert seen[browser.selected] == hidden
