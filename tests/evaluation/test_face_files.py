"""Results in the text files of FDDB and WIDER FACE."""

from pathlib import Path

import numpy as np
import pytest
import torch

from workbench.errors import DataError
from workbench.evaluation import read_face_results, write_fddb_results, write_wider_results

ROOT = Path("/data/fddb/originalPics")
NAMES = ("2002/08/11/big/img_591", "2002/08/26/big/img_591")  # only the folder tells them apart


@pytest.fixture
def data(in_memory, target, monkeypatch):
    data = in_memory([target([])] * 2, classes=("face",))
    monkeypatch.setattr(data, "path", lambda index: ROOT / f"{NAMES[index]}.jpg", raising=False)
    return data


def test_fddbs_file_is_read_by_names_and_sorted(data, tmp_path):
    path = tmp_path / "detections.txt"
    path.write_text(f"{NAMES[1]}\n2\n10 20 30 40 0.25\n1 2 3.5 4 0.75\n{NAMES[0]}\n0\n")
    first, second = read_face_results(path, data)
    assert len(first) == 0
    assert second.boxes.tolist() == [[1, 2, 4.5, 6], [10, 20, 40, 60]]
    assert second.scores.tolist() == [0.75, 0.25]


def test_an_ellipse_has_the_box_around_it(data, tmp_path):
    path = tmp_path / "detections.txt"
    path.write_text(f"{NAMES[0]}\n1\n20 10 {np.pi / 2} 50 60 0.5\n")
    one, nothing = read_face_results(path, data)
    assert one.boxes[0].tolist() == pytest.approx([40, 40, 60, 80])
    assert one.extras["ellipses"][0].tolist() == pytest.approx([20, 10, np.pi / 2, 50, 60])
    assert nothing.extras["ellipses"].shape == (0, 5)


@pytest.mark.parametrize("write", [write_fddb_results, write_wider_results])
def test_what_is_written_is_read_again(data, found, tmp_path, write):
    if write is write_wider_results:
        data.path = lambda index: Path("/wider/images") / ("0--Parade", "1--Handshaking")[index] / "1_1.jpg"
    answers = [found([(1.5, 2, 30, 40.25, 1, 0.875), (0, 0, 9, 9, 1, 0.5)]), found([])]
    again = read_face_results(write(answers, data, tmp_path / "results"), data)
    for before, after in zip(answers, again, strict=True):
        assert torch.allclose(after.boxes.float(), before.boxes)
        assert torch.equal(after.scores.float(), before.scores)


def test_wider_faces_folder_looks_as_others_write_it(data, found, tmp_path):
    data.path = lambda index: Path("/wider/images/0--Parade") / f"0_Parade_{index}.jpg"
    write_wider_results([found([(1, 2, 3, 5, 1, 0.5)]), found([])], data, tmp_path)
    assert (tmp_path / "0--Parade/0_Parade_0.txt").read_text() == "0_Parade_0\n1\n1 2 2 3 0.5\n"
    assert (tmp_path / "0--Parade/0_Parade_1.txt").read_text() == "0_Parade_1\n0\n"


def test_the_folds_of_fddb_lie_in_a_folder(data, tmp_path):
    for fold, name in enumerate(NAMES, start=1):
        (tmp_path / f"fold-{fold:02d}-out.txt").write_text(f"{name}.jpg\n1\n0 0 {fold} 5 0.5\n")
    assert [float(one.boxes[0, 2]) for one in read_face_results(tmp_path, data)] == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("img_591\n0\n", "line 1: the name 'img_591' is of 2 of the 2 images of toy test; .* as 'img_591'"),
        ("2002/08/11/big/img_1\n0\n", "line 1: the name .* is of 0 of the 2 images .* as '2002/08/11/big/img_591'"),
        (f"{NAMES[0]}\nmany\n", "line 1: after the name .* the number of its rows, .* expected, not 'many'"),
        (f"{NAMES[0]}\n{'9' * 5000}\n", "line 1: after the name"),
        (f"{NAMES[0]}\n2\n1 2 3 4 0.5\n", "line 1: after the name"),
        (f"{NAMES[0]}\n1\n1 2 3 4\n", "line 3: '1 2 3 4' is neither x, y, width, height, score nor"),
        (f"{NAMES[0]}\n1\n1 2 3 nan 0.5\n", "line 3: '1 2 3 nan 0.5' is neither"),
        (f"{NAMES[0]}\n1\n1 2 -3 4 0.5\n", "line 3: a size of -3 pixels"),
        (f"{NAMES[0]}\n2\n1 2 3 4 0.5\n1 2 3 4 5 0.5\n", "line 1: .* rows of boxes and of ellipses"),
        (f"{NAMES[0]}\n1\n1 2 3 4 0.5\n{NAMES[1]}\n1\n1 2 3 4 5 0.5\n", "some rows are boxes and some are ellipses"),
        (f"{NAMES[0]}\n0\n{NAMES[0]}\n0\n", "line 3: image .* has results already"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named(data, tmp_path, text, message):
    path = tmp_path / "detections.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_face_results(path, data)


def test_a_file_that_is_not_there_is_named(data, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.txt: this file cannot be read"):
        read_face_results(tmp_path / "nowhere.txt", data)
