"""Figures of face benchmarks: what is drawn is what the results say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.data import Dataset
from workbench.errors import DataError
from workbench.evaluation import evaluate_fddb, evaluate_mafa, evaluate_wider_face
from workbench.figures.face_benchmarks import face_precision_recall, fddb_roc
from workbench.types import Detections, Target


class Toy(Dataset):
    """Each image has an upright face of 20 x 40 pixels: easy, and masked."""

    name, split, classes = "toy", "test", ("face",)

    def __len__(self) -> int:
        return 4

    def target(self, index: int) -> Target:
        sets = {name: torch.tensor([True]) for name in ("easy", "medium", "hard")}
        ellipses = torch.tensor([[20, 10, np.pi / 2, 30, 30]])
        boxes, one = torch.tensor([[20.0, 10, 40, 50]]), torch.tensor([1])
        return Target(boxes=boxes, labels=one, face_type=one, ellipses=ellipses, fold=index + 1, **sets)

    def size(self, index: int) -> tuple[int, int]:
        return 60, 80


DATA = Toy()


def answers(found: int) -> list[Detections]:
    """The faces of the first images, and a wrong detection in each."""
    boxes = torch.tensor([[20.0, 10, 40, 50], [50, 0, 60, 10]])
    both = [Detections(boxes, torch.tensor([1, 1]), torch.tensor([0.9 - i / 10, 0.5])) for i in range(4)]
    return [one if i < found else one[1:] for i, one in enumerate(both)]


def texts(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_curves_over_false_positives():
    results = {name: evaluate_fddb(answers(n), DATA, false_positives=3) for name, n in (("good", 4), ("_$bad$", 2))}
    figure = fddb_roc(results)
    discrete, continuous = figure.axes
    assert texts(discrete) == ["good 100.0% at 3", "\u200b_\\$bad\\$ 50.0% at 3"]
    assert discrete.get_xlim() == (0, 6)
    assert discrete.lines[0].get_ydata().tolist() == [0, 0.25, 0.5, 0.75, 1, 1]
    assert discrete.lines[0].get_xdata().tolist() == [0, 0, 0, 0, 0, 4]
    assert max(continuous.lines[0].get_ydata()) == pytest.approx(results["good"].frame()["continuous"].max())
    assert (discrete.get_xlabel(), discrete.get_ylabel()) == ("false positives", "true positive rate")
    assert "4 faces in 4 images" in figure.get_suptitle()
    figure.canvas.draw()


def test_results_that_were_computed_in_other_ways_say_so():
    results = {"boxes": evaluate_fddb(answers(4), DATA), "ellipses": evaluate_fddb(answers(4), DATA, ellipses=True)}
    lines = fddb_roc(results, most=100).get_suptitle().splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("boxes: FDDB: boxes found")
    assert lines[2].startswith("ellipses: FDDB: ellipses found")


@pytest.mark.parametrize("measure", [evaluate_wider_face, evaluate_mafa])
def test_one_result_is_a_panel_and_several_are_one_for_each_kind(measure):
    one = measure(answers(4), DATA)
    single = face_precision_recall(one)
    assert len(single.axes) == 1
    assert single.axes[0].get_title() == "IoU ≥ 0.5"
    assert len(texts(single.axes[0])) == 3
    figure = face_precision_recall({"good": one, "bad": measure(answers(2), DATA)})
    assert len(figure.axes) == 3
    assert texts(figure.axes[1]) == ["good  AP 1.000", "bad  AP 0.500"]
    assert figure.axes[1].lines[1].get_xdata().max() == 0.5
    figure.canvas.draw()


def test_another_overlap_of_mafa():
    result = evaluate_mafa(answers(4), DATA, ious=(0.5, 0.45))
    assert face_precision_recall(result, iou=0.45).axes[0].get_title() == "IoU ≥ 0.45"
    with pytest.raises(DataError, match=r"no curves of IoU 0\.6; choose one of \[0\.5, 0\.45\]"):
        face_precision_recall(result, iou=0.6)


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(DataError, match="No results to show"):
        fddb_roc({})
    with pytest.raises(DataError, match="different kinds of faces"):
        face_precision_recall({"a": evaluate_mafa(answers(4), DATA), "b": evaluate_wider_face(answers(4), DATA)})
