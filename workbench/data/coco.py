"""COCO data sets: `R/annotations/instances_S.json` with the images in `R/S/`.

The file is read and checked here rather than by torchvision's `CocoDetection`, which trusts it: a wrong entry
becomes a `Problem` with file and annotation id. On good files both give the same (see the tests). What a large file
holds is kept as a table in the user's cache, which later loads and other processes map (see `reading.tables`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from workbench.data.dataset import Dataset, make_target
from workbench.data.reading.coco_table import CODE, REVISION, WITHOUT, read_coco
from workbench.data.reading.images import read_sized
from workbench.data.reading.lazy_target import LazyTarget
from workbench.data.reading.masks import code_of, estimate_occlusion
from workbench.data.reading.paths import existing_folder, path_inside
from workbench.data.reading.problems import Problem, raise_first
from workbench.data.reading.tables import SMALLEST, Table, file_source, kept_table
from workbench.errors import DataError, did_you_mean
from workbench.registry import DATASETS
from workbench.rle import RLE, decode_masks
from workbench.types import Target


@DATASETS.register("coco")
class Coco(Dataset):
    """A COCO data set of objects.

    Labels 1..K are the file's categories in the order of their ids (`category_ids`). Boxes are clipped to the
    image, empty ones left out (see `problems`). With masks, `occlusion` is estimated by `masks.estimate_occlusion`,
    unless the file itself holds `occlusion` (as our exports do); crowds have NaN.

    Args:
        root: the folder of the data set; see the module.
        split: such as "train2017".
        masks: False leaves masks and the estimate out, which is faster.
        strict: raise DataError at the first error; False leaves out what is wrong and keeps the errors in `problems`
            for the doctor.
    """

    def __init__(
        self,
        root: str | PathLike[str] | None,
        split: str = "train",
        *,
        masks: bool = True,
        strict: bool = True,
    ):
        self.name, self.split, self.masks = "coco", split, masks
        self.root = existing_folder(root, "coco")
        folder = path_inside(self.root, split)
        self.file = path_inside(self.root, f"annotations/instances_{split}.json")
        if not self.file.is_file():
            there = sorted(path.stem.removeprefix("instances_") for path in self.file.parent.glob("instances_*.json"))
            raise DataError(f"{self.file} does not exist, so there is no split {split!r}{did_you_mean(split, there)}")
        self.folder = existing_folder(folder, "coco")
        self._table = self._read()
        about = self._table.about
        self.problems = tuple(
            Problem(level, f"{self.file}{where}", what, fix) for level, where, what, fix in about["problems"]
        )
        if strict:
            raise_first(self.problems, hint="load_data(…, strict=False) and the doctor list them all")
        self.classes, self._category_ids = tuple(about["classes"]), tuple(about["category_ids"])
        self._given = about["has_occlusion"]
        self.occlusion_is_estimate = about["is_estimate"] if self._given else masks
        self._estimates: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self._table["image_id"])

    def size(self, index: int) -> tuple[int, int]:
        height, width = self._table["size"][self._position(index)].tolist()
        return height, width

    def path(self, index: int) -> Path:
        return path_inside(self.folder, self.file_name(index))

    def file_name(self, index: int) -> str:
        first, end = self._table["name_starts"][(index := self._position(index)) : index + 2].tolist()
        return self._table["names"][first:end].tobytes().decode("utf-8", "surrogatepass")

    @property
    def category_ids(self) -> tuple[int, ...]:
        return self._category_ids

    def image_id(self, index: int) -> int:
        return int(self._table["image_id"][self._position(index)])

    def annotation_ids(self, index: int) -> list[int]:
        return self._table["id"][self._rows(self._position(index))].tolist()

    def image(self, index: int) -> tv_tensors.Image:
        return read_sized(self.path(index), self.size(index), self.file)

    def target(self, index: int) -> Target:
        """The target; masks are decoded, and the occlusion estimated, when somebody asks for them."""
        index = self._position(index)
        table, rows = self._table, self._rows(index)
        target = make_target(
            image_id=self.image_id(index),
            size=self.size(index),
            boxes=torch.tensor(table["box"][rows]),
            labels=torch.tensor(table["label"][rows]),
            area=torch.tensor(table["area"][rows]),
            iscrowd=torch.tensor(table["iscrowd"][rows]),
            difficult=torch.tensor(table["difficult"][rows]),
            occlusion=torch.tensor(table["occlusion"][rows]),
        )
        if not self.masks or (table["shape"][rows] == WITHOUT).any():
            return target
        later: dict[str, Callable[[Target], Any]] = {"masks": partial(self._decode, index)}
        if not self._given:
            del target["occlusion"]
            later["occlusion"] = partial(self._estimate, index)
        return LazyTarget(target, later)  # type: ignore[return-value]  # to its readers an ordinary dict

    def _read(self) -> Table:
        """The content of the file; of a large one from the user's cache, if it is there."""
        options = {"masks": self.masks}
        source, state = file_source(self.file, revision=REVISION, options=options)
        read = partial(read_coco, self.file, self.folder, masks=self.masks)
        if state.st_size < SMALLEST:
            return read()
        return kept_table("coco", source, read, changed_ns=state.st_mtime_ns)

    def _rows(self, position: int) -> slice:
        return slice(*self._table["starts"][position : position + 2].tolist())

    def _decode(self, index: int, target: Target) -> tv_tensors.Mask:
        rows, table, size = self._rows(index), self._table, self.size(index)
        codes: list[RLE] = []
        for shape, (first, end) in zip(table["shape"][rows].tolist(), table["parts"][rows].tolist(), strict=True):
            if shape == CODE:
                codes.append({"size": list(size), "counts": table["codes"][first:end].tobytes()})
            else:
                places = table["point_starts"][first : end + 1].tolist()
                codes.append(code_of([table["points"][start:stop] for start, stop in pairwise(places)], size))
        return tv_tensors.Mask(decode_masks(codes, size))

    def _estimate(self, index: int, target: Target) -> Tensor:
        """The hidden fraction of each object [N]; NaN for crowds."""
        if index not in self._estimates:
            single = ~target["iscrowd"].numpy()
            occlusion = np.full(len(single), np.nan, np.float32)
            occlusion[single] = estimate_occlusion(target["masks"].numpy()[single])
            self._estimates[index] = torch.from_numpy(occlusion)
        return self._estimates[index].clone()
