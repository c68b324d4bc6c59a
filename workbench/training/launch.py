"""Start a training that outlives the kernel. The recipe is checked before anything is written."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.errors import RunError
from workbench.training.places import Place, find_place, starter
from workbench.training.processes import detached
from workbench.training.processes.lock import LOCK
from workbench.training.processes.starting import Start, start_process
from workbench.training.recipe import Recipe
from workbench.training.run import Run


def launch(
    recipe: Recipe | str | Path,
    folder: str | Path | None = None,
    *,
    on: str | Mapping[str, Any] | None = None,
    processes: int | None = None,
    threads: int | None = None,
    loggers: Sequence[str | Mapping[str, Any]] | None = None,
    resume: bool = False,
    trust: bool = False,
) -> Run:
    """Train a recipe in a process of its own, which goes on when the kernel stops. Returns at once.

    Before its first step the process looks for what would stop it later: it reads a sample of the data, compares
    their classes, and evaluates two images of the validation and test data. What it finds fails the run.

    Args:
        recipe: a recipe, the name of a shipped one, or a file.
        folder: where the run is kept; by default `runs/<name>-<seed>-<time>` under the current directory, or
            under the folder that the variable WORKBENCH_RUNS names.
        on: where it trains: "slurm", "ssh:HOST" or a name in the user's file of places, see `docs/scaling.md`; with
            changes as {"place": "slurm", "nodes": 2, "gpus": 8}. None and "here" are this machine. The place must see
            the folder under the same path.
        processes: train in so many processes, on several nodes: in all; by default as the recipe says.
        threads: CPU threads of each process; by default as the recipe says, else the cores are shared out.
        loggers: where the metrics go as well: "csv", "tensorboard", "trackio", {"kind": "wandb", "project": "mine"}
            or kinds of your own; by default as the recipe says.
        resume: go on with the run of the same recipe in `folder`, or start it if there is none yet. A finished
            run is returned as it is.
        trust: when resuming, load the plug-ins and set the variables that the folder names, though somebody else
            wrote it (see `Run.resume`).

    Returns:
        The run, to follow, stop and resume it.

    Raises:
        RecipeError: the recipe is not valid.
        RunError: the folder holds a live run, another recipe or other files, or cannot be written; there is no such
            place, or it refuses.

    Example:
        >>> brief = {"stages.0.steps": 2, "batch_size": 2, "data.options": {"length": 8}}
        >>> recipe = wb.Recipe.load("digit-scenes/faster-rcnn").replace(brief, validation=None, test=None)
        >>> run = wb.launch(recipe, "runs/brief")
        >>> run.wait()
        'done'
    """
    place = find_place(on)
    recipe = prepare(recipe, processes=processes, threads=threads, loggers=loggers, place=place)
    folder = new_folder(recipe) if folder is None else Path(folder).expanduser().absolute()
    if (folder / "recipe.yaml").is_file():
        return _continue(Run.open(folder), recipe, resume=resume, on=on, trust=trust)
    return start_new(folder, recipe, start=starter(place, recipe))


def runs_folder() -> Path:
    """Where runs are kept unless a folder is named: `runs` in the current directory, or WORKBENCH_RUNS."""
    return Path(os.environ.get("WORKBENCH_RUNS") or "runs").expanduser().absolute()


def prepare(
    recipe: Recipe | str | Path,
    *,
    processes: int | None = None,
    threads: int | None = None,
    loggers: Sequence[str | Mapping[str, Any]] | None = None,
    place: Place | None = None,
) -> Recipe:
    """The recipe as it will be trained, checked against the machine.

    Args:
        processes, threads, loggers: in place of the recipe's own; None: these.
        place: that will train it; None: this machine.

    Raises:
        RecipeError: the recipe is not valid.
        RunError: there are fewer GPUs than processes.
    """
    if not isinstance(recipe, Recipe):
        recipe = Recipe.load(recipe)
    changes = {"processes": processes, "threads": threads, "loggers": loggers and [*loggers]}
    if changes := {key: value for key, value in changes.items() if value is not None}:
        recipe = recipe.replace(changes)
    if place is not None and recipe.threads is None:
        recipe = recipe.replace(threads=place.threads(recipe.processes))
    kind = recipe.device.partition(":")[0]
    if place is None and kind not in ("auto", "cpu"):
        from workbench.training.processes.world import device_count  # late, as it imports torch

        if recipe.processes > (there := device_count(kind)):
            raise RunError(f"{recipe.processes} processes need as many GPUs; there are {there}")
    return recipe


def start_new(
    folder: Path,
    recipe: Recipe,
    *,
    environment: Mapping[str, str] | None = None,
    start: Start = detached.start,
) -> Run:
    """Start a run in a new or empty folder, here or as a place does it; leave it as it was if that fails.

    Raises:
        RunError: the folder holds something, is being started by another, or cannot be written.
    """
    created = not folder.exists()
    _claim(folder)
    try:
        recipe.save(folder / "recipe.yaml")
        start_process(folder, recipe, environment=environment, start=start)
        return Run.open(folder)
    except BaseException:
        discard(folder, whole=created)
        raise


def discard(folder: Path, *, whole: bool = True) -> None:
    """Remove what is in the folder of a run that could not be started, and the folder if it is to go as a `whole`.

    Nothing is followed through a link; what cannot be removed stays, since why it failed is what is to be known.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if whole:
            folder.rmdir()


def _continue(run: Run, recipe: Recipe, *, resume: bool, on: str | Mapping[str, Any] | None, trust: bool) -> Run:
    """What to do with a folder that holds a run already."""
    if run.recipe.fingerprint() != recipe.fingerprint():
        old, new = run.recipe.to_dict(), recipe.to_dict()
        keys = ", ".join(sorted(key for key in {*old, *new} if old.get(key) != new.get(key)))
        other = f"{run.recipe.name}, seed {run.recipe.seed}"
        raise RunError(f"{run.folder} holds a run of another recipe ({other}); they differ in {keys}")
    if run.alive and not resume:
        raise RunError(f"{run.folder} holds a run that is alive; Run.open(path) follows it, .stop() ends it")
    if not resume:
        raise RunError(f"{run.folder} holds a run ({run.status}); pass resume=True or choose another folder")
    return run if run.status == "done" else run.resume(on=on, trust=trust)


def _claim(folder: Path) -> None:
    """Make an empty folder ours: of several that try at once, one can create its lock file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise RunError(f"{folder} is not empty; choose another folder")
        (folder / LOCK).open("x").close()
    except FileExistsError as error:
        what = "a run is being started there" if folder.is_dir() else "it is a file"
        raise RunError(f"{folder} cannot hold a new run: {what}") from error
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror}") from error


def new_folder(recipe: Recipe, root: Path | None = None) -> Path:
    """A folder that does not exist yet, named after recipe, seed and time, under `root` or the runs folder."""
    slug = re.sub(r"[^\w.+=-]+", "-", recipe.name).strip("-.") or "run"
    base = f"{slug}-{recipe.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = (root or runs_folder()) / base, 1
    while folder.exists():
        number += 1
        folder = folder.with_name(f"{base}-{number}")
    return folder
