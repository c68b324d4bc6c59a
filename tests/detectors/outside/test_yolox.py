"""What the numbers of a YOLOX mean, for rows that are made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.detectors import YOLOX
from workbench.errors import DataError

IMAGE = np.zeros((32, 64, 3), np.uint8)  # in a square of 64, neither scaled nor moved


def rows(*written):
    """An output of 64 + 16 + 4 cells in which some rows are not nought: (row, values)."""
    output = np.zeros((1, 84, 8), np.float32)
    for row, values in written:
        output[0, row] = values
    return [output]


def test_cells_and_strides():
    """Row 64 + 6 is cell (1, 2) of stride 16; its centre is a quarter into it, its size one cell by half a cell."""
    found = YOLOX(64).decode(rows((70, [0.25, 0.25, 0, np.log(0.5), 0.8, 0.5, 0, 0])), IMAGE)
    assert found["boxes"].tolist() == [[28.0, 16.0, 44.0, 24.0]]
    assert found["labels"].tolist() == [0]
    assert found["scores"].tolist() == pytest.approx([0.4])
    assert found["class_scores"].tolist() == [pytest.approx([0.4, 0, 0])]
    assert found["objectness"].tolist() == pytest.approx([0.8])


def test_one_cell_may_give_two_classes_and_of_one_class_the_best_box_stays():
    same = [0.5, 0.5, np.log(2), np.log(2)]
    found = YOLOX(64, score_threshold=0.2, max_detections=2).decode(
        rows((9, [*same, 1, 0.9, 0.5, 0.1]), (10, [-0.5, 0.5, *same[2:], 1, 0.8, 0, 0])), IMAGE
    )
    assert found["labels"].tolist() == [0, 1]
    assert found["scores"].tolist() == pytest.approx([0.9, 0.5])


def test_another_output_is_named():
    with pytest.raises(DataError, match=r"of 416 pixels is \[1, 3549, 5 \+ K\], but \[1, 84, 8\] came"):
        YOLOX(416).decode(rows(), IMAGE)
