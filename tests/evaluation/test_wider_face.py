"""WIDER FACE's average precision: cases worked by hand, and a plain loop over its 1,000 thresholds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.evaluation import evaluate_detections, evaluate_wider_face

ONE, TWO, THREE = (0, 0, 20, 20), (40, 0, 60, 20), (0, 40, 20, 60)


@pytest.fixture(scope="session")
def faces(in_memory, target):
    """Data of WIDER FACE from rows (x1, y1, x2, y2, hardness) of each image: 1 is easy, 2 medium, 3 hard, 4 none."""

    def build(images):
        targets = []
        for rows in images:
            hardness = torch.tensor([row[4] for row in rows], dtype=torch.int64)
            sets = {name: hardness <= level for level, name in enumerate(("easy", "medium", "hard"), start=1)}
            targets.append(target([(*row[:4], 1) for row in rows]) | sets)
        return in_memory(targets, classes=("face",))

    return build


def test_by_hand(faces, found):
    """An easy face, a hard one and one that counts nowhere. The detections, by falling score:

    easy face (right), the one of no set (ignored), the easy face again (wrong), the hard face (right, in hard only).
    """
    data = faces([[(*ONE, 1), (*TWO, 3), (*THREE, 4)]])
    result = evaluate_wider_face([found([(*ONE, 1, 1.0), (*THREE, 1, 0.8), (*ONE, 1, 0.6), (*TWO, 1, 0.2)])], data)
    assert result.summary["AP_easy"] == 1  # what comes after the last face costs nothing
    assert result.summary["AP_hard"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert result.counts() == {"AP_easy": 1, "AP_medium": 1, "AP_hard": 2}
    hard = result.frame().query("faces == 'hard'")
    assert hard["precision"].iloc[-1] == pytest.approx(2 / 3)
    assert hard["score"].iloc[[0, -1]].tolist() == pytest.approx([0.2 + 0.999 * 0.8, 0.2])


def test_sides_are_one_pixel_longer(faces, found):
    """0..9 and 0..4 share 10 x 5 of 10 x 10 pixels, a half. As they stand, boxes of 9 x 9 and 9 x 4 share 0.44."""
    result = evaluate_wider_face([found([(0, 0, 9, 4, 1, 0.9)])], faces([[(0, 0, 9, 9, 1)]]))
    assert result.summary["AP_easy"] == 1


def test_a_detection_asks_for_the_face_that_it_overlaps_most_even_if_that_is_ignored(faces, found):
    data = faces([[(0, 0, 20, 20, 1), (0, 0, 20, 24, 4)]])
    result = evaluate_wider_face([found([(0, 0, 20, 23, 1, 0.9)])], data)
    assert result.summary["AP_easy"] == 0
    assert result.frame()["precision"].isna().all()  # nothing counts


def test_an_image_without_faces_has_no_wrong_detections(faces, found):
    result = evaluate_wider_face([found([(*ONE, 1, 0.5)]), found([(*ONE, 1, 0.9)] * 3)], faces([[(*ONE, 1)], []]))
    assert result.summary["AP_easy"] == 1


def test_no_detection_and_equal_scores(faces, found):
    data = faces([[(*ONE, 2)]])
    empty = evaluate_wider_face([found([])], data).summary
    assert np.isnan(empty["AP_easy"])
    assert empty["AP_hard"] == 0
    assert evaluate_wider_face([found([(*ONE, 1, 0.3), (*TWO, 1, 0.3)])], data).summary["AP_hard"] == 0.5


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_as_by_a_plain_loop(faces, found, seed):
    random = np.random.default_rng(seed)
    truth, answers = [], []
    for _ in range(4):
        low = random.integers(0, 20, (random.integers(0, 6), 2))
        truth.append(
            [
                (*a, *b, h)
                for a, b, h in zip(
                    low, low + random.integers(3, 12, low.shape), random.integers(1, 5, len(low)), strict=True
                )
            ]
        )
        low = random.integers(0, 20, (random.integers(0, 9), 2))
        high, scores = low + random.integers(3, 12, low.shape), random.integers(1, 9, len(low)) / 8
        answers.append([(*a, *b, 1, score) for a, b, score in zip(low, high, scores, strict=True)])
    result = evaluate_wider_face([found(rows) for rows in answers], faces(truth))
    expected = [by_a_plain_loop(truth, answers, hardest) for hardest in (1, 2, 3)]
    assert list(result.summary.values()) == pytest.approx(expected, nan_ok=True)


def by_a_plain_loop(truth, answers, hardest):
    """AP of the faces up to a hardness."""
    scores = [row[5] for rows in answers for row in rows]
    low, high = min(scores, default=0), max(scores, default=1)
    outcomes, wanted = [], sum(face[4] <= hardest for rows in truth for face in rows)
    for theirs, ours in zip(truth, answers, strict=True):
        taken = set()
        for row in sorted(ours, key=lambda row: -row[5]) if theirs else []:
            ious = [inclusive_iou(row, face) for face in theirs]
            best = ious.index(max(ious))
            hit = ious[best] >= 0.5
            if hit and theirs[best][4] > hardest:
                continue
            right = hit and best not in taken
            taken |= {best} if hit else set()
            outcomes.append(((row[5] - low) / (high - low) if high > low else 1, right))
    recalls, precisions = [0.0], [0.0]
    for step in range(1, 1001):
        passed = [right for score, right in outcomes if score >= 1 - step / 1000]
        recalls.append(sum(passed) / wanted if wanted else np.nan)
        precisions.append(sum(passed) / len(passed) if passed else 0)
    return sum((recalls[i] - recalls[i - 1]) * max(precisions[i:]) for i in range(1, 1001))


def inclusive_iou(a, b):
    wide, high = (max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + 1) for i in (0, 1))
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return wide * high / (sum(areas) - wide * high)


def test_evaluate_adds_the_figures_also_of_a_part_of_the_data(faces, found):
    data = faces([[(*ONE, 1), (*TWO, 3)], [(*ONE, 1)]])
    data.benchmark = "wider-face"
    answers = [found([(*ONE, 1, 0.9)]), found([])]
    summary = evaluate_detections(answers[:1], data.subset([0])).summary
    assert (summary["AP_easy"], summary["AP_hard"]) == (1, 0.5)
    table = evaluate_wider_face(answers, data).table()
    assert table["value"].tolist() == pytest.approx([0.5, 0.5, 1 / 3])
    assert (table["low"] <= table["value"]).all()
    assert "1000 thresholds" in table.attrs["note"]


def test_data_without_sets_are_refused(in_memory, target, found):
    data = in_memory([target([(*ONE, 1)])], classes=("face",))
    with pytest.raises(DataError, match=r'target\["easy"\] and target\["medium"\] and .* load_data\("wider-face"'):
        evaluate_wider_face([found([])], data)
