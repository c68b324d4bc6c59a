"""The doctor for changes of training images: what makes them do nothing, or something else than was meant."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.data import Dataset
from workbench.data.reading.problems import Level, Problem
from workbench.detectors import Detector
from workbench.detectors.layers.proposing import SeesMaps
from workbench.detectors.layers.trunk import KeepSize
from workbench.training.recipe import Recipe
from workbench.training.recipe_images import built
from workbench.training.recipe_sections import AugmentSpec
from workbench.training.stepping.obstacles import hiding_obstacles

ALWAYS = ("crop", "affine", "scale_jitter", "shortest_size", "photometric")  #: keys whose changes are never the same
SOMETIMES = ("erase", "paste")  #: keys that are the chance of such a change


def check_images(recipe: Recipe, detector: Detector | None, data: Dataset) -> Iterator[Problem]:
    """What is wrong with the changes of images that a recipe asks for."""
    augment = recipe.augment
    hiders = built(augment)
    yield from hiding_obstacles(hiders, data)
    if hiders and not any(stage.harden for stage in recipe.stages):
        what = "no stage hides anything: all have harden: false"
        yield Problem("warning", "augment.hide", what, "Leave harden true in a stage that trains the detector.")
    for hider in hiders:
        first = recipe.stages[0]
        if hider.needs_detector and not hider.ramp and recipe.start is None and first.harden:
            what = f"{hider.kind} asks a detector that has learned nothing yet"
            fix = "Give it a ramp, as 0.3, or a first stage with harden: false."
            yield Problem("warning", "augment.hide.ramp", what, fix)
        if hider.chance == 0:
            yield Problem("warning", "augment.hide.chance", f"{hider.kind} never acts", "Raise it, or leave it out.")
    yield from _undone(augment, detector)
    yield from _cached(recipe)


def _undone(augment: AugmentSpec, detector: Detector | None) -> Iterator[Problem]:
    """Changes of scale that the detector takes back, as it resizes images itself."""
    if augment.fixed_size is not None or not isinstance(detector, SeesMaps):
        return
    if isinstance(detector.transform, KeepSize):
        return
    for key in ("scale_jitter", "shortest_size"):
        if getattr(augment, key) is not None:
            what = "the detector resizes all images to its min_size, which undoes it"
            fix = "Set augment.fixed_size, so that scales differ in images of one size, or detector.min_size: null."
            yield Problem("warning", f"augment.{key}", what, fix)


def _cached(recipe: Recipe) -> Iterator[Problem]:
    """Images that never come again, for a trunk that remembers what it has seen."""
    backbone = recipe.detector.get("backbone")
    if not (isinstance(backbone, dict) and backbone.get("cache")):
        return
    chances = {f"augment.{key}": 1.0 for key in ALWAYS if getattr(recipe.augment, key) is not None}
    chances |= {f"augment.{key}": value for key in SOMETIMES if (value := getattr(recipe.augment, key)) is not None}
    for hider in built(recipe.augment):
        name = f"augment.hide: {hider.kind}"
        chances[name] = 1.0 if hider.needs_detector else max(hider.chance, chances.get(name, 0.0))
    for name, chance in chances.items():
        level: Level = "error" if chance >= 1 else "warning"
        how = "every image" if chance >= 1 else f"{chance:.0%} of the images"
        what = f"{name} changes {how} anew each time, and the maps of images that never come again fill the cache"
        yield Problem(level, "detector.backbone.cache", what, "Set detector.backbone.cache: false.")
