"""Saved results: what a file says is held against what a result must be."""

from __future__ import annotations

import base64
import copy
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from folders import coco_content, write_coco

from workbench.data import load_data
from workbench.errors import DataError
from workbench.evaluation import Result, evaluate_detections
from workbench.evaluation.counting.saved import packed, unpacked
from workbench.types import Detections


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a result of two images, two objects of two classes and a crowd, and two detections is saved as."""
    folder = tmp_path_factory.mktemp("saved")
    data = load_data("coco", "train", write_coco(folder, coco_content()))
    found = Detections(torch.tensor([[10.0, 10, 30, 30], [30, 12, 40, 28]]), torch.tensor([1, 2]), torch.ones(2))
    empty = Detections(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0))
    result = evaluate_detections([found, empty] if len(data.target(0)["boxes"]) else [empty, found], data)
    return json.loads(result.save(folder / "result.json").read_text())


def array(values: Any, dtype: str, shape: list[int] | None = None) -> dict[str, Any]:
    own = np.array(values, dtype=dtype)
    code = base64.b64encode(zlib.compress(own.tobytes())).decode()
    return {"dtype": dtype, "shape": list(own.shape) if shape is None else shape, "zlib+base64": code}


def load(content: dict[str, Any], folder: Path) -> Result:
    path = folder / "result.json"
    path.write_text(json.dumps(content))
    return Result.load(path)


def test_tables_come_back_as_they_were(content: dict[str, Any], tmp_path: Path) -> None:
    result = load(content, tmp_path)
    assert {name: packed(getattr(result, name)) for name in ("matches", "objects", "found")} == {
        name: content[name] for name in ("matches", "objects", "found")
    }
    tables = unpacked(content, num_classes=2)
    assert tables["found"].labels.tolist() == [1, 2]
    assert tables["objects"].num_images == 2


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("found.labels", array([1, 3], "<i8"), r"found\.labels has values from 1 to 3; expected 1 to 2"),
        ("found.labels", array([0, 1], "<i8"), r"found\.labels has values from 0 to 1; expected 1 to 2"),
        ("found.images", array([0, 2], "<i8"), r"found\.images has values from 0 to 2; expected 0 to 1"),
        ("found.images", array([0.0, 1.0], "<f8"), r"found\.images is float64"),
        ("found.boxes", array([[1.0] * 4], "<f8"), r"found\.boxes has the shape \[1, 4\]; expected 2 for 1"),
        ("found.boxes", array([1.0] * 8, "<f8"), r"found\.boxes is float64 of shape \[8\]"),
        ("found.scores", array([1.0, 1.0], "<f8", [2, 2]), r"found\.scores is float64 of shape \[2, 2\]"),
        ("found.scores", array([1.0], "<f8", [2]), r"found\.scores has not the 16 bytes"),
        ("found.scores", array([0.0] * 10**6, "<f8", [2]), r"found\.scores has not the 16 bytes"),
        ("matches.images", array([-1, 0], "<i4"), r"matches\.images has values from -1"),
        ("matches.num_images", 10**30, r"objects\.sizes has the shape"),
        ("matches.num_images", -1, r"matches of -1 images"),
        ("matches.num_classes", 3, r"matches of 2 images and 3 classes"),
        ("image_ids", [1], r"image_ids are 1; expected 2"),
        ("category_ids", [1, 2, 3], r"category_ids are 3; expected 2"),
        ("summary", {"AP": "1"}, r"summary\.AP"),
        ("iou_type", "boxes", "iou_type"),
        ("more", 1, "more"),
    ],
)
def test_what_does_not_fit_is_named(
    content: dict[str, Any], tmp_path: Path, place: str, value: Any, message: str
) -> None:
    changed = copy.deepcopy(content)
    part, *keys = place.split(".")
    if keys:
        changed[part][keys[0]] = value
    else:
        changed[part] = value
    with pytest.raises(DataError, match=rf"(?s)result\.json: not a result written by Result\.save.*{message}"):
        load(changed, tmp_path)
