"""Occluded COCO and Separated COCO (Zhan et al. 2022): objects of COCO's validation images that something hides.

G. Zhan, W. Xie and A. Zisserman, "A Tri-Layer Plugin to Improve Occluded Detection", BMVC 2022, list 5,550 objects of
`val2017` that are partly hidden with what is seen of them in one piece (*occluded*), and 3,522 whose visible part is
cut into several pieces (*separated*), found by a program and not by people. The lists (`occluded_coco.pkl` and
`separated_coco.pkl`) name annotations of `instances_val2017.json`; both files are read, and have to fit together.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torchvision import tv_tensors

from workbench.data.coco import Coco
from workbench.data.reading.occluded_lists import FIX, ListedObject, read_occluded_list
from workbench.data.reading.picture_folder import first_place
from workbench.data.reading.problems import Problem, raise_first
from workbench.errors import DataError
from workbench.registry import DATASETS
from workbench.rle import decode_masks
from workbench.types import Target

LISTS = ("occluded", "separated")


@DATASETS.register("occluded-coco")
class OccludedCoco(Coco):
    """COCO's validation images, with all their objects, and which of them are listed.

    Targets have what those of `coco` have, and `occluded` [N] bool, `separated` [N] bool, or one of these where only
    one list is there. The masks of listed objects are those of the lists, which are what is compared.

    Args:
        root: a folder of COCO that holds the lists, too, by themselves or in `annotations`.
        split: as for `coco`.
        images: the folder of the images in `root`, where it is not called as the split.
        occluded: the file of the one list in `root`; None: `occluded_coco.pkl` or `.json`, if it is there.
        separated: likewise, `separated_coco.pkl` or `.json`.
        strict: raise DataError at the first error; False leaves out what is wrong and keeps the errors in `problems`.
        follow_links: also follow links that lead out of `root`.
    """

    benchmark = "occluded-coco"

    def __init__(
        self,
        root: str | PathLike[str] | None,
        split: str = "val2017",
        *,
        images: str | None = None,
        occluded: str | None = None,
        separated: str | None = None,
        strict: bool = True,
        follow_links: bool = False,
    ):
        super().__init__(root, split, images=images, strict=strict, follow_links=follow_links)
        files = {name: self._list(name, own) for name, own in zip(LISTS, (occluded, separated), strict=True)}
        if not any(files.values()):
            raise DataError(f"{self.root.path}: this folder holds no occluded_coco.pkl, nor separated_coco.pkl")
        self._listed: dict[str, dict[int, ListedObject]] = {}
        for name, file in files.items():
            if file is not None:
                objects, problems = read_occluded_list(file)
                wrong = self._misfits(objects)
                self.problems = (*self.problems, *problems, *wrong.values())
                self._listed[name] = {key: one for key, one in objects.items() if key not in wrong}
        if strict:
            raise_first(self.problems, hint="load_data(…, strict=False) and the doctor list them all")

    def target(self, index: int) -> Target:
        target, ids = super().target(index), self.annotation_ids(index)
        for name, objects in self._listed.items():
            target[name] = torch.tensor([identity in objects for identity in ids], dtype=torch.bool)
        return target

    def _decode(self, index: int, rows: slice | np.ndarray) -> tv_tensors.Mask:
        """The masks of an image; those of the lists for the objects that are in one."""
        masks = super()._decode(index, rows)
        for row, identity in enumerate(self._table["id"][rows].tolist()):
            listed = next((objects[identity] for objects in self._listed.values() if identity in objects), None)
            if listed is not None:
                masks[row] = decode_masks([listed.mask], self.size(index))[0]
        return masks

    def _list(self, name: str, own: str | None) -> Path | None:
        """The file of a list."""
        if own is not None:
            return self.root.inside(self.root.path, own)
        files = [f"{name}_coco{ending}" for ending in (".pkl", ".json")]
        return first_place(self.root, [folder + file for folder in ("", "annotations/") for file in files])

    def _misfits(self, objects: dict[int, ListedObject]) -> dict[int, Problem]:
        """What does not fit the annotations, by id."""
        ids = self._table["id"]
        order = np.argsort(ids)
        images = np.searchsorted(self._table["starts"], np.arange(len(ids)), side="right") - 1
        wrong = {}
        for identity, listed in objects.items():
            place = int(np.searchsorted(ids, identity, sorter=order))
            row = int(order[place]) if place < len(ids) else -1
            if row < 0 or ids[row] != identity:
                what = f"annotation {identity} is not in {self.file}"
            else:
                image, label = int(images[row]), int(self._labels[self._table["label"][row]])
                there = (self.file_name(image), self.classes[label - 1], list(self.size(image)))
                said = (listed.file_name, listed.class_name, listed.mask["size"])
                if said == there:
                    continue
                what = f"annotation {identity} is {_words(said)}, but {_words(there)} in {self.file}"
            wrong[identity] = Problem("error", listed.where, what, FIX)
        return wrong


def _words(said: tuple[str, str, list[int]]) -> str:
    name, class_name, (height, width) = said
    return f"a {class_name} of {name} ({height} × {width})"
