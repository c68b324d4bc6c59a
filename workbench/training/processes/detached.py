"""A process that outlives the kernel that started it and can be found again from anywhere.

It is found by pid *and* creation time, because the system gives a pid to another process later; a zombie counts
as dead. Every process of a run, also one in a session of its own, carries the same token in its environment, so that
all of them can be found and ended. While a run lives it holds a lock on its folder.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from workbench.errors import RunError
from workbench.training.processes.lock import HANDED_ON, hold, is_held
from workbench.training.processes.record import Record
from workbench.training.recording.disk import open_to_append, write_record
from workbench.training.recording.notes import EXIT, Exit, read_note

LOG = "log.txt"
SOURCES = Path(__file__).resolve().parents[3]  #: where `import workbench` finds this code
TOKEN = "WORKBENCH_RUN"  # environment variable
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, OSError)


def available_cores() -> int:
    """The cores that this process may use, at least 1: its affinity and its control group's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def core_share(shares: int) -> int:
    """Threads for each of so many processes side by side, at least 1. Two per core is up to 6 times slower."""
    return max(1, available_cores() // shares)


def trainer_command(folder: Path, processes: int) -> list[str]:
    """The command that trains the recipe in `folder`, in one process or several."""
    if processes == 1:
        return [sys.executable, "-u", "-m", "workbench.training.trainer", str(folder)]
    return [sys.executable, "-u", str(Path(__file__).with_name("group.py")), str(processes), str(folder)]


def start(
    folder: Path,
    processes: int,
    *,
    threads: int,
    cwd: Path,
    environment: Mapping[str, str],
    plug_ins: Mapping[str, dict[str, str]],
    fingerprints: Mapping[str, str],
    place: Mapping[str, Any] | None = None,
) -> None:
    """Train detached, with what is printed in the folder's `log.txt`, and record it in `proc.json`.

    Args:
        folder: the run folder; it must exist.
        processes: how many train it.
        threads: OpenMP threads of each process.
        cwd: where relative paths of the recipe start.
        environment: variables to set beside the inherited ones.
        plug_ins: what is plugged in, only recorded.
        fingerprints: of what runs, only recorded.
        place: that this machine is, for those who sent the run here; only recorded.

    Raises:
        RunError: a process of this folder is alive, or the folder cannot be written.
    """
    token, command = uuid.uuid4().hex, trainer_command(folder, processes)
    with hold(folder, make=False) as lock:
        own = {TOKEN: token, HANDED_ON: str(lock.descriptor)}
        try:
            with open_to_append(folder / LOG) as log:
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=cwd,
                    env={**os.environ, **variables(threads), **environment, **own},
                    pass_fds=[lock.descriptor],  # the lock lives as long as the process
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:  # ValueError: what no environment can hold
            raise RunError(f"cannot start a run in {folder}: {getattr(error, 'strerror', '') or error}") from error
    process = psutil.Process(child.pid)
    record = Record(
        folder=os.path.realpath(folder),
        pid=child.pid,
        create_time=process.create_time(),
        cmd=command,
        started=time.time(),
        token=token,
        cwd=str(cwd),
        threads=threads,
        environment=dict(environment),
        plug_ins=dict(plug_ins),
        fingerprints=dict(fingerprints),
        place=dict(place or {}),
    )
    try:
        record.write(folder)
    except BaseException:
        child.kill()  # unrecorded, nobody could ever find or stop it
        child.wait()
        raise
    # A child that nobody waits for would stay as a zombie for as long as the kernel lives.
    threading.Thread(target=_await, args=(child, folder), name=f"wait for run {child.pid}", daemon=True).start()


def _await(child: subprocess.Popen, folder: Path) -> None:
    """Wait for the process and write down a bad end."""
    status = child.wait()
    if status != 0 and folder.is_dir():
        with suppress(RunError):  # the disk may be full, which the process has reported then
            write_record(folder / EXIT, {"pid": child.pid, "status": status})


def ending(folder: Path) -> str:
    """How the last process of a folder ended: by a signal, with an exit status; empty where nobody saw it."""
    record, seen = Record.read(folder), read_note(folder / EXIT, Exit)
    if record is None or seen is None or seen.pid != record.pid:
        return ""
    with suppress(ValueError):  # a number that is no signal's
        if seen.status < 0:
            return f"killed by {signal.Signals(-seen.status).name}"
    return f"exit status {seen.status}"


def find(record: Record | None) -> psutil.Process | None:
    """The process of a record; None when it has ended, is a zombie, or its pid now belongs to another.

    One that also does something else trains only while it holds the folder. A record that the user did not write may
    name any process of the user's: the process itself must confirm it.
    """
    if record is None or record.pid == 0 or not (record.cmd or is_held(Path(record.folder))):
        return None
    try:
        process = psutil.Process(record.pid)
        if abs(process.create_time() - record.create_time) > 1 or not (record.own or _confirms(process, record)):
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except _GONE:
        return None


def members(record: Record) -> list[psutil.Process]:
    """All living processes that are there for the run only: leader, its fellows, data loader workers."""
    found = []
    for process in psutil.process_iter() if record.token else ():
        with suppress(*_GONE):
            if _confirms(process, record) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    leader = find(record) if record.cmd else None  # it may have been started without a token
    return found if leader is None or leader in found else [*found, leader]


def _confirms(process: psutil.Process, record: Record) -> bool:
    """Whether a process has the run's token and, since that can be copied, was started for the run's folder."""
    if not record.token or process.environ().get(TOKEN) != record.token:
        return False
    return record.own or [os.path.realpath(last) for last in process.cmdline()[-1:]] == [record.folder]


def terminate(record: Record, *, grace: float) -> None:
    """Ask the leader to end, wait up to `grace` seconds, then kill whatever of the run is still alive.

    Only the leader gets the signal: that of several hands it on, and a trainer whose data loader workers died of it
    could not finish its last step.
    """
    deadline = time.monotonic() + grace
    leader = find(record)
    if leader is not None:
        with suppress(*_GONE):
            leader.send_signal(signal.SIGTERM)
    while find(record) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    rest = members(record)
    for process in rest:
        with suppress(*_GONE):
            process.kill()
    psutil.wait_procs(rest, timeout=5)


def variables(threads: int) -> dict[str, str]:
    """Environment of a new process. It imports this very code, and nothing that lies about in its current folder."""
    inherited = [str(Path(path).absolute()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join([str(SOURCES), *inherited]),
    }
