"""Labelled photographs from the user's folders: Caltech-101, Oxford-102 flowers, CUB-200-2011, ILSVRC2012, any
folder of classes; nothing is downloaded. torchvision reads those that it knows. AR is in `ar.py`.

Sizes and choices are the paper's (Cen et al. 2021): Caltech-101 with 30 images per class to train on and at most 50
to test, without the background class; flowers with the 20 images per class that are not in the official test set,
and at most 50 of those that are; CUB cropped to its boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from torchvision import datasets

from workbench.data.labelled_images import Photographs, draw_per_class
from workbench.data.reading.paths import existing_folder, path_inside
from workbench.errors import DataError, did_you_mean
from workbench.registry import DATASETS

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".tif", ".tiff", ".webp")
Root = str | PathLike[str] | None


@DATASETS.register("image-folder")
def image_folder(
    root: Root,
    split: str = "train",
    *,
    size: int = 224,
    resize: str = "squash",
    per_class: int | None = None,
    seed: int = 0,
) -> Photographs:
    """`root/split/class/image.jpg`.

    Args:
        size: height and width that images are shown at, pixels.
        resize: "squash" or "crop", see `Photographs`.
        per_class: only so many images of each class, by a shuffle with `seed`.
    """
    folder = existing_folder(root, "image-folder")
    classes, paths, labels = _folder_of_classes(path_inside(folder, split), folder, split)
    whole = Photographs("image-folder", split, classes, paths, labels, size=size, resize=resize)
    return whole if per_class is None else whole.chosen(draw_per_class(whole.labels, per_class, seed))


@DATASETS.register("imagenet")
def imagenet(root: Root, split: str = "train", *, size: int = 224) -> Photographs:
    """ILSVRC2012: `root/train/n01440764/*.JPEG` and `root/val/n01440764/*.JPEG`; "test" is the latter.

    Classes are the WordNet ids in order, which is the usual order of the 1,000 classes.
    """
    folder = existing_folder(root, "imagenet")
    _split(split, ("train", "test"), "imagenet")
    classes, paths, labels = _folder_of_classes(folder / ("train" if split == "train" else "val"), folder, split)
    return Photographs("imagenet", split, classes, paths, labels, size=size, resize="crop")


@DATASETS.register("caltech101")
def caltech101(
    root: Root,
    split: str = "train",
    *,
    size: int = 224,
    train_per_class: int | None = 30,
    test_per_class: int = 50,
    seed: int = 0,
) -> Photographs:
    """Caltech-101 without the background class: `root/caltech101/101_ObjectCategories/class/image_0001.jpg`.

    Args:
        size: height and width that images are shown at, pixels.
        train_per_class: None takes all images, also those of the test split, as for the paper's decoder.
        test_per_class: the next ones of the same shuffle.
        seed: of the shuffle.
    """
    folder = existing_folder(root, "caltech101")
    _split(split, ("train", "test"), "caltech101")
    found = _by_torchvision(datasets.Caltech101, folder, "caltech101/101_ObjectCategories")
    paths = [
        Path(found.root) / "101_ObjectCategories" / found.categories[label] / f"image_{number:04d}.jpg"
        for number, label in zip(found.index, found.y, strict=True)
    ]
    labels = np.array(found.y, dtype=np.int64) + 1
    if split == "test" and train_per_class is None:
        raise DataError("train_per_class is null, which leaves no images to test; give a number")
    skip, number = (0, train_per_class) if split == "train" else (train_per_class or 0, test_per_class)
    whole = Photographs("caltech101", split, found.categories, paths, labels, size=size)
    return whole.chosen(draw_per_class(labels, number, seed, skip=skip))


@DATASETS.register("oxford102")
def oxford102(
    root: Root, split: str = "train", *, size: int = 224, test_per_class: int = 50, seed: int = 0
) -> Photographs:
    """Oxford-102 flowers: `root/flowers-102/jpg/image_00001.jpg` with `imagelabels.mat` and `setid.mat`."""
    folder = existing_folder(root, "oxford102")
    _split(split, ("train", "test"), "oxford102")
    paths, labels = [], []
    for part in ("train", "val") if split == "train" else ("test",):
        found = _by_torchvision(datasets.Flowers102, folder, "flowers-102/jpg", split=part)
        paths += [Path(path) for path in found._image_files]
        labels += [int(label) for label in found._labels]
    labels = np.array(labels, dtype=np.int64) - min(labels) + 1
    classes = [f"flower {number}" for number in range(1, int(labels.max()) + 1)]
    whole = Photographs("oxford102", split, classes, paths, labels, size=size)
    return whole if split == "train" else whole.chosen(draw_per_class(whole.labels, test_per_class, seed))


@DATASETS.register("cub200")
def cub200(root: Root, split: str = "train", *, size: int = 224) -> Photographs:
    """CUB-200-2011 cropped to its boxes: `root/CUB_200_2011/images.txt`, `bounding_boxes.txt` ... and `images/`."""
    folder = existing_folder(root, "cub200")
    _split(split, ("train", "test"), "cub200")
    home = folder / "CUB_200_2011"
    tables = {name: _table(home / f"{name}.txt") for name in ("images", "image_class_labels", "train_test_split")}
    boxes = _table(home / "bounding_boxes.txt", fields=5)
    classes = [words[0] for words in _table(home / "classes.txt").values()]
    wanted = "1" if split == "train" else "0"
    paths, labels, found = [], [], []
    for identity, (name,) in tables["images"].items():
        try:
            if tables["train_test_split"][identity][0] != wanted:
                continue
            label, box = int(tables["image_class_labels"][identity][0]), [float(v) for v in boxes[identity]]
        except (KeyError, ValueError) as error:
            raise DataError(f"{home}: image {identity} has no good label, split or box ({error})") from None
        paths.append(path_inside(home / "images", name))
        labels.append(label)
        found.append([box[0], box[1], box[0] + box[2], box[1] + box[3]])
    return Photographs("cub200", split, classes, paths, labels, boxes=np.array(found).reshape(-1, 4), size=size)


def _folder_of_classes(folder: Path, root: Path, split: str) -> tuple[list[str], list[Path], list[int]]:
    """Class names, files and labels 1..K by torchvision's rule: classes and files in order of their names."""
    if not folder.is_dir():
        there = sorted(path.name for path in root.iterdir() if path.is_dir())
        raise DataError(f"{folder} does not exist, so there is no split {split!r}{did_you_mean(split, there)}")
    try:
        found = datasets.ImageFolder(str(folder), allow_empty=True, is_valid_file=_is_image)
    except FileNotFoundError as error:
        raise DataError(f"{folder}: expected one folder of images per class ({error})") from None
    return found.classes, [Path(path) for path, _ in found.samples], [label + 1 for _, label in found.samples]


def _is_image(path: str) -> bool:
    return path.lower().endswith(SUFFIXES)


def _by_torchvision(kind: Callable[..., Any], root: Path, expected: str, **options: Any) -> Any:
    """A data set of torchvision's that must be there already."""
    try:
        return kind(str(root), download=False, **options)
    except (RuntimeError, OSError, KeyError, IndexError) as error:
        raise DataError(
            f"{root}: this is not complete; expected {root / expected} and what belongs to it as published. "
            f"Nothing is downloaded by itself ({type(error).__name__}: {error})"
        ) from None


def _table(file: Path, *, fields: int = 2) -> dict[str, list[str]]:
    """Lines "id value ..." by id."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{file}: this file cannot be read ({error.strerror}); it is part of CUB-200-2011") from None
    table = {}
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if words and len(words) != fields:
            raise DataError(f"{file}, line {number}: {len(words)} words, expected {fields}")
        if words:
            table[words[0]] = words[1:]
    return table


def _split(split: str, known: tuple[str, ...], name: str) -> None:
    if split not in known:
        raise DataError(f"split {split!r} does not exist; {name} has {', '.join(known)}")
