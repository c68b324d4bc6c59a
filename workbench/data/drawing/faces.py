"""Faces, and crops that are none, from inside scikit-image's package; as ovals they are pasted into scenes.

`lfw_subset.npy` holds 100 faces of Labeled Faces in the Wild and 100 crops of its backgrounds, grey, 25 x 25 pixels.
The astronaut's face joins those of train; it is in colour and finer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from PIL import Image

from workbench.data.drawing.layout import Piece
from workbench.data.drawing.occluders import pixel_window
from workbench.data.drawing.pixels import check_split, crop, open_photograph, package_file, photographs
from workbench.errors import DataError

PORTRAITS = {"train": (("skimage/data/astronaut.png", (154, 44, 294, 184)),), "val": (), "test": ()}
#: Of the 100 crops of backgrounds, those that show something, and no part of a person.
NON_FACES = (
    0, 2, 3, 4, 6, 9, 10, 12, 14, 15, 16, 17, 19, 21, 23, 24, 33, 34, 35, 42, 43, 44, 46, 52, 54, 57, 61, 62, 65, 66,
    68, 71, 72, 75, 79, 80, 81, 83, 86, 87, 89, 90,
)  # fmt: skip
SPLIT_OF = {"train": (0.0, 0.6), "val": (0.6, 0.75), "test": (0.75, 1.0)}  #: shares of the shuffled pictures
HALF_WIDTH, HALF_HEIGHT = 0.4, 0.48  #: of the oval, as shares of the picture's side
_PORTRAIT = 64  # pixels a side; finer than any face in a scene


@dataclass
class Oval(Piece):
    """A face (label 1) or a crop that is none (label 0), cut out as an oval."""

    picture: int = 0  #: position in `faces` or `non_faces` of the split; -1: a part of a photograph
    degrees: float = 0.0  #: by which it is turned
    mirrored: bool = False
    person: bool = False  #: whether there are hair, neck and shoulders behind it
    warmth: float = 1.0  #: of the skin's colour; 0 is grey

    @property
    def ellipse(self) -> np.ndarray:
        """Radii (the longer first), angle of the long axis in radians, centre x and y, of an ellipse about it [5]."""
        angle = np.pi / 2 + np.radians(self.degrees)
        half = self.size / 2
        return np.array([HALF_HEIGHT * self.size, HALF_WIDTH * self.size, angle, self.x + half, self.y + half])


@cache
def _lfw() -> np.ndarray:
    """uint8 [200, 25, 25]: faces, then crops that are none."""
    file = package_file("skimage/data/lfw_subset.npy")
    try:
        values = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: the faces inside scikit-image cannot be read ({error})") from error
    if values.shape != (200, 25, 25):
        raise DataError(f"{file}: expected 200 pictures of 25 x 25, got {values.shape}; is this scikit-image's own?")
    return (255 * values + 0.5).astype(np.uint8)


def picture_indices(split: str, *, faces: bool) -> np.ndarray:
    """Which of the 200 pictures a split may use [M]: 60 faces in train, 15 in val, 25 in test."""
    whole = np.arange(100) if faces else 100 + np.array(NON_FACES)
    order = np.random.default_rng(0).permutation(whole)
    low, high = (round(share * len(order)) for share in SPLIT_OF[check_split(split)])
    return order[low:high]


@cache
def faces(split: str) -> tuple[Image.Image, ...]:
    """The faces of a split, squares in grey, and in colour where they are known in colour."""
    grey = [Image.fromarray(_lfw()[index]) for index in picture_indices(split, faces=True)]
    found = [open_photograph(path, "RGB").crop(box) for path, box in PORTRAITS[split]]
    return (*grey, *(portrait.resize((_PORTRAIT, _PORTRAIT), Image.Resampling.LANCZOS) for portrait in found))


@cache
def non_faces(split: str) -> tuple[Image.Image, ...]:
    """The crops of a split that are no faces, in grey."""
    return tuple(Image.fromarray(_lfw()[index]) for index in picture_indices(split, faces=False))


def draw_oval(rng: np.random.Generator, split: str, size: int, *, face: bool) -> Oval:
    """A random face, or something that is none, in a window of `size` pixels; it has no place yet."""
    if face:
        picture = int(rng.integers(len(faces(split))))
    else:
        picture = int(rng.integers(len(non_faces(split)))) if rng.random() < 0.5 else -1
    degrees = float(rng.uniform(-12, 12))
    mask = oval(size, round(degrees)) > 0.5
    mirrored, warmth = bool(rng.random() < 0.5), float(rng.uniform(0.7, 1.2))
    made = Oval(int(face), 0, 0, mask, picture=picture, degrees=round(degrees), mirrored=mirrored, warmth=warmth)
    made.person = bool(rng.random() < (0.8 if face else 0.4))
    return made


@lru_cache(maxsize=4096)
def oval(size: int, degrees: int) -> np.ndarray:
    """How much of each pixel [size, size] belongs to a head, 0..1: an ellipse, narrow at the chin, its edge soft."""
    place = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    angle = np.radians(degrees)
    across = place[None, :] * np.cos(angle) + place[:, None] * np.sin(angle)
    down = place[:, None] * np.cos(angle) - place[None, :] * np.sin(angle)
    width = HALF_WIDTH * (1 - 0.25 * np.clip(down / HALF_HEIGHT, 0, 1) ** 2)
    inside = 1 - np.hypot(across / width, down / HALF_HEIGHT)
    soft = max(1.5, 0.07 * size) / (0.45 * size)  # of the way from the middle to the edge
    alpha = np.clip(inside / soft + 0.5, 0, 1).astype(np.float32)
    alpha.setflags(write=False)
    return alpha


def paint_oval(image: np.ndarray, piece: Oval, rng: np.random.Generator, split: str) -> None:
    """Paste it into a picture float32 [S, S, 3] in 0..1; its light follows that of what it covers."""
    below = image[piece.window]
    own = _colours(piece, rng, split)
    weight = oval(piece.size, int(piece.degrees))[..., None]
    light, around = float((own * weight).sum() / (3 * weight.sum())), float(below.mean())
    own *= np.clip((light + 0.35 * (around - light)) / max(light, 0.05), 0.7, 1.4) * rng.uniform(0.92, 1.08)
    own += 0.015 * rng.standard_normal((*own.shape[:2], 1), dtype=np.float32)
    below += weight * (own.clip(0, 1) - below)


def paint_person(image: np.ndarray, piece: Oval, rng: np.random.Generator, split: str) -> None:
    """Hair, neck and clothes around a face's place in a picture; they go behind all that is pasted."""
    half = HALF_HEIGHT * piece.size
    middle, bottom = piece.x + piece.size / 2, image.shape[0]
    x1, y1, x2, _ = pixel_window((middle, piece.y), (2.1 * half, 0.2 * half), image.shape[:2])
    window = image[y1:bottom, x1:x2]
    u = (np.arange(x1, x2, dtype=np.float32)[None, :] + 0.5 - middle) / half
    v = (np.arange(y1, bottom, dtype=np.float32)[:, None] + 0.5 - piece.y) / half - 1
    skin = _colours(piece, rng, split)[piece.mask].mean(0) * rng.uniform(0.7, 0.85)
    cloth = rng.uniform(0.1, 0.8) + 0.12 * rng.standard_normal(3, dtype=np.float32)
    hair = np.array((0.35, 0.25, 0.15), np.float32) * rng.uniform(0.1, 1.5)
    folds = np.sin(7 * u + 2 * v + 6 * rng.random(dtype=np.float32))
    body = 1 - np.hypot(np.abs(u / 1.75) ** 1.5, np.minimum(v - 2.8, 0) / 1.7)
    parts = (
        (1 - np.abs(u) / 0.45 - 10 * (np.abs(v - 1) > 0.6), skin * (1.1 - 0.3 * np.abs(u))[..., None]),
        (body, cloth * (0.7 + 0.06 * folds + 0.35 * np.sqrt(body.clip(0, 1)))[..., None]),
        (1 - np.hypot(u / 0.93, (v + 0.08) / 1.05), hair),
    )
    for depth, colour in parts:
        weight = np.clip(depth * np.float32(half / 2) + 0.5, 0, 1)[..., None]
        window += weight * (colour - window)


def _colours(piece: Oval, rng: np.random.Generator, split: str) -> np.ndarray:
    """Its picture at its size, float32 [s, s, 3] in 0..1."""
    if piece.picture < 0:
        pool = photographs(split, people=False)
        return crop(pool[rng.integers(len(pool))], piece.size, piece.size, rng).astype(np.float32) / 255
    source = (faces if piece.label else non_faces)(split)[piece.picture]
    turned = np.asarray(_turned(source, piece), dtype=np.float32) / 255
    return turned if turned.ndim == 3 else tinted(turned, piece.warmth)


def _turned(source: Image.Image, piece: Oval) -> Image.Image:
    """The picture enlarged, turned and mirrored in one step."""
    angle, scale, middle = np.radians(piece.degrees), source.width / piece.size, source.width / 2
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    side = -1 if piece.mirrored else 1
    half = piece.size / 2
    across = side * cos, side * sin
    matrix = (*across, middle - half * sum(across), -sin, cos, middle - half * (cos - sin))
    return source.transform((piece.size, piece.size), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


def tinted(grey: np.ndarray, warmth: float) -> np.ndarray:
    """Grey [h, w] in 0..1 as the colours of skin [h, w, 3], the lighter the paler; `warmth` 0 leaves it grey."""
    pale = 1 - 0.5 * grey
    red, blue = 1 + 0.42 * warmth * pale, 1 - 0.42 * warmth * pale
    return np.stack([grey * red, grey * (1 - 0.06 * warmth), grey * blue], axis=-1)
