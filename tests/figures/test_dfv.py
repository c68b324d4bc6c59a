"""Accuracy against beta, and pictures side by side: read from lines and images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from workbench.errors import DataError
from workbench.figures.dfv import beta_figure, beta_means, reconstructions_figure


@pytest.fixture
def results() -> pd.DataFrame:
    rows = [
        {"alpha": alpha, "beta": beta, "seed": seed, "accuracy_clean": 0.9 - 0.1 * beta + 0.02 * seed,
         "accuracy_occluded": 0.4 + 0.2 * alpha * beta}
        for alpha in (0.9, 0.5) for beta in (2.0, 0.5, 1.0) for seed in (0, 1, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_means_and_intervals_over_seeds(results):
    means = beta_means(results, "accuracy_clean")
    assert means[["alpha", "beta"]].values.tolist()[:3] == [[0.5, 0.5], [0.5, 1.0], [0.5, 2.0]]
    assert means["mean"][1] == pytest.approx(0.8 + 0.02)
    assert means["half"][1] == pytest.approx(stats.t.ppf(0.975, 2) * 0.02 / np.sqrt(3))
    one = beta_means(results[results["seed"] == 0], "accuracy_clean")
    assert (one["half"] == 0).all()
    with pytest.raises(DataError, match=r"results has no \['alpha'\]; expected a row per run with alpha, beta"):
        beta_means(results.drop(columns="alpha"), "accuracy_clean")


def test_a_line_for_each_alpha_and_a_panel_for_each_measure(results):
    figure = beta_figure(results)
    clean, occluded = figure.axes
    assert (clean.get_title(), occluded.get_title()) == ("clean images", "occluded images")
    assert [text.get_text() for text in occluded.get_legend().get_texts()] == ["α = 0.5", "α = 0.9"]
    np.testing.assert_allclose(occluded.lines[1].get_xdata(), [0.5, 1, 2])
    np.testing.assert_allclose(occluded.lines[1].get_ydata(), [0.49, 0.58, 0.76])
    assert len(clean.collections) == 2, "bands"
    assert len(occluded.collections) == 0, "all seeds say the same"


def test_pictures_in_their_places():
    red, grey = torch.zeros(3, 8, 8, dtype=torch.uint8), torch.full((3, 16, 16), 0.5)
    red[0] = 200
    figure = reconstructions_figure({"$one$": [red, grey], "two": [None, red]}, ["clean", "decoded"])
    shown = [[image.get_array() for image in axes.get_images()] for axes in figure.axes]
    assert [len(images) for images in shown] == [1, 1, 0, 1]
    assert shown[0][0][0, 0].tolist() == [200, 0, 0]
    assert shown[1][0].shape == (16, 16, 3)
    assert [axes.get_title() for axes in figure.axes] == ["clean", "decoded", "", ""]
    assert figure.axes[0].texts[0].get_text() == "$one$"
    assert not figure.axes[0].texts[0].get_parse_math()


def test_what_does_not_fit():
    with pytest.raises(DataError, match="row 'one' has 1 pictures; expected 2: a, b"):
        reconstructions_figure({"one": [None]}, ["a", "b"])
    with pytest.raises(DataError, match="no rows to show"):
        reconstructions_figure({}, ["a"])
