"""FDDB's curves: cases worked by hand, and a plain loop over all thresholds and pixels."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from workbench.errors import DataError
from workbench.evaluation import Result, evaluate_detections, evaluate_fddb
from workbench.evaluation.fddb import image_steps

SIZE = (60, 80)
FACE = (20.0, 10.0, np.pi / 2, 30.0, 30.0)  # upright: 20 wide, 40 high
BOX = (20, 10, 40, 50)  # around it


@pytest.fixture(scope="session")
def faces(in_memory, target):
    """Data of FDDB from the ellipses of each image; image i is of fold i + 1."""

    def build(ellipses, **extra):
        targets = []
        for fold, rows in enumerate(ellipses, start=1):
            rows = np.array(rows, float).reshape(-1, 5)
            corners = [(x - b, y - a, x + b, y + a, 1) for a, b, _, x, y in rows]
            targets.append(target(corners) | {"ellipses": torch.tensor(rows).float(), "fold": fold} | extra)
        return in_memory(targets, classes=("face",), size=SIZE)

    return build


def test_by_hand_where_a_face_is_missed_and_a_detection_is_wrong(faces, found):
    """Two images, three faces. From the highest score on:

    0.9 finds the face of image 1 (discrete 1/3, none wrong); 0.8 is wrong; 0.7 finds one of image 2 (2/3, one wrong);
    0.6 is a second detection of that one (two wrong). The third face is missed.
    """
    data = faces([[FACE], [FACE, (8, 6, 0, 65, 15)]])
    wrong = (0, 50, 10, 60, 1, 0.8)
    result = evaluate_fddb(
        [found([(*BOX, 1, 0.9), wrong]), found([(*BOX, 1, 0.7), (*BOX, 1, 0.6)])], data, false_positives=1
    )
    curve = result.frame()
    assert curve["false_positives"].tolist() == [0, 1, 1, 2]
    assert curve["discrete"].tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    # Of the box, 21 x 41 pixels, the face fills what an ellipse does: nearly pi / 4.
    iou = 3 * curve["continuous"][0]
    assert iou == pytest.approx(np.pi / 4, abs=0.015)
    assert curve["continuous"].tolist() == pytest.approx([iou / 3, iou / 3, 2 * iou / 3, 2 * iou / 3])
    assert result.summary["discrete@1"] == pytest.approx(2 / 3)


def test_recall_is_told_at_or_before_the_number_of_false_positives(faces, found):
    """Three wrong ones come at one score: between 0 and 3 false positives nothing is interpolated."""
    rows = [(*BOX, 1, 0.9), *[(60, 0, 70, 10, 1, 0.5)] * 3, (55, 7, 75, 23, 1, 0.4)]
    data = faces([[FACE, (10, 8, 0, 65, 15)]])
    recalls = {limit: evaluate_fddb([found(rows)], data, false_positives=limit) for limit in (0, 2, 3)}
    values = [result.summary[f"discrete@{limit}"] for limit, result in recalls.items()]
    assert values == pytest.approx([0.5, 0.5, 1.0])


def test_matching_gives_up_a_good_pair_for_a_larger_sum():
    """The best pair alone is 0.6; once the second detection may count, 0.45 + 0.45 is more, and none is above 0.5."""
    ious = np.array([[0.6, 0.45], [0.45, 0.0]])
    steps = image_steps(ious, np.array([0.9, 0.8]))
    assert steps == pytest.approx(np.array([[0.9, 1, 1, 0.6], [0.8, 1, -1, 0.3]]))


def test_exactly_a_half_is_not_enough():
    assert image_steps(np.array([[0.5]]), np.array([0.3])).tolist() == [[0.3, 1, 0, 0.5]]


def test_equal_scores_pass_together_in_all_images(faces, found):
    data = faces([[FACE], [FACE]])
    curve = evaluate_fddb([found([(*BOX, 1, 0.5)]), found([(0, 0, 5, 5, 1, 0.5)])], data).frame()
    assert curve.to_numpy()[:, :3].tolist() == [[0.5, 1, 0.5]]


def test_the_average_over_folds_gives_each_its_share(faces, found):
    """At 2 false positives in all, each of two folds has 1: image 1 finds its face after two wrong ones, too late."""
    rows = [(0, 0, 5, 5, 1, 0.9), (0, 50, 5, 55, 1, 0.8), (*BOX, 1, 0.7)]
    data = faces([[FACE], [FACE]])
    result = evaluate_fddb([found(rows), found([(*BOX, 1, 0.6)])], data, false_positives=2)
    assert result.by_fold["discrete"].tolist() == [0, 1]
    assert result.by_fold["n"].tolist() == [1, 1]
    assert result.summary["discrete@2"] == 1
    assert result.summary["discrete@2_folds"] == 0.5


def test_boxes_may_become_ellipses_that_touch_them_or_bring_their_own(faces, found):
    data, one = faces([[FACE]]), found([(*BOX, 1, 0.9)])
    plain, inscribed = evaluate_fddb([one], data), evaluate_fddb([one], data, ellipses=True)
    assert inscribed.summary["continuous@1000"] == pytest.approx(1)
    assert plain.summary["continuous@1000"] < 0.8
    other = dataclasses.replace(one, extras={"ellipses": torch.tensor([[20, 10, 0.0, 30, 30]])})
    turned = evaluate_fddb([other], data, ellipses=True).summary["continuous@1000"]
    assert turned == pytest.approx(
        evaluate_fddb([found([(10, 20, 50, 40, 1, 1)])], data, ellipses=True).summary["continuous@1000"]
    )
    assert "boxes found" in repr(plain)
    assert "ellipses found" in repr(inscribed)


def test_what_is_not_rounded_is_near(faces, found):
    data, one = faces([[FACE]]), [found([(20.4, 10.4, 40.4, 50.4, 1, 0.9)])]
    exact = evaluate_fddb(one, data, exact=True).summary["continuous@1000"]
    assert exact == pytest.approx(0.77, abs=0.02)
    assert exact == pytest.approx(evaluate_fddb(one, data).summary["continuous@1000"], abs=0.03)


def test_a_result_and_its_file_give_the_same_and_evaluate_adds_the_figures(faces, found, tmp_path):
    data = faces([[FACE], [FACE]], difficult=torch.tensor([False]))
    data.benchmark, data.annotation_version = "fddb", "of 2010"
    answers = [found([(*BOX, 1, 0.9), (0, 0, 5, 5, 1, 0.3)]), found([])]
    result = evaluate_detections(answers, data)
    own = evaluate_fddb(answers, data)
    assert own.summary.items() <= result.summary.items()
    again = evaluate_fddb(Result.load(result.save(tmp_path / "result.json")), data)
    assert again.frame().equals(own.frame())
    assert "annotations of 2010" in again.table().attrs["note"]
    assert "2 faces in 2 images of 80 x 60 pixels" in again._repr_html_()


def test_intervals_hold_the_value_and_are_within_bounds(faces, found):
    table = evaluate_fddb([found([(*BOX, 1, 0.9)]), found([])], faces([[FACE], [FACE]])).table()
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    assert table[["low", "high"]].stack().between(0, 1).all()
    assert (table["n"] == 2).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_as_by_a_plain_loop(faces, found, seed):
    """Every threshold over all images, with masks that test each pixel."""
    random = np.random.default_rng(seed)
    ellipses, answers = [], []
    for _ in range(3):
        a = random.uniform(4, 16, random.integers(0, 4))
        angle, x, y = random.uniform(-1.6, 1.6, len(a)), random.uniform(5, 75, len(a)), random.uniform(5, 55, len(a))
        ellipses.append(np.float32(np.column_stack([a, a * random.uniform(0.6, 1, len(a)), angle, x, y])))
        number = random.integers(0, 7)
        near = np.array([(x - b, y - a, x + b, y + a) for a, b, _, x, y in ellipses[-1]] or [BOX])
        boxes = near[random.integers(0, len(near), number)] + random.normal(0, 4, (number, 4))
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        answers.append(
            [(*box, 1, score / 8) for box, score in zip(boxes, random.integers(0, 9, number), strict=True)]
        )
    detections = [found(rows) for rows in answers]
    result = evaluate_fddb(detections, faces(ellipses), false_positives=3)
    expected = by_a_plain_loop(ellipses, detections)
    assert result.frame().to_numpy() == pytest.approx(np.array(expected).reshape(-1, 4), nan_ok=True)
    few = [row for row in expected if row[1] <= 3]
    if sum(map(len, ellipses)):
        for place, kind in ((2, "discrete"), (3, "continuous")):
            assert result.summary[f"{kind}@3"] == pytest.approx(max((row[place] for row in few), default=0))


def by_a_plain_loop(ellipses, detections):
    """Rows of score, false positives, discrete and continuous recall."""
    tables = []
    for rows, one in zip(ellipses, detections, strict=True):
        annotated = [ellipse_pixels(row) for row in rows.astype(float)]
        boxes = [box_pixels(box) for box in one.boxes.double().numpy()]
        ious = [[(a & b).sum() / max((a | b).sum(), 1) for b in boxes] for a in annotated]
        tables.append((np.array(ious).reshape(len(annotated), len(boxes)), one.scores.numpy()))
    number = sum(map(len, ellipses))
    rows = []
    for threshold in sorted({float(score) for _, scores in tables for score in scores}, reverse=True):
        discrete, continuous, wrong = 0, 0.0, 0
        for ious, scores in tables:
            kept = ious[:, scores >= threshold]
            matched = kept[linear_sum_assignment(kept, maximize=True)]
            discrete, continuous = discrete + (matched > 0.5).sum(), continuous + matched.sum()
            wrong += kept.shape[1] - (matched > 0.5).sum()
        share = (discrete / number, continuous / number) if number else (np.nan, np.nan)
        rows.append((threshold, wrong, *share))
    return rows


def ellipse_pixels(row):
    a, b, angle, x, y = row
    a, b, x, y, angle = int(a) + 0.5, int(b) + 0.5, np.rint(x), np.rint(y), np.radians(np.rint(np.degrees(angle)))
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
    across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
    return (along / a) ** 2 + (across / b) ** 2 <= 1


def box_pixels(box):
    x1, y1, x2, y2 = np.rint(box)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return (rows >= y1) & (rows <= y2) & (columns >= x1) & (columns <= x2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("ellipses"), r'no target\["ellipses"\].*load_data\("fddb"'),
        (lambda t: (t.pop("fold"), t.pop("ellipses")), r'target\["ellipses"\] and target\["fold"\]'),
        (lambda t: t.update(ellipses=torch.zeros(2, 5)), r"has shape \[2, 5\], expected \[1, 5\]"),
    ],
)
def test_data_without_ellipses_are_refused(faces, found, change, message):
    data = faces([[FACE]])
    change(data.targets[0])
    with pytest.raises(DataError, match=message):
        evaluate_fddb([found([])], data)


def test_other_data_and_options_are_refused(faces, found, in_memory, target):
    data, one = faces([[FACE]]), [found([(*BOX, 1, 0.9)])]
    with pytest.raises(DataError, match="2 classes; fddb needs one"):
        evaluate_fddb(one, in_memory([target([])]))
    with pytest.raises(DataError, match=r"fddb\.false_positives is -1; expected at least 0"):
        evaluate_fddb(one, data, false_positives=-1)
    with pytest.raises(DataError, match="0 detections for the 1 images"):
        evaluate_fddb([], data)
    with pytest.raises(DataError, match="faces are not those of"):
        evaluate_fddb(evaluate_detections(one, data), faces([[FACE, FACE]]))
    data.benchmark = "fdbb"
    with pytest.raises(DataError, match="its benchmark 'fdbb' does not exist"):
        evaluate_detections(one, data)
