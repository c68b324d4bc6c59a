"""Several processes that train one run together: started, watched and ended as one.

`python group.py N FOLDER` starts N trainers. They meet through a file in the run folder and talk over the loopback:
nothing of the run listens for other machines (torchrun's agent would, and unpickles what it finds). When one fails,
the others are ended; a signal to end goes to all of them. Stands alone and is run as a file, so that it starts
before anything else is imported.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

MEETING = "WORKBENCH_MEETING"  #: environment variable: the file through which the processes find each other
LEADER = "WORKBENCH_LEADER"  #: environment variable: pid of the process of this file
LOCK = "WORKBENCH_LOCK"  #: see `lock.py`
POLL = 0.1  #: seconds


def main(number: int, folder: str) -> int:
    """Run N trainers; 0 if all of them ended well, else 1."""
    for stale in Path(folder).glob(".meeting-*"):
        stale.unlink(missing_ok=True)
    meeting = Path(folder, f".meeting-{uuid.uuid4().hex}").absolute()
    workers: list[subprocess.Popen] = []

    def pass_on(signal_number: int, _: object) -> None:
        for worker in workers:
            worker.send_signal(signal_number)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, pass_on)
    try:
        for rank in range(number):
            workers.append(_start(rank, number, folder, meeting))
        while any(worker.poll() is None for worker in workers):
            if any(worker.poll() for worker in workers):
                return 1
            time.sleep(POLL)
        return 1 if any(worker.returncode for worker in workers) else 0
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        with contextlib.suppress(OSError):
            meeting.unlink()


def _start(rank: int, number: int, folder: str, meeting: Path) -> subprocess.Popen:
    """One trainer; the first is given the folder's lock."""
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": number, "LOCAL_WORLD_SIZE": number}
    environment = {**os.environ, **{name: str(place) for name, place in places.items()}}
    environment |= {MEETING: str(meeting), LEADER: str(os.getpid())}
    lock = environment.pop(LOCK, "")
    handed_on = [int(lock)] if rank == 0 and lock.isdecimal() else []
    if handed_on:
        environment[LOCK] = lock
    command = [sys.executable, "-u", str(Path(__file__).with_name("worker.py")), folder]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, pass_fds=handed_on)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))
