"""Pixels are those that matplotlib draws, but that a line of text may be a pixel off."""

from __future__ import annotations

import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from workbench.figures.drawing.quick import _line, pixels_of


def written(text: str, **style) -> Figure:
    figure = Figure(figsize=(3, 2), dpi=150)
    figure.text(0.302, 0.413, text, **{"fontsize": 9, **style})
    return figure


def by_matplotlib(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def middle(pixels: np.ndarray) -> np.ndarray:
    """Of what is not white, weighed by how dark it is: row and column."""
    dark = 255.0 - pixels[..., :3].mean(axis=2)
    rows, columns = np.indices(dark.shape)
    return np.array([(rows * dark).sum(), (columns * dark).sum()]) / dark.sum()


@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize("text", ["0.12 → 0.90", "gypsy", "two\nlines", "_", "Ünïcode ⌊√⌋"])
@pytest.mark.parametrize(
    "style", [{}, {"weight": "bold", "color": "#ff000080", "ha": "right", "va": "top"}, {"alpha": 0.3}]
)
def test_text_stands_where_matplotlib_puts_it(text, style, rotation):
    ours, theirs = (draw(written(text, rotation=rotation, **style)) for draw in (pixels_of, by_matplotlib))
    assert np.abs(middle(ours) - middle(theirs)).max() <= (2.5 if rotation else 1.2)
    darkness = [float((255.0 - one[..., :3]).sum()) for one in (ours, theirs)]
    assert darkness[0] == pytest.approx(darkness[1], rel=0.03)
    inks = [one[..., :3].min(axis=(0, 1)).astype(int) for one in (ours, theirs)]
    assert np.abs(inks[0] - inks[1]).max() <= 2


@pytest.mark.parametrize("text", ["漢字", "$x^2$", "turned"])
def test_what_is_not_kept_is_drawn_by_matplotlib(text):
    rotation = 30 if text == "turned" else 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # letters that the font lacks
        assert np.array_equal(*(draw(written(text, rotation=rotation)) for draw in (pixels_of, by_matplotlib)))


def test_what_is_cut_stays_cut():
    figure = written("a long text that goes on and on and on", clip_on=True)
    figure.texts[0].set_clip_box(figure.bbox.frozen().shrunk(0.5, 1))
    pixels = pixels_of(figure)[..., :3]
    assert pixels[:, :225].min() < 100
    assert pixels[:, 226:].min() == 255


def test_a_line_is_drawn_once():
    _line.cache_clear()
    for _ in range(3):
        pixels_of(written("again"))
    assert _line.cache_info().misses <= 2, "the text, and what some versions measure lines by"
    assert _line.cache_info().hits >= 5


def test_a_figure_without_text_is_the_same():
    figure = Figure(figsize=(2, 1), dpi=80, facecolor="#123456")
    assert np.array_equal(pixels_of(figure), by_matplotlib(figure))


def test_another_font_is_not_taken_for_the_one_before():
    with matplotlib.rc_context({"font.sans-serif": ["DejaVu Sans Mono"]}):
        wide = pixels_of(written("illicit"))
    assert not np.array_equal(wide, pixels_of(written("illicit")))
