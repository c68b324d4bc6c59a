"""Detections in VOC's files of results: their form, what is read again, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from folders import voc_object, voc_xml, write_voc

from workbench.data import load_data
from workbench.errors import DataError
from workbench.evaluation import (
    as_result,
    audit,
    evaluate,
    evaluate_detections,
    read_voc_results,
    write_voc_results,
)
from workbench.evaluation.result import Result
from workbench.types import Detections

CLASSES = ("dog", "hot dog")


@pytest.fixture
def data(tmp_path):
    """Three photographs, one of which has blanks in its name, as other people's have."""
    xml = {"2008_000001": voc_xml(voc_object("dog", 1, 1, 60, 40)), "a b 3": voc_xml(), "2008_000003": voc_xml()}
    return load_data("voc", root=write_voc(tmp_path / "voc", xml), split="train", classes=CLASSES)


def test_a_file_by_hand(data, found, tmp_path):
    """Corners are counted from 1 and the last pixel is included: the box of all 60 x 40 pixels is 1 1 60 40."""
    answers = [found([(0, 0, 60, 40, 1, 0.75), (9.5, 4, 20, 25, 2, 0.5)]), found([(0, 0, 1, 1, 1, 0.25)]), found([])]
    folder = write_voc_results(answers, data, tmp_path / "results" / "VOC2012" / "Main")
    assert sorted(path.name for path in folder.iterdir()) == [
        "comp4_det_train_dog.txt",
        "comp4_det_train_hot dog.txt",
    ]
    text = (folder / "comp4_det_train_dog.txt").read_text()
    assert text == "2008_000001 0.75 1.0 1.0 60.0 40.0\na b 3 0.25 1.0 1.0 1.0 1.0\n"
    assert (folder / "comp4_det_train_hot dog.txt").read_text() == "2008_000001 0.5 10.5 5.0 20.0 25.0\n"


def test_as_others_write_them(data, tmp_path):
    (tmp_path / "comp3_det_train_dog.txt").write_text("a b 3 0.512 1.0 2.0 30.0 40.0\n\n2008_000001 0.3 1 1 9 9\n")
    (tmp_path / "comp3_det_train_hot dog.txt").write_text("a b 3 0.7 11 12 13 14\n")
    (tmp_path / "comp3_det_val_dog.txt").write_text("what\n")
    one, two, three = read_voc_results(tmp_path, data)
    assert one.boxes.tolist() == [[0, 0, 9, 9]]
    assert two.scores.tolist() == [0.7, 0.512], "the highest first"
    assert two.labels.tolist() == [2, 1]
    assert two.boxes.tolist() == [[10, 11, 13, 14], [0, 1, 30, 40]]
    assert len(three) == 0


def test_what_is_written_and_read_again_has_the_same_ap(data_root, tmp_path):
    """Shaken photographs' objects with many equal scores: each class's AP by 11 points and by area, to all digits."""
    data = load_data("voc", root=data_root / "voc2007-mini", split="test").subset(range(80))
    generator = torch.Generator().manual_seed(0)
    answers = []
    for index in range(len(data)):
        target = data.target(index)
        boxes = torch.as_tensor(target["boxes"]).repeat(3, 1)
        size = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        labels = target["labels"].repeat(3)
        wrong = torch.rand(len(labels), generator=generator) < 0.2
        labels = torch.where(wrong, labels % 20 + 1, labels)
        scores = (8 * torch.rand(len(labels), generator=generator)).round() / 9
        answers.append(
            Detections(boxes + 0.15 * size * torch.randn(boxes.shape, generator=generator), labels, scores)
        )
    first = evaluate_detections(answers, data)
    folder = first.save_voc(tmp_path / "Main")
    second = evaluate(folder, data, progress=False)
    for year in (2007, 2012):
        pd.testing.assert_frame_equal(first.voc(year), second.voc(year), check_exact=True)
    assert 0.1 < first.summary["mAP"] < 0.9
    assert first.summary["mAP"] == second.summary["mAP"]
    np.testing.assert_array_equal(np.sort(first.found.scores), np.sort(second.found.scores))
    assert second.warnings == first.warnings
    again = Result.load(first.save(tmp_path / "result.json")).save_voc(tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_a_folder_stands_where_a_file_of_results_does(data, found, tmp_path):
    answers = [found([(0, 0, 60, 40, 1, 0.75)]), found([]), found([])]
    folder = write_voc_results(answers, data, tmp_path / "results", competition="comp3")
    result = as_result(str(folder), data)
    assert result.summary["AP50"] == 1.0
    assert result.warnings[-1].startswith("The file has results for 1 of 3 images")
    (folder / "comp3_det_train_hot dog.txt").unlink()
    assert "The folder has no file of hot dog" in evaluate(folder, data).warnings[-2]
    with pytest.raises(DataError, match="boxes and no masks"):
        evaluate(folder, load_data("digit-scenes", split="test", length=1), iou_type="segm")
    with pytest.raises(DataError, match="no losses or classes of its own"):
        evaluate(folder, data, losses=True)
    with pytest.raises(DataError, match="cannot look at occluded images"):
        audit(str(folder), data)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2008_000001 0.5 1 2 3\n", r"comp4_det_train_dog\.txt: line 2: '2008_000001 0.5 1 2 3' is no image, score"),
        ("2008_000001 0.5 1 2 3 many\n", "line 2: .* is no image, score, xmin"),
        ("2008_000001 nan 1 2 3 4\n", "line 2: .* is no image"),
        ("2008_000001 0.5 1 2 3 inf\n", "line 2: .* is no image"),
        ("0.5 1 2 3 4\n", "line 2: .* is no image"),
        ("2008_000002 0.5 1 2 3 4\n", "line 2: no image of voc train is called '2008_000002'"),
    ],
)
def test_a_wrong_line_is_named(data, tmp_path, line, message):
    (tmp_path / "comp4_det_train_dog.txt").write_text("2008_000001 0.5 1 2 3 4\n" + line)
    with pytest.raises(DataError, match=message):
        read_voc_results(tmp_path, data)


def test_folders_that_hold_something_else(data, tmp_path):
    with pytest.raises(DataError, match=r"holds no results of voc train, such as comp4_det_train_dog\.txt"):
        read_voc_results(tmp_path, data)
    for number in (3, 4):
        (tmp_path / f"comp{number}_det_train_dog.txt").write_text("")
    with pytest.raises(DataError, match="holds results of comp3 and comp4"):
        read_voc_results(tmp_path, data)


def test_names_that_cannot_stand_in_such_files(in_memory, target, found, tmp_path, monkeypatch):
    data = in_memory([target([])] * 2, classes=("a/b",))
    with pytest.raises(DataError, match=r"'comp4_det_test_a/b\.txt' would be the file of the class 'a/b'"):
        write_voc_results([found([])] * 2, data, tmp_path)
    plain = in_memory([target([])] * 2)
    monkeypatch.setattr(plain, "image_name", lambda index: ("x", "y\nz")[index], raising=False)
    with pytest.raises(DataError, match=r"an image is called 'y\\nz'"):
        write_voc_results([found([])] * 2, plain, tmp_path)
    monkeypatch.setattr(plain, "image_name", lambda index: "x", raising=False)
    folder = write_voc_results([found([])] * 2, plain, tmp_path / "twice")
    with pytest.raises(DataError, match="two images of toy test are called 'x'"):
        read_voc_results(folder, plain)


def test_results_of_earlier_versions_say_so(in_memory, target, found):
    result = evaluate_detections([found([])], in_memory([target([(0, 0, 9, 9, 1)])]))
    assert result.image_names == ["000000"]
    old = Result(**{**vars(result), "image_names": None})
    with pytest.raises(DataError, match="was saved without names"):
        old.save_voc("nowhere")
