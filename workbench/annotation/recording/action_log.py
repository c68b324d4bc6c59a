"""A file of actions, one JSON object a line, to which several processes append.

A line is there as a whole or not at all: what a process that was killed left unfinished is cut off by the next one
that writes. Who writes holds the lock on the file, so that nobody writes what another one has not seen.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import DataError

Action = dict[str, Any]

PATIENCE = 10.0  #: seconds; nobody holds the lock for longer than one action takes


class ActionLog:
    """The actions of a file, as far as they were read.

    Args:
        path: of the file; it need not be there yet.
    """

    def __init__(self, path: Path):
        self.path = path
        self.read_to = 0  #: bytes from the beginning; what comes after them was not read yet
        self.broken = 0  #: lines that are no action

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Have the file to oneself; gives its descriptor.

        Raises:
            DataError: it cannot be opened, another process does not let it go, or its disk knows no locks.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        except OSError as error:
            raise DataError(f"{self.path} cannot be opened: {error.strerror or error}") from error
        try:
            self._take(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)  # which lets the lock go

    def _take(self, descriptor: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DataError(
                        f"{self.path}: another process has held this file for {PATIENCE:.0f} s; end it first"
                    ) from None
                time.sleep(0.005)
            except OSError as error:
                raise DataError(
                    f"{self.path} lies on a disk without locks ({error.strerror}), so that two workers could "
                    "overwrite each other's work; choose a folder on another disk"
                ) from error

    def new(self, descriptor: int) -> list[Action]:
        """The whole lines that came since the last reading; call it within `locked`."""
        size = os.fstat(descriptor).st_size
        if size < self.read_to:  # somebody has cut the file: what is left of it was read already
            self.read_to = size
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(self.read_to)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.read_to += len(whole)
        return [action for action in map(self._parsed, whole.splitlines()) if action is not None]

    def _parsed(self, line: bytes) -> Action | None:
        try:
            action = json.loads(line)
        except ValueError:
            action = None
        if isinstance(action, dict) and isinstance(action.get("id"), str) and isinstance(action.get("do"), str):
            return action
        self.broken += 1
        return None

    def append(self, descriptor: int, action: Action) -> None:
        """Add an action after all others; call it within `locked`, after `new`.

        Raises:
            OSError: the disk refuses; then nothing of it stays.
        """
        os.ftruncate(descriptor, self.read_to)  # what a process that was killed had begun
        line = json.dumps(action, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        try:
            _write(descriptor, line, self.read_to)
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, self.read_to)
            raise
        self.read_to += len(line)

    def take_back(self, descriptor: int, size: int) -> None:
        """Cut the file to so many bytes: the last action is not to stand; call it within `locked`."""
        os.ftruncate(descriptor, size)
        self.read_to = size

    def size(self) -> int:
        """Bytes of the file; 0 where there is none."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0


def _write(descriptor: int, data: bytes, place: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, place)
        data, place = data[written:], place + written
