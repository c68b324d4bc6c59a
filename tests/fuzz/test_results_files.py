"""Results, saved or of other programs, and files of proposals, with strange values and damaged bytes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from campaign import cases, changed, damaged, only_own_errors
from folders import coco_content, write_coco
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

import workbench as wb
from workbench.data import Dataset
from workbench.evaluation import load_result

RESULTS = [
    {"image_id": 7, "category_id": 1, "bbox": [10, 10, 20, 20], "score": 0.9},
    {"image_id": 7, "category_id": 18, "bbox": [30, 12, 10, 16], "score": 0.5},
    {"image_id": 3, "category_id": 1, "bbox": [1, 1, 5, 5], "score": 0.1},
]
MASKS = [{"image_id": 7, "category_id": 1, "segmentation": {"size": [40, 60], "counts": "0Y9"}, "score": 0.9}]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return wb.load_data("coco", "train", write_coco(tmp_path_factory.mktemp("coco"), coco_content()))


@pytest.fixture(scope="module")
def saved(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("results") / "theirs.json"
    path.write_text(json.dumps(RESULTS))
    wb.evaluate(path, data, progress=False).save(path)
    return path.read_bytes()


def matlab(**content: object) -> bytes:
    file = io.BytesIO()
    savemat(file, content)
    return file.getvalue()


def boxes_of_matlab() -> bytes:
    boxes = np.empty((1, 2), dtype=object)
    boxes[0, 0], boxes[0, 1] = np.array([[1, 1, 20, 20], [5, 5, 30, 40]]), np.array([[1, 1, 10, 10]])
    return matlab(boxes=boxes)


@given(content=st.sampled_from([RESULTS, MASKS]).flatmap(changed), masks=st.booleans())
@cases(75)
def test_values_of_results(tmp_path: Path, data: Dataset, content: object, masks: bool) -> None:
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(content))
    with only_own_errors():
        result = wb.evaluate(path, data, progress=False, iou_type="segm" if masks else "bbox")
        result.save(path)
        assert load_result(path).summary.keys() == result.summary.keys()


@given(content=st.sampled_from([RESULTS, MASKS]).flatmap(lambda one: damaged(json.dumps(one).encode())))
@cases(50)
def test_files_of_results(tmp_path: Path, data: Dataset, content: bytes) -> None:
    path = tmp_path / "theirs.json"
    path.write_bytes(content)
    with only_own_errors():
        wb.evaluate(path, data, progress=False)


@given(draw=st.data())
@cases(75)
def test_saved_results(tmp_path: Path, saved: bytes, draw: st.DataObject) -> None:
    path = tmp_path / "result.json"
    if draw.draw(st.booleans()):
        path.write_bytes(draw.draw(damaged(saved)))
    else:
        path.write_text(json.dumps(draw.draw(changed(json.loads(saved)))))
    with only_own_errors():
        result = load_result(path)
        result.table()
        repr(result.summary)
        result.save_coco(tmp_path / "coco.json")


@given(content=st.sampled_from([RESULTS, MASKS]).flatmap(changed))
@cases(50)
def test_values_of_proposals(tmp_path: Path, data: Dataset, content: object) -> None:
    path = tmp_path / "proposals.json"
    path.write_text(json.dumps(content))
    with only_own_errors():
        proposals_of(path, data)


@given(content=damaged(boxes_of_matlab()))
@cases(5)  # a process each
def test_lists_of_matlab(tmp_path: Path, data: Dataset, content: bytes) -> None:
    path = tmp_path / "proposals.mat"
    path.write_bytes(content)
    with only_own_errors():
        proposals_of(path, data)


def proposals_of(path: Path, data: Dataset) -> None:
    proposed = wb.with_proposals(data, kind="file", path=path, cache=path.parent / "cache")
    for index in range(len(proposed)):
        target = proposed.target(index)
        assert len(target["proposals"].boxes) == len(target["proposals"].scores)
