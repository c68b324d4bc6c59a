"""CrowdHuman's figures: cases worked by hand, and the loop of CrowdDet's program."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.evaluation import evaluate_crowdhuman, evaluate_detections
from workbench.evaluation.crowdhuman import clipped

ONE, TWO = (0, 0, 20, 40), (50, 0, 70, 40)


@pytest.fixture(scope="session")
def people(in_memory, target):
    """Data from rows (x1, y1, x2, y2, hidden share, ignored) of each image, of 100 x 100 pixels."""

    def build(images):
        targets = [
            target([(*r[:4], 1) for r in rows], occlusion=[r[4] for r in rows], iscrowd=[r[5] for r in rows])
            for rows in images
        ]
        return in_memory(targets, classes=("person",))

    return build


def test_by_hand(people, found):
    """Two people, one of them half hidden, and a region.

    Falling scores: the whole one (right), one of its pixels in the region (ignored), again the whole one (wrong), the
    half hidden one (right). FPPI is 0, 1, 1, so that every reference FPPI is reached by the second that counts.
    """
    data = people([[(*ONE, 0, False), (*TWO, 0.5, False), (0, 60, 60, 100, np.nan, True)]])
    answers = [found([(*ONE, 1, 0.9), (5, 65, 15, 75, 1, 0.8), (*ONE, 1, 0.7), (*TWO, 1, 0.6)])]
    result = evaluate_crowdhuman(answers, data)
    assert result.summary["MR_all"] == pytest.approx(0.5)
    assert result.summary["AP@0.5"] == pytest.approx((1 / 2 + 2 / 3) / 2 / 2)  # from the first point on
    assert result.summary["JI@0.5"] == pytest.approx(2 / 3, rel=1e-5)  # one person twice
    assert result.summary["MR_heavy"] < 1e-9  # the whole one's box is a region, which ignores both of its detections
    assert result.counts() == {
        "MR_all": 2, "AP@0.5": 2, "JI@0.5": 2, "MR_bare": 1, "MR_partial": 0, "MR_heavy": 1,
    }  # fmt: skip


def test_boxes_are_clipped_to_the_image_as_the_program_does(people, found):
    boxes = np.array([[-5.0, -5, 120, 50], [130, 20, 140, 30]])
    assert clipped(boxes, np.array([[100, 110], [100, 110]])).tolist() == [[0, 0, 110, 50], [109, 20, 110, 30]]
    data = people([[(0, 0, 50, 100, 0, False)]])
    answers = [found([(-200, -50, 50, 300, 1, 0.9)])]  # within the image it is the person's box
    assert evaluate_crowdhuman(answers, data).summary["MR_all"] < 1e-9


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_as_by_the_programs_loop(people, found, seed):
    random = np.random.default_rng(seed)
    truth, answers = [], []
    for _ in range(3):
        low = random.integers(-5, 30, (random.integers(0, 6), 2))
        size = random.integers(8, 40, 2)
        truth.append([(*a, *(a + size), round(float(random.random()), 2), bool(random.random() < 0.3)) for a in low])
        low = random.integers(-5, 30, (random.integers(0, 9), 2))
        answers.append([(*a, *(a + size + random.integers(-4, 5, 2)), 1, s) for a, s in
                        zip(low, random.integers(1, 9, len(low)) / 8, strict=True)])  # fmt: skip
    result = evaluate_crowdhuman([found(rows) for rows in answers], people(truth))
    events = by_the_programs_loop(truth, answers)
    total = sum(not person[5] for rows in truth for person in rows)
    assert result.curves["all"].right.tolist() == [hit for _, hit in events]
    assert result.counts()["MR_all"] == total


def by_the_programs_loop(truth, answers):
    """Scores and whether they are right of all detections that count, as `compare_caltech` of CrowdDet finds them."""
    events = []
    for theirs, ours in zip(truth, answers, strict=True):
        theirs = sorted(theirs, key=lambda person: person[5])
        taken = set()
        for row in sorted(ours, key=lambda row: -row[5]):
            most, chosen = 0.5, -1
            box = inside(row)
            for place, person in enumerate(theirs):
                if place in taken:
                    continue
                both = shared(box, inside(person))
                if not person[5]:
                    overlap = both / (area(box) + area(inside(person)) - both + 1e-6)
                    if overlap > most:
                        most, chosen = overlap, place
                elif chosen >= 0:
                    break
                elif both / (area(box) + 1e-6) > 0.5:
                    most, chosen = 1.0, place
            if chosen < 0:
                events.append((row[5], False))
            elif not theirs[chosen][5]:
                taken.add(chosen)
                events.append((row[5], True))
    return sorted(events, key=lambda event: -event[0])


def inside(box):
    return [min(max(box[0], 0), 99), min(max(box[1], 0), 99), max(min(box[2], 100), 0), max(min(box[3], 100), 0)]


def shared(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def area(box):
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def test_evaluate_adds_the_figures_beside_cocos(people, found):
    data = people([[(*ONE, 0, False)], [(*TWO, 0, False)]])
    data.benchmark = "crowdhuman"
    summary = evaluate_detections([found([(*ONE, 1, 0.9)]), found([])], data).summary
    assert summary["MR_all"] == 0.5
    assert summary["AP50"] == pytest.approx(0.5, abs=0.01)  # COCO's own is still there
    result = evaluate_crowdhuman([found([(*ONE, 1, 0.9)]), found([])], data)
    assert "boxes clipped to the image, IoU and IoA > 0.5" in result.note
    table = result.table()
    assert table.loc["MR_all"].tolist() == pytest.approx([0.5, 0, 1, 2])


def test_nobody_and_nothing(people, found):
    empty = evaluate_crowdhuman([found([])], people([[]])).summary
    assert all(np.isnan(value) for value in empty.values())
    nothing = evaluate_crowdhuman([found([])], people([[(*ONE, 0, False)]])).summary
    assert (nothing["MR_all"], nothing["AP@0.5"], nothing["JI@0.5"]) == (1, 0, 0)


def test_other_data_are_refused(people, found):
    with pytest.raises(DataError, match="0 detections for the 1 images"):
        evaluate_crowdhuman([], people([[]]))
