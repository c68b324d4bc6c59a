"""Methods judged on the same objects: which objects count, and means and intervals of a table by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from bright_detector import BrightDetector

from workbench.analysis.saliency_table import COLUMNS, saliency_summary, saliency_table
from workbench.data import load_data
from workbench.data.dataset import Dataset, make_target
from workbench.errors import DataError

BOXES = [[2.0, 2, 18, 18], [24.0, 4, 44, 28], [30.0, 20, 34, 24]]


class Bright(Dataset):
    """A bright, a dark and a difficult square on black, in each of three images."""

    name, classes, split = "bright", ("square", "other"), "test"

    def __len__(self):
        return 3

    def image(self, index):
        image = torch.zeros(3, 32, 48, dtype=torch.uint8)
        image[:, 2:18, 2:18] = 250 - index
        image[:, 4:28, 24:44] = 60
        image[:, 20:24, 30:34] = 255
        return image

    def target(self, index):
        boxes, labels = torch.tensor(BOXES), torch.tensor([1, 1, 1])
        masks = torch.zeros(3, 32, 48, dtype=torch.bool)
        masks[0, 2:18, 2:10] = True
        areas, hard = torch.tensor([256.0, 480, 16]), torch.tensor([False, False, True])
        more = {"masks": masks, "difficult": hard}
        return {**make_target(image_id=index, size=(32, 48), boxes=boxes, labels=labels, area=areas), **more}

    def size(self, index):
        return 32, 48


@pytest.fixture(scope="module")
def table():
    found = BrightDetector(("square", "other"), [*BOXES, BOXES[0]], [1, 1, 1, 2])
    return saliency_table(found, Bright(), {"few": {"method": "d-rise", "masks": 60, "grid": 8}}, objects=2, steps=5)


def test_only_found_objects_count_and_no_more_images_are_read_than_needed(table):
    """The dark square scores below 0.5, the difficult one does not count, the last detection is of another class."""
    assert list(table.columns) == list(COLUMNS)
    assert table["method"].tolist() == ["few", "box", "random"] * 2
    assert table["image"].tolist() == [0] * 3 + [1] * 3
    assert set(table["object"]) == {0}
    assert table["score"][0] == pytest.approx(250 / 255)
    assert table["chance"].tolist() == pytest.approx([128 / (32 * 48)] * 6)  # its visible half


def test_a_map_beats_chance_and_the_box_is_known(table):
    means = table.groupby("method")[["deletion", "insertion", "energy"]].mean()
    assert means["deletion"]["few"] < means["deletion"]["random"]
    assert means["insertion"]["few"] > means["insertion"]["random"]
    assert means["energy"]["few"] > 2 * means["energy"]["random"]
    assert means["energy"]["box"] == pytest.approx(0.5)  # the visible half


def test_a_detector_and_data_by_name():
    data = load_data("digit-scenes", split="test")
    spent = []
    options = {"objects": 1, "indices": [7], "steps": 1, "progress": spent.append}
    table = saliency_table("digit-scenes/faster-rcnn", data, ["layer-cam"], **options)
    assert table["method"].unique().tolist() == ["layer-cam", "box", "random"]
    assert len(table) == 4 * 3  # all objects of the image
    assert spent == [1]


def test_means_intervals_and_differences_by_hand():
    """Two images of two objects and one: means are over objects; one of four draws is of the first image alone."""
    rows = [
        {"image": image, "object": number, "label": 1, "method": name, "deletion": value, "insertion": 1 - value,
         "energy": energy, "points": 1.0}
        for image, number, name, value, energy in [
            (4, 0, "map", 0.1, 0.5), (4, 1, "map", 0.3, np.nan), (9, 0, "map", 0.8, 0.7),
            (4, 0, "box", 0.2, 1.0), (4, 1, "box", 0.4, 1.0), (9, 0, "box", 0.9, 1.0)]
    ]  # fmt: skip
    summary = saliency_summary(pd.DataFrame(rows))
    assert summary.index.tolist() == ["map", "box"]
    assert summary["objects"].tolist() == [3, 3]
    assert summary["deletion"].tolist() == pytest.approx([0.4, 0.5])
    one = summary.loc["map"]
    assert (one["deletion low"], one["deletion high"]) == (pytest.approx(0.2), pytest.approx(0.8))  # one image twice
    assert one["insertion"] == pytest.approx(0.6)
    assert one["energy"] == pytest.approx(0.6)  # of the two that have one
    for end in ("", " low", " high"):
        assert one[f"deletion minus box{end}"] == pytest.approx(-0.1)  # it is always the same
        assert summary.loc["box"][f"deletion minus box{end}"] == 0
    assert one["points"] == one["points low"] == 1
    with pytest.raises(DataError, match="no method 'random' in the table; it has map, box"):
        saliency_summary(pd.DataFrame(rows), against="random")


def test_nothing_is_found():
    with pytest.raises(DataError, match=r"finds no object of bright with a score of 0\.5 or more"):
        saliency_table(BrightDetector(("square", "other"), [], []), Bright(), [])
