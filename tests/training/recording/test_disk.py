"""A disk that refuses: said as that, also when hardly a message fits."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from workbench import files
from workbench.training.recording.disk import (
    RESERVE,
    DiskError,
    disk_error,
    keep_reserve,
    open_to_append,
    open_to_read,
    write_atomically,
    write_last_record,
    write_record,
)


def test_the_last_message_has_room_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full until the reserve is given back."""
    keep_reserve(tmp_path)
    real = files.os.fsync

    def full(descriptor: int) -> None:
        if (tmp_path / RESERVE).exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DiskError, match="make room"):
        write_record(tmp_path / "error.json", {"message": "the disk is full"})
    write_last_record(tmp_path / "error.json", {"message": "the disk is full"})
    assert json.loads((tmp_path / "error.json").read_text()) == {"message": "the disk is full"}
    monkeypatch.undo()
    keep_reserve(tmp_path)
    assert (tmp_path / RESERVE).stat().st_size == 16 * 1024


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make room"), (errno.EDQUOT, "make room"), (errno.EFBIG, "ulimit -f"),
        (errno.EROFS, "permission"), (errno.EACCES, "permission"), (errno.EIO, "mend the disk"),
    ],
)  # fmt: skip
def test_advice_by_cause(number: int, advice: str) -> None:
    assert advice in str(disk_error(Path("file"), OSError(number, "refused")))


def test_other_errors_of_a_writer_are_not_the_disks(tmp_path: Path) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        write_atomically(tmp_path / "file", fail)


def test_nothing_is_added_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("years of work")
    (tmp_path / "log.txt").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="log"):
        open_to_append(tmp_path / "log.txt")
    with open_to_append(tmp_path / "other.txt") as file:
        file.write(b"a line\n")
    assert (tmp_path / "other.txt").read_text() == "a line\n"


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for open_it in (open_to_read, open_to_append):
        with pytest.raises(OSError, match=r"regular file|No such device"):
            open_it(tmp_path / "pipe")
