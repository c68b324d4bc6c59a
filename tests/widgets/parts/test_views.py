"""Views in files: what is written is read again, from JSON and from within any bytes; what is none is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import traitlets
from hypothesis import given
from hypothesis import strategies as st

from widgets.parts import views
from widgets.parts.views import as_note, as_view, check_types, read_state
from workbench.errors import DataError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(state=st.dictionaries(st.text(), VALUES, max_size=5), around=st.binary(max_size=20))
def test_a_state_comes_back_from_json_and_from_a_picture(tmp_path_factory, state, around):
    folder, view = tmp_path_factory.mktemp("views"), as_view("OcclusionLab", state)
    (folder / "view.json").write_text(json.dumps(view))
    (folder / "view.png").write_bytes(b"\x89PNG" + around + as_note(view).encode() + b"\0" + around)
    for name in ("view.json", "view.png"):
        assert read_state(folder / name, "OcclusionLab") == state
        with pytest.raises(DataError, match="a view for another widget than DatasetBrowser"):
            read_state(folder / name, "DatasetBrowser")


def test_what_json_cannot_hold_is_not_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_note(as_view("OcclusionLab", {"box": [float("nan")]}))


@given(content=st.binary(max_size=200))
def test_no_bytes_lead_to_another_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("views") / "any"
    for some in (content, b"workbench-view:" + content, b"{" + content):
        path.write_bytes(some)
        with pytest.raises(DataError, match="any"):
            read_state(path, "OcclusionLab")


def test_what_is_too_large_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "huge.json"
    path.write_text(json.dumps(as_view("OcclusionLab", {})))
    monkeypatch.setattr(views, "LARGEST", 10)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("it was read"))
    with pytest.raises(DataError, match=r"huge\.json has more than"):
        read_state(path, "OcclusionLab")


class Widget(traitlets.HasTraits):
    number = traitlets.Int(3, min=0)
    share = traitlets.Float(0.5)
    on = traitlets.Bool(True)


def test_types_are_checked_and_nothing_is_set():
    widget, names = Widget(), ("number", "share", "on", "more")
    check_types(widget, names, {"number": 5, "share": 1, "on": False, "more": ["no", "traitlet"]}, "a.json")
    assert (widget.number, widget.share, widget.on) == (3, 0.5, True)
    for state, message in (
        ({"other": 1}, r"a\.json: state has 'other'; Widget has number, share, on, more"),
        ({"number": -1}, r"a\.json: state\.number is -1"),
        ({"number": 1.5}, r"state\.number is 1\.5"),
        ({"number": True}, r"state\.number is True: true and false are no values of it"),
        ({"on": 2}, r"state\.on is 2"),
        ({"share": 10**400}, r"state\.share is 1000"),
    ):
        with pytest.raises(DataError, match=message):
            check_types(widget, names, state, "a.json")
