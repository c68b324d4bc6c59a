"""Annotation files of COCO and VOC with strange values and damaged bytes: loaded, looked at by the doctor, used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign import cases, changed, damaged, only_own_errors
from folders import coco_content, voc_object, voc_xml, write_coco, write_voc
from hypothesis import given
from hypothesis import strategies as st

from workbench.data import Dataset, check_data, load_data
from workbench.data.annotations import CocoFile

XML = voc_xml(voc_object("dog", 5, 5, 20, 20), voc_object("cat", 10, 1, 30, 30, part=True))
KEYS = (
    "id", "image_id", "category_id", "bbox", "segmentation", "file_name", "name", "iscrowd", "supercategory",
    "mask_occluder",
)  # fmt: skip


def use(data: Dataset) -> Iterator[object]:
    """All that a training and the doctor ask of data."""
    yield check_data(data)
    yield [data[index] for index in range(len(data))]
    yield data.where(0) if len(data) else None


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(tmp_path_factory.mktemp("coco"), coco_content())


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voc(tmp_path_factory.mktemp("voc") / "VOC2007", {"000001": XML, "000002": XML})


@given(content=changed(coco_content(), KEYS), strict=st.booleans())
@cases(100)
def test_values_of_coco(coco: Path, content: object, strict: bool) -> None:
    write_file(coco, json.dumps(content).encode())
    with only_own_errors():
        list(use(load_data("coco", "train", coco, strict=strict)))


@given(content=damaged(json.dumps(coco_content()).encode()))
@cases(75)
def test_files_of_coco(coco: Path, content: bytes) -> None:
    write_file(coco, content)
    with only_own_errors():
        list(use(load_data("coco", "train", coco)))


@given(content=changed(coco_content(), KEYS))
@cases(50)
def test_edited_files_of_coco(coco: Path, content: object) -> None:
    path = write_file(coco, json.dumps(content).encode())
    with only_own_errors():
        file = CocoFile.open(path)
        file.save(path)
        assert CocoFile.open(path).content == file.content


@given(xml=damaged(XML.encode()))
@cases(100)
def test_files_of_voc(voc: Path, xml: bytes) -> None:
    (voc / "Annotations" / "000001.xml").write_bytes(xml)
    with only_own_errors():
        list(use(load_data("voc", "train", voc)))


@given(
    text=st.sampled_from(["0", "-1", "1e400", "nan", "", "x", "1.5", "\u0663", "12 13", "0x10", "1_000", "9" * 50]),
    place=st.integers(0, 20),
)
@cases(30)
def test_values_of_voc(voc: Path, text: str, place: int) -> None:
    parts = XML.split(">")
    spots = [k for k, part in enumerate(parts) if not part.startswith("<") and part.strip()]
    spot = spots[place % len(spots)]
    parts[spot] = text + parts[spot][parts[spot].index("<") :]
    (voc / "Annotations" / "000001.xml").write_text(">".join(parts), encoding="utf-8")
    with only_own_errors():
        list(use(load_data("voc", "train", voc)))


@given(names=damaged(b"000001\n000002\n"))
@cases(30)
def test_lists_of_voc(voc: Path, names: bytes) -> None:
    (voc / "Annotations" / "000001.xml").write_text(XML)
    (voc / "ImageSets" / "Main" / "train.txt").write_bytes(names)
    with only_own_errors():
        list(use(load_data("voc", "train", voc)))


def write_file(root: Path, content: bytes) -> Path:
    path = root / "annotations" / "instances_train.json"
    path.write_bytes(content)
    return path
