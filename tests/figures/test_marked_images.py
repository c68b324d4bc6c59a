"""Images with marks: where they lie, that marks are where their pixels are, and that names are text."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from workbench.errors import DataError
from workbench.figures.marked_images import GAP, LINE, Mark, MarkedImage, marked_images

RED, BLUE = (255, 0, 0), (0, 0, 255)


def plain(colour, height=40, width=80):
    return torch.tensor(colour, dtype=torch.uint8)[:, None, None].expand(3, height, width).contiguous()


def pixels(figure, dpi=100):
    out = io.BytesIO()
    figure.savefig(out, dpi=dpi)
    return np.asarray(Image.open(out).convert("RGB")).astype(int)


def extent(picture, colour):
    """Left, upper, right and lower pixel of what is of about this colour."""
    rows, columns = np.nonzero((abs(picture - colour) < 40).all(axis=-1))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_images_keep_their_shape_and_stand_on_one_line():
    """2 inches wide and 1 high beside 1 wide and 2 high, each in 2 inches."""
    picture = pixels(marked_images([MarkedImage(plain(RED)), MarkedImage(plain(BLUE, 80, 40))], side=2.0))
    assert picture.shape[:2] == (200, round(100 * (2 * 2 + GAP)))
    assert extent(picture, RED) == pytest.approx((0, 100, 200, 200), abs=1)
    assert extent(picture, BLUE) == pytest.approx((210, 0, 310, 200), abs=1)


def test_rows_and_titles_take_their_place():
    images = [MarkedImage(plain(RED), title="one"), MarkedImage(plain(RED)), MarkedImage(plain(BLUE))]
    figure = marked_images(images, columns=2, side=2.0)
    assert figure.get_size_inches() == pytest.approx([4 + GAP, 2 * (1 + LINE) + GAP])
    assert extent(pixels(figure), BLUE)[1] == pytest.approx(100 * (1 + LINE + GAP), abs=1)
    assert marked_images(images, columns=7, side=2.0).get_size_inches()[0] == pytest.approx(6 + 2 * GAP)


def test_marks_lie_on_their_pixels():
    """A box of pixels 20 to 60 of 80 in an image of 2 inches is half to one and a half inches."""
    mark = Mark.box((20, 10, 60, 30), "#00ff00", dashed=True)
    picture = pixels(marked_images([MarkedImage(plain((0, 0, 0)), [mark])], side=2.0), dpi=200)
    assert extent(picture, (0, 255, 0)) == pytest.approx((100, 50, 300, 150), abs=3)


def test_filled_outlines_crosses_and_layers():
    triangle = Mark([(10, 5), (70, 5), (40, 35)], "#00ff00", filled=True)
    cross = Mark([(40, 20)], "#ffffff")
    layer = np.zeros((40, 80, 4), np.uint8)
    layer[:, 60:] = (0, 0, 255, 255)
    figure = marked_images([MarkedImage(plain((0, 0, 0)), [triangle, cross], layers=[layer])], side=2.0)
    picture = pixels(figure)
    green = picture[:, :, 1] > picture[:, :, 0] + 30
    assert green[20, 100 - 30], "within the triangle"
    assert not green[80, 20], "outside of it"
    assert extent(picture, BLUE)[0] == pytest.approx(150, abs=1)
    assert picture[50, 100].tolist() == pytest.approx([255, 255, 255], abs=60)


def test_names_are_text_in_the_colour_of_their_mark_and_do_not_cover_each_other():
    boxes = [Mark.box((10, 10, 40, 30), "#0000ff", "$x$ <b>"), Mark.box((10, 10, 41, 30), "#ff0000", "other")]
    figure = marked_images([MarkedImage(plain((200, 200, 200)), boxes)], side=4.0)
    figure.canvas.draw()
    texts = figure.axes[0].texts[:2]
    assert [text.get_text() for text in texts] == ["$x$ <b>", "other"]
    first, second = (text.get_window_extent() for text in texts)
    assert not first.overlaps(second)


def test_a_long_title_is_cut_and_what_cannot_be_read_is_said_in_its_place():
    bad = MarkedImage("this image is broken", title="t" * 500)
    figure = marked_images([bad, MarkedImage(plain(RED), title="short")], side=1.5)
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said[0] == "this image is broken"
    assert said[1].startswith("ttt")
    assert said[1].endswith("…")
    assert len(said[1]) < 60
    assert said[2] == "short"


def test_large_images_are_shrunk_before_they_are_drawn():
    large = MarkedImage(plain(RED, 3000, 3000))
    drawn = marked_images([large], side=1.0).axes[0].images[0].get_array()
    assert drawn.shape[:2] == (200, 200)


def test_no_image_is_refused():
    with pytest.raises(DataError, match="there is no image to draw; give at least one"):
        marked_images([])
