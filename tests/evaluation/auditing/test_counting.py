"""Counts of an audit by hand, and against those of `evaluate`."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.evaluation.auditing import counting
from workbench.evaluation.auditing.summaries import half_at
from workbench.evaluation.auditing.tables import Answers

ALL = 0b1111111111


def answers(*rows: tuple[int, int, float, int, int, float]) -> Answers:
    """Of rows: image, label, score, right and spared bits, share."""
    columns = [np.array(column) for column in zip(*rows, strict=True)] if rows else [np.zeros(0)] * 6
    image, label, score, right, spared, share = columns
    zeros = np.zeros(len(image), np.int16)
    return Answers(
        detector=zeros,
        condition=zeros,
        image=image.astype(np.int32),
        label=label.astype(np.int16),
        score=score.astype(np.float32),
        right=right.astype(np.uint16),
        spared=spared.astype(np.uint16),
        share=share.astype(np.float32),
    )


def test_shares_by_image_weights() -> None:
    images, good = np.array([0, 0, 1, 2]), np.array([True, False, True, False])
    weights = np.array([[1, 1, 1, 1], [0, 2, 0, 1], [0, 0, 0, 1]], dtype=np.float32)
    assert counting.shares(images, good, weights)[:2].tolist() == [0.5, 1.0]
    assert np.isnan(counting.shares(images, good, weights)[2]), "an image without objects"


def test_average_precision_by_hand() -> None:
    """Two objects of class 1: right, wrong, right: precision 1 up to recall 0.5 (51 of 101 points), then 2/3."""
    found = answers((0, 1, 0.9, ALL, 0, 1), (0, 1, 0.8, 0, 0, 1), (1, 1, 0.7, 1, 0, 1))
    counts = np.array([[1, 0], [1, 0]])
    weights = np.ones((1, 2), np.float32)
    ap = counting.average_precision(found, counts, weights)[0]
    assert ap[0] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert ap[1:].tolist() == pytest.approx([51 / 101] * 9), "the second is right at IoU 0.5 alone"
    twice = counting.average_precision(found, counts, np.array([[2, 0], [0, 2]], np.float32))
    assert twice[:, 0].tolist() == pytest.approx([1, 1])


def test_what_is_spared_does_not_count_and_a_wrong_one_of_two_rounds_counts_half() -> None:
    counts, weights = np.array([[2]]), np.ones((1, 1), np.float32)
    found = answers((0, 1, 0.9, ALL, 0, 0.5), (0, 1, 0.8, 0, ALL, 0.5), (0, 1, 0.7, ALL, 0, 0.5))
    assert counting.average_precision(found, counts, weights)[0, 0] == pytest.approx(1)
    found = answers((0, 1, 0.9, ALL, 0, 0.5), (0, 1, 0.8, 0, 0, 0.5), (0, 1, 0.7, ALL, 0, 0.5))
    assert counting.average_precision(found, counts, weights)[0, 0] == pytest.approx((51 + 50 * 2 / 2.5) / 101)


def test_ap_is_the_mean_over_classes_with_objects() -> None:
    found = answers((0, 1, 0.9, ALL, 0, 1), (0, 3, 0.9, 0, 0, 1))
    counts, weights = np.array([[1, 1, 0]]), np.ones((1, 1), np.float32)
    assert counting.average_precision(found, counts, weights)[0].tolist() == pytest.approx([0.5] * 10)
    assert np.isnan(counting.average_precision(answers(), np.zeros((1, 3)), weights)).all()


def test_the_score_of_the_best_f1() -> None:
    counts = np.array([[3]])
    # F1 after each: 2·1/(1+3) = 0.5, 2·2/(2+3) = 0.8, 4/6 = 0.67, 6/7 = 0.857, then wrong ones
    rows = [(0, 1, score, bits, 0, 1) for score, bits in ((0.9, 1), (0.8, 1), (0.7, 0), (0.6, 1), (0.4, 0))]
    assert counting.best_threshold(answers(*rows), counts, 0) == pytest.approx(0.5), "between 0.6 and 0.4"
    assert counting.best_threshold(answers(*rows[:2]), counts, 0) == pytest.approx(0.4), "between 0.8 and 0"
    assert counting.best_threshold(answers(*rows), counts, 1) == 0.5, "never right at IoU 0.55"
    tied = [(0, 1, 0.9, 1, 0, 1), (0, 1, 0.5, 1, 0, 1), (0, 1, 0.5, 0, 0, 1), (0, 1, 0.5, 0, 0, 1)]
    assert counting.best_threshold(answers(*tied), np.array([[2]]), 0) == pytest.approx(0.7), "0.667 against 4 / 6"


def test_reliability_and_calibration_error_by_hand() -> None:
    rows = [
        (0, 1, 0.95, 1, 0, 1),
        (0, 1, 0.91, 0, 0, 1),
        (0, 1, 0.3, 1, 0, 1),
        (0, 1, 0.31, 0, 1, 1),
        (0, 1, 0.01, 0, 0, 1),
    ]
    total, score, right = counting.reliability(answers(*rows), 0, np.ones((1, 1)))
    assert total[0].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 2], "0.31 is spared and 0.01 too low"
    assert score[0, 9] == pytest.approx(0.93)
    assert right[0, [3, 9]].tolist() == [1, 0.5]
    error = counting.calibration_error(total, score, right)
    assert error[0] == pytest.approx((1 * 0.7 + 2 * 0.43) / 3)


def test_half_of_what_was_found() -> None:
    assert half_at([0, 0.1, 0.3], [0.8, 0.6, 0.2]) == pytest.approx(0.2)
    assert half_at([0, 0.5], [0.8, 0.4]) == pytest.approx(0.5)
    assert np.isnan(half_at([0, 0.5], [0.8, 0.5]))
    assert np.isnan(half_at([0.0], [0.8]))


def test_intervals_of_shares_stay_within_0_and_1() -> None:
    samples = np.array([[0.2, 0.9], [1.0, 0.1]])
    spans = counting.spans(np.array([1.0, 0.0]), samples)
    assert spans.min() >= 0
    assert spans.max() <= 1
    assert counting.differences(np.float64(0.0), np.array([-0.5, 0.5])).tolist() == pytest.approx([-0.475, 0.475])
