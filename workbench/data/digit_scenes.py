"""Digit scenes: handwritten digits over photographs, some of them partly hidden, the whole truth known.

The pixels are real and come inside the wheels of scikit-learn and scikit-image (see `pixels.py`); the splits
share neither digits nor photographs. How much is hidden in which split: see `drawing.scenes`.

Families: "digits", each object one digit of 20-56 px (more for larger images); and "parts", each object a
card of 48-76 px with three digits of its class, a strong one of 58 % of the card's side and two faint ones of
34 %, in one of four layouts. There the object's pixels are the whole card.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from torch import Tensor

from workbench.data.drawing.arrangement import arrange
from workbench.data.drawing.layout import Ink, Layout, Piece
from workbench.data.drawing.occluders import COVERS
from workbench.data.drawing.paint import paint
from workbench.data.drawing.pixels import digits, digits_of, glyph
from workbench.data.drawing.scenes import Scenes, as_tensor, object_count, object_size
from workbench.registry import DATASETS

Family = Literal["digits", "parts"]
Aim = Literal["any", "strong"]
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
class DigitScenes(Scenes):
    """Scenes made on demand, each from (seed, split, index) alone, in any order.

    Args:
        family: "digits", each object one; or "parts", cards with a strong digit and two faint ones.
        aim: "strong" lets the occluders of `parts` prefer the strong digit; `parts_hidden` measures the outcome.
        options: size, seed, length, occlusion_rate, occluders and cache, see `Scenes`. Occluders are patches of
            brick, grass or gravel ("texture"), other objects ("digit") and "strip".

    Raises:
        DataError: any other value.
    """

    mirrors = False
    covers = ("texture", "digit", "strip")

    def __init__(self, split: str = "train", *, family: Family = "digits", aim: Aim = "any", **options: Any):
        super().__init__(split, **options)
        self.classes = tuple("0123456789")
        self.family, self.aim = family, aim

    def arranged(self, rng: np.random.Generator) -> Layout:
        low, high = (2, 5) if self.family == "digits" else (1, 3)
        draw = _draw_digit if self.family == "digits" else _draw_card
        return arrange(
            rng,
            size=self.pixels,
            num_objects=object_count(rng, low, high, self.pixels),
            draw_piece=lambda rng, _: draw(rng, self.split, self.pixels),
            rate=self.occlusion_rate,
            even=self.split != "train",
            occluders=self.occluders,
            covers=COVERS,
            aim=self.aim,
        )

    def painted(self, layout: Layout, rng: np.random.Generator) -> np.ndarray:
        return paint(layout, rng, self.split)

    def parts_hidden(self, index: int) -> Tensor:
        """Hidden fraction of the ink of each object's digits [N, parts], the strong one first."""
        layout, owner = self._made(self._position(index))
        rows = []
        for number, piece in enumerate(layout.pieces, start=1):
            seen = owner[piece.window] == number
            rows.append([_hidden_ink(self.split, ink, seen) for ink in piece.inks])
        return as_tensor(rows)


def _draw_digit(rng: np.random.Generator, split: str, pixels: int) -> Piece:
    values = digits(split)[1]
    position = int(rng.integers(len(values)))
    size = object_size(rng, 20, 56, pixels)
    mask = glyph(split, position, size) > 0.5
    return Piece(int(values[position]) + 1, 0, 0, mask, (Ink(position, 0, 0, size, 1.0),))


def _draw_card(rng: np.random.Generator, split: str, pixels: int) -> Piece:
    value = int(rng.integers(10))
    size = object_size(rng, 48, 76, pixels)
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
