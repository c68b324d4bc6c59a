"""Segmentations: RLE and polygons against pycocotools, hulls against scikit-image, occlusion by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask
from skimage.morphology import convex_hull_image

from workbench.data.reading.masks import checked_segmentation, code_of, convex_hull, estimate_occlusion, polygon_boxes
from workbench.rle import run_lengths

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


@given(MASKS)
@settings(max_examples=100, deadline=None)
def test_text_and_lists_of_lengths_are_one_code(mask: np.ndarray) -> None:
    code, size = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)), mask.shape
    for counts in (code["counts"].decode(), run_lengths(code["counts"]).tolist()):
        checked = checked_segmentation({"size": list(size), "counts": counts}, size)
        assert checked == code
        assert code_of(checked, size) == code


@pytest.mark.parametrize("parts", [1, 2])
def test_polygons_are_one_code(parts: int) -> None:
    triangle, box = [1.0, 1.0, 8.0, 1.0, 8.0, 8.0], [2.0, 5.0, 6.0, 5.0, 6.0, 9.0, 2.0, 9.0]
    code = code_of([np.array(triangle), box][:parts], (10, 12))
    expected = [coco_mask.decode(coco_mask.frPyObjects([one], 10, 12))[..., 0] for one in (triangle, box)][:parts]
    assert np.array_equal(coco_mask.decode(code), np.maximum.reduce(expected))


@pytest.mark.parametrize(
    "value",
    [
        {"size": [10, 9], "counts": [90]},
        {"size": [10, 10], "counts": [101]},
        {"size": [10, 10], "counts": [-5, 105]},
        {"size": [10, 10], "counts": [50.0, 50]},
        {"size": [10, 10]},
        {"counts": [100]},
        7,
        [[0, 0, float("nan"), 1, 1, 1]],
        [[0, 0, 1e9, 1, 1, 1]],
        [[0, 0, 10**400, 1, 1, 1]],
        [["a"] * 6],
        [[[0, 0], [1, 1], [2, 2]]],
        [3, 4, 5, 6, 7, 8],
    ],
)
def test_bad_segmentations(value: object) -> None:
    with pytest.raises(ValueError, match=r"RLE|polygon|segmentation"):
        checked_segmentation(value, (10, 10))


def test_polygons_of_two_points_are_left_out_and_not_read_as_boxes() -> None:
    triangle = [1.0, 1.0, 8.0, 1.0, 8.0, 8.0]
    assert checked_segmentation([[0, 0, 9, 9], triangle], (10, 10)) == [triangle]
    assert checked_segmentation([[0, 0, 9, 9]], (10, 10)) is None
    assert checked_segmentation([], (10, 10)) is None
    assert checked_segmentation(None, (10, 10)) is None


@given(MASKS)
@settings(max_examples=100, deadline=None)
def test_hull_as_scikit_image_finds_it(mask: np.ndarray) -> None:
    hull = convex_hull(mask)
    assert not (mask & ~hull).any()
    assert np.array_equal(convex_hull(hull), hull)
    points = np.argwhere(mask)
    if len(points) and np.linalg.matrix_rank(points - points[0]) == 2:  # else all lie on a line
        assert np.array_equal(hull, convex_hull_image(mask, offset_coordinates=False))


def test_occlusion_by_hand() -> None:
    bottle, hand, far, none = np.zeros((4, 20, 20), bool)
    bottle[2:18, 4:8] = True
    hand[8:12, 2:14] = True
    bottle &= ~hand  # the hand hides 4 of the bottle's 16 rows
    far[0:2, 15:18] = True
    masks = np.stack([bottle, hand, far, none])
    occlusion = estimate_occlusion(masks)
    assert occlusion[:3].tolist() == [0.25, 0, 0]
    assert np.isnan(occlusion[3])


def test_pixels_claimed_twice_count_as_visible() -> None:
    one = np.zeros((10, 10), bool)
    one[2:8, 2:8] = True
    assert estimate_occlusion(np.stack([one, one])).tolist() == [0, 0]
    assert len(estimate_occlusion(np.zeros((0, 4, 4), bool))) == 0


def test_boxes_around_polygons() -> None:
    """Three polygons; the second object has the last two, the third object the first again."""
    points = np.array([[1, 2], [5, 2], [5, 9], [10, 10], [12, 10], [12, 30], [0, 20], [4, 21], [2, 25.5]])
    parts = np.array([[0, 1], [1, 3], [0, 1]])
    found = polygon_boxes(points, np.array([0, 3, 6]), parts)
    assert found.tolist() == [[1, 2, 5, 9], [0, 10, 12, 30], [1, 2, 5, 9]]
    assert polygon_boxes(points[:0], np.zeros(0, int), parts[:0]).shape == (0, 4)
