"""What made scenes have in common: options, a cache, and targets in which nothing is guessed.

`train` follows the premise of the occlusion papers, a long tail: about 88 % of the objects are not occluded. `val`
and `test` hold all levels evenly: about a fifth of the objects each below 5 %, in 5-20 %, 20-40 %, 40-60 % and
60-75 %. Objects lie wholly inside the image; none is hidden by more than 75 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torchvision import tv_tensors

from workbench.data.dataset import Dataset, make_target
from workbench.data.drawing.layout import Layout
from workbench.data.drawing.pixels import SPLITS, check_split
from workbench.data.reading.contents import GLANCE, ObjectsAtHand
from workbench.errors import DataError
from workbench.options import Number, Share
from workbench.types import Target

Side = Annotated[int, Field(ge=64)]  #: pixels
LENGTHS = {"train": 6000, "val": 300, "test": 500}
OCCLUSION_RATE = {"train": 0.12, "val": 0.8, "test": 0.8}
CACHE_BYTES = 512 * 2**20  # per data set; about 5,000 scenes of 128 px


class Scenes(Dataset):
    """Scenes made on demand, each from (seed, split, index) alone; a subclass arranges and paints them.

    Args:
        size: height and width in pixels, 64 or more.
        length: number of scenes.
        occlusion_rate: share of the objects that get an occluder, 0..1; None for the split's own.
        occluders: which of the class's `covers` occur; None: all.
        cache: keep scenes once made, as far as they fit into 512 MiB.

    Raises:
        DataError: any other value.
    """

    covers: ClassVar[tuple[str, ...]]  #: all kinds of occluders

    def __init__(
        self,
        split: str = "train",
        *,
        size: Side = 128,
        seed: Number = 0,
        length: Number | None = None,
        occlusion_rate: Share | None = None,
        occluders: str | Sequence[str] | None = None,
        cache: bool = True,
    ):
        self.name, self.split = self.kind, check_split(split)
        self.pixels, self.seed = size, seed
        self.length = LENGTHS[split] if length is None else length
        kinds = self.covers if occluders is None else (occluders,) if isinstance(occluders, str) else occluders
        self.occluders = tuple(choice("occluders", kind, self.covers) for kind in kinds)
        self.occlusion_rate = OCCLUSION_RATE[split] if occlusion_rate is None else occlusion_rate
        scene_bytes = 4.5 * self.pixels**2
        self.cached = min(self.length, int(CACHE_BYTES / scene_bytes)) if cache else 0
        self._images: dict[int, np.ndarray] = {}
        self._layouts: dict[int, tuple[Layout, np.ndarray]] = {}
        self._latest: tuple[int | None, Any] = (None, None)

    def arranged(self, rng: np.random.Generator) -> Layout:
        """Where everything lies in a new scene."""
        raise NotImplementedError

    def painted(self, layout: Layout, rng: np.random.Generator) -> np.ndarray:
        """The picture of a scene, uint8 [S, S, 3]."""
        raise NotImplementedError

    def __len__(self) -> int:
        return self.length

    def size(self, index: int) -> tuple[int, int]:
        self._position(index)
        return self.pixels, self.pixels

    def image(self, index: int) -> tv_tensors.Image:
        index = self._position(index)
        pixels = self._images.get(index)
        if pixels is None:
            pixels = self.painted(self.layout(index), self._rng(index, 1))
            if index < self.cached:
                self._images[index] = pixels
        return tv_tensors.Image(torch.from_numpy(pixels).permute(2, 0, 1).contiguous())

    def image_id(self, index: int) -> int:
        return self._position(index)

    def target(self, index: int) -> Target:
        index = self._position(index)
        layout, owner = self._made(index)
        pieces = layout.pieces
        visible = owner == np.arange(1, len(pieces) + 1)[:, None, None]
        amodal = np.zeros_like(visible)
        for mask, piece in zip(amodal, pieces, strict=True):
            mask[piece.window] = piece.mask
        area = visible.sum((1, 2))
        return make_target(
            image_id=index,
            size=(self.pixels, self.pixels),
            boxes=as_tensor([piece.box for piece in pieces]),
            labels=torch.tensor([piece.label for piece in pieces]),
            area=torch.from_numpy(area),
            occlusion=torch.from_numpy(1 - area / amodal.sum((1, 2))),
            masks=torch.from_numpy(visible),
            masks_amodal=torch.from_numpy(amodal),
            boxes_visible=as_tensor([_tight(mask) for mask in visible]),
        )

    def objects_at_hand(self, indices: Sequence[int]) -> ObjectsAtHand | None:
        """Those of a few scenes: each is laid out, and none painted."""
        if len(indices) > GLANCE:
            return None
        labels, hidden = [np.zeros(0, np.int64)], [np.zeros(0)]
        for index in indices:
            pieces, owner = self.layout(index).pieces, self._made(index)[1]
            whole = np.array([piece.mask.sum() for piece in pieces])
            labels.append(np.array([piece.label for piece in pieces], dtype=np.int64))
            hidden.append(1 - np.bincount(owner.ravel(), minlength=len(pieces) + 1)[1 : len(pieces) + 1] / whole)
        return ObjectsAtHand(np.concatenate(labels), np.concatenate(hidden))

    def layout(self, index: int) -> Layout:
        """Where everything lies in scene `index`."""
        return self._made(self._position(index))[0]

    def _made(self, index: int) -> tuple[Layout, np.ndarray]:
        """The layout of a scene, and which object each of its pixels shows (`Layout.owner`)."""
        if index in self._layouts:
            return self._layouts[index]
        if self._latest[0] == index:  # image and target are asked for one after the other
            return self._latest[1]
        layout = self.arranged(self._rng(index, 0))
        made = layout, layout.owner()
        self._latest = index, made
        if index < self.cached:
            self._layouts[index] = made
        return made

    def _rng(self, index: int, stream: int) -> np.random.Generator:
        """A generator of its own for each scene, one stream for the layout and one for the paint."""
        return np.random.default_rng([self.seed, SPLITS.index(self.split), index, stream])


def object_size(rng: np.random.Generator, low: float, high: float, pixels: int) -> int:
    """A side in pixels, evenly distributed on a log scale; larger images also hold larger objects."""
    high = min(high * (pixels / 128) ** 0.5, 0.6 * pixels)
    return int(np.exp(rng.uniform(np.log(min(low, high)), np.log(high))))


def object_count(rng: np.random.Generator, low: int, high: int, pixels: int) -> int:
    """How many objects a scene of so many pixels a side holds: evenly from `low` to `high` in one of 128, or more."""
    return max(1, round(rng.integers(low, high + 1) * pixels / 128))


def as_tensor(rows: list) -> Tensor:
    """Rows of numbers as float32."""
    return torch.from_numpy(np.array(rows, dtype=np.float32))


def choice(key: str, value: str, allowed: tuple[str, ...]) -> str:
    """`value` itself if it is one of those allowed.

    Raises:
        DataError: it is not.
    """
    if value not in allowed:
        raise DataError(f"{key} {value!r} does not exist; there are {', '.join(allowed)}")
    return value


def _tight(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
