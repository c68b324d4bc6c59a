"""The panels to play with, and windows on their images: read from the traces and artists."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_detectors import RETINANET

from tests.support.figures import lines, words
from workbench.analysis.anchor_losses import Ranking, gather_windows, hardest_windows
from workbench.data import load_data
from workbench.detectors import build_detector
from workbench.errors import DataError
from workbench.figures.focal_panels import CURVES, PLACE, WINDOW_KINDS, focal_lines, focal_panels
from workbench.figures.loss_windows import loss_on_image, square_around, windows_grid
from workbench.losses.focal import CrossEntropy, Focal


@pytest.fixture(scope="module")
def data():
    return load_data("digit-scenes", split="test", length=3)


@pytest.fixture(scope="module")
def windows(data):
    torch.manual_seed(0)
    return gather_windows(build_detector(RETINANET, data.classes), data)


def rankings(windows, loss):
    return dict(
        zip(WINDOW_KINDS, (Ranking.of(some, loss) for some in (windows.positives, windows.negatives)), strict=True)
    )


def test_lines_are_the_loss_and_its_distributions(windows):
    loss = Focal(gamma=3.0, alpha=0.4)
    ranked, plain = rankings(windows, loss), rankings(windows, Focal(gamma=0.0, alpha=0.4))
    lines = focal_lines(loss, ranked, plain, kind="objects", place=0.5)
    curve = next(one for one in lines if (one.panel, one.role, one.kind) == (1, CURVES, "background"))
    assert curve.y == pytest.approx(-0.6 * (1 - curve.x) ** 3 * np.log(curve.x), rel=1e-6)
    spread = next(one for one in lines if (one.panel, one.role) == (3, CURVES))
    assert spread.y.tolist() == ranked["background"].distribution(300).loss.tolist()
    marks = [one for one in lines if one.role == PLACE]
    assert [len(one.x) for one in marks] == [1, 0]
    assert marks[0].x[0] == pytest.approx(0.5, abs=1 / len(windows.positives))
    figure = focal_panels(loss, ranked, plain)
    assert len(figure.data) == len(lines)
    assert f"{len(windows.negatives):,} windows<br>of background" in [note.text for note in figure.layout.annotations]


def test_the_magnified_axis_counts_from_the_hardest(windows):
    loss = Focal()
    ranked = rankings(windows, loss)
    lines = focal_lines(loss, ranked, ranked, magnified=True)
    line = next(one for one in lines if (one.panel, one.role) == (3, CURVES))
    number = len(ranked["background"])
    assert (line.x[0], line.x[-1]) == (1, 1 / number)
    assert line.text[0] == "the hardest 100.000% carry 100.0%"
    axis = focal_panels(loss, ranked, ranked, magnified=True).layout.xaxis3
    assert axis.type == "log"
    assert axis.range == (0, pytest.approx(-np.log10(number)))


def test_windows_are_drawn_on_their_images(windows, data):
    table = hardest_windows(windows.negatives, windows.negatives.losses(), 5)
    figure = windows_grid(table, data, columns=3)
    texts = words(figure)
    assert sum(text.startswith("truth: background\nbest guess") for text in texts) == 5
    assert [text for text in texts if text.startswith("image")] == [f"image {i}" for i in table["image"]]
    solid = lines(figure, "solid")[1::2]  # each over its dark edge
    assert [np.ptp(line[:, 0]) for line in solid] == pytest.approx((table["x2"] - table["x1"]).tolist(), rel=1e-4)
    with pytest.raises(DataError, match="table is empty"):
        windows_grid(table.head(0), data)
    with pytest.raises(DataError, match="has 3 images"):
        windows_grid(table.assign(image=3), data)


def test_what_is_shown_of_a_large_image():
    corner, side = square_around(torch.tensor([500.0, 20, 600, 60]), (480, 640))
    assert side == 250
    assert corner == (390, 0), "moved into the image"
    assert square_around(torch.tensor([0.0, 0, 10, 10]), (100, 90)) == ((0, 0), 100), "all of a small image"


def test_discs_have_the_area_of_the_share(data):
    image, target = data[0]
    boxes = torch.tensor([[0.0, 0, 20, 20], [40, 40, 60, 60], [80, 80, 90, 90]])
    each = torch.tensor([1.0, 3.0, 100.0])
    figure = loss_on_image(image, boxes, torch.tensor([0, 1, -1]), {"a": each}, objects=target["boxes"])
    background, objects = figure.axes[0].collections
    assert background.get_offsets().tolist() == [[10, 10]]
    assert objects.get_sizes()[0] == pytest.approx(3 * background.get_sizes()[0])
    assert "2 windows; background has 25%" in figure.axes[0].get_title()
    with pytest.raises(DataError, match="'b' is 0 for every window"):
        loss_on_image(image, boxes, torch.tensor([0, 1, -1]), {"b": torch.zeros(3)})
    with pytest.raises(DataError, match="no losses"):
        loss_on_image(image, boxes, torch.tensor([0, 1, -1]), {})


def test_cross_entropy_is_spread_more(windows):
    ranked = rankings(windows, CrossEntropy())["background"]
    assert ranked.hardest(0.01) < Ranking.of(windows.negatives, Focal(gamma=5)).hardest(0.01)
