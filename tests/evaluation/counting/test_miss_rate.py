"""Miss rates over false positives per image: cases worked by hand, and plain loops as in the benchmarks' programs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.evaluation.counting.matching import IGNORED, RIGHT, WRONG
from workbench.evaluation.counting.miss_rate import FPPI, LEAST, MissCurve, Rules, judge, overlaps

CITY = Rules(least=0.5, inclusive=True, last_of_equal=True, reaching=False)
CROWD = Rules(least=0.5, inclusive=False, last_of_equal=False, reaching=True, extra=1e-6)


def test_overlaps_by_hand():
    """Of 10 x 10 pixels a quarter is shared with a box of 5 x 5; a box turned inside out shares nothing."""
    iou, ioa = overlaps(np.array([[0.0, 0, 10, 10], [9, 9, 5, 5]]), np.array([[5.0, 5, 10, 10], [0, 0, 0, 0]]), 0)
    assert iou.tolist() == [[0.25, 0], [0, 0]]
    assert ioa.tolist() == [[0.25, 0], [0, 0]]
    assert overlaps(np.array([[0.0, 0, 5, 5]]), np.array([[0.0, 0, 10, 10]]), 0)[1] == 1
    assert overlaps(np.array([[0.0, 0, 5, 5]]), np.array([[0.0, 0, 10, 10]]), 25)[1] == 0.5


def test_each_detection_takes_the_best_free_object_and_regions_ignore_any_number():
    iou = np.array([[0.9, 0.6, 0.1], [0.8, 0.7, 0.1], [0.8, 0.6, 0.1], [0.2, 0.2, 0.1], [0.2, 0.2, 0.1]])
    ioa = np.array([[0.0, 0, 0.9], [0, 0, 0.9], [0, 0, 0.6], [0, 0, 0.7], [0, 0, 0.4]])
    counted = np.array([True, True, False])
    assert judge(iou, ioa, counted, CITY).tolist() == [RIGHT, RIGHT, IGNORED, IGNORED, WRONG]
    assert judge(iou, ioa, ~counted, CITY).tolist() == [WRONG] * 5  # the region by IoU, the people by IoA


def test_an_overlap_of_just_a_half():
    half, counted = np.array([[0.5]]), np.array([True])
    assert judge(half, half, counted, CITY).tolist() == [RIGHT]
    assert judge(half, half, counted, CROWD).tolist() == [WRONG]
    assert judge(half, half, ~counted, CITY).tolist() == [IGNORED]
    assert judge(half, half, ~counted, CROWD).tolist() == [WRONG]


def test_of_objects_overlapped_alike_the_last_or_the_first_is_taken():
    """The second detection overlaps only the last one."""
    iou, counted = np.array([[0.6, 0.6], [0.1, 0.7]]), np.array([True, True])
    assert judge(iou, iou, counted, CITY).tolist() == [RIGHT, WRONG]
    assert judge(iou, iou, counted, CROWD).tolist() == [RIGHT, RIGHT]


def curve(right: list[bool], images: int, people: int, rules: Rules = CITY) -> MissCurve:
    """Detections of falling score, in image 0; the people are in it, too."""
    scores, status = -np.arange(len(right), dtype=float), np.where(right, RIGHT, WRONG)
    counts = np.bincount([0] * people, minlength=images)
    return MissCurve.of(scores, np.zeros(len(right), int), status, counts, rules)


def test_a_curve_by_hand():
    """Ten images, four people: right, wrong, right, wrong, right. FPPI is 0, 0.1, 0.1, 0.2, 0.2 as they pass.

    At 0.01 to 0.0562 the first one is within; at 0.1 also the next two; from 0.1778 on all but the last two are
    within 0.2, and at 0.3162 to 1 all are.
    """
    made = curve([True, False, True, False, True], 10, 4)
    assert made.miss_rates()[0].tolist() == [*[0.75] * 4, 0.5, 0.5, *[0.25] * 3]
    assert made.log_average() == pytest.approx((0.75**4 * 0.5**2 * 0.25**3) ** (1 / 9))
    assert made.frame()["fppi"].tolist() == [0, 0.1, 0.1, 0.2, 0.2]
    assert made.frame()["miss_rate"].tolist() == [0.75, 0.75, 0.5, 0.5, 0.25]
    assert made.frame()["precision"].tolist() == [1, 0.5, 2 / 3, 0.5, 0.6]


def test_a_curve_that_reaches_by_hand():
    """The first detection of FPPI ≥ 0.01 … 0.1 is the second, of ≥ 0.1778 the fourth, and none is of ≥ 0.3162."""
    made = curve([True, False, True, False, True], 10, 4, CROWD)
    assert made.miss_rates()[0].tolist() == [*[0.75] * 5, 0.5, *[0.25] * 3]
    area = (0.5 + 2 / 3) / 2 / 4 + (0.5 + 0.6) / 2 / 4  # from the first point on
    assert made.average_precision() == pytest.approx(area)


def test_where_the_first_false_positive_exceeds_an_fppi_everything_is_missed():
    made = curve([False, True], 20, 1)
    assert made.miss_rates()[0].tolist() == [1, 1, 1, *[0] * 6]  # 1 / 20 is above 0.0316
    assert made.log_average() == pytest.approx(LEAST ** (6 / 9))


def test_nothing_found_and_nobody_there():
    for rules in (CITY, CROWD):
        assert curve([], 3, 2, rules).log_average().tolist() == [1]
        assert curve([], 3, 2, rules).average_precision().tolist() == [0]
        assert np.isnan(curve([False], 3, 0, rules).log_average()).all()
        assert np.isnan(curve([False], 3, 0, rules).average_precision()).all()
        assert curve([False], 3, 0, rules).frame()["miss_rate"].isna().all()


def test_ignored_detections_are_left_out_and_equal_scores_keep_their_order():
    status = np.array([WRONG, IGNORED, RIGHT, RIGHT], np.uint8)
    made = MissCurve.of(np.array([0.5, 0.9, 0.5, 0.7]), np.array([0, 0, 1, 1]), status, np.array([1, 1]), CITY)
    assert made.right.tolist() == [True, False, True]
    assert made.images.tolist() == [1, 0, 1]


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), rules=st.sampled_from([CITY, CROWD]))
def test_as_by_the_programs_loops(seed: int, rules: Rules):
    """Weights of 0, 1, 2 … are images that are there so many times."""
    random = np.random.default_rng(seed)
    number, images = int(random.integers(0, 12)), int(random.integers(1, 5))
    scores, where = random.integers(0, 5, number) / 4, np.sort(random.integers(0, images, number))
    status = random.choice([WRONG, RIGHT, IGNORED], number)
    counts = np.bincount(where[status == RIGHT], minlength=images) + random.integers(0, 3, images)
    made = MissCurve.of(scores, where, status, counts, rules)
    weights = np.stack([np.ones(images), random.multinomial(images, np.full(images, 1 / images))])
    rates, areas = made.miss_rates(weights), made.average_precision(weights)
    for row, weight in enumerate(weights.astype(int)):
        events = [(score, kind) for score, image, kind in zip(scores, where, status, strict=True)
                  for _ in range(weight[image])]  # fmt: skip
        if row == 0 or len(set(scores[status != IGNORED])) == (status != IGNORED).sum():  # copies stay together
            total = int(counts @ weight)
            np.testing.assert_allclose(rates[row], looped(events, total, images, rules))
        if row == 0:
            np.testing.assert_allclose(areas[row], trapezoids(events, int(counts.sum())))


def looped(events: list[tuple[float, int]], total: int, images: int, rules: Rules) -> list[float]:
    """The miss rates at the nine FPPI, one detection after the other."""
    points, right, wrong = [], 0, 0
    for _, kind in sorted(events, key=lambda event: -event[0]):
        if kind != IGNORED:
            right, wrong = right + (kind == RIGHT), wrong + (kind == WRONG)
            points.append((wrong / images, right))
    found = []
    for fppi in FPPI:
        if rules.reaching:
            reached = [hits for at, hits in points if at >= fppi] or [hits for _, hits in points[-1:]] or [0]
            found.append(reached[0])
        else:
            found.append([0, *[hits for at, hits in points if at <= fppi]][-1])
    return [1 - hits / total if total else np.nan for hits in found]


def trapezoids(events: list[tuple[float, int]], total: int) -> float:
    """CrowdDet's AP."""
    kinds = [kind for _, kind in sorted(events, key=lambda event: -event[0]) if kind != IGNORED]
    hits = np.cumsum([kind == RIGHT for kind in kinds])
    if total == 0:
        return np.nan
    points = [(hit / total, hit / (place + 1)) for place, hit in enumerate(hits.tolist())]
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))


@pytest.mark.parametrize("reaching", [True, False])
def test_weightings_are_counted_like_images_that_stand_so_often(reaching: bool):
    """Most need only the first false positives; the one of a single image without any needs all detections."""
    rng = np.random.default_rng(0)
    images, number = 40, 1200
    right = rng.random(number) < np.linspace(0.99, 0.05, number)
    where = rng.integers(1, images, number)
    where[-60:], right[-60:] = 0, False  # the false positives of image 0 come last
    curve = MissCurve(np.sort(rng.random(number))[::-1], where, right, rng.integers(1, 9, images), reaching)
    weights = np.stack([np.bincount(rng.integers(0, images, images), minlength=images) for _ in range(20)])
    weights = np.concatenate([weights, np.eye(images, dtype=int)[:2]])
    for weight, rates in zip(weights, curve.miss_rates(weights), strict=True):
        often = weight[curve.images]
        rows = np.repeat(np.arange(number), often)
        counts = np.repeat(curve.counts, weight)
        alone = MissCurve(curve.scores[rows], np.zeros(len(rows), int), right[rows], counts, reaching)
        assert np.allclose(rates, alone.miss_rates()[0])
