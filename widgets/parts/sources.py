"""Where a widget's detectors come from: given as they are, or from the checkpoints of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.data.dataset import evenly_spaced
from workbench.detectors.base import Detector
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.files import user_path
from workbench.training import Run

COLUMNS = 6  #: checkpoints or objects in a comparison, at most
LAST = -1  #: in place of a step: the final detector, or the latest while a run goes on


class Source:
    """A detector, or a run with a detector for each checkpoint, with its hardener where that is asked for."""

    def __init__(self, thing: DetectorLike, *, hardener: bool = False):
        self._hardener = hardener
        self.run = _run(thing)
        self._fixed = None if self.run is not None else as_detector(thing)
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

    def learned_steps(self, step: int = LAST) -> int | None:
        """How many of the steps up to a checkpoint its adversary learned in; None for a plain detector."""
        if self.run is None:
            return None
        newest = self.steps[-1] if self.steps else self.run.recipe.steps  # without checkpoints it is the final one
        left, learned = (newest if step == LAST else step), 0
        for stage in self.run.recipe.stages:
            done = min(left, stage.steps)
            learned += done if stage.train != "detector" and stage.harden else 0
            left -= done
        return learned

    def _read(self, step: int, _: tuple) -> Detector:
        return self.run.detector(None if step == LAST else step, hardener=self._hardener)


def named(given: Any, what: str = "detector") -> dict[str, Any]:
    """What a widget is about (detectors, runs, names, results), by name: one, a list or a mapping of them.

    Raises:
        DataError: there is none; `what` says of what.
    """
    found: dict[str, Any] = {}
    if isinstance(given, Mapping):
        found = {str(name): thing for name, thing in given.items()}
    else:
        several = isinstance(given, Sequence) and not isinstance(given, str)
        for thing in given if several else [given]:
            name = _name(thing)
            found[name if name not in found else f"{name} ({len(found) + 1})"] = thing
    if not found:
        raise DataError(f"no {what} to explore; give a {what}, or a dict of name → {what}")
    return found


def _name(thing: DetectorLike) -> str:
    if isinstance(thing, Run):
        return thing.name
    return (Path(thing).name or str(thing)) if isinstance(thing, str | Path) else "detector"


def _run(thing: DetectorLike) -> Run | None:
    """The run that is given, or whose folder is."""
    if isinstance(thing, Run):
        return thing
    is_folder = isinstance(thing, str | Path) and user_path(thing, DataError).is_dir()
    return Run.open(thing) if is_folder else None


def thinned(steps: Sequence[int], wanted: int) -> list[int]:
    """At most COLUMNS steps, evenly, with the first, the last and the wanted one."""
    some = {steps[place] for place in evenly_spaced(len(steps), COLUMNS)}
    return sorted(some | ({wanted} & set(steps)))
