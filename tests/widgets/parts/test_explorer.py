"""What all widgets with controls do when a change fails."""

from __future__ import annotations

import pytest
import traitlets

from widgets.parts.explorer import Explorer


class Halves(Explorer):
    STATE = ("number",)

    number = traitlets.Int(4)

    def __init__(self) -> None:
        super().__init__()
        self._begin([], number=4)

    def _show(self, **state: int) -> None:
        self._apply(state)
        if self.number % 2:
            raise ValueError(f"<b>{self.number}</b> is odd")
        self.half = self.number // 2


def test_a_change_that_fails_is_shown_and_the_next_one_clears_it():
    widget = Halves()
    widget.number = 8
    assert (widget.half, widget.error, widget._message.value) == (4, "", "")
    widget.number = 3
    assert widget.error == "ValueError: <b>3</b> is odd"
    assert (widget.number, widget.half) == (8, 4), "all is as it was"
    assert "&lt;b&gt;3" in widget._message.value
    widget.number = 2
    assert (widget.half, widget.error, widget._message.value) == (1, "", "")


def test_a_change_from_python_that_fails_is_raised_and_leaves_everything_as_it_was():
    widget = Halves()
    with pytest.raises(ValueError, match="is odd"):
        widget.show(number=5)
    assert (widget.number, widget.half, widget.error) == (4, 2, "")


def test_no_picture_is_drawn_in_silence():
    widget = Halves()
    with widget._silently():
        widget.number = 3
    assert (widget.half, widget.error) == (2, "")
