"""Overlap of ellipses and boxes: areas that are known, and the masks that OpenCV draws."""

import numpy as np
import pytest

from workbench.evaluation.counting.regions import box_spans, ellipse_spans, inscribed, span_iou

SIZE = (60, 80)


def test_pixels_of_a_box_are_those_of_both_corners():
    """2.4 to 5.6 is 2 to 6, five columns; 55 to 70 is cut at the last row, 59, so five rows."""
    spans = box_spans(np.array([[2.4, 55, 5.6, 70]]), SIZE)
    assert (spans[0, :, 1] - spans[0, :, 0]).tolist() == [0] * 55 + [5] * 5


@pytest.mark.parametrize("angle", [0, 0.4, 1.2, -0.9])
def test_the_area_of_an_exact_ellipse(angle):
    spans = ellipse_spans(np.array([[20.3, 12.7, angle, 40.1, 29.9]]), SIZE, exact=True)
    area = (spans[..., 1] - spans[..., 0]).sum() / 4
    assert area == pytest.approx(np.pi * 20.3 * 12.7, rel=1e-3)


def test_the_exact_iou_of_boxes():
    first, second = (box_spans(np.array([box]), SIZE, exact=True) for box in ((0, 0, 10.5, 8.0), (5.25, 0, 10.5, 16)))
    assert span_iou(first, second)[0, 0] == pytest.approx(42 / (84 + 84 - 42))


def test_what_is_outside_the_image_overlaps_nothing():
    box = np.array([[100.0, 0, 120, 20]])
    assert span_iou(ellipse_spans(inscribed(box), SIZE), box_spans(box, SIZE)).tolist() == [[0]]


def test_an_ellipse_touches_the_sides_of_its_box():
    boxes = np.array([[10.0, 10, 30, 50], [10, 10, 50, 30], [3, 4, 3, 4]])
    expected = [[20, 10, np.pi / 2, 20, 30], [20, 10, 0, 30, 20], [0, 0, np.pi / 2, 3, 4]]
    assert inscribed(boxes) == pytest.approx(np.array(expected))


def test_regions_are_near_those_that_opencv_draws():
    """What the original program does: cvEllipse and cvRectangle, filled."""
    cv2 = pytest.importorskip("cv2")
    random = np.random.default_rng(0)
    differences = []
    for _ in range(60):
        a = random.uniform(10, 25)
        face = np.array([[a, a * random.uniform(0.6, 1), random.uniform(-1.5, 1.5), *random.uniform(20, 60, 2)]])
        box = np.array([[*(face[0, 3:] - a * 0.8), *(face[0, 3:] + a)]]) + random.normal(0, 3, (1, 4))
        one, two = np.zeros((2, *SIZE), np.uint8)
        centre, radii = tuple(np.rint(face[0, 3:]).astype(int).tolist()), tuple(face[0, :2].astype(int).tolist())
        cv2.ellipse(one, centre, radii, float(np.degrees(face[0, 2])), 0, 360, 1, -1)
        x1, y1, x2, y2 = np.rint(box[0]).astype(int).tolist()
        cv2.rectangle(two, (x1, y1), (x2, y2), 1, -1)
        iou = span_iou(ellipse_spans(face, SIZE), box_spans(box, SIZE))[0, 0]
        differences.append(iou - (one & two).sum() / (one | two).sum())
    assert abs(np.mean(differences)) < 0.003
    assert np.abs(differences).max() < 0.03
