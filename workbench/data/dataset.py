"""What every data set gives: images with targets, by index, and the same annotations as COCO JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from workbench.cards import clip, never_raises
from workbench.data.export import coco_dict
from workbench.data.reading.contents import ObjectsAtHand, contents
from workbench.data.reading.problems import Problem
from workbench.errors import DataError
from workbench.files import write_json
from workbench.types import Target

if TYPE_CHECKING:
    from workbench.data.pairs import PairSet


class Dataset(torch.utils.data.Dataset):
    """Images with their targets; a subclass gives `__len__`, `image`, `target` and `size`.

    `data[i]` is `(image, target)`: an image uint8 [3, H, W] and a `Target`. Label `k + 1` is `classes[k]`.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test")
        >>> [data.classes[label - 1] for label in data.target(7)["labels"]]
        ['0', '8', '5', '0', '6']
        >>> data.subset([7, 8]).export_coco()["images"][0]["file_name"]
        '000007.png'
    """

    kind: ClassVar[str] = ""  #: what `load_data` calls it
    task: ClassVar[str] = "detection"  #: or "classification": what can be learned from it
    takes_occlusion_plan: ClassVar[bool] = False  #: whether images can be hidden by `pairs.OcclusionPlan`
    occludes: ClassVar[bool] = False  #: whether it brings pairs of clean and occluded images by itself
    mirrors: ClassVar[bool] = True  #: whether a mirrored image is still of its class

    @classmethod
    def described(cls, options: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """The data sets that options describe, by the key of each; their sections are arguments of `load_data`."""
        return {}

    name: str  #: what it is called in messages and results
    split: str
    classes: tuple[str, ...]  #: names of the labels 1..K
    occlusion_is_estimate: bool = False  #: True where `occlusion` is a guess from other objects' masks
    annotated: bool = True  #: False where the annotations of the split are kept by others, as those of a test server
    voc_year: int | None = None  #: of VOC's rules of evaluation, for its data
    benchmark: str | None = None  #: kind of `BENCHMARKS` whose measure `evaluate` adds to the summary
    annotation_version: str = ""  #: in words, which version of the annotations it has; "" where there is only one
    problems: tuple[Problem, ...] = ()  #: what was wrong in the annotation files when they were read
    columns: dict[str, tuple[int, ...]] | None = None  #: of a table of accuracies: `pattern`s by name
    pairs: PairSet | None = None  #: clean and occluded images that belong together, beside the training data

    def __len__(self) -> int:
        raise NotImplementedError

    def image(self, index: int) -> tv_tensors.Image:
        """The image [3, H, W], uint8."""
        raise NotImplementedError

    def full_image(self, index: int) -> tv_tensors.Image:
        """What random crops for training are cut from, uint8 [3, H', W']: all of the file where `image` is a part."""
        return self.image(index)

    def target(self, index: int) -> Target:
        """The target alone; no image is decoded."""
        raise NotImplementedError

    def drawn(self, seed: int, epoch: int) -> Dataset:
        """The data as an epoch of a training with `seed` sees them; here always the same."""
        return self

    def size(self, index: int) -> tuple[int, int]:
        """Height and width in pixels, as the annotations state them."""
        raise NotImplementedError

    def path(self, index: int) -> Path | None:
        """The image's file; None for images that are made."""
        return None

    @property
    def category_ids(self) -> tuple[int, ...]:
        """The ids of the labels 1..K in files of annotations and of results."""
        return tuple(range(1, len(self.classes) + 1))

    @property
    def category_labels(self) -> dict[int, int]:
        """The label of each category id in such files; 0 for those whose objects are left out."""
        return dict(zip(self.category_ids, range(1, len(self.classes) + 1), strict=True))

    def class_counts(self) -> np.ndarray | None:
        """How many objects there are of each class [K]; None where only looking at every target would say it."""
        found = self.objects_at_hand(range(len(self)))
        return None if found is None else np.bincount(found.labels, minlength=len(self.classes) + 1)[1:]

    def objects_at_hand(self, indices: Sequence[int]) -> ObjectsAtHand | None:
        """The objects of some images (0..len-1), without a look at any file; None where that is not known."""
        return None

    def image_id(self, index: int) -> int:
        """The id of the image, as in its target; counted from 1 where that has none."""
        return int(self.target(index).get("image_id", self._position(index) + 1))

    def origin(self, index: int) -> tuple[Dataset, int]:
        """The data set that an image comes from, and its position there: of a view, what it is a view of."""
        return self, self._position(index)

    def annotation_ids(self, index: int) -> list[int] | None:
        """The ids of the objects of the image in the file that they are from; None if there is none."""
        return None

    def file_name(self, index: int) -> str:
        """The name of the image in exports."""
        path = self.path(index)
        return f"{self._position(index):06d}.png" if path is None else path.name

    def image_name(self, index: int) -> str:
        """The name of the image in lists and in VOC's files of results: that of its file, without the ending."""
        return os.path.splitext(self.file_name(index))[0]

    def where(self, index: int) -> str:
        """The image in words, for messages."""
        path = self.path(index)
        return f"{self.name}/{self.split} image {index}" if path is None else str(path)

    def image_problems(self, index: int) -> list[Problem]:
        """What is wrong with the annotation of an image and shows with its size only; else it is in `problems`."""
        return []

    def __getitem__(self, index: int) -> tuple[tv_tensors.Image, Target]:
        index = self._position(index)
        return self.image(index), self.target(index)

    def __iter__(self) -> Iterator[tuple[tv_tensors.Image, Target]]:
        return (self[index] for index in range(len(self)))

    @never_raises
    def __repr__(self) -> str:
        text = f"{len(self)} images, {len(self.classes)} classes"
        return f"{type(self).__name__}({clip(self.name)!r}, split={clip(self.split)!r}: {text})"

    @never_raises
    def _repr_html_(self) -> str:
        return contents(self)

    def subset(self, indices: Sequence[int] | Tensor | slice) -> Dataset:
        """The images at `indices` only, in that order; `image_id` is kept.

        Args:
            indices: positions; or for each image whether it is wanted (bool).

        Raises:
            DataError: there is not one bool for each image.
            IndexError: a position is outside.
        """
        return Subset(self, indices)

    def export_coco(self, path: str | PathLike[str] | None = None, *, masks: bool = True) -> dict[str, Any]:
        """The annotations as COCO JSON (a dict), also written to `path` if one is given.

        Keys beyond COCO's: `occlusion` (0..1, or None where unknown), `difficult` and all else that targets know of
        objects, such as `face_type`, of each annotation; `mask_occluder` of each image. The file appears whole or not
        at all.

        Args:
            masks: False leaves all that are pixels out.
        """
        content = coco_dict(self, masks=masks)
        if path is not None:
            write_json(path, content)
        return content

    def _position(self, index: int) -> int:
        """`index` as 0..len-1; negative ones count from the end.

        Raises:
            IndexError: it is outside.
        """
        position = int(index) + len(self) if index < 0 else int(index)
        if not 0 <= position < len(self):
            raise IndexError(f"image {index} of {self.name}/{self.split}, which has {len(self)}")
        return position


class View(Dataset):
    """Images of other data sets; a subclass says by `_place` which."""

    def _place(self, index: int) -> tuple[Dataset, int]:
        """The data set that an image is from, and its index there."""
        raise NotImplementedError

    def image(self, index: int) -> tv_tensors.Image:
        whole, place = self._place(index)
        return whole.image(place)

    def full_image(self, index: int) -> tv_tensors.Image:
        whole, place = self._place(index)
        return whole.full_image(place)

    def target(self, index: int) -> Target:
        whole, place = self._place(index)
        return whole.target(place)

    def size(self, index: int) -> tuple[int, int]:
        whole, place = self._place(index)
        return whole.size(place)

    def path(self, index: int) -> Path | None:
        whole, place = self._place(index)
        return whole.path(place)

    def image_id(self, index: int) -> int:
        whole, place = self._place(index)
        return whole.image_id(place)

    def origin(self, index: int) -> tuple[Dataset, int]:
        whole, place = self._place(index)
        return whole.origin(place)

    def annotation_ids(self, index: int) -> list[int] | None:
        whole, place = self._place(index)
        return whole.annotation_ids(place)

    def file_name(self, index: int) -> str:
        whole, place = self._place(index)
        return whole.file_name(place)

    def image_name(self, index: int) -> str:
        whole, place = self._place(index)
        return whole.image_name(place)

    def where(self, index: int) -> str:
        whole, place = self._place(index)
        return whole.where(place)

    def image_problems(self, index: int) -> list[Problem]:
        whole, place = self._place(index)
        return whole.image_problems(place)


class ViewOfOne(View):
    """Images of one other data set, `whole`, with its categories."""

    whole: Dataset

    @property
    def category_ids(self) -> tuple[int, ...]:
        return self.whole.category_ids

    @property
    def category_labels(self) -> dict[int, int]:
        return self.whole.category_labels


class Subset(ViewOfOne):
    """Some images of another data set."""

    def __init__(self, whole: Dataset, indices: Sequence[int] | Tensor | slice):
        self.whole = whole
        self.indices = _positions(whole, indices)
        self.name, self.split, self.classes = whole.name, whole.split, whole.classes
        self.occlusion_is_estimate, self.voc_year = whole.occlusion_is_estimate, whole.voc_year
        self.annotated = whole.annotated
        self.benchmark, self.annotation_version = whole.benchmark, whole.annotation_version
        self.problems = whole.problems
        self.columns, self.pairs = whole.columns, whole.pairs
        self.task, self.mirrors = whole.task, whole.mirrors  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self.indices)

    def objects_at_hand(self, indices: Sequence[int]) -> ObjectsAtHand | None:
        """Those of the whole, at these images."""
        return self.whole.objects_at_hand([self.indices[index] for index in indices])

    def _place(self, index: int) -> tuple[Dataset, int]:
        return self.whole, self.indices[self._position(index)]


def _positions(data: Dataset, indices: Sequence[int] | Tensor | slice) -> list[int]:
    """The positions that `Dataset.subset` is given."""
    if isinstance(indices, slice):
        return list(range(*indices.indices(len(data))))
    given = indices.tolist() if isinstance(indices, Tensor | np.ndarray) else list(indices)
    if not given or not all(isinstance(each, bool | np.bool_) for each in given):
        return [data._position(int(index)) for index in given]
    if len(given) != len(data):
        what = f"{data.name} {data.split} has {len(data)} images, but whether they are wanted is said of {len(given)}"
        raise DataError(f"{what}; give one bool for each image, or positions")
    return np.flatnonzero(given).tolist()


def evenly_spaced(length: int, number: int) -> list[int]:
    """At most `number` of the positions 0..length-1, evenly spaced: with the first and, of more than one, the last.

    Example:
        >>> evenly_spaced(9, 3), evenly_spaced(2, 3)
        ([0, 4, 8], [0, 1])
    """
    return np.linspace(0, length - 1, min(number, length)).round().astype(int).tolist()


def make_target(
    *,
    image_id: int,
    size: tuple[int, int],
    boxes: Tensor,
    labels: Tensor,
    area: Tensor,
    occlusion: Tensor | None = None,
    iscrowd: Tensor | None = None,
    difficult: Tensor | None = None,
    masks: Tensor | None = None,
    masks_amodal: Tensor | None = None,
    mask_occluder: Tensor | None = None,
    boxes_visible: Tensor | None = None,
    more: Mapping[str, Any] | None = None,
) -> Target:
    """A target of N objects in an image of `size` (height, width), boxes and masks as tv_tensors.

    Where `masks` and `masks_amodal` are known, so is `mask_occluder`: the pixels of objects that do not show them.

    Args:
        more: further keys; what begins with "boxes" is made tv_tensors, too.
    """

    def as_boxes(values: Tensor) -> tv_tensors.BoundingBoxes:
        return tv_tensors.BoundingBoxes(values.reshape(-1, 4).float(), format="XYXY", canvas_size=size)

    number = len(labels)
    target = Target(
        image_id=image_id,
        boxes=as_boxes(boxes),
        labels=labels.long(),
        iscrowd=torch.zeros(number, dtype=torch.bool) if iscrowd is None else iscrowd,
        difficult=torch.zeros(number, dtype=torch.bool) if difficult is None else difficult,
        area=area.float(),
        occlusion=torch.full((number,), torch.nan) if occlusion is None else occlusion.float(),
    )
    if masks is not None:
        target["masks"] = tv_tensors.Mask(masks)
    if masks_amodal is not None:
        target["masks_amodal"] = tv_tensors.Mask(masks_amodal)
        if masks is not None and mask_occluder is None:
            mask_occluder = (masks_amodal & ~masks).any(0)
    if mask_occluder is not None:
        target["mask_occluder"] = tv_tensors.Mask(mask_occluder)
    if boxes_visible is not None:
        target["boxes_visible"] = as_boxes(boxes_visible)
    for key, value in (more or {}).items():
        target[key] = as_boxes(value) if key.startswith("boxes") else value
    return target
