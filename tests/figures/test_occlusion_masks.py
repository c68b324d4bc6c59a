"""Figures of masks and of found occlusion: their words, and what the panels are made of."""

from __future__ import annotations

import dataclasses

import matplotlib.pyplot as plt
import pytest
import torch

from tests.support.figures import sheet_pixels, words
from workbench.analysis.occlusion_masks import FoundOcclusion, RoIMasks
from workbench.errors import DataError
from workbench.figures.adversary import class_scores
from workbench.figures.occlusion_masks import found_and_true, generated_masks, masks_of_strategies

CLASSES = ("$face",)
HALF = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
MASKS = {"generator": torch.tensor([[1.0, 0.0], [1.0, 1.0]]), "left half": HALF, "right half": 1 - HALF,
         "top half": HALF.T, "bottom half": 1 - HALF.T, "random half": torch.eye(2)}  # fmt: skip


@pytest.fixture
def seen():
    """A map of 2 × 2 cells that wants to hide the upper right one."""
    patch = torch.full((3, 224, 224), 102, dtype=torch.uint8)
    after = {name: torch.tensor([[1 - value, value]]) for name, value in zip(MASKS, (0.2, *[0.5] * 5), strict=True)}
    answers = {"untouched": torch.tensor([[0.1, 0.9]]), **after}
    return RoIMasks(patch, torch.tensor([0.0, 0, 8, 8]), 1, torch.tensor([[0.7, 0.1], [0.5, 0.3]]), MASKS, answers)


def brightness(figure, x, y, dpi=40):
    """Mean brightness around a place in inches."""
    pixels = sheet_pixels(figure)
    column, row = round(x * dpi), round(y * dpi)
    return float(pixels[row - 3 : row + 3, column - 3 : column + 3, :3].mean())


def test_a_panel_for_each_strategy(seen):
    figure = masks_of_strategies(seen, CLASSES, dpi=40)
    assert words(figure)[:4] == [
        "untouched\n$face: 0.90", "generator's order\nmap 0.10 to 0.70", "generator\n0.90 → 0.20",
        "random half\n0.90 → 0.50",
    ]  # fmt: skip
    assert words(figure)[4:8] == [f"{side} half\n0.90 → 0.50" for side in ("left", "right", "top", "bottom")]
    assert plt.get_fignums() == []
    low = 1.5 * 2 + 0.06 * 3 + 0.375  # the left edge of the third panel, and a quarter of it
    top = 0.17 * 2 + 0.06 + 0.375
    assert brightness(figure, low + 0.75, top) < 15 < 90 < brightness(figure, low, top), "its upper right is hidden"
    assert brightness(figure, low - 1.56 + 0.75, top) > brightness(figure, low - 1.56, top + 0.75), "and brightest"


def test_without_a_generator(seen):
    figure = masks_of_strategies(dataclasses.replace(seen, map=None, masks=dict(list(MASKS.items())[1:])), dpi=40)
    assert words(figure)[:2] == ["untouched\nlabel 1: 0.90", "random half\n0.90 → 0.50"]
    assert len(words(figure)) == 6, "there is no scale"


def test_generators_beside_each_other_and_over_training(seen):
    bare = dataclasses.replace(seen, map=None)
    figure = generated_masks({"$with": {"step 1": seen, "step 2": seen}, "bare": {"step 1": bare}}, marked="step 2")
    said = words(figure)
    assert said.count("edges 1.00") == said.count("0.90 → 0.20") == said.count("0.10 to 0.70") == 2
    assert words(figure, weight="bold") == ["$with", "step 2"], "detectors without a generator are left out"
    with pytest.raises(DataError, match="no generator to draw"):
        generated_masks({"bare": {"step 1": bare}})


def test_class_scores_are_drawn_of_masks_as_well(seen):
    figure = class_scores(seen, CLASSES)
    assert words(figure, ha="left") == ["$face", "background"], "there are no others"
    assert words(figure, ha="right") == ["untouched", *MASKS]


def found(truth):
    """Of 8 × 8 pixels the left half is found."""
    pixels = torch.zeros(8, 8, dtype=torch.bool)
    pixels[:, :4] = True
    patch, chance = torch.full((3, 224, 224), 102, dtype=torch.uint8), torch.full((8, 8), 0.25)
    return FoundOcclusion(patch, torch.tensor([0.0, 0, 8, 8]), chance, pixels, truth)


def test_found_and_true_occlusion(seen):
    """A quarter is found and true, a quarter found alone, a quarter true alone."""
    truth = torch.zeros(8, 8, dtype=torch.bool)
    truth[:4] = True
    figure = found_and_true(found(truth), dpi=40)
    assert words(figure)[:4] == [
        "chance to be hidden\nup to 0.25", "found to hide it\n50% (orange)", "what hides it\n50% (blue)",
        "IoU 0.33\n(white: both)",
    ]  # fmt: skip
    left, top = 0.06 + 3 * 1.56, 0.4
    places = [(0.375, 0.375), (1.125, 1.125)]
    both, neither = (brightness(figure, left + x, top + y) for x, y in places)
    assert both == pytest.approx(0.6 * 255 + 0.4 * 102, abs=2)
    assert neither == pytest.approx(102, abs=2)
    assert "nothing in either" in words(found_and_true(dataclasses.replace(
        found(torch.zeros(8, 8, dtype=torch.bool)), found=torch.zeros(8, 8, dtype=torch.bool))))[3]  # fmt: skip
    assert len(words(found_and_true(found(None)))) == 2 + 3, "two panels and the scale"
