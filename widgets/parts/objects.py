"""Objects of an image that can be chosen: their names in a list, and the one to begin with."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.analysis.occlusion_probe import Thing
from workbench.types import Target


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
