"""Whether the changes of training images (`augment`) fit what a recipe trains on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.training.recipe_sections import AugmentSpec

if TYPE_CHECKING:
    from workbench.detectors import Detector
    from workbench.hiders import Hider
    from workbench.training.recipe import Recipe

#: Keys for images of one class, and what does the same for detectors.
ONE_CLASS = {"crop": "fixed_size", "affine": "scale_jitter", "erase": "hide", "paste": "hide"}
SIZES = ("scale_jitter", "shortest_size", "fixed_size")  #: keys for images with objects


def image_misfits(recipe: Recipe, kind: type[Detector]) -> Iterator[str]:
    """What changes of images ask that detectors of a kind, or the recipe's own numbers, cannot do."""
    augment, detects = recipe.augment, kind.task == "detection"
    for key, instead in ONE_CLASS.items():
        if getattr(augment, key) is not None and detects:
            why = "boxes would not follow; it is for detector.kind: classifier"
            yield f"augment.{key}: {why}. For images with objects there is augment.{instead}"
    for key in SIZES:
        if getattr(augment, key) is not None and (not detects or kind.learns_from_patches):
            what = "patches" if kind.learns_from_patches else "images"
            instead = "" if detects else ", or use augment.crop"
            yield f"augment.{key}: a {kind.kind} sees {what} of one size; leave it out{instead}"
    if augment.scale_jitter is not None and augment.shortest_size is not None:
        yield "augment.shortest_size: augment.scale_jitter changes the scale already; leave one out"
    if augment.hide is not None and kind.learns_from_patches:
        yield f"augment.hide: a {kind.kind} learns from patches of images, each about one object; leave it out"
        return
    try:
        hiders = built(augment)
    except WorkbenchError as error:
        yield str(error)
        return
    for hider in hiders:
        if kind.task not in hider.tasks:
            what = f"{hider.kind} is for {' and '.join(hider.tasks)}"
            yield f"augment.hide: {what}, and a {kind.kind} is for {kind.task}"
        if hider.needs_batch and recipe.batch_size == recipe.processes:
            what = f"{hider.kind} takes objects from other images of the batch"
            yield f"augment.hide: {what}, and each process has one image; raise batch_size"


def built(augment: AugmentSpec) -> tuple[Hider, ...]:
    """The hiders of a recipe.

    Raises:
        RecipeError: one cannot be built.
    """
    if augment.hide is None:
        return ()
    from workbench.hiders import build_hiders  # late, as it imports torch

    return build_hiders(augment.hide)
