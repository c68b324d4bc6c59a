"""Checkpoints: whole or not there, whatever happens to the disk."""

from __future__ import annotations

import errno
import json
import os
import random
from pathlib import Path

import pytest
import torch

from workbench import files
from workbench.errors import RunError
from workbench.training.recording import checkpoint
from workbench.training.recording.checkpoint import (
    checkpoints,
    drop_old_checkpoints,
    load_checkpoint,
    newest_checkpoint,
    prepare_folder,
    restore_detector,
    save_checkpoint,
)
from workbench.training.recording.disk import write_atomically, write_record


def save(folder: Path, step: int) -> Path:
    (folder / "checkpoints").mkdir(exist_ok=True)
    state = {"step": step, "detector": {"weight": torch.arange(1000.0) + step}, "losses": [0.5, None, "x"]}
    return save_checkpoint(folder, state)


def steps(folder: Path) -> list[int]:
    return [checkpoint.checkpoint_step(path) for path in checkpoints(folder)]


def test_what_is_saved_is_loaded_without_running_code(tmp_path):
    path = save(tmp_path, 500)
    assert path.name == "step-00000500.pt"
    state = torch.load(path, weights_only=True)
    assert torch.equal(state["detector"]["weight"], torch.arange(1000.0) + 500)
    assert load_checkpoint(path)["losses"] == [0.5, None, "x"]


@pytest.mark.parametrize(
    ("keep", "ends", "left"),
    [(1, set(), [50]), (2, set(), [40, 50]), (2, {20}, [20, 40, 50]), (None, set(), [10, 20, 30, 40, 50])],
)
def test_the_newest_and_stage_ends_are_kept(tmp_path, keep, ends, left):
    for step in range(10, 60, 10):
        save(tmp_path, step)
        drop_old_checkpoints(tmp_path, keep=keep, held=ends)
    assert steps(tmp_path) == left


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path, bits: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(bits)] ^= 1
    path.write_bytes(content)


def flip_a_bit(path: Path) -> None:
    flip(path, torch.tensor([777.0 + 20]).numpy().tobytes())


def of_another_kind(path: Path) -> None:
    torch.save({"weights": torch.zeros(1)}, path)


def with_code_inside(path: Path) -> None:
    torch.save({"version": 1, "step": 20, "bad": Path("x")}, path)


@pytest.mark.parametrize("damage", [truncate, empty, flip_a_bit, of_another_kind, with_code_inside])
def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path, caplog, damage):
    save(tmp_path, 10)
    damage(save(tmp_path, 20))
    assert newest_checkpoint(tmp_path)["step"] == 10
    assert "step-00000020.pt" in caplog.text
    assert "trying the one before" in caplog.text


def test_every_flipped_bit_is_noticed(tmp_path):
    path = save(tmp_path, 10)
    content = path.read_bytes()
    rng = random.Random(0)
    places = [*range(0, len(content), 61), *range(len(content) - 80, len(content))]
    for place in places:
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << rng.randrange(8)
        path.write_bytes(spoilt)
        with pytest.raises(RunError, match=r"step-00000010\.pt cannot be read"):
            load_checkpoint(path)


def test_version_1_had_the_hardeners_state_apart(tmp_path):
    """{} of hardeners without any, by place for a chain; there was no checksum, but that of the archive."""
    bank = torch.ones(2)
    for kept, expected in [
        ({}, {}),
        ({"bank": bank}, {"hardener._extra_state": {"bank": bank}}),
        ({"0": {}, "1": {"bank": bank}}, {"hardener.hardeners.1._extra_state": {"bank": bank}}),
    ]:
        path = tmp_path / "step-00000001.pt"
        torch.save({"version": 1, "step": 1, "detector": {"weight": bank}, "hardener": kept}, path)
        assert repr(load_checkpoint(path)["detector"]) == repr({"weight": bank, **expected})
    flip(path, torch.ones(1).numpy().tobytes())
    with pytest.raises(RunError, match="damaged"):
        load_checkpoint(path)


def test_version_2_must_have_its_checksum(tmp_path):
    path = save(tmp_path, 10)
    path.write_bytes(path.read_bytes()[: -len(checkpoint.MARK) - 64])
    with pytest.raises(RunError, match="its checksum is missing"):
        load_checkpoint(path)


def test_weights_that_do_not_fit_or_are_not_finite_are_refused_by_name():
    detector = torch.nn.BatchNorm1d(2)
    own = {name: value.clone() for name, value in detector.state_dict().items()}
    restore_detector(detector, own, "step-1.pt")
    with pytest.raises(RunError, match=r"step-1\.pt does not fit the recipe's detector.*Missing key.*bias"):
        restore_detector(detector, {name: value for name, value in own.items() if name != "bias"}, "step-1.pt")
    own["running_var"][1] = float("inf")
    with pytest.raises(RunError, match=r"step-1\.pt holds values in running_var that are not finite"):
        restore_detector(detector, own, "step-1.pt")


def test_other_files_among_the_checkpoints_are_left_alone(tmp_path):
    save(tmp_path, 10)
    for name in ("step-best.pt", "step-.pt", "notes.txt"):
        (tmp_path / "checkpoints" / name).write_text("")
    assert steps(tmp_path) == [10]


def test_no_checkpoint_and_none_that_can_be_read(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    truncate(save(tmp_path, 10))
    with pytest.raises(RunError, match=r"no checkpoint in .* can be read; delete them to start"):
        newest_checkpoint(tmp_path)


def test_a_full_device_gives_a_clear_error(tmp_path, monkeypatch):
    """Writes go to /dev/full, the kernel's own full disk."""
    save(tmp_path, 10)
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")

    def open_full(descriptor, mode):
        os.close(descriptor)
        return open("/dev/full", mode)

    monkeypatch.setattr(files.os, "fdopen", open_full)
    with pytest.raises(RunError, match=r"step-00000020.pt cannot be written .*full: make room, then resume"):
        save(tmp_path, 20)
    assert newest_checkpoint(tmp_path)["step"] == 10


@pytest.mark.parametrize(
    ("number", "advice"), [(errno.EROFS, "may not be written to"), (errno.ENOSPC, "make room"), (errno.EIO, "mend")]
)
def test_a_disk_that_refuses_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, number, advice):
    write_record(tmp_path / "latest.json", {"step": 1})

    def refuse(*_):
        raise OSError(number, "refused")

    monkeypatch.setattr(files.os, "replace", refuse)
    with pytest.raises(RunError, match=advice):
        write_record(tmp_path / "latest.json", {"step": 2})
    assert json.loads((tmp_path / "latest.json").read_text()) == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["latest.json"]


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    def fail(file):
        file.write(b"half")
        raise KeyError("bug")

    with pytest.raises(KeyError):
        write_atomically(tmp_path / "file", fail)
    assert not list(tmp_path.iterdir())


class AnyRecipe:
    def save(self, path):
        path.write_text("")


@pytest.mark.parametrize("resume", [True, False])
def test_checkpoints_of_another_run_are_not_swept_away_through_a_link(tmp_path, resume):
    (tmp_path / "precious").mkdir()
    save(tmp_path / "precious", 10)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").symlink_to(tmp_path / "precious" / "checkpoints")
    with pytest.raises(RunError, match="is a link"):
        prepare_folder(tmp_path / "run", AnyRecipe(), resume=resume)
    assert steps(tmp_path / "precious") == [10]


def test_leftovers_of_a_killed_process_are_swept_away(tmp_path):
    save(tmp_path, 10)
    half = tmp_path / "checkpoints" / ".step-00000020.pt.123.tmp"
    half.write_bytes(b"half")
    for name in ("error.json", "stop.json", "metrics.jsonl"):
        (tmp_path / name).write_text("{}")
    prepare_folder(tmp_path, AnyRecipe(), resume=True)
    assert not half.exists()
    assert steps(tmp_path) == [10]
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoints", "metrics.jsonl", "recipe.yaml", ".reserve"}
    prepare_folder(tmp_path, AnyRecipe(), resume=False)
    assert {path.name for path in tmp_path.rglob("*")} == {"checkpoints", "recipe.yaml", ".reserve"}
