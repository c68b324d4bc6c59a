"""Paths with variables in them, and files that appear whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import workbench as wb
from workbench.data import load_data
from workbench.data.reading.mat_files import mat_content
from workbench.data.reading.paths import read_json
from workbench.detectors.layers.pretrained import read_weights
from workbench.errors import DataError, WeightsError, WorkbenchError
from workbench.files import check_writable, unfetched, user_path, write_json


def test_variables_and_home_are_replaced(monkeypatch):
    monkeypatch.setenv("PLACE", "/somewhere")
    assert user_path("${PLACE}/a", DataError) == Path("/somewhere/a")
    assert user_path("$PLACE/a", DataError) == Path("/somewhere/a")
    assert user_path("~/a", DataError) == Path.home() / "a"


def test_a_dollar_in_a_real_name_stays(monkeypatch):
    monkeypatch.setenv("PLACE", "/price in $PLACE")
    assert user_path("${PLACE}", DataError) == Path("/price in $PLACE")


def test_unset_variables_are_named(monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(WeightsError, match="NOWHERE is not set"):
        user_path("${NOWHERE}/a", WeightsError)
    with pytest.raises(DataError, match="NOWHERE is not set"):
        load_data("voc", root="$NOWHERE")


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": [0.0] * 10_000 + [float("nan")]})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]
    with pytest.raises(FileNotFoundError):
        write_json(tmp_path / "nowhere" / "x.json", {})


def test_what_cannot_be_written_is_said_before_the_work(tmp_path):
    check_writable(tmp_path / "new" / "x.json", DataError)
    assert [path.name for path in tmp_path.rglob("*")] == ["new"], "only its folder is made"
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "new", tmp_path / "file" / "x.json", Path("/proc/x.json")):
        with pytest.raises(DataError, match=f"{path} cannot be written"):
            check_writable(path, DataError)


@pytest.mark.parametrize("thing", [None, 5, ["a"]])
def test_what_is_no_path_is_said_wherever_one_is_given(thing) -> None:
    for take in (wb.Recipe.load, wb.Run.open, wb.load_detector):
        with pytest.raises(WorkbenchError, match=r"expected a path or a name, got .* \((NoneType|int|list)\)"):
            take(thing)
    with pytest.raises(DataError, match="expected the path of a picture"):
        wb.read_image(thing)


READERS = {
    "a.pth": read_weights,
    "a.safetensors": wb.load_detector,
    "a.jpg": wb.read_image,
    "a.json": read_json,
    "a.mat": lambda path: mat_content(path, ["x"]),
}


@pytest.mark.parametrize("name", READERS)
def test_what_git_lfs_has_not_fetched_is_said_of_every_kind(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 4\n")
    with pytest.raises(WorkbenchError, match=rf"{name}.*`git lfs pull` fetches it"):
        READERS[name](tmp_path / name)
    assert unfetched(tmp_path / "absent") == unfetched(tmp_path) == ""
