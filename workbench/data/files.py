"""Reading what others wrote, with care: images, JSON and paths from annotation files; and writing JSON whole."""

from __future__ import annotations

import json
import os
import tempfile
from os import PathLike
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision import io, tv_tensors

from workbench.errors import DataError
from workbench.paths import user_path

# Deprecated since torchvision 0.29, and 1.7 times as fast as Pillow, which is used where it is gone.
_decode = getattr(io, "decode_image", None)


def existing_folder(root: str | PathLike[str] | None, name: str) -> Path:
    """`root` as a Path, ~ and ${VARIABLES} replaced. Raises DataError if it is None or no folder."""
    if root is None:
        raise DataError(f'{name} lies in a folder: load_data("{name}", root=FOLDER)')
    folder = user_path(root, DataError)
    if not folder.is_dir():
        raise DataError(f"{folder}: this folder does not exist")
    return folder


def path_inside(folder: Path, name: object) -> Path:
    """`folder / name`, where `name` comes from a file and must not lead out of `folder`, not by a link either.

    Raises DataError.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise DataError(f"{name!r} is no file name")
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or name.startswith("\\")
    if absolute or ".." in PureWindowsPath(name).parts:
        raise DataError(f"file name {name!r} leads out of {folder}; names must be relative to it")
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:  # links in a circle, names that are too long
        raise DataError(f"file name {name!r} cannot be followed ({error})") from error
    if not inside:
        raise DataError(f"file name {name!r} leads out of {folder} by a link")
    return path


def read_image(path: str | PathLike[str]) -> tv_tensors.Image:
    """An image file as RGB uint8 [3, H, W], for `detect`; greyscale, palettes, alpha and CMYK are converted.

    Raises DataError naming the file if it is missing, truncated or no image.
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


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises DataError naming the file."""
    try:
        with path.open(encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise DataError(f"{path}: this file cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: this is not JSON ({error})") from error


def write_json(content: Any, path: str | PathLike[str]) -> None:
    """Write JSON so that the file appears whole or not at all. Raises OSError if it cannot be written."""
    path = Path(path)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp's files are private
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
