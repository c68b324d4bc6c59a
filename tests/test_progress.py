"""Bars of progress go away when they are done; in a notebook their place is emptied, too."""

from __future__ import annotations

import sys
import types

import pytest
from tqdm.notebook import tqdm_notebook

from workbench import progress


@pytest.fixture
def shown(monkeypatch):
    """The bars of notebooks, and what each of their places shows."""
    places: list[list[object]] = []

    class Handle:
        def __init__(self, first: object):
            self.seen = [first]
            places.append(self.seen)

        def update(self, other: object, *, raw: bool) -> None:
            self.seen.append(other)

    notebook = sys.modules[tqdm_notebook.__module__]
    monkeypatch.setattr(notebook, "display", lambda thing, display_id: Handle(thing))
    bars = types.new_class("Bars", (progress._Bar, tqdm_notebook), {})
    names = {name: value for name, value in vars(progress._NotebookBar).items() if not name.startswith("__")}
    own = type("NotebookBar", (progress._NotebookBar, bars), names)
    return own, places


def test_a_bar_in_a_terminal_leaves_nothing(capsys):
    assert list(progress.Bar(range(3), desc="three")) == [0, 1, 2]
    assert "three" in capsys.readouterr().err
    assert progress.Bar(range(3), disable=True).leave is False


def test_a_bar_in_a_notebook_empties_its_place(shown):
    bar, places = shown
    assert list(bar(range(3))) == [0, 1, 2]
    ((widget, last),) = places
    assert type(widget).__name__ == "TqdmHBox"
    assert last == {"text/html": ""}


def test_a_bar_that_failed_stays(shown):
    bar, places = shown
    with pytest.raises(ZeroDivisionError):
        [1 / (one - 1) for one in bar(range(3))]
    assert len(places[0]) == 1


def test_a_bar_with_a_delay_shows_nothing_before_it_is_over(shown):
    bar, places = shown
    assert list(bar(range(3), delay=60)) == [0, 1, 2]
    assert places == []
