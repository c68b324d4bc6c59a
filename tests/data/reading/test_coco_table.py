"""Large COCO files: the table holds what reading entry by entry gives, and a cache never gives a stale one."""

import copy
import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from folders import coco_content, write_coco
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from workbench.data import coco, load_data
from workbench.data.reading import coco_columns, coco_table
from workbench.data.reading.coco_table import read_coco
from workbench.data.reading.paths import DataRoot
from workbench.errors import DataError

ODD = st.sampled_from([None, True, "x", [], {}, -1, 0, 2.5, 1e300, 10**400, 2**63, float("nan"), float("inf"), [[1]]])
number = st.integers(-5, 70) | st.floats(-5, 70)
box = st.lists(number, min_size=4, max_size=4)
polygon = st.lists(number, min_size=4, max_size=12)
segmentation = st.lists(polygon, max_size=3) | st.just({"size": [40, 60], "counts": [1200, 1200]})
annotation = st.fixed_dictionaries(
    {
        "id": st.integers(1, 30),
        "image_id": st.sampled_from([7, 7, 7, 3, 5]),
        "category_id": st.sampled_from([1, 18, 18, 2]),
    },
    optional={
        "bbox": box,
        "area": number,
        "iscrowd": st.integers(0, 1),
        "occlusion": st.none() | st.floats(0, 1.2),
        "segmentation": segmentation,
    },
)
spoilt = st.tuples(annotation, st.sampled_from(["id", "image_id", "bbox", "area", "segmentation", "occlusion"]), ODD)
entries = st.lists(annotation | spoilt.map(lambda made: made[0] | {made[1]: made[2]}) | ODD, max_size=12)


def written(root: Path, annotations: list) -> Path:
    root.mkdir(exist_ok=True)
    (root / "train").mkdir(exist_ok=True)
    file = root / "file.json"
    file.write_text(json.dumps(coco_content() | {"annotations": annotations}))
    return file


def only_nothing(chunk: list, masks: bool, plain=coco_columns._columns) -> dict:
    if chunk:
        raise ValueError("one by one")
    return plain(chunk, masks)


@settings(max_examples=150, deadline=None)
@given(annotations=entries)
def test_many_at_once_like_one_by_one(tmp_path_factory, annotations: list) -> None:
    root = tmp_path_factory.getbasetemp() / "like"
    file = written(root, annotations)
    for masks in (True, False):
        quick = read_coco(file, DataRoot(root, "coco"), root / "train", masks=masks)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(coco_columns, "_columns", only_nothing)
            slow = read_coco(file, DataRoot(root, "coco"), root / "train", masks=masks)
        assert quick.about == slow.about
        for name in ("image_id", "starts", "id", "label", "iscrowd", "difficult", "shape", "codes"):
            assert np.array_equal(quick[name], slow[name]), name
        for name in ("box", "area", "occlusion"):
            assert np.array_equal(quick[name], slow[name], equal_nan=True), name
        for mine, theirs in zip(_polygons(quick), _polygons(slow), strict=True):
            assert mine == theirs


def _polygons(table) -> list:
    found = []
    for shape, (first, end) in zip(table["shape"].tolist(), table["parts"].tolist(), strict=True):
        places = table["point_starts"][first : end + 1].tolist() if shape == coco_table.POLYGONS else []
        found.append([table["points"][a:b].tolist() for a, b in pairwise(places)])
    return found


@pytest.fixture
def large(tmp_path: Path, monkeypatch) -> Path:
    """The tiny set, treated as if it were large, and a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(coco, "SMALLEST", 0)
    return settled(write_coco(tmp_path / "set", coco_content()))


def never(*_: object, **__: object) -> None:
    raise AssertionError("the file is read, but the table should be found")


def settled(root: Path) -> Path:
    os.utime(root / "annotations" / "instances_train.json", (1e9, 1e9))
    return root


def test_from_the_cache_it_is_the_same(large: Path, monkeypatch) -> None:
    first = load_data("coco", root=large)
    monkeypatch.setattr(coco, "read_coco", never)
    again = load_data("coco", root=large)
    assert (again.classes, again.category_ids, again.problems) == (first.classes, first.category_ids, first.problems)
    for index in range(2):
        mine, theirs = again.target(index), first.target(index)
        assert again.path(index) == first.path(index)
        assert again.annotation_ids(index) == first.annotation_ids(index)
        assert list(mine) == list(theirs)
        for key, value in theirs.items():
            torch.testing.assert_close(mine[key], value, equal_nan=True, rtol=0, atol=0)


def test_a_changed_file_is_read_again(large: Path) -> None:
    assert len(load_data("coco", root=large).target(1)["labels"]) == 3
    content = coco_content()
    content["annotations"].pop()
    settled(write_coco(large, content))
    assert len(load_data("coco", root=large).target(1)["labels"]) == 2


def test_errors_are_found_each_time(large: Path) -> None:
    content = copy.deepcopy(coco_content())
    content["annotations"][0]["category_id"] = 99
    content["annotations"][1]["bbox"] = [45, 12, 20, 10]
    settled(write_coco(large, content))
    for _ in range(2):
        with pytest.raises(DataError, match="annotation 1: category_id 99"):
            load_data("coco", root=large)
    assert not any(path.is_dir() for path in (large.parent / "cache" / "occlusion-workbench" / "tables").iterdir())


def test_warnings_are_kept_with_the_table(large: Path, monkeypatch) -> None:
    content = coco_content()
    content["annotations"][1]["bbox"] = [45, 12, 20, 10]
    settled(write_coco(large, content))
    first = load_data("coco", root=large).problems
    monkeypatch.setattr(coco, "read_coco", never)
    assert load_data("coco", root=large).problems == first
    assert "annotation 2: bbox [45.0, 12.0, 20.0, 10.0] reaches 5 px outside" in str(first[0])


def test_masks_are_those_of_pycocotools(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    content = coco_content()
    shapes = [
        [rng.uniform(-3, 63, 2 * int(rng.integers(3, 9))).round(2).tolist() for _ in range(k % 3 + 1)]
        for k in range(30)
    ]
    shapes.append(coco_mask.encode(np.asfortranarray(rng.random((40, 60)) > 0.5, np.uint8)))
    shapes[-1]["counts"] = shapes[-1]["counts"].decode()
    shapes.append({"size": [40, 60], "counts": [0, 5, 2395]})
    content["annotations"] = [
        {"id": k, "image_id": 7, "category_id": 1, "bbox": [1, 1, 9, 9], "segmentation": shape}
        for k, shape in enumerate(shapes)
    ]
    masks = load_data("coco", root=write_coco(tmp_path, content)).target(1)["masks"]
    for mask, shape in zip(masks, shapes, strict=True):
        whole = isinstance(shape, dict) and isinstance(shape["counts"], str)
        code = shape if whole else coco_mask.frPyObjects(shape, 40, 60)
        code = coco_mask.merge(code) if isinstance(code, list) else code
        assert np.array_equal(mask.numpy(), coco_mask.decode(code).astype(bool))
    assert masks.is_contiguous()
