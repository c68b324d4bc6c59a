"""How a run ends when something goes wrong: `error.json` says what, where, and what to try."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.errors import RunError
from workbench.training.processes.lock import FolderLock
from workbench.training.processes.world import World
from workbench.training.recording.disk import DiskError, write_last_record
from workbench.training.recording.notes import ERROR
from workbench.training.recording.records import log
from workbench.types import Target

FAILURE_KINDS: dict[type[Exception], str] = {DiskError: "disk"}


class NonFiniteError(RunError):
    """A loss, a gradient or a weight is no longer a number; `details` go into `error.json`."""

    def __init__(self, message: str, **details: Any):
        super().__init__(message)
        self.details = details


def non_finite(
    what: str,
    *,
    step: int,
    stage: int,
    losses: dict[str, float],
    targets: list[Target],
    world: World,
    last_good: list[str],
) -> NonFiniteError:
    """The error for a step whose `what` is not finite. All processes must call this together.

    Args:
        what: "loss", "gradient" or which weight.
        step: counted from 1.
        stage: index of its stage.
        losses: of this process.
        targets: of its images.
        world: of all processes.
        last_good: names of the newest checkpoints from before that and from before a divergence; the first process's
            count.

    Returns:
        The error, to be raised.
    """
    ids = [_plain_id(target.get("image_id")) for target in targets]
    shares = world.gather({"losses": losses, "image_ids": ids, "last_good": last_good})
    last_good = shares[0]["last_good"]
    image_ids = [image_id for share in shares for image_id in share["image_ids"]]
    values = [(name, value) for share in shares for name, value in share["losses"].items() if name != "total"]
    bad = sorted({name for name, value in values if not math.isfinite(value)})
    parts = f" ({', '.join(bad)})" if bad else ""
    message = (
        f"the {what} is not finite at step {step}{parts}. Try a lower learning rate or optimizer.grad_clip, run "
        f"doctor(recipe), and look at the images {image_ids}. "
        + (f"The last good checkpoint is {last_good[0]}" if last_good else "There is no good checkpoint")
        + (f"; {last_good[1]} before it is kept, too." if len(last_good) > 1 else ".")
    )
    return NonFiniteError(
        message,
        step=step,
        stage=stage,
        losses=[{name: _number(value) for name, value in share["losses"].items()} for share in shares],
        image_ids=image_ids,
        last_checkpoint=last_good[0] if last_good else None,
    )


def _plain_id(image_id: Any) -> int | str | None:
    """An id as JSON has it."""
    return image_id if image_id is None or isinstance(image_id, int | str) else str(image_id)


def _number(value: float) -> float | str:
    """JSON knows no NaN and no infinity."""
    return value if math.isfinite(value) else str(value)


@contextlib.contextmanager
def errors_recorded(folder: Path, lock: FolderLock | None) -> Iterator[None]:
    """Write `error.json`, once: with several processes the first error is the cause of the others.

    Raises:
        LostFolderError: something failed in a folder that is another now; nothing is written there.
    """
    try:
        yield
    except Exception as error:
        if lock is not None:
            lock.check()
        if not (folder / ERROR).exists():
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
        content = {"kind": kind, "message": str(error), "time": time.time(), **details}
        write_last_record(folder / ERROR, content)
    except DiskError as second:  # the first error matters more
        log.error("%s", second)
