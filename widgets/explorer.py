"""What widgets share that are set by controls: a change that fails is told on the page."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets
import traitlets

INK, GROUND = "#a40e26", "#ffebe9"  # of what went wrong


def alert(text: str, ink: str = INK, ground: str = GROUND) -> str:
    """A message as HTML, escaped, which screen readers say at once; nothing for no text."""
    style = f"color:{ink};background:{ground};padding:6px 10px;border-radius:4px;margin:2px 0;line-height:1.4"
    return f'<div role="alert" style="{style}">{html.escape(text)}</div>' if text else ""


class Explorer(ipywidgets.VBox):
    """Controls and what they show. A subclass gives `show`, which sets several traitlets and draws once.

    `error` says what went wrong with the last change.
    """

    error = traitlets.Unicode("", read_only=True)
    _silent = True  #: while several traitlets are set; of the class, as ipywidgets also closes what was never built

    def __init__(self) -> None:
        super().__init__(layout={"width": "100%"})
        self._message = ipywidgets.HTML()

    def show(self, **state: Any) -> None:
        """Set several traitlets and draw once."""
        raise NotImplementedError

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
