"""Pictures as the browser gets them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from widgets.parts.pictures import Picture, as_image, encode, encode_pixels, png
from workbench.errors import DataError


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_figures_keep_their_size_in_inches():
    figure = Figure((2, 1), dpi=100)
    assert opened(png(figure)).size == (200, 100)
    assert opened(png(figure, 50)).size == (100, 50)


def test_pixels_and_opacity_come_back_as_they_were():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert (np.asarray(opened(encode_pixels(pixels))) == pixels).all()


def test_small_images_are_exact_and_large_ones_small():
    small = torch.randint(0, 256, (3, 20, 30), dtype=torch.uint8)
    shown = opened(encode(small))
    assert shown.format == "PNG"
    assert (np.asarray(shown).transpose(2, 0, 1) == small.numpy()).all()
    large = opened(encode(torch.zeros(3, 900, 1800, dtype=torch.uint8)))
    assert (large.format, large.size) == ("JPEG", (1280, 640))


def test_an_image_may_be_the_path_of_a_picture(tmp_path):
    Image.new("L", (30, 20), 200).save(tmp_path / "grey.png")
    for path in (tmp_path / "grey.png", str(tmp_path / "grey.png")):
        image = as_image(path)
        assert (tuple(image.shape), int(image.min())) == ((3, 20, 30), 200)
    with pytest.raises(DataError, match=r"none\.png: this image does not exist"):
        as_image(tmp_path / "none.png")


@pytest.mark.parametrize("thing", [None, 5, [[1]], {"image": 1}])
def test_what_is_no_image_is_said(thing):
    with pytest.raises(DataError, match=f"expected an image, .* got a {type(thing).__name__}"):
        as_image(thing)


def test_a_figure_is_drawn_when_what_it_follows_from_changes():
    shown, drawn = Picture(), []
    image = torch.zeros(2)

    def figure():
        drawn.append(1)
        return Figure((1, 1), dpi=50)

    for follows in ((image, 3), (image, 3), (image, 4), (image.clone(), 4), (), (), (image, 4)):
        shown.draw(figure, *follows)
    assert len(drawn) == 1 + 0 + 1 + 1 + 1 + 1 + 1
    shown.clear()
    assert shown.value == b""
    shown.draw(figure, image, 4)
    assert opened(shown.value).size == (50, 50)


def test_what_fails_is_drawn_again_and_a_dark_page_has_light_ink():
    shown = Picture()
    with pytest.raises(ZeroDivisionError):
        shown.draw(lambda: 1 / 0, 1)

    def figure():
        made = Figure((1, 1), dpi=100)
        made.text(0.5, 0.5, "M", fontsize=60, ha="center", va="center")
        return made

    shown.draw(figure, 1)
    for dark, ink in ((False, (0x1F, 0x23, 0x28)), (True, (0xE6, 0xED, 0xF3))):
        shown.dark = dark
        pixels = np.asarray(opened(shown.value))
        opaque = pixels[pixels[..., 3] == 255]
        assert len(opaque) > 100
        assert (opaque[:, :3] == ink).all()
        assert pixels[0, 0, 3] == 0, "it has no ground"
