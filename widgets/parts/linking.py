"""Widgets that follow each other: an image chosen in one is shown by the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from widgets.parts.looking import Looks, Place
from workbench.errors import DataError


class Link:
    """Widgets that follow each other, until `unlink()`; one that is closed leaves it. See `link`."""

    def __init__(self, *widgets: Looks):
        self.widgets = list(widgets)
        self._following = False
        self._ends: dict[int, Callable[[], None]] = {}
        for one in widgets:
            self._join(one)

    def __repr__(self) -> str:
        return f"Link({', '.join(type(one).__name__ for one in self.widgets)})"

    def unlink(self) -> None:
        """They follow each other no more; each stays where it is."""
        for one in list(self.widgets):
            self._leave(one)

    def _join(self, widget: Looks) -> None:
        def moved(change: dict[str, Any]) -> None:
            self._lead(widget, change["new"])

        def closed(change: dict[str, Any]) -> None:
            if change["new"] is None:
                self._leave(widget)

        def end() -> None:
            widget.unobserve(moved, "looks_at")
            widget.unobserve(closed, "comm")

        widget.observe(moved, "looks_at")
        widget.observe(closed, "comm")
        self._ends[id(widget)] = end

    def _leave(self, widget: Looks) -> None:
        self.widgets = [one for one in self.widgets if one is not widget]
        if (end := self._ends.pop(id(widget), None)) is not None:
            end()

    def _lead(self, leader: Looks, place: Place | None) -> None:
        """The others show what one of them shows; what they change thereby leads nobody."""
        if place is None or self._following:
            return
        self._following = True
        try:
            for one in list(self.widgets):
                if one is not leader:
                    one.follow(place)
        finally:
            self._following = False


def link(*widgets: Any) -> Link:
    """Let widgets follow each other: an image, and an object of it, chosen in one is shown by all.

    DatasetBrowser, OcclusionLab, ErrorBrowser, DFVExplorer, AttentionExplorer, AdversaryExplorer, FaceExplorer,
    PyramidExplorer and ProposalExplorer can be linked, also several times. The same image is found in other data by
    what both are views of (`data.subset(...)`), by its id or its file; OcclusionLab takes any image. A widget that
    does not have it says so on its page and stays where it is; so does an ErrorBrowser that lists no error of it.
    At first they show what the first one shows that shows an image.

    Args:
        widgets: two or more.

    Returns:
        What `unlink()` ends; a widget that is closed leaves by itself.

    Raises:
        DataError: fewer than two, or one that shows no single image.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=20)
        >>> browser = widgets.DatasetBrowser(data)
        >>> lab = widgets.OcclusionLab("digit-scenes/faster-rcnn", *data[7])
        >>> linked = widgets.link(browser, lab)
        >>> browser.selected, browser.object = 4, 2
        >>> lab.selection[["image", "object", "class"]].values.tolist()
        [[4, 2, '8']]
        >>> linked.unlink()
    """
    if (number := len({id(one) for one in widgets})) < 2:
        raise DataError(f"link got {number} widgets; expected two or more different ones")
    for one in widgets:
        if not isinstance(one, Looks):
            raise DataError(f"link got a {type(one).__name__}, which shows no single image of data; see help(link)")
    made = Link(*widgets)
    leader = next((one for one in widgets if one.looks_at is not None), None)
    if leader is not None:
        made._lead(leader, leader.looks_at)
    return made
