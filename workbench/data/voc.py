"""PASCAL VOC data sets and others in its layout: Annotations/*.xml, JPEGImages, ImageSets/Main/S.txt.

torchvision's `VOCDetection` wants the folder VOCdevkit/VOC2007 and only VOC's own splits; this reads any root
and any split, with defusedxml, and takes only what stands directly below `annotation/object`: parts of objects
(head, hand) have boxes and names too. On VOC itself both find the same objects (see the tests).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path

import torch
from torchvision import tv_tensors

from workbench.data.dataset import Dataset, make_target
from workbench.data.reading.images import read_sized
from workbench.data.reading.paths import existing_folder
from workbench.data.reading.problems import raise_first
from workbench.data.reading.voc_files import CLASSES, VocImage, image_path, names_of_all, read_split, xml_path
from workbench.errors import DataError
from workbench.registry import DATASETS
from workbench.types import Target

YEARS = range(2007, 2013)
OWN = {f"VOC{year}" for year in YEARS}  #: names of the folders of the challenges


@DATASETS.register("voc")
class Voc(Dataset):
    """A data set in the layout of PASCAL VOC.

    VOC counts pixels from 1 and includes the last: xmin and ymin are lowered by 1. Boxes are clipped to the image;
    those that reach more than 1 px outside are reported. The occlusion is unknown (NaN); `area` is that of the box.

    Args:
        split: a file of ImageSets/Main.
        root: a folder that holds VOC2007, VOC2012 or VOCdevkit, or JPEGImages itself.
        year: which, if there are several.
        classes: names of the labels 1..K; other objects are left out. None: VOC's 20 if no other name occurs, else
            all names that occur in any of the XML files, sorted.
        merge: other names for some classes, {"with_mask": "face"}.
        single_class: one name for all objects.
        strict: raise DataError at the first error; False leaves out what is wrong and keeps the errors in `problems`.
    """

    def __init__(
        self,
        root: str | PathLike[str] | None,
        split: str = "train",
        *,
        year: int | str | None = None,
        classes: Iterable[str] | None = None,
        merge: Mapping[str, str] | None = None,
        single_class: str | None = None,
        strict: bool = True,
    ):
        self.name, self.split = "voc", split
        self.folder = _voc_folder(existing_folder(root, "voc"), year)
        named = self.folder.resolve().name.removeprefix("VOC")
        self.voc_year = int(named) if named in map(str, YEARS) else YEARS[0]
        found = read_split(self.folder, split)
        if strict:
            raise_first(found.problems, hint="load_data(…, strict=False) and the doctor list them all")
        self.problems = tuple(found.problems)

        def called(name: str) -> str:
            return single_class or (merge or {}).get(name, name)

        if classes is None:
            classes = [single_class] if single_class else _class_names(self.folder, found.images, merge or {})
        self.classes = tuple(classes)
        labels = {name: label for label, name in enumerate(self.classes, start=1)}
        read = [
            (identity, image) for identity, image in zip(found.ids, found.images, strict=True) if image is not None
        ]
        self.ids = [identity for identity, _ in read]
        self._sizes = [image.size for _, image in read]
        self._objects = [
            [(labels[called(thing.name)], thing) for thing in image.objects if called(thing.name) in labels]
            for _, image in read
        ]

    def __len__(self) -> int:
        return len(self.ids)

    def size(self, index: int) -> tuple[int, int]:
        return self._sizes[self._position(index)]

    def path(self, index: int) -> Path:
        return image_path(self.folder, self.ids[self._position(index)])

    def image(self, index: int) -> tv_tensors.Image:
        identity = self.ids[self._position(index)]
        return read_sized(self.path(index), self.size(index), xml_path(self.folder, identity))

    def target(self, index: int) -> Target:
        index = self._position(index)
        objects = self._objects[index]
        boxes = torch.tensor([thing.box for _, thing in objects]).reshape(-1, 4)
        return make_target(
            image_id=index + 1,
            size=self._sizes[index],
            boxes=boxes,
            labels=torch.tensor([label for label, _ in objects], dtype=torch.int64),
            area=(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
            difficult=torch.tensor([thing.difficult for _, thing in objects], dtype=torch.bool),
        )


def _voc_folder(root: Path, year: int | str | None) -> Path:
    candidates = [root] if (root / "Annotations").is_dir() else []
    for parent in (root, root / "VOCdevkit"):
        candidates += sorted(path for path in parent.glob("VOC[0-9][0-9][0-9][0-9]") if path.is_dir())
    if year is not None:
        candidates = [path for path in candidates if path.name == f"VOC{year}"]
    if not candidates:
        missing = "Annotations, VOC2007 or VOC2012" if year is None else f"VOC{year}"
        raise DataError(f"{root}: this folder holds no {missing}")
    if len(candidates) > 1:
        names = ", ".join(path.name for path in candidates)
        raise DataError(f"{root}: this folder holds {names}; say which by year=")
    return candidates[0]


def _class_names(folder: Path, images: Iterable[VocImage | None], merge: Mapping[str, str]) -> list[str]:
    """VOC's 20 if no other name occurs in any XML file; else the names in all of them, so that splits agree.

    Args:
        images: those that were read. VOC's own folders have no other names, and not all files are read for them.
    """
    found = {thing.name for image in images if image is not None for thing in image.objects}
    if found <= set(CLASSES) and not merge and folder.resolve().name in OWN:
        return list(CLASSES)
    found |= names_of_all(folder)
    if found <= set(CLASSES) and not merge:
        return list(CLASSES)
    return sorted({merge.get(name, name) for name in found})
