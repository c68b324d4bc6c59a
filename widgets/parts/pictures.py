"""Images and figures on their way to the browser."""

from __future__ import annotations

import io
from os import PathLike

import ipywidgets
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from workbench.data.reading.images import read_image
from workbench.detectors.layers.inputs import SLACK
from workbench.errors import DataError

PNG_PIXELS = 300_000  # larger pictures travel as JPEG
LONGEST = 1280  # pixels; no panel shows more


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


def png(figure: Figure, dpi: int | None = None) -> bytes:
    """A figure as PNG without a ground of its own, packed for speed.

    The page puts its paper below it, which is less bright in a dark theme (`wb-picture` in panel.css).

    Args:
        dpi: pixels per inch; None: the figure's own.
    """
    for ground in (figure.patch, *(axes.patch for axes in figure.axes)):
        ground.set_alpha(0)
    if dpi is not None:
        figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return encode_pixels(np.asarray(canvas.buffer_rgba()))


def encode_pixels(pixels: np.ndarray) -> bytes:
    """PNG of uint8 [H, W, 3] or, with opacity, [H, W, 4], packed for speed."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def picture() -> ipywidgets.Image:
    """A place for a figure, in its own size where there is room."""
    layout = {"max_width": "100%", "object_fit": "contain", "align_self": "flex-start"}
    return ipywidgets.Image(format="png", layout=layout).add_class("wb-picture")
