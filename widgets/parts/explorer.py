"""What widgets share that are set by controls: a change that fails is told on the page."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ipywidgets
import traitlets

from workbench.errors import DataError

INK, GROUND = "#a40e26", "#ffebe9"  # of what went wrong


def alert(text: str, ink: str = INK, ground: str = GROUND) -> str:
    """A message as HTML, escaped, which screen readers say at once; nothing for no text."""
    style = f"color:{ink};background:{ground};padding:6px 10px;border-radius:4px;margin:2px 0;line-height:1.4"
    return f'<div role="alert" style="{style}">{html.escape(text)}</div>' if text else ""


class Explorer(ipywidgets.VBox):
    """Controls and what they show. A subclass gives `STATE` and `show`, and calls `_begin` when its parts are there.

    `error` says what went wrong with the last change.
    """

    STATE: tuple[str, ...]  #: the traitlets that `show` sets, in the order in which they are set

    error = traitlets.Unicode("", read_only=True)
    _silent = True  #: while several traitlets are set; of the class, as ipywidgets also closes what was never built

    def __init__(self) -> None:
        super().__init__(layout={"width": "100%"})
        self._message = ipywidgets.HTML()

    def show(self, **state: Any) -> None:
        """Set several traitlets and draw once."""
        raise NotImplementedError

    def _begin(self, **state: Any) -> None:
        """Show this, and from now on what the controls say."""
        self.show(**state)
        self.observe(self._on_change, list(self.STATE))
        self._silent = False

    def _take(self, state: Mapping[str, Any]) -> None:
        """Set these traitlets, and what follows from each, without drawing. Raises DataError for other names."""
        if unknown := set(state) - set(self.STATE):
            raise DataError(f"{type(self).__name__} has no {sorted(unknown)}; it has {', '.join(self.STATE)}")
        with self._silently():
            for name in self.STATE:
                if name in state:
                    setattr(self, name, state[name])
                    self._follow(name, state)

    def _follow(self, name: str, state: Mapping[str, Any]) -> None:
        """Set what follows from the new value of one traitlet, when it is one of `state`."""

    @contextmanager
    def _silently(self) -> Iterator[None]:
        before, self._silent = self._silent, True
        try:
            yield
        finally:
            self._silent = before

    def _on_change(self, change: dict[str, Any]) -> None:
        if not self._silent:
            self._guarded(self.show, **{change["name"]: change["new"]})

    def _guarded(self, action: Callable[..., None], **state: Any) -> None:
        """Do it and show what went wrong: nobody would see an exception from a control."""
        try:
            action(**state)
            text = ""
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
        self.set_trait("error", text)
        self._message.value = alert(text)
