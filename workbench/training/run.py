"""A run is a folder: anything that can read it can follow, stop, resume and use the training.

The folder holds `recipe.yaml`, `environment.json`, `metrics.jsonl` (one JSON object per line), `log.txt`,
`proc.json` and `exit.json` (see `detached.py`), `checkpoints/step-*.pt`, and as they come about `stop.json`,
`error.json`, `done.json`, `detector.safetensors` and `result.json`. What is damaged among them is passed over.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tqdm.auto import tqdm

from workbench.cards import card
from workbench.errors import RunError
from workbench.files import user_path
from workbench.training.carry import change, complete, with_data_root, with_stage
from workbench.training.places import find_place, place_of, starter
from workbench.training.processes import detached
from workbench.training.processes.lock import is_held
from workbench.training.processes.queue import JobState
from workbench.training.processes.record import Record
from workbench.training.processes.slurm import papers
from workbench.training.processes.starting import load_recorded, start_process
from workbench.training.recipe import Recipe
from workbench.training.recording.checkpoint import checkpoint_step, checkpoints, load_checkpoint_detector
from workbench.training.recording.disk import open_to_read, write_record
from workbench.training.recording.notes import DONE, ERROR, STOP, Done, Failure, read_note
from workbench.training.recording.records import bars_are_seen
from workbench.training.recording.rows import GrowingRows, last_rows

if TYPE_CHECKING:
    import pandas as pd

    from workbench.detectors.base import Detector
    from workbench.evaluation import ImageResult, Result
    from workbench.evaluation.proposal_recall import ProposalRecall

Status = Literal["queued", "starting", "running", "done", "stopped", "failed"]
ROOM = 2**20  #: bytes; a disk with less is full


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    step: int
    total: int  #: steps of all stages
    steps_per_second: float  #: over the last steps of the present process; NaN before there are two
    seconds_left: float  #: at this speed; NaN where unknown


class Run:
    """A training in a folder, alive or ended. `Run.open(path)` re-attaches from any process at any time.

    Example:
        >>> brief = {"stages.0.steps": 2, "batch_size": 2, "data.options": {"length": 8}, "log_every": 1}
        >>> recipe = wb.Recipe.load("digit-scenes/faster-rcnn").replace(brief, validation=None, test=None)
        >>> run = wb.launch(recipe, "runs/another")
        >>> again = wb.Run.open("runs/another")  # in another notebook, or tomorrow
        >>> again.wait(), again.recipe.name
        ('done', 'digit-scenes/faster-rcnn')
        >>> len(again.metrics())
        2
        >>> again.detector().classes[:3]
        ('0', '1', '2')
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._metrics = GrowingRows(folder / "metrics.jsonl")

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """The run in a folder.

        Raises:
            RunError: there is no such folder, or it holds no run.
        """
        folder = user_path(path, RunError).absolute()
        if not (folder / "recipe.yaml").is_file():
            raise RunError(f"{folder} holds no run (no recipe.yaml there)")
        return cls(folder)

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name

    @cached_property
    def recipe(self) -> Recipe:
        """What is trained; that its parts fit together was seen when the run was launched."""
        return Recipe.load(self.folder / "recipe.yaml", trial=False)

    @property
    def status(self) -> Status:
        """Alive: "starting" until the first metrics, then "running"; ended: "done", "stopped" or "failed".

        On a cluster "queued" while it waits for its turn, the first or a further one; `job` says why.
        """
        record = Record.read(self.folder)
        if detached.find(record) is None and not is_held(self.folder):
            if (job := self._job(record)) is None:
                return self._ending
            if job.waits:
                return "queued"
        return "running" if self._logged_since(record.started if record else 0.0) else "starting"

    @property
    def alive(self) -> bool:
        """Whether a process is training this run now, whoever started it."""
        record = Record.read(self.folder)
        return detached.find(record) is not None or is_held(self.folder) or self._job(record) is not None

    @property
    def job(self) -> JobState | None:
        """Where it was sent to a place: how it stands there, such as PENDING (Resources); None when it has ended.

        A queue is asked at most once in ten seconds, however many runs are looked at.
        """
        return self._job(Record.read(self.folder))

    def _job(self, record: Record | None) -> JobState | None:
        place = place_of(record)
        return None if record is None or place is None or self._done is not None else place.state(record)

    @property
    def _ending(self) -> Status:
        """How a run stands that is not alive."""
        if self._done is not None:
            return "done"
        return "stopped" if self._has(STOP) and not self._has(ERROR) else "failed"

    @property
    def fingerprints(self) -> dict[str, str]:
        """Of what it trains ("recipe", without its test data), of the "training" and the "evaluation" code.

        That of the training code is "mixed" if it was resumed with other code.
        """
        record = Record.read(self.folder)
        return record.fingerprints if record else {}

    def metrics(self) -> pd.DataFrame:
        """One row per logged line with `step`, `time` (seconds since 1970), `kind` ("train" or "val") and figures.

        Steps that were repeated after a resume appear once, as they were last. A half-written line is left out.
        """
        import pandas as pd

        rows = pd.DataFrame(self._metrics.read())
        if rows.empty:
            return pd.DataFrame({"step": pd.Series(dtype=int), "time": pd.Series(dtype=float), "kind": []})
        rows = rows.drop_duplicates(["kind", "step"], keep="last")
        return rows.sort_values("step", kind="stable", ignore_index=True)

    def log(self, n: int = 20) -> str:
        """The last `n` lines of what the process printed."""
        try:
            with open_to_read(self.folder / detached.LOG) as file:
                return "".join(deque(io.TextIOWrapper(file, "utf-8", "replace"), maxlen=max(0, n)))
        except OSError:
            return ""

    @property
    def failure(self) -> dict[str, Any]:
        """What the trainer wrote down as it failed: kind, message, step, image_ids ...; empty if it did not."""
        said = read_note(self.folder / ERROR, Failure)
        return {} if said is None else said.model_dump(exclude_unset=True)

    @property
    def error(self) -> str | None:
        """Why it failed; None unless `status` is "failed"."""
        if self.status != "failed":
            return None
        message = self.failure.get("message")
        if message:
            return str(message)
        if self._has(DONE):
            return f"{self.folder / DONE} is damaged; resume() goes on from the last checkpoint and writes it again"
        record = Record.read(self.folder)
        place = place_of(record)
        said = "" if record is None or place is None else place.ending(record)
        how = said or detached.ending(self.folder)
        sent = record is not None and record.job
        printed = f"; what Slurm printed is in {papers(self.folder, record.job)}" if record and sent else ""
        known = f" ({how})" if how else ""
        likely = "" if said else "; killed ones have often run out of memory"
        with suppress(OSError):
            if (free := shutil.disk_usage(self.folder).free) < ROOM:
                likely = f"; the disk of its folder is full ({free} bytes are free): make room"
        return (
            f"the process{known} ended before it could say why{likely}. "
            f"Its last lines are in {self.folder / detached.LOG} (log() shows them){printed}; resume() goes on from "
            "the last checkpoint"
        )

    @property
    def seconds(self) -> float:
        """Seconds of training: in all if done, else since the present or last process was started."""
        if self._done is not None:
            return self._done.seconds
        record = Record.read(self.folder)
        if record is None:
            return 0.0
        rows = self._metrics.read()
        last = time.time() if self.alive else max((row["time"] for row in rows[-1:]), default=0.0)
        return max(0.0, last - record.started)

    def progress(self) -> Progress:
        """Steps done and to do, and the speed over the last 50 logged lines of the present process."""
        record = Record.read(self.folder)
        rows = [row for row in self._metrics.read() if row["kind"] == "train"]
        step, total = rows[-1]["step"] if rows else 0, self.recipe.steps
        step = step if self._done is None else total  # also where rows were lost
        recent = [row for row in rows[-50:] if record and row["time"] >= record.started]
        speed = float("nan")
        if len(recent) > 1 and recent[-1]["time"] > recent[0]["time"]:
            speed = (recent[-1]["step"] - recent[0]["step"]) / (recent[-1]["time"] - recent[0]["time"])
        return Progress(step, total, speed, (total - step) / speed if speed > 0 else float("nan"))

    @property
    def checkpoints(self) -> list[tuple[int, Path]]:
        """(step, file) of the checkpoints that are kept, oldest first."""
        return [(checkpoint_step(path), path) for path in checkpoints(self.folder)]

    def detector(self, checkpoint: int | str | Path | None = None, *, hardener: bool = False) -> Detector:
        """The trained detector on the CPU (where a running mean of its weights was kept: the mean).

        Args:
            checkpoint: a step, "latest", or a file of `checkpoints`. None: the final weights, or while there are
                none the latest checkpoint.
            hardener: with its hardener, as that was at the checkpoint (never a mean, since training used none). The
                final weights are without one, so that None is the latest checkpoint then.

        Raises:
            RunError: there is no such checkpoint, or none yet; or it is damaged, or its weights are not finite.
            WeightsError: the file of the final weights is damaged, or they are not finite.
        """
        from workbench.detectors import load_detector

        final = self.folder / "detector.safetensors"
        if checkpoint is None and not hardener and final.is_file():
            return load_detector(final)
        return load_checkpoint_detector(self._checkpoint(checkpoint), self.recipe, hardener=hardener)

    @property
    def result(self) -> Result | ImageResult | ProposalRecall | None:
        """The evaluation on the recipe's test data; None before it was made (`compare` makes it)."""
        from workbench.evaluation import load_result

        path = self.folder / "result.json"
        return load_result(path) if path.is_file() else None

    def stop(self, *, grace: float = 15.0) -> Status:
        """Let it write a checkpoint and end; kill what is still alive after `grace` seconds. Returns the status.

        A job that waits in a queue is cancelled.

        Raises:
            RunError: it is alive, but none of the processes here is known to be its own, or this process trains it.
        """
        record = Record.read(self.folder)
        leader, place = detached.find(record), None if self.job is None else place_of(record)
        if leader is not None and leader.pid == os.getpid():
            raise RunError(
                f"{self.folder} is trained by this very process, which would end with it; interrupt the cell that "
                "trains it, or where that is a thread, let its `progress` raise an error or restart the kernel"
            )
        if leader is not None or place is not None:
            with suppress(RunError):  # a full disk is no reason to let it go on
                write_record(self.folder / STOP, {"time": time.time()})
        if record is not None and place is not None:
            place.stop(record, grace=grace)
        elif record is not None:
            detached.terminate(record, grace=grace)
        if self.alive:
            raise RunError(
                f"{self.folder} is held by a process that cannot be ended from here: it runs on another machine, or "
                "another user or program started it; stop it there"
            )
        return self.status

    def resume(
        self,
        *,
        on: str | Mapping[str, Any] | None = None,
        data_root: str | Path | Mapping[str, str | Path] | None = None,
        trust: bool = False,
    ) -> Run:
        """Go on from the latest checkpoint, or from the start if there is none, with as many threads as before.

        Args:
            on: another place than before, as in `launch`; "here" is this machine.
            data_root: where the data lie now: in place of the folder of the training data, also for the validation
                and the test; or each by itself, as {"data": ..., "test": ...}. They must be the same data.
            trust: load the plug-ins and set the variables that the folder names, though somebody else wrote it or
                they have changed. Without this word nothing is executed that a run folder asks for.

        Raises:
            RunError: it is alive or done, or asks for something that needs `trust`; the message shows what.
            RecipeError: this version of the code has no such detector or hardener.
        """
        record = Record.read(self.folder)
        if detached.find(record) is not None or self.job is not None:
            raise RunError(f"{self.folder} is alive; stop it first")
        if self._done is not None:
            raise RunError(f"{self.folder} is done; there is nothing to resume")
        place = place_of(record) if on is None else find_place(on)
        complete(self.folder)
        if data_root is not None:
            self._change(with_data_root(self.recipe, data_root))
        load_recorded(self.folder, trust=trust)
        recipe = Recipe.load(self.folder / "recipe.yaml")
        start_process(self.folder, recipe, trust=trust, start=starter(place, recipe))
        return self

    def extend(self, *, on: str | Mapping[str, Any] | None = None, trust: bool = False, **stage: Any) -> Run:
        """Train a finished run further, by one more stage: as the last one, but for what is given.

        The final weights and the result are made anew at its end. What the recipe stretches over all of its steps,
        such as how a hardener begins, goes by the new number of steps from here on.

        Args:
            on, trust: as in `resume`.
            stage: such as `steps=1000, lr=1e-4`, see the stages of a recipe.

        Raises:
            RunError: it is not done, or as `resume`.
            RecipeError: the stage is none.
        """
        if self.alive or self._done is None:
            raise RunError(f"{self.folder} is {self.status}; only a run that is done can be extended")
        self._change(with_stage(self.recipe, stage))
        return self.resume(on=on, trust=trust)

    def wait(self, timeout: float | None = None) -> Status:
        """Wait until it has ended, at most `timeout` seconds; returns the status then."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.status

    def watch(self, *, interval: float = 0.5) -> Status:
        """Follow it with a progress bar, in a cell or a terminal, until it ends; returns the status.

        Interrupting stops the watching only: the run goes on.
        """
        plain, printed = not bars_are_seen(), 0
        with tqdm(total=self.recipe.steps, desc=self.name, unit="step", disable=plain) as bar:
            try:
                while True:
                    alive = self.alive  # asked first, so that the last lines are shown after it has ended
                    self._show(bar)
                    printed = self._print_progress(printed) if plain else printed
                    if not alive:
                        break
                    time.sleep(interval)
            except KeyboardInterrupt:
                tqdm.write(f"{self.name} goes on by itself; Run.open({str(self.folder)!r}) finds it again")
        if self.error:
            tqdm.write(f"{self.name} failed: {self.error}")
        return self.status

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {self.status})"

    def _repr_html_(self) -> str:
        progress = self.progress()
        facts = {
            "status": f"{self.status}, {job}" if (job := self.job) else self.status,
            "recipe": f"{self.recipe.name}, seed {self.recipe.seed}",
            "step": f"{progress.step:,} of {progress.total:,}",
            "time": f"{self.seconds:.0f} s",
            "folder": str(self.folder),
        }
        if self.error:
            facts["error"] = self.error
        return card(self.name, facts)

    def _show(self, bar: tqdm) -> None:
        rows = self._metrics.read()
        train: dict[str, Any] = next((row for row in reversed(rows) if row["kind"] == "train"), {})
        val: dict[str, Any] = next((row for row in reversed(rows) if row["kind"] == "val"), {})
        figures = {"loss": train.get("loss"), "AP": val.get("AP"), "AUC": val.get("AUC")}
        figures["accuracy"] = val.get("accuracy_clean")
        shown = {name: f"{value:.3f}" for name, value in figures.items() if value is not None}
        if not bar.n and train:  # the time to start and the steps before a resume are not its speed
            bar.initial, bar.start_t = int(train["step"]), time.time()
        bar.n = int(train.get("step", 0))
        bar.set_postfix(shown or {"status": str(self.job or self.status)})

    def _print_progress(self, printed: int) -> int:
        """Where the output is a file: a line for every tenth of the steps; returns how many tenths were printed."""
        progress = self.progress()
        tenths = 10 * progress.step // progress.total
        if tenths > printed:
            left = f"; {progress.seconds_left / 60:.1f} minutes left" if progress.seconds_left > 0 else ""
            tqdm.write(f"{self.name}: step {progress.step:,} of {progress.total:,}{left}", file=sys.stderr)
        return tenths

    def _checkpoint(self, wanted: int | str | Path | None) -> Path:
        kept = self.checkpoints
        if not kept:
            raise RunError(f"{self.folder} has no checkpoint yet")
        if wanted is None or wanted == "latest":
            return kept[-1][1]
        if isinstance(wanted, int):
            if wanted not in dict(kept):
                steps = [step for step, _ in kept]
                raise RunError(f"{self.folder} has no checkpoint of step {wanted}; kept are {steps}")
            return dict(kept)[wanted]
        return Path(wanted)

    def _change(self, recipe: Recipe) -> None:
        change(self.folder, recipe)
        del self.recipe  # read anew

    def _has(self, name: str) -> bool:
        return (self.folder / name).is_file()

    @property
    def _done(self) -> Done | None:
        return read_note(self.folder / DONE, Done)

    def _logged_since(self, started: float) -> bool:
        return any(row["time"] >= started for row in last_rows(self._metrics.path).values())
