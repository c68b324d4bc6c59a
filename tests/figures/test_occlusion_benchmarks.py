"""Miss rates over false positives per image: what is drawn is what the results say."""

from __future__ import annotations

import pytest
import torch

from workbench.data import Dataset
from workbench.errors import DataError
from workbench.evaluation import evaluate_citypersons, evaluate_crowdhuman
from workbench.figures.occlusion_benchmarks import LEFT, RIGHT, miss_rate_curves
from workbench.types import Detections, Target


class Street(Dataset):
    """Each image has a tall person who is all seen, and one who is half hidden."""

    name, split, classes = "street", "val", ("pedestrian",)

    def __len__(self) -> int:
        return 10

    def target(self, index: int) -> Target:
        boxes = torch.tensor([[20.0, 0, 60, 100], [80, 0, 120, 100]])
        return Target(boxes=boxes, boxes_full=boxes, labels=torch.tensor([1, 1]), occlusion=torch.tensor([0, 0.5]))

    def size(self, index: int) -> tuple[int, int]:
        return 120, 200


DATA = Street()


def answers(found: int) -> list[Detections]:
    """Both people of the first images, and a wrong detection in each."""
    boxes = torch.tensor([[20.0, 0, 60, 100], [80, 0, 120, 100], [140, 10, 180, 110]])
    scores = [torch.tensor([0.9, 0.8, 0.5 - i / 100]) for i in range(10)]
    every = [Detections(boxes, torch.ones(3, dtype=torch.int64), one) for one in scores]
    return [one if i < found else one[2:] for i, one in enumerate(every)]


def texts(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_one_result_is_a_panel_with_a_curve_for_each_subset():
    result = evaluate_citypersons(answers(5), DATA)
    figure = miss_rate_curves(result)
    (axes,) = figure.axes
    assert texts(axes) == [
        "reasonable  50.0%",
        "reasonable heavy  50.0%",
        "all  50.0%",
        "bare  50.0%",
        "heavy  50.0%",
    ]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_xlim() == (LEFT, RIGHT)
    curve, marks = axes.lines[:2]
    assert curve.get_ydata().tolist()[:6] == pytest.approx([1, 0.9, 0.8, 0.7, 0.6, 0.5])
    assert curve.get_xdata().max() == 1  # ten wrong ones in ten images
    assert marks.get_ydata().tolist() == pytest.approx(result.curves["reasonable"].miss_rates()[0].tolist())
    assert axes.get_xlabel() == "false positives per image"
    assert "IoU and IoA ≥ 0.5" in figure.get_suptitle()
    figure.canvas.draw()


def test_several_results_have_a_panel_for_each_subset():
    results = {"good": evaluate_crowdhuman(answers(10), DATA), "_$bad$": evaluate_crowdhuman(answers(2), DATA)}
    figure = miss_rate_curves(results)
    assert [axes.get_title().partition("\n")[0] for axes in figure.axes] == ["all", "bare", "heavy"]
    assert figure.axes[1].get_title() == "bare\nvisibility ≥ 0.9"
    assert texts(figure.axes[0]) == ["good  0.0%", "\u200b_\\$bad\\$  80.0%"]
    assert figure.axes[0].get_ylim()[0] < 0.06
    figure.canvas.draw()


def test_chosen_subsets_wrap_into_rows_with_an_axis_at_each_end():
    result = evaluate_citypersons(answers(5), DATA)
    chosen = ["heavy", "bare", "all", "reasonable", "reasonable_heavy"]
    figure = miss_rate_curves({"a": result, "b": result}, subsets=chosen)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title().partition("\n")[0] for axes in shown] == [name.replace("_", " ") for name in chosen]
    assert [bool(axes.get_xlabel()) for axes in shown] == [False, True, True, True, True]


def test_what_cannot_be_shown_is_refused():
    result = evaluate_citypersons(answers(5), DATA)
    with pytest.raises(DataError, match="No results to show"):
        miss_rate_curves({})
    with pytest.raises(DataError, match="there is no subset 'heavi'; did you mean 'heavy'"):
        miss_rate_curves(result, subsets=["heavi"])
    with pytest.raises(DataError, match="no person belongs to partial; there is no curve"):
        miss_rate_curves(result, subsets=["partial"])
    both = miss_rate_curves({"city": result, "crowd": evaluate_crowdhuman(answers(5), DATA)})
    assert [axes.get_title().partition("\n")[0] for axes in both.axes] == ["all", "bare", "heavy"]
