"""Widgets that are set by controls: each change draws, and one that fails says so on the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets
import traitlets

from widgets.parts.messages import alert
from widgets.parts.panel import Panel
from widgets.parts.selection import Selects


class Explorer(Selects, Panel):
    """Controls and what they show. A subclass gives `STATE` and `_show`, and calls `_begin` with its parts.

    `error` says what went wrong with the last change; such a change leaves everything as it was.
    """

    error = traitlets.Unicode("", read_only=True)

    def __init__(self) -> None:
        super().__init__()
        self._message = ipywidgets.HTML()

    def show(self, **state: Any) -> None:
        """Set several traitlets, and what follows from them, and draw once."""
        with self._all_or_nothing():
            self._show(**state)
        self._announce()

    def _show(self, **state: Any) -> None:
        raise NotImplementedError

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.show(**state)

    def _go_back(self, kept: Mapping[str, Any]) -> None:
        super()._go_back(kept)
        self._show(**kept)

    def _begin(self, parts: Sequence[ipywidgets.Widget], **state: Any) -> None:
        """Consist of these parts, show this, and from now on what the controls say."""
        self.fill(parts)
        self._show(**state)
        self._when_changed(self._on_change)
        self._announce()

    def _on_change(self, change: dict[str, Any]) -> None:
        name, before = change["name"], change["old"]
        self._guarded(lambda: self._change(name, before, change["new"]))

    def _change(self, name: str, before: Any, new: Any) -> None:
        with self._all_or_nothing(**{name: before}):
            self._show(**{name: new})
        self._announce()

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do it and show what went wrong: nobody would see an exception from a control."""
        try:
            action()
            text = ""
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
        self.set_trait("error", text)
        self._show_notice()

    def _show_notice(self) -> None:
        """Say what went wrong with the last change, or else what cannot be shown of a linked widget."""
        self._message.value = alert(self.error) or alert(getattr(self, "notice", ""), "warning")
