"""Detection by level of occlusion, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import DataError
from workbench.evaluation import evaluate_detections, evaluate_occluded_pascal3d

BOX, HALF, ELSEWHERE = (0, 0, 20, 20), (0, 0, 20, 10), (50, 50, 70, 70)


@pytest.fixture(scope="session")
def levels(in_memory, target):
    """Data of one object each from rows (label, foreground, background)."""

    def build(images):
        targets = [
            target([(*BOX, label)]) | {"foreground_level": front, "background_level": back}
            for label, front, back in images
        ]
        return in_memory(targets)

    return build


def test_by_hand(levels, found):
    """Two levels. In the first, one of two images is right first; the other's best answer is of another class.

    AP: class one 1; class two has its object behind a wrong answer of a higher score: 1/2. In the second level IoU is
    exactly 0.5, which is too little to be right first and enough for AP.
    """
    data = levels([(1, 1, 1), (2, 1, 1), (1, 2, 3)])
    answers = [
        found([(*BOX, 1, 0.6), (*ELSEWHERE, 2, 0.5)]),
        found([(*BOX, 1, 0.4), (*BOX, 2, 0.3)]),
        found([(*HALF, 1, 0.9)]),
    ]
    result = evaluate_occluded_pascal3d(answers, data)
    assert result.summary == pytest.approx(
        {
            "first@0.5": (0.5 + 0) / 2, "first@0.5_FGL1_BGL1": 0.5, "first@0.5_FGL2_BGL3": 0,
            "AP@0.5": (0.75 + 1) / 2, "AP@0.5_FGL1_BGL1": 0.75, "AP@0.5_FGL2_BGL3": 1,
        }
    )  # fmt: skip
    assert result.counts()["first@0.5_FGL1_BGL1"] == 2
    assert result.counts()["AP@0.5"] == 3
    frame = result.frame()
    assert frame.index.tolist() == ["FGL1_BGL1", "FGL2_BGL3"]
    assert frame[["foreground", "background", "n"]].to_numpy().tolist() == [[1, 1, 2], [2, 3, 1]]
    assert frame["first"].tolist() == [0.5, 0]


def test_the_first_of_equal_scores_and_nothing_found(levels, found):
    data = levels([(1, 1, 1), (1, 1, 1), (1, 1, 1)])
    answers = [found([(*BOX, 1, 0.5), (*BOX, 2, 0.5)]), found([(*BOX, 2, 0.5), (*BOX, 1, 0.5)]), found([])]
    assert evaluate_occluded_pascal3d(answers, data).right.tolist() == [True, False, False]
    empty = evaluate_occluded_pascal3d([found([])] * 3, data).summary
    assert (empty["first@0.5"], empty["AP@0.5"]) == (0, 0)


def test_levels_are_evaluated_by_themselves(levels, found):
    """Whatever is found at one level changes nothing at the other."""
    random = np.random.default_rng(0)
    images = [(int(random.integers(1, 3)), int(random.integers(1, 4)), 1) for _ in range(30)]
    answers = [
        found([(*(BOX if random.random() < 0.6 else HALF), int(random.integers(1, 3)), float(random.random()))
               for _ in range(random.integers(0, 4))])
        for _ in images
    ]  # fmt: skip
    data = levels(images)
    result = evaluate_occluded_pascal3d(answers, data)
    for front in (1, 2, 3):
        own = [place for place, image in enumerate(images) if image[1] == front]
        alone = evaluate_occluded_pascal3d([answers[place] for place in own], data.subset(own))
        for kind in ("first@0.5", "AP@0.5"):
            assert alone.summary[kind] == pytest.approx(result.summary[f"{kind}_FGL{front}_BGL1"])
    table = result.table()
    assert (table["low"] <= table["value"] + 1e-9).all()
    assert table.loc["first@0.5", "n"] == 30


def test_evaluate_adds_the_figures(levels, found):
    data = levels([(1, 1, 1)])
    data.benchmark = "occluded-pascal3d"
    summary = evaluate_detections([found([(*BOX, 1, 0.9)])], data).summary
    assert summary["first@0.5_FGL1_BGL1"] == 1


def test_other_data_are_refused(in_memory, target, levels, found):
    with pytest.raises(DataError, match=r'no target\["foreground_level"\] and target\["background_level"\]'):
        evaluate_occluded_pascal3d([found([])], in_memory([target([(*BOX, 1)])]))
    two = target([(*BOX, 1), (*HALF, 1)]) | {"foreground_level": 1, "background_level": 1}
    with pytest.raises(
        DataError, match="toy/test image 0: it has 2 objects; occluded-pascal3d has one in each image"
    ):
        evaluate_occluded_pascal3d([found([])], in_memory([two]))
