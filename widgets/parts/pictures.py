"""Images and figures on their way to the browser."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from os import PathLike
from typing import Any

import ipywidgets
import matplotlib
import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from widgets.parts.seen import Drawable
from workbench.data.reading.images import read_image
from workbench.detectors.layers.inputs import SLACK
from workbench.errors import DataError
from workbench.figures.drawing.page import settings
from workbench.figures.drawing.quick import pixels_of

PNG_PIXELS = 300_000  # larger pictures travel as JPEG
LONGEST = 1280  # pixels; no panel shows more
_PLAIN = (str, int, float, bool, tuple, type(None))  # compared by what they are, all else by being the same
_PNG = b"\x89PNG\r\n\x1a\n"
_UP = 2  # the filter of lines in PNG: what is sent is the difference to the line above


def as_image(image: Tensor | np.ndarray | Image.Image | str | PathLike[str]) -> Tensor:
    """An image of any usual kind as uint8 [3, H, W].

    Args:
        image: a tensor [3, H, W] (uint8, or float in 0..1), an array or PIL image [H, W, 3], or the path of a
            picture.

    Raises:
        DataError: it has another shape or kind, or cannot be read.
    """
    if isinstance(image, str | PathLike):
        image = read_image(image)
    if isinstance(image, Image.Image):
        image = np.asarray(image.convert("RGB"))
    if isinstance(image, np.ndarray):
        tensor = torch.from_numpy(np.array(image))  # a copy: PIL's memory is read-only
        tensor = tensor.permute(2, 0, 1) if tensor.ndim == 3 else tensor
    elif not isinstance(image, Tensor):
        given = type(image).__name__
        raise DataError(f"expected an image, as a tensor [3, H, W], an array [H, W, 3] or a path; got a {given}")
    else:
        tensor = image.detach().as_subclass(Tensor).cpu()
    if tensor.ndim != 3 or tensor.shape[0] != 3 or 0 in tensor.shape:
        raise DataError(f"image has shape {tuple(image.shape)}; expected a tensor [3, H, W] or an array [H, W, 3]")
    if tensor.is_floating_point():
        if not float(tensor.max()) <= 1 + SLACK:  # also not a number
            raise DataError(f"image has float values up to {float(tensor.max()):.3g}; expected 0 to 1, or uint8")
        tensor = (tensor.clamp(0, 1) * 255).round().to(torch.uint8)
    if tensor.dtype != torch.uint8:
        raise DataError(f"image is {tensor.dtype}; expected uint8, or float in 0..1")
    return tensor.contiguous()


def encode(image: Tensor, longest: int = LONGEST) -> bytes:
    """PNG of a small image uint8 [3, H, W], JPEG of a large one; shrunk until its long side is `longest`."""
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    picture.thumbnail((longest, longest))
    out = io.BytesIO()
    if picture.width * picture.height <= PNG_PIXELS:
        picture.save(out, "PNG", compress_level=1)
    else:
        picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def decoded(picture: bytes) -> Tensor:
    """A PNG or JPEG of ours as uint8 [3, H, W]."""
    with Image.open(io.BytesIO(picture)) as opened:
        return torch.from_numpy(np.array(opened.convert("RGB"))).permute(2, 0, 1)


def decoded_layer(picture: bytes) -> np.ndarray:
    """A PNG of ours with opacity as uint8 [H, W, 4]."""
    with Image.open(io.BytesIO(picture)) as opened:
        return np.array(opened.convert("RGBA"))


def png(figure: Figure, dpi: int | None = None) -> bytes:
    """A figure as PNG without a ground of its own, packed for speed.

    Args:
        dpi: pixels per inch; None: the figure's own.
    """
    for ground in (figure.patch, *(axes.patch for axes in figure.axes)):
        ground.set_alpha(0)
    if dpi is not None:
        figure.set_dpi(dpi)
    pixels = pixels_of(figure)
    figure.set_layout_engine("none")  # its parts stay where they are when it is drawn again
    return encode_pixels(pixels)


def on_page(make: Callable[[], Figure | None], *, dark: bool, dpi: int | None = None) -> bytes:
    """PNG of the figure that is made with the ink of a light or a dark page; empty where it is None."""
    with matplotlib.rc_context(settings(dark=dark)):
        figure = make()
        return b"" if figure is None else png(figure, dpi)


def encode_pixels(pixels: np.ndarray) -> bytes:
    """PNG of uint8 [H, W, 3] or, with opacity, [H, W, 4], in half the time that Pillow takes."""
    height, width, channels = pixels.shape
    flat = pixels.reshape(height, width * channels)
    lines = np.empty((height, 1 + width * channels), np.uint8)
    lines[:, 0], lines[0, 1:] = _UP, flat[0]
    np.subtract(flat[1:], flat[:-1], out=lines[1:, 1:])
    kind = {3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return _PNG + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(lines, 1)) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))


class Picture(Drawable, ipywidgets.Image):
    """A place for a figure, in its own size where there is room, with the page's ink.

    It is drawn when what it follows from is another than before, and when the page becomes dark or light.
    """

    dark = traitlets.Bool(False, help="whether the page around it is dark")

    def __init__(self) -> None:
        super().__init__(
            format="png",
            layout={"max_width": "calc(100% - 4px)", "object_fit": "contain", "align_self": "flex-start"},
        )
        self.add_class("wb-picture")
        self._follows: tuple[Any, ...] | None = None
        self._figure: Callable[[], Figure | None] = lambda: None
        self._dpi: int | None = None

    def draw(self, figure: Callable[[], Figure | None], *follows: Any, dpi: int | None = None) -> None:
        """Show what `figure` makes, or nothing where that is None.

        Args:
            follows: all that the figure depends on; without any it is drawn every time.
            dpi: pixels per inch; None: the figure's own.
        """
        if follows and self._follows is not None and _same(follows, self._follows):
            return
        self._follows = None  # of what fails nothing is known
        self._figure, self._dpi = figure, dpi
        self._redraw()
        self._follows = follows

    def clear(self) -> None:
        """Show nothing."""
        self.draw(lambda: None)

    def still(self) -> Figure | None:
        """The figure, for a light page."""
        with matplotlib.rc_context(settings(dark=False)):
            return self._figure()

    @traitlets.observe("dark")
    def _redraw(self, _: Any = None) -> None:
        self.value = on_page(self._figure, dark=self.dark, dpi=self._dpi)


def _same(some: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    pairs = zip(some, others, strict=False)
    known = (one is other or (isinstance(one, _PLAIN) and one == other) for one, other in pairs)
    return len(some) == len(others) and all(known)
