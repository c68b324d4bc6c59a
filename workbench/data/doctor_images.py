"""The doctor for images of one class each: unreadable files, empty classes, files that occur twice, pairs in the
test."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from workbench.data.dataset import Dataset, evenly_spaced
from workbench.data.reading.class_names import similar_names
from workbench.data.reading.paths import is_text
from workbench.data.reading.picture_problems import picture_problems, size_problems
from workbench.data.reading.problems import Problem, Report
from workbench.errors import DataError

LEAST = 2  #: images that a class needs to learn anything from


def check_labelled_images(data: Dataset, *, images: bool = True, limit: int | None = None) -> Report:
    """What is wrong with images of one class each.

    Finds unreadable images, one picture in several files, classes without or with hardly any images, and labels
    outside 1..K. Raises nothing for bad data.

    Args:
        images: decode the clean ones, too, at most `limit` of them, evenly spaced.
    """
    if len(data) == 0:
        return Report(str(data), [Problem("error", str(data), "there are no images", "Check root and split.")])
    problems, clean = [*data.problems, *class_name_problems(data)], []
    labels: Counter[int] = Counter()
    for index in range(len(data)):
        target = data.target(index)
        labels[target["label"]] += 1
        if not 1 <= target["label"] <= len(data.classes):
            what = f"label {target['label']} is outside 1..{len(data.classes)}"
            problems.append(Problem("error", data.where(index), what, "Give it a label of the data set's classes."))
        if target["pattern"] == 0:
            clean.append(index)
    problems += [*_class_problems(data, labels), *_same_files(data, clean)]
    for place in evenly_spaced(len(clean), len(clean) if limit is None else limit) if images else ():
        problems += _image_problems(data, clean[place])
    return Report(str(data), problems)


def check_leaks(train: Dataset, test: Dataset) -> Iterator[Problem]:
    """Whether test images are among the training images or their pairs: by file, or else by equal pixels."""
    known = {_identity(train, index): "training images" for index in _clean(train)}
    if train.pairs is not None:
        known |= {
            _identity(train.pairs.clean, i): "pairs of clean and occluded images" for i in _clean(train.pairs.clean)
        }
    shared = Counter(known[found] for index in _clean(test) if (found := _identity(test, index)) in known)
    for where, number in shared.items():
        what = f"{number} test images are also among the {where}; the figures would be too good"
        yield Problem("error", "test", what, "Use splits that share no image.")


def class_name_problems(data: Dataset) -> Iterator[Problem]:
    """Names of classes that cannot be written down, or may be meant as one."""
    for name in data.classes:
        if not isinstance(name, str) or not is_text(name):
            what = f"a class is called {name!r}, which is no text"
            yield Problem("error", str(data), what, "Rename it: results could not be written.")
    yield from similar_names([name for name in data.classes if isinstance(name, str)], str(data))


def _class_problems(data: Dataset, labels: Counter[int]) -> Iterator[Problem]:
    for label, name in enumerate(data.classes, start=1):
        if labels[label] == 0:
            yield Problem("error", f"{data} class {name}", "it has no images", "Add images or remove the class.")
        elif labels[label] < LEAST:
            what = f"it has {labels[label]} image"
            yield Problem("warning", f"{data} class {name}", what, "Add images: little can be learned from so few.")


def _same_files(data: Dataset, indices: list[int]) -> Iterator[Problem]:
    """A warning for each file of several images; an error where they are of different classes."""
    sizes: dict[int, list[int]] = defaultdict(list)
    for index in indices:
        path = data.path(index)
        if path is None:
            return  # such images are made
        with suppress(OSError):  # said when it is read
            sizes[os.path.getsize(path)].append(index)
    same: dict[bytes, list[int]] = defaultdict(list)
    for index in (index for group in sizes.values() if len(group) > 1 for index in group):
        with suppress(OSError):
            same[hashlib.blake2b(Path(data.path(index) or "").read_bytes()).digest()].append(index)
    for group in (group for group in same.values() if len(group) > 1):
        classes = {data.classes[data.target(index)["label"] - 1] for index in group}
        of = f" of the classes {', '.join(sorted(classes))}" if len(classes) > 1 else ""
        what = f"{len(group)} files{of} are one picture, such as {data.where(group[1])}"
        fix = "Keep one of them: copies count double, and in two classes one of them is wrong."
        yield Problem("error" if len(classes) > 1 else "warning", data.where(group[0]), what, fix)


def _image_problems(data: Dataset, index: int) -> Iterator[Problem]:
    try:
        path = data.path(index)
        yield from () if path is None else picture_problems(path, data.where(index))
        yield from size_problems(tuple(data.image(index).shape[-2:]), data.where(index), data.size(index))
    except DataError as error:
        where, _, what = str(error).partition(": ")
        yield Problem("error", where, what or where, "Replace the file or take the image out of the folder.")


def _clean(data: Dataset) -> list[int]:
    return [index for index in range(len(data)) if data.target(index)["pattern"] == 0]


def _identity(data: Dataset, index: int) -> object:
    """The file of an image; of made images, their pixels."""
    path = data.path(index)
    return data.image(index).numpy().tobytes() if path is None else path.resolve()
