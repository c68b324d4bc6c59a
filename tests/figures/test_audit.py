"""Figures of audits: what is drawn is what the tables say."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from seeing_detectors import BrightObjects, Seeing, half_seen, how_much

from workbench.errors import DataError
from workbench.evaluation import AuditReport, audit
from workbench.figures.audit import audit_figure, figure_names
from workbench.figures.audit_page import INK, ON_PAGE

OBJECTS = [[("_$cat", 2, 2, 34, 35), ("dog", 40, 4, 70, 24)], [("dog", 40, 20, 60, 50)], []]
ALL = (
    *("recall", "average precision", "fates", "kinds", "places", "halves", "sizes", "classes", "first lost"),
    *("calibration", "corruptions", "differences"),
)


@pytest.fixture(scope="module")
def report() -> AuditReport:
    data = BrightObjects(OBJECTS, classes=("_$cat", "dog"))
    detectors = {"_half$": Seeing(data, half_seen), "how much": Seeing(data, how_much)}
    few = {"fractions": (0.2, 0.5, 0.7), "kinds": ("grey", "fence"), "corruptions": ("jpeg",), "budget": 2}
    return audit(detectors, data, **few, severities=(1, 5), progress=False)


@pytest.fixture(autouse=True)
def no_figure_is_kept():
    yield
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", ALL)
def test_every_figure_can_be_drawn_with_ink_of_the_page_s_own(report, name, tmp_path) -> None:
    assert figure_names(report) == ALL
    with matplotlib.rc_context(ON_PAGE):
        report.figure(name).savefig(tmp_path / "figure.svg")
    svg = (tmp_path / "figure.svg").read_text()
    assert INK in svg
    drawn = re.sub(r"<defs>.*?</defs>", "", svg, flags=re.DOTALL)
    on_photographs = name == "first lost"  # boxes are outlined in black there
    assert on_photographs or not re.search(r"(?:fill|stroke): #(?:000000|ffffff)", drawn)


def test_recall_is_that_of_the_table(report) -> None:
    (axes,) = audit_figure(report, "recall").axes
    for line, (_, table) in zip(axes.lines, report.recall().groupby("detector", sort=False), strict=True):
        np.testing.assert_allclose(line.get_xdata(), table["hidden"])
        np.testing.assert_allclose(line.get_ydata(), table["recall"])
    for band, (_, table) in zip(axes.collections, report.recall().groupby("detector", sort=False), strict=True):
        corners = band.get_paths()[0].vertices[:, 1]
        assert corners.min() == pytest.approx(table["low"].min())
        assert corners.max() == pytest.approx(table["high"].max())
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["\u200b_half\\$", "how much"], "also a name that starts with an underscore"


def test_places_have_a_panel_for_each_detector(report) -> None:
    first, second = audit_figure(report, "places").axes
    table = report.recall("place")
    for axes, (_, own) in zip((first, second), table.groupby("detector", sort=False), strict=True):
        for line, (_, rows) in zip(axes.lines, own.groupby("place", sort=False), strict=True):
            np.testing.assert_allclose(line.get_ydata(), rows["recall"])
    assert [axes.get_title() for axes in (first, second)] == ["\u200b_half\\$", "how much"]


def test_fates_are_stacked_to_one(report) -> None:
    axes = audit_figure(report, "fates").axes[0]
    table = report.fates()[lambda rows: rows["detector"] == "_half$"]
    tops = np.array([bar.get_y() + bar.get_height() for bar in axes.containers[-1]])
    np.testing.assert_allclose(tops, 1)
    np.testing.assert_allclose([bar.get_height() for bar in axes.containers[0]], table["found"])


def test_classes_show_clean_and_half_hidden(report) -> None:
    (axes,) = audit_figure(report, "classes").axes
    table = report.recall("class").set_index(["detector", "class", "hidden"])["recall"]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert sorted(labels) == ["dog  (n = 2)", "\u200b_\\$cat  (n = 1)"]
    order = ["dog" if label.startswith("dog") else "_$cat" for label in labels]
    clean, hidden = axes.collections[1].get_offsets()[:, 0], axes.collections[2].get_offsets()[:, 0]
    np.testing.assert_allclose(clean, [table["_half$", name, 0.0] for name in order])
    np.testing.assert_allclose(hidden, [table["_half$", name, 0.5] for name in order])


def test_calibration_of_clean_and_half_hidden_images(report) -> None:
    axes = audit_figure(report, "calibration").axes[1]
    table = report.reliability()[lambda rows: (rows["detector"] == "how much") & (rows["n"] > 0)]
    for line, share in zip(axes.lines[1:], (0.0, 0.5), strict=True):
        rows = table[table["hidden"] == share]
        np.testing.assert_allclose(line.get_xdata(), rows["score"])
        np.testing.assert_allclose(line.get_ydata(), rows["right"])
    assert axes.get_legend().get_texts()[1].get_text() == "50 % hidden, ECE 0.50", "all are right"


def test_pictures_show_the_object_where_it_was_lost(report) -> None:
    figure = audit_figure(report, "first lost")
    shown = [axes for axes in figure.axes if axes.get_title()]
    assert len(shown) == len(report.pictures)
    assert shown[0].get_title().splitlines() == [report.pictures[0].title, report.pictures[0].facts]
    pixels = report.pictures[0].pixels
    x1, y1, x2, y2 = (round(value) for value in report.pictures[0].box)
    inside = pixels[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].reshape(-1, 3)
    assert (inside == 128).all(axis=1).mean() > 0.4, "grey hides it"
    assert (np.abs(inside.astype(int) - (251, 13, 77)).max(axis=1) < 20).any(), "and not all of it"


def test_what_was_not_asked_for_has_no_figure() -> None:
    data = BrightObjects([[("cat", 2, 2, 34, 35)]])
    alone = {"kinds": ("grey",), "places": ("random",), "search": (), "corruptions": (), "progress": False}
    report = audit(Seeing(data, lambda visible, name: 0.9), data, **alone)
    assert report.figure_names == ("recall", "average precision", "fates", "sizes", "classes", "calibration")
    assert report.figure("recall").axes[0].get_legend() is None
    with pytest.raises(DataError, match="no figure 'corruptions'"):
        report.figure("corruptions")
    clean = audit(Seeing(data, how_much), data, **alone | {"kinds": ()})
    assert clean.figure_names == ("calibration",)
    clean.figure("calibration")
