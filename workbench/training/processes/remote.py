"""Another machine that shares the run folders, asked through the system's ssh.

`ssh HOST python -m workbench.training.processes.remote` reads one request as JSON from its input and prints one
answer. So nothing of a run stands on a command line there, where a shell would read it.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import RunError, WorkbenchError

PATIENCE = 60.0  #: seconds for an answer, beside what was asked for


def ask(
    host: str,
    python: Sequence[str],
    request: Mapping[str, Any],
    *,
    options: Sequence[str] = (),
    patience: float = PATIENCE,
) -> Any:
    """The answer of `answer(request)` on another machine.

    Args:
        host: as ssh knows it.
        python: the command that runs Python there.
        request: what is asked, as JSON has it.
        options: further arguments of ssh.
        patience: seconds to wait.

    Raises:
        RunError: the machine cannot be reached, or refuses with a reason.
    """
    there = shlex.join([*python, "-m", "workbench.training.processes.remote"])  # ssh gives one text to a shell
    command = ["ssh", "-T", "-o", "BatchMode=yes", *options, "--", host, there]
    try:
        done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, timeout=patience)
    except (OSError, subprocess.SubprocessError) as error:
        raise RunError(f"{host} cannot be asked through ssh: {getattr(error, 'strerror', '') or error}") from error
    try:
        answered = json.loads(done.stdout.rstrip().rpartition("\n")[2])  # what a login prints stands before it
        said, refusal = answered["answer"], answered["error"]
    except (ValueError, KeyError, TypeError):
        said = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
        raise RunError(f"{host} does not answer through ssh (exit status {done.returncode}): {said}") from None
    if refusal:
        raise RunError(f"{host}: {refusal}")
    return said


def answer(request: Mapping[str, Any]) -> Any:
    """Start a run of this machine, say whether it is alive, or stop it and say how it stands.

    Raises:
        RunError: the folder is not shared with this machine; or as `start_process` and `Run.stop` do.
    """
    from workbench.training.processes import detached
    from workbench.training.processes.lock import is_held
    from workbench.training.processes.record import Record

    what, folder = request["do"], Path(request["folder"])
    if not (folder / "recipe.yaml").is_file():
        raise RunError(f"{folder} holds no run here; the machines must share this folder")
    record = Record.read(folder)
    if what == "start":
        return detached.start(folder, **request["with"] | {"cwd": Path(request["with"]["cwd"])})
    if what == "stop" and record is not None:
        detached.terminate(record, grace=request["grace"])
    return detached.find(record) is not None or is_held(folder)


def main() -> None:
    """One request, one answer."""
    try:
        said = {"answer": answer(json.load(sys.stdin)), "error": ""}
    except (WorkbenchError, OSError) as error:
        said = {"answer": None, "error": str(error)}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
