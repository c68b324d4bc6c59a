"""Colours for a scene's layout: photograph, ink, cards, faces, occluders."""

from __future__ import annotations

import numpy as np
from PIL import Image

from workbench.data.drawing.faces import Oval, paint_oval, paint_person
from workbench.data.drawing.layout import Cover, Ink, Layout, Piece
from workbench.data.drawing.occluders import fill
from workbench.data.drawing.pixels import TEXTURES, crop, glyph, photographs
from workbench.data.drawing.worn import Worn, paint_worn

_COLOURS_TRIED = 16
_CONTRAST = 0.75  # L1 distance in RGB (of 3) that 80 % of the pixels below must have from the ink


def paint(layout: Layout, rng: np.random.Generator, split: str, *, people: bool = True) -> np.ndarray:
    """The scene's picture, uint8 [S, S, 3].

    Args:
        split: whose photographs, digits, faces and textures are used.
        people: False: the photograph shows none.
    """
    image = background(rng, split, layout.size[0], people=people)
    for layer in layout.layers:
        if isinstance(layer, Oval) and layer.person:
            paint_person(image, layer, rng, split)
    for layer in layout.layers:
        if isinstance(layer, Cover):
            paint_cover(image, layer, rng, split)
        elif isinstance(layer, Oval):
            paint_oval(image, layer, rng, split)
        elif len(layer.inks) > 1:
            _paint_card(image, layer, rng, split)
        else:
            paint_ink(image[layer.window], layer.inks[0], rng, split)
    return (image * 255 + 0.5).clip(0, 255).astype(np.uint8)


def background(rng: np.random.Generator, split: str, size: int, *, people: bool = True) -> np.ndarray:
    """A random part of one of the split's photographs, mirrored or not, float32 [size, size, 3] in 0..1."""
    pool = photographs(split, people=people)
    photograph: Image.Image = pool[rng.integers(len(pool))]
    picture = crop(photograph, size, size, rng).astype(np.float32) * np.float32(rng.uniform(0.75, 1.0) / 255)
    return picture[:, ::-1].copy() if rng.random() < 0.5 else picture


def paint_ink(window: np.ndarray, ink: Ink, rng: np.random.Generator, split: str) -> None:
    """Write one digit into a window [s, s, 3] in a colour that stands out from what is below."""
    alpha = glyph(split, ink.position, ink.size)
    below = window[alpha > 0.5]
    colour = _contrasting(below[:: max(1, len(below) // 64)], rng)
    _blend(window, alpha, colour, ink.strength, rng)


def _paint_card(image: np.ndarray, piece: Piece, rng: np.random.Generator, split: str) -> None:
    """A tinted card with its digits, all in one colour, the fainter ones mixed with the card's colour."""
    window = image[piece.window]
    colour = rng.uniform(0.1, 0.9, 3).astype(np.float32)
    window[piece.mask] = colour + 0.03 * rng.standard_normal((int(piece.mask.sum()), 3), dtype=np.float32)
    ink_colour = _contrasting(colour[None], rng, contrast=1.2)
    for ink in piece.inks:
        part = window[ink.y : ink.y + ink.size, ink.x : ink.x + ink.size]
        _blend(part, glyph(split, ink.position, ink.size), ink_colour, ink.strength, rng)


def _blend(
    window: np.ndarray, alpha: np.ndarray, colour: np.ndarray, strength: float, rng: np.random.Generator
) -> None:
    grain = 0.05 * rng.standard_normal((*alpha.shape, 1), dtype=np.float32)
    alpha = alpha[..., None] * np.float32(strength)
    window += alpha * (colour + grain - window)


def paint_cover(image: np.ndarray, cover: Cover, rng: np.random.Generator, split: str | None) -> None:
    """Colour an occluder in a picture float32 [H, W, 3] in 0..1.

    Args:
        split: whose part of the textures is used; None: all of them.
    """
    height, width = cover.mask.shape
    if height == 0 or width == 0:
        return
    if isinstance(cover.outline, Worn):
        paint_worn(image, cover, cover.outline, rng, split)
    elif cover.kind == "texture":
        grey = fill(TEXTURES[rng.integers(len(TEXTURES))], height, width, rng, split=split)
        tint = rng.uniform(0.7, 1.1, 3).astype(np.float32) / 255
        image[cover.window][cover.mask] = grey[cover.mask] * tint
    else:
        colour = rng.uniform(0, 1, 3).astype(np.float32)
        grain = 0.03 * rng.standard_normal((int(cover.mask.sum()), 1), dtype=np.float32)
        image[cover.window][cover.mask] = colour + grain


def _contrasting(below: np.ndarray, rng: np.random.Generator, *, contrast: float = _CONTRAST) -> np.ndarray:
    """A random colour [3] far from most of the colours below [P, 3], else the farthest of those tried."""
    tried = rng.uniform(0, 1, (_COLOURS_TRIED, 3)).astype(np.float32)
    distance = np.abs(tried[:, None] - below[None]).sum(2)  # [tried, P]
    distance.partition(distance.shape[1] // 5, axis=1)
    near = distance[:, distance.shape[1] // 5]
    enough = near >= contrast
    return tried[enough.argmax() if enough.any() else near.argmax()]
