"""Figures of the adversary: what each panel is made of, their words, and what is missing."""

from __future__ import annotations

import dataclasses
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.figures import bars, marks, sheet_pixels, words
from workbench.analysis.adversary import Dropout, RoIAdversary, Rotation, Search
from workbench.errors import DataError
from workbench.figures.adversary import (
    BACKGROUND,
    OWN,
    REST,
    RIVAL,
    class_scores,
    hardest_windows_of_objects,
    rotated_blocks,
    sampled_masks,
    search_map,
)
from workbench.hardeners.layers.window_search import windows

CLASSES = ("$cat", "<b>dog</b>", "cow")
SIDE = 60  # pixels of a panel of 1.5 inches, at 40 per inch


def shares(*values):
    return torch.tensor([values])


@pytest.fixture
def seen():
    """A map of 2 × 2 cells with windows of one: the upper right one hurts."""
    search = Search(windows(2, 2), torch.tensor([0.25, 1.5, 0.5, 0.5]), 0.5, shares(0.5, 0.2, 0.1, 0.2)[0])
    masks = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 1.0]]])
    probabilities = torch.cat([shares(0.1, 0.3, 0.5, 0.1), shares(0.1, 0.55, 0.25, 0.1)])
    dropout = Dropout(torch.tensor([[0.1, 0.9], [0.5, 0.1]]), masks, probabilities, 0.1)
    blocks = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]]])
    rotation = Rotation(torch.tensor([-9.5, 4.0]), 10.0, blocks, blocks / 2, shares(0.3, 0.5, 0.1, 0.1)[0])
    patch = torch.full((3, 224, 224), 102, dtype=torch.uint8)
    box, before = torch.tensor([0.0, 0, 8, 8]), shares(0.2, 0.6, 0.1, 0.1)[0]
    return RoIAdversary(patch, box, 1, before, search, dropout, rotation, probabilities - 0.05)


@pytest.fixture
def alone(seen):
    return dataclasses.replace(seen, dropout=None, rotation=None, both=None)


def panel(figure, column, row_top):
    """The pixels of a panel, by its left edge in panels and its upper edge in pixels."""
    pixels = sheet_pixels(figure)[..., :3]
    left = round(40 * 0.06) + column * (SIDE + round(40 * 0.06))
    return pixels[row_top : row_top + SIDE, left : left + SIDE].astype(int)


def corners(pixels):
    """Mean brightness in the middle of the four cells, row by row."""
    low, high = len(pixels) // 8, 3 * len(pixels) // 8
    half = len(pixels) // 2
    return [pixels[y + low : y + high, x + low : x + high].mean() for y in (0, half) for x in (0, half)]


def test_the_search_shows_each_window_and_darkens_the_worst(seen):
    figure = search_map(seen, CLASSES, dpi=40)
    top = round((2 * 0.17 + 0.06) * 40)
    assert "$cat: 0.60\nuntouched" in words(figure)
    assert "each window\nloss −0.25 to +1.00" in words(figure)
    assert "worst window\n0.60 → 0.20" in words(figure)
    plain, each, _, worst = (corners(panel(figure, column, top)) for column in range(4))
    assert plain == pytest.approx([102] * 4)
    assert int(np.argmax(each)) == 1
    assert each[0] == pytest.approx(each[2]), "what lowers the loss is as grey as what leaves it"
    assert int(np.argmin(worst)) == 1
    assert worst[0] == pytest.approx(102)


def test_masks_tell_which_are_hard_enough(seen):
    figure = sampled_masks(seen, dpi=40)
    top = round((2 * 0.17 + 0.06) * 40)
    assert words(figure)[:3] == [
        "ASDN's heat\n0.10 to 0.90",
        "0.60 → 0.30\nhard enough",
        "0.60 → 0.55\ntoo easy",
    ]
    hot, first, second = (corners(panel(figure, column, top)) for column in range(3))
    assert int(np.argmax(hot)) == 1
    assert [value < 20 for value in first] == [False, True, True, False]
    assert [value < 20 for value in second] == [True, False, False, False]


def test_blocks_are_named_by_their_angles(seen):
    found = words(rotated_blocks(seen))
    assert found[:4] == ["block 1", "−9.5°", "block 2", "+4.0°"]
    assert "score 0.60" in found
    assert "score 0.50\nlimit ±10°" in found


def test_bars_add_up_to_one(seen):
    figure = class_scores(seen, CLASSES)
    assert words(figure, ha="right") == ["untouched", "worst window", "ASDN", "ASTN", "ASDN + ASTN"]
    rows = {}
    for colour, low, high, middle in bars(figure)[:-4]:
        rows.setdefault(round(middle), {})[colour] = high - low
    asdn = {OWN: 0.425, BACKGROUND: 0.1, RIVAL: 0.375, REST: 0.1}
    assert rows[2] == pytest.approx({colour.lower(): value for colour, value in asdn.items()})
    assert sum(rows[1].values()) == pytest.approx(1)
    (dots, more) = marks(figure)
    assert list(dots.get_xdata()) == pytest.approx([0.3, 0.55])
    assert list(more.get_xdata()) == pytest.approx([0.25, 0.5])
    key = dict(zip(words(figure, ha="left"), [colour for colour, *_ in bars(figure)[-4:]], strict=True))
    wanted = {"$cat": OWN, "background": BACKGROUND, "<b>dog</b>": RIVAL, "all others": REST}
    assert key == {name: colour.lower() for name, colour in wanted.items()}


def test_one_class_has_no_rival(alone):
    single = dataclasses.replace(
        alone,
        probabilities=torch.tensor([0.4, 0.6]),
        search=dataclasses.replace(alone.search, probabilities=torch.tensor([0.7, 0.3])),
    )
    assert words(class_scores(single, ["face"]), ha="left") == ["face", "background"]


def test_figure_3_has_a_column_for_each_object(seen, alone):
    figure = hardest_windows_of_objects([seen, seen, alone], CLASSES)
    found = words(figure)
    assert found.count("$cat") == 3
    assert found.count("0.60 → 0.20") == 3
    assert found.count("0.10 to 0.90") == found.count("0.60 → 0.30") == 2
    assert {"search", "ASDN's heat", "a mask of ASDN", "heat"} <= set(found)
    small = hardest_windows_of_objects({"step 10": alone, "step 20": alone}, marked="step 20")
    assert small.get_figheight() < figure.get_figheight() / 2
    assert words(small, weight="bold") == ["search", "step 20"]
    with pytest.raises(DataError, match="no object"):
        hardest_windows_of_objects([])


def test_what_is_not_there_cannot_be_drawn(alone):
    with pytest.raises(DataError, match="no ASDN to draw"):
        sampled_masks(alone)
    with pytest.raises(DataError, match="no ASTN to draw"):
        rotated_blocks(alone)
    assert words(class_scores(alone), ha="right") == ["untouched", "worst window"]


def test_all_can_be_saved_and_none_stays_open(seen):
    for draw in (search_map, sampled_masks, rotated_blocks, class_scores):
        out = io.BytesIO()
        draw(seen).savefig(out, format="png", dpi=40)
        assert np.asarray(Image.open(out)).std() > 10
    assert plt.get_fignums() == []
