"""Figures of evaluations: what is drawn is what the tables say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from workbench.data import Dataset
from workbench.errors import DataError
from workbench.evaluation import difference, evaluate_detections
from workbench.figures.evaluation import ap_by_class, ap_by_occlusion, differences, precision_recall
from workbench.types import Detections, Target


class Toy(Dataset):
    name, split, classes = "toy", "test", ("one", "two$")

    def __init__(self, targets: list[Target]):
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def target(self, index: int) -> Target:
        return self.targets[index]

    def size(self, index: int) -> tuple[int, int]:
        return 100, 100


@pytest.fixture(scope="module")
def results():
    """Two detectors on 15 images; the second misses more."""
    generator = torch.Generator().manual_seed(0)
    levels = torch.tensor([0.0, 0.1, 0.3, 0.5, 0.7])
    targets = []
    for _ in range(15):
        corner = torch.rand(5, 2, generator=generator) * 60
        boxes = torch.cat([corner, corner + 30], dim=1)
        targets.append(Target(boxes=boxes, labels=torch.arange(5) % 2 + 1, occlusion=levels))

    def answers(share):
        found = []
        for target in targets:
            keep = torch.rand(5, generator=generator) < share
            scores = torch.rand(5, generator=generator)
            noise = 2 * torch.randn(5, 4, generator=generator)
            found.append(Detections((target["boxes"] + noise)[keep], target["labels"][keep], scores[keep]))
        return found

    data = Toy(targets)
    return {name: evaluate_detections(answers(share), data) for name, share in (("plain", 0.9), ("_$x$", 0.6))}


@pytest.fixture(autouse=True)
def no_figure_is_kept():
    yield
    assert plt.get_fignums() == []


def test_points_and_intervals_by_occlusion(results, tmp_path):
    figure = ap_by_occlusion(results)
    (axes,) = figure.axes
    for bars, result in zip(axes.containers, results.values(), strict=True):
        table = result.by_occlusion
        np.testing.assert_allclose(bars.lines[0].get_ydata().astype(float), table["AP"])
        spans = np.array([segment[:, 1] for segment in bars.lines[2][0].get_segments()])
        np.testing.assert_allclose(spans[:, 0], np.minimum(table["low"], table["AP"]))
        np.testing.assert_allclose(spans[:, 1], np.maximum(table["high"], table["AP"]))
    assert axes.get_xticklabels()[0].get_text() == "< 5 %\nn = 15"
    assert len(axes.get_legend().get_texts()) == 2  # also the name that starts with an underscore
    figure.savefig(tmp_path / "figure.png")  # and the dollar signs do not break the drawing


def test_one_result_needs_no_legend(results):
    (axes,) = ap_by_occlusion(results["plain"]).axes
    assert axes.get_legend() is None


def test_unknown_occlusion_is_said_in_the_figure(results, tmp_path):
    known = results["plain"]
    nothing = np.full_like(known.matches.object_occlusion, np.nan)
    unknown = dataclasses.replace(known, matches=dataclasses.replace(known.matches, object_occlusion=nothing))
    figure = ap_by_occlusion(unknown)
    assert "unknown" in figure.axes[0].get_title()
    assert figure.axes[0].get_ylim() == (0, 1)
    figure.savefig(tmp_path / "figure.png")


def test_bars_by_class(results, tmp_path):
    figure = ap_by_class(results)
    (axes,) = figure.axes
    widths = [bar.get_width() for bar in axes.patches]
    expected = np.concatenate([result.by_class["AP"] for result in results.values()])
    np.testing.assert_allclose(widths, expected)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["one  (n = 45)", "two\\$  (n = 30)"]
    assert len(axes.get_legend().get_texts()) == 2
    figure.savefig(tmp_path / "figure.png")


def test_other_classes_cannot_be_bars_side_by_side(results):
    other = dataclasses.replace(results["plain"], classes=("two$", "one"))
    with pytest.raises(DataError, match="a, b are about different classes"):
        ap_by_class({"a": results["plain"], "b": other})


def test_precision_recall_curve(results, tmp_path):
    figure = precision_recall(results, threshold=0.75)
    (axes,) = figure.axes
    for line, result in zip(axes.lines, results.values(), strict=True):
        assert line.get_ydata().mean() == pytest.approx(result.summary["AP75"])
        assert f"{result.summary['AP75']:.3f}" in line.get_label()
    assert axes.get_title() == "mean over classes, IoU ≥ 0.75"
    one = precision_recall(results["plain"], label=2)
    assert one.axes[0].lines[0].get_ydata().mean() == pytest.approx(results["plain"].by_class["AP50"].iloc[1])
    one.savefig(tmp_path / "figure.png")


def test_differences_fill_what_is_clear(results):
    table = difference(*results.values())
    (axes,) = differences(table, a="plain", b="other").axes
    points = axes.collections[1]
    assert [text.get_text() for text in axes.get_yticklabels()][:4] == ["AP", "AP50", "AP_occluded", "< 5 %"]
    table = table.drop(index="AP_unoccluded")  # the same as "< 5 %"
    np.testing.assert_allclose(points.get_offsets()[:, 0], table["difference"])
    clear = (table["low"] > 0) | (table["high"] < 0)
    filled = (points.get_facecolor()[:, :3] < 0.99).any(axis=1)
    assert filled.tolist() == clear.tolist()
    assert clear.any()
    assert axes.get_xlabel() == "other minus plain"


def test_no_results_are_refused():
    with pytest.raises(DataError, match="No results to show"):
        ap_by_occlusion({})
