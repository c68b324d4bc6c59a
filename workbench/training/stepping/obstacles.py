"""What would stop a training or its evaluation, perhaps after hours: looked for before the first step.

The doctor says it, and a trainer refuses to begin.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from workbench.data import Dataset
from workbench.data.dataset import Subset, evenly_spaced
from workbench.data.doctor import check_data
from workbench.data.mixed import parts_of
from workbench.data.reading.problems import Problem
from workbench.detectors import Detector, evaluating
from workbench.detectors.base import Learns, asked
from workbench.detectors.layers.branches import all_branches
from workbench.errors import RunError, WorkbenchError, did_you_mean
from workbench.hiders import Hider
from workbench.proposals.base import WithProposals

DECODED = 20  #: images that are decoded
TRIED = 2  #: images that are evaluated
NAMED = 4  #: classes that a message names

Loaded = Mapping[str, Dataset]  #: by the key of the recipe: "data", "validation", "test"


def rehearse(
    detector: Detector,
    loaded: Loaded,
    *,
    evaluate: Callable[[Dataset], object],
    factors: Collection[str] = (),
    hiders: Sequence[Hider] = (),
) -> None:
    """Look at the data, and evaluate two images of those that are evaluated while or after the detector trains.

    Args:
        detector: as it will be trained.
        loaded: the data of the recipe.
        evaluate: what will be done with the data of "validation" and "test".
        factors: names of losses that stages have factors for.
        hiders: what hides parts of the training images.

    Raises:
        RunError: something would stop the training or its evaluation.
    """
    found = [problem for problem in obstacles(detector, loaded) if problem.level == "error"]
    if not found:
        found += [*unknown_losses(detector, loaded["data"], factors), *hiding_obstacles(hiders, loaded["data"])]
        for key in ("validation", "test"):
            if key in loaded:
                try:
                    evaluate(sample(loaded[key], TRIED))
                except WorkbenchError as error:
                    fix = "It would stop the run when it is evaluated."
                    found.append(Problem("error", key, str(error).rstrip("."), fix))
    if found:
        more = f" (and {len(found) - 1} more: doctor(recipe) shows all)" if len(found) > 1 else ""
        raise RunError(f"nothing was trained: {found[0].where}: {found[0].what}. {found[0].fix}{more}")


def obstacles(detector: Detector, loaded: Loaded) -> Iterator[Problem]:
    """What would stop it; only a sample of the images is looked at."""
    yield from misfits_of_classes(loaded)
    for key, data in loaded.items():
        if len(data) == 0:
            yield Problem("error", key, "there are no images", "Check root and split.")
        elif not data.annotated:
            what = f"{data.name} {data.split} has no annotations"
            yield Problem("error", key, what, "Leave it out; `detect_all` writes what is found there for its server.")
        elif data.columns is None:
            yield from check_data(_bare(data), images=True, indices=evenly_spaced(len(data), DECODED)).problems
        else:
            yield from _unreadable(sample(data, DECODED))
        yield from missing_files(data)
    if len(loaded["data"]):
        yield from lacks_proposals(detector, loaded)
        yield from lacks_labels(detector, loaded["data"])


def missing_files(data: Dataset) -> Iterator[Problem]:
    """Files that are not there, or empty, of all images that the data list: their number, and the first."""
    found = []
    for index in range(len(data)):
        try:
            path = data.path(index)
            if path is None:
                continue  # such images are made
            if not os.path.isfile(path) or not os.path.getsize(path):
                found.append(path)
        except (WorkbenchError, OSError):
            continue  # said when it is read
    if found:
        what = f"{len(found)} of {len(data)} images are not there, or empty files"
        yield Problem("error", str(found[0]), what, "Restore the files, or take the images off the list.")


def misfits_of_classes(loaded: Loaded) -> Iterator[Problem]:
    """Data for evaluation that have other classes than those that are trained on."""
    for key in ("validation", "test"):
        if key in loaded and "data" in loaded and loaded[key].classes != loaded["data"].classes:
            which = other_classes(loaded[key].classes, loaded["data"].classes)
            what = f"it has other classes than the training data: {which}"
            yield Problem("error", key, what, "Use data with the same classes in the same order.")


def other_classes(own: Sequence[str], trained: Sequence[str]) -> str:
    """How two lists of classes differ."""
    other = [name for name in (*own, *trained) if (name in own) != (name in trained)]
    more = ", ..." if len(other) > NAMED else ""
    which = f"only one of them has {', '.join(other[:NAMED])}{more}" if other else "they are in another order"
    return f"{len(own)} and {len(trained)}, {which}"


def lacks_proposals(detector: Detector, loaded: Loaded) -> Iterator[Problem]:
    """Data without proposals for a detector that makes none: it would be noticed at the end, by the evaluation."""
    if not detector.needs_proposals:
        return
    for key, data in loaded.items():
        what = "the detector needs proposals, and these data have none"
        try:
            if not len(data) or "proposals" in data.target(0):
                continue
        except WorkbenchError as error:
            what = str(error).rstrip(".")
        yield Problem("error", f"{key}.proposals", what, "Say where they come from, as {kind: selective-search}.")


def lacks_labels(detector: Detector, data: Dataset) -> list[Problem]:
    """Whether the training data lack what a detector learns from, such as masks."""
    parts = [part for part in parts_of(data) if len(part)]
    for key in (key for key in detector.needs_labels if any(key not in part.target(0) for part in parts)):
        masks = key.startswith("masks")
        what = f'the detector learns {"masks" if masks else key}, and the data have no target["{key}"]'
        fix = "Use data with masks (coco: data.options.masks true)." if masks else "Use data with such labels."
        return [Problem("error", "detector", what, fix)]
    for branch in all_branches(detector):
        asked_of = [] if branch.needs_every_image else parts
        seen = [part.target(index) for part in asked_of for index in evenly_spaced(len(part), DECODED)]
        if seen and not any(key in target for key in branch.learns_from for target in seen):
            keys = " or ".join(f'target["{key}"]' for key in branch.learns_from)
            what = f"a {type(branch).__name__} learns from {keys}, which none of {len(seen)} images has"
            return [Problem("warning", "detector.branches", what, "It stays as it is; use data that have it.")]
    return []


def hiding_obstacles(hiders: Sequence[Hider], data: Dataset) -> Iterator[Problem]:
    """Why what hides parts of the training images cannot work on them."""
    for hider in hiders:
        for what in hider.obstacles(data):
            yield Problem(
                "error", "augment.hide", f"{hider.kind}: {what.rstrip('.')}", "Correct it, or leave it out."
            )


def unknown_losses(detector: Detector, data: Dataset, names: Collection[str]) -> Iterator[Problem]:
    """Losses that a stage has a factor for and the detector does not have."""
    if not names or not len(data):
        return
    image, target = detector.samples(data)[0]
    with evaluating(detector):
        there = asked(detector, Learns).losses([image], [target])
    for name in names:
        if name not in there and name != "adversary":  # which is there only while the hardener learns
            what = f"there is no loss {name!r}{did_you_mean(name, list(there))}"
            yield Problem("error", "stages.loss_factors", what, "Name one that there is.")


def sample(data: Dataset, number: int) -> Dataset:
    """At most so many images, evenly spaced."""
    return data.subset(evenly_spaced(len(data), number))


def _bare(data: Dataset) -> Dataset:
    """The data without proposals, which may take seconds for each image."""
    if isinstance(data, WithProposals):
        return data.whole
    return _bare(data.whole).subset(data.indices) if isinstance(data, Subset) else data


def _unreadable(data: Dataset) -> Iterator[Problem]:
    for index in range(len(data)):
        try:
            data[index]
        except WorkbenchError as error:
            yield Problem("error", data.where(index), str(error), "Replace the file or take the image out.")
