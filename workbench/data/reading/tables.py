"""Tables of arrays that processes map and share, kept in the user's cache: made once, found again by their source.

A table is a folder with one .npy file per column and `about.json`, which holds what it was made from and a checksum
of every column. One of an earlier version, of another source or with a wrong byte is passed over and made anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import DataError

SMALLEST = 20 * 2**20  #: bytes of a source, below which reading it again is quick enough
SETTLED = 2.0  #: seconds since a source's last change; within, a clock may not see the next change
CHECKS = "checks.json"  #: checksums of a folder's files
_SAMPLES, _SAMPLE = 64, 4096  # pieces of a file that its identity looks at, and bytes of each

Source = dict[str, Any]


class Table:
    """Columns by name, in memory or mapped from a folder.

    Args:
        columns: the arrays.
        about: what else is known, as JSON has it.
        folder: where the columns lie; None: in memory only.
        keep: whether it may be found again by its source alone.
    """

    def __init__(
        self,
        columns: dict[str, np.ndarray],
        about: dict[str, Any],
        folder: Path | None = None,
        *,
        keep: bool = True,
    ):
        self.columns, self.about, self.folder, self.keep = columns, about, folder, keep

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def __reduce__(self) -> tuple[Any, ...]:
        if self.folder is None:
            return Table, (self.columns, self.about)
        return _reopened, (self.folder, self.about["source"])  # a copy of a map would hold all of it

    @classmethod
    def open(cls, folder: Path, source: Source) -> Table:
        """The table that `folder` holds.

        Raises:
            OSError, ValueError: there is none, it was made from another source, or it is damaged.
        """
        saved = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        if not isinstance(saved, dict) or saved.get("check") != _check(saved.get("about")):
            raise ValueError("about.json is damaged")
        about = saved["about"]
        if about["source"] != source:
            raise ValueError("this table was made from another source")
        columns = {}
        for name, check in about["checks"].items():
            column = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            if _check_column(column) != check:
                raise ValueError(f"column {name} is damaged")
            columns[name] = np.asarray(column)  # np.memmap is slow to take parts of
        return cls(columns, about, folder)

    def save(self, folder: Path, source: Source) -> None:
        """Write all columns into an empty `folder`.

        Raises:
            OSError: the disk refuses.
        """
        for name, column in self.columns.items():
            np.save(folder / f"{name}.npy", column, allow_pickle=False)
        checks = {name: _check_column(column) for name, column in self.columns.items()}
        about = {**self.about, "source": source, "checks": checks}
        saved = {"check": _check(about), "about": about}
        (folder / "about.json").write_text(json.dumps(saved), encoding="utf-8")


def kept_table(kind: str, source: Source, make: Callable[[], Table], *, changed_ns: int) -> Table:
    """The table of a source: from the user's cache, or made and left there for the next time and other processes.

    Of several processes one makes it, and the others wait. Where the cache cannot be written, or the source changed
    a moment ago, the table is made and not kept.

    Args:
        kind: what the tables are of, also the name of their folder.
        source: what the table is made from, as JSON has it: equal for equal content. `path` names its place.
        make: reads the source.
        changed_ns: when the source changed last, in nanoseconds.
    """
    name = hashlib.sha256(json.dumps([source["path"], source.get("options")]).encode()).hexdigest()[:16]
    folder = cache_base() / "tables" / f"{kind}-{name}"
    source = json.loads(json.dumps(source))  # as it will be read back
    if (table := _found(folder, source)) is not None:
        return table
    if abs(time.time() - changed_ns / 1e9) < SETTLED:
        return make()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with alone(folder.with_suffix(".lock")):
            if (table := _found(folder, source)) is not None:
                return table
            table = make()
            if not table.keep:
                return table
            try:
                with whole_folder(folder) as partial:
                    table.save(partial, source)
                return Table.open(folder, source)
            except (OSError, ValueError):
                return table
    except OSError:
        return make()


def file_source(file: Path, *, revision: int, options: dict[str, Any]) -> tuple[Source, os.stat_result]:
    """What distinguishes one content of a file from another, without reading all of it; and its state.

    Its size, the times of its last change (which also a program that sets them back cannot hide) and samples.

    Raises:
        DataError: the file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        with file.open("rb") as stream:
            state = os.fstat(stream.fileno())
            for place in np.linspace(0, max(0, state.st_size - _SAMPLE), _SAMPLES).astype(int).tolist():
                stream.seek(place)
                digest.update(stream.read(_SAMPLE))
    except OSError as error:
        raise DataError(f"{file}: this file cannot be read ({error.strerror or error})") from error
    times = [state.st_mtime_ns, state.st_ctime_ns]
    source = {"path": str(file.resolve()), "size": state.st_size, "times": times, "samples": digest.hexdigest()}
    return source | {"revision": revision, "options": options}, state


def cache_base() -> Path:
    """`occlusion-workbench` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "occlusion-workbench"


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold a lock file, or wait until it is free; a process that dies lets go of it."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder that takes its place at `folder` when the block ends well, and else leaves no trace.

    What was there goes. Only one process may do so at a time; see `alone`.

    Raises:
        OSError: the disk refuses.
    """
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    partial.mkdir()
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_checks(folder: Path) -> None:
    """Leave the checksums of all files of a folder beside them, for `check_files`.

    Raises:
        OSError: they cannot be written.
    """
    checks = {path.name: _check_file(path) for path in sorted(folder.iterdir())}
    (folder / CHECKS).write_text(json.dumps(checks), encoding="utf-8")


def check_files(folder: Path) -> None:
    """See whether every byte of a folder's files is as `write_checks` found it.

    Raises:
        OSError, ValueError: one is not, or there are no checksums.
    """
    checks = json.loads((folder / CHECKS).read_text(encoding="utf-8"))
    if not isinstance(checks, dict) or checks != {name: _check_file(folder / Path(name).name) for name in checks}:
        raise ValueError(f"{folder} is damaged")


def _check_file(path: Path) -> int:
    check = 0
    with path.open("rb") as file:
        while part := file.read(2**20):
            check = zlib.crc32(part, check)
    return check


def _found(folder: Path, source: Source) -> Table | None:
    """The table, unless there is none, or another or a broken one."""
    try:
        return Table.open(folder, source)
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _reopened(folder: Path, source: Source) -> Table:
    table = _found(folder, source)
    if table is None:
        raise DataError(f"{folder}: the table of {source['path']} was removed or replaced; load the data again")
    return table


def _check_column(column: np.ndarray) -> list[Any]:
    return [column.dtype.str, list(column.shape), zlib.crc32(np.ascontiguousarray(column).view(np.uint8))]


def _check(about: Any) -> int:
    return zlib.crc32(json.dumps(about, sort_keys=True).encode())
