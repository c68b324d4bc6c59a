"""Figures on a page's own ground: no ground of theirs, and ink that is read on a light or on a dark page."""

from __future__ import annotations

from typing import Any

import matplotlib
from matplotlib.colors import to_rgba

INK, INK_ON_DARK = "#1f2328", "#e6edf3"  #: of texts and axes, on a light page and on a dark one
#: What matplotlib draws in the page's ink.
_INKED = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor", "legend.labelcolor")


def settings(*, dark: bool) -> dict[str, Any]:
    """Matplotlib's settings for figures on a page, to be made within `matplotlib.rc_context`."""
    return {
        **dict.fromkeys(_INKED, INK_ON_DARK if dark else INK),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
        "grid.color": "#8c959f",
    }


def ink(opacity: float = 1.0) -> tuple[float, float, float, float]:
    """The colour of texts as matplotlib's settings have it now, for lines that shall be read as they are."""
    return to_rgba(matplotlib.rcParams["text.color"], opacity)
