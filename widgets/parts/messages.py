"""Short texts as HTML, always escaped: messages, badges, and names with their colours."""

from __future__ import annotations

import html
from collections.abc import Mapping

import ipywidgets

from widgets.parts.seen import HINT, Drawable
from workbench.figures.still import Key

#: Ink and ground of what a text is about; the text says what colour shows, and both can be read.
TONES = {
    "error": ("#a40e26", "#ffebe9"),
    "warning": ("#7d4e00", "#fff8c5"),
    "information": ("#0550ae", "#ddf4ff"),
    "success": ("#116329", "#dafbe1"),
    "neutral": ("#424a53", "#eaeef2"),
}


def alert(text: str, tone: str = "error") -> str:
    """A message that screen readers say at once; empty for no text."""
    return _message(text, tone, "alert")


def note(text: str) -> str:
    """A message that screen readers say when there is time; empty for no text."""
    return _message(text, "information", "status")


def _message(text: str, tone: str, role: str) -> str:
    ink, ground = TONES[tone]
    style = f"color:{ink};background:{ground};padding:6px 10px;border-radius:4px;margin:2px 0;line-height:1.4"
    return f'<div role="{role}" style="{style}">{html.escape(text)}</div>' if text else ""


def badge(text: str, tone: str) -> str:
    """A word or two on a ground of their own."""
    ink, ground = TONES[tone]
    style = f"color:{ink};background:{ground};border-radius:10px;padding:2px 10px;white-space:nowrap"
    return f'<span role="status" style="{style}">{html.escape(text)}</span>'


def hint(text: str) -> ipywidgets.HTML:
    """What can be done on the page, in HTML; a still picture leaves it out."""
    return ipywidgets.HTML(f"<div style='margin-top:8px'>{text}</div>").add_class(HINT)


class Chips(Drawable, ipywidgets.HTML):
    """Names with their colours."""

    key: Key | None = None

    def show(self, title: str, key: Mapping[str, str]) -> None:
        """A title, and names with these colours."""
        self.key, self.value = Key(title, dict(key)), chips(title, key)

    def still(self) -> Key | None:
        """The same."""
        return self.key


def chips(title: str, key: Mapping[str, str]) -> str:
    """A title, and names with their colours."""
    each = (
        f'<span style="white-space:nowrap;margin-right:12px"><span style="color:{colour}">■</span> '
        f"{html.escape(name)}</span>"
        for name, colour in key.items()
    )
    return f'<div style="line-height:1.5">{html.escape(title)} {" ".join(each)}</div>'
