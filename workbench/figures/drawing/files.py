"""Figures as the bytes of a picture: the same bytes for the same figure, with words of ours in what describes it."""

from __future__ import annotations

import io
import math
import warnings

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from workbench.errors import DataError
from workbench.figures.drawing.quick import pixels_of

#: Suffix of a picture → its type on the web.
KINDS = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
DPI = 200  #: pixels per inch, two for each of a page
LEAST = 80  #: pixels per inch, whatever a PNG takes
PIXELS, BYTES = 2_500_000, 245_000  #: of a PNG that is to be small, at most
PHOTOS = 150  #: pixels per inch of photographs in PDF and SVG
#: Letters that other programs can read and change, and names of parts that do not depend on chance.
VECTORS = {"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "still"}


def encoded(figure: Figure, kind: str = "png", note: str = "") -> bytes:
    """A figure as PNG of 256 colours, as SVG or as PDF.

    Args:
        kind: one of `KINDS`.
        note: ASCII that is kept as it is in what describes the picture.

    Raises:
        DataError: another kind.
    """
    if kind not in KINDS:
        raise DataError(f"a picture cannot be {kind!r}; it can be {', '.join(KINDS)}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # letters that the font lacks are boxes
        return _png(figure, note) if kind == "png" else _vectors(figure, kind, note)


def _vectors(figure: Figure, kind: str, note: str) -> bytes:
    out = io.BytesIO()
    about = {"CreationDate": None, "Keywords": note} if kind == "pdf" else {"Date": None, "Description": note}
    with matplotlib.rc_context(VECTORS):
        figure.savefig(out, format=kind, dpi=PHOTOS, metadata=about)
    return out.getvalue()


def _png(figure: Figure, note: str) -> bytes:
    """As sharp as `PIXELS` and `BYTES` allow; drawn once, as that takes the most time."""
    about = PngInfo()
    if note:
        about.add_text("Description", note)
    own, dpi = figure.dpi, min(DPI, math.sqrt(PIXELS / float(np.prod(figure.get_size_inches()))))
    try:
        figure.set_dpi(dpi)
        drawn = Image.fromarray(pixels_of(figure)).convert("RGB")
    finally:
        figure.set_dpi(own)
    shown = drawn
    while True:
        out = io.BytesIO()
        _of_few_colours(shown).save(out, "PNG", compress_level=6, pnginfo=about, dpi=(dpi, dpi))
        if (size := out.tell()) <= BYTES or dpi <= LEAST:
            return out.getvalue()
        smaller = max(LEAST, 0.9 * dpi * math.sqrt(BYTES / size))
        shown = drawn.resize([round(length * smaller / dpi) for length in shown.size], Image.Resampling.HAMMING)
        dpi = smaller


def _of_few_colours(picture: Image.Image) -> Image.Image:
    """The same with 256 colours, of which the paper's, in the corner, stays white."""
    few = picture.quantize(256, method=Image.Quantize.FASTOCTREE)
    colours, paper = np.array(few.getpalette()).reshape(-1, 3), few.getpixel((0, 0))
    colours[paper] = picture.getpixel((0, 0))
    few.putpalette(colours.flatten().tolist())
    return few
