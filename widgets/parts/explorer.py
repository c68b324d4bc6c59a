"""Widgets that are set by controls: each change draws, and one that fails says so on the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets
import traitlets

from widgets.parts.messages import alert
from widgets.parts.state import HasState


class Explorer(HasState, ipywidgets.VBox):
    """Controls and what they show. A subclass gives `STATE` and `show`, and calls `_begin` when its parts are there.

    `error` says what went wrong with the last change.
    """

    error = traitlets.Unicode("", read_only=True)

    def __init__(self) -> None:
        super().__init__(layout={"width": "100%"})
        self._message = ipywidgets.HTML()

    def show(self, **state: Any) -> None:
        """Set several traitlets and draw once."""
        raise NotImplementedError

    def _begin(self, **state: Any) -> None:
        """Show this, and from now on what the controls say."""
        self.show(**state)
        self._when_changed(self._on_change)

    def _on_change(self, change: dict[str, Any]) -> None:
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
