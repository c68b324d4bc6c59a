"""What a slider's move costs the kernel in the explorers: asking the detector, and drawing what has changed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle

import ipywidgets
from measure import Row, milliseconds

from widgets import AdversaryExplorer, AttentionExplorer, PyramidExplorer
from workbench import load_data, load_detector

AIM = 150.0  #: milliseconds from a move to what it shows
SLIDERS = {
    AttentionExplorer: {"drop_cells": (0.2, 0.4, 0.6), "index": (5, 6, 7)},
    AdversaryExplorer: {"sample": (1, 2, 3), "stride": (1, 2, 3), "index": (5, 6, 7)},
    PyramidExplorer: {"proposals": (50, 100, 150), "chosen": (1, 2, 3), "index": (5, 6, 7)},
}


def moved(explorer: ipywidgets.Widget, slider: str, values: Iterable[float]):
    """Moves a slider to the next of some values."""
    following = cycle(values)
    return lambda: setattr(explorer, slider, next(following))


def run(quick: bool) -> list[Row]:
    """Every slider of three explorers with the shipped detector on digit scenes."""
    data, detector = load_data("digit-scenes", split="test", length=8), load_detector("digit-scenes/faster-rcnn")
    rows = []
    for kind, sliders in SLIDERS.items():
        for slider, values in sliders.items():
            explorer = kind(detector, data, index=7)
            job = f"{kind.__name__}, {slider}"
            aim = None if (kind, slider) == (PyramidExplorer, "index") else AIM  # its pictures come one after another
            rows.append(milliseconds(job, moved(explorer, slider, values), aim=aim, rounds=6 if quick else 15))
    return rows
