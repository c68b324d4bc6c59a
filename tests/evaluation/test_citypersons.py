"""CityPersons' miss rates: cases worked by hand, and its program's loop over people and detections."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.evaluation import evaluate_citypersons, evaluate_detections
from workbench.evaluation.citypersons import SUBSETS
from workbench.evaluation.counting.miss_rate import FPPI

TALL, SMALL = (0, 0, 40, 100), (100, 0, 124, 60)


@pytest.fixture(scope="session")
def people(in_memory, target):
    """Data from rows (x1, y1, x2, y2, hidden share, ignored) of each image."""

    def build(images):
        targets = []
        for rows in images:
            hidden, ignored = [row[4] for row in rows], [row[5] for row in rows]
            one = target([(*row[:4], 1) for row in rows], occlusion=hidden, iscrowd=ignored)
            targets.append(one | {"boxes_full": one["boxes"].clone(), "boxes": one["boxes"].clamp(0, 200)})
        return in_memory(targets, classes=("pedestrian",), size=(200, 200))

    return build


def test_by_hand(people, found):
    """Each image has a tall bare person and a small one of whom half is seen; the second one also a poster.

    Falling scores: the tall person of image 0, a wrong box, the small person of image 0, the poster (ignored).
    Reasonable are the tall ones: one is missed, and the small one's box is ignored. FPPI is 0, then 0.5.
    """
    poster = (150, 100, 190, 190, np.nan, True)
    data = people([[(*TALL, 0, False), (*SMALL, 0.5, False)], [(*TALL, 0, False), (*SMALL, 0.5, False), poster]])
    answers = [
        found([(*TALL, 1, 0.9), (0, 120, 30, 190, 1, 0.8), (*SMALL, 1, 0.7)]),
        found([(155, 105, 185, 185, 1, 0.6)]),
    ]
    result = evaluate_citypersons(answers, data)
    summary = result.summary
    assert summary["MR_reasonable"] == pytest.approx(0.5)
    assert summary["MR_bare"] == pytest.approx(0.5)
    assert summary["MR_all"] == pytest.approx((0.75**7 * 0.5**2) ** (1 / 9))  # the small one comes at FPPI 0.5
    assert summary["MR_heavy"] == pytest.approx((1.0**7 * 0.5**2) ** (1 / 9))
    assert np.isnan(summary["MR_partial"])
    assert summary["MR_reasonable_heavy"] == summary["MR_heavy"]
    assert result.counts()["MR_all"] == 4
    assert result.counts()["MR_reasonable_small"] == 0
    assert (result.frame().query("subset == 'reasonable'")["fppi"] == [0, 0.5]).all()


def test_boxes_reach_out_of_the_image_as_they_are_annotated(people, found):
    """Clipped, it would be 60 x 100 of 100 x 100 pixels, IoU 0.6 with what is seen; as it is, 0.49 is too little."""
    data = people([[(-50, 0, 50, 100, 0, False)]])
    assert evaluate_citypersons([found([(0, 0, 49, 100, 1, 0.9)])], data).summary["MR_all"] == 1
    assert evaluate_citypersons([found([(0, 0, 50, 100, 1, 0.9)])], data).summary["MR_all"] < 1e-9


def test_detections_far_from_the_heights_of_a_subset_are_left_out(people, found):
    """Of people of 50 pixels and more, boxes below 40 are not wrong; of those of 20 and more, below 16."""
    data = people([[(*TALL, 0, False)]])
    answers = [found([(150, 0, 160, 39.9, 1, 0.9), (150, 50, 160, 65.9, 1, 0.8), (*TALL, 1, 0.7)])]
    result = evaluate_citypersons(answers, data)
    assert result.frame().query("subset == 'reasonable'")["fppi"].tolist() == [0]
    assert result.frame().query("subset == 'all'")["fppi"].tolist() == [1, 1]
    low = evaluate_citypersons([found([(150, 0, 160, 93.8, 1, 0.9), (*TALL, 1, 0.7)])], data)
    assert low.frame().query("subset == 'reasonable_small'")["fppi"].tolist() == []  # 93.8 is above 75 · 1.25


def test_a_thousand_detections_of_an_image_count(people, found):
    data, wrong = people([[(*TALL, 0, False)]]), [(100, 100, 140, 180, 1, 0.9)] * 999
    right = (*TALL, 1, 0.5)
    assert len(evaluate_citypersons([found([*wrong, right])], data).curves["all"].right) == 1000
    curve = evaluate_citypersons([found([*wrong, wrong[0], right])], data).curves["all"]
    assert len(curve.right) == 1000
    assert not curve.right.any()


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_as_by_the_programs_loop(people, found, seed):
    random = np.random.default_rng(seed)
    truth, answers = [], []
    for _ in range(3):
        low, size = random.integers(-20, 60, (random.integers(0, 6), 2)), random.integers(15, 100, 2)
        truth.append([(*a, *(a + size), round(float(random.random()), 2), bool(random.random() < 0.3)) for a in low])
        low = random.integers(-20, 60, (random.integers(0, 9), 2))
        answers.append([(*a, *(a + size + random.integers(-9, 9, 2)), 1, s) for a, s in
                        zip(low, random.integers(1, 9, len(low)) / 8, strict=True)])  # fmt: skip
    result = evaluate_citypersons([found(rows) for rows in answers], people(truth))
    for name, subset in SUBSETS.items():
        expected = by_the_programs_loop(truth, answers, subset.heights, subset.visible)
        np.testing.assert_allclose(result.curves[name].miss_rates()[0], expected, err_msg=name)


def by_the_programs_loop(truth, answers, heights, visible):
    """The nine miss rates of a subset, as eval_MR_multisetup.py finds matches."""
    events, total = [], 0
    for theirs, ours in zip(truth, answers, strict=True):
        flags = [row[5] or not heights[0] <= row[3] - row[1] <= heights[1]
                 or not np.float32(1 - visible[1]) <= np.float32(row[4]) <= np.float32(1 - visible[0])
                 for row in theirs]  # fmt: skip
        order = sorted(range(len(theirs)), key=lambda place: flags[place])
        theirs, flags = [theirs[place] for place in order], [flags[place] for place in order]
        total += flags.count(False)
        taken = set()
        for row in sorted(ours, key=lambda row: -row[5]):
            height = row[3] - row[1]
            if height < heights[0] / 1.25 or height >= heights[1] * 1.25:
                continue
            best, chosen = 0.5, None
            for place, person in enumerate(theirs):
                if place in taken:
                    continue
                if chosen is not None and not flags[chosen] and flags[place]:
                    break
                overlap = shared(row, person) / (area(row) if flags[place] else union(row, person))
                if overlap >= best:
                    best, chosen = overlap, place
            if chosen is None or not flags[chosen]:
                events.append((row[5], chosen is not None))
                taken |= {chosen} if chosen is not None else set()
    events.sort(key=lambda event: -event[0])
    right = np.cumsum([0] + [hit for _, hit in events])
    fppi = np.cumsum([0] + [not hit for _, hit in events]) / len(truth)
    return [1 - right[np.flatnonzero(fppi <= at)[-1]] / total if total else np.nan for at in FPPI]


def shared(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def area(box):
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def union(a, b):
    return max(area(a) + area(b) - shared(a, b), 1e-12)


def test_evaluate_adds_the_figures_also_of_a_part_of_the_data(people, found):
    data = people([[(*TALL, 0, False)], [(*TALL, 0, False)]])
    data.benchmark = "citypersons"
    answers = [found([(*TALL, 1, 0.9)]), found([])]
    assert evaluate_detections(answers[1:], data.subset([1])).summary["MR_reasonable"] == 1
    table = evaluate_citypersons(answers, data).table()
    assert table.loc["MR_reasonable"].tolist()[:3] == pytest.approx([0.5, 0, 1])
    assert "2 pedestrians in 2 images" in table.attrs["note"]
    assert "IoU and IoA ≥ 0.5" in table.attrs["note"]


def test_data_without_full_boxes_are_refused(in_memory, target, found):
    data = in_memory([target([(*TALL, 1)])], classes=("pedestrian",))
    with pytest.raises(DataError, match=r'there is no target\["boxes_full"\].*load_data\("citypersons", \.\.\.\)'):
        evaluate_citypersons([found([])], data)
    two = in_memory([target([(*TALL, 1)])])
    with pytest.raises(DataError, match="has 2 classes; citypersons needs one, the pedestrian"):
        evaluate_citypersons([found([])], two)
    short = in_memory([target([(*TALL, 1)]) | {"boxes_full": torch.zeros(1, 3)}], classes=("pedestrian",))
    with pytest.raises(DataError, match=r'target\["boxes_full"\] has shape \[1, 3\], expected \[1, 4\]'):
        evaluate_citypersons([found([])], short)
