"""Jobs of Slurm that train a run: submitted by submitit, and opened again by whatever turn of the queue they get.

A job knows nothing but the run's folder: it goes on from the last checkpoint there. Shortly before its time limit
Slurm sends a signal, on which the trainer writes a checkpoint and the job is queued again; one that is preempted or
loses its node is queued again by Slurm itself. On several nodes torchrun starts the processes, which meet at
the first.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import RunError
from workbench.training.processes.detached import LOG, trainer_command, variables
from workbench.training.processes.lock import HANDED_ON
from workbench.training.processes.record import Record
from workbench.training.recording.disk import open_to_append
from workbench.training.recording.notes import STOP, Stop, read_note

PAPERS = "slurm"  #: the folder of what submitit and Slurm write
TURNS = 10_000  #: how often a job that meets its time limit is queued again
NOTICE = signal.SIGUSR2  #: what submitit has Slurm send before the time limit
PATIENCE = 60.0  #: seconds: for a shared folder to show what was written elsewhere, and for Slurm to end a job
POLL = 0.2  #: seconds
_SUBMITTING = threading.Lock()  # one at a time, however many runs are started at once
PORTS = (20_000, 40_000)  #: where the processes of several nodes meet


@dataclass
class Job:
    """What submitit calls in a job, on each of its nodes.

    Args:
        folder: of the run.
        processes: of each node.
        threads: of each process.
        cwd: where relative paths of the recipe start.
        environment: variables to set.
    """

    folder: str
    processes: int
    threads: int
    cwd: str
    environment: dict[str, str]
    _trainer: subprocess.Popen | None = field(default=None, init=False, repr=False)

    def __call__(self) -> None:
        """Train until the run is done or was stopped.

        Raises:
            RunError: the trainer failed.
        """
        place, folder = Turn.here(), Path(self.folder)
        _await_record(folder, place.job)
        own = {**variables(self.threads), **self.environment}
        inherited = {name: value for name, value in os.environ.items() if name != HANDED_ON}
        notes = papers(folder, place.job) / f"node-{place.job}-{place.node}.txt"
        with open_to_append(notes if place.node else folder / LOG) as log:
            self._trainer = subprocess.Popen(
                place.command(folder, self.processes),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.cwd if Path(self.cwd).is_dir() else None,
                env=inherited | own,
                preexec_fn=_ignore_notice,
            )
        while not _has_ended(self._trainer.pid):
            time.sleep(POLL)
        if self._trainer.wait():
            raise RunError(f"the trainer of {folder} ended with {self._trainer.returncode}; see {folder / LOG}")

    def checkpoint(self) -> Any:
        """Let the trainer write a checkpoint and end; what is to be queued again, None for a run that was stopped."""
        from submitit.helpers import DelayedSubmission

        if self._trainer is not None:
            self._trainer.send_signal(signal.SIGTERM)
            while not _has_ended(self._trainer.pid):  # Slurm kills it if it takes too long
                time.sleep(POLL)
        stop = read_note(Path(self.folder, STOP), Stop)
        if stop is not None and not stop.signal:  # asked for, and not only the trainer's answer to the signal
            return None
        again = Job(self.folder, self.processes, self.threads, self.cwd, self.environment)
        return DelayedSubmission(again)


def job_here(environment: Mapping[str, str] = os.environ) -> str:
    """The number of the job that this process belongs to; empty outside of Slurm."""
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else environment.get("SLURM_JOB_ID", "")


@dataclass(frozen=True)
class Turn:
    """Which of its nodes a job is on, as Slurm's variables say."""

    job: str
    node: int
    nodes: int
    first: str  #: address of the first node

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> Turn:
        """Of this process."""
        return cls(
            job=job_here(environment),
            node=int(environment.get("SLURM_NODEID", 0)),
            nodes=int(environment.get("SLURM_JOB_NUM_NODES", 1)),
            first=environment.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1"),
        )

    def command(self, folder: Path, processes: int) -> list[str]:
        """What trains the run in `folder` with so many processes on each node."""
        if self.nodes == 1:
            return trainer_command(folder, processes)
        low, high = PORTS
        number = int(self.job.replace("_", ""))
        return [
            *(sys.executable, "-u", "-m", "torch.distributed.run"),
            *("--nnodes", str(self.nodes), "--node-rank", str(self.node), "--nproc-per-node", str(processes)),
            *("--master-addr", self.first, "--master-port", str(low + number % (high - low))),
            *("--max-restarts", "0", "-m", "workbench.training.trainer", str(folder)),
        ]


def papers(folder: Path, job: str) -> Path:
    """Where what Slurm and submitit write lies: in the run's folder, for tasks of an array beside it."""
    return (folder.parent if "_" in job else folder) / PAPERS


def submit(jobs: Sequence[Job], *, python: str, parameters: Mapping[str, Any]) -> list[str]:
    """Put jobs into Slurm's queue; their numbers. Several become an array, whose folders lie in one folder.

    Args:
        jobs: what they do.
        python: what runs them on the nodes.
        parameters: of submitit's SlurmExecutor, for each of them.

    Raises:
        RunError: submitit is not installed, there is no Slurm here, it refuses the jobs, or it would read something
            else in the name of a folder.
    """
    try:
        import submitit
    except ImportError:
        raise RunError("runs on Slurm need submitit: pip install 'occlusion-workbench[slurm]'") from None
    first = Path(jobs[0].folder)
    home = first if len(jobs) == 1 else first.parent
    if "%" in str(home) or not str(home).isprintable():
        raise RunError(f"{home} cannot be given to Slurm, which replaces what follows a %; choose another folder")
    paths = variables(jobs[0].threads)
    try:
        executor = submitit.SlurmExecutor(home / PAPERS, max_num_timeout=TURNS, python=shlex.quote(python))
        executor.update_parameters(
            **{"job_name": home.name, "array_parallelism": len(jobs), **parameters},
            setup=[f"export {name}={shlex.quote(paths[name])}" for name in ("PYTHONPATH", "PYTHONSAFEPATH")],
            stderr_to_stdout=True,
            srun_args=["--kill-on-bad-exit=1"],
        )
        with _SUBMITTING:
            return [str(submitted.job_id) for submitted in executor.submit_array(jobs)]
    except (RuntimeError, OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise RunError(f"Slurm does not take {home}: {said or type(error).__name__}") from error


def stop(job: str, *, grace: float, ended: Callable[[], bool]) -> None:
    """Cancel a job that waits; let one that runs write a checkpoint, and cancel it after `grace` seconds.

    Raises:
        RunError: Slurm cannot be asked.
    """
    cancel(job, "--state=PENDING")
    cancel(job, f"--signal={NOTICE.name.removeprefix('SIG')}")
    if not _in_time(ended, grace):
        cancel(job)
        _in_time(ended, PATIENCE)


def cancel(job: str, *options: str) -> None:
    """Run `scancel`; what is over already stays so.

    Raises:
        RunError: there is no Slurm here, or it does not answer.
    """
    try:
        subprocess.run(["scancel", *options, job], capture_output=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        raise RunError(f"the job cannot be cancelled from here: {getattr(error, 'strerror', '') or error}") from error


def _in_time(ended: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not ended():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def _await_record(folder: Path, job: str) -> None:
    """A job may begin before who submitted it has written down its number; the trainer keeps what stands there."""
    _in_time(lambda: (record := Record.read(folder)) is not None and record.job == job, PATIENCE)


def _ignore_notice() -> None:
    """Slurm sends the notice to every process of a job; the trainer hears of it from this one."""
    signal.signal(NOTICE, signal.SIG_IGN)


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; it can be asked within a signal handler, too, and stays to be waited for."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # it was waited for
        return True
