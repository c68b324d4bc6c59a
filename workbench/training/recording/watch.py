"""Whether a training has gone astray: which checkpoint is the last good one."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Any

FACTOR = 10.0  #: times the loss that a stage began with: beyond, the training has gone astray
WINDOW = 10  #: steps that are looked at together


class Watch:
    """Follows the loss of each step, and with it which checkpoint to go back to.

    A checkpoint is good once the step after it had a loss as it should be, and so had the steps before: a step can
    ruin the weights without that its own loss, which was computed before, shows it. Losses are held against the
    largest that a stage began with.

    Args:
        reference: that loss.
        recent: of the last steps.
        good: step of the newest good checkpoint; None: there is none yet.
    """

    def __init__(
        self,
        *,
        reference: float = 0.0,
        recent: list[float] | None = None,
        good: int | None = None,
    ):
        self.reference, self.good = reference, good
        self.unproven: int | None = None  # step of a checkpoint whose next step is still to come
        self.recent: deque[float] = deque(recent or [], WINDOW)
        self.begins = False

    def begin_stage(self) -> None:
        """The next step is the first of a stage."""
        self.begins = True

    def saved(self, step: int) -> None:
        """There is a checkpoint of this step."""
        self.unproven = step

    def add(self, loss: float) -> None:
        """The loss of one step, which is finite."""
        if self.begins:
            self.reference, self.begins = max(self.reference, loss), False
        self.recent.append(loss)
        if self.unproven is not None and not self.astray:
            self.good, self.unproven = self.unproven, None

    @property
    def limit(self) -> float:
        """The largest loss that is as it should be; none where losses may be negative."""
        return FACTOR * self.reference if self.reference > 0 else float("inf")

    @property
    def astray(self) -> bool:
        """Whether one of the last steps had a loss that is too large."""
        return max(self.recent, default=0.0) > self.limit

    @property
    def last_good(self) -> list[int]:
        """Steps of the newest checkpoints that nothing speaks against, the newest first."""
        newest = None if self.astray else self.unproven
        return [step for step in (newest, self.good) if step is not None]

    @property
    def diverges(self) -> bool:
        """Whether most of the last steps had a loss that is too large."""
        return len(self.recent) == WINDOW and median(self.recent) > self.limit

    def state(self) -> dict[str, Any]:
        """Arguments that make an equal one, for a checkpoint."""
        return {"reference": self.reference, "recent": list(self.recent), "good": self.good}
