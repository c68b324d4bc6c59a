"""Files of a run folder: they appear whole or not at all, and a disk that refuses is named as the cause.

The folder may come from others: nothing is written through a link, and a pipe in a file's place is not waited for.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from workbench.errors import RunError
from workbench.files import whole_file

RESERVE = ".reserve"  #: in a run folder: room for the last message of a run that fills the disk
RESERVED = 16 * 1024  #: bytes
FULL = {errno.ENOSPC, errno.EDQUOT}


class DiskError(RunError):
    """A file of a run cannot be written."""


def disk_error(path: Path, error: OSError) -> DiskError:
    """What a user can do about a file that could not be written."""
    if error.errno in FULL:
        advice = "the disk (or your quota) seems full: make room"
    elif error.errno == errno.EFBIG:
        advice = "files may not get so large here (see `ulimit -f`): raise the limit"
    elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        advice = "the folder may not be written to: change its permissions or choose another"
    else:
        advice = "mend the disk or choose another folder"
    return DiskError(f"{path} cannot be written ({error}); {advice}, then resume. Earlier checkpoints are kept.")


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a file that appears whole or not at all.

    Raises:
        DiskError: the disk refuses.
    """
    try:
        with whole_file(path) as file:
            write(file)
    except OSError as error:
        raise disk_error(path, error) from error


def write_record(path: Path, value: Any) -> None:
    """Write JSON that appears whole or not at all, what has no form in JSON as text.

    Raises:
        DiskError: the disk refuses.
    """
    write_atomically(path, lambda file: file.write(json.dumps(value, indent=1, default=str).encode()))


def write_last_record(path: Path, value: Any) -> None:
    """The same for a run's last message: on a full disk it takes the room that `keep_reserve` kept for it."""
    try:
        write_record(path, value)
    except DiskError:
        (path.parent / RESERVE).unlink(missing_ok=True)
        write_record(path, value)


def keep_reserve(folder: Path) -> None:
    """Keep room in a run folder for its last message.

    Raises:
        DiskError: the disk refuses.
    """
    path = folder / RESERVE
    if not path.is_file() or path.stat().st_size < RESERVED:
        write_atomically(path, lambda file: file.write(os.urandom(RESERVED)))  # no disk makes this smaller


def open_to_append(path: Path) -> IO[bytes]:
    """A file to add to, unbuffered; never through a link, which may lead out of a folder that others made.

    Raises:
        OSError: the disk refuses, or `path` is a link or a pipe.
    """
    own = os.O_NOFOLLOW | os.O_NONBLOCK
    return open(path, "ab", buffering=0, opener=lambda name, flags: os.open(name, flags | own, 0o644))


def open_to_read(path: Path) -> IO[bytes]:
    """A file to read.

    Raises:
        OSError: it cannot be read, or is a pipe or a device, which might never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return open(descriptor, "rb")


def read_bytes(path: Path) -> bytes:
    """All of a file.

    Raises:
        OSError: as `open_to_read`.
    """
    with open_to_read(path) as file:
        return file.read()
