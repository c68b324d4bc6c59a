"""The lock on a run folder: one holder at a time, and none once the folder is another."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.errors import RunError
from workbench.training.processes import lock
from workbench.training.processes.lock import LostFolderError, hold, is_held


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.1)


def test_a_folder_has_one_holder_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "new"
    with hold(folder) as held:
        assert not held.inherited
        assert is_held(folder)
        with pytest.raises(RunError, match="alive"), hold(folder):
            pass
    assert not is_held(folder)
    with hold(folder) as held:
        held.check()


def test_a_lock_is_handed_on_to_one_process_for_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hold(tmp_path) as first:
        monkeypatch.setenv(lock.HANDED_ON, str(os.dup(first.descriptor)))
        with hold(tmp_path) as second:
            assert second.inherited
            assert not os.get_inheritable(second.descriptor)
            assert lock.HANDED_ON not in os.environ
        monkeypatch.setenv(lock.HANDED_ON, str(first.descriptor))
        with hold(tmp_path / "another") as other:
            assert not other.inherited


def moved(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def replaced(folder: Path) -> None:
    moved(folder)
    with hold(folder):
        pass


def unlocked(folder: Path) -> None:
    (folder / lock.LOCK).unlink()


@pytest.mark.parametrize("change", [shutil.rmtree, moved, replaced, unlocked])
def test_a_folder_that_is_another_is_noticed(tmp_path: Path, change: Callable[[Path], object]) -> None:
    folder = tmp_path / "run"
    with hold(folder) as held:
        held.check()
        change(folder)
        with pytest.raises(LostFolderError, match="removed, moved or replaced"):
            held.check()


def test_no_lock_is_taken_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("years of work")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / lock.LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(RunError, match=r"proc\.lock cannot be written"), hold(tmp_path / "run"):
        pass
    assert not is_held(tmp_path / "run")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with pytest.raises(RunError, match=rf"^{tmp_path} lies on a file system without locks.*WORKBENCH_RUNS"):
        hold(tmp_path).__enter__()
    assert not is_held(tmp_path)
