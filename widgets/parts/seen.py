"""What is seen of a widget that is made of parts: texts, tables and figures for a still picture, and its settings."""

from __future__ import annotations

from html.parser import HTMLParser

import ipywidgets

from workbench.figures.still import Piece, Table

HINT = "wb-hint"  #: class of texts that say what can be done on the page, which nobody can in a picture
CHOICES = (ipywidgets.widget_selection._Selection, ipywidgets.SelectionSlider)
NUMBERS = (ipywidgets.IntSlider, ipywidgets.FloatSlider, ipywidgets.FloatLogSlider)
FIELDS = (ipywidgets.IntText, ipywidgets.BoundedIntText, ipywidgets.FloatText, ipywidgets.BoundedFloatText)


class Drawable:
    """A part with a picture of its own."""

    def still(self) -> Piece | None:
        """What it shows now; None: no more than its place."""
        raise NotImplementedError


def pieces_of(part: ipywidgets.Widget) -> list[Piece]:
    """What is seen of a part, from top to bottom; boxes of rows stand beside each other."""
    if not is_seen(part):
        return []
    if isinstance(part, Drawable):
        piece = part.still()
        return [] if piece is None else [piece]
    if isinstance(part, ipywidgets.HTML):
        return [] if HINT in part._dom_classes else texts_of(part.value)
    if isinstance(part, ipywidgets.Accordion | ipywidgets.Tab):
        place = part.selected_index
        return [] if place is None else [part.titles[place], *pieces_of(part.children[place])]
    if not isinstance(part, ipywidgets.Box):
        return []
    pieces = [found for child in part.children if (found := pieces_of(child))]
    if isinstance(part, ipywidgets.HBox):
        return [tuple(pieces)] if pieces else []
    return [piece for some in pieces for piece in some]


def settings_of(part: ipywidgets.Widget) -> list[str]:
    """What the controls that are seen say, as "Detector: plain"."""
    if not is_seen(part):
        return []
    if isinstance(part, ipywidgets.Box):
        return [text for child in part.children for text in settings_of(child)]
    if isinstance(part, CHOICES):
        return [] if part.label is None else [_named(part, part.label)]
    if isinstance(part, ipywidgets.Checkbox):
        return [_named(part, "yes" if part.value else "no")]
    if isinstance(part, NUMBERS):
        form = part.readout_format if part.readout else ".3g"
        return [_named(part, format(part.value, form))]
    return [_named(part, str(part.value))] if isinstance(part, FIELDS) else []


def is_seen(part: ipywidgets.Widget) -> bool:
    """Whether it has a place on the page."""
    return isinstance(part, ipywidgets.DOMWidget) and part.layout.display != "none"


def _named(control: ipywidgets.Widget, value: str) -> str:
    return f"{control.description}: {value}" if control.description else value


def texts_of(html: str) -> list[Piece]:
    """The paragraphs and tables of HTML as texts."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.end_paragraph()
    return reader.pieces


class _Reader(HTMLParser):
    """Parts HTML into paragraphs and tables."""

    BLOCKS = ("div", "p", "pre", "br", "li", "ul")

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[Piece] = []
        self._text = ""
        self._rows: list[list[str]] | None = None
        self._is_exact = False  # whether spaces and lines count

    def handle_starttag(self, tag: str, attributes: object) -> None:
        if tag == "table":
            self.end_paragraph()
            self._rows = []
        elif self._rows is not None:
            if tag == "tr":
                self._rows.append([])
            self._text = ""
        elif tag in self.BLOCKS:
            self.end_paragraph()
        self._is_exact |= tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if self._rows is None:
            if tag in self.BLOCKS:
                self.end_paragraph()
        elif tag in ("td", "th") and self._rows:
            self._rows[-1].append(" ".join(self._text.split()))
        elif tag == "table":
            rows = tuple(tuple(row) for row in self._rows if row)
            self._rows, self._text = None, ""
            if rows:
                self.pieces.append(Table(rows))
        if tag == "pre":
            self._is_exact = False

    def handle_data(self, data: str) -> None:
        self._text += data

    def end_paragraph(self) -> None:
        """Begin another one."""
        text = self._text.strip("\n") if self._is_exact else " ".join(self._text.split())
        self._text = ""
        if text:
            self.pieces.append(text)
