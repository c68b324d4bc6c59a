"""Which detectors are asked, by the names to show, and where they run meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import nn

from workbench.detectors.base import Ability, asked
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.evaluation.evaluate import is_results_file


def named(given: DetectorLike | Mapping[str, DetectorLike], ability: type[Ability]) -> dict[str, Ability]:
    """Detectors by the names to show.

    Raises:
        DataError: there are none, or one is a file of results.
        WorkbenchError: one lacks the ability.
    """
    things = dict(given) if isinstance(given, Mapping) else {_name(given): given}
    if not things:
        raise DataError("no detector; give one, or several as {name: detector}")
    detectors = {}
    for name, thing in things.items():
        if is_results_file(thing):
            raise DataError(f"{thing}: a file of results cannot look at occluded images; give the detector itself")
        detectors[str(name)] = asked(as_detector(thing), ability)
    return detectors


def _name(thing: object) -> str:
    if isinstance(thing, str | Path):
        return str(thing)
    known = (getattr(thing, key, None) for key in ("name", "kind"))  # a run has a name, our detectors a kind
    return next((one for one in known if isinstance(one, str) and one), type(thing).__name__)


def move(detector: object, device: torch.device | str | None, moved: ExitStack) -> None:
    """Put a detector that is a module on a device until `moved` is closed."""
    home = next(detector.parameters(), None) if isinstance(detector, nn.Module) else None
    if device is not None and isinstance(detector, nn.Module) and home is not None:
        moved.callback(detector.to, home.device)
        detector.to(device)
