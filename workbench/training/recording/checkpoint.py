"""Checkpoints that are whole or not there: written beside their place, synced to disk, then renamed.

Files are `checkpoints/step-00000500.pt`. Each is a plain dict of tensors and numbers that
`torch.load(weights_only=True)` reads, followed by a checksum of all its bytes. A damaged newest file is passed over
for the one before.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Collection
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from workbench.errors import RunError
from workbench.files import MARK, is_as_written
from workbench.training.recording.disk import DiskError, disk_error, keep_reserve, open_to_read, write_atomically

if TYPE_CHECKING:  # at run time late: following a run needs no torch
    import torch
    from torch import nn

    from workbench.detectors import Detector
    from workbench.training.recipe import Recipe

log = logging.getLogger("workbench.training")
VERSION = 2  #: 1 had no checksum, and the hardener's extra state apart from the detector's
ENDINGS = ("error.json", "stop.json", "exit.json")
OF_A_RUN = ("metrics.jsonl", "done.json", "result.json", "result-source.json", "detector.safetensors", "recipe.yaml")


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies in a run folder."""
    return folder / "checkpoints" / f"step-{step:08d}.pt"


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints of a run folder, oldest first."""
    found = (folder / "checkpoints").glob("step-*.pt")
    return sorted((path for path in found if path.stem.removeprefix("step-").isdecimal()), key=checkpoint_step)


def checkpoint_step(path: Path) -> int:
    """The step in a checkpoint's name."""
    return int(path.stem.removeprefix("step-"))


def save_checkpoint(folder: Path, state: dict[str, Any]) -> Path:
    """Write the state after `state["step"]` steps into a run folder; its path.

    Raises:
        DiskError: the disk refuses.
    """
    import torch

    def write(file: IO[bytes]) -> None:
        hashed = _Hashed(file)
        torch.save({"version": VERSION, **state}, hashed)
        file.write(MARK + hashed.digest.hexdigest().encode())

    path = checkpoint_path(folder, state["step"])
    write_atomically(path, write)
    return path


def drop_old_checkpoints(folder: Path, *, keep: int | None, held: Collection[int | None] = ()) -> None:
    """Remove the checkpoints that are neither among the newest `keep` (None: all) nor of the steps in `held`."""
    for path in checkpoints(folder)[:-keep] if keep is not None else []:
        if checkpoint_step(path) not in held:
            _remove(path)


class _Hashed(io.RawIOBase):
    """A file that is written from front to back, and the checksum of what was."""

    def __init__(self, file: IO[bytes]):
        self.file, self.digest = file, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.digest.update(content)
        return self.file.write(content)


def load_checkpoint(path: Path, *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read one checkpoint and check every byte of it.

    Raises:
        RunError: it is damaged, or something else.
    """
    import torch

    try:
        with open_to_read(path) as file:
            checked = is_as_written(file)
        if checked is False:
            raise ValueError("it is damaged: its checksum is another")
        state = torch.load(path, map_location=device, weights_only=True)
        version = state.get("version") if isinstance(state, dict) else None
        if version not in (1, VERSION):
            raise ValueError(f"it has another format than versions 1 to {VERSION} of this workbench")
        if checked is None and version != 1:
            raise ValueError("it is damaged: its checksum is missing")
        return state if version == VERSION else _of_version_1(state)
    except Exception as error:  # the parsers below raise errors of many kinds for damaged bytes
        said = error.strerror if isinstance(error, OSError) else error
        raise RunError(f"checkpoint {path} cannot be read: {said or type(error).__name__}") from error


def _of_version_1(state: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint of version 1 as one of today: what hardeners kept, those of a chain by place, is extra state."""
    kept = state.pop("hardener", {})
    chained = {f"hardener.hardeners.{place}": part for place, part in kept.items() if isinstance(part, dict)}
    for name, part in (chained or {"hardener": kept}).items():
        if part:
            state["detector"].setdefault(f"{name}._extra_state", part)
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


def restore_detector(detector: nn.Module, weights: dict[str, Any], path: Path | str) -> None:
    """Give a detector the weights of a checkpoint.

    Raises:
        RunError: they do not fit, or are not finite.
    """
    from workbench.detectors.load import not_finite

    missing = {key: value for key, value in detector.state_dict().items() if key.endswith("_extra_state")}
    try:
        detector.load_state_dict(missing | weights)  # version 1 wrote none that was empty
    except (RuntimeError, KeyError, TypeError) as error:
        said = " ".join(str(error).split())
        raise RunError(f"{path} does not fit the recipe's detector; this code builds another: {said}") from error
    if bad := not_finite(detector.state_dict()):
        raise RunError(f"{path} holds values in {bad} that are not finite; use an earlier checkpoint")


def load_checkpoint_detector(path: Path, recipe: Recipe, *, hardener: bool = False) -> Detector:
    """The detector of a checkpoint on the CPU, ready to use; with the running mean of the weights if one was kept.

    Args:
        path: of the checkpoint.
        recipe: of the run.
        hardener: with its hardener, as that was then (never a mean, since training used none).

    Raises:
        RunError: the checkpoint is damaged, or does not fit the recipe.
    """
    from workbench.detectors import build_detector
    from workbench.hardeners import build_hardener

    state = load_checkpoint(path)
    own = state["detector"]
    weights = own if state["ema"] is None else state["ema"]["state"]
    kept = {name: value for name, value in weights.items() if not name.startswith("hardener.")}
    if hardener:
        kept |= {name: value for name, value in own.items() if name.startswith("hardener.")}
    player = build_hardener(recipe.hardener) if hardener else None
    detector = build_detector(recipe.detector, state["classes"], player, pretrained=False)
    restore_detector(detector, kept, path)
    return detector.eval()


def last_checkpoint(folder: Path) -> str | None:
    """Name of the newest checkpoint file of a run folder, for messages."""
    found = checkpoints(folder)
    return found[-1].name if found else None


def prepare_folder(folder: Path, recipe: Recipe, *, resume: bool) -> None:
    """Make a run folder ready for a process: nothing half-written, no old ending; empty unless `resume`.

    Raises:
        DiskError: the disk refuses, or the checkpoints are a link.
    """
    if (folder / "checkpoints").is_symlink():  # which may lead to the checkpoints of another run
        raise DiskError(
            f"{folder / 'checkpoints'} is a link, and a run writes only into its own folder; put a folder there"
        )
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        for name in ENDINGS if resume else ENDINGS + OF_A_RUN:
            (folder / name).unlink(missing_ok=True)
        for path in [] if resume else checkpoints(folder):
            path.unlink()
        if not (folder / "recipe.yaml").exists():
            recipe.save(folder / "recipe.yaml")
        keep_reserve(folder)
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
