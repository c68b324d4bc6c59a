"""Real pixels that come inside the wheels of scikit-learn and scikit-image: digits, photographs, textures.

Nothing is downloaded: files are read from the installed packages. Each split has its own digits and its own
photographs. There are only three textures, so each split has its own region of each.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from workbench.data.reading.images import open_picture
from workbench.errors import DataError

SPLITS = ("train", "val", "test")
TEXTURES = ("brick", "grass", "gravel")
PHOTOGRAPHS: dict[str, tuple[str, ...]] = {
    "train": (
        "sklearn/datasets/images/china.jpg",
        "skimage/data/astronaut.png",
        "skimage/data/camera.png",
        "skimage/data/chelsea.png",
        "skimage/data/coffee.png",
        "skimage/data/coins.png",
        "skimage/data/hubble_deep_field.jpg",
        "skimage/data/ihc.png",
    ),
    "val": ("skimage/data/retina.jpg", "skimage/data/rocket.jpg"),
    "test": (
        "sklearn/datasets/images/flower.jpg",
        "skimage/data/moon.png",
        "skimage/data/motorcycle_left.png",
    ),
}
WITH_PEOPLE = ("skimage/data/astronaut.png", "skimage/data/camera.png", "skimage/data/coins.png")  #: faces on coins
#: Region of each 512 × 512 texture that a split may use: left, top, right, bottom in pixels.
TEXTURE_REGIONS = {"train": (0, 0, 256, 512), "val": (256, 0, 512, 256), "test": (256, 256, 512, 512)}
_FIRST_DIGIT = {"train": 0, "val": 1200, "test": 1400}  # of a fixed shuffle of the 1,797


def check_split(split: str) -> str:
    """`split` itself if it exists.

    Raises:
        DataError: it does not.
    """
    if split not in SPLITS:
        raise DataError(f"split {split!r} does not exist; there are {', '.join(SPLITS)}")
    return split


def package_file(path: str) -> Path:
    """A file inside an installed package, which need not be imported for it."""
    package, _, rest = path.partition("/")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"{path}: the package {package} is not installed")
    return Path(spec.submodule_search_locations[0]) / rest


def open_photograph(path: str, mode: str) -> Image.Image:
    """A picture inside an installed package, in one of Pillow's modes."""
    with open_picture(package_file(path)) as image:
        return image.convert(mode)


@cache
def photographs(split: str, *, people: bool = True) -> tuple[Image.Image, ...]:
    """The background photographs of a split, RGB.

    Args:
        people: False leaves out those that show faces.
    """
    names = [name for name in PHOTOGRAPHS[check_split(split)] if people or name not in WITH_PEOPLE]
    return tuple(open_photograph(path, "RGB") for path in names)


@cache
def texture_image(name: str, split: str | None = None) -> Image.Image:
    """A texture in grey, the whole photograph or only the region of a split.

    Raises:
        DataError: there is no texture or split of this name.
    """
    if name not in TEXTURES:
        raise DataError(f"texture {name!r} does not exist; there are {', '.join(TEXTURES)}")
    image = open_photograph(f"skimage/data/{name}.png", "L")
    return image if split is None else image.crop(TEXTURE_REGIONS[check_split(split)])


@cache
def _all_digits() -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [1797, 8, 8] and values [1797], as `sklearn.datasets.load_digits` gives them (in 0..16)."""
    file = package_file("sklearn/datasets/data/digits.csv.gz")  # read here: importing scikit-learn takes seconds
    try:
        rows = np.loadtxt(file, delimiter=",")
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: the digits inside scikit-learn cannot be read ({error})") from error
    return (rows[:, :-1].reshape(-1, 8, 8) / 16 * 255).astype(np.uint8), rows[:, -1].astype(np.int64)


@cache
def digit_indices(split: str) -> np.ndarray:
    """Which of scikit-learn's 1,797 digits a split may use [M]: 1,200 in train, 200 in val, 397 in test."""
    order = np.random.default_rng(0).permutation(len(_all_digits()[0]))
    first = [_FIRST_DIGIT[name] for name in SPLITS] + [len(order)]
    position = SPLITS.index(check_split(split))
    return order[first[position] : first[position + 1]]


@cache
def digits(split: str) -> tuple[tuple[Image.Image, ...], np.ndarray]:
    """The handwritten digits of a split as grey 8 × 8 images (ink is white), and what they say [M]."""
    images, values = _all_digits()
    keep = digit_indices(split)
    return tuple(Image.fromarray(images[index]) for index in keep), values[keep]


@cache
def digits_of(split: str, value: int) -> np.ndarray:
    """Positions in `digits(split)` of those that say `value`."""
    return np.flatnonzero(digits(split)[1] == value)


def crop(
    image: Image.Image,
    height: int,
    width: int,
    rng: np.random.Generator,
    *,
    zoom: tuple[float, float] = (1.0, 2.2),
) -> np.ndarray:
    """A random part of a photograph at [height, width] or [height, width, 3], uint8.

    Args:
        zoom: range of photograph pixels per output pixel; lowered where the photograph is too small.
    """
    factor = min(rng.uniform(*zoom), image.width / width, image.height / height)
    part_width, part_height = factor * width, factor * height
    left, top = rng.random() * (image.width - part_width), rng.random() * (image.height - part_height)
    box = (left, top, left + part_width, top + part_height)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))


@lru_cache(maxsize=8192)
def glyph(split: str, position: int, size: int) -> np.ndarray:
    """Ink [size, size] in 0..1 of one digit, float32; sharpened so that edges are crisp at any size."""
    image = digits(split)[0][position].resize((size, size), Image.Resampling.BICUBIC)
    ink = (np.asarray(image, dtype=np.float32) / 255 - 0.25) / 0.35
    ink = np.clip(ink, 0, 1)
    ink.setflags(write=False)
    return ink
