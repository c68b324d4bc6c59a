"""What every widget is: a whole that closes all its parts, and a part of a page with keys and a kernel of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import anywidget
import ipywidgets
import traitlets

from widgets.parts.javascript import script, style
from widgets.parts.mirror import Mirror
from widgets.parts.pictures import Picture
from widgets.parts.shown import Shown


class Whole(Shown):
    """A widget whose `close()` closes its parts, too: ipywidgets keeps each of them until it is closed itself."""

    def close(self) -> None:
        """Take it away, with all that it is made of."""
        for part in parts_of(self):
            part.close()
        super().close()


class Panel(Whole, ipywidgets.VBox):
    """Parts below each other, as wide as the cell.

    Keys that are pressed in it mean nothing to JupyterLab, it says when its kernel was restarted, and its pictures
    are drawn anew when the page becomes dark or light.
    """

    _mirrors: tuple[Mirror, ...] = ()

    def __init__(self, parts: Sequence[ipywidgets.Widget] = ()):
        self._frame = Frame(self)
        self._frame.observe(self._colour, "dark")
        super().__init__(layout={"width": "100%"})
        self.fill(parts)

    def fill(self, parts: Sequence[ipywidgets.Widget]) -> None:
        """Show these parts."""
        self.children = (*parts, self._frame)
        self._colour()

    def as_anywidget(self) -> Mirror:
        """The same as an anywidget, for pages that show these but no ipywidgets; marimo asks for it by itself.

        What is changed in one is changed in the other. The page needs anywidget 0.11 or later, or marimo 0.25.

        Returns:
            It is closed with this widget.

        Example:
            >>> scene = wb.load_data("digit-scenes", split="test")[7]
            >>> explorer = widgets.AttentionExplorer("digit-scenes/faster-rcnn", *scene)
            >>> explorer.as_anywidget().root == explorer.model_id
            True
        """
        mirror = Mirror(self)
        self._mirrors += (mirror,)
        return mirror

    _display_ = as_anywidget  # what marimo looks for first

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """As any widget, and with what Colab asks for where there are anywidgets, which know it."""
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return data, {**self._frame._repr_mimebundle_()[1], **metadata}

    def close(self) -> None:
        """Take it away, with all that it is made of."""
        for mirror in self._mirrors:
            mirror.close()
        super().close()

    def _colour(self, _: Any = None) -> None:
        for part in parts_of(self):
            if isinstance(part, Picture):
                part.dark = self._frame.dark


class Frame(anywidget.AnyWidget):
    """Joins the box that it is put into to the page (frame.js), with a menu by which its view is saved."""

    _esm = script("frame.js")
    _css = style("shared/panel.css")

    dark = traitlets.Bool(False, help="whether the page is dark").tag(sync=True)

    def __init__(self, whole: Shown):
        super().__init__()
        self.on_msg(lambda _, content, buffers: whole.answer_save(content, self.send))


def parts_of(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    """The widgets in a widget's traitlets, and theirs, the innermost first."""
    for value in list(widget._trait_values.values()):  # those it has; no default is made for one that goes away
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, ipywidgets.Widget):
                yield from parts_of(part)
                yield part
