"""MAFA's three average precisions on cases worked by hand."""

import numpy as np
import pytest
import torch

from workbench.errors import DataError
from workbench.evaluation import evaluate_detections, evaluate_mafa
from workbench.evaluation.mafa import squared

MASKED, UNMASKED, IGNORED, NOTHING = (0, 0, 20, 20), (40, 0, 60, 20), (0, 40, 20, 60), (60, 60, 80, 80)


@pytest.fixture
def data(in_memory, target):
    """A masked, an unmasked and an ignored face; the loader calls the last one difficult."""
    faces = target([(*MASKED, 1), (*UNMASKED, 1), (*IGNORED, 1)], difficult=[False, False, True])
    return in_memory([faces | {"face_type": torch.tensor([1, 2, 3])}], classes=("face",))


@pytest.fixture
def answers(found):
    """By falling score: the unmasked, the ignored, nothing, the masked face."""
    return [found([(*UNMASKED, 1, 0.9), (*IGNORED, 1, 0.8), (*NOTHING, 1, 0.7), (*MASKED, 1, 0.6)])]


def test_by_hand(data, answers):
    """All: right, right, wrong, right. Masked: wrong, ignored, wrong, right. Without: right, -, wrong, right."""
    result = evaluate_mafa(answers, data)
    assert result.summary["AP_all@0.5"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert result.summary["AP_masked@0.5"] == pytest.approx(1 / 3)
    assert result.summary["AP_without_ignored@0.5"] == pytest.approx((1 + 2 / 3) / 2)
    assert result.counts() == {"AP_all@0.5": 3, "AP_masked@0.5": 1, "AP_without_ignored@0.5": 2} | {
        "AP_all@0.45": 3, "AP_masked@0.45": 1, "AP_without_ignored@0.45": 2
    }  # fmt: skip
    curve = result.frame().query("faces == 'without_ignored' and iou == 0.5")
    assert curve["recall"].tolist() == [0.5, 0.5, 1]
    assert curve["precision"].tolist() == pytest.approx([1, 1 / 2, 2 / 3])
    assert curve["envelope"].tolist() == pytest.approx([1, 2 / 3, 2 / 3])


def test_unmasked_faces_may_count_neither_way(data, answers):
    assert evaluate_mafa(answers, data, unmasked_are_wrong=False).summary["AP_masked@0.5"] == pytest.approx(1 / 2)


def test_the_paper_found_more_at_a_lower_overlap(data, found):
    """12 of 20 pixels wide and moved: as squares of 20 about their centres they share 13 of 27 columns, 0.48."""
    result = evaluate_mafa([found([(11, 0, 23, 20, 1, 0.9)])], data)
    assert result.summary["AP_masked@0.5"] == 0
    assert result.summary["AP_masked@0.45"] == 1


@pytest.mark.parametrize(
    ("square", "expected"),
    [("longer", (0, 0, 20, 20)), ("mean", (2, 2, 18, 18)), ("shorter", (4, 4, 16, 16)), ("none", (4, 0, 16, 20))],
)
def test_squares(square, expected):
    assert squared(np.array([[4.0, 0, 16, 20]]), square)[0] == pytest.approx(expected)


def test_a_box_that_is_too_narrow_fits_as_a_square(data, found):
    narrow = [found([(6, 0, 14, 20, 1, 0.9)])]  # 8 of 20 pixels
    assert evaluate_mafa(narrow, data).summary["AP_masked@0.5"] == 1
    assert evaluate_mafa(narrow, data, square="none").summary["AP_masked@0.5"] == 0


def test_evaluate_adds_the_figures_and_the_table_says_how(data, answers):
    data.benchmark = "mafa"
    result, own = evaluate_detections(answers, data), evaluate_mafa(answers, data)
    assert own.summary.items() <= result.summary.items()
    assert evaluate_mafa(result, data).frame().equals(own.frame())
    assert "squares of their longer side" in own.table().attrs["note"]
    assert "unmasked faces are wrong" in repr(own)


def test_nothing_found(data, found):
    result = evaluate_mafa([found([])], data)
    assert set(result.summary.values()) == {0.0}
    assert len(result.frame()) == 0


def test_what_cannot_be_measured_is_refused(data, answers, in_memory, target, found):
    with pytest.raises(DataError, match=r"mafa\.square is 'round'; expected"):
        evaluate_mafa(answers, data, square="round")
    with pytest.raises(DataError, match="give at least one number above 0"):
        evaluate_mafa(answers, data, ious=())
    data.targets[0]["face_type"] = torch.tensor([1, 2, 7])
    with pytest.raises(DataError, match=r"face_type \[7\] is none of 1 masked"):
        evaluate_mafa(answers, data)
    with pytest.raises(DataError, match=r'no target\["face_type"\].*load_data\("mafa"'):
        evaluate_mafa([found([])], in_memory([target([(*MASKED, 1)])], classes=("face",)))


def test_squares_end_at_the_border_of_the_image_as_true_faces_do(in_memory, target, found):
    # A face of 40 x 20 at the left border: its square of 40 x 40 around (20, 10) would reach 10 px above the image.
    data = in_memory([target([(0, 0, 40, 20, 1)])], classes=("face",))
    data.targets[0]["face_type"] = torch.tensor([1])
    answers = [found([(0, 0, 40, 20, 1, 0.9)])]
    # Cut off it is 40 x 30, of which 40 x 20 are the face: 2 / 3. Not cut off it would be a half.
    assert evaluate_mafa(answers, data, ious=(0.6,)).summary["AP_masked@0.6"] == 1
    assert evaluate_mafa(answers, data, ious=(0.7,)).summary["AP_masked@0.7"] == 0
