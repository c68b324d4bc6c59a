"""Panels as anywidgets, without a page."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import anywidget
import ipywidgets
import pytest
from all_widgets import AllWidgets

import widgets
from widgets.parts.javascript import FOLDER
from widgets.parts.mirror import LAYOUT, Mirror
from widgets.parts.panel import Panel, parts_of

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PANELS = [name for name in widgets.__all__ if name != "link" and issubclass(getattr(widgets, name), Panel)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    made = AllWidgets(tmp_path_factory.mktemp("made"))
    yield made
    made.close()


def drawn_by_the_page() -> set[str]:
    """Names of views in mirror/*.js."""
    text = "".join((FOLDER / "mirror" / name).read_text() for name in ("boxes.js", "controls.js"))
    return set(re.findall(r"^  (\w+View): ", text, re.MULTILINE))


def test_which_widgets_are_panels():
    others = {name for name in widgets.__all__ if name != "link"} - set(PANELS)
    assert all(issubclass(getattr(widgets, name), anywidget.AnyWidget) for name in others)
    assert others == {"Annotator", "DatasetBrowser", "OcclusionLab"}


@pytest.mark.parametrize("name", PANELS)
def test_the_page_can_draw_every_part(made, name):
    parts = [one for one in parts_of(made[name]) if isinstance(one, ipywidgets.DOMWidget)]
    views = {one._view_name for one in parts if not isinstance(one, anywidget.AnyWidget)}
    assert views
    assert views <= drawn_by_the_page()


@pytest.mark.parametrize("name", PANELS)
def test_sliders_say_numbers_by_formats_that_the_page_knows(made, name):
    forms = {one.readout_format for one in parts_of(made[name]) if hasattr(one, "readout_format")}
    assert {form for form in forms if not re.fullmatch(r"(\.\d+)?[defg%]", form)} == set()


def test_what_marimo_asks_for_is_a_mirror_of_the_panel():
    panel = Panel([ipywidgets.IntSlider()])
    assert panel._mirrors == (), "not before it is asked for"
    one, other = panel.as_anywidget(), panel._display_()
    assert [isinstance(each, Mirror) for each in (one, other)] == [True, True]
    assert one is not other, "each cell has its own"
    assert one.root == other.root == panel.model_id
    panel.close()
    assert (one.comm, other.comm) == (None, None)


def test_it_answers_when_what_was_sent_before_is_done():
    panel = Panel([])
    mirror = panel.as_anywidget()
    sent = []
    mirror.send = lambda content, buffers=None: sent.append(content)
    mirror._handle_custom_msg({"turn": 3}, [])
    assert sent == [{"turn": 3}]
    panel.close()


def test_colab_is_asked_for_its_manager_of_anywidgets(monkeypatch):
    """As anywidget asks for one of its own: by the address in the metadata of the output."""
    manager = SimpleNamespace(_installed_url="https://manager.invalid/it.js")
    output = SimpleNamespace(enable_custom_widget_manager=lambda: None, _widgets=manager)
    panel = Panel([])
    assert WIDGET_VIEW not in panel._repr_mimebundle_()[1], "not elsewhere"
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    data, metadata = panel._repr_mimebundle_()
    assert data[WIDGET_VIEW]["model_id"] == panel.model_id
    assert metadata[WIDGET_VIEW] == {"colab": {"custom_widget_manager": {"url": manager._installed_url}}}
    assert "image/png" in data
    panel.close()


def test_layouts_are_copied_whole():
    assert {"width", "flex_flow", "display", "grid_gap"} <= set(LAYOUT)
    assert not {"comm", "keys", "_view_name"} & set(LAYOUT)
