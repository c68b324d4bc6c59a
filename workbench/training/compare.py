"""Train several recipes with several seeds, side by side within the machine's cores, and compare them.

What is finished already is used again: a run of the same recipe, seed and code. What was interrupted goes on. On two
cores two runs with one thread each are done sooner than one after the other with two.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from workbench.errors import RecipeError, RunError, WorkbenchError
from workbench.files import check_writable
from workbench.training.launch import discard, new_folder, runs_folder, start_new
from workbench.training.places import Place, find_place, starter
from workbench.training.processes import detached
from workbench.training.processes.starting import Start, start_process, training_fingerprint
from workbench.training.recipe import Recipe
from workbench.training.recipe_sections import TestSpec
from workbench.training.recording.fingerprint import EVALUATION, code_fingerprint
from workbench.training.run import Run
from workbench.training.scoring import is_scored

if TYPE_CHECKING:
    from workbench.training.comparison import Comparison

POLL = 0.2  # seconds
POLL_ELSEWHERE = 5.0  # seconds, for what trains at another place
#: The kind of failure that the same recipe, seed and code would only meet again.
SCORING = "scoring.txt"  #: in a run folder: what the process printed that evaluates it
NON_FINITE = "non-finite-loss"


def compare(
    recipes: Iterable[Recipe | str | Path],
    *,
    seeds: int | Sequence[int] = 5,
    folder: str | Path | None = None,
    on: str | Mapping[str, Any] | None = None,
    workers: int | None = None,
    test: dict[str, Any] | None = None,
    progress: bool = True,
) -> Comparison:
    """Train every recipe with every seed, evaluate each final detector once, and compare with the first recipe.

    An interruption stops the runs that this call started here; calling again goes on with them. Failed runs are
    listed in `Comparison.failures` and do not stop the others; a later call tries them again, unless a loss was not
    finite.

    Args:
        recipes: recipes, names or files, each with a name of its own; differences are against the first.
        seeds: so many seeds from 0 on, or the seeds.
        folder: where the runs are kept and looked for; by default the folder that `launch` uses.
        on: where they train, as in `launch`: a cluster's queue gets all of them at once, as arrays. Those go on when
            this call is interrupted; calling again finds them.
        workers: how many runs at a time; by default one per core (one per GPU where recipes train on GPUs), at
            another place all, or what it says.
        test: data for the evaluation instead of the recipes' own: name, split, root, options, limit.
        progress: show a bar.

    Returns:
        Means and differences with 95 % intervals over seeds: `.table()`, `.text()`, `.save(path)`.

    Raises:
        RecipeError: a recipe is not valid, has no test data, or shares its name with another.
        RunError: `workers` is less than 1, or the folder cannot be written and something is left to do.

    Example:
        >>> stage = {"train": "detector", "steps": 20, "lr": 3e-3}
        >>> slow = wb.Recipe.load("dfv/digits-c").replace(stages=[stage], name="20 steps")
        >>> fast = slow.replace({"stages.0.lr": 3e-2}, name="a higher rate")
        >>> few = {"name": "digits", "split": "test"}
        >>> comparison = wb.compare([slow, fast], seeds=1, folder="runs", test=few, progress=False)
        >>> comparison.recipes, len(comparison.failures)
        (['20 steps', 'a higher rate'], 0)
    """
    if isinstance(recipes, Recipe | str | Path):
        raise RecipeError(f"compare takes a list of recipes, and {recipes!r} is one; give [{recipes!r}, ...]")
    seeds, place = seeds_of(seeds), find_place(on)
    jobs = plan(load_recipes(recipes, test), seeds, workers, place)
    root = runs_folder() if folder is None else Path(folder).expanduser().absolute()
    find_runs(jobs, root)
    if not all(job.is_scored for job in jobs):
        check_writable(root / "run", RunError)
    if workers is None and place is not None:
        workers = place.at_once
    environments = _environments(jobs, workers, here=place is None)
    _begin_together(jobs, root, place, workers)
    interrupted, patience = threading.Event(), 1.0 if place is None else POLL_ELSEWHERE
    with (
        ThreadPoolExecutor(environments.qsize(), thread_name_prefix="compare") as pool,
        tqdm(total=len(jobs), desc="runs", unit="run", disable=not progress) as bar,
    ):
        pending = {pool.submit(job.carry_out, root, environments, interrupted) for job in jobs}
        try:
            while pending:
                ended, pending = wait(pending, timeout=patience, return_when=FIRST_COMPLETED)
                for future in ended:
                    future.result()
                bar.update(len(ended))
                bar.set_postfix_str(_activity(jobs))
        except BaseException:
            interrupted.set()
            for future in pending:
                future.cancel()
            raise
    return comparison_of(jobs)


def comparison_of(jobs: Iterable[Job]) -> Comparison:
    """What runs say, those of a recipe together."""
    import pandas as pd

    from workbench.training.comparison import Comparison  # late: scipy and pandas take a second

    rows = [job.row() for job in jobs]
    order = {name: place for place, name in enumerate(dict.fromkeys(row["recipe"] for row in rows))}
    return Comparison(pd.DataFrame(sorted(rows, key=lambda row: (order[row["recipe"]], row["seed"]))))


@dataclass(eq=False)
class Job:
    """One recipe with one seed: find or start its run, wait for it, evaluate it."""

    recipe: Recipe
    test: TestSpec
    place: Place | None = None  #: where it trains; None: here
    run: Run | None = None
    reused: bool = False  #: it was finished before
    begun: bool = False  #: by this call
    error: str = ""

    def begin(self, root: Path, start: Start, environment: dict[str, str]) -> None:
        """Start its run, or let it go on, unless it is alive, done, or would only fail again."""
        if self.run is None:
            self.run = start_new(new_folder(self.recipe, root), self.recipe, environment=environment, start=start)
        elif self.run.alive or self.run.status == "done" or self.run.failure.get("kind") == NON_FINITE:
            return
        else:
            start_process(self.run.folder, self.run.recipe, environment=environment, start=start)
        self.begun = True

    def carry_out(self, root: Path, environments: Queue[dict[str, str]], interrupted: threading.Event) -> None:
        """Do what is still to do, in one of the `environments`; returns early when `interrupted`."""
        if self.error:
            return
        environment = environments.get()
        try:
            run = self._train(root, environment, interrupted)
            if not interrupted.is_set() and not is_scored(run, self.test, code_fingerprint(EVALUATION)):
                self._score(run, environment, interrupted)
        except (WorkbenchError, OSError) as error:
            self.error = str(error)
        finally:
            environments.put(environment)

    @property
    def is_scored(self) -> bool:
        """Whether there is nothing left to do."""
        return self.run is not None and self.reused and is_scored(self.run, self.test, code_fingerprint(EVALUATION))

    def row(self) -> dict[str, Any]:
        """The line of this run in the comparison."""
        run = self.run
        result = None if run is None or self.error else run.result
        about = {
            "recipe": self.recipe.name,
            "seed": self.recipe.seed,
            "status": run.status if run else "failed",
            "reused": self.reused,
            "seconds": run.seconds if run else 0.0,
            "folder": str(run.folder) if run else "",
            "error": self.error,
        }
        return about if result is None else {**about, **result.summary}

    def _train(self, root: Path, environment: dict[str, str], interrupted: threading.Event) -> Run:
        if not self.begun:
            self.begin(root, starter(self.place, self.recipe), environment)
        run = self.run
        assert run is not None
        while run.alive:
            if interrupted.wait(POLL if self.place is None else POLL_ELSEWHERE):
                if self.begun and self.place is None:
                    run.stop()
                return run
        if run.status != "done":
            raise RunError(run.error or f"the run was {run.status}")
        return run

    def _score(self, run: Run, environment: dict[str, str], interrupted: threading.Event) -> None:
        command = [sys.executable, "-m", "workbench.training.scoring", str(run.folder)]
        (run.folder / SCORING).unlink(missing_ok=True)  # written anew, and never through a link
        with open(run.folder / SCORING, "x+b") as output:
            process = subprocess.Popen(
                [*command, self.test.model_dump_json()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **detached.variables(self.recipe.threads or 1), **environment},
            )
            while process.poll() is None:
                if interrupted.wait(POLL):
                    process.kill()
            if process.wait() and not interrupted.is_set():
                output.seek(0)
                last = output.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise RunError(f"the evaluation failed: {last}")


def seeds_of(seeds: int | Sequence[int]) -> list[int]:
    """So many from 0 on, or each of those that are given once."""
    if not isinstance(seeds, int) and (isinstance(seeds, str) or not isinstance(seeds, Iterable)):
        raise RecipeError(f"seeds is {seeds!r:.60}; expected how many, or a list of seeds")
    return list(range(seeds)) if isinstance(seeds, int) else list(dict.fromkeys(seeds))


def load_recipes(recipes: Iterable[Recipe | str | Path], test: dict[str, Any] | None) -> list[Recipe]:
    """Recipes of different names, tested on other data where `test` names some."""
    given = list(recipes)
    for one in given:
        if not isinstance(one, Recipe | str | Path):
            what = f"compare trains recipes, and {type(one).__name__} is none"
            raise RecipeError(f"{what}; workbench.evaluation.side_by_side compares detectors and results")
    loaded = [recipe if isinstance(recipe, Recipe) else Recipe.load(recipe) for recipe in given]
    loaded = [recipe if test is None else recipe.replace(test=test) for recipe in loaded]
    names = [recipe.name for recipe in loaded]
    for recipe in loaded:
        if names.count(recipe.name) > 1:
            raise RecipeError(f"several recipes are named {recipe.name!r}; give each a name: replace(name=...)")
    return loaded


def _test_of(recipe: Recipe) -> TestSpec:
    if recipe.test is None:
        raise RecipeError(f"{recipe.name} has no test data to compare on; give test={{'name': ...}}")
    return recipe.test


def plan(recipes: list[Recipe], seeds: Sequence[int], workers: int | None, place: Place | None = None) -> list[Job]:
    """All jobs, seed by seed, so that an unfinished comparison is already paired; each with its share of cores."""
    count = len(recipes) * len(seeds)
    if not count:
        raise RecipeError("there is nothing to compare: give at least one recipe and one seed")
    for seed in seeds:
        recipes[0].replace(seed=seed)  # refuses what is no seed
    if workers is not None and (not isinstance(workers, int) or workers < 1):
        raise RunError(f"workers: expected at least 1, got {workers!r:.60}")
    share = detached.core_share(min(workers or detached.available_cores(), count))
    jobs = []
    for seed in seeds:
        for recipe in recipes:
            threads = None if place is None else place.threads(recipe.processes)
            changes = {"seed": seed, "threads": recipe.threads or threads or max(1, share // recipe.processes)}
            starter(place, recipe)  # refuses what the place cannot train
            jobs.append(Job(recipe.model_copy(update=changes), _test_of(recipe), place))
    return jobs


def find_runs(jobs: list[Job], root: Path) -> None:
    """Give each job the best run there is of its recipe, seed and code: finished, else alive, else to go on with."""
    code, known = code_fingerprint(), dict[str, list[Run]]()
    for path in sorted(root.glob("*/recipe.yaml")):
        run = Run.open(path.parent)
        fingerprints = run.fingerprints
        if fingerprints.get("training") == code:
            known.setdefault(fingerprints.get("recipe", ""), []).append(run)
    worth = ["stopped", "failed", "queued", "starting", "running", "done"]
    for job in jobs:
        found = known.get(training_fingerprint(job.recipe), [])
        job.run = max(found, key=lambda run: worth.index(run.status), default=None)
        job.reused = job.run is not None and job.run.status == "done"


def _begin_together(jobs: list[Job], root: Path, place: Place | None, at_once: int | None) -> None:
    """Begin all runs in one go, where the place can do that; what it refuses has an `error` afterwards."""
    together = None if place is None else place.together(at_once)
    if together is None:
        return
    new = [job for job in jobs if job.run is None]
    try:
        with together as start:
            for job in jobs:
                try:
                    job.begin(root, start, {})
                except RunError as error:
                    job.error = str(error)
    except BaseException as error:
        for job in jobs:
            if job.begun and job.run is not None and not job.run.alive:
                job.error = str(error)
                if job in new:
                    discard(job.run.folder)
                    job.run = None
        if not isinstance(error, RunError):
            raise


def _environments(jobs: list[Job], workers: int | None, *, here: bool) -> Queue[dict[str, str]]:
    """What to set for each of the runs that go side by side: on GPUs of this machine, which one."""
    on_gpus = here and any(job.recipe.device != "cpu" and ":" not in job.recipe.device for job in jobs)
    gpus = _accelerators() if on_gpus else []
    if workers is None and not here:
        workers = len(jobs)
    if workers is None:
        each = max(job.recipe.processes * (job.recipe.threads or 1) for job in jobs)
        workers = len(gpus) or detached.core_share(each)
    queue: Queue[dict[str, str]] = Queue()
    for place in range(min(workers, len(jobs))):
        queue.put(gpus[place % len(gpus)] if gpus else {})
    return queue


def _accelerators() -> list[dict[str, str]]:
    """What to set so that a run has each of the machine's accelerators to itself."""
    import torch

    there = torch.accelerator.current_accelerator(check_available=True)
    count = 0 if there is None else torch.accelerator.device_count()
    if there is None or there.type != "cuda":
        return [{}] * count
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = named.split(",")[:count] if named else [str(index) for index in range(count)]
    return [{"CUDA_VISIBLE_DEVICES": one} for one in visible]


def _activity(jobs: list[Job]) -> str:
    counts = Counter("failed" if job.error else job.run.status if job.run else "waiting" for job in jobs)
    return ", ".join(f"{count} {status}" for status, count in counts.items())
