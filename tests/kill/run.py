"""Kill runs at random moments, resume them, and compare with runs that were left alone: `make kill`.

A run has to end with the same bits whatever was done to it: weights, metrics (but for times) and the result of the
test. It is killed while it starts, trains, writes and evaluates, its leader or another of its processes. Ends with
status 1 where a bit differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from forks import forks
from tiny_detector import tiny_recipe, train_tiny

import workbench as wb
from workbench.training.processes import detached
from workbench.training.processes.record import Record

MOST = 4  #: kills of one run
OF_TWO = 0.15  #: share of runs in two processes
AT_ONCE = 0.25  #: share of kills that come while it starts
CHANGING = ("time", "steps_per_s")  #: differ between equal runs


def recipes(steps: int) -> list[wb.Recipe]:
    """Running means, stages, an adversary, validation and test, in one process and in two."""
    data = {"name": "tiny", "limit": 5}
    stages = [{"train": "both", "steps": steps // 2, "lr": 0.01}, {"steps": steps - steps // 2, "lr": 0.003}]
    often = {"stages": stages, "log_every": 5, "checkpoint_every": 7, "test": data}
    whole = {"hardener": {"kind": "tiny-adversary"}, "validation": {**data, "every": 20}, "ema": 0.9, **often}
    return [tiny_recipe(whole, name="one process"), tiny_recipe(whole, name="two processes", processes=2)]


@dataclass
class Figures:
    """What the campaign found."""

    kills: Counter[str] = field(default_factory=Counter)  #: by what the run was doing
    repeated: int = 0  #: steps that were made again
    runs: int = 0
    differ: list[str] = field(default_factory=list)

    def text(self, seconds: float) -> str:
        """All of it, in three lines."""
        parts = ", ".join(f"{number} {what}" for what, number in sorted(self.kills.items()))
        return (
            f"{self.kills.total()} kills ({parts})\n"
            f"{self.repeated} steps were made again; {self.runs} runs were compared, in {seconds:.0f} s\n"
            f"{len(self.differ)} runs differ in a bit{''.join(f'{chr(10)}  {each}' for each in self.differ)}"
        )


def outcome(folder: Path) -> dict[str, object]:
    """What has to be the same to the bit."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "weights": (folder / "detector.safetensors").read_bytes(),
        "result": (folder / "result.json").read_bytes(),
        "metrics": [{name: value for name, value in row.items() if name not in CHANGING} for row in rows],
    }


def begin(recipe: wb.Recipe, folder: Path) -> wb.Run:
    """Start or resume a run; one process is forked from one that has imported torch, which saves seconds."""
    if recipe.processes > 1:
        return wb.launch(recipe, folder, resume=True)
    folder.mkdir(parents=True, exist_ok=True)
    recipe.save(folder / "recipe.yaml")
    process = forks().Process(target=train_tiny, args=(str(folder),))
    process.start()
    threading.Thread(target=process.join, daemon=True).start()  # else it would stay as a zombie
    wait_until(lambda: wb.Run.open(folder).alive or not process.is_alive())
    return wb.Run.open(folder)


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again."""
    while not condition():
        time.sleep(0.002)


def kill(run: wb.Run, rng: random.Random) -> str | None:
    """Kill one of the run's processes at a random moment; what it was doing, None if it had ended before."""
    begins, left = rng.random() < AT_ONCE, run.recipe.steps - last_step(run)
    at = last_step(run) + rng.randrange(1, max(2, left))
    until = time.monotonic() + rng.uniform(0, 4 if run.recipe.processes > 1 else 0.5)
    wait_until(lambda: not run.alive or (time.monotonic() > until if begins else last_step(run) >= at))
    time.sleep(rng.uniform(0, 0.05))
    victims: list[psutil.Process] = []
    while run.alive and not victims:  # it may hold the folder before it has recorded itself
        record = Record.read(run.folder)
        victims = [] if record is None else detached.members(record)
    if not victims:
        return None
    writes = any(run.folder.rglob(".*.tmp"))
    with suppress(psutil.NoSuchProcess):
        rng.choice(victims).kill()
    wait_until(lambda: not run.alive)
    if run.status == "done":
        return None
    if writes:
        return "while a file was written"
    return "before the first step" if last_step(run) == 0 else "while it trained"


def last_step(run: wb.Run) -> int:
    """Of the last logged row."""
    rows = run.metrics()
    return 0 if rows.empty else int(rows["step"].iloc[-1])


def newest(run: wb.Run) -> int:
    """Step of the newest checkpoint."""
    return max((step for step, _ in run.checkpoints), default=0)


def campaign(kills: int, seed: int, steps: int, folder: Path) -> Figures:
    """Kill and compare until so many kills were made."""
    rng, figures = random.Random(seed), Figures()
    expected = {}
    for recipe in recipes(steps):
        run = begin(recipe, folder / recipe.name / "left alone")
        if run.wait() != "done":
            raise SystemExit(f"{recipe.name}: {run.error}\n{run.log()}")
        expected[recipe.name] = outcome(run.folder)
    one, two = recipes(steps)
    while figures.kills.total() < kills:
        recipe = two if rng.random() < OF_TWO else one
        place = folder / recipe.name / str(figures.runs)
        for _ in range(rng.randint(1, min(MOST, kills - figures.kills.total()))):
            run = begin(recipe, place)
            if (doing := kill(run, rng)) is None:
                break
            figures.kills[f"{doing} of {recipe.name}"] += 1
            figures.repeated += max(0, last_step(run) - newest(run))
        status = begin(recipe, place).wait()
        figures.runs += 1
        found = outcome(place) if status == "done" else {status: run.error}
        wrong = [name for name, value in found.items() if value != expected[recipe.name].get(name)]
        if wrong:
            figures.differ.append(f"{place}: {', '.join(wrong)}")
        print(f"{figures.kills.total()} of {kills} kills, {len(figures.differ)} runs differ", flush=True)
    return figures


def main() -> int:
    """Print the figures; 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=120, help="of each run")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="by default another one each time")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    wb.plug_in("tiny_detector")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        figures = campaign(options.kills, options.seed, options.steps, Path(folder))
        print(f"seed {options.seed}, {options.steps} steps\n{figures.text(time.monotonic() - began)}")
    return 1 if figures.differ else 0


if __name__ == "__main__":
    sys.exit(main())
