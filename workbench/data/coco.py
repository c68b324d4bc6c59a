"""COCO data sets: `R/annotations/instances_S.json` with the images in `R/S/`; of test splits `image_info_S.json`.

The file is read and checked here rather than by torchvision's `CocoDetection`, which trusts it: a wrong entry
becomes a `Problem` with file and annotation id. On good files both give the same (see the tests). What a large file
holds is kept as a table in the user's cache, which later loads and other processes map (see `reading.tables`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import count, pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from workbench.data.dataset import Dataset, make_target
from workbench.data.reading.class_names import choice_problems, class_labels
from workbench.data.reading.coco_table import CODE, POLYGONS, REVISION, WITHOUT, read_coco
from workbench.data.reading.contents import ObjectsAtHand, rows_of
from workbench.data.reading.images import read_sized
from workbench.data.reading.lazy_target import LazyTarget
from workbench.data.reading.masks import code_of, estimate_occlusion
from workbench.data.reading.paths import DataRoot
from workbench.data.reading.problems import Problem, raise_first
from workbench.data.reading.tables import SMALLEST, Table, file_source, kept_table
from workbench.errors import DataError, did_you_mean
from workbench.registry import DATASETS
from workbench.rle import RLE, compressed, decode_masks
from workbench.types import Target

MOST_BYTES = 2**31  #: of the masks of one image
STARTS = ("instances", "image_info")  #: of the names of files, with annotations and without


@DATASETS.register("coco")
class Coco(Dataset):
    """A COCO data set of objects.

    Labels 1..K are the file's categories in the order of their ids (`category_ids`), unless `classes` says others.
    Boxes are clipped to the image, empty ones left out (see `problems`). With masks, `occlusion` is estimated by
    `masks.estimate_occlusion`, unless the file itself holds `occlusion` (as our exports do); crowds have NaN. An
    object without a segmentation that covers a pixel has an empty mask, which nobody learns from; where no object has
    any, there are no masks. An image of the file may have `mask_occluder`, a segmentation (RLE or polygons, [] for
    nothing) of what hides its objects; our exports have it where it is known.

    COCO's test splits have images and categories only (`image_info_test-dev2017.json`): they are not `annotated`, and
    `detect_all` writes what its server scores.

    Args:
        root: the folder of the data set; see the module.
        split: such as "train2017", or "test-dev2017", whose images are those of "test2017".
        images: the folder of the images in `root`, where it is not called as the split.
        classes: names of the labels 1..K; other objects are left out, but still hide what they hide.
        merge: other names for some categories, {"with_mask": "face"}.
        single_class: one name for all objects.
        masks: False leaves masks, also those of occluders, and the estimate out, which is faster.
        strict: raise DataError at the first error; False leaves out what is wrong and keeps the errors in `problems`
            for the doctor.
        follow_links: also follow links that lead out of `root`.
    """

    def __init__(
        self,
        root: str | PathLike[str] | None,
        split: str = "train",
        *,
        images: str | None = None,
        classes: Iterable[str] | None = None,
        merge: Mapping[str, str] | None = None,
        single_class: str | None = None,
        masks: bool = True,
        strict: bool = True,
        follow_links: bool = False,
    ):
        self.name, self.split = type(self).kind, split
        self.root = DataRoot(root, self.name, follow_links=follow_links)
        self.folder = self.root.inside(self.root.path, split if images is None else images)
        self.file, self.annotated = self._find(split)
        if images is None and not self.annotated and not self.folder.is_dir():
            self.folder = self.root.inside(self.root.path, split.replace("test-dev", "test"))
        if not self.folder.is_dir():
            raise DataError(f"{self.folder}: this folder does not exist; images=NAME says where in {root} they are")
        self._table = self._read(masks)
        about = self._table.about
        found = [Problem(level, f"{self.file}{where}", what, fix) for level, where, what, fix in about["problems"]]
        self.problems = (*found, *choice_problems(about["classes"], classes, merge, str(self.file)))
        if strict:
            raise_first(self.problems, hint="load_data(…, strict=False) and the doctor list them all")
        self.classes, labels = class_labels(about["classes"], classes, merge, single_class)
        own = [labels[name] for name in about["classes"]]
        self._labels = np.array([0, *own], np.int64)  # by the table's
        self._all_kept = all(own)
        self._category_labels = dict(zip(about["category_ids"], own, strict=True))
        self._given = about["has_occlusion"]
        shape = self._table["shape"]
        self.masks = masks and (len(shape) == 0 or bool((shape != WITHOUT).any()))
        self.occlusion_is_estimate = about["is_estimate"] if self._given else masks
        self._estimates: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self._table["image_id"])

    def size(self, index: int) -> tuple[int, int]:
        height, width = self._table["size"][self._position(index)].tolist()
        return height, width

    def path(self, index: int) -> Path:
        return self.root.inside(self.folder, self.file_name(index))

    def file_name(self, index: int) -> str:
        return self._bytes("names", "name_starts", self._position(index)).decode("utf-8", "surrogatepass")

    @property
    def category_ids(self) -> tuple[int, ...]:
        """The first id of each class; one that is free where the file has no such category."""
        first = {label: category for category, label in reversed(self._category_labels.items())}
        free = count(max(self._category_labels, default=0) + 1)
        return tuple(first[label] if label in first else next(free) for label in range(1, len(self.classes) + 1))

    @property
    def category_labels(self) -> dict[int, int]:
        return dict(zip(self.category_ids, range(1, len(self.classes) + 1), strict=True)) | self._category_labels

    def objects_at_hand(self, indices: Sequence[int]) -> ObjectsAtHand:
        """As the file has them: an occlusion that would be estimated is unknown (NaN)."""
        rows = rows_of(self._table["starts"], indices)
        labels = self._labels[self._table["label"][rows]]
        return ObjectsAtHand(labels[labels > 0], self._table["occlusion"][rows][labels > 0])

    def image_id(self, index: int) -> int:
        return int(self._table["image_id"][self._position(index)])

    def annotation_ids(self, index: int) -> list[int]:
        return self._table["id"][self._kept(self._position(index))].tolist()

    def image(self, index: int) -> tv_tensors.Image:
        return read_sized(self.path(index), self.size(index), self.file)

    def target(self, index: int) -> Target:
        """The target; masks are decoded, and the occlusion estimated, when somebody asks for them."""
        index = self._position(index)
        table, rows = self._table, self._kept(index)
        target = make_target(
            image_id=self.image_id(index),
            size=self.size(index),
            boxes=torch.tensor(table["box"][rows]),
            labels=torch.tensor(self._labels[table["label"][rows]]),
            area=torch.tensor(table["area"][rows]),
            iscrowd=torch.tensor(table["iscrowd"][rows]),
            difficult=torch.tensor(table["difficult"][rows]),
            occlusion=torch.tensor(table["occlusion"][rows]),
        )
        later: dict[str, Callable[[Target], Any]] = {}
        if self.masks:
            later["masks"] = lambda _: self._decode(index, rows)
            if not self._given:
                del target["occlusion"]
                later["occlusion"] = partial(self._estimate, index)
        if counts := self._bytes("occluders", "occluder_starts", index):
            size = self.size(index)
            later["mask_occluder"] = lambda _: tv_tensors.Mask(decode_masks([{"counts": counts}], size)[0])
        if not later:
            return target
        return LazyTarget(target, later)  # type: ignore[return-value]  # to its readers an ordinary dict

    def _find(self, split: str) -> tuple[Path, bool]:
        """The file of a split, and whether it has annotations."""
        for start in STARTS:
            file = self.root.inside(self.root.path, f"annotations/{start}_{split}.json")
            if file.exists():
                return file, start == STARTS[0]
        file = self.root.inside(self.root.path, f"annotations/{STARTS[0]}_{split}.json")
        there = [path.stem.removeprefix(f"{one}_") for one in STARTS for path in file.parent.glob(f"{one}_*.json")]
        what = f"{file} does not exist, so there is no split {split!r}"
        raise DataError(f"{what}{did_you_mean(split, sorted(set(there)))}")

    def _read(self, masks: bool) -> Table:
        """The content of the file; of a large one from the user's cache, if it is there."""
        options = {"masks": masks, "images": str(self.folder), "follow_links": self.root.follow_links}
        source, state = file_source(self.file, revision=REVISION, options=options)
        read = partial(read_coco, self.file, self.root, self.folder, masks=masks, annotated=self.annotated)
        if state.st_size < SMALLEST:
            return read()
        return kept_table("coco", source, read, changed_ns=state.st_mtime_ns)

    def _bytes(self, column: str, starts: str, position: int) -> bytes:
        """What a column of bytes holds for an image."""
        first, end = self._table[starts][position : position + 2].tolist()
        return self._table[column][first:end].tobytes()

    def _rows(self, position: int) -> slice:
        """All objects of an image."""
        return slice(*self._table["starts"][position : position + 2].tolist())

    def _kept(self, position: int) -> slice | np.ndarray:
        """Those of its objects whose class is not left out."""
        rows = self._rows(position)
        if self._all_kept:
            return rows
        return rows.start + np.flatnonzero(self._labels[self._table["label"][rows]])

    def _decode(self, index: int, rows: slice | np.ndarray) -> tv_tensors.Mask:
        table, size = self._table, self.size(index)
        shapes, parts = table["shape"][rows].tolist(), table["parts"][rows].tolist()
        if len(shapes) * size[0] * size[1] > MOST_BYTES:
            what = f"the masks of its {len(shapes)} objects of {size[0]} × {size[1]} pixels do not fit into memory"
            raise DataError(f"{self.where(index)}: {what}; cut it into parts, or load it with masks=False")
        codes: list[RLE] = []
        for shape, (first, end) in zip(shapes, parts, strict=True):
            if shape == CODE:
                codes.append({"size": list(size), "counts": table["codes"][first:end].tobytes()})
            elif shape == POLYGONS:
                places = table["point_starts"][first : end + 1].tolist()
                codes.append(code_of([table["points"][start:stop] for start, stop in pairwise(places)], size))
            else:
                codes.append(compressed(np.array([size[0] * size[1]]), size))
        return tv_tensors.Mask(decode_masks(codes, size))

    def _estimate(self, index: int, target: Target) -> Tensor:
        """The hidden fraction of each object [N]; NaN for crowds and without a mask."""
        if index not in self._estimates:
            rows, kept = self._rows(index), self._kept(index)
            masks = target["masks"] if self._all_kept else self._decode(index, rows)
            single = ~self._table["iscrowd"][rows]
            occlusion = np.full(len(single), np.nan, np.float32)
            occlusion[single] = estimate_occlusion(masks.numpy()[single])
            here = occlusion if isinstance(kept, slice) else occlusion[kept - rows.start]
            self._estimates[index] = torch.from_numpy(here)
        return self._estimates[index].clone()
