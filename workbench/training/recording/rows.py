"""Reading `metrics.jsonl` while it grows: one JSON object per line, damaged lines left out."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import IO, Any

from workbench.training.recording.disk import open_to_read
from workbench.training.recording.notes import read_row

TAIL = 16_384  #: bytes at the end of a file, which hold its last rows


class GrowingRows:
    """The rows of a growing file of JSON lines; reads only what is new since the last time. For several threads."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.Lock()
        self._forget()

    def read(self) -> list[dict[str, Any]]:
        """All whole rows so far."""
        with self._lock:
            try:
                with open_to_read(self.path) as file:
                    self._follow(file)
            except OSError:
                self._forget()
            return list(self._rows)

    def _forget(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._offset = 0  # bytes read so far
        self._last = b""  # the line just before

    def _follow(self, file: IO[bytes]) -> None:
        file.seek(self._offset - len(self._last))
        if file.read(len(self._last)) != self._last:  # cut or written anew by a resume
            self._forget()
            file.seek(0)
        for line in file:
            if not line.endswith(b"\n"):
                break
            self._offset, self._last = self._offset + len(line), line
            if (row := read_row(line)) is not None:
                self._rows.append(row)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All whole rows of a metrics file that nobody writes to."""
    return GrowingRows(path).read()


def last_rows(path: Path) -> dict[str, dict[str, Any]]:
    """Kind → its last row near the end of a metrics file; the file may grow meanwhile."""
    try:
        with open_to_read(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().split(b"\n")
    except OSError:
        return {}
    last: dict[str, dict[str, Any]] = {}
    for line in reversed(lines):
        known = any(b'"kind": "%b"' % kind.encode() in line for kind in last)  # the rest need not be read
        if not known and (row := read_row(line)) is not None:
            last.setdefault(row["kind"], row)
    return last
