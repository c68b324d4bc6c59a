"""The doctor for recipes: what will go wrong in a training, said before it costs hours.

Finds what users of detectors report most: a learning rate meant for eight GPUs on one, anchors that miss the objects,
images without objects, test data used for choices, more threads than cores.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from workbench.data import Dataset, check_anchors, check_data
from workbench.data.dataset import evenly_spaced
from workbench.data.doctor_images import check_labelled_images, check_leaks
from workbench.data.reading.problems import Level, Problem, Report
from workbench.detectors import Detector, build_detector
from workbench.detectors.base import HasAnchors
from workbench.detectors.load import start_from
from workbench.detectors.locate import locate
from workbench.errors import RecipeError, RunError, WorkbenchError
from workbench.evaluation.proposal_recall import proposal_problems
from workbench.hardeners import build_hardener
from workbench.registry import HARDENERS
from workbench.training.preflight_images import check_images
from workbench.training.processes.world import choose_device, choose_precision, device_count
from workbench.training.recipe import Recipe
from workbench.training.recipe_sections import DataSpec, Stage
from workbench.training.stepping.batches import load_spec
from workbench.training.stepping.obstacles import (
    DECODED,
    lacks_labels,
    lacks_proposals,
    misfits_of_classes,
    missing_files,
    sample,
    unknown_losses,
)
from workbench.types import learnable

SAMPLE = 200  #: images whose targets are looked at
SIZES = 4  #: most frequent image sizes for which anchors are compared
BOXES = 100  #: objects per size

#: Highest usual learning rate: SGD's grows with the batch (0.02 for 16 images, Goyal et al. 2017), Adam's hardly.
SGD_LR_PER_IMAGE = 0.02 / 16
ADAMW_LR = 2e-3
TOO_HIGH = 3.0  #: times the usual rate: a warning; three times that: an error


def doctor(thing: Recipe | str | Path | Dataset) -> Report:
    """What is wrong with a recipe or a data set, before it costs hours.

    Args:
        thing: a recipe, the name or file of one, or a data set.

    Returns:
        The problems, errors first; `report.ok`: no error.

    Raises:
        RecipeError: the recipe is not valid, or it is something else.

    Example:
        >>> recipe = wb.Recipe.load("digit-scenes/faster-rcnn")
        >>> wb.doctor(recipe).ok
        True
        >>> report = wb.doctor(recipe.replace({"stages.0.lr": 1.0}))
        >>> report.ok, report.problems[0].where
        (False, 'stages.0.lr')
    """
    if isinstance(thing, str | Path):
        thing = Recipe.load(thing)
    if isinstance(thing, Dataset):
        return check_data(thing)
    if isinstance(thing, Recipe):
        return check_recipe(thing)
    raise RecipeError(f"the doctor examines a recipe or a data set, not a {type(thing).__name__}")


def check_recipe(recipe: Recipe) -> Report:
    """Look at the recipe's numbers, at a sample of its data, and at its detector's anchors on that sample."""
    problems = [*_learning_rates(recipe), *_hardener(recipe), *_machine(recipe), *_splits(recipe)]
    loaded: dict[str, Dataset] = {}
    failed = defaultdict(list)  # what several parts have in common is said once
    for key in ("data", "validation", "test"):
        spec = getattr(recipe, key)
        try:
            if spec is not None:
                loaded[key] = load_spec(spec)
        except WorkbenchError as error:
            failed[str(error)].append(key)
    for what, keys in failed.items():
        fix = "Correct the data, or how the recipe names them."
        problems.append(Problem("error", ", ".join(keys), what.rstrip("."), fix))
    problems += misfits_of_classes(loaded)
    for each in loaded.values():
        problems += missing_files(each)
    data, subject = loaded.get("data"), f"recipe {recipe.name}"
    if data is None or len(data) == 0:
        problems += _start(recipe)
        if data is not None:
            problems.append(Problem("error", "data", "there are no images", "Check root and split."))
        return Report(subject, problems)
    detector, found = _build(recipe, data)
    problems += [*found, *_length(recipe, data), *check_images(recipe, detector, data)]
    if data.columns is not None:
        problems += [*check_labelled_images(data, limit=SAMPLE).problems, *_vectors(recipe)]
        problems += check_leaks(data, loaded["test"]) if "test" in loaded else []
    else:
        problems += _sampled(data)
        problems += [] if detector is None else [*lacks_proposals(detector, loaded), *_fit(recipe, detector, data)]
    if len(data) > DECODED and data.path(0) is not None:
        subject += f" ({DECODED} of {len(data)} training images were decoded; the doctor of data decodes all)"
    return Report(subject, problems)


def _learning_rates(recipe: Recipe) -> Iterator[Problem]:
    for index, stage in enumerate(recipe.stages):
        lr, sgd = recipe.scaled_lr(stage), recipe.optimizer.kind == "sgd"
        usual = SGD_LR_PER_IMAGE * recipe.batch_size if sgd else ADAMW_LR
        if lr > TOO_HIGH * usual:
            level: Level = "error" if lr > TOO_HIGH**2 * usual else "warning"
            what = (
                f"learning rate {lr:.3g} for {recipe.batch_size} images ({stage.lr:g} stated for "
                f"{recipe.lr_batch_size}) is {lr / usual:.0f} times the highest usual one of {recipe.optimizer.kind}"
            )
            fix = "Set lr_batch_size to the batch that the rate was published for (16 for eight GPUs), or lower lr."
            yield Problem(level, f"stages.{index}.lr", what, fix)
        schedule = stage.schedule or recipe.schedule
        if schedule.kind != "one-cycle" and schedule.warmup >= stage.steps:
            what = f"all {stage.steps} steps are warm-up ({schedule.warmup}): the rate never gets to {lr:.3g}"
            yield Problem("warning", "schedule.warmup", what, "Warm up over fewer steps, or train for more.")
        if sgd and _cold_start(stage, recipe):
            what = "SGD starts at the full learning rate"
            yield Problem("warning", "schedule.warmup", what, "Warm up over some hundred steps.")


def _cold_start(stage: Stage, recipe: Recipe) -> bool:
    schedule = stage.schedule or recipe.schedule
    return schedule.kind != "one-cycle" and schedule.warmup == 0 and stage is recipe.stages[0]


def _hardener(recipe: Recipe) -> Iterator[Problem]:
    """What makes an adversary silently do nothing, or nothing useful."""
    if recipe.hardener is None:
        return
    if not any(stage.train != "hardener" and stage.harden for stage in recipe.stages):
        what = "no stage trains the detector on hardened features"
        yield Problem("warning", "stages", what, "Leave harden true in a stage that trains the detector.")
    trains = [stage.train for stage in recipe.stages]
    if recipe.hardener_learns and set(trains) == {"detector"}:
        what = "no stage trains the adversary; it acts by its random first weights"
        yield Problem("warning", "stages", what, "Add a stage with train: hardener or train: both.")
    parts = recipe.hardener if isinstance(recipe.hardener, list) else [recipe.hardener]
    share = recipe.batch_size // recipe.processes
    if any(isinstance(clean := part.get("clean_images"), int) and clean >= share for part in parts):
        what = f"all {share} images of a process's batch stay clean"
        yield Problem("error", "hardener.clean_images", what, "Leave fewer images of a batch clean.")
    kinds = [HARDENERS.class_of(part["kind"]) for part in parts]
    if (
        any(kind.pretrains for kind in kinds)
        and "both" in trains
        and "hardener" not in trains[: trains.index("both")]
    ):
        what = "the adversary learns jointly without having been pre-trained on the search"
        yield Problem("warning", "stages", what, "Put a stage with train: hardener before the one with train: both.")


def _machine(recipe: Recipe) -> Iterator[Problem]:
    try:
        device = choose_device(recipe.device)
    except WorkbenchError as error:
        yield Problem("error", "device", str(error), "Use auto, or a device of this machine.")
        return
    cores = os.cpu_count() or 1
    wanted = recipe.processes * (recipe.threads or 1)
    if device.type == "cpu" and wanted > cores:
        what = f"{recipe.processes} processes of {recipe.threads or 1} threads share {cores} cores"
        yield Problem("warning", "processes", what, "More threads than cores run several times slower: use fewer.")
    if device.type != "cpu" and recipe.processes > (there := device_count(device.type)):
        what = f"{recipe.processes} processes, but {there} {device.type.upper()} devices"
        yield Problem("error", "processes", what, "Use one process per device.")
    slow = recipe.precision == "bf16" and choose_precision("auto", device) is torch.float32
    if slow:
        what = f"bf16 is not faster than float32 on this {device.type}"
        yield Problem("warning", "precision", what, "Use auto.")


def _splits(recipe: Recipe) -> Iterator[Problem]:
    cases: tuple[tuple[str, str, Level, str], ...] = (
        ("test", "data", "error", "the detector would be tested on its training data"),
        ("validation", "data", "warning", "validation on the training data shows no overfitting"),
        ("validation", "test", "warning", "choices made on the test data make its figures too good"),
    )
    for key, other, level, what in cases:
        one, two = getattr(recipe, key), getattr(recipe, other)
        if one is not None and two is not None and _same(one, two):
            yield Problem(level, f"{key}.split", f"it is the same as {other}.split; {what}", "Use another split.")


def _same(one: DataSpec, two: DataSpec) -> bool:
    return (one.name, one.split, one.root, one.options) == (two.name, two.split, two.root, two.options)


def _start(recipe: Recipe) -> Iterator[Problem]:
    try:
        if recipe.start is not None:
            locate(recipe.start)
    except WorkbenchError as error:
        yield Problem("error", "start", str(error), "Train that detector first, or name another one.")


def _build(recipe: Recipe, data: Dataset) -> tuple[Detector | None, list[Problem]]:
    """The detector as the training will begin with it, but for ImageNet weights that would have to be downloaded."""
    backbone = recipe.detector.get("backbone")
    local = isinstance(backbone, dict) and backbone.get("weights") != "imagenet"
    try:
        hardener, pretrained = build_hardener(recipe.hardener), recipe.start is None and local
        detector = build_detector(recipe.detector, data.classes, hardener, pretrained=pretrained)
    except WorkbenchError as error:
        return None, [Problem("error", "detector", str(error), "Correct the options."), *_start(recipe)]
    try:
        if recipe.start is not None:
            start_from(detector, recipe.start)
    except WorkbenchError as error:
        return detector, [Problem("error", "start", str(error), "Train that detector first, or name another one.")]
    return detector, []


def _vectors(recipe: Recipe) -> Iterator[Problem]:
    """Whether DFV augmentation meets a trained network."""
    parts = recipe.hardener if isinstance(recipe.hardener, list) else [recipe.hardener or {}]
    backbone = recipe.detector.get("backbone")
    known = recipe.start or (isinstance(backbone, dict) and backbone.get("weights"))
    needs_pairs = any(HARDENERS.class_of(part["kind"]).needs_pairs for part in parts if part)
    if needs_pairs and not known and recipe.stages[0].harden:
        what = "difference vectors of a network that has learned nothing yet are noise"
        yield Problem("warning", "stages", what, "Begin from weights, or with a stage with harden: false.")


def _length(recipe: Recipe, data: Dataset) -> Iterator[Problem]:
    epochs = recipe.steps * recipe.batch_size / len(data)
    if epochs < 1:
        what = f"{recipe.steps} steps of {recipe.batch_size} images see {epochs:.0%} of the {len(data)} images"
        yield Problem("warning", "stages", what, "Train for more steps, unless this is a trial.")
    if recipe.batch_size > len(data):
        what = f"a batch of {recipe.batch_size} holds images twice: there are {len(data)}"
        yield Problem("warning", "batch_size", what, "Use a smaller batch.")
    if recipe.augment.flip and not data.mirrors:
        what = "mirrored digits are no digits, or others"
        yield Problem("warning", "augment.flip", what, "Leave flip off for digits.")


def _sampled(data: Dataset) -> Iterable[Problem]:
    """What the doctor of data says about a sample; only few images are decoded."""
    few = check_data(data, images=True, indices=evenly_spaced(len(data), DECODED)).problems
    many = check_data(data, images=False, indices=evenly_spaced(len(data), SAMPLE)).problems
    return dict.fromkeys([*few, *many])


def _fit(recipe: Recipe, detector: Detector, data: Dataset) -> Iterable[Problem]:
    """Whether the data have what the detector learns from, and its anchors or proposals meet the objects."""
    try:
        found = lacks_labels(detector, data)
        if any(problem.level == "error" for problem in found):
            return found
        found += unknown_losses(detector, data, recipe.loss_factors)
        if detector.needs_proposals:
            with suppress(WorkbenchError):  # said of these data already
                found += proposal_problems(sample(data, DECODED)) if "proposals" in data.target(0) else []
            return found
        if isinstance(detector, HasAnchors):
            found += _anchor_problems(detector, sample(data, SAMPLE))
        return found
    except (WorkbenchError, RunError) as error:
        return [Problem("error", "detector", str(error), "Correct the detector's options or the data.")]


def _anchor_problems(detector: HasAnchors, data: Dataset) -> list[Problem]:
    """Anchors against objects for the most frequent image sizes; the worst of them is reported."""
    by_size: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
    for index in range(len(data)):
        by_size[data.size(index)].append(_boxes_to_learn(data, index))
    found = []
    for size, boxes in sorted(by_size.items(), key=lambda item: -len(item[1]))[:SIZES]:
        where = f"detector's anchors in images of {size[0]} × {size[1]} px"
        found += check_anchors(torch.cat(boxes)[:BOXES], detector.anchors_for(*size), where=where)
    return sorted(found, key=lambda problem: problem.level)[:1]


def _boxes_to_learn(data: Dataset, index: int) -> Tensor:
    target = data.target(index)
    return target["boxes"].as_subclass(Tensor).reshape(-1, 4)[learnable(target)]
