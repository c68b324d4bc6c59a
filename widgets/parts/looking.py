"""Which image, and which object of it, a widget shows; what `link` passes from one to another.

The same image is found in another data set by what both are views of, as a subset, or else by its id or its file.
Ids are numbers that many data sets share, so an image counts as the same only where its file, or what is known of
its objects, is the same as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
import traitlets
from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import box_iou

from widgets.parts.selection import Selects
from workbench.analysis.occlusion_probe import Thing
from workbench.data import Dataset
from workbench.data.pairs import OccludedImages
from workbench.errors import DataError
from workbench.types import Target

SAME = 0.5  #: IoU from which boxes of two data sets are the same object


class OneImage(Dataset):
    """An image by itself as data.

    Args:
        image: uint8 [3, H, W].
        target: what is known of it.
        classes: names of the target's labels 1..K.
    """

    name, split = "the image", "alone"

    def __init__(self, image: Tensor, target: Target | None, classes: tuple[str, ...]):
        self._image, self._target, self.classes = image, target, classes

    def __len__(self) -> int:
        return 1

    def image(self, index: int) -> tv_tensors.Image:
        self._position(index)
        return tv_tensors.Image(self._image)

    def target(self, index: int) -> Target:
        self._position(index)
        return Target() if self._target is None else self._target

    def where(self, index: int) -> str:
        return "this image"

    def size(self, index: int) -> tuple[int, int]:
        self._position(index)
        height, width = self._image.shape[-2:]
        return height, width


class Place(NamedTuple):
    """An image of some data, and maybe an object of it."""

    data: Dataset
    index: int
    object: int | None = None  #: row of its target

    @property
    def words(self) -> str:
        """For messages."""
        return self.data.where(self.index)


class Looks(Selects):
    """A widget that shows one image at a time. A subclass gives `_looked_at` and `_go_to`, and calls `_announce`."""

    data: Dataset  #: its images

    looks_at = traitlets.Any(None, read_only=True, help="data, index and object that are shown, a `Place`, or None")
    notice = traitlets.Unicode("", read_only=True, help="why it does not show what a linked widget shows")

    def _looked_at(self) -> Place | None:
        """What it shows now."""
        raise NotImplementedError

    def _same_here(self, place: Place) -> Place:
        """The same image in its own data.

        Raises:
            DataError: there is none, in words for the page.
        """
        return found(place, self.data)

    def _go_to(self, place: Place) -> None:
        """Show an image of its own data, and the object if there is one, with one drawing.

        Raises:
            DataError: it cannot, in words for the page.
        """
        raise NotImplementedError

    def _show_notice(self) -> None:
        """Put `notice` on the page."""
        raise NotImplementedError

    def _announce(self) -> None:
        super()._announce()
        if (now := self._looked_at()) != self.looks_at:
            self._set_notice("")
            self.set_trait("looks_at", now)

    def follow(self, place: Place) -> None:
        """Show what another widget shows, or say on the page why not; then all stays as it is."""
        text = ""
        try:
            there, here = self._same_here(place), self._looked_at()
            if here is None or here[:2] != there[:2] or there.object not in (None, here.object):
                self._go_to(there)
        except Exception as error:  # of any kind: what goes wrong here is none of the other widget's business
            text = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
        self._set_notice(text)

    def _set_notice(self, text: str) -> None:
        if text != self.notice:
            self.set_trait("notice", text)
            self._show_notice()


def find(place: Place, data: Dataset) -> Place | None:
    """The same image and object in other data; None where it is not among them."""
    if data is place.data:
        return place
    index = _index_of(place, data)
    return None if index is None else Place(data, index, _same_object(place, data, index))


def found(place: Place, data: Dataset) -> Place:
    """The same.

    Raises:
        DataError: it is not among `data`.
    """
    there = find(place, data)
    if there is None:
        what = "the one image here" if len(data) == 1 else f"the {len(data):,} images here ({data.name} {data.split})"
        raise DataError(f"{place.words} is not among {what}, so nothing was changed.")
    return there


def _index_of(place: Place, data: Dataset) -> int | None:
    whole, position = place.data.origin(place.index)
    if whole is data:
        return position
    ways = [(whole, position)]
    if isinstance(whole, OccludedImages):  # an image under a pattern: the clean one stands for it
        ways.append(whole.clean_origin(position))
    origins = _kept(_ORIGINS, data, _origins)
    for there, index in ways:
        if (id(there), index) in origins:
            return origins[id(there), index]
    return next((index for index in _of_the_same_name(place, data) if _same_image(place, data, index)), None)


_ORIGINS: WeakKeyDictionary[Dataset, Any] = WeakKeyDictionary()
_NAMES: WeakKeyDictionary[Dataset, Any] = WeakKeyDictionary()


def _kept(known: WeakKeyDictionary[Dataset, Any], data: Dataset, make: Callable[[Dataset], Any]) -> Any:
    """What was made of data before, or is made now."""
    if data not in known:
        known[data] = make(data)
    return known[data]


def _origins(data: Dataset) -> dict[tuple[int, int], int]:
    """Where each image comes from (the data by their `id`) → its position; of several from one place, the first."""
    origins = (data.origin(index) for index in reversed(range(len(data))))
    places = reversed(range(len(data)))
    return {(id(whole), position): index for (whole, position), index in zip(origins, places, strict=True)}


def _names(data: Dataset) -> tuple[dict[int, int], dict[str, int]]:
    """Ids → positions, and names of files → positions."""
    places = range(len(data))
    files = {path.name: index for index in places if (path := data.path(index)) is not None}
    return {data.image_id(index): index for index in places}, files


def _of_the_same_name(place: Place, data: Dataset) -> list[int]:
    """Positions of what may be the same image, the likeliest first."""
    ids, files = _kept(_NAMES, data, _names)
    path = place.data.path(place.index)
    named = [ids.get(place.data.image_id(place.index)), None if path is None else files.get(path.name)]
    return [index for index in named if index is not None]


def _same_image(place: Place, data: Dataset, index: int) -> bool:
    """By their files; images that are made, by their size and objects."""
    paths = place.data.path(place.index), data.path(index)
    if None not in paths:
        return paths[0].name == paths[1].name
    if tuple(place.data.size(place.index)) != tuple(data.size(index)):
        return False
    ours, theirs = place.data.target(place.index), data.target(index)
    return "boxes" in ours and "boxes" in theirs and _equal(ours, theirs)


def _equal(ours: Target, theirs: Target) -> bool:
    return ours["boxes"].shape == theirs["boxes"].shape and bool(torch.equal(_boxes(ours), _boxes(theirs)))


def _same_object(place: Place, data: Dataset, index: int) -> int | None:
    """The row of the object of `place` among those of an image: the box that overlaps it most."""
    if place.object is None:
        return None
    box = _boxes(place.data.target(place.index))[[place.object]]
    overlap = box_iou(box, _boxes(data.target(index)))[0]
    return int(overlap.argmax()) if len(overlap) and float(overlap.max()) >= SAME else None


def _boxes(target: Target) -> Tensor:
    return target["boxes"].as_subclass(Tensor).float()


def true_row(chosen: int | None, objects: Sequence[Thing]) -> int | None:
    """The row of the target of an object that is chosen among `Thing`s; None for one that was found or drawn."""
    return None if chosen is None or objects[chosen].source is not None else chosen
