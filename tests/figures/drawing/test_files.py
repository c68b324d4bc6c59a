"""Pictures as bytes: the same for the same figure, small, as sharp as that allows, with words of ours in them."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from workbench.errors import DataError
from workbench.figures.drawing import files
from workbench.figures.drawing.files import DPI, KINDS, PIXELS, encoded


def figure(width=4.0, height=3.0, *, noise=False):
    made, axes = plt.subplots(figsize=(width, height), facecolor="white")
    plt.close(made)
    axes.set_axis_off()
    axes.imshow(np.random.default_rng(0).random((300, 400, 3)) if noise else np.eye(2))
    made.text(0.1, 0.9, "words")
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_figure_gives_the_same_bytes_and_stays_as_it_was(kind):
    one = figure()
    before = one.dpi
    assert encoded(one, kind, "note") == encoded(figure(), kind, "note") == encoded(one, kind, "note")
    assert one.dpi == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_note_is_kept_as_it_is(kind):
    content = encoded(figure(), kind, "a-note:QUJD+/==")
    assert b"a-note:QUJD+/==" in content
    assert b"a-note" not in encoded(figure(), kind)


def test_a_png_is_on_white_paper_of_256_colours_and_twice_as_sharp_as_a_page():
    picture = Image.open(io.BytesIO(encoded(figure())))
    assert (picture.size, picture.mode) == ((4 * DPI, 3 * DPI), "P")
    assert picture.info["dpi"] == pytest.approx((DPI, DPI), rel=1e-3)
    assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_large_figures_have_fewer_pixels_an_inch():
    picture = Image.open(io.BytesIO(encoded(figure(30, 40))))
    assert picture.width * picture.height == pytest.approx(PIXELS, rel=0.01)
    assert picture.width / picture.height == pytest.approx(0.75, rel=0.01)


def test_what_cannot_be_packed_well_is_made_smaller_until_it_is_small(monkeypatch):
    whole = encoded(figure(noise=True))
    monkeypatch.setattr(files, "BYTES", len(whole) // 2)
    less = encoded(figure(noise=True))
    assert len(less) <= len(whole) // 2
    width, dpi = Image.open(io.BytesIO(less)).width, Image.open(io.BytesIO(less)).info["dpi"][0]
    assert width < 4 * DPI
    assert width / dpi == pytest.approx(4, rel=0.01), "as large on a page as before"
    monkeypatch.setattr(files, "BYTES", 10)
    assert Image.open(io.BytesIO(encoded(figure(noise=True)))).info["dpi"][0] == pytest.approx(files.LEAST, rel=0.01)


def test_letters_are_outlines_in_svg_and_true_type_in_pdf_whatever_the_settings():
    with matplotlib.rc_context({"pdf.fonttype": 3, "svg.fonttype": "none"}):
        svg, pdf = encoded(figure(), "svg"), encoded(figure(), "pdf")
        assert matplotlib.rcParams["pdf.fonttype"] == 3
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
    assert "path" in tags
    assert not tags & {"text", "script"}
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf


def test_another_kind_is_refused():
    with pytest.raises(DataError, match="a picture cannot be 'gif'; it can be png, svg, pdf"):
        encoded(figure(), "gif")
