"""Detectors on data of other kinds: classes by name, the table, and the drop with its interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from bright_detector import BrightDetector
from listed_data import Listed

import workbench as wb
from workbench.data.reading.voc_folder import CLASSES
from workbench.errors import DataError
from workbench.evaluation import generalisation
from workbench.evaluation.generalisation import VOC_IN_COCO


class Grey(Listed):
    """Images that are grey all over."""

    def __init__(self, images, classes):
        super().__init__(images)
        self.classes = classes
        self.name = f"of {len(classes)}"

    def image(self, index):
        return torch.full((3, 100, 200), 128, dtype=torch.uint8)


LEFT, RIGHT = (10, 10, 40, 60), (110, 10, 160, 60)


def at(*objects: tuple[int, tuple]) -> list[tuple]:
    return [(label, *box) for label, box in objects]


#: Both have a cat and a set; A calls the latter "tv" and B "tvmonitor". Half of B's images have the set elsewhere.
A = Grey([at((1, LEFT), (2, RIGHT))] * 8, ("cat", "tv"))
B = Grey([at((2, LEFT), (3, RIGHT)), at((2, LEFT), (3, (50, 10, 90, 60)))] * 6, ("cow", "cat", "tvmonitor"))
DATA = {"A": A, "B": B}


def finder(classes: tuple[str, ...], *labels: int):
    """Finds something at the left and at the right of each image, by these labels."""
    return wb.wrap(BrightDetector(classes, [LEFT, RIGHT], list(labels)))


def compared(**options):
    detectors = {"A": finder(("cat", "tv"), 1, 2), "B": finder(("tvmonitor", "cat", "cow"), 2, 1)}
    more = {"names": {"tvmonitor": "tv"}, "progress": False, **options}
    return generalisation(detectors, DATA, **more)


def test_the_table_by_hand():
    found = compared()
    assert found.classes == ("cat", "tv")
    table = found.table()
    assert table.columns.tolist() == ["cat", "tv", "mean"]
    assert table.loc[("A", "A")].tolist() == table.loc[("A", "B")].tolist() == pytest.approx([1, 1, 1])
    # In B half of the sets are found where they are, and half of what is found as one is none.
    assert table.loc[("B", "A"), "cat"] == pytest.approx(1)
    assert 0.25 < table.loc[("B", "A"), "tv"] < 0.4
    assert table.loc[("B", "B")].tolist() == table.loc[("B", "A")].tolist()


def test_the_drop_and_its_interval():
    found = compared()
    drops = found.drops()
    assert drops[["trained on", "tested on"]].values.tolist() == [["A", "B"], ["B", "A"]]
    table = found.table()["mean"]
    assert drops.loc["A", "drop"] == pytest.approx(table[("A", "A")] - table[("B", "A")])
    assert drops.loc["B", "drop"] == pytest.approx(-drops.loc["A", "drop"])
    assert drops.loc["A", "ratio"] == pytest.approx(table[("A", "A")] / table[("B", "A")])
    low, high = drops.loc["A", ["low", "high"]]
    assert 0 < low < drops.loc["A", "drop"] < high
    spans = found.intervals()
    assert spans.loc[("A", "A")].tolist() == [1, 1, 1]
    assert (spans["low"] <= spans["value"]).all()
    apart = found.differences("B")
    assert apart.loc["B", ["difference", "low", "high"]].tolist() == [0, 0, 0]  # the same draws, the same detections
    with pytest.raises(DataError, match=r"nothing was tested on 'C'"):
        found.differences("C")


def test_trained_on_and_chosen_classes(monkeypatch):
    detectors = {"one": finder(("cat", "tv"), 1, 2)}
    found = generalisation(
        detectors,
        DATA,
        trained_on={"one": "B"},
        names={"tvmonitor": "tv"},
        classes=["cat"],
        measure="VOC2012",
        progress=False,
    )
    assert found.drops()[["trained on", "tested on", "drop"]].values.tolist() == [["B", "A", 0.0]]
    assert found.table().columns.tolist() == ["cat", "mean"]
    assert "VOC2012 of 1 detectors on 2 data sets, 1 classes in common: cat" in repr(found)
    assert "<table" in found._repr_html_()
    monkeypatch.setattr(type(found), "what", "<b>&")  # names of classes are anybody's
    assert found._repr_html_().startswith("<p>&lt;b&gt;&amp;</p>")


def test_without_names_only_equal_ones_are_the_same():
    assert compared(names=None).classes == ("cat",)


def test_the_published_table_is_quoted():
    table = compared().published()
    assert isinstance(table, pd.DataFrame)
    assert table.loc[("COCO", "VOC 2012"), "mean"] == 0.169


def test_names_of_voc_in_coco(data_root):
    coco = wb.load_data("coco", "val", data_root / "coco-mini", masks=False).classes
    assert {VOC_IN_COCO.get(name, name) for name in CLASSES} <= set(coco)
    assert set(VOC_IN_COCO) <= set(CLASSES)


def test_what_does_not_fit_is_named():
    one = {"A": finder(("cat", "tv"), 1, 2)}
    with pytest.raises(DataError, match="at least one of each"):
        generalisation({}, DATA)
    with pytest.raises(DataError, match="detector 'x' was trained on 'x', and no data are called so"):
        generalisation({"x": one["A"]}, DATA)
    with pytest.raises(DataError, match="trained_on: there is no detector 'y'"):
        generalisation(one, DATA, trained_on={"y": "A"})
    with pytest.raises(DataError, match="no measure 'mAP'"):
        generalisation(one, DATA, measure="mAP")
    with pytest.raises(DataError, match="'cow' is not among those that all have"):
        generalisation(one, DATA, classes=["cow"])
    with pytest.raises(DataError, match="several classes that are to be 'cat'"):
        generalisation(one, DATA, names={"cow": "cat"})
    with pytest.raises(DataError, match="no class is in all of them: A has dog; B has cow, cat, tvmonitor"):
        generalisation({"A": finder(("dog",), 1, 1)}, {"A": Grey([at((1, LEFT))], ("dog",)), "B": B})
    assert np.isfinite(compared().table().to_numpy()).all()
