"""Figures, texts and tables on one page: where they lie, and that they are drawn as they are."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from workbench.errors import DataError
from workbench.figures.drawing.files import encoded
from workbench.figures.still import MARGIN, WIDEST, Key, Table, still_figure


def block(colour, width, height):
    """A figure of one colour, in inches."""
    figure = plt.figure(figsize=(width, height), facecolor=colour)
    plt.close(figure)
    return figure


def pixels(figure, dpi=100, **options):
    out = io.BytesIO()
    figure.savefig(out, dpi=dpi, **options)
    return np.asarray(Image.open(io.BytesIO(out.getvalue())).convert("RGB"))


def extent(picture, colour):
    """Left, upper, right and lower pixel of a colour."""
    rows, columns = np.nonzero((picture == colour).all(axis=-1))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("options", [{}, {"bbox_inches": "tight", "pad_inches": 0}])
def test_figures_keep_their_size_beside_and_below_each_other(options):
    red, green, blue = block("red", 2, 1), block("lime", 3, 2), block("blue", 4, 1)
    picture = pixels(still_figure("", "", [(red, green), blue]), **options)
    where = [extent(picture, colour) for colour in ([255, 0, 0], [0, 255, 0], [0, 0, 255])]
    sizes = [(right - left, low - high) for left, high, right, low in where]
    assert sizes == [(200, 100), (300, 200), (400, 100)]
    assert where[0][1] == where[1][1], "upper edges are one line"
    assert where[1][0] - where[0][2] == 25
    assert where[2][1] - where[1][3] == 12
    assert red.get_size_inches().tolist() == [2, 1], "it can still be drawn by itself"
    assert extent(pixels(red), [255, 0, 0]) == (0, 0, 200, 100)


def test_what_does_not_fit_beside_goes_below():
    figure = still_figure("", "", [(block("red", 7, 1), block("lime", 7, 1))])
    assert figure.get_size_inches().tolist() == pytest.approx([7 + 2 * MARGIN, 2 + 0.12 + 2 * MARGIN])


def test_texts_are_text_and_wrap():
    figure = still_figure(
        "<b>$x$", "a · b", ["word " * 200, Table((("n", "$p"), ("1", "2"))), Key("k", {"_c": "red"})]
    )
    said = [text.get_text() for text in figure.texts]
    assert said[:2] == ["<b>$x$", "a · b"]
    assert sum(line.split().count("word") for line in said) == 200
    assert {"n", "$p", "1", "2", "k", "■", "_c"} <= set(said)
    assert figure.get_size_inches()[0] <= WIDEST
    encoded(figure)  # a formula that is none would raise


def test_a_picture_is_small_and_the_same_every_time():
    noise = plt.figure(figsize=(9, 9))
    plt.close(noise)
    noise.add_axes((0, 0, 1, 1)).imshow(np.random.default_rng(0).random((900, 900, 3)))
    page = still_figure("noise", "", [noise])
    first = encoded(page, "png", "workbench-view:abc")
    assert first == encoded(page, "png", "workbench-view:abc")
    assert len(encoded(block("red", 5, 5))) < 3000
    assert b"workbench-view:abc" in first
    assert Image.open(io.BytesIO(first)).info["dpi"][0] < 150, "made smaller until it fits"
    with pytest.raises(DataError, match="a picture cannot be 'gif'; it can be png, svg, pdf"):
        encoded(page, "gif")
