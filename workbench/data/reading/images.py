"""One way to open a picture, for data, widgets, proposals and the command line alike."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import io, tv_tensors

from workbench.errors import DataError

# Deprecated since torchvision 0.29, and 1.7 times as fast as Pillow, which is used where it is gone.
_decode = getattr(io, "decode_image", None)


def read_image(path: str | PathLike[str]) -> tv_tensors.Image:
    """An image file as RGB, for `detect`; greyscale, palettes, alpha and CMYK are converted.

    Args:
        path: of a JPEG, PNG or any other file that torchvision or Pillow reads.

    Returns:
        uint8 [3, H, W].

    Raises:
        DataError: the file is missing, truncated or no image; the message names it.

    Example:
        >>> from PIL import Image
        >>> Image.new("L", (40, 30), color=200).save("grey.png")
        >>> image = wb.read_image("grey.png")
        >>> tuple(image.shape), int(image.max())
        ((3, 30, 40), 200)
    """
    if _decode is not None:
        try:
            pixels = _decode(io.read_file(str(path)), mode=io.ImageReadMode.RGB)
            if pixels.dtype == torch.uint8:
                return tv_tensors.Image(pixels)
        except RuntimeError:
            pass  # what torchvision cannot read, Pillow may
    try:
        with Image.open(path) as image:
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: this image cannot be read ({_reason(error)})") from error
    return tv_tensors.Image(pixels.contiguous())


def _reason(error: Exception) -> str:
    """What happened, without the path, which the message names already."""
    return getattr(error, "strerror", None) or str(error)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width in pixels by the file's header. Raises DataError."""
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: this image cannot be read ({_reason(error)})") from error
