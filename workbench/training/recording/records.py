"""What a run writes down: metrics as JSON lines, the log, a bar."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tqdm.asyncio import tqdm_asyncio as terminal_bar
from tqdm.auto import tqdm

from workbench.training.loggers.base import Loggers
from workbench.training.recipe import Recipe
from workbench.training.recording.disk import disk_error, open_to_append, write_atomically
from workbench.training.recording.rows import read_rows

log = logging.getLogger("workbench.training")
MetricsCallback = Callable[[dict[str, Any]], None]  #: called with every row of metrics
IN_LOG = (
    "loss", "AP", "AP_unoccluded", "AP_occluded", "AUC", "AR100_unoccluded", "AR100_occluded",
    "accuracy_clean", "accuracy_occluded", "lr", "steps_per_s",
)  # fmt: skip


class Meter:
    """Sums of named numbers over the steps since the last row; part of a checkpoint."""

    def __init__(self, sums: dict[str, float] | None = None, steps: int = 0):
        self.sums, self.steps = dict(sums or {}), steps

    def add(self, values: dict[str, float]) -> None:
        """Count one step."""
        self.steps += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def take(self) -> dict[str, float]:
        """Means over the steps counted, and start anew."""
        means = {name: value / self.steps for name, value in self.sums.items()}
        self.sums, self.steps = {}, 0
        return means

    def state(self) -> dict[str, Any]:
        """Arguments that make an equal meter."""
        return {"sums": dict(self.sums), "steps": self.steps}


class Journal:
    """`metrics.jsonl`: one JSON object per line, each step's rows once, also after a crash and resume.

    Rows go to the log, to the loggers of the `recipe` and to `progress` as well. Only the first process of a run is
    `active`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        after_step: int,
        recipe: Recipe | None = None,
        progress: MetricsCallback | None = None,
        active: bool = True,
    ):
        self.path, self.progress, self.active = folder / "metrics.jsonl", progress, active
        logged_step = _drop_rows_after(self.path, after_step) if active else 0
        plain = recipe.to_dict() if recipe is not None and active else {}
        given = (folder, plain, after_step, logged_step)
        self.loggers = Loggers(plain.get("loggers", ()), *given, warn=log.warning)

    def write(self, step: int, kind: str, values: dict[str, Any]) -> None:
        """Append one row; it is in the file when this returns."""
        if not self.active:
            return
        row = {"step": step, "time": time.time(), "kind": kind, **without_nan(values)}
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise disk_error(self.path, error) from error
        shown = (f"{name} {row[name]:.4g}" for name in IN_LOG if row.get(name) is not None)
        log.info("%s %d: %s", kind, step, ", ".join(shown))
        self.loggers.write(row)
        if self.progress is not None:
            self.progress(row)

    def close(self) -> None:
        """No more rows come."""
        self.loggers.close()


def _drop_rows_after(path: Path, step: int) -> int:
    """A resumed run writes the rows of later steps again; the last step that there was."""
    rows = read_rows(path)
    kept = "".join(json.dumps(row) + "\n" for row in rows if row["step"] <= step)
    write_atomically(path, lambda file: file.write(kept.encode()))
    return max((row["step"] for row in rows), default=0)


@contextlib.contextmanager
def log_to(folder: Path, *, active: bool = True) -> Iterator[None]:
    """Let the training log go to `log.txt` while this is open (and to stderr, if that is something else)."""
    if not active:
        yield
        return
    path = folder / "log.txt"
    handlers: list[logging.Handler] = []
    with contextlib.ExitStack() as files:
        if not _is_stderr(path):
            try:
                file = files.enter_context(io.TextIOWrapper(open_to_append(path), "utf-8", write_through=True))
            except OSError as error:
                raise disk_error(path, error) from error
            handlers.append(logging.StreamHandler(file))
        if _is_stderr(path) or sys.stderr.isatty():
            handlers.append(logging.StreamHandler())
        with _handled_by(handlers):
            yield


@contextlib.contextmanager
def _handled_by(handlers: list[logging.Handler]) -> Iterator[None]:
    level = log.level
    log.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        log.addHandler(handler)
    try:
        yield
    finally:
        log.setLevel(level)
        for handler in handlers:
            log.removeHandler(handler)


def _is_stderr(path: Path) -> bool:
    """`launch` already sends stderr of a detached run to its log."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(sys.stderr.fileno()))
    except (OSError, ValueError, AttributeError):  # notebooks replace stderr by something without a number
        return False


def mean_of_dicts(dicts: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each name over those dicts that have it."""
    names = dict.fromkeys(name for values in dicts for name in values)
    return {n: math.fsum(d[n] for d in dicts if n in d) / sum(n in d for d in dicts) for n in names}


def without_nan(values: dict[str, Any]) -> dict[str, Any]:
    """None for what could not be measured: JSON knows no NaN."""
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()}


def bars_are_seen() -> bool:
    """Whether a progress bar can move: in a terminal or a cell, but not where the output is a file."""
    return tqdm is not terminal_bar or sys.stderr.isatty()


@contextlib.contextmanager
def progress_bar(recipe: Recipe, step: int, *, active: bool) -> Iterator[tqdm]:
    """A bar over all steps, in a terminal or a cell; silent where the output is a file."""
    hidden = not (active and bars_are_seen())
    with tqdm(total=recipe.steps, initial=step, desc=recipe.name, unit="step", disable=hidden) as bar:
        yield bar
