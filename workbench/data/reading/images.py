"""One way to open a picture, for data, widgets, proposals and the command line alike.

What a file is, its content decides and not its name; only the raster formats of `FORMATS` are opened (others, such as
PostScript, would be handed to other programs). Pictures are turned upright as their EXIF orientation says, the first
frame counts, and the number of pixels is looked at before any of them is decoded. Pillow decodes; JPEG, which is most
of all data, is decoded by torchvision, 1.7 times as fast and as safe. torchvision's other decoders are not used: one
flipped bit in a PNG can end the process there.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torchvision
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision import tv_tensors

from workbench.errors import DataError
from workbench.files import unfetched

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "JPEG2000", "PPM", "TIFF", "WEBP")
#: Endings of names that pictures of these formats mostly have; others are looked into.
ENDINGS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".tif",
    ".tiff", ".webp",
)  # fmt: skip
MOST_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485  #: of a picture; more would take gigabytes
DEPTHS = (8, 10, 12, 14, 16, 32)  #: bits that cameras and scanners have
_ORIENTATION = 0x0112  # of EXIF
_SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange height and width
_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip  # from upright to how an orientation is stored
_ROWS = 256  # of a picture of more than 8 bits that are scaled at a time

# Deprecated since torchvision 0.29; Pillow takes over where it is gone.
_decode_jpeg = getattr(torchvision.io, "decode_jpeg", None)


class Header(NamedTuple):
    """What a picture's file says of itself before it is decoded."""

    size: tuple[int, int]  #: height and width in pixels, upright
    stored_size: tuple[int, int]  #: height and width as the pixels are stored
    orientation: int  #: EXIF's: 1 = upright, 2..8 = turned or mirrored
    mode: str  #: Pillow's name of the pixels: "RGB", "L", "I;16" ...
    deep: bool  #: more than 8 bits a channel
    frames: int  #: more than 1 in animations and in files of several pages


def read_image(path: str | PathLike[str], *, upright: bool = True) -> tv_tensors.Image:
    """An image file as RGB, for `detect`; greyscale, palettes, alpha and CMYK are converted.

    Where a channel has more than 8 bits, whole numbers are scaled by the smallest usual depth that holds the
    brightest pixel (those of a 12-bit picture in a 16-bit file by 12 bits), and fractions are taken to lie in 0..1.

    Args:
        path: of a picture in one of `FORMATS`.
        upright: turn it as its EXIF orientation says; False: the pixels as they are stored.

    Returns:
        uint8 [3, H, W].

    Raises:
        DataError: the file is missing, truncated, too large or no picture; the message names it.

    Example:
        >>> from PIL import Image
        >>> Image.new("L", (40, 30), color=200).save("grey.png")
        >>> image = wb.read_image("grey.png")
        >>> tuple(image.shape), int(image.max())
        ((3, 30, 40), 200)
    """
    with open_picture(path) as picture:
        pixels = _fast_jpeg(picture, upright=upright)
        if pixels is None:
            picture = ImageOps.exif_transpose(picture) if upright else _as_stored(picture)
            pixels = torch.from_numpy(_as_rgb(picture)).permute(2, 0, 1).contiguous()
    return tv_tensors.Image(pixels)


def read_sized(path: Path, size: tuple[int, int], file: Path) -> tv_tensors.Image:
    """An image [3, H, W] that must have the `size` (height, width) that `file` states.

    It is upright, unless only the stored orientation has that size: then its boxes were drawn on pixels as stored.

    Raises:
        DataError: the image has another size, or cannot be read.
    """
    image = read_image(path)
    if tuple(image.shape[-2:]) == size:
        return image
    header = read_header(path)
    if header.stored_size == size:
        return read_image(path, upright=False)
    true = " × ".join(str(side) for side in header.size)
    turned = "" if header.orientation == 1 else f" (upright, by EXIF orientation {header.orientation})"
    raise DataError(f"{path}: the image is {true} pixels{turned}, but {file} says {size[0]} × {size[1]}")


def read_header(path: str | PathLike[str]) -> Header:
    """What a picture says of itself; nothing is decoded.

    Raises:
        DataError: the file is missing, or is no picture.
    """
    with open_picture(path) as picture:
        deep = _is_deep(picture)  # first, as a PNG may be decoded to find its orientation
        size = _upright_size(picture)
        orientation = _orientation(picture)
        stored = size[::-1] if orientation in _SIDEWAYS else size
        frames = getattr(picture, "n_frames", 1)
        return Header(size, stored, orientation, picture.mode, deep, frames)


def image_size(path: str | PathLike[str]) -> tuple[int, int]:
    """Height and width in pixels of the upright picture, by the file's header.

    Raises:
        DataError: the file is missing, or is no picture.
    """
    with open_picture(path) as picture:
        return _upright_size(picture)


def is_picture(path: Path) -> bool:
    """Whether the content of a file begins as a picture does; nothing is decoded."""
    try:
        with path.open("rb") as file, Image.open(file, formats=FORMATS):
            return True
    except Image.DecompressionBombError:
        return True  # too large a one, which is said when it is read
    except Exception:  # whatever a broken file makes Pillow raise: it is none that could be read
        return False


def stored_size(path: str | PathLike[str]) -> tuple[int, int]:
    """Height and width of the pixels as they are stored; of most formats, the first bytes of the file are read only.

    Raises:
        DataError: the file is missing, or is no picture.
    """
    with open_picture(path, header_only=True) as picture:
        if picture.format != "TIFF":  # which Pillow turns by itself
            return picture.height, picture.width
    return read_header(path).stored_size


@contextmanager
def open_picture(path: str | PathLike[str], *, header_only: bool = False) -> Iterator[Image.Image]:
    """A picture whose pixels are decoded when they are first asked for, within the block.

    Args:
        path: of the picture.
        header_only: no pixels will be asked for, so the file is not read to its end.

    Raises:
        DataError: the file is missing, no regular file, too large, of another format, or broken; also what goes wrong
            with the pixels within the block.
    """
    if not isinstance(path, str | PathLike):
        raise DataError(f"expected the path of a picture, got a {type(path).__name__}")
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # a pipe would never end
            raise DataError(f"{path}: this is a folder or a device, not a picture")
        source = path.open("rb") if header_only else io.BytesIO(path.read_bytes())
        with source, Image.open(source, formats=FORMATS) as picture:
            pixels = picture.height * picture.width
            if pixels > MOST_PIXELS:
                raise DataError(_too_large(path, f"{picture.height} × {picture.width}"))
            yield picture
    except FileNotFoundError:
        raise DataError(f"{path}: this image does not exist") from None
    except UnidentifiedImageError:
        reason = unfetched(path) or f"it is none of {', '.join(FORMATS)}, or is broken"
        raise DataError(f"{path}: this image cannot be read ({reason})") from None
    except Image.DecompressionBombError:
        raise DataError(_too_large(path, "far too many")) from None
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, IndexError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"{path}: this image cannot be read ({reason})") from error


def _too_large(path: Path, size: str) -> str:
    return f"{path}: the image has {size} pixels; expected at most {MOST_PIXELS:,}. Reduce it or cut it into parts"


def _upright_size(picture: Image.Image) -> tuple[int, int]:
    size = picture.height, picture.width
    sideways = _orientation(picture) in _SIDEWAYS and picture.format != "TIFF"  # which Pillow turns by itself
    return size[::-1] if sideways else size


def _orientation(picture: Image.Image) -> int:
    if picture.format == "JPEG" and "exif" not in picture.info:
        return 1  # most, and at once
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # whatever a broken EXIF block makes Pillow raise: such a picture counts as upright
        return 1
    return value if value in range(1, 9) else 1


def _fast_jpeg(picture: Image.Image, *, upright: bool) -> Tensor | None:
    """The pixels of a usual JPEG [3, H, W] uint8 by torchvision; None where Pillow is needed."""
    if _decode_jpeg is None or picture.format != "JPEG" or picture.mode not in ("RGB", "L"):
        return None
    if upright and _orientation(picture) != 1:
        return None
    data = torch.frombuffer(bytearray(picture.fp.getbuffer()), dtype=torch.uint8)  # type: ignore[attr-defined]
    try:
        return _decode_jpeg(data, mode=torchvision.io.ImageReadMode.RGB)
    except RuntimeError:
        return None  # what torchvision cannot read, Pillow may


def _as_stored(picture: Image.Image) -> Image.Image:
    """The picture without the turn that Pillow gives a TIFF while it decodes it."""
    turn = _BACK.get(_orientation(picture))
    if picture.format != "TIFF" or turn is None:
        return picture
    return picture.transpose(turn)


def _is_deep(picture: Image.Image) -> bool:
    """Whether the file holds more than 8 bits a channel; of colours, Pillow keeps the upper 8."""
    stored = " ".join(str(part) for tile in getattr(picture, "tile", ()) for part in tile[3:])  # how it is unpacked
    return picture.mode.startswith("I") or picture.mode == "F" or ";16" in stored


def _as_rgb(picture: Image.Image) -> np.ndarray:
    """The first frame as uint8 [H, W, 3]."""
    if picture.mode.startswith("I") or picture.mode == "F":
        grey = to_8_bits(np.asarray(picture))
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.array(picture.convert("RGB"))


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """Grey values [H, W] of more than 8 bits as uint8; see `read_image`. Below 0, the whole range is stretched."""
    known = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(known.min()), float(known.max())
    first = min(low, 0.0)
    if low < 0:
        most = high - low
    elif np.issubdtype(values.dtype, np.floating) and high <= 1:
        most = 1.0
    else:
        most = next((2.0**bits - 1 for bits in DEPTHS if high < 2**bits), high)
    scale = 255 / most if most > 0 else 0.0
    grey = np.empty(values.shape, np.uint8)
    for row in range(0, len(grey), _ROWS):  # a few at a time, as float64 takes eight times the memory
        grey[row : row + _ROWS] = np.rint((known[row : row + _ROWS].astype(np.float64) - first) * scale)
    return grey
