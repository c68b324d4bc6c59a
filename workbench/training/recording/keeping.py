"""Which checkpoints of a run are kept: the newest, the ends of stages, and the last good one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.training.recording.checkpoint import checkpoint_path, drop_old_checkpoints, save_checkpoint
from workbench.training.recording.records import log
from workbench.training.recording.watch import Watch


class Keeping:
    """Writes checkpoints, follows the losses, and removes checkpoints that are no longer needed.

    Args:
        folder: of the run.
        keep: how many of the newest stay; None: all.
        ends: steps at which stages end; their checkpoints stay.
        active: whether this process writes files.
    """

    def __init__(self, folder: Path, *, keep: int | None, ends: set[int], active: bool):
        self.folder, self.keep, self.ends, self.active = folder, keep, ends, active
        self.watch = Watch()

    def resumed(self, step: int, watch: dict[str, Any]) -> None:
        """The run goes on from the checkpoint of this step, where the losses were watched so."""
        self.watch = Watch(**watch)
        self.watch.saved(step)

    def save(self, state: dict[str, Any]) -> None:
        """Write a checkpoint of the state.

        Raises:
            DiskError: the disk refuses.
        """
        save_checkpoint(self.folder, state | {"watch": self.watch.state()})
        self.watch.saved(state["step"])

    def look_at(self, step: int, loss: float) -> None:
        """The loss of one step: whether the training has gone astray, and which checkpoints can go."""
        before, saved = self.watch.diverges, self.watch.unproven
        self.watch.add(loss)
        if self.watch.diverges and not before:
            good = self.last_good()
            kept = f"{good[0]} is kept" if good else "there is no checkpoint from before"
            text = "the losses until step %d are over %.3g, ten times what they began with: it diverges; %s"
            log.warning(text, step, self.watch.limit, kept)
        if saved == step - 1:  # once for each checkpoint, also while the losses are too large
            self._drop_old()

    def last_good(self) -> list[str]:
        """Names of the newest checkpoints from before the training went astray, the newest first."""
        paths = [checkpoint_path(self.folder, step) for step in self.watch.last_good]
        return [path.name for path in paths if path.is_file()]

    def finish(self, step: int) -> None:
        """The run has come to its end with a checkpoint of this step."""
        if not self.watch.astray:
            self.watch.good = step
        self._drop_old()

    def _drop_old(self) -> None:
        if self.active:
            drop_old_checkpoints(self.folder, keep=self.keep, held=self.ends | {self.watch.good})
