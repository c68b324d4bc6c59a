"""Figures of the focal loss: what is drawn is what the functions say."""

from __future__ import annotations

import math

import pytest
import torch

from workbench.analysis.anchor_losses import LossWindows, Windows, loss_distribution
from workbench.errors import DataError
from workbench.figures.focal import GAMMAS, loss_cdfs, loss_curves
from workbench.losses.focal import CrossEntropy, Focal


@pytest.fixture(scope="module")
def windows():
    logits = 2 * torch.randn(4000, 3, generator=torch.Generator().manual_seed(0)) - 4
    zeros = torch.zeros(4000, dtype=torch.long)
    negatives = Windows(logits, zeros, zeros, torch.zeros(4000, 4), seen=5000)
    few = torch.arange(200)
    positives = Windows(logits[few] + 4, zeros[few] + 1, zeros[few], torch.zeros(200, 4), seen=200)
    return LossWindows(positives, negatives, "toy test", 3)


def test_curves_are_the_losses_of_one_example():
    axes = loss_curves().axes[0]
    lines = [line for line in axes.lines if line.get_label().startswith("γ")]
    assert len(lines) == len(GAMMAS)
    for line, gamma in zip(lines, GAMMAS, strict=True):
        for p, cost in list(zip(*line.get_data(), strict=True))[::100]:
            assert cost == pytest.approx(-((1 - p) ** gamma) * math.log(p), rel=1e-4)


def test_alpha_weighs_present_and_absent_classes():
    named = {"balanced": CrossEntropy(alpha=0.75)}
    for present, weight in ((True, 0.75), (False, 0.25)):
        line = loss_curves(named, present=present).axes[0].lines[0]
        p, cost = (float(values[250]) for values in line.get_data())
        assert cost == pytest.approx(-weight * math.log(p), rel=1e-4)


def test_cdfs_are_those_of_the_windows(windows):
    figure = loss_cdfs(windows, (0, 2))
    assert len(figure.axes) == 2
    for axes, some in zip(figure.axes, (windows.positives, windows.negatives), strict=True):
        shown = [line for line in axes.lines if line.get_label().startswith("γ")]
        expected = loss_distribution(some.losses(Focal(gamma=2)))
        assert shown[1].get_ydata().tolist() == expected.loss.tolist()
        assert "hardest 1 % carry" in shown[1].get_label()
    assert "4,000 of 5,000" in figure.axes[1].get_title()
    assert "toy test, 3 images" in figure.get_suptitle()


def test_nothing_to_show_is_told(windows):
    for draw in (lambda: loss_curves({}), lambda: loss_cdfs(windows, ())):
        with pytest.raises(DataError, match="No losses"):
            draw()
