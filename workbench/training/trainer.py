"""Train in this process: `python -m workbench.training.trainer FOLDER`, which `launch` starts, or `train(...)`.

Whoever starts it, the folder is this process's own while it trains. What happens in a step is in
`stepping/training.py`.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from workbench.errors import RunError, WorkbenchError
from workbench.plugins import load_plug_ins
from workbench.training.processes.lock import FolderLock, follow, hold
from workbench.training.processes.starting import record_itself
from workbench.training.processes.world import StopSignal, die_with_torchrun, join_world, rank_here
from workbench.training.recipe import Recipe
from workbench.training.recording import checkpoint
from workbench.training.recording.failures import errors_recorded
from workbench.training.recording.notes import DONE, Done, read_note
from workbench.training.recording.records import MetricsCallback, log, log_to
from workbench.training.stepping.allocator import keep_memory
from workbench.training.stepping.training import Training


def train(
    recipe: Recipe, folder: str | Path, *, resume: bool = True, progress: MetricsCallback | None = None
) -> bool:
    """Train `recipe` in this process and write everything into `folder`; True when it was finished.

    Args:
        resume: go on from the newest checkpoint in `folder`; False deletes what is there and starts anew.
        progress: called with every row of metrics.

    Returns:
        Whether it was finished; False if a signal stopped it.

    Raises:
        RunError: another process trains there, the data do not fit, a loss or weight is not finite, the disk refuses,
            or the folder holds a run of another recipe. `error.json` says the same, and the last good checkpoint is
            kept.
    """
    folder = Path(folder)
    with _held(folder) as lock:
        return _train(recipe, folder, lock, resume=resume, progress=progress)


def _held(folder: Path) -> contextlib.AbstractContextManager[FolderLock | None]:
    """The folder's lock, which the first of several processes has for all."""
    return hold(folder) if rank_here() == 0 else contextlib.nullcontext()


def _train(
    recipe: Recipe,
    folder: Path,
    lock: FolderLock | None,
    *,
    resume: bool = True,
    progress: MetricsCallback | None = None,
    command: list[str] | None = None,
) -> bool:
    keep_memory()
    with StopSignal() as stop, join_world(recipe) as world:
        if lock is not None:
            checkpoint.prepare_folder(folder, recipe, resume=resume)
            if not lock.inherited:
                record_itself(folder, recipe, command=command or [], threads=world.threads)
        world.wait()
        with (
            contextlib.nullcontext(lock) if lock is not None else follow(folder) as lock,
            log_to(folder, active=world.first),
            errors_recorded(folder, lock),
        ):
            if read_note(folder / DONE, Done) is not None:
                log.info("this run is done; nothing is left to do")
                return True
            return Training(recipe, folder, world, lock, progress).run(stop)


def main(arguments: list[str] | None = None) -> int:
    """Train the recipe in a run folder. 0 when finished or stopped in an orderly way, 1 after an error."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: python -m workbench.training.trainer FOLDER", file=sys.stderr)
        return 2
    die_with_torchrun()
    folder = Path(arguments[0])
    try:
        if not (folder / "recipe.yaml").is_file():
            raise RunError(f"{folder} holds no run (no recipe.yaml there)")
        with _held(folder) as lock, errors_recorded(folder, lock):
            load_plug_ins()
            recipe = Recipe.load(folder / "recipe.yaml")
            _train(recipe, folder, lock, command=sys.orig_argv)
    except WorkbenchError as error:
        with contextlib.suppress(OSError):  # the disk of the log is full
            print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
