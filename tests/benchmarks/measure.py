"""Fair comparisons: all variants in one process and one thread, taking turns; what they give is compared first.

Time is the process's CPU time, since wall time on a busy machine says little. A ratio is that of the medians over
rounds; its 95 % interval comes from resampling the rounds (bootstrap), so that both sides of a round stay together.
"""

from __future__ import annotations

import gc
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import Tensor

from workbench.training.stepping.allocator import keep_memory

Job = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One line of the table: a ratio to a peer, or milliseconds where `peer` is None."""

    job: str
    peer: str | None
    value: float  #: ours / peer, or milliseconds
    low: float  #: 95 % interval of the value
    high: float
    aim: float | None  #: `value` should not exceed it
    ours_ms: float  #: median CPU time, milliseconds
    peer_ms: float | None
    rounds: int
    skipped: str | None = None  #: why nothing was measured
    unit: str = "ms"  #: of `ours_ms` and `peer_ms`

    @property
    def met(self) -> bool | None:
        """Whether the aim was reached; None without an aim or a measurement."""
        return None if self.aim is None or self.skipped else self.value <= self.aim


def prepare() -> None:
    """One thread, and an allocator that keeps memory, for both sides of every comparison."""
    torch.set_num_threads(1)
    keep_memory()


def cpu_seconds(jobs: Sequence[Job], rounds: int, warm_up: int = 2) -> np.ndarray:
    """CPU seconds [rounds, jobs]. In every other round the order is reversed."""
    for _ in range(warm_up):
        for job in jobs:
            job()
    seconds = np.empty((rounds, len(jobs)))
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            places = range(len(jobs)) if turn % 2 == 0 else reversed(range(len(jobs)))
            for place in places:
                start = time.process_time()
                jobs[place]()
                seconds[turn, place] = time.process_time() - start
            gc.collect()
    finally:
        gc.enable()
    return seconds


def resampled(seconds: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """95 % bootstrap interval over rounds [rounds, ...] of a statistic of medians."""
    rng = np.random.default_rng(0)
    picks = rng.integers(0, len(seconds), (2000, len(seconds)))
    values = statistic(np.median(seconds[picks], axis=1))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def ratio(job: str, ours: Job, theirs: Job, *, peer: str, aim: float | None, rounds: int) -> Row:
    """Time two jobs against each other: `ours` should take at most the share `aim` of the peer's time."""
    seconds = cpu_seconds([ours, theirs], rounds)
    mine, other = np.median(seconds, axis=0)
    low, high = resampled(seconds, lambda medians: medians[:, 0] / medians[:, 1])
    return Row(job, peer, float(mine / other), low, high, aim, float(mine * 1e3), float(other * 1e3), rounds)


def added(job: str, more: Job, less: Job, whole: Job, *, peer: str, aim: float | None, rounds: int) -> Row:
    """How much longer `whole` becomes by what `more` does and `less` does not: 1 + (more - less) / whole.

    A part of a few per cent drowns in the noise of two timings of the whole; timed by itself it does not.
    """
    parts = cpu_seconds([more, less], 3 * rounds)
    total = cpu_seconds([whole], rounds, warm_up=1)[:, 0]
    extra = float(np.subtract(*np.median(parts, axis=0)))
    low, high = resampled(parts, lambda medians: medians[:, 0] - medians[:, 1])
    plain = float(np.median(total))
    factors = (1 + seconds / plain for seconds in (extra, low, high))
    return Row(job, peer, *factors, aim, (plain + extra) * 1e3, plain * 1e3, rounds)


def milliseconds(job: str, ours: Job, *, aim: float | None, rounds: int, inner: int = 1) -> Row:
    """Time one job per call of `inner` units of work, in milliseconds per unit."""
    times = cpu_seconds([ours], rounds)[:, 0] * 1e3 / inner
    low, high = resampled(times, lambda medians: medians)
    median = float(statistics.median(times))
    return Row(job, None, median, low, high, aim, median, None, rounds)


def skipped(job: str, peer: str | None, aim: float | None, reason: str) -> Row:
    """A line that says why there is no number."""
    return Row(job, peer, math.nan, math.nan, math.nan, aim, math.nan, None, 0, reason)


def peak_bytes(job: Job) -> int:
    """Most bytes that tensors made during one call of a job held at once, what it gives back included (CPU)."""
    job()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        result = job()
    held = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    del result
    return peak


def must_agree(what: str, ours: Tensor, theirs: Tensor, *, atol: float, rtol: float = 0.0) -> None:
    """Stop a benchmark that would compare different work."""
    try:
        torch.testing.assert_close(ours.float(), theirs.float(), atol=atol, rtol=rtol)
    except AssertionError as difference:
        raise SystemExit(f"{what}: the two sides do not give the same, so times mean nothing\n{difference}") from None


def has_amx() -> bool:
    """Whether this processor multiplies bfloat16 matrices in hardware; the trainer asks the same."""
    return torch.cpu._is_amx_tile_supported()


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text."""
    head = ("job", "peer", "ours", "peer's", "ratio or ms", "95 %", "aim", "met")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    if row.skipped:
        return (row.job, row.peer or "", "", "", "skipped", "", _number(row.aim), row.skipped)
    peer_ms = "" if row.peer_ms is None else f"{row.peer_ms:.1f} {row.unit}"
    met = {True: "yes", False: "NO", None: ""}[row.met]
    value = f"{row.value:.3f} ×" if row.peer else f"{row.value:.2f} ms"
    spread = f"{row.low:.3g} to {row.high:.3g}"
    return (row.job, row.peer or "", f"{row.ours_ms:.1f} {row.unit}", peer_ms, value, spread, _number(row.aim), met)


def _number(aim: float | None) -> str:
    return "" if aim is None else f"≤ {aim:g}"


def save(rows: Sequence[Row], path: Path) -> None:
    """Rows and the machine they were measured on, as JSON."""
    machine = {
        "processor": platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "amx": has_amx(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "threads": torch.get_num_threads(),
    }
    lines = [{**asdict(row), "met": row.met} for row in rows]
    text = json.dumps({"machine": machine, "rows": lines}, indent=1, default=str)
    path.write_text(text.replace("NaN", "null") + "\n", encoding="utf-8")
