"""What all widgets with controls do when a change fails."""

from __future__ import annotations

import traitlets

from widgets.parts.explorer import Explorer, alert


class Halves(Explorer):
    number = traitlets.Int(4)

    def __init__(self) -> None:
        super().__init__()
        self.half = 0
        self.observe(self._on_change, ["number"])
        self._silent = False

    def show(self, *, number: int) -> None:
        if number % 2:
            raise ValueError(f"<b>{number}</b> is odd")
        self.half = number // 2


def test_a_change_that_fails_is_told_and_the_next_one_forgets_it():
    widget = Halves()
    widget.number = 8
    assert (widget.half, widget.error, widget._message.value) == (4, "", "")
    widget.number = 3
    assert widget.error == "ValueError: <b>3</b> is odd"
    assert "&lt;b&gt;3" in widget._message.value
    widget.number = 2
    assert (widget.half, widget.error, widget._message.value) == (1, "", "")


def test_nothing_is_drawn_while_it_is_silent():
    widget = Halves()
    widget._silent = True
    widget.number = 3
    assert (widget.half, widget.error) == (0, "")


def test_an_alert_is_escaped_and_empty_for_no_text():
    assert alert("") == ""
    assert '<div role="alert"' in alert("<script>")
    assert "&lt;script&gt;" in alert("<script>")
