"""What Slurm says of the user's jobs: asked for all of them at once, and not oftener than a controller bears."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

INTERVAL = 10.0  #: seconds between two questions, however many runs are looked at
PATIENCE = 30.0  #: seconds to wait for an answer
#: States of a job that is over; one that Slurm does not know any more is, too.
ENDED = frozenset({
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED",
    "TIMEOUT",
})  # fmt: skip
WAITING = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SUSPENDED"}
)
_TASKS = re.compile(r"(\d+)(?:-(\d+))?(?::(\d+))?")  #: 3 or 5-9 or 5-9:2
UNKNOWN = "UNKNOWN"  #: the state of a job while Slurm cannot be asked


class JobState(NamedTuple):
    """How a job stands."""

    state: str  #: Slurm's word: PENDING, RUNNING, COMPLETING ...
    reason: str = ""  #: why it waits or ended

    @property
    def alive(self) -> bool:
        """Whether it waits or runs, as far as is known."""
        return self.state not in ENDED

    @property
    def waits(self) -> bool:
        """Whether it waits for its turn."""
        return self.state in WAITING

    def __str__(self) -> str:
        return f"{self.state} ({self.reason})" if self.reason else self.state


def squeue() -> str:
    """The user's jobs, one a line: number, state and reason; those of arrays each by itself.

    Raises:
        OSError: there is no Slurm here.
        subprocess.SubprocessError: it does not answer.
    """
    user = f"--user={os.getuid()}"
    command = ["squeue", user, "--array", "--states=all", "--noheader", "--format=%i|%T|%r"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout


def parse(text: str) -> dict[str, JobState]:
    """Number → state of what `squeue` printed; other lines are passed over."""
    rows = [line.strip().split("|", 2) for line in text.splitlines()]
    return {
        number: JobState(row[1], "" if row[2] == "None" else row[2])
        for row in rows
        if len(row) == 3
        for number in _numbers(row[0])
    }


def _numbers(text: str) -> Iterator[str]:
    """The jobs that one line is about: 17, 17_3, or tasks of an array that wait together, such as 17_[3,5-9%2]."""
    array, bracket, tasks = text.partition("_[")
    if not bracket:
        yield text
    for first, last, step in _TASKS.findall(tasks.partition("%")[0]):
        yield from (f"{array}_{task}" for task in range(int(first), int(last or first) + 1, int(step or 1)))


class Queue:
    """The answers to `ask`, kept for INTERVAL seconds. For several threads.

    Args:
        ask: gives what `squeue` prints.
        clock: gives the time, in seconds since 1970.
    """

    def __init__(self, ask: Callable[[], str] = squeue, clock: Callable[[], float] = time.time):
        self._ask, self._clock = ask, clock
        self._lock = threading.Lock()
        self._asked, self._states, self._error = 0.0, dict[str, JobState](), ""

    def look_up(self, job: str, *, submitted: float, age: float = INTERVAL) -> JobState | None:
        """How a job stands; None when Slurm does not know it any more.

        Args:
            job: its number.
            submitted: when, in seconds since 1970; one of after the last answer waits.
            age: seconds that the answer may be old.
        """
        with self._lock:
            if self._clock() - self._asked >= age:
                self._refresh()
            state = self._states.get(job)
            if state is None and submitted >= self._asked:
                return JobState("PENDING")
            return JobState(UNKNOWN, self._error) if state is None and self._error else state

    def _refresh(self) -> None:
        self._asked = self._clock()
        try:
            self._states, self._error = parse(self._ask()), ""
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", "") or getattr(error, "strerror", "") or str(error)
            self._error = f"squeue cannot be asked: {' '.join(str(said).split())}"


JOBS = Queue()
