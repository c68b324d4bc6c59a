"""Occluders with an outline: pictures whose alpha says which pixels belong to them.

A few are cut from the photographs inside scikit-image's and scikit-learn's packages when they are first asked for;
others come from any PNG with alpha, or from the masks of a data set such as COCO. Lengths are pixels of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from scipy import ndimage

from workbench.data.dataset import Dataset
from workbench.data.drawing.pixels import open_photograph
from workbench.data.reading.images import open_picture
from workbench.errors import DataError, did_you_mean
from workbench.files import user_path


@dataclass(frozen=True, eq=False)
class Occluder:
    """A picture with an outline; what surrounds it is cut away."""

    name: str
    rgba: np.ndarray  #: uint8 [h, w, 4], not premultiplied; alpha 255 = belongs to it

    def __post_init__(self) -> None:
        if self.rgba.ndim != 3 or self.rgba.shape[2] != 4 or self.rgba.dtype != np.uint8:
            what = f"{self.rgba.dtype} {self.rgba.shape}"
            raise DataError(f"occluder {self.name}: expected uint8 [h, w, 4], got {what}")
        solid = self.rgba[..., 3] >= 128
        if not solid.any():
            raise DataError(f"occluder {self.name} is transparent everywhere; give a picture with alpha")
        rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
        tight = self.rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        object.__setattr__(self, "rgba", np.ascontiguousarray(tight))

    @property
    def area(self) -> float:
        """Its pixels, counted by alpha."""
        return float(self.rgba[..., 3].sum()) / 255

    def save(self, path: str | PathLike[str]) -> Path:
        """Write a PNG, so that recipes can name it."""
        path = Path(path)
        Image.fromarray(self.rgba, "RGBA").save(path, format="PNG")
        return path


@dataclass(frozen=True)
class _Ellipse:
    x: float
    y: float
    half_width: float
    half_height: float
    degrees: float = 0.0  #: clockwise

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        angle = np.radians(self.degrees)
        across, down = x - self.x, y - self.y
        along, aside = (
            across * np.cos(angle) + down * np.sin(angle),
            down * np.cos(angle) - across * np.sin(angle),
        )
        return (along / self.half_width) ** 2 + (aside / self.half_height) ** 2 < 1


#: Outlines drawn on photographs: the parts of each are joined.
_DRAWN: dict[str, tuple[str, tuple[_Ellipse | tuple[tuple[int, int], ...], ...]]] = {
    "cup": ("skimage/data/coffee.png", (_Ellipse(278, 237, 202, 143, 12), _Ellipse(290, 112, 118, 95))),
    "cat": (
        "skimage/data/chelsea.png",
        (((62, 60), (110, 12), (200, 2), (300, 14), (352, 60), (366, 120), (350, 180), (318, 240), (262, 288),
          (200, 270), (130, 230), (80, 190), (52, 120)),),
    ),
    "wheel": ("skimage/data/motorcycle_left.png", (_Ellipse(593, 363, 76, 92, -24),)),
    "helmet": ("skimage/data/astronaut.png", (_Ellipse(392, 433, 104, 82, 24),)),
}  # fmt: skip
#: Objects that stand out from a plain ground: photograph, a point inside, and how light (a channel's least) they are.
_BRIGHT: dict[str, tuple[str, tuple[int, int], int, int]] = {
    "flower": ("sklearn/datasets/images/flower.jpg", (307, 222), 0, 110),
    "coin": ("skimage/data/coins.png", (334, 43), 0, 120),
}
SHIPPED = ("cup", "flower", "coin", "cat", "wheel", "helmet")


@cache
def shipped(name: str) -> Occluder:
    """An occluder cut from a photograph inside the packages; one of `SHIPPED`.

    Raises:
        DataError: there is none of this name.
    """
    if name not in SHIPPED:
        raise DataError(f"occluder {name!r} does not exist{did_you_mean(name, SHIPPED)}; or name a PNG with alpha")
    photograph, outline = _DRAWN[name] if name in _DRAWN else (_BRIGHT[name][0], None)
    pixels = np.asarray(open_photograph(photograph, "RGB"))
    alpha = _bright(pixels, *_BRIGHT[name][1:]) if outline is None else _drawn(pixels.shape[:2], outline)
    return Occluder(name, np.dstack([pixels, alpha]))


def _drawn(size: tuple[int, int], outline: Sequence[_Ellipse | tuple[tuple[int, int], ...]]) -> np.ndarray:
    """Alpha uint8 [H, W] of drawn parts."""
    canvas = Image.new("L", size[::-1])
    for part in outline:
        if not isinstance(part, _Ellipse):
            ImageDraw.Draw(canvas).polygon(part, fill=255)
    alpha = np.array(canvas)
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    for part in outline:
        if isinstance(part, _Ellipse):
            alpha[part.inside(x, y)] = 255
    return alpha


def _bright(pixels: np.ndarray, inside: tuple[int, int], channel: int, least: int) -> np.ndarray:
    """Alpha uint8 [H, W] of the connected bright object around a point (x, y), its holes filled, its edge smooth."""
    light = ndimage.gaussian_filter(pixels[..., channel].astype(np.float32), 2) >= least
    parts, _ = ndimage.label(ndimage.binary_fill_holes(light))
    own = ndimage.binary_opening(parts == parts[inside[1], inside[0]], iterations=3)
    return own.astype(np.uint8) * 255


def read_occluder(path: str | PathLike[str]) -> Occluder:
    """An occluder from a picture with alpha.

    Raises:
        DataError: the file cannot be read; it is named.
    """
    path = user_path(path, DataError)
    with open_picture(path) as image:
        if "A" not in image.getbands() and "transparency" not in image.info:
            raise DataError(f"{path}: this picture has no alpha, so it has no outline; save it with transparency")
        return Occluder(path.stem, np.array(ImageOps.exif_transpose(image).convert("RGBA")))


def cut_out(data: Dataset, index: int, position: int, *, name: str | None = None) -> Occluder:
    """The visible pixels of one object of an image, by its mask.

    Args:
        data: has masks, as "coco" does.
        position: which object of the image.

    Raises:
        DataError: there is no such mask.
    """
    image, target = data[index]
    masks = target.get("masks")
    if masks is None or not 0 <= position < len(masks):
        count = "no masks" if masks is None else f"{len(masks)} masks"
        raise DataError(f"{data.where(index)} has {count}; an occluder is cut out by the mask of object {position}")
    alpha = masks[position].numpy().astype(np.uint8) * 255
    label = data.classes[int(target["labels"][position]) - 1]
    pixels = image.permute(1, 2, 0).numpy()
    return Occluder(name or f"{label} {target['image_id']}-{position}", np.dstack([pixels, alpha]))


def load_occluders(names: Sequence[str | Occluder] | str | Occluder) -> tuple[Occluder, ...]:
    """Occluders by shipped name, file or folder (all its PNGs in order of their names).

    Raises:
        DataError: a name, file or folder that holds no occluder.
    """
    names = [names] if isinstance(names, str | Occluder) else names
    found: list[Occluder] = []
    for name in names:
        if isinstance(name, Occluder):
            found.append(name)
        elif name in SHIPPED:
            found.append(shipped(name))
        elif (path := user_path(name, DataError)).is_dir():
            files = sorted(path.glob("*.png"))
            if not files:
                raise DataError(f"{path}: this folder holds no occluders; put PNG files with alpha there")
            found += [read_occluder(file) for file in files]
        elif path.suffix:
            found.append(read_occluder(path))
        else:
            found.append(shipped(name))  # says which there are
    if not found:
        raise DataError(f"occluders: expected at least one of {', '.join(SHIPPED)}, or PNG files with alpha")
    return tuple(found)
