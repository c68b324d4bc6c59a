"""Figures of errors: bars are what the tables say, pictures show the right place with the right words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.patches import Rectangle

from workbench.data.dataset import Dataset
from workbench.errors import DataError
from workbench.evaluation import difference_by_class, evaluate_detections
from workbench.evaluation.diagnosis import ERROR_KINDS
from workbench.figures.diagnosis import (
    PANEL,
    change_by_class,
    false_positives_grid,
    in_words,
    kinds_of_errors,
    missed_grid,
)
from workbench.types import Detections, Target

CAT, DOG, CAR = (0, 0, 20, 20), (30, 0, 50, 20), (60, 20, 80, 40)


class Toy(Dataset):
    """One red image with a white patch where the dog is."""

    name, split, classes = "toy", "test", ("cat", "do$g$", "car")

    def __len__(self):
        return 1

    def size(self, index):
        return 60, 90

    def image(self, index):
        image = torch.zeros(3, 60, 90, dtype=torch.uint8)
        image[0] = 200
        image[:, 0:20, 30:50] = 255
        return image

    def target(self, index):
        hidden = torch.tensor([0.0, 0.4, float("nan")])
        return Target(boxes=torch.tensor([CAT, DOG, CAR]).float(), labels=torch.tensor([1, 2, 3]), occlusion=hidden)


def result(rows):
    table = torch.tensor(rows).reshape(-1, 6)
    return evaluate_detections([Detections(table[:, :4], table[:, 4].long(), table[:, 5])], Toy())


@pytest.fixture(scope="module")
def one():
    """A cat found twice, a dog taken for a cat (similar), a car for a cat (other), and a cat in the background."""
    boxes = (CAT, CAT, DOG, CAR, (60, 45, 80, 58))
    return result([(*box, 1.0, 0.9 - i / 10) for i, box in enumerate(boxes)])


SIMILAR = [("cat", "do$g$")]


def test_change_by_class(one):
    other = result([(*DOG, 2.0, 0.9)])
    figure = change_by_class(difference_by_class(one, other), a="one", b="other")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == [r"do\$g\$", "car", "cat"]
    assert [patch.get_height() for patch in axes.patches] == pytest.approx([1, 0, -1])
    assert "other minus one" in axes.get_title()
    assert axes.get_ylabel() == "change of AP"
    empty = pd.DataFrame({"difference": [np.nan], "low": [np.nan], "high": [np.nan]}, index=["cat"])
    with pytest.raises(DataError, match="no class has objects"):
        change_by_class(empty)


def test_kinds_of_errors(one):
    diagnosis = one.diagnosis(SIMILAR)
    figure = kinds_of_errors({"one": diagnosis, "again": diagnosis})
    left, right = figure.axes
    counts = [[bar.get_width() for bar in bars] for bars in left.containers]
    assert counts == [[1, 1], [0, 0], [0, 0], [0, 0]]  # cat has one object, so only its best error counts
    cost = diagnosis.cost().loc["mean", list(ERROR_KINDS)]
    assert [bars[0].get_width() for bars in right.containers] == pytest.approx(cost.tolist())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(ERROR_KINDS)
    with pytest.raises(DataError, match="no diagnoses"):
        kinds_of_errors({})


def test_words(one):
    table = one.diagnosis(SIMILAR).false_positives
    assert [in_words(row) for _, row in table.iterrows()] == [
        "found twice", "similar: it is do$g$", "it is car", "nothing there",
    ]  # fmt: skip


def test_the_grid_of_false_positives_shows_the_place(one):
    diagnosis = one.diagnosis(SIMILAR)
    figure = false_positives_grid(diagnosis.false_positives, diagnosis, Toy(), columns=3)
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 4
    assert panels[1].get_title() == "cat 0.70\nsimilar: it is do$g$"
    middle = panels[1].images[0].get_array()[PANEL // 2, PANEL // 2]
    assert middle.tolist() == [255, 255, 255]  # the dog
    outlines = [patch for patch in panels[1].patches if isinstance(patch, Rectangle)]
    assert [patch.get_linestyle() for patch in outlines] == ["--", "-"]
    size = PANEL * 20 / 30  # the box with a quarter of its side around it
    assert [outlines[1].get_width(), outlines[1].get_height()] == pytest.approx([size, size])
    assert len([patch for patch in panels[3].patches if isinstance(patch, Rectangle)]) == 1  # nothing explains it


def test_the_grid_of_missed_objects(one):
    diagnosis = one.diagnosis(SIMILAR)
    figure = missed_grid(diagnosis.missed(), diagnosis, Toy())
    titles = [axes.get_title() for axes in figure.axes if axes.images]
    assert titles == ["do$g$, 40% hidden\ntaken for cat, IoU 1.00", "car\ntaken for cat, IoU 1.00"]
    nothing = result([]).diagnosis()
    assert missed_grid(nothing.missed(), nothing, Toy()).axes[0].get_title() == "cat, 0% hidden\nnothing near"


def test_what_hides_the_object_in_a_box_is_hatched_at_its_place(one):
    """The dog's box is asked about, and found hidden in its left half."""
    diagnosis, asked = one.diagnosis(SIMILAR), []

    def hidden_by(image, box):
        asked.append((tuple(image.shape), box.tolist()))
        hidden = torch.zeros(image.shape[-2:], dtype=torch.bool)
        hidden[0:20, 30:40] = True
        return hidden

    figure = false_positives_grid(diagnosis.false_positives[1:2], diagnosis, Toy(), hidden_by=hidden_by)
    assert asked == [((3, 60, 90), list(map(float, DOG)))]
    (axes,) = (one for one in figure.axes if one.images)
    opacity = axes.images[1].get_array()[..., 3]
    assert opacity[PANEL // 2, PANEL // 2 - 4] == pytest.approx(0.4, abs=0.01)
    assert opacity[PANEL // 2, PANEL // 2 + 4] == 0
    assert int((opacity > 0).sum()) == pytest.approx((PANEL / 3) * (PANEL * 2 / 3), rel=0.02)


def test_what_cannot_be_shown(one):
    diagnosis = one.diagnosis()
    with pytest.raises(DataError, match="the table is empty"):
        false_positives_grid(diagnosis.false_positives.head(0), diagnosis, Toy())
    elsewhere = diagnosis.false_positives.assign(image=7)
    with pytest.raises(DataError, match="about image 7; toy has 1 images"):
        false_positives_grid(elsewhere, diagnosis, Toy())
