"""The state of a widget: several traitlets set at once, and no answer to what the widget changes itself.

JupyterLab 4.4 and later answers what comes from the page in a thread of its own (a subshell of the kernel), also
while a cell runs. So that neither meets what the other has half done, both take turns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import traitlets

from workbench.errors import DataError

#: Held by who changes widgets: one for all of them, as linked ones change each other.
TURN = threading.RLock()


class HasState(traitlets.HasTraits):
    """A widget with traitlets that can be set from Python, with controls or in the browser.

    A subclass names them in `STATE` and watches them with `_when_changed`.
    """

    STATE: tuple[str, ...] = ()  #: the traitlets that can be set, in the order in which they are set
    _silent = False  # of the class, as ipywidgets also closes what was never built

    @contextmanager
    def _silently(self) -> Iterator[None]:
        """Changes in this context are not answered; contexts may lie in each other."""
        with TURN:
            before, self._silent = self._silent, True
            try:
                yield
            finally:
                self._silent = before

    def _when_changed(self, action: Callable[[dict[str, Any]], None], *names: str) -> None:
        """Call `action(change)` when one of these traitlets, or of `STATE`, changes, but not in `_silently`."""
        self.observe(self._unless_silent(action), list(names or self.STATE))

    def _unless_silent(self, action: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
        """The action, for `observe` of a control; it is not taken in `_silently`."""

        def answer(change: dict[str, Any]) -> None:
            with TURN:
                if not self._silent:
                    action(change)

        return answer

    def _apply(self, state: Mapping[str, Any]) -> None:
        """Set these traitlets, and what follows from each, silently. Raises DataError for other names."""
        self._check_names(state)
        with self._silently():
            for name in self.STATE:
                if name in state:
                    setattr(self, name, state[name])
                    self._follow(name, state)

    @contextmanager
    def _all_or_nothing(self, **before: Any) -> Iterator[None]:
        """What fails in this context leaves everything as it was.

        Args:
            before: values of traitlets that were changed already.
        """
        with TURN:
            kept = {**self._remembered(), **before}
            try:
                yield
            except BaseException:
                with suppress(Exception), self._silently():  # the first error says more than a second one
                    self._go_back(kept)
                raise

    def _remembered(self) -> dict[str, Any]:
        """What `_go_back` needs: the values of `STATE`."""
        return {name: getattr(self, name) for name in self.STATE}

    def _go_back(self, kept: Mapping[str, Any]) -> None:
        """Be again as it was."""
        self._apply(kept)

    def _check_names(self, state: Mapping[str, Any]) -> None:
        if unknown := set(state) - set(self.STATE):
            raise DataError(f"{type(self).__name__} has no {sorted(unknown)}; it has {', '.join(self.STATE)}")

    def _follow(self, name: str, state: Mapping[str, Any]) -> None:
        """Set what follows from the new value of one traitlet, when it is one of `state`."""
