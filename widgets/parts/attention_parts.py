"""What the explorers are put together from: where detectors come from, controls, and pictures of figures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import ipywidgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from workbench.analysis.occlusion_probe import Thing
from workbench.detectors.base import Detector
from workbench.training import Run
from workbench.types import Target

COLUMNS = 6  # checkpoints or objects in a comparison, at most
WIDE = {"style": {"description_width": "92px"}, "layout": {"width": "100%"}}  # of a control
LAST = -1  # in place of a step: the final detector, or the latest while a run goes on


class Source:
    """A detector, or a run with a detector for each checkpoint, with its hardener where that is asked for."""

    def __init__(self, thing: Detector | Run, *, hardener: bool = False):
        self._options = {"hardener": True} if hardener else {}
        self.run = thing if isinstance(thing, Run) else None
        self._fixed = thing
        self._load = lru_cache(maxsize=COLUMNS + 2)(self._read)

    @property
    def steps(self) -> list[int]:
        """Of the checkpoints that are kept; none for a plain detector."""
        return [] if self.run is None else [step for step, _ in self.run.checkpoints]

    def detector(self, step: int = LAST) -> Detector:
        """That of a checkpoint."""
        if self.run is None:
            return self._fixed
        newest = (self.run.status, *self.steps[-1:]) if step == LAST else ()
        return self._load(step, newest)

    def _read(self, step: int, _: tuple) -> Detector:
        return self.run.detector(None if step == LAST else step, **self._options)


def png(figure: Figure) -> bytes:
    """A figure as PNG, packed for speed."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    out = io.BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(out, "PNG", compress_level=1)
    return out.getvalue()


def named(detectors: Any) -> dict[str, Detector | Run]:
    """Detectors and runs by name, as given: one, a list of runs, or a mapping."""
    if isinstance(detectors, Mapping):
        return {str(name): thing for name, thing in detectors.items()}
    things = list(detectors) if isinstance(detectors, Sequence) else [detectors]
    found: dict[str, Detector | Run] = {}
    for thing in things:
        name = thing.name if isinstance(thing, Run) else "detector"
        found[name if name not in found else f"{name} ({len(found) + 1})"] = thing
    return found


def controls_for(sources: list[str], images: int, question: str) -> dict[str, ipywidgets.Widget]:
    """A control for each traitlet of every explorer, by its name; those that leave no choice are hidden.

    question: what the class is wanted for.
    """
    controls = {
        "detector": ipywidgets.Dropdown(options=sources, description="Detector", **WIDE),
        "step": ipywidgets.SelectionSlider(options=[("last", LAST)], description="Checkpoint", **WIDE),
        "index": ipywidgets.IntSlider(min=0, max=images - 1, description="Image", **WIDE),
        "chosen": ipywidgets.Dropdown(options=[], description="Object", **WIDE),
        "label": ipywidgets.Dropdown(options=[("background", 0)], description=question, **WIDE),
    }
    if len(sources) == 1:
        controls["detector"].layout.display = "none"
    if images == 1:
        controls["index"].layout.display = "none"
    return controls


def describe(place: int, thing: Thing, target: Target | None) -> str:
    """An object in a list; true ones come first, in the target's order."""
    if thing.source is not None:
        return f"{place + 1}: {thing.name}, found"
    hidden = float(target["occlusion"][place]) if "occlusion" in target else float("nan")
    return f"{place + 1}: {thing.name}" + (f", {hidden:.0%} hidden" if hidden > 0 else "")


def largest(objects: Sequence[Thing]) -> int | None:
    """The largest true object, or else the largest that was found; None if there is none."""
    order = sorted(range(len(objects)), key=lambda place: (objects[place].source is not None, -objects[place].area))
    return order[0] if order else None


def thinned(steps: Sequence[int], wanted: int) -> list[int]:
    """At most COLUMNS steps, evenly, with the first, the last and the wanted one."""
    places = np.linspace(0, len(steps) - 1, min(COLUMNS, len(steps))).round().astype(int)
    some = {steps[place] for place in places}
    return sorted(some | ({wanted} & set(steps)))
