"""Long computations between other messages: the widget goes on answering while a picture grows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

from widgets.parts.state import TURN

SHOWN = 0.25  #: seconds between two pictures of what grows
PAUSE = 0.001  #: seconds in which other messages are answered


class Turns:
    """One computation at a time, step by step; a new one ends that before."""

    def __init__(self) -> None:
        self._task: asyncio.Task | None = None

    @property
    def running(self) -> bool:
        """Whether one goes on."""
        return self._task is not None and not self._task.done()

    def start(
        self, steps: Iterator[Any], show: Callable[[Any], None], failed: Callable[[Exception], None] | None = None
    ) -> None:
        """Take all steps and show what they give: the last one always, others when some time has passed.

        Where no event loop runs, as in a script, all are taken before this returns, and what goes wrong is raised.

        Args:
            steps: what is computed.
            show: is given what a step gives.
            failed: is given what a step raises later on.
        """
        self.stop()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            last = None
            for last in steps:  # noqa: B007  only the last one is seen
                pass
            if last is not None:
                show(last)
        else:
            self._task = loop.create_task(self._take(steps, show, failed))

    def stop(self) -> None:
        """Leave it as it is."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.get_loop().call_soon_threadsafe(task.cancel)  # it may be that of another thread

    async def _take(
        self, steps: Iterator[Any], show: Callable[[Any], None], failed: Callable[[Exception], None] | None
    ) -> None:
        shown, last, is_new = 0.0, None, False
        try:
            for last in _each(steps):
                is_new = True
                if time.monotonic() - shown >= SHOWN:
                    self._say(show, last)
                    shown, is_new = time.monotonic(), False
                await asyncio.sleep(PAUSE)
            if is_new:
                self._say(show, last)
        except Exception as error:
            if failed is None:
                raise
            self._say(failed, error)

    def _say(self, action: Callable[[Any], None], what: Any) -> None:
        """Unless it was stopped meanwhile."""
        with TURN:
            if self._task is asyncio.current_task():
                action(what)


def _each(steps: Iterator[Any]) -> Iterator[Any]:
    """The same steps, while none of which a widget is changed."""
    while True:
        with TURN:
            try:
                one = next(steps)
            except StopIteration:
                return
        yield one
