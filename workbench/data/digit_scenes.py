"""Digit scenes: handwritten digits over photographs, some of them partly hidden, the whole truth known.

The pixels are real and come inside the wheels of scikit-learn and scikit-image (see `pixels.py`); the splits
share neither digits nor photographs. `train` follows the premise of the occlusion papers, a long tail: about
88 % of the objects are not occluded. `val` and `test` hold all levels evenly: about a fifth of the objects
each below 5 %, in 5-20 %, 20-40 %, 40-60 % and 60-75 %. Objects lie wholly inside the image; none is hidden
by more than 75 %.

Families: "digits", each object one digit of 20-56 px (more for larger images); and "parts", each object a
card of 48-76 px with three digits of its class, a strong one of 58 % of the card's side and two faint ones of
34 %, in one of four layouts. There the object's pixels are the whole card.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torchvision import tv_tensors

from workbench.data.dataset import Dataset, make_target
from workbench.data.drawing.layout import Ink, Layout, Piece, arrange
from workbench.data.drawing.paint import paint
from workbench.data.drawing.pixels import SPLITS, check_split, digits, digits_of, glyph
from workbench.errors import DataError
from workbench.options import Number, Share
from workbench.registry import DATASETS
from workbench.types import Target

Side = Annotated[int, Field(ge=64)]  #: pixels
LENGTHS = {"train": 6000, "val": 300, "test": 500}
OCCLUSION_RATE = {"train": 0.12, "val": 0.8, "test": 0.8}
FAMILIES = ("digits", "parts")
OCCLUDERS = ("texture", "digit", "strip")
AIMS = ("any", "strong")
CACHE_BYTES = 512 * 2**20  # per data set; about 5,000 scenes of 128 px
STRONG, FAINT = 0.58, 0.34  # sides of a card's digits, as shares of its side
FAINT_STRENGTH = 0.55
# Top left corners (x, y) of a card's strong digit and of the two faint ones, as shares of its side.
_CARD_LAYOUTS = (
    ((0.04, 0.04), (0.63, 0.08), (0.62, 0.62)),
    ((0.38, 0.04), (0.58, 0.63), (0.04, 0.62)),
    ((0.38, 0.38), (0.03, 0.58), (0.04, 0.04)),
    ((0.04, 0.38), (0.08, 0.03), (0.62, 0.04)),
)


@DATASETS.register("digit-scenes")
class DigitScenes(Dataset):
    """Scenes made on demand, each from (seed, split, index) alone, in any order.

    Args:
        size: height and width in pixels, 64 or more.
        length: number of scenes.
        family: one of `FAMILIES`.
        occlusion_rate: share of the objects that get an occluder, 0..1; None for the split's own.
        occluders: which of `OCCLUDERS` occur: patches of brick, grass or gravel; other objects; strips.
        aim: "strong" lets the occluders of `parts` prefer the strong digit; `parts_hidden` measures the outcome.
        cache: keep scenes once made, as far as they fit into 512 MiB.

    Raises:
        DataError: any other value.
    """

    mirrors = False

    def __init__(
        self,
        split: str = "train",
        *,
        size: Side = 128,
        seed: Number = 0,
        length: Number | None = None,
        family: str = "digits",
        occlusion_rate: Share | None = None,
        occluders: str | Sequence[str] = OCCLUDERS,
        aim: str = "any",
        cache: bool = True,
    ):
        self.name, self.split = "digit-scenes", check_split(split)
        self.classes = tuple("0123456789")
        self.pixels, self.seed = size, seed
        self.length = LENGTHS[split] if length is None else length
        self.family = _choice("family", family, FAMILIES)
        self.aim = _choice("aim", aim, AIMS)
        self.occluders = tuple(_choice("occluders", kind, OCCLUDERS) for kind in _listed(occluders))
        self.occlusion_rate = OCCLUSION_RATE[split] if occlusion_rate is None else occlusion_rate
        scene_bytes = 4.5 * self.pixels**2
        self.cached = min(self.length, int(CACHE_BYTES / scene_bytes)) if cache else 0
        self._images: dict[int, np.ndarray] = {}
        self._layouts: dict[int, tuple[Layout, np.ndarray]] = {}
        self._latest: tuple[int | None, Any] = (None, None)

    def __len__(self) -> int:
        return self.length

    def size(self, index: int) -> tuple[int, int]:
        self._position(index)
        return self.pixels, self.pixels

    def image(self, index: int) -> tv_tensors.Image:
        index = self._position(index)
        pixels = self._images.get(index)
        if pixels is None:
            pixels = paint(self.layout(index), self._rng(index, 1), self.split)
            if index < self.cached:
                self._images[index] = pixels
        return tv_tensors.Image(torch.from_numpy(pixels).permute(2, 0, 1).contiguous())

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
            boxes=_tensor([piece.box for piece in pieces]),
            labels=torch.tensor([piece.label for piece in pieces]),
            area=torch.from_numpy(area),
            occlusion=torch.from_numpy(1 - area / amodal.sum((1, 2))),
            masks=torch.from_numpy(visible),
            masks_amodal=torch.from_numpy(amodal),
            boxes_visible=_tensor([_tight(mask) for mask in visible]),
        )

    def layout(self, index: int) -> Layout:
        """Where everything lies in scene `index`."""
        return self._made(self._position(index))[0]

    def parts_hidden(self, index: int) -> Tensor:
        """Hidden fraction of the ink of each object's digits [N, parts], the strong one first."""
        layout, owner = self._made(self._position(index))
        rows = []
        for number, piece in enumerate(layout.pieces, start=1):
            seen = owner[piece.window] == number
            rows.append([_hidden_ink(self.split, ink, seen) for ink in piece.inks])
        return _tensor(rows)

    def _made(self, index: int) -> tuple[Layout, np.ndarray]:
        if index in self._layouts:
            return self._layouts[index]
        if self._latest[0] == index:  # image and target are asked for one after the other
            return self._latest[1]
        rng = self._rng(index, 0)
        low, high = (2, 5) if self.family == "digits" else (1, 3)
        draw = _draw_digit if self.family == "digits" else _draw_card
        layout = arrange(
            rng,
            size=self.pixels,
            num_objects=max(1, round(rng.integers(low, high + 1) * self.pixels / 128)),
            draw_piece=lambda rng: draw(rng, self.split, self.pixels),
            rate=self.occlusion_rate,
            even=self.split != "train",
            occluders=self.occluders,
            aim=self.aim,
        )
        made = layout, layout.owner()
        self._latest = index, made
        if index < self.cached:
            self._layouts[index] = made
        return made

    def _rng(self, index: int, stream: int) -> np.random.Generator:
        """A generator of its own for each scene, one stream for the layout and one for the paint."""
        return np.random.default_rng([self.seed, SPLITS.index(self.split), index, stream])


def _object_size(rng: np.random.Generator, low: float, high: float, pixels: int) -> int:
    """A side in pixels, evenly distributed on a log scale; larger images also hold larger objects."""
    high = min(high * (pixels / 128) ** 0.5, 0.6 * pixels)
    return int(np.exp(rng.uniform(np.log(min(low, high)), np.log(high))))


def _draw_digit(rng: np.random.Generator, split: str, pixels: int) -> Piece:
    values = digits(split)[1]
    position = int(rng.integers(len(values)))
    size = _object_size(rng, 20, 56, pixels)
    mask = glyph(split, position, size) > 0.5
    return Piece(int(values[position]) + 1, 0, 0, mask, (Ink(position, 0, 0, size, 1.0),))


def _draw_card(rng: np.random.Generator, split: str, pixels: int) -> Piece:
    value = int(rng.integers(10))
    size = _object_size(rng, 48, 76, pixels)
    corners = _CARD_LAYOUTS[rng.integers(len(_CARD_LAYOUTS))]
    choice = rng.choice(digits_of(split, value), 3, replace=False)
    inks = []
    for number, (position, (x, y)) in enumerate(zip(choice, corners, strict=True)):
        side, strength = (STRONG, 1.0) if number == 0 else (FAINT, FAINT_STRENGTH)
        inks.append(Ink(int(position), round(x * size), round(y * size), round(side * size), strength))
    return Piece(value + 1, 0, 0, _card(size), tuple(inks))


@lru_cache(maxsize=512)
def _card(size: int) -> np.ndarray:
    """A square with round corners, bool [size, size]."""
    radius = 0.12 * size
    offset = np.abs(np.arange(size) + 0.5 - size / 2) - (size / 2 - radius)
    outside = np.clip(offset, 0, None) ** 2
    return outside[:, None] + outside[None, :] <= radius**2


def _hidden_ink(split: str, ink: Ink, seen: np.ndarray) -> float:
    pixels = glyph(split, ink.position, ink.size) > 0.5
    part = seen[ink.y : ink.y + ink.size, ink.x : ink.x + ink.size]
    return float(1 - (pixels & part).sum() / pixels.sum())


def _tight(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def _tensor(rows: list) -> Tensor:
    return torch.from_numpy(np.array(rows, dtype=np.float32))


def _choice(key: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise DataError(f"{key} {value!r} does not exist; there are {', '.join(allowed)}")
    return value


def _listed(values: Sequence[str]) -> Sequence[str]:
    return (values,) if isinstance(values, str) else values
