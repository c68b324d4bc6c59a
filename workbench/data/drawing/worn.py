"""What hides faces: masks, sunglasses, scarves and hands; their outlines on a face, and their colours.

Outlines are in the face's own coordinates: u from -1 at its left edge to 1 at its right one, v from -1 at the top to
1 at the chin. Each is a depth: above 0 inside, about 1 in the middle, so that colours know where the edge is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from workbench.data.drawing.layout import Cover
from workbench.data.drawing.occluders import COVERS, CoverKind, fill, pixel_window
from workbench.data.drawing.pixels import TEXTURES


@dataclass(frozen=True)
class Worn:
    """M outlines of one kind on one face."""

    kind: str  #: one of `DEPTHS`
    box: np.ndarray  #: [4] of the face, xyxy pixels
    extent: np.ndarray  #: [M] how far it reaches: upper edge in v (mask, scarf), or scale (sunglasses, hand)
    across: np.ndarray  #: [M] where its middle lies, in u
    down: np.ndarray  #: [M] in v
    angle: np.ndarray  #: [M] radians, by which it is turned

    def __getitem__(self, index: int) -> Worn:
        one = slice(index, index + 1)
        return Worn(self.kind, self.box, self.extent[one], self.across[one], self.down[one], self.angle[one])

    @property
    def halves(self) -> tuple[float, float]:
        """Half the width and height of the face, pixels."""
        return (self.box[2] - self.box[0]) / 2, (self.box[3] - self.box[1]) / 2

    def local(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels as u and v of each outline, [M, ...]; v is in half heights, and u in as many pixels for a hand."""
        width, height = self.halves
        middle = self.box[0] + width * (1 + self.across), self.box[1] + height * (1 + self.down)
        shape = (-1, *[1] * max(x.ndim, y.ndim))
        parameters = (*middle, np.cos(self.angle), np.sin(self.angle))
        left, top, cos, sin = (value.astype(np.float32).reshape(shape) for value in parameters)  # half the time
        right, lower = x.astype(np.float32) - left, y.astype(np.float32) - top
        unit = np.float32(height if self.kind == "hand" else width)
        return (right * cos + lower * sin) / unit, (lower * cos - right * sin) / np.float32(height)

    def depth(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How deep points [...], in pixels, lie inside each outline, [M, ...]."""
        u, v = self.local(x, y)
        return DEPTHS[self.kind](u, v, self.extent.astype(np.float32).reshape(-1, *[1] * (u.ndim - 1)))

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Which points [...] lie inside each outline, bool [M, ...]."""
        return self.depth(x, y) > 0

    def window(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Pixels x1, y1, x2, y2 of an image (height, width) that the first outline can touch."""
        width, height = self.halves
        centre = self.box[0] + width * (1 + self.across[0]), self.box[1] + height * (1 + self.down[0])
        reach = 2.1 * float(self.extent[0]) * height if self.kind == "hand" else 1.9 * max(width, height)
        return pixel_window(centre, (reach, reach), size)


def _mask_depth(u: np.ndarray, v: np.ndarray, top: np.ndarray) -> np.ndarray:
    """A little wider than the chin, its upper edge highest on the nose."""
    face = 1 - np.hypot(u / 1.03, v / 1.05)
    return np.minimum(2 * face, v - top - 0.3 * u**2)


def _sunglasses_depth(u: np.ndarray, v: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Two lenses, a bridge and the beginning of the temples."""
    lens = 1 - np.abs((np.abs(u) - 0.42) / (0.38 * scale)) ** 2.6 - np.abs(v / (0.25 * scale)) ** 2.6
    level = np.abs(v + 0.08 * scale)
    rod = np.minimum(1 - level / 0.05, 10 * (1.02 - np.abs(u)))
    return np.maximum(lens, 0.1 * rod)


def _scarf_depth(u: np.ndarray, v: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Cloth around the neck, drawn up over the face, wider than it."""
    edge = v - top - 0.1 * np.sin(3 * u + 7 * top) + 0.12 * u**2
    side = 1.3 - np.abs(u) - 0.15 * np.sin(4 * v)
    return np.minimum(np.minimum(2 * edge, 2 * side), 1.5 - v)


def _hand_depth(u: np.ndarray, v: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """A palm, four fingers upwards, a thumb and the wrist."""
    p, q = u / scale, v / scale
    depth = 1 - np.hypot(p / 0.52, (q - 0.1) / 0.55)
    for middle, tip in ((-0.39, -0.85), (-0.13, -1.12), (0.13, -1.18), (0.38, -1.0)):
        depth = np.maximum(depth, _finger(p - middle * (1 - 0.15 * (q + 0.3)), q, 0.0, tip, 0.125))
    depth = np.maximum(depth, _finger(0.75 * p - 0.66 * q - 0.22, 0.66 * p + 0.75 * q - 0.75, 0.0, -0.75, 0.14))
    return np.maximum(depth, _finger(p, q, 1.7, 0.3, 0.34))


def _finger(p: np.ndarray, q: np.ndarray, low: float, tip: float, radius: float) -> np.ndarray:
    """A bar from `low` up to `tip` with round ends."""
    return 1 - np.hypot(p, q - np.clip(q, tip + radius, low)) / radius


DEPTHS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "mask": _mask_depth,
    "sunglasses": _sunglasses_depth,
    "scarf": _scarf_depth,
    "hand": _hand_depth,
}


def _lower(kind: str, rng: np.random.Generator, box: np.ndarray, level: float, number: int) -> Worn:
    """What covers a face from below up to some height, such that about `level` of it is hidden."""
    top = 0.75 - 1.5 * level + rng.uniform(-0.35, 0.25, number)
    still = np.zeros(number)
    return Worn(kind, box, top, still, still, np.radians(rng.uniform(-8, 8, number)))


def _glasses(rng: np.random.Generator, box: np.ndarray, level: float, number: int) -> Worn:
    scale = np.sqrt(max(level - 0.02, 0.01) / 0.2) * rng.uniform(0.75, 1.3, number)  # of lenses; 0.02 is the rods'
    down = rng.uniform(-0.28, -0.1, number)
    turn = np.radians(rng.uniform(-6, 6, number))
    return Worn("sunglasses", box, scale.clip(0.5, 1.5), np.zeros(number), down, turn)


def _hands(rng: np.random.Generator, box: np.ndarray, level: float, number: int) -> Worn:
    """From below or from a side."""
    scale = rng.uniform(0.55 + 0.5 * level, 0.8 + 1.0 * level, number)
    across, down = rng.uniform(-0.9, 0.9, number), rng.uniform(-0.4, 1.0, number)
    turn = np.radians(rng.uniform(-100, 100) + rng.uniform(-15, 15, number))
    return Worn("hand", box, scale, across, down, turn)


#: What hides faces, by kind.
FACE_COVERS = {
    "mask": CoverKind(partial(_lower, "mask"), 0.2, 0.6),
    "sunglasses": CoverKind(_glasses, 0.08, 0.3),
    "scarf": CoverKind(partial(_lower, "scarf"), 0.15, 0.75),
    "hand": CoverKind(_hands, 0.05, 0.7),
    "strip": COVERS["strip"],
}


def paint_worn(image: np.ndarray, cover: Cover, worn: Worn, rng: np.random.Generator, split: str | None) -> None:
    """Colour what somebody wears, or a hand, in a picture float32 [H, W, 3] in 0..1, as light as what is around it.

    Args:
        worn: its outline.
        split: whose part of the textures is used; None: all of them.
    """
    height, width = cover.mask.shape
    x, y = np.arange(width)[None, :] + cover.x + 0.5, np.arange(height)[:, None] + cover.y + 0.5
    u, v = (part[0] for part in worn.local(x, y))
    depth = worn.depth(x, y)[0].clip(0, 1)
    colours = PAINTS[worn.kind](u, v, depth, rng, split) * (0.75 + 0.45 * image[cover.window].mean())
    grain = 0.02 * rng.standard_normal((height, width, 1), dtype=np.float32)
    image[cover.window][cover.mask] = (colours + grain)[cover.mask]


def _paint_mask(
    u: np.ndarray, v: np.ndarray, depth: np.ndarray, rng: np.random.Generator, split: str | None
) -> np.ndarray:
    """Pleated cloth in the colours of gauze masks, a seam along its edge."""
    cloth = np.array([(0.62, 0.8, 0.88), (0.93, 0.94, 0.95), (0.12, 0.12, 0.14), (0.85, 0.68, 0.72)])
    colour = cloth[rng.choice(4, p=(0.4, 0.3, 0.2, 0.1))] * rng.uniform(0.8, 1.0)
    pleats = 1 - 0.13 * (np.sin(2 * np.pi * (v / 0.24 + rng.random())) > 0.55)
    shade = (1.02 - 0.3 * u**2) * pleats * np.where(depth < 0.07, 0.8, 1.0)
    return colour * shade[..., None]


def _paint_sunglasses(
    u: np.ndarray, v: np.ndarray, depth: np.ndarray, rng: np.random.Generator, split: str | None
) -> np.ndarray:
    """Dark lenses that mirror the light from above, in a frame."""
    lens = rng.uniform(0.02, 0.14, 3) + (0.16 * rng.random() * (-4 * v).clip(-1, 1))[..., None]
    frame = np.array([(0.03, 0.03, 0.03), (0.3, 0.17, 0.08), (0.6, 0.6, 0.62)])[rng.integers(3)]
    glint = np.abs(np.abs(u) - 0.42 + 0.5 * v) < 0.05
    lens = lens + 0.25 * (glint & (depth > 0.4))[..., None]
    return np.where((depth < 0.25)[..., None], frame, lens)


def _paint_scarf(
    u: np.ndarray, v: np.ndarray, depth: np.ndarray, rng: np.random.Generator, split: str | None
) -> np.ndarray:
    """Folds of cloth in one colour or striped, its grain that of a photographed texture."""
    texture, (height, width) = TEXTURES[rng.integers(len(TEXTURES))], u.shape
    grain = fill(texture, height, width, rng, split=split).astype(np.float32) / 255
    colours = rng.uniform(0.1, 0.9, (2, 3))
    stripes = rng.random() < 0.4
    striped = (np.sin(9 * (v + 0.3 * u)) > 0) & stripes
    folds = 0.85 + 0.18 * np.sin(7 * v + 2.5 * u**2 + 6 * rng.random())
    return np.where(striped[..., None], colours[0], colours[1]) * (0.6 + 0.7 * grain) * folds[..., None]


def _paint_hand(
    u: np.ndarray, v: np.ndarray, depth: np.ndarray, rng: np.random.Generator, split: str | None
) -> np.ndarray:
    """Skin, darker towards the edges of palm and fingers."""
    skin = np.array((0.93, 0.72, 0.58)) * rng.uniform(0.4, 1.0)
    return skin * (0.55 + 0.5 * np.sqrt(depth))[..., None]


PAINTS: dict[str, Callable[..., np.ndarray]] = {
    "mask": _paint_mask,
    "sunglasses": _paint_sunglasses,
    "scarf": _paint_scarf,
    "hand": _paint_hand,
}
