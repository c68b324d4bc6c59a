"""Patches of images, each about one object or none: what DeepMask learns from (T.-Y. Lin's thesis, sec. 3.3.3).

A patch shows `size` pixels a side and `context / 2` more all around. There are three kinds:

| patch | drawn from | target |
|---|---|---|
| for masks | a random class, a random object of it; centre and scale jittered | `masks` [1, H, W], no `objectness` |
| for scores, an object | a random image, a random object of it, exactly centred | `objectness` 1 |
| for scores, background | a random place and scale of a random image, far from every object | `objectness` 0 |

An object is at its scale where the larger side of its box is `object_size` pixels of the patch.

The rules are those of the released code (facebookresearch/deepmask, `DataSampler.lua`). Here centre and scale of a
patch for scores are exact, where that code rounds its scale to a quarter of an octave; and a place that is not far
from objects after 100 tries is never taken for background.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2.functional import pad, resize

from workbench.data.dataset import Dataset, make_target
from workbench.errors import DataError
from workbench.options import Count, Factor, Number, Offset, Share
from workbench.types import Target, learnable

GREY = 128  #: of pixels outside the image, about the mean
TRIES = 1000  #: places that are looked at for background
STEP = 0.25  #: octaves between the scales of background
SMALLEST_AREA, SMALLEST_SIDE = 100, 5  #: pixels of an object to learn a mask of


class Cut(NamedTuple):
    """Where a patch is from."""

    kind: Literal["mask", "object", "background"]
    image: int  #: index in the whole data
    row: int  #: of the object in its target; -1 for background
    left: int  #: pixels of the image, of the patch with its context
    top: int
    side: int


class Patches(Dataset):
    """As many patches as there are images, others in each epoch; see the module.

    Args:
        whole: data with masks.
        size: pixels a side of what the network predicts a mask for.
        context: further pixels, half of them on each side.
        object_size: pixels of the larger side of an object; None: 128 / 224 of `size`, rounded up.
        shift: pixels by which centres are jittered; None: a tenth of `size`.
        octaves: by which scales are jittered.
        score_share: of the patches for scores; half of them are background.
        distance, distance_octaves: what is background is further than this from each object, in pixels of the patch
            or in octaves of scale. Published: 32 pixels, 1 octave; None: three times `shift`, as released.
        scales: of images, lowest and highest in octaves, at which background is drawn.
        key: "masks", the visible pixels, or "masks_amodal".
        seed, epoch: what the patches depend on.

    Raises:
        DataError: there are no objects of sufficient size, or no masks.
    """

    def __init__(
        self,
        whole: Dataset,
        *,
        size: Count = 160,
        context: Number = 32,
        object_size: Count | None = None,
        shift: Factor | None = None,
        octaves: Factor = 0.25,
        score_share: Share = 0.5,
        distance: Factor | None = None,
        distance_octaves: Factor = 2.5,
        scales: tuple[Offset, Offset] = (-3.0, 2.0),
        key: Literal["masks", "masks_amodal"] = "masks",
        seed: int = 0,
        epoch: int = 0,
    ):
        self.whole, self.name, self.split, self.classes = whole, whole.name, whole.split, whole.classes
        self.size_of_patch, self.context = size, context
        self.object_size = math.ceil(size * 128 / 224) if object_size is None else object_size
        self.shift, self.octaves = size / 10 if shift is None else shift, octaves
        self.score_share = score_share
        self.distance = 3 * self.shift if distance is None else distance
        self.distance_octaves = distance_octaves
        self.scales = np.arange(scales[0], scales[1] + STEP / 2, STEP)
        self.key, self.seed, self.epoch = key, seed, epoch
        self.mirrors = whole.mirrors  # type: ignore[misc]
        self.objects = _Objects(whole, key)

    def drawn(self, seed: int, epoch: int) -> Patches:
        """Those of another epoch or seed, of the same objects."""
        other = object.__new__(Patches)
        other.__dict__ |= self.__dict__ | {"seed": seed, "epoch": epoch}
        return other

    def __len__(self) -> int:
        return len(self.whole)

    @property
    def side(self) -> int:
        """Pixels of a patch with its context."""
        return self.size_of_patch + self.context

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of every patch."""
        return self.side, self.side

    def cut(self, index: int) -> Cut:
        """Where a patch is from.

        Raises:
            DataError: no place in the data is far enough from all objects.
        """
        rng = np.random.default_rng([self.seed, self.epoch, self._position(index)])
        if rng.random() >= self.score_share:
            return self._about_object("mask", self.objects.of_a_class(rng), rng)
        if rng.random() < 0.5:
            return self._about_object("object", self.objects.of_an_image(rng), None)
        return self._background(rng)

    def image(self, index: int) -> tv_tensors.Image:
        cut = self.cut(index)
        image = self.whole.image(cut.image).as_subclass(Tensor)
        return tv_tensors.Image(self._pixels(image, cut, GREY))

    def target(self, index: int) -> Target:
        """`masks`, or `objectness`; `boxes` and `labels` of the object that the patch is about, if it is."""
        cut = self.cut(index)
        rows = torch.tensor([cut.row] if cut.row >= 0 else [], dtype=torch.long)
        given = self.whole.target(cut.image)
        scale = self.side / cut.side
        corner = torch.tensor([cut.left, cut.top, cut.left, cut.top])
        boxes = (_boxes(given, self.key)[rows] - corner) * scale
        masks = None
        if cut.kind == "mask":
            whole = given[self.key].as_subclass(Tensor)[rows].to(torch.uint8) * 255
            masks = self._pixels(whole, cut, 0) > 127
        target = make_target(
            image_id=int(given["image_id"]),
            size=self.size(index),
            boxes=boxes,
            labels=given["labels"][rows],
            area=(boxes[:, 2:] - boxes[:, :2]).prod(dim=1),
        )
        if masks is None:
            target["objectness"] = int(cut.kind == "object")
        else:
            target[self.key] = tv_tensors.Mask(masks)
        return target

    def where(self, index: int) -> str:
        return f"a patch of {self.whole.where(self.cut(index).image)}"

    def _pixels(self, image: Tensor, cut: Cut, fill: int) -> Tensor:
        """uint8 [C, side, side] of an image [C, H, W], with `fill` outside it."""
        left, top, right, bottom = cut.left, cut.top, cut.left + cut.side, cut.top + cut.side
        part = image[:, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        outside = [min(max(-left, 0), cut.side), min(max(-top, 0), cut.side)]
        outside += [cut.side - part.shape[2] - outside[0], cut.side - part.shape[1] - outside[1]]
        return resize(pad(part, outside, fill=fill), [self.side, self.side], antialias=True)

    def _about_object(self, kind: Literal["mask", "object"], number: int, rng: np.random.Generator | None) -> Cut:
        """The patch of an object, jittered if there is an `rng`."""
        x, y, largest = self.objects.places[number]
        shift, octave = np.zeros(2), 0.0
        if rng is not None:
            shift, octave = rng.uniform(-self.shift, self.shift, 2), rng.uniform(-self.octaves, self.octaves)
        pixel = largest / self.object_size * 2**octave  # pixels of the image for one of the patch
        centre = (x + shift[0] * pixel, y + shift[1] * pixel)
        return self._around(kind, int(self.objects.image[number]), int(self.objects.row[number]), centre, pixel)

    def _around(self, kind: str, image: int, row: int, centre: tuple[float, float], pixel: float) -> Cut:
        side = max(1, round(self.side * pixel))
        return Cut(kind, image, row, round(centre[0] - side / 2), round(centre[1] - side / 2), side)  # type: ignore[arg-type]

    def _background(self, rng: np.random.Generator) -> Cut:
        for _ in range(TRIES):
            image = int(rng.integers(len(self.whole)))
            height, width = self.whole.size(image)
            scale = 2.0 ** rng.choice(self.scales)
            x, y = rng.uniform(0, width), rng.uniform(0, height)
            if self._is_far(image, x, y, scale):
                return self._around("background", image, -1, (x, y), 1 / scale)
        raise DataError(
            f"{self.name}/{self.split}: no place further than {self.distance:g} pixels and {self.distance_octaves:g} "
            f"octaves from all objects was found in {TRIES} tries; lower `distance` or `distance_octaves`"
        )

    def _is_far(self, image: int, x: float, y: float, scale: float) -> bool:
        """Whether a place at a scale of an image is no patch of any of its objects, not even nearly."""
        centre_x, centre_y, largest = self.objects.of(image).T
        near = np.hypot(centre_x - x, centre_y - y) * scale < self.distance
        same_scale = np.abs(np.log2(np.maximum(largest, 1) * scale / self.object_size)) < self.distance_octaves
        return not (near & same_scale).any()


class _Objects:
    """Where the objects of data are, M in all and M' to learn from."""

    def __init__(self, data: Dataset, key: str):
        places, image, row, label, large, self._first = [], [], [], [], [], [0]
        for index in range(len(data)):
            target = data.target(index)
            if key not in target:
                raise DataError(
                    f'{data.where(index)} has no target["{key}"] to cut patches for; use data with masks '
                    "(coco: options.masks true)"
                )
            boxes = _boxes(target, key).numpy().astype(np.float64).reshape(-1, 4)
            sides = boxes[:, 2:] - boxes[:, :2]
            area = target["area"].numpy() if key == "masks" else sides.prod(axis=1)
            places.append(np.column_stack([boxes[:, :2] + sides / 2, sides.max(axis=1, initial=0)]))
            good = (
                learnable(target).numpy()
                & (area >= SMALLEST_AREA)
                & (sides.min(axis=1, initial=np.inf) >= SMALLEST_SIDE)
            )
            large.append(good)
            image.append(np.full(len(boxes), index))
            row.append(np.arange(len(boxes)))
            label.append(target["labels"].numpy())
            self._first.append(self._first[-1] + len(boxes))
        everything = np.concatenate(places) if places else np.zeros((0, 3))
        self._all = everything
        use = np.concatenate(large) if large else np.zeros(0, bool)
        if not use.any():
            raise DataError(
                f"{data.name}/{data.split} has no object of {SMALLEST_AREA} pixels or more to cut patches of; is it "
                "the right split?"
            )
        self.places = everything[use]  #: [M', 3] centre x and y, larger side, in pixels
        self.image, self.row = np.concatenate(image)[use], np.concatenate(row)[use]  #: [M']
        labels = np.concatenate(label)[use]
        self._by_class = [np.flatnonzero(labels == one) for one in np.unique(labels)]
        images = np.unique(self.image)
        self._by_image = (np.searchsorted(self.image, images), np.searchsorted(self.image, images, side="right"))

    def of(self, image: int) -> np.ndarray:
        """Centres and larger sides [N, 3] of all objects of an image."""
        return self._all[self._first[image] : self._first[image + 1]]

    def of_a_class(self, rng: np.random.Generator) -> int:
        """The number of an object of a random class."""
        return int(rng.choice(self._by_class[rng.integers(len(self._by_class))]))

    def of_an_image(self, rng: np.random.Generator) -> int:
        """The number of an object of a random image."""
        starts, ends = self._by_image
        image = rng.integers(len(starts))
        return int(rng.integers(starts[image], ends[image]))


def _boxes(target: Target, key: str) -> Tensor:
    """Boxes [N, 4] around what `key` shows."""
    boxes = target.get("boxes_visible", target["boxes"]) if key == "masks" else target["boxes"]
    return boxes.as_subclass(Tensor)
