"""Labelled photographs from the user's folders: Caltech-101, Oxford-102 flowers, CUB-200-2011, ILSVRC2012, any
folder of classes; nothing is downloaded. AR is in `ar.py`.

Hidden files and what file managers leave behind are no images, and hidden folders no classes. What is a picture, its
ending says, or else its content. Links that lead out of `root` are followed only with `follow_links`.

Sizes and choices are the paper's (Cen et al. 2021): Caltech-101 with 30 images per class to train on and at most 50
to test, without the background class; flowers with the 20 images per class that are not in the official test set,
and at most 50 of those that are; CUB cropped to its boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from torchvision import datasets

from workbench.data.labelled_images import Photographs, Resize, draw_per_class
from workbench.data.reading.images import ENDINGS, is_picture
from workbench.data.reading.paths import DataRoot, read_text
from workbench.data.reading.problems import Problem
from workbench.errors import DataError, did_you_mean
from workbench.options import Count, Number
from workbench.registry import DATASETS

BACKGROUND = "BACKGROUND_Google"  #: of Caltech-101; no class
Root = str | PathLike[str] | None


@DATASETS.register("image-folder")
def image_folder(
    root: Root,
    split: str = "train",
    *,
    size: Count = 224,
    resize: Resize = "squash",
    classes: Sequence[str] | None = None,
    per_class: Count | None = None,
    seed: Number = 0,
    follow_links: bool = False,
) -> Photographs:
    """`root/split/class/image.jpg`.

    Args:
        classes: names of the labels 1..K, also where a split has no folder for one; other folders are left out. None:
            all folders by name.
        size: height and width that images are shown at, pixels.
        resize: "squash" or "crop", see `Photographs`.
        per_class: only so many images of each class, by a shuffle with `seed`.
    """
    found = _Folders(DataRoot(root, "image-folder", follow_links=follow_links), split, classes)
    whole = found.photographs("image-folder", split, size=size, resize=resize)
    return whole if per_class is None else whole.chosen(draw_per_class(whole.labels, per_class, seed))


@DATASETS.register("imagenet")
def imagenet(root: Root, split: str = "train", *, size: Count = 224, follow_links: bool = False) -> Photographs:
    """ILSVRC2012: `root/train/n01440764/*.JPEG` and `root/val/n01440764/*.JPEG`; "test" is the latter.

    Classes are the WordNet ids in order, which is the usual order of the 1,000 classes.
    """
    place = DataRoot(root, "imagenet", follow_links=follow_links)
    _split(split, ("train", "test"), "imagenet")
    found = _Folders(place, "train" if split == "train" else "val")
    return found.photographs("imagenet", split, size=size, resize="crop")


@DATASETS.register("caltech101")
def caltech101(
    root: Root,
    split: str = "train",
    *,
    size: Count = 224,
    train_per_class: Count | None = 30,
    test_per_class: Count = 50,
    seed: Number = 0,
    follow_links: bool = False,
) -> Photographs:
    """Caltech-101 without the background class: `root/caltech101/101_ObjectCategories/class/image_0001.jpg`.

    Args:
        size: height and width that images are shown at, pixels.
        train_per_class: None takes all images, also those of the test split, as for the paper's decoder.
        test_per_class: the next ones of the same shuffle.
        seed: of the shuffle.
    """
    place = DataRoot(root, "caltech101", follow_links=follow_links)
    _split(split, ("train", "test"), "caltech101")
    if split == "test" and train_per_class is None:
        raise DataError("train_per_class is null, which leaves no images to test; give a number")
    home = "caltech101/101_ObjectCategories"
    if not (place.path / home).is_dir():
        raise DataError(_incomplete(place.path, home))
    whole = _Folders(place, home, without=BACKGROUND).photographs("caltech101", split, size=size)
    skip, number = (0, train_per_class) if split == "train" else (train_per_class or 0, test_per_class)
    return whole.chosen(draw_per_class(whole.labels, number, seed, skip=skip))


@DATASETS.register("oxford102")
def oxford102(
    root: Root,
    split: str = "train",
    *,
    size: Count = 224,
    test_per_class: Count = 50,
    seed: Number = 0,
    follow_links: bool = False,
) -> Photographs:
    """Oxford-102 flowers: `root/flowers-102/jpg/image_00001.jpg` with `imagelabels.mat` and `setid.mat`.

    torchvision reads them, by their published checksums.
    """
    place = DataRoot(root, "oxford102", follow_links=follow_links)
    _split(split, ("train", "test"), "oxford102")
    paths, labels = [], []
    for part in ("train", "val") if split == "train" else ("test",):
        try:
            found = datasets.Flowers102(str(place.path), download=False, split=part)
        except (RuntimeError, OSError, KeyError, IndexError) as error:
            raise DataError(_incomplete(place.path, "flowers-102/jpg", error)) from None
        paths += [place.followed(Path(path)) for path in found._image_files]
        labels += [int(label) for label in found._labels]
    labels = np.array(labels, dtype=np.int64) - min(labels) + 1
    classes = [f"flower {number}" for number in range(1, int(labels.max()) + 1)]
    whole = Photographs("oxford102", split, classes, paths, labels, size=size)
    return whole if split == "train" else whole.chosen(draw_per_class(whole.labels, test_per_class, seed))


@DATASETS.register("cub200")
def cub200(root: Root, split: str = "train", *, size: Count = 224, follow_links: bool = False) -> Photographs:
    """CUB-200-2011 cropped to its boxes: `root/CUB_200_2011/images.txt`, `bounding_boxes.txt` ... and `images/`."""
    place = DataRoot(root, "cub200", follow_links=follow_links)
    _split(split, ("train", "test"), "cub200")
    home = place.followed(place.path / "CUB_200_2011")
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
        paths.append(place.inside(home / "images", name))
        labels.append(label)
        found.append([box[0], box[1], box[0] + box[2], box[1] + box[3]])
    return Photographs("cub200", split, classes, paths, labels, boxes=np.array(found).reshape(-1, 4), size=size)


class _Folders:
    """A folder of images per class: files by folder and name, labels 1..K by the names of the folders, sorted.

    Args:
        root: of the data.
        place: of the folders of classes, in the root.
        classes: as for `image_folder`.
        without: a folder that is no class.
    """

    def __init__(self, root: DataRoot, place: str, classes: Sequence[str] | None = None, *, without: str = ""):
        folder = root.inside(root.path, place)
        if not folder.is_dir():
            there = [path.name for path in root.folders(root.path)]
            raise DataError(f"{folder} does not exist, so there is no split {place!r}{did_you_mean(place, there)}")
        folders = {path.name: path for path in root.folders(folder) if path.name != without}
        if not folders:
            raise DataError(f"{folder}: expected one folder of images per class; it holds no folder")
        self.classes = list(folders) if classes is None else list(classes)
        self.paths: list[Path] = []
        self.labels: list[int] = []
        self.problems: list[Problem] = []
        for label, name in enumerate(self.classes, start=1):
            files = root.files(folders[name]) if name in folders else []
            pictures = [path for path in files if path.suffix.lower() in ENDINGS or is_picture(path)]
            self.paths += pictures
            self.labels += [label] * len(pictures)
            if len(pictures) < len(files):
                other = next(path for path in files if path not in set(pictures))
                what = (
                    f"{len(files) - len(pictures)} files are no pictures and are left out, the first is {other.name}"
                )
                self.problems.append(Problem("warning", str(folders[name]), what, "Fine if they are notes."))
        loose = [path for path in root.loose_files(folder) if path.suffix.lower() in ENDINGS]
        if loose:
            what = f"{len(loose)} pictures lie in no folder of a class and are left out, the first is {loose[0].name}"
            self.problems.append(Problem("warning", str(folder), what, "Move them to the folders of their classes."))
        if not set(folders) & set(self.classes):
            known = ", ".join(list(folders)[:10])
            raise DataError(f"{folder}: it has no folder of the classes {', '.join(self.classes)}; it has {known}")

    def photographs(self, name: str, split: str, *, size: int, resize: Resize = "squash") -> Photographs:
        made = Photographs(name, split, self.classes, self.paths, self.labels, size=size, resize=resize)
        made.problems = tuple(self.problems)
        return made


def _incomplete(root: Path, expected: str, error: Exception | None = None) -> str:
    """What to say where published data are not whole."""
    reason = "" if error is None else f" ({type(error).__name__}: {error})"
    return (
        f"{root}: this is not complete; expected {root / expected} and what belongs to it as published. Nothing is "
        f"downloaded by itself{reason}"
    )


def _table(file: Path, *, fields: int = 2) -> dict[str, list[str]]:
    """Lines "id value ..." by id."""
    try:
        text = read_text(file)
    except DataError as error:
        raise DataError(f"{error}; it is part of CUB-200-2011") from None
    table = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if words and len(words) != fields:
            raise DataError(f"{file}, line {number}: {len(words)} words, expected {fields}")
        if words:
            table[words[0]] = words[1:]
    return table


def _split(split: str, known: tuple[str, ...], name: str) -> None:
    if split not in known:
        raise DataError(f"split {split!r} does not exist; {name} has {', '.join(known)}")
