"""Whose a run folder is: of the process that holds the lock on its `proc.lock`, whoever started that.

The lock ends with its process, in whatever way. Who starts a trainer takes it first and hands it on, so that the
folder belongs to somebody at every moment. A trainer looks before each step whether the folder is still its own: one
that was removed, moved or replaced gets nothing more.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workbench.errors import RunError
from workbench.training.recording.disk import disk_error

LOCK = "proc.lock"
HANDED_ON = "WORKBENCH_LOCK"  #: environment variable with the file descriptor of a lock that is handed on
WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}  #: what file systems answer that know none
PATIENCE = 2.0  #: seconds; a process that counts as dead may still be closing its files
_SAFELY = (
    os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
)  # in a folder of others: no link is followed, no pipe waited for


class LostFolderError(RunError):
    """The run folder is not this process's own any more."""


class FolderLock:
    """The lock on a run folder while `hold` or `follow` lasts.

    Args:
        folder: of the run.
        descriptor: of the open lock file.
        inherited: whether it was handed on by who started this process.
    """

    def __init__(self, folder: Path, descriptor: int, *, inherited: bool):
        self.folder, self.descriptor, self.inherited = folder, descriptor, inherited

    @property
    def is_ours(self) -> bool:
        """Whether the folder still is the one that was locked."""
        return _is_lock_of(self.folder, self.descriptor)

    def check(self) -> None:
        """Raise LostFolderError unless the folder is still ours."""
        if not self.is_ours:
            raise LostFolderError(
                f"{self.folder} was removed, moved or replaced while this run trained; it ends without writing there"
            )


@contextmanager
def hold(folder: Path, *, make: bool = True) -> Iterator[FolderLock]:
    """Have a run folder to oneself, by the lock that was handed on to this process or else by a new one.

    Args:
        folder: of the run.
        make: make the folder if it is not there.

    Raises:
        RunError: another process has it, the disk refuses, or its file system knows no locks.
    """
    descriptor = _handed_on(folder)
    inherited = descriptor is not None
    try:
        if descriptor is None:
            if make:
                folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | _SAFELY, 0o644)
    except OSError as error:
        raise disk_error(folder / LOCK, error) from error
    try:
        _acquire(descriptor, folder)
        yield FolderLock(folder, descriptor, inherited=inherited)
    finally:
        os.close(descriptor)


@contextmanager
def follow(folder: Path) -> Iterator[FolderLock]:
    """See whether a folder stays the one that another process of the run holds.

    Raises:
        RunError: nobody holds it.
    """
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | _SAFELY)
    except OSError as error:
        raise disk_error(folder / LOCK, error) from error
    try:
        yield FolderLock(folder, descriptor, inherited=True)
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Whether some process has the folder now."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | _SAFELY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)


def _handed_on(folder: Path) -> int | None:
    """The descriptor of the lock that this process was given for `folder`, once."""
    with suppress(ValueError, OSError):
        descriptor = int(os.environ.pop(HANDED_ON, ""))
        if _is_lock_of(folder, descriptor):
            os.set_inheritable(descriptor, False)
            return descriptor
    return None


def _is_lock_of(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(folder / LOCK), os.fstat(descriptor))
    except OSError:
        return False


def _acquire(descriptor: int, folder: Path) -> None:
    """Take the lock; two that start the same run at once cannot both have it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise RunError(f"{folder} holds a run that is alive; stop it or choose another folder") from error
            time.sleep(0.05)
        except OSError as error:
            if error.errno in WITHOUT_LOCKS:
                raise RunError(
                    f"{folder} lies on a file system without locks ({error.strerror}), so that two processes could "
                    "train the same run at once; choose a folder on a local disk, such as by WORKBENCH_RUNS"
                ) from error
            raise disk_error(folder / LOCK, error) from error
