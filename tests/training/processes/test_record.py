"""What `proc.json` says, and whether the present user wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workbench.training.processes.record import RECORD, Record


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's key is."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    return tmp_path / "settings" / "occlusion-workbench" / "key"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    written = Record(str(folder.resolve()), 17, 2.5, ["python"], 3.0, "token", "/here", 2, {"A": "b"})
    written.write(folder)
    return folder


def change(folder: Path, **values: Any) -> None:
    content = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps(content | values))


def test_it_comes_back_as_ones_own(folder: Path, key: Path) -> None:
    record = Record.read(folder)
    assert record is not None
    assert (record.pid, record.threads, record.environment, record.own) == (17, 2, {"A": "b"}, True)
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32


@pytest.mark.parametrize(
    "values",
    [
        {"environment": {"A": "c"}}, {"cwd": "/there"}, {"plug_ins": {"x": {"file": "x", "sha256": ""}}},
        {"seal": "0"}, {"own": True, "seal": ""},
    ],
)  # fmt: skip
def test_what_somebody_changed_is_nobodys_own(folder: Path, values: dict[str, Any]) -> None:
    change(folder, **values)
    record = Record.read(folder)
    assert record is not None
    assert not record.own


def test_another_users_record_is_not_ones_own(folder: Path, key: Path) -> None:
    key.unlink()
    record = Record.read(folder)
    assert record is not None
    assert not record.own
    assert not key.exists(), "reading makes no key"


def test_a_key_that_others_could_read_counts_for_nothing(folder: Path, key: Path) -> None:
    key.chmod(0o644)
    with pytest.warns(UserWarning, match=rf"^{key} can be read or written by others: .* Delete this file"):
        record = Record.read(folder)
    assert record is not None
    assert not record.own


def test_a_damaged_key_is_named_and_a_new_one_takes_its_place(folder: Path, key: Path) -> None:
    key.write_bytes(b"half")
    with pytest.warns(UserWarning, match=rf"^{key} is damaged: "):
        record = Record.read(folder)
    assert record is not None
    assert not record.own
    key.unlink()
    record.write(folder)
    again = Record.read(folder)
    assert again is not None
    assert again.own


def test_a_copy_names_no_process_and_is_still_ones_own(folder: Path, tmp_path: Path) -> None:
    moved = folder.rename(tmp_path / "moved")
    record = Record.read(moved)
    assert record is not None
    assert (record.pid, record.token, record.own) == (0, "", True)


@pytest.mark.parametrize(
    "values",
    [
        {"pid": "17"}, {"pid": -1}, {"pid": 2**70}, {"create_time": float("nan")}, {"started": None}, {"threads": 0},
        {"environment": ["A"]}, {"plug_ins": {"x": 1}}, {"cmd": "python"}, {"cwd": 3},
    ],
)  # fmt: skip
def test_a_record_that_says_what_it_cannot_is_none(folder: Path, values: dict[str, Any]) -> None:
    change(folder, **values)
    assert Record.read(folder) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_record_is_none(folder: Path, content: bytes) -> None:
    (folder / RECORD).write_bytes(content)
    assert Record.read(folder) is None


def test_records_from_before_places_keep_their_seal(folder: Path) -> None:
    content = json.loads((folder / RECORD).read_text())
    assert "place" not in content, "what is empty is not written, so that the seal is as it was"
    change(folder, job="17")
    record = Record.read(folder)
    assert record is not None
    assert not record.own
