"""A run is a folder: anything that can read it can follow, stop, resume and use the training.

The folder holds `recipe.yaml`, `environment.json`, `metrics.jsonl` (one JSON object per line), `log.txt`,
`proc.json` and `exit.json` (see `detached.py`), `checkpoints/step-*.pt`, and as they come about `stop.json`,
`error.json`, `done.json`, `detector.safetensors` and `result.json`.
"""

from __future__ import annotations

import hashlib
import html
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from tqdm.auto import tqdm

from workbench.errors import RunError, WeightsError
from workbench.training.processes import detached
from workbench.training.recipe import Recipe
from workbench.training.recording.checkpoint import checkpoint_step, checkpoints, load_checkpoint, write_record
from workbench.training.recording.fingerprint import EVALUATION, code_fingerprint
from workbench.training.recording.records import bars_are_seen

if TYPE_CHECKING:
    import pandas as pd

    from workbench.detectors.base import Detector
    from workbench.evaluation import ImageResult, Result

Status = Literal["starting", "running", "done", "stopped", "failed"]
MIXED_CODE = "mixed"  #: fingerprint of a run that was resumed with other code than it was started with


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
        self._metrics = _JsonLines(folder / "metrics.jsonl")

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """The run in a folder.

        Raises:
            RunError: there is no such folder, or it holds no run.
        """
        folder = Path(path).expanduser().absolute()
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
        """Alive: "starting" until the first metrics, then "running"; ended: "done", "stopped" or "failed"."""
        record = detached.Record.read(self.folder)
        if record is not None and detached.find(record) is not None:
            return "running" if self._logged_since(record.started) else "starting"
        if self._has("done.json"):
            return "done"
        return "stopped" if self._has("stop.json") and not self._has("error.json") else "failed"

    @property
    def alive(self) -> bool:
        """Whether a process is training this run now."""
        return detached.find(detached.Record.read(self.folder)) is not None

    @property
    def fingerprints(self) -> dict[str, str]:
        """Of what it trains ("recipe", without its test data), of the "training" and the "evaluation" code.

        That of the training code is "mixed" if it was resumed with other code.
        """
        record = detached.Record.read(self.folder)
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
            with open(self.folder / detached.LOG, errors="replace") as lines:
                return "".join(deque(lines, maxlen=max(0, n)))
        except FileNotFoundError:
            return ""

    @property
    def failure(self) -> dict[str, Any]:
        """What the trainer wrote down as it failed: kind, message, step, image_ids ...; empty if it did not."""
        return self._json("error.json")

    @property
    def error(self) -> str | None:
        """Why it failed; None unless `status` is "failed"."""
        if self.status != "failed":
            return None
        message = self.failure.get("message")
        if message:
            return str(message)
        how = detached.ending(self.folder)
        known = f" ({how})" if how else ""
        return (
            f"the process{known} ended before it could say why; killed ones have often run out of memory. "
            f"Its last lines are in {self.folder / detached.LOG} (log() shows them); resume() goes on from the last "
            "checkpoint"
        )

    @property
    def seconds(self) -> float:
        """Seconds of training: in all if done, else since the present or last process was started."""
        done = self._json("done.json")
        if "seconds" in done:
            return float(done["seconds"])
        record = detached.Record.read(self.folder)
        if record is None:
            return 0.0
        rows = self._metrics.read()
        last = time.time() if self.alive else max((row.get("time", 0.0) for row in rows[-1:]), default=0.0)
        return max(0.0, last - record.started)

    def progress(self) -> Progress:
        """Steps done and to do, and the speed over the last 50 logged lines of the present process."""
        record = detached.Record.read(self.folder)
        rows = [row for row in self._metrics.read() if row.get("kind") == "train"]
        step, total = int(rows[-1]["step"]) if rows else 0, self.recipe.steps
        recent = [row for row in rows[-50:] if record and row.get("time", 0.0) >= record.started]
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
            RunError: there is no such checkpoint, or none yet.
        """
        from workbench.detectors import build_detector, load_detector
        from workbench.hardeners import build_hardener

        final = self.folder / "detector.safetensors"
        if checkpoint is None and not hardener and final.is_file():
            return load_detector(final)
        state = load_checkpoint(self._checkpoint(checkpoint))
        own = state["detector"]
        weights = own if state["ema"] is None else state["ema"]["state"]
        kept = {name: value for name, value in weights.items() if not name.startswith("hardener.")}
        if hardener:
            kept |= {name: value for name, value in own.items() if name.startswith("hardener.")}
        player = build_hardener(self.recipe.hardener) if hardener else None
        detector = build_detector(self.recipe.detector, state["classes"], player, pretrained=False)
        detector.load_state_dict(kept)
        return detector.eval()

    @property
    def result(self) -> Result | ImageResult | None:
        """The evaluation on the recipe's test data; None before it was made (`compare` makes it)."""
        from workbench.evaluation import load_result

        path = self.folder / "result.json"
        return load_result(path) if path.is_file() else None

    def stop(self, *, grace: float = 15.0) -> Status:
        """Let it write a checkpoint and end; kill what is still alive after `grace` seconds. Returns the status."""
        record = detached.Record.read(self.folder)
        if detached.find(record) is not None:
            with suppress(RunError):  # a full disk is no reason to let it go on
                write_record(self.folder / "stop.json", {"time": time.time()})
        if record is not None:
            detached.terminate(record, grace=grace)
        return self.status

    def resume(self) -> Run:
        """Go on from the latest checkpoint, or from the start if there is none, with as many threads as before.

        Raises:
            RunError: it is alive or done.
            RecipeError: this version of the code has no such detector or hardener.
        """
        if self.alive:
            raise RunError(f"{self.folder} is alive; stop it first")
        if self._has("done.json"):
            raise RunError(f"{self.folder} is done; there is nothing to resume")
        Recipe.load(self.folder / "recipe.yaml")
        start_process(self)
        return self

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
            "status": self.status,
            "recipe": f"{self.recipe.name}, seed {self.recipe.seed}",
            "step": f"{progress.step:,} of {progress.total:,}",
            "time": f"{self.seconds:.0f} s",
            "folder": str(self.folder),
        }
        if self.error:
            facts["error"] = self.error
        cells = "".join(
            f'<tr><th scope="row" style="text-align:left">{key}</th>'
            f'<td style="text-align:left">{html.escape(value)}</td></tr>'
            for key, value in facts.items()
        )
        return f"<table><caption>{html.escape(self.name)}</caption>{cells}</table>"

    def _show(self, bar: tqdm) -> None:
        rows = self._metrics.read()
        train: dict[str, Any] = next((row for row in reversed(rows) if row.get("kind") == "train"), {})
        val: dict[str, Any] = next((row for row in reversed(rows) if row.get("kind") == "val"), {})
        figures = {"loss": train.get("loss"), "AP": val.get("AP"), "accuracy": val.get("accuracy_clean")}
        shown = {name: f"{value:.3f}" for name, value in figures.items() if value is not None}
        if not bar.n and train:  # the time to start and the steps before a resume are not its speed
            bar.initial, bar.start_t = int(train["step"]), time.time()
        bar.n = int(train.get("step", 0))
        bar.set_postfix(shown or {"status": self.status})

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

    def _has(self, name: str) -> bool:
        return (self.folder / name).is_file()

    def _json(self, name: str) -> dict:
        try:
            return json.loads((self.folder / name).read_text())
        except (OSError, ValueError, RecursionError):
            return {}

    def _logged_since(self, started: float) -> bool:
        return any(row.get("time", 0.0) >= started for row in self._metrics.read()[-1:])


def start_process(run: Run, *, environment: Mapping[str, str] | None = None) -> None:
    """Start the process of a run that is not alive, the first time or again.

    Again means: where the last one was started, with as many threads, so that the outcome is the same to the bit.

    Raises:
        RunError: something of the run is alive after all, or its folder cannot be written.
    """
    recipe, code = run.recipe, code_fingerprint()
    last = detached.Record.read(run.folder)
    if detached.find(last) is not None:  # another kernel was quicker
        raise RunError(f"{run.folder} is alive; stop it first")
    if last is not None:
        detached.terminate(last, grace=0)  # what a killed leader left behind still holds the folder's lock
    try:
        for name in ("stop.json", "error.json", detached.EXIT):
            (run.folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{run.folder} cannot be written: {error.strerror}") from error
    detached.start(
        run.folder,
        detached.trainer_command(run.folder, recipe.processes),
        threads=last.threads if last else recipe.threads or detached.core_share(recipe.processes),
        cwd=Path(last.cwd) if last else Path.cwd(),
        environment=environment or (last.environment if last else {}),
        fingerprints={
            "recipe": training_fingerprint(recipe),
            "training": code if last is None or last.fingerprints.get("training") == code else MIXED_CODE,
            "evaluation": code_fingerprint(EVALUATION),
        },
    )


def training_fingerprint(recipe: Recipe) -> str:
    """Equal for recipes that train the same weights, from the same start, whatever they are tested on."""
    own = recipe.model_copy(update={"test": None}).fingerprint()
    if recipe.start is None:
        return own
    from workbench.detectors.locate import locate  # late: following a run needs no detectors

    with suppress(WeightsError):
        start = hashlib.sha256(locate(recipe.start).read_bytes()).hexdigest()
        return hashlib.sha256(f"{own} {start}".encode()).hexdigest()[:16]
    return own  # the run will say that there is nothing to start from


class _JsonLines:
    """The rows of a growing file of JSON lines; reads only what is new since the last time. For several threads."""

    def __init__(self, path: Path):
        self._path = path
        self._lock = threading.Lock()
        self._forget()

    def read(self) -> list[dict[str, Any]]:
        """All whole rows so far; lines that are no JSON object are left out."""
        with self._lock:
            try:
                with open(self._path, "rb") as file:
                    self._follow(file)
            except FileNotFoundError:
                self._forget()
            return list(self._rows)

    def _forget(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._offset = 0  # bytes read so far
        self._last = b""  # the line just before

    def _follow(self, file: BinaryIO) -> None:
        file.seek(self._offset - len(self._last))
        if file.read(len(self._last)) != self._last:  # cut or written anew by a resume
            self._forget()
            file.seek(0)
        for line in file:
            if not line.endswith(b"\n"):
                break
            self._offset, self._last = self._offset + len(line), line
            with suppress(ValueError, RecursionError):
                row = json.loads(line)
                if isinstance(row, dict):
                    self._rows.append(row)
