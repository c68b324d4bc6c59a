"""Files of CrowdHuman, CityPersons, Occluded COCO and OccludedPASCAL3D+ with strange values and damaged bytes."""

from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from campaign import STRANGE, cases, changed, damaged, only_own_errors
from folders import coco_content, picture, write_coco
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.io import savemat
from torch import Tensor

from workbench.data import check_data, load_data
from workbench.errors import DataError


class Spoilt(NamedTuple):
    """A data set, and the file of it that is spoilt."""

    name: str
    split: str
    file: str  #: in the data set's folder
    content: Any  #: as a document of lists and dicts
    write: Callable[[Any], bytes]  #: what the file holds of it


def lines(records: Any) -> bytes:
    return "".join(f"{json.dumps(record)}\n" for record in records).encode(errors="surrogatepass")


def text(content: Any) -> bytes:
    return json.dumps(content).encode(errors="surrogatepass")


def arrays(content: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **{str(name): np.array(value) for name, value in content.items()})
    return stream.getvalue()


def cells(content: Any) -> bytes:
    """A .mat file of a cell of structs."""
    cell = np.empty((1, len(content)), dtype=object)
    for place, one in enumerate(content):
        struct = np.empty((1, 1), dtype=[(str(key), object) for key in one] or [("x", object)])
        struct[0, 0] = tuple(np.array(value) if isinstance(value, list) else value for value in one.values()) or (0,)
        cell[0, place] = struct
    stream = io.BytesIO()
    savemat(stream, {"anno_val_aligned": cell})
    return stream.getvalue()


PERSON = {"tag": "person", "fbox": [-5, 5, 20, 30], "vbox": [0, 5, 15, 20], "hbox": [2, 5, 6, 6],
          "extra": {"box_id": 0, "ignore": 0}, "head_attr": {"ignore": 1}}  # fmt: skip
RECORDS = [{"ID": "a", "gtboxes": [PERSON, {**PERSON, "tag": "mask"}]}, {"ID": "b", "gtboxes": []}]
CROWD = Spoilt("crowdhuman", "val", "annotation_val.odgt", RECORDS, lines)
THING = {"label": "pedestrian", "bbox": [10, 5, 20, 30], "bboxVis": [10, 5, 20, 10], "instanceId": 24000}
CITY = Spoilt("citypersons", "val", "gtBboxCityPersons/val/c/c_0_gtBboxCityPersons.json",
              {"imgHeight": 40, "imgWidth": 60, "objects": [THING, THING]}, text)  # fmt: skip
ROW = [1, 10, 5, 20, 30, 24000, 10, 5, 20, 10]
CITY_MAT = Spoilt("citypersons", "val", "annotations/anno_val.mat",
                  [{"cityname": "c", "im_name": "c_0_leftImg8bit.png", "bbs": [ROW, ROW]}], cells)  # fmt: skip
ENTRY = ["b.png", "person", 1, [10, 10, 20, 20], {"size": [40, 60], "counts": b"0PV1"}]
OCCLUDED = Spoilt("occluded-coco", "val", "occluded_coco.pkl", [ENTRY, ENTRY], pickle.dumps)
SEEN = [[0, 255, 255, 0, 0]] * 4
NOTE = {"box": [1, 3, 1, 4, 4, 5], "mask": SEEN, "occluder_mask": SEEN, "source": "x"}
CAR = Spoilt("occluded-pascal3d", "test", "annotations/carFGL1_BGL1/a.npz", NOTE, arrays)
CAR_LIST = Spoilt("occluded-pascal3d", "test", "lists/carFGL1_BGL1.txt", ["a.JPEG", "gone.JPEG"],
                  lambda names: "\n".join(map(str, names)).encode(errors="surrogatepass"))  # fmt: skip
QUICK = (CROWD, CITY, OCCLUDED, CAR, CAR_LIST)
NAMES = ["../secret", "../../secret.jpg", "/etc/hostname", "..\\secret", "C:\\x", "a/../../x", "linked",
         "folder/secret"]  # fmt: skip


@pytest.fixture(scope="module")
def above(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a picture, and beside it one with all data sets, whose images have links to that picture."""
    above = tmp_path_factory.mktemp("above")
    picture(above / "secret.jpg", 11, 13)
    write_coco(above / OCCLUDED.name, coco_content(), "val")
    pictures = [above / CROWD.name / "Images" / "a.jpg", above / CROWD.name / "Images" / "b.jpg",
                above / CITY.name / "leftImg8bit/val/c/c_0_leftImg8bit.png",
                above / CAR.name / "images/carFGL1_BGL1/a.JPEG"]  # fmt: skip
    for path in pictures:
        picture(path, *((4, 5) if path.suffix == ".JPEG" else (40, 60)))
        if not (path.parent / "linked.jpg").exists():
            (path.parent / "linked.jpg").symlink_to(above / "secret.jpg")
            (path.parent / "folder").symlink_to(above)
    return above


@pytest.mark.parametrize("spoilt", QUICK, ids=lambda one: f"{one.name}-{Path(one.file).suffix}")
@given(draw=st.data(), strict=st.booleans())
@cases(25)
def test_values(above: Path, spoilt: Spoilt, draw: st.DataObject, strict: bool) -> None:
    content = draw.draw(changed(spoilt.content, values=[*STRANGE, *NAMES, b"~", np.int64(3)]))
    use(above, spoilt, written(spoilt, content), strict)


@pytest.mark.parametrize("spoilt", QUICK, ids=lambda one: f"{one.name}-{Path(one.file).suffix}")
@given(draw=st.data(), strict=st.booleans())
@cases(15)
def test_bytes(above: Path, spoilt: Spoilt, draw: st.DataObject, strict: bool) -> None:
    use(above, spoilt, draw.draw(damaged(spoilt.write(spoilt.content))), strict)


@given(draw=st.data(), strict=st.booleans(), whole=st.booleans())
@cases(4)  # a process each
def test_mat_files(above: Path, draw: st.DataObject, strict: bool, whole: bool) -> None:
    content = draw.draw(changed(CITY_MAT.content, values=[*STRANGE, *NAMES])) if whole else CITY_MAT.content
    file = written(CITY_MAT, content)
    use(above, CITY_MAT, file if whole else draw.draw(damaged(file)), strict)


def written(spoilt: Spoilt, content: Any) -> bytes:
    """The file's bytes; contents that its format cannot hold are passed over."""
    try:
        return spoilt.write(content)
    except (TypeError, ValueError, AttributeError, OverflowError, IndexError, UnicodeError):
        assume(False)
    return b""


def use(above: Path, spoilt: Spoilt, content: bytes, strict: bool) -> None:
    """All that a training and the doctor ask of data; no path leads out."""
    root = above / spoilt.name
    for other in (*QUICK, CITY_MAT):
        if other.name == spoilt.name:
            (root / other.file).parent.mkdir(parents=True, exist_ok=True)
            (root / other.file).unlink(missing_ok=True)
    if spoilt is CAR_LIST:
        (root / CAR.file).write_bytes(CAR.write(CAR.content))
    elif spoilt is CAR:
        (root / CAR_LIST.file).write_bytes(b"a.JPEG\n")
    (root / spoilt.file).write_bytes(content)
    with only_own_errors():
        data, said = None, str(root)
        try:
            data = load_data(spoilt.name, spoilt.split, root, strict=strict)
        except DataError as error:
            said = str(error)
        assert str(root) in said
        if data is None:
            return
        for index in range(len(data)):
            assert Path(os.path.realpath(data.path(index))).is_relative_to(os.path.realpath(root))
        check_data(data)
        for index in range(len(data)):
            with only_own_errors():
                image, target = data[index]
                assert image.shape[0] == 3
                boxes = target["boxes"]
                assert (boxes[:, :2] < boxes[:, 2:]).all()
                known = [value for key, value in target.items() if key != "occlusion" and isinstance(value, Tensor)]
                assert all(value.isfinite().all() for value in known)
