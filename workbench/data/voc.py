"""PASCAL VOC data sets and others in its layout: Annotations/*.xml, JPEGImages, ImageSets/Main/S.txt.

torchvision's `VOCDetection` wants the folder VOCdevkit/VOC2007 and only VOC's own splits; this reads any root
and any split, with defusedxml, and takes only what stands directly below `annotation/object`: parts of objects
(head, hand) have boxes and names too. On VOC itself both find the same objects (see the tests).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torchvision import tv_tensors

from workbench.data.dataset import Dataset, make_target
from workbench.data.reading.class_names import choice_problems, class_labels
from workbench.data.reading.contents import ObjectsAtHand
from workbench.data.reading.images import read_sized
from workbench.data.reading.paths import DataRoot
from workbench.data.reading.problems import raise_first
from workbench.data.reading.voc_files import names_of_all, read_images, read_split
from workbench.data.reading.voc_folder import CLASSES, VocFolder
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
        masked: names, as the files have them, of objects that count as masked faces: targets get `face_type`, 1 for
            these and 2 for all others, also where all are merged into one class.
        annotated: False takes the images alone and reads no XML file, as VOC 2012 keeps those of its test split:
            `detect_all` writes what its server scores.
        strict: raise DataError at the first error; False leaves out what is wrong and keeps the errors in `problems`.
        follow_links: also follow links that lead out of `root`.
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
        masked: Iterable[str] | None = None,
        annotated: bool = True,
        strict: bool = True,
        follow_links: bool = False,
    ):
        self.name, self.split, self.annotated = "voc", split, annotated
        self._files = _voc_folder(DataRoot(root, "voc", follow_links=follow_links), year, annotated)
        self.folder = self._files.path
        named = self.folder.resolve().name.removeprefix("VOC")
        self.voc_year = int(named) if named in map(str, YEARS) else YEARS[0]
        found = read_split(self._files, split) if annotated else read_images(self._files, split)
        if strict:
            raise_first(found.problems, hint="load_data(…, strict=False) and the doctor list them all")
        here = sorted({thing.name for image in found.images if image is not None for thing in image.objects})
        self._masked = None if masked is None else tuple(masked)
        chosen = choice_problems(here, classes, merge, str(self.folder), masked=self._masked) if annotated else ()
        self.problems = (*found.problems, *chosen)
        if classes is None and single_class is None:
            classes = _class_names(self._files, here, merge or {})
        self.classes, labels = class_labels(here, classes, merge, single_class)
        read = [
            (identity, image) for identity, image in zip(found.ids, found.images, strict=True) if image is not None
        ]
        self.ids = [identity for identity, _ in read]
        self._sizes = [image.size for _, image in read]
        self._objects = [
            [(labels[thing.name], thing) for thing in image.objects if labels[thing.name]] for _, image in read
        ]

    def __len__(self) -> int:
        return len(self.ids)

    def size(self, index: int) -> tuple[int, int]:
        return self._sizes[self._position(index)]

    def path(self, index: int) -> Path:
        return self._files.image(self.ids[self._position(index)])

    def image_name(self, index: int) -> str:
        """Its id in the lists."""
        return self.ids[self._position(index)]

    def image(self, index: int) -> tv_tensors.Image:
        path, identity = self.path(index), self.ids[self._position(index)]
        return read_sized(path, self.size(index), self._files.xml(identity) if self.annotated else path)

    def objects_at_hand(self, indices: Sequence[int]) -> ObjectsAtHand:
        labels = [label for index in indices for label, _ in self._objects[index]]
        return ObjectsAtHand(np.array(labels, dtype=np.int64))

    def target(self, index: int) -> Target:
        index = self._position(index)
        objects = self._objects[index]
        boxes = torch.tensor([thing.box for _, thing in objects]).reshape(-1, 4)
        more = {}
        if self._masked is not None:
            types = [1 if thing.name in self._masked else 2 for _, thing in objects]
            more["face_type"] = torch.tensor(types, dtype=torch.int64)
        return make_target(
            image_id=index + 1,
            size=self._sizes[index],
            boxes=boxes,
            labels=torch.tensor([label for label, _ in objects], dtype=torch.int64),
            area=(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
            difficult=torch.tensor([thing.difficult for _, thing in objects], dtype=torch.bool),
            more=more,
        )


def _voc_folder(root: DataRoot, year: int | str | None, annotated: bool) -> VocFolder:
    candidates = [root.path] if (root.path / ("Annotations" if annotated else "JPEGImages")).is_dir() else []
    for parent in (root.path, root.path / "VOCdevkit"):
        candidates += sorted(path for path in parent.glob("VOC[0-9][0-9][0-9][0-9]") if path.is_dir())
    if year is not None:
        candidates = [path for path in candidates if path.name == f"VOC{year}"]
    if not candidates:
        own = "Annotations" if annotated else "JPEGImages"
        missing = f"{own}, VOC2007 or VOC2012" if year is None else f"VOC{year}"
        raise DataError(f"{root.path}: this folder holds no {missing}")
    if len(candidates) > 1:
        names = ", ".join(path.name for path in candidates)
        raise DataError(f"{root.path}: this folder holds {names}; say which by year=")
    return VocFolder(root, root.followed(candidates[0]))


def _class_names(folder: VocFolder, here: Iterable[str], merge: Mapping[str, str]) -> list[str]:
    """VOC's 20 if no other name occurs in any XML file; else the names in all of them, so that splits agree.

    Args:
        here: those in the split. VOC's own folders have no other names, and not all files are read for them.
    """
    found = set(here)
    if found <= set(CLASSES) and not merge and folder.path.resolve().name in OWN:
        return list(CLASSES)
    found |= names_of_all(folder)
    if found <= set(CLASSES) and not merge:
        return list(CLASSES)
    return sorted({merge.get(name, name) for name in found})
