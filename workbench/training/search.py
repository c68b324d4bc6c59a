"""Search for the best setting: what to try next follows from what was tried before, as Optuna proposes it.

What is known lies in `search-…` in the folder of the runs: Optuna's journal, and a folder for each trial, which the
process that works on it holds. So several processes can search together, each some trials at a time, and what one of
them leaves undone is taken up by the next. A trial trains one setting with each seed; where a run fails, it fails.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from workbench.errors import RunError, did_you_mean
from workbench.files import check_writable
from workbench.training.compare import compare, comparison_of, find_runs, load_recipes, plan, seeds_of
from workbench.training.launch import runs_folder
from workbench.training.places import find_place
from workbench.training.processes.detached import core_share
from workbench.training.processes.lock import hold, is_held
from workbench.training.processes.starting import training_fingerprint
from workbench.training.recipe import Recipe
from workbench.training.space import Drawn, check_space, named

if TYPE_CHECKING:
    from workbench.training.comparison import Comparison

Space = Mapping[str, Sequence[Any] | Drawn]
SAMPLERS = {"tpe": "TPESampler"}  #: search → Optuna's class
ELSEWHERE = 8  #: runs side by side at another place that does not say how many
POLL = 2.0  #: seconds, while other processes work on the last trials


def search_settings(
    base: Recipe,
    space: Space,
    search: str,
    *,
    metric: str,
    lowest: bool,
    draws: int,
    draw_seed: int,
    seeds: int | Sequence[int],
    folder: str | Path | None = None,
    on: str | Mapping[str, Any] | None = None,
    workers: int | None = None,
    test: dict[str, Any] | None = None,
    progress: bool = True,
) -> tuple[Comparison, dict[str, dict[str, Any]]]:
    """Train settings until there are `draws`, and those that others have begun; see `sweep` for the arguments.

    Returns:
        The comparison of all that was tried, and name of the recipe → setting.

    Raises:
        RecipeError: there is nothing to try, or a value is not allowed.
        RunError: there is no such search, Optuna is missing, or results have no such metric.
    """
    check_space(space, draws)
    [base], seeds, place = load_recipes([base], test), seeds_of(seeds), find_place(on)
    root = runs_folder() if folder is None else Path(folder).expanduser().absolute()
    study = Study(root, base, space, search, seeds=seeds, metric=metric, lowest=lowest, draw_seed=draw_seed)
    default = ELSEWHERE if place is not None else core_share(base.processes * (base.threads or 1))
    side_by_side = workers or (place and place.at_once) or default
    trained: set[str] = set()
    with tqdm(total=draws, desc="settings", unit="setting", disable=not progress) as bar:
        while not study.is_over(draws):
            with study.next_trials(draws, most=max(1, side_by_side // len(seeds))) as trials:
                recipes = _recipes(base, trials.values())
                if recipes:
                    how: dict[str, Any] = {"folder": root, "on": on, "workers": workers, "progress": False}
                    study.record(trials, compare(recipes.values(), seeds=seeds, **how))
                    trained |= recipes.keys()
            bar.n = study.ended
            bar.refresh()
            if not trials:
                time.sleep(POLL)
    tried = study.settings()
    jobs = plan(list(_recipes(base, tried).values()), seeds, workers, place)
    find_runs(jobs, root)
    for job in jobs:
        job.reused = job.recipe.name not in trained
        if job.run is None or job.run.status != "done":
            job.error = (job.run and job.run.error) or "it was not trained"
    return comparison_of(jobs), named(base, tried)


def _recipes(base: Recipe, tried: Iterable[Mapping[str, Any]]) -> dict[str, Recipe]:
    return {name: base.replace(setting, name=name) for name, setting in named(base, tried).items()}


class Study:
    """Optuna's study of a recipe in a space, shared by all processes that search it in this folder.

    Args:
        root: folder of the runs.
        base: what is trained.
        space: what is tried.
        search: one of SAMPLERS.
        seeds: of each setting.
        metric: whose mean over seeds counts.
        lowest: whether the lowest is best.
        draw_seed: of what is drawn.
    """

    def __init__(
        self,
        root: Path,
        base: Recipe,
        space: Space,
        search: str,
        *,
        seeds: list[int],
        metric: str,
        lowest: bool,
        draw_seed: int,
    ):
        if search not in SAMPLERS:
            raise RunError(f"there is no search {search!r}{did_you_mean(search, list(SAMPLERS))}")
        try:
            import optuna
            from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
        except ImportError:
            raise RunError("a search needs Optuna: pip install 'occlusion-workbench[search]'") from None
        self.optuna, self.base, self.space, self.search = optuna, base, space, search
        self.metric, self.draw_seed = metric, draw_seed
        tried = {key: vars(own) if isinstance(own, Drawn) else list(own) for key, own in space.items()}
        test = base.test.model_dump(mode="json") if base.test else None
        about = json.dumps([training_fingerprint(base), test, tried, metric, lowest, seeds], sort_keys=True)
        self.folder = root / f"search-{hashlib.sha256(about.encode()).hexdigest()[:12]}"
        check_writable(self.folder / "journal.log", RunError)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = str(self.folder / "journal.log")
        self._deciding = JournalFileOpenLock(str(self.folder / "deciding"))
        with self._quiet():
            storage = optuna.storages.JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
            self._study = optuna.create_study(
                storage=storage,
                study_name=base.name,
                direction="minimize" if lowest else "maximize",
                load_if_exists=True,
            )
        self.distributions = {key: self._distribution(own) for key, own in space.items()}

    @property
    def ended(self) -> int:
        """How many trials have ended."""
        return sum(trial.state.is_finished() for trial in self._study.get_trials(deepcopy=False))

    def is_over(self, draws: int) -> bool:
        """Whether there are as many trials as are wanted, and all have ended."""
        trials = self._study.get_trials(deepcopy=False)
        return len(trials) >= draws and all(trial.state.is_finished() for trial in trials)

    def settings(self) -> list[dict[str, Any]]:
        """What was tried, in order."""
        return [self._setting(trial.params) for trial in self._study.get_trials(deepcopy=False)]

    @contextmanager
    def next_trials(self, draws: int, *, most: int) -> Iterator[dict[int, dict[str, Any]]]:
        """Number → setting of trials that are this process's own until the block ends: left ones first, then new."""
        with ExitStack() as held:
            trials = {}
            with self._quiet(), self._alone():
                known = self._study.get_trials(deepcopy=False)
                open_ones = [trial for trial in known if not trial.state.is_finished()]
                left = [trial for trial in open_ones if not is_held(self._place(trial.number))]
                new = min(most - len(left), draws - len(known))
                for trial in [*left[:most], *(self._ask(len(known) + more) for more in range(new))]:
                    held.enter_context(hold(self._place(trial.number)))
                    trials[trial.number] = self._setting(trial.params)
            yield trials

    def record(self, trials: Mapping[int, Mapping[str, Any]], comparison: Comparison) -> None:
        """Write down what trials were worth.

        Raises:
            RunError: results have no such metric.
        """
        runs = comparison.frame()
        if self.metric not in runs and (runs["error"] == "").any():
            about = {"recipe", "seed", "status", "reused", "seconds", "folder", "error"}
            near = did_you_mean(self.metric, [name for name in runs if name not in about])
            raise RunError(f"there is no metric {self.metric!r}{near}")
        failed = self.optuna.trial.TrialState.FAIL
        for number, setting in trials.items():
            [name] = named(self.base, [setting])
            own = runs[runs["recipe"] == name]
            good = self.metric in own and (own["error"] == "").all() and own[self.metric].notna().all()
            value, state = (float(own[self.metric].mean()), None) if good else (None, failed)
            self._study.tell(number, value, state, skip_if_finished=True)

    def _ask(self, number: int) -> Any:
        """A new trial; what is drawn for it depends on its number and on what is known, not on who asks."""
        text = f"{self.draw_seed} {number}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
        self._study.sampler = getattr(self.optuna.samplers, SAMPLERS[self.search])(seed=seed, constant_liar=True)
        return self._study.ask(self.distributions)

    def _distribution(self, values: Sequence[Any] | Drawn) -> Any:
        if isinstance(values, Drawn):
            return self.optuna.distributions.FloatDistribution(values.low, values.high, log=values.logarithmic)
        return self.optuna.distributions.CategoricalDistribution([_plain(value) for value in values])

    def _setting(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Of the recipe: a drawn value as it is read, of a list the value itself."""
        chosen = {}
        for key, values in self.space.items():
            value = params[key]
            if isinstance(values, Drawn):
                chosen[key] = values.rounded(value)
            else:
                chosen[key] = next(own for own in values if type(_plain(own)) is type(value) and _plain(own) == value)
        return chosen

    def _place(self, number: int) -> Path:
        return self.folder / f"trial-{number:04d}"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time decides who tries what."""
        self._deciding.acquire()
        try:
            yield
        finally:
            self._deciding.release()

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Without Optuna's reports and its notes on what may change."""
        logging = self.optuna.logging
        before = logging.get_verbosity()
        logging.set_verbosity(logging.WARNING)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", self.optuna.exceptions.ExperimentalWarning)
                yield
        finally:
            logging.set_verbosity(before)


def _plain(value: Any) -> Any:
    """As Optuna keeps it."""
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)
