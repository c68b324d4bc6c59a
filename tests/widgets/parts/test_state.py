"""State is set at once, and what a widget changes itself is not answered."""

from __future__ import annotations

import threading
import time

import pytest
import traitlets

from widgets.parts.state import HasState
from workbench.errors import DataError


class Square(HasState):
    STATE = ("side", "area")

    side = traitlets.Int(1)
    area = traitlets.Int(1)
    colour = traitlets.Unicode("red")

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[tuple[str, int]] = []
        self._when_changed(lambda change: self.answers.append((change["name"], change["new"])))

    def _follow(self, name, state):
        if name == "side" and "area" not in state:
            self.area = self.side**2


def test_a_change_is_answered_and_others_are_not_watched():
    square = Square()
    square.side, square.colour = 3, "blue"
    assert square.answers == [("side", 3)]


def test_state_is_set_in_order_with_what_follows_and_without_an_answer():
    square = Square()
    square._apply({"side": 4})
    assert (square.side, square.area, square.answers) == (4, 16, [])
    square._apply({"area": 5, "side": 2})
    assert (square.side, square.area, square.answers) == (2, 5, [])
    square.area = 6
    assert square.answers == [("area", 6)]


def test_a_name_that_is_not_known_changes_no_other():
    square = Square()
    with pytest.raises(DataError, match=r"Square has no \['colour'\]; it has side, area"):
        square._apply({"side": 4, "colour": "blue"})
    assert square.side == 1


def test_silence_within_silence_ends_with_the_outer_one_also_after_an_error():
    square = Square()

    def fail() -> None:
        with square._silently():
            with square._silently():
                square.side = 2
            square.side = 3
            square.side = "long"

    with pytest.raises(traitlets.TraitError):
        fail()
    assert square.answers == []
    square.side = 4
    assert square.answers == [("side", 4)]


def test_a_control_is_followed_unless_silent():
    square, followed = Square(), []
    follow = square._unless_silent(followed.append)
    follow({"new": 1})
    with square._silently():
        follow({"new": 2})
    assert followed == [{"new": 1}]


def test_a_cell_and_the_page_take_turns():
    """What a thread changes while another one is silent is answered afterwards, and silence ends with both."""
    square, inside, begun = Square(), threading.Event(), threading.Event()

    def page() -> None:
        assert inside.wait(10)
        begun.set()
        square.area = 50

    thread = threading.Thread(target=page)
    thread.start()
    with square._silently():
        inside.set()
        assert begun.wait(10)
        thread.join(0.2)  # it is not answered yet
        square.side = 7
    thread.join(10)
    assert (square.answers, square._silent) == ([("area", 50)], False)


def test_silence_does_not_last_where_two_threads_are_silent():
    """The second one must not bring back the silence of the first one, which ends before."""
    square, second_is_in, first_is_out = Square(), threading.Event(), threading.Event()

    def first() -> None:
        with square._silently():
            second_is_in.wait(0.3)
        first_is_out.set()

    def second() -> None:
        with square._silently():
            second_is_in.set()
            assert first_is_out.wait(10)

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    square.side = 9
    assert square.answers == [("side", 9)]
