"""What an entry of a COCO file must be: by hand; `tests/data/test_annotations.py` tries them through the file."""

from __future__ import annotations

import pytest

from workbench.data.reading.coco_edits import check_box, check_id, extent
from workbench.errors import DataError


@pytest.mark.parametrize("box", [[1, 2, 3, 4], [-5, -5, 20, 20], (0.5, 0.5, 0.01, 0.01)])
def test_boxes_of_something(box: object) -> None:
    check_box("here", box, (10, 10))


@pytest.mark.parametrize(
    "box", [[1, 2, 3], None, "1234", [1, 2, -3, 4], [1, 2, True, 4], [20, 2, 3, 4], [1, 2, 1e-4, 4]]
)
def test_boxes_of_nothing(box: object) -> None:
    with pytest.raises(DataError, match="here has the box"):
        check_box("here", box, (10, 10))


def test_a_box_in_an_image_of_unknown_size() -> None:
    check_box("here", [5000, 5000, 1, 1], None)


def test_ids() -> None:
    for sort, identity in (("image", 2**63 - 1), ("image", "a"), ("category", 2**70)):
        check_id("here", sort, identity)
    for sort, identity in (("image", 2**63), ("annotation", -(2**63)), ("category", 1.5), ("category", True)):
        with pytest.raises(DataError, match=f"a new {sort} has the id"):
            check_id("here", sort, identity)


def test_extent() -> None:
    assert extent("here", [[2, 3, 6, 3, 6, 8, 2, 8]], (10, 10)) == ([2, 3, 4, 5], 20)
