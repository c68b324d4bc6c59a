"""What a user does with each widget, in words that hold on every page, and what Python and the page have then."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from every_widget import CELLS, SETUP

#: Pictures of a widget that are seen, as texts that are others when the pictures are.
PICTURES = """(root) => [...root.querySelectorAll('img, canvas, .wb-plot .main-svg')]
  .filter((one) => one.getClientRects().length)
  .map((one) => one.src ?? one.toDataURL?.() ?? one.innerHTML)"""
#: Whether there are pictures, and all are drawn: images loaded, canvases of more than one colour, plots with marks.
DRAWN = """(root) => {
  const seen = [...root.querySelectorAll('img, canvas, .wb-plot')].filter((one) => one.getClientRects().length);
  const colours = (one) => {
    const { data } = one.getContext('2d').getImageData(0, 0, one.width, one.height);
    return new Set(new Uint32Array(data.buffer)).size;
  };
  const drawn = (one) => one.naturalWidth || (one.getContext && colours(one) > 1) || one.querySelector('.trace');
  return seen.length > 0 && seen.every(drawn);
}"""
#: Writes what Python has to a file of the widget's name, now and at each change.
WATCH = """
from pathlib import Path

def watch(widget, expression, *others):
    def write(change=None):
        Path(f"{type(widget).__name__}.txt").write_text(repr(eval(expression, {"w": widget})))
    for one in (widget, *others):
        one.observe(write)
    write()
"""
PATIENCE = 10.0  #: seconds


@dataclass(frozen=True)
class Act:
    """Something that a user does with a widget.

    Attributes:
        do: does it, with the element that holds the widget.
        says: an expression of the widget `w`: what changes in Python.
        then: what it says afterwards.
        draws: whether the pictures change; else the text `reads` is seen.
        reads: a text that is seen afterwards.
    """

    do: Callable[[Any], None]
    says: str
    then: Any
    draws: bool = True
    reads: str = ""


ACTS = {
    "AdversaryExplorer": Act(lambda w: w.get_by_role("slider").last.press("ArrowRight"), "w.stride", 2),
    "Annotator": Act(lambda w: w.get_by_text("000003.png").click(), "w.picture", 3),
    "AttentionExplorer": Act(lambda w: w.get_by_label("Inversion").select_option("hard"), "w.inversion", "hard"),
    "DFVExplorer": Act(lambda w: w.get_by_role("button", name="by pattern").click(), "w.colour", "pattern"),
    "DatasetBrowser": Act(lambda w: w.locator(".db-thumbnail").nth(2).click(), "w.selected", 2),
    "ErrorBrowser": Act(lambda w: w.get_by_role("button", name="Next").click(), "w.page", 1),
    "FaceExplorer": Act(lambda w: w.locator("[aria-pressed=false]").first.press("Enter"), "w.chosen != 0", True),
    "FocalLossExplorer": Act(lambda w: w.get_by_role("button", name="objects").click(), "w.kind", "objects"),
    "OcclusionLab": Act(
        lambda w: w.get_by_role("combobox", name="Texture").select_option("noise"), "w.texture", "noise"
    ),
    "ProposalExplorer": Act(lambda w: fill(w.get_by_label("Look at rank"), "3"), "w.rank", 3),
    "PyramidExplorer": Act(lambda w: w.get_by_label("anchors of all objects").check(), "w.all_anchors", True),
    "RunMonitor": Act(
        lambda w: w.get_by_text("Log", exact=True).click(), "w._log_box.selected_index", 0, draws=False, reads="step"
    ),
}


def fill(field: Any, text: str) -> None:
    field.fill(text)
    field.press("Enter")


def cells() -> list[str]:
    """A notebook with all widgets, which are watched; it lies beside the folder "run" of a run."""
    others = {"RunMonitor": ", _w._log_box"}
    shown = [
        f"_w = widgets.{CELLS[name]}\nwatch(_w, {act.says!r}{others.get(name, '')})\n_w" for name, act in ACTS.items()
    ]
    return [WATCH + SETUP, *shown]


def perform(act: Act, root: Any, file: Path) -> None:
    """Do it, and look at what follows from it in Python and on the page.

    Args:
        root: the locator of the element that holds the widget.
        file: what `watch` writes.
    """
    root.scroll_into_view_if_needed()
    until(lambda: root.evaluate(DRAWN), "its pictures are drawn")
    before = root.evaluate(PICTURES)
    assert file.read_text() != repr(act.then), "Python has it before it is done"
    act.do(root)
    until(lambda: file.read_text() == repr(act.then), f"{act.says} is {act.then!r}")
    if act.draws:
        until(lambda: root.evaluate(PICTURES) != before and root.evaluate(DRAWN), "another picture is drawn")
    if act.reads:
        root.get_by_text(act.reads).last.wait_for()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not so in {PATIENCE:.0f} s: {what}"
        time.sleep(0.05)
