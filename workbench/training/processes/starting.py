"""Start the process of a run, the first time or again; nothing that its folder names is executed unasked.

A folder may come from somebody else, and its `proc.json` may name plug-ins and variables. They are followed if the
record carries the seal of the present user and the plug-ins are as they were, or by the user's word (`trust`).
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from workbench.errors import RunError, WeightsError
from workbench.plugins import VARIABLE, is_source, named_plug_ins, plug_in, plugged_in, source_hash
from workbench.training.processes import detached
from workbench.training.processes.record import Record
from workbench.training.processes.slurm import job_here
from workbench.training.recipe import Recipe
from workbench.training.recording.disk import disk_error
from workbench.training.recording.fingerprint import EVALUATION, code_fingerprint
from workbench.training.recording.notes import ERROR, EXIT, STOP

MIXED_CODE = "mixed"  #: fingerprint of a run that was resumed with other code than it was started with
#: What a record of anybody may set, and what it may be set to: nothing of it is executed.
HARMLESS = {"CUDA_VISIBLE_DEVICES": re.compile(r"[\w,.:/-]*")}


#: How a run's process is started, and recorded: with the arguments of `detached.start`.
Start = Callable[..., None]


def start_process(
    folder: Path,
    recipe: Recipe,
    *,
    environment: Mapping[str, str] | None = None,
    trust: bool = False,
    start: Start = detached.start,
) -> None:
    """Start the process of a run that is not alive.

    Again means: where the last one was started, with as many threads, so that the outcome is the same to the bit. (In
    a folder from somebody else: in the current directory.)

    Args:
        folder: of the run.
        recipe: what its `recipe.yaml` holds.
        environment: variables to set; None: as the last time.
        trust: follow what the folder's record names, whoever wrote it.
        start: here, or as a place does it.

    Raises:
        RunError: something of the run is alive after all, its record asks for what needs the user's word, or its
            folder cannot be written.
    """
    last = Record.read(folder)
    if detached.find(last) is not None:  # another kernel was quicker
        raise RunError(f"{folder} is alive; stop it first")
    load_recorded(folder, trust=trust)
    if last is not None and last.own:
        detached.terminate(last, grace=0)  # what a killed leader left behind still holds the folder's lock
    try:
        for name in (STOP, ERROR, EXIT):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(folder, error) from error
    cwd = Path(last.cwd) if last is not None and (last.own or trust) else Path.cwd()
    start(
        folder,
        recipe.processes,
        threads=last.threads if last else recipe.threads or detached.core_share(recipe.processes),
        cwd=cwd if cwd.is_dir() else Path.cwd(),
        environment=_recorded_environment(last, trust=trust) if environment is None else environment,
        plug_ins=plugged_in(),
        fingerprints=fingerprints(recipe, last),
    )


def load_recorded(folder: Path, *, trust: bool = False) -> None:
    """Plug in what a run was started with and is not loaded here.

    Raises:
        RunError: the record is not the user's own or a plug-in has changed, and `trust` is not given. The message
            shows the files with their checksums, and variables that would be set.
    """
    record = Record.read(folder)
    if record is None:
        return
    named = {name: about.get("file", name) for name, about in record.plug_ins.items()}
    named |= {name: name for name in named_plug_ins(record.environment.get(VARIABLE, "")) if name not in named}
    missing = {name: file for name, file in named.items() if name not in plugged_in()}
    hashes = {name: source_hash(Path(file)) for name, file in missing.items()}
    hashes |= {name: "" for name, file in missing.items() if not is_source(name, file)}
    unchanged = all(record.plug_ins.get(name, {}).get("sha256") == now for name, now in hashes.items())
    if trust or (record.own and unchanged):
        plug_in(*missing)
        return
    asked = [f"plug-in {file} (sha256 {hashes[name] or 'unknown'})" for name, file in missing.items()]
    foreign = {} if record.own else record.environment
    asked += [f"variable {name}={value!r}" for name, value in foreign.items() if not _is_harmless(name, value)]
    if asked:
        why = "which changed since it was started" if record.own else "by a record that another user or program wrote"
        raise RunError(
            f"to go on, {folder} asks for what would be executed, {why}:\n  "
            + "\n  ".join(asked)
            + "\nLook at it first. Then load plug-ins yourself with workbench.plug_in(...), or give your word: "
            "resume(trust=True), launch(..., trust=True), or --trust on the command line"
        )


def _recorded_environment(record: Record | None, *, trust: bool) -> dict[str, str]:
    """What to set as the last time; plug-ins go to the process in the variable of this one."""
    recorded = {} if record is None else record.environment
    known = trust or (record is not None and record.own)
    return {n: value for n, value in recorded.items() if n != VARIABLE and (known or _is_harmless(n, value))}


def _is_harmless(name: str, value: str) -> bool:
    return name == VARIABLE or (name in HARMLESS and HARMLESS[name].fullmatch(value) is not None)


def record_itself(folder: Path, recipe: Recipe, *, command: list[str], threads: int) -> None:
    """Record this process as the one that trains in `folder`: nobody else did, or only that a job would.

    Raises:
        DiskError: the disk refuses.
    """
    process, last = psutil.Process(), Record.read(folder)
    sent = last if last is not None and last.job and last.job == job_here() else None
    Record(
        folder=os.path.realpath(folder),
        pid=process.pid,
        create_time=process.create_time(),
        cmd=command,
        started=time.time(),
        token="",
        cwd=str(Path.cwd()),
        threads=threads,
        plug_ins=plugged_in(),
        fingerprints=fingerprints(recipe, last),
        environment=sent.environment if sent else {},
        place=sent.place if sent else {},
        job=sent.job if sent else "",
    ).write(folder)


def fingerprints(recipe: Recipe, last: Record | None) -> dict[str, str]:
    """Of what is about to train: "recipe" without its test data, "training" and "evaluation" code."""
    code = code_fingerprint()
    return {
        "recipe": training_fingerprint(recipe),
        "training": code if last is None or last.fingerprints.get("training") == code else MIXED_CODE,
        "evaluation": code_fingerprint(EVALUATION),
    }


def training_fingerprint(recipe: Recipe) -> str:
    """Equal for recipes that train the same weights, from the same start, whatever they are tested on."""
    own = recipe.model_copy(update={"test": None}).fingerprint()
    if recipe.start is None:
        return own
    from workbench.detectors.locate import locate  # late: following a run needs no detectors

    with suppress(WeightsError, OSError):
        start = hashlib.sha256(locate(recipe.start).read_bytes()).hexdigest()
        return hashlib.sha256(f"{own} {start}".encode()).hexdigest()[:16]
    return own  # the run will say that there is nothing to start from
