"""Colours of all figures and widgets, and the markers and dashes that say the same once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import matplotlib
import numpy as np
from matplotlib.colors import hsv_to_rgb, to_hex

Value = TypeVar("Value")

# On photographs.
SKY, PINK, MINT, ORANGE, VIOLET, YELLOW = "#4cc9f0", "#f72585", "#80ed99", "#ff9f1c", "#b388ff", "#f6f740"
#: Of labels 1, 2, ...; bright enough for photographs.
BRIGHT = (SKY, PINK, MINT, ORANGE, VIOLET, YELLOW, "#ff6b6b", "#2ec4b6", "#e0aaff", "#cddc39")
WHITE = "#ffffff"
CHOSEN = "#ffd400"  #: of the object or region that is looked at

# Of lines and bars.
INK, FAINT, GRID = "#6e7781", "#8c959f", "rgba(128,128,128,0.25)"  #: read on a light and on a dark page
CLEAR = "rgba(0,0,0,0)"
#: Okabe and Ito's colours, which people with any colour vision can distinguish.
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
ON_WHITE = (*OKABE_ITO, "#000000")  #: of figures that bring their own white ground
#: Of figures on the page's own ground, light or dark: a lighter blue, since Okabe and Ito's is dim on black.
ON_PAGE = ("#1a86c8", *OKABE_ITO[1:], INK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  #: matplotlib's
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")  #: plotly's

_SCORES = np.linspace(0, 1, 256)
#: RGBA in 0..1 [256, 4] of scores 0 to 1: the lower, the darker and the less transparent, as only what hurts counts.
SCORES = matplotlib.colormaps["YlOrRd_r"](_SCORES)
SCORES[:, 3] = np.minimum(0.85, 1.4 * (1 - _SCORES))


def cycle(values: Sequence[Value], place: int) -> Value:
    """The value at a place, from 0 on; after the last one they repeat."""
    return values[place % len(values)]


def colour(label: int) -> str:
    """The colour of a label in 1..K; they repeat after ten."""
    return cycle(BRIGHT, label - 1)


def palette(number: int) -> np.ndarray:
    """Colours [number] that differ as well as so many can; they are read on light and dark pages."""
    if number <= 10:
        return np.array([to_hex(one) for one in matplotlib.colormaps["tab10"].colors[:number]])
    hues = np.arange(number) / number
    light = np.where(np.arange(number) % 2, 0.85, 0.6)  # neighbours in hue differ in lightness
    return np.array([to_hex(hsv_to_rgb((hue, 0.85, value))) for hue, value in zip(hues, light, strict=True)])
