"""Where the objects and occluders of a scene lie: geometry only, no colours and no photographs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from workbench.data.drawing.occluders import Outlines

LEVELS = (0.0, 0.05, 0.2, 0.4, 0.6, 0.75)  #: edges of the occlusion levels, hidden fraction
MOST_HIDDEN = LEVELS[-1]


@dataclass(frozen=True)
class Ink:
    """One handwritten digit of an object."""

    position: int  #: in `pixels.digits(split)`
    x: int  #: left edge, pixels from the object's left edge
    y: int
    size: int  #: pixels
    strength: float  #: 1 = full contrast


@dataclass
class Piece:
    """One thing: a digit, a card of several, a face, or (label 0) what is no object and only looks like one."""

    label: int
    x: int  #: left edge of its window, pixels
    y: int
    mask: np.ndarray  #: bool [h, w], its pixels in that window
    inks: tuple[Ink, ...] = ()
    level: float = 0.0  #: how much of it is to be hidden, 0..1
    cover: str = "texture"  #: by what

    @property
    def size(self) -> int:
        """Height of the window, pixels; in scenes it is a square."""
        return len(self.mask)

    @property
    def window(self) -> tuple[slice, slice]:
        """Its rows and columns of the scene."""
        return _window(self)

    @property
    def box(self) -> np.ndarray:
        """The tight box around its pixels, xyxy."""
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        left, top = self.x, self.y
        return np.array([left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1], dtype=float)


@dataclass
class Cover:
    """One occluder that is no object."""

    kind: str  #: such as "texture" or "strip"
    x: int
    y: int
    mask: np.ndarray  #: bool [h, w]
    outline: Outlines  #: the one that `mask` is drawn from

    @property
    def window(self) -> tuple[slice, slice]:
        """Its rows and columns of the scene."""
        return _window(self)


def _window(layer: Piece | Cover) -> tuple[slice, slice]:
    height, width = layer.mask.shape
    return slice(layer.y, layer.y + height), slice(layer.x, layer.x + width)


@dataclass
class Layout:
    """A scene before it is painted."""

    size: tuple[int, int]  #: height and width, pixels
    layers: list[Piece | Cover] = field(default_factory=list)  #: from back to front

    @property
    def pieces(self) -> list[Piece]:
        """The objects, from back to front."""
        return [layer for layer in self.layers if isinstance(layer, Piece) and layer.label]

    def owner(self) -> np.ndarray:
        """Which object each pixel shows, uint8 [H, W]: 0 for none, i + 1 for `pieces[i]`."""
        owner, number = np.zeros(self.size, np.uint8), 0
        for layer in self.layers:
            is_object = isinstance(layer, Piece) and layer.label > 0
            number += is_object
            owner[layer.window][layer.mask] = number if is_object else 0
        return owner

    def hidden(self, owner: np.ndarray) -> np.ndarray:
        """The hidden fraction of each object, exactly [N]."""
        whole = np.array([piece.mask.sum() for piece in self.pieces], float)
        seen = np.bincount(owner.ravel(), minlength=len(whole) + 1)[1 : len(whole) + 1]
        return 1 - seen / whole
