"""A process that outlives the kernel that started it and can be found again from anywhere.

It is found by pid *and* creation time, because the system gives a pid to another process later; a zombie counts
as dead. Every process of a run, also torchrun's workers in sessions of their own, carries the same token in its
environment, so that all of them can be found and ended. While a run lives it holds a lock on its folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psutil

from workbench.errors import RunError
from workbench.training.recording.checkpoint import write_record

RECORD = "proc.json"
EXIT = "exit.json"  #: how the process ended, if who started it was there to see it
LOCK = "proc.lock"
LOG = "log.txt"
SOURCES = Path(__file__).resolve().parents[3]  #: where `import workbench` finds this code
TOKEN = "WORKBENCH_RUN"  # environment variable
PATIENCE = 2.0  # seconds
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, OSError)


@dataclass(frozen=True)
class Record:
    """What is remembered of a started process, in the run folder's `proc.json`."""

    folder: str
    pid: int
    create_time: float  #: seconds since 1970, as the system gives it
    cmd: list[str]
    started: float  #: seconds since 1970
    token: str
    cwd: str
    threads: int  #: threads of each process
    environment: dict[str, str] = field(default_factory=dict)  #: what was set beside the inherited
    fingerprints: dict[str, str] = field(default_factory=dict)  #: of what ran, see `run.start_process`

    @classmethod
    def read(cls, folder: Path) -> Record | None:
        """The record in `folder`; None where nothing was ever started or the file cannot be read.

        In a copied or moved folder it names no process: the original's is none of the copy's business.
        """
        try:
            record = cls(**json.loads((folder / RECORD).read_text()))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return record if record.folder == os.path.realpath(folder) else replace(record, pid=0, token="")


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
    """The command that trains the recipe in `folder`, with torchrun for several `processes`."""
    if processes == 1:
        return [sys.executable, "-u", "-m", "workbench.training.trainer", str(folder)]
    torchrun = ["torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    worker = [str(Path(__file__).with_name("worker.py")), str(folder)]
    return [sys.executable, "-u", "-m", *torchrun, "--nproc-per-node", str(processes), *worker]


def start(
    folder: Path,
    command: Sequence[str],
    *,
    threads: int,
    cwd: Path,
    environment: Mapping[str, str],
    fingerprints: Mapping[str, str],
) -> psutil.Process:
    """Start `command` detached, with its output in the folder's `log.txt`, and record it in `proc.json`.

    Args:
        folder: the run folder; it must exist.
        threads: OpenMP threads of each process.
        cwd: where relative paths of the recipe start.
        environment: variables to set beside the inherited ones.
        fingerprints: of what runs, only recorded.

    Raises:
        RunError: a process of this folder is alive, or the folder cannot be written.
    """
    token = uuid.uuid4().hex
    try:
        with open(folder / LOCK, "a") as lock, open(folder / LOG, "ab", buffering=0) as log:
            _acquire(lock.fileno(), folder)
            child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd if cwd.is_dir() else folder,
                env={**os.environ, **variables(threads), **environment, TOKEN: token},
                pass_fds=[lock.fileno()],  # the lock lives as long as the process
                start_new_session=True,
            )
    except OSError as error:
        raise RunError(f"cannot start a run in {folder}: {error.strerror or error}") from error
    process = psutil.Process(child.pid)
    record = Record(
        folder=os.path.realpath(folder),
        pid=child.pid,
        create_time=process.create_time(),
        cmd=list(command),
        started=time.time(),
        token=token,
        cwd=str(cwd),
        threads=threads,
        environment=dict(environment),
        fingerprints=dict(fingerprints),
    )
    try:
        write_record(folder / RECORD, asdict(record))
    except RunError:
        child.kill()  # unrecorded, nobody could ever find or stop it
        child.wait()
        raise
    # A child that nobody waits for would stay as a zombie for as long as the kernel lives.
    threading.Thread(target=_await, args=(child, folder), name=f"wait for run {child.pid}", daemon=True).start()
    return process


def _await(child: subprocess.Popen, folder: Path) -> None:
    """Wait for the process and write down a bad end."""
    status = child.wait()
    if status != 0 and folder.is_dir():
        with suppress(RunError):  # the disk may be full, which the process has reported then
            write_record(folder / EXIT, {"pid": child.pid, "status": status})


def ending(folder: Path) -> str:
    """How the last process of a folder ended: by a signal, with an exit status; empty where nobody saw it."""
    record = Record.read(folder)
    try:
        seen = json.loads((folder / EXIT).read_text())
        if record is None or seen["pid"] != record.pid:
            return ""
        status = int(seen["status"])
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def find(record: Record | None) -> psutil.Process | None:
    """The process of a record; None when it has ended, is a zombie, or its pid now belongs to another."""
    if record is None or record.pid == 0:
        return None
    try:
        process = psutil.Process(record.pid)
        if abs(process.create_time() - record.create_time) > 1:
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except _GONE:
        return None


def members(record: Record) -> list[psutil.Process]:
    """All living processes that belong to the run: leader, torchrun workers, data loader workers."""
    found = []
    for process in psutil.process_iter():
        with suppress(*_GONE):
            ours = process.environ().get(TOKEN) == record.token
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def terminate(record: Record, *, grace: float) -> None:
    """Ask the leader to end, wait up to `grace` seconds, then kill whatever of the run is still alive.

    Only the leader gets the signal: torchrun hands it on, and a trainer whose data loader workers died of it could
    not finish its last step.
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
    """Environment of a new process. It imports this very code, and nothing that lies about in the current folder."""
    inherited = os.environ.get("PYTHONPATH", "")
    return {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(SOURCES), inherited])),
    }


def _acquire(lock: int, folder: Path) -> None:
    """Take the folder's lock; two kernels that start the same run at once cannot both have it.

    A process that counts as dead may still be closing its files, so it is given a moment.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise RunError(f"{folder} holds a run that is alive; stop it or choose another folder") from error
            time.sleep(0.05)
