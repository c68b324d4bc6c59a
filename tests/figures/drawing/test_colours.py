"""Colours that can be distinguished, and read where they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from workbench.figures.drawing.colours import BRIGHT, FAINT, INK, OKABE_ITO, SCORES, colour, cycle, palette


def luminance(text: str) -> float:
    """WCAG's relative luminance, 0 to 1."""
    parts = np.array(to_rgb(text))
    linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("number", [1, 10, 24, 101])
def test_colours_differ(number):
    assert len(set(palette(number))) == number


def test_labels_count_from_one_and_colours_repeat():
    assert [colour(label) for label in (1, 10, 11)] == [BRIGHT[0], BRIGHT[9], BRIGHT[0]]
    assert [cycle("abc", place) for place in range(5)] == list("abcab")


@pytest.mark.parametrize("ground", ["#ffffff", "#111111"])
@pytest.mark.parametrize("ink", [INK, FAINT])
def test_ink_is_read_on_a_light_and_on_a_dark_page(ink, ground):
    assert contrast(ink, ground) > 3, "WCAG's least for graphics"


def test_classes_differ_from_each_other_and_stand_out_from_black():
    assert len(set(BRIGHT)) == len(BRIGHT)
    assert all(contrast(one, "#000000") > 4.5 for one in BRIGHT)


def test_series_differ_in_grey_print():
    assert len({round(luminance(one), 2) for one in OKABE_ITO}) == len(OKABE_ITO)


def test_low_scores_are_dark_and_opaque_and_high_ones_clear():
    """The ends and the middle of ColorBrewer's YlOrRd with nine colours."""
    assert [tuple((255 * SCORES[at, :3]).round().astype(int)) for at in (0, 255)] == [(128, 0, 38), (255, 255, 204)]
    assert np.abs(255 * SCORES[[127, 128], :3].mean(axis=0) - (253, 141, 60)).max() < 2
    assert SCORES[0, 3] == 0.85
    assert SCORES[255, 3] == 0
    assert (np.diff(SCORES[:, 3]) <= 0).all()
