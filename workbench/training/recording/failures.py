"""How a run ends when something goes wrong: `error.json` says what, where, and what to try."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.errors import RunError
from workbench.training.processes.world import World
from workbench.training.recording.checkpoint import DiskError, last_checkpoint, write_record
from workbench.training.recording.records import log
from workbench.types import Target

FAILURE_KINDS: dict[type[Exception], str] = {DiskError: "disk"}


class NonFiniteError(RunError):
    """A loss or a gradient is no longer a number; `details` go into `error.json`."""

    def __init__(self, message: str, **details: Any):
        super().__init__(message)
        self.details = details


def non_finite(
    what: str, *, step: int, stage: int, losses: dict[str, float], targets: list[Target], world: World, folder: Path
) -> NonFiniteError:
    """The error for a step whose `what` is not finite. All processes must call this together."""
    ids = [target.get("image_id") for target in targets]
    shares = world.gather({"losses": losses, "image_ids": ids})
    image_ids = [image_id for share in shares for image_id in share["image_ids"]]
    values = [(name, value) for share in shares for name, value in share["losses"].items() if name != "total"]
    bad = sorted({name for name, value in values if not math.isfinite(value)})
    kept = last_checkpoint(folder)
    parts = f" ({', '.join(bad)})" if bad else ""
    message = (
        f"the {what} is not finite at step {step}{parts}. Try a lower learning rate or optimizer.grad_clip, run "
        f"doctor(recipe), and look at the images {image_ids}. "
        + (f"The last good checkpoint is {kept}." if kept else "There is no checkpoint yet.")
    )
    return NonFiniteError(
        message,
        step=step,
        stage=stage,
        losses=[{name: _number(value) for name, value in share["losses"].items()} for share in shares],
        image_ids=image_ids,
        last_checkpoint=kept,
    )


def _number(value: float) -> float | str:
    """JSON knows no NaN and no infinity."""
    return value if math.isfinite(value) else str(value)


@contextlib.contextmanager
def errors_recorded(folder: Path) -> Iterator[None]:
    """Write `error.json`, once: with several processes the first error is the cause of the others."""
    try:
        yield
    except Exception as error:
        if not (folder / "error.json").exists():
            _write_error(folder, error)
        raise


def _write_error(folder: Path, error: Exception) -> None:
    details = error.details if isinstance(error, NonFiniteError) else {}
    kind = (
        "non-finite-loss"
        if isinstance(error, NonFiniteError)
        else FAILURE_KINDS.get(type(error), type(error).__name__)
    )
    log.error("%s: %s", kind, error)
    try:
        write_record(folder / "error.json", {"kind": kind, "message": str(error), "time": time.time(), **details})
    except DiskError as second:  # the first error matters more
        log.error("%s", second)
