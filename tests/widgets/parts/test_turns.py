"""Steps between other messages: all in a script, one by one in a kernel, and none after a stop."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from widgets.parts import turns
from widgets.parts.turns import Turns


def test_a_script_gets_the_last_one():
    shown = []
    one = Turns()
    one.start(iter([1, 2, 3]), shown.append)
    one.start(iter([]), shown.append)
    assert shown == [3]
    assert not one.running
    with pytest.raises(ZeroDivisionError):
        one.start((1 / 0 for _ in range(1)), shown.append)


def test_a_kernel_goes_on_between(monkeypatch):
    """Every step is shown where no time need pass; a message in between is answered; the last is always shown."""
    monkeypatch.setattr(turns, "SHOWN", 0.0)

    async def kernel():
        shown, one = [], Turns()
        one.start(iter([1, 2, 3]), shown.append)
        assert (shown, one.running) == ([], True)
        while not shown:
            await asyncio.sleep(0)
        assert shown == [1]
        while one.running:
            await asyncio.sleep(0.001)
        monkeypatch.setattr(turns, "SHOWN", 1e9)
        one.start(iter([4, 5]), shown.append)
        while one.running:
            await asyncio.sleep(0.001)
        return shown

    assert asyncio.run(kernel()) == [1, 2, 3, 5]


def test_stopped_or_failed(monkeypatch):
    monkeypatch.setattr(turns, "SHOWN", 0.0)

    async def kernel():
        shown, errors, one = [], [], Turns()
        one.start(iter(range(1000)), shown.append)
        while len(shown) < 2:
            await asyncio.sleep(0)
        one.stop()
        await asyncio.sleep(0.01)
        assert len(shown) == 2
        assert not one.running
        one.start((1 / 0 for _ in range(1)), shown.append, errors.append)
        while one.running:
            await asyncio.sleep(0.001)
        return [type(error).__name__ for error in errors]

    assert asyncio.run(kernel()) == ["ZeroDivisionError"]


def test_what_runs_in_one_thread_is_stopped_from_another(monkeypatch):
    """As the page's messages and a cell are answered in threads of their own."""
    monkeypatch.setattr(turns, "SHOWN", 0.0)
    shown, one, some, ended = [], Turns(), threading.Event(), threading.Event()

    def show(step: int) -> None:
        shown.append(step)
        some.set()

    async def page() -> None:
        one.start(iter(range(1_000_000)), show)
        task = one._task
        with contextlib.suppress(asyncio.CancelledError):
            await task
        ended.set()

    thread = threading.Thread(target=lambda: asyncio.run(page()))
    thread.start()
    assert some.wait(10)
    one.stop()
    number = len(shown)
    assert ended.wait(10)
    thread.join()
    assert (len(shown), one.running) == (number, False)
