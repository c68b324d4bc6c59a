"""What the small files of a run may say, and that damaged ones are passed over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.training import Recipe, Run
from workbench.training.recording.notes import Done, Exit, Failure, read_note, read_row

BROKEN = [b"", b"{", b"\xff\xfe", b"5", b"[]", b"null", b'"done"', b"[" * 100_000, b'{"seconds": "1"}', b'{"pid": 1}']


@pytest.mark.parametrize("kind", [Failure, Exit])
@pytest.mark.parametrize("content", BROKEN)
def test_damaged_notes_are_none(tmp_path: Path, kind: type, content: bytes) -> None:
    (tmp_path / "note").write_bytes(content)
    assert read_note(tmp_path / "note", kind) is None


def test_what_notes_say(tmp_path: Path) -> None:
    path = tmp_path / "note"
    path.write_text('{"message": "no", "kind": "disk", "step": 3}')
    said = read_note(path, Failure)
    assert said is not None
    assert said.model_dump() == {"message": "no", "kind": "disk", "step": 3}
    path.write_text('{"seconds": NaN}')
    assert read_note(path, Done) is None
    path.write_text('{"step": 2, "seconds": 1.5, "result": null}')
    assert read_note(path, Done) == Done(seconds=1.5)
    assert read_note(tmp_path / "nothing", Done) is None


@pytest.mark.parametrize(
    "values",
    [{"step": "1"}, {"step": True}, {"step": -1}, {"step": 1.5}, {"step": 2**70}, {"time": None}, {"time": "now"},
     {"time": float("nan")}, {"time": float("inf")}, {"kind": 3}],
)  # fmt: skip
def test_rows_that_say_what_they_cannot_are_passed_over(values: dict) -> None:
    row = {"step": 1, "time": 2.0, "kind": "train", "loss": 0.5, "AP": None}
    assert read_row(json.dumps(row)) == row
    assert read_row(json.dumps(row | values)) is None


def test_of_a_row_only_figures_are_kept() -> None:
    row = {"step": 1, "time": 2, "kind": "val", "a": "x", "b": [1], "c": 10**400, "d": 3, "e": True}
    assert read_row(json.dumps(row)) == {"step": 1, "time": 2, "kind": "val", "d": 3, "e": True}
    assert read_row("[" * 100_000) is None


def test_a_run_with_a_damaged_end_says_so(tmp_path: Path) -> None:
    recipe = {
        "data": {"name": "digit-scenes"},
        "detector": {"kind": "faster-rcnn"},
        "stages": [{"steps": 1, "lr": 1}],
    }
    Recipe.from_dict(recipe).save(tmp_path / "recipe.yaml")
    (tmp_path / "done.json").write_bytes(b'{"seconds": ')
    run = Run.open(tmp_path)
    assert run.status == "failed"
    assert run.error is not None
    assert "done.json is damaged; resume()" in run.error
