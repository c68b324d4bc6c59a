"""Hiders: what hides parts of training images, one method per file."""

from __future__ import annotations

from workbench.hiders.adversarial_placement import AdversarialPlacement
from workbench.hiders.base import Hider, Judge, Scene, after_hiding
from workbench.hiders.copy_paste import CopyPaste
from workbench.hiders.grid_mask import GridMask
from workbench.hiders.hide_and_seek import HideAndSeek
from workbench.hiders.paste import Paste
from workbench.hiders.random_erasing import RandomErasing
from workbench.registry import HIDERS

__all__ = [
    "AdversarialPlacement",
    "CopyPaste",
    "GridMask",
    "HideAndSeek",
    "Hider",
    "Judge",
    "Paste",
    "RandomErasing",
    "Scene",
    "after_hiding",
    "build_hiders",
]


def build_hiders(config: dict | list | str | None, *, place: str = "augment.hide") -> tuple[Hider, ...]:
    """The hiders that a recipe describes, in the order in which they act; None and an empty list are none.

    Args:
        config: {"kind": ..., and its options}, or a list of such.
        place: its key in the recipe, for messages; the parts of a list are counted from 0.

    Raises:
        RecipeError: a kind or option that does not exist; the message lists what does.

    Example:
        >>> build_hiders("grid-mask")[0].keep
        0.6
        >>> [hider.kind for hider in build_hiders([{"kind": "random-erasing", "where": "objects"}, "copy-paste"])]
        ['random-erasing', 'copy-paste']
    """
    if config is None:
        return ()
    if isinstance(config, list):
        return tuple(HIDERS.build(part, place=f"{place}.{number}") for number, part in enumerate(config))
    return (HIDERS.build(config, place=place),)
