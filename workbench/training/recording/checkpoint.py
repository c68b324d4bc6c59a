"""Checkpoints that are whole or not there: written beside their place, synced to disk, then renamed.

Files are `checkpoints/step-00000500.pt` and `checkpoints/latest.json`. Each is a plain dict of tensors and numbers
that `torch.load(weights_only=True)` reads. A damaged newest file is passed over for the one before.
"""

from __future__ import annotations

import errno
import json
import logging
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from workbench.errors import RunError
from workbench.files import whole_file
from workbench.training.recipe import Recipe

if TYPE_CHECKING:  # at run time late: following a run needs no torch
    import torch

    from workbench.detectors import Detector

log = logging.getLogger("workbench.training")
VERSION = 1
ENDINGS = ("error.json", "stop.json")
OF_A_RUN = ("metrics.jsonl", "done.json", "result.json", "detector.safetensors", "recipe.yaml")


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a file that appears whole or not at all; RunError if the disk refuses."""
    try:
        with whole_file(path) as file:
            write(file)
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk as RuntimeError
        raise disk_error(path, error) from error


def write_record(path: Path, value: Any) -> None:
    """Write JSON that appears whole or not at all; what has no form in JSON is written as text.

    Raises:
        RunError: the disk refuses.
    """
    write_atomically(path, lambda file: file.write(json.dumps(value, indent=1, default=str).encode()))


class DiskError(RunError):
    """A file of a run cannot be written."""


def disk_error(path: Path, error: Exception) -> DiskError:
    """What a user can do about a file that could not be written."""
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.ENOSPC, errno.EDQUOT} or isinstance(error, RuntimeError):
        advice = "the disk (or your quota) seems full: make room"
    elif number in {errno.EACCES, errno.EPERM, errno.EROFS}:
        advice = "the folder may not be written to: change its permissions or choose another"
    else:
        advice = "mend the disk or choose another folder"
    return DiskError(f"{path} cannot be written ({error}); {advice}, then resume. Earlier checkpoints are kept.")


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies in a run folder."""
    return folder / "checkpoints" / f"step-{step:08d}.pt"


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints of a run folder, oldest first."""
    return sorted((folder / "checkpoints").glob("step-*.pt"))


def checkpoint_step(path: Path) -> int:
    """The step in a checkpoint's name."""
    return int(path.stem.removeprefix("step-"))


def save_checkpoint(folder: Path, state: dict[str, Any], *, keep: int | None, stage_ends: set[int]) -> Path:
    """Write the state after `state["step"]` steps, then remove what is neither among the newest nor a stage end."""
    import torch

    path = checkpoint_path(folder, state["step"])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(path.parent, error) from error
    write_atomically(path, lambda file: torch.save({"version": VERSION, **state}, file))
    write_record(path.parent / "latest.json", {"file": path.name, "step": state["step"]})
    older = [p for p in checkpoints(folder) if checkpoint_step(p) < state["step"]]
    for spare in older[: len(older) + 1 - keep] if keep is not None else []:
        if checkpoint_step(spare) not in stage_ends:
            _remove(spare)
    return path


def load_checkpoint(path: Path, *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read one checkpoint and check every byte of it; RunError if it is damaged."""
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise RunError(f"checkpoint {path} is damaged in {damaged}")
        state = torch.load(path, map_location=device, weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise RunError(f"checkpoint {path} cannot be read: {error}") from error
    if not isinstance(state, dict) or state.get("version") != VERSION:
        raise RunError(f"checkpoint {path} has another format than version {VERSION}")
    return state


def newest_checkpoint(folder: Path, *, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """The newest state that can be read, None if there is no checkpoint; RunError if all are damaged."""
    found = checkpoints(folder)
    for path in reversed(found):
        try:
            return load_checkpoint(path, device=device)
        except RunError as error:
            log.warning("%s; trying the one before", error)
    if found:
        raise RunError(f"no checkpoint in {folder / 'checkpoints'} can be read; delete them to start from step 0")
    return None


def load_checkpoint_detector(path: Path, recipe: Recipe, *, device: torch.device | str = "cpu") -> Detector:
    """The detector of a checkpoint, ready to use; with the running mean of the weights if the recipe keeps one."""
    from workbench.detectors import build_detector
    from workbench.hardeners import build_hardener

    state = load_checkpoint(path, device=device)
    detector = build_detector(recipe.detector, state["classes"], build_hardener(recipe.hardener), pretrained=False)
    detector.load_state_dict(state["detector"] | (state["ema"]["state"] if state["ema"] else {}))
    return detector.to(device).eval()


def last_checkpoint(folder: Path) -> str | None:
    """Name of the newest checkpoint file of a run folder, for messages."""
    found = checkpoints(folder)
    return found[-1].name if found else None


def prepare_folder(folder: Path, recipe: Recipe, *, resume: bool) -> None:
    """Make a run folder ready for a process: nothing half-written, no old ending; empty unless `resume`."""
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        for name in ENDINGS if resume else ENDINGS + OF_A_RUN:
            (folder / name).unlink(missing_ok=True)
        for path in [] if resume else (folder / "checkpoints").iterdir():
            path.unlink()
        if not (folder / "recipe.yaml").exists():
            recipe.save(folder / "recipe.yaml")
    except OSError as error:
        raise disk_error(folder, error) from error


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files of a process that was killed while it wrote."""
    for place in (folder, folder / "checkpoints"):
        for path in place.glob(".*.tmp"):
            _remove(path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be removed: %s", path, error)
