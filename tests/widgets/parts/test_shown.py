"""Every widget can be shown without a kernel: as a still picture, as HTML, and as a file that sets it again."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
from html.parser import HTMLParser

import nbformat
import numpy as np
import pytest
from all_widgets import NAME, OTHER, AllWidgets
from matplotlib.figure import Figure
from nbconvert import HTMLExporter
from PIL import Image

import widgets
from workbench.errors import DataError

VIEW = "application/vnd.jupyter.widget-view+json"
SET = [name for name, state in OTHER.items() if state]

WIDGETS = [name for name in widgets.__all__ if name[0].isupper()]  # and not `link`


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    made = AllWidgets(tmp_path_factory.mktemp("widgets"))
    yield made
    made.close()


@pytest.fixture
def browser(every):
    return every["DatasetBrowser"]


def picture(widget) -> tuple[bytes, dict]:
    """The picture in the mime bundle, and what is said of it."""
    data, metadata = widget._repr_mimebundle_()
    return base64.b64decode(data["image/png"]), metadata["image/png"]


def opened(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def change(widget, state):
    widget._restore({**widget.view_state(), **state})


def test_there_is_one_of_every_widget(every):
    assert sorted(every.makers) == sorted(OTHER) == WIDGETS


@pytest.mark.parametrize("name", WIDGETS)
def test_a_picture_stands_beside_the_live_widget(every, name):
    widget = every[name]
    data, _ = widget._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png", VIEW}
    assert data["text/plain"].startswith(name)
    assert data[VIEW]["model_id"] == widget.model_id
    content, about = picture(widget)
    image = Image.open(io.BytesIO(content))
    assert len(content) < 250_000
    assert "transparency" not in image.info
    assert opened(content)[2, 2].tolist() == [255, 255, 255], "white paper around it"
    assert opened(content).std() > 20
    assert 500 < about["width"] < 1300
    assert image.width > 1.05 * about["width"], "sharper than the page"
    assert image.width / image.height == pytest.approx(about["width"] / about["height"], rel=0.01)


@pytest.mark.parametrize("name", WIDGETS)
def test_a_still_is_a_figure_with_the_state_in_its_title(every, name):
    figure = every[name].still()
    assert isinstance(figure, Figure)
    assert texts(figure).startswith(repr(every[name]).split(" ")[0])
    assert picture(every[name]) == picture(every[name]), "no dates and no chance"


@pytest.mark.parametrize("name", SET)
def test_what_is_changed_is_seen_and_a_saved_view_leads_back(every, name, tmp_path):
    widget = every[name]
    first, state = picture(widget)[0], widget.view_state()
    widget.save_view(tmp_path / "view.png")
    assert json.loads((tmp_path / "view.json").read_text())["state"] == state
    change(widget, OTHER[name])
    changed = picture(widget)[0]
    assert changed != first
    assert {key: widget.view_state()[key] for key in OTHER[name]} == OTHER[name]
    for file in ("view.json", "view.png"):
        change(widget, OTHER[name])
        widget.load_view(tmp_path / file)
        assert widget.view_state() == state, file
    assert picture(widget)[0] == first


def test_a_run_has_no_state_but_what_it_shows(every, tmp_path):
    monitor = every["RunMonitor"]
    monitor.save_view(tmp_path / "run.svg")
    monitor.load_view(tmp_path / "run.svg")
    assert "✓ done" in texts(monitor.still())
    assert "step 6 of 6" in texts(monitor.still())


# ---- files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["DatasetBrowser", "DFVExplorer", "OcclusionLab", "RunMonitor"])
def test_letters_of_a_pdf_are_letters_and_those_of_an_svg_are_drawn(every, name, tmp_path):
    widget = every[name]
    widget.save_view(tmp_path / "a.pdf")
    widget.save_view(tmp_path / "b.PDF")
    content = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert b"/CreationDate" not in content
    assert (tmp_path / "b.PDF").read_bytes() == content
    widget.save_view(tmp_path / "a.svg")
    svg = (tmp_path / "a.svg").read_text()
    assert "<dc:date>" not in svg
    assert "<text" not in svg
    for file in ("a.pdf", "a.svg"):
        widget.load_view(tmp_path / file)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a.gif", r"a\.gif ends in '\.gif'; a view can be saved as \.png, \.svg, \.pdf"),
        ("a", r"a ends in 'no suffix'"),
        ("nowhere/a.png", r"nowhere/a\.png cannot be written: No such file or directory; give a file in a folder"),
    ],
)
def test_where_a_view_cannot_be_saved(browser, tmp_path, path, message):
    with pytest.raises(DataError, match=message):
        browser.save_view(tmp_path / path)
    assert not [*tmp_path.iterdir()]


WRONG = [
    ({"page": 1, "pages": 2}, r"state has 'pages'; DatasetBrowser has class_name, occlusion, page, selected"),
    ({"page": "two"}, r"state\.page is 'two': .*expected an int"),
    ({"page": True}, r"state\.page is True: true and false are no values of it"),
    ({"page": -1}, r"state\.page is -1: .*page"),
    ({"occlusion": [0.1]}, r"state\.occlusion is \[0\.1\]"),
    ({"occlusion": {"low": 1}}, r"state\.occlusion is"),
    ({"selected": 1.5}, r"state\.selected is 1\.5"),
    ({"selected": 10**400}, r"the state does not fit this DatasetBrowser"),
    ({"page": 1, "selected": 12}, r"does not fit this DatasetBrowser: image 12 of 12 does not exist"),
    ({"page": 1, "class_name": "<img>"}, r"does not fit this DatasetBrowser: digit-scenes has no class '<img>'"),
]


@pytest.mark.parametrize(("state", "message"), WRONG)
def test_a_state_that_is_none_leaves_everything_as_it_was(browser, tmp_path, state, message):
    before, shown = browser.view_state(), browser.shown
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({"widget": "DatasetBrowser", "version": "9", "state": state}))
    with pytest.raises(DataError, match=rf"bad\.json: .*{message}"):
        browser.load_view(path)
    assert (browser.view_state(), browser.shown) == (before, shown)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"bad is no JSON: Expecting property name"),
        (b'{"widget": "\xff"}', r"bad is no JSON"),
        (b'{"widget": "DatasetBrowser", "state": {"page": NaN}}', r"NaN is no number in JSON"),
        (b'{"a":' * 100_000, r"bad is no JSON"),
        (b'{"state": {}}', r"there is no key 'widget'"),
        (b'{"widget": "OcclusionLab", "state": {}}', r"widget is 'OcclusionLab'.*another widget than DatasetBrowser"),
        (b'{"widget": "DatasetBrowser", "state": 3}', r"state is 3; expected an object"),
        (b"\x89PNG but no view", r"bad holds no view"),
        (b"workbench-view:abcde", r"the view in this picture is broken"),
        (b"workbench-view:" + base64.b64encode(b"[1]"), r"there is no key 'widget'"),
    ],
)
def test_a_file_that_is_no_view_is_refused(browser, tmp_path, content, message):
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        browser.load_view(path)
    with pytest.raises(DataError, match=r"none\.json cannot be read: No such file"):
        browser.load_view(tmp_path / "none.json")


def test_explorers_say_which_value_does_not_fit(every, tmp_path):
    explorer = every["AttentionExplorer"]
    before = explorer.view_state()
    path = tmp_path / "bad.json"
    for state, message in [
        ({"label": 99}, r"label is 99; there are"),
        ({"detector": "other"}, r"detector is 'other'; there are"),
        ({"inversion": "tepid"}, r"state\.inversion is 'tepid'"),
        ({"box": [1, 2]}, r"box needs 4 numbers"),
    ]:
        path.write_text(json.dumps({"widget": "AttentionExplorer", "state": {**before, **state}}))
        with pytest.raises(DataError, match=message):
            explorer.load_view(path)
        assert (explorer.view_state(), explorer.error) == (before, "")


def test_a_region_of_the_users_own_comes_back_in_another_lab(every, tmp_path):
    lab = every["OcclusionLab"]
    first = lab.view_state()
    lab.region([10, 10, 40, 50], "3")
    assert lab.view_state()["region"] == {"box": [10.0, 10.0, 40.0, 50.0], "name": "3", "source": None}
    lab.save_view(tmp_path / "lab.png")
    scores = lab.scores
    other = widgets.OcclusionLab({NAME: every.detector}, *every.data[7])
    other.load_view(tmp_path / "lab.png")
    assert (other.scores, other.objects[other.chosen]["box"]) == (scores, (10.0, 10.0, 40.0, 50.0))
    view = json.loads((tmp_path / "lab.json").read_text())
    for region in (3, {"box": [1, 2, 3, 4]}, {"box": [1, 2, 3, True], "name": "3", "source": None},
                   {"box": [1, 2, 3, 1], "name": "3", "source": None},
                   {"box": [1, 2, 30, 40], "name": "3", "source": "x"}):  # fmt: skip
        view["state"]["region"] = region
        (tmp_path / "bad.json").write_text(json.dumps(view))
        before = other.view_state()
        with pytest.raises(DataError, match=r"bad\.json: .*(region|detector)"):
            other.load_view(tmp_path / "bad.json")
        assert other.view_state() == before
    other.close()
    lab._restore(first)


# ---- HTML ----------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.said = [], ""

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.said += data


@pytest.mark.parametrize("name", ["AttentionExplorer", "OcclusionLab"])
def test_html_needs_nothing_else_and_names_are_text(every, name):
    widget = every[name]
    tags = Tags()
    tags.feed(widget.to_html())
    assert [tag for tag, _ in tags.seen] == ["figure", "img", "figcaption", "b", "br"]
    image = tags.seen[1][1]
    source = image["src"].removeprefix("data:image/png;base64,")
    assert opened(base64.b64decode(source)).std() > 20
    assert image["alt"].startswith(f"{name}({NAME}")
    assert int(image["width"]) == picture(widget)[1]["width"]
    assert tags.said.startswith(f"{name}({NAME}")
    assert all(set(attributes) <= {"style", "src", "alt", "width"} for _, attributes in tags.seen)
    assert "url(" not in widget.to_html()


def test_html_as_a_page_appears_whole_or_not_at_all(browser, tmp_path):
    piece = browser.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert piece in page
    assert '<meta charset="utf-8">' in page
    with pytest.raises(DataError, match=r"page\.html cannot be written: No such file or directory; give a file in"):
        browser.to_html(tmp_path / "nowhere" / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_notebooks_as_html_show_the_picture(browser):
    data, metadata = browser._repr_mimebundle_()
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    cell = nbformat.v4.new_code_cell("browser", outputs=[output])
    body, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert re.search(r"<img[^>]*src=\"data:image/png;base64", body)


# ---- what fails ----------------------------------------------------------------------------------------------


def test_a_widget_whose_picture_fails_is_shown_live_and_says_why(browser, monkeypatch, caplog):
    monkeypatch.setattr(browser, "still", lambda: 1 / 0)
    with caplog.at_level(logging.WARNING):
        data, _ = browser._repr_mimebundle_()
    assert set(data) == {"text/plain", VIEW}
    assert (
        "DatasetBrowser(digit-scenes test, 12 images) is shown without a still picture: ZeroDivisionError"
        in caplog.text
    )


def test_a_download_is_named_after_what_is_seen(every, monkeypatch):
    names = {
        name: every[name]._file_name() for name in ("DFVExplorer", "Annotator", "FocalLossExplorer", "RunMonitor")
    }
    assert names == {
        "DFVExplorer": "dfv-explorer-image-0",
        "Annotator": "annotator-image-7",
        "FocalLossExplorer": "focal-loss-explorer",
        "RunMonitor": "run-monitor-run",
    }
    monkeypatch.setattr(every["RunMonitor"], "_which", lambda: f'../\\"<b>\n{"y" * 300}')
    assert re.fullmatch(r"run-monitor-b-y{70,80}", every["RunMonitor"]._file_name())


def test_the_page_gets_the_file_it_asks_for_or_the_reason(every, monkeypatch):
    for name in ("DatasetBrowser", "AttentionExplorer"):
        widget, sent = every[name], []
        speaks = widget if name == "DatasetBrowser" else widget._frame
        monkeypatch.setattr(speaks, "send", lambda content, buffers=None, sent=sent: sent.append((content, buffers)))
        for suffix in ("pdf", "exe", None):
            speaks._handle_custom_msg({"kind": "save-view", "suffix": suffix, "turn": "7"}, [])
        (first, buffers), (second, none), _ = sent
        stem = {"DatasetBrowser": "dataset-browser", "AttentionExplorer": "attention-explorer-image-0-object-0"}[name]
        assert first == {"kind": "saved-view", "turn": "7", "name": f"{stem}.pdf", "type": "application/pdf"}
        assert buffers[0].startswith(b"%PDF")
        assert (second["turn"], none) == ("7", None)
        assert "ends in '.exe'" in second["text"]
