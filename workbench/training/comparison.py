"""What a comparison of recipes says: means over seeds, differences paired by seed, 95 % intervals.

The intervals are Student's: mean ± t(0.975, n − 1) · s / √n, with the sample standard deviation s of the n values
(or of the n differences). With one seed there is none: NaN. The interval is over seeds, so it says how far another
training would fall from this one, not how much another test set would change it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from workbench.errors import RunError
from workbench.files import write_json
from workbench.progress import Bar

if TYPE_CHECKING:
    from workbench.data import Dataset

METRICS = (
    "AP", "AP_unoccluded", "AP_occluded", "AP50", "mAP", "mask_AP",
    "accuracy_clean", "accuracy_20_centre", "accuracy_20_random", "accuracy_10_centre", "accuracy_10_random",
    "accuracy_occluded", "mse_clean", "mse_occluded",
)  # fmt: skip
#: How further ones begin: recall by what an audit hides, accuracy at true boxes; not those by kind of occluder.
OCCLUDED = ("audit_recall_", "regions_accuracy_")
#: The same of proposals, shown where there are none of those: detections have another AR100.
OF_PROPOSALS = ("AR100", "AR100_unoccluded", "AR100_occluded", "AUC", "mask_AR100", "mask_AUC")
ABOUT_A_RUN = ("recipe", "seed", "status", "reused", "seconds", "folder", "error")
LEVEL = 0.95


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    n: int
    mean: float
    low: float
    high: float


def t_interval(values: Sequence[float] | np.ndarray) -> Interval:
    """Mean and Student's 95 % interval of `values`; NaN are left out, and one value has no interval.

    Example:
        >>> n, mean, low, high = t_interval([0.40, 0.41, 0.42])
        >>> f"{mean:.3f} ({low:.3f} to {high:.3f})"
        '0.410 (0.385 to 0.435)'
    """
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    n = len(known)
    mean = float(known.mean()) if n else math.nan
    if n < 2:
        return Interval(n, mean, math.nan, math.nan)
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2) * known.std(ddof=1) / math.sqrt(n))
    return Interval(n, mean, mean - half, mean + half)


class _Whole(pd.DataFrame):
    """A table that is shown whole: pandas cuts what is wider than a terminal, and long texts."""

    def __repr__(self) -> str:
        return self.to_string()

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            return self.to_html()


@dataclass(frozen=True, repr=False)
class Comparison:
    """Finished and failed runs of several recipes; the first recipe is the one that the others are held against.

    Example:
        >>> import pandas as pd
        >>> runs = {"recipe": ["plain", "plain", "new", "new"], "seed": [0, 1, 0, 1], "AP": [0.40, 0.42, 0.41, 0.44]}
        >>> comparison = Comparison(pd.DataFrame(runs))
        >>> float(comparison.table(["AP"]).loc[("AP", "new"), "difference"].round(3))  # paired by seed
        0.015
    """

    runs: pd.DataFrame  #: one row per run: `recipe`, `seed`, `status`, `seconds`, `folder`, `error` and its metrics

    def frame(self) -> pd.DataFrame:
        """One row per run, a copy."""
        return self.runs.copy()

    @property
    def recipes(self) -> list[str]:
        """Names of the recipes in their order."""
        return list(dict.fromkeys(self.runs["recipe"]))

    @property
    def metrics(self) -> list[str]:
        """Names of all metrics."""
        return [name for name in self.runs.columns if name not in ABOUT_A_RUN]

    @property
    def failures(self) -> pd.DataFrame:
        """The runs that gave no result, with the reason."""
        return _Whole(self.runs.loc[self.runs["error"] != "", ["recipe", "seed", "status", "error", "folder"]])

    def difference(self, metric: str, better: str, worse: str) -> Interval:
        """Mean and 95 % interval of one recipe's metric minus another's, over the seeds that both have.

        Raises:
            RunError: there is no such metric or recipe.

        Example:
            >>> import pandas as pd
            >>> runs = {"recipe": ["a", "a", "b", "b"], "seed": [0, 1, 0, 1], "AP": [0.40, 0.42, 0.41, 0.45]}
            >>> n, mean, low, high = Comparison(pd.DataFrame(runs)).difference("AP", "b", "a")
            >>> f"{mean:.3f} ({low:.3f} to {high:.3f})"
            '0.020 (-0.107 to 0.147)'
        """
        [known] = self._chosen([metric])
        values = self.only(better, worse)._by_seed(known)
        return t_interval(values[better] - values[worse])

    def table(self, metrics: Sequence[str] | None = None) -> pd.DataFrame:
        """Mean and 95 % interval over seeds of each metric and recipe, and the same of its difference.

        Args:
            metrics: names; by default AP, AP on unoccluded and on occluded objects, and AP50, where known; of
                classifiers the accuracies; of detectors that propose and no more AR100, by occlusion too, and AUC;
                and where the test asks for an audit or regions, recall and accuracy by how much is hidden.

        Returns:
            Indexed by (metric, recipe): n, mean, low, high; pairs, difference, difference_low, difference_high
            against the first recipe over the seeds that both have.

        Raises:
            RunError: there is no such metric.
        """
        rows = {}
        for metric in self._chosen(metrics):
            values = self._by_seed(metric)
            for recipe in self.recipes:
                difference = t_interval(values[recipe] - values[self.recipes[0]])
                if recipe == self.recipes[0]:
                    difference = Interval(0, math.nan, math.nan, math.nan)
                rows[metric, recipe] = (*t_interval(values[recipe]), *difference)
        columns = ["n", "mean", "low", "high", "pairs", "difference", "difference_low", "difference_high"]
        index = pd.MultiIndex.from_arrays(list(zip(*rows, strict=True)) or [(), ()], names=["metric", "recipe"])
        return pd.DataFrame(list(rows.values()), index=index, columns=columns)

    def text(self, metrics: Sequence[str] | None = None) -> pd.DataFrame:
        """The table to read: one row per recipe, "mean ± half interval (difference [low, high])" per metric."""
        table = self.table(metrics)
        cells = {
            metric: [_cell(table.loc[metric, recipe]) for recipe in self.recipes] for metric in self._chosen(metrics)
        }
        return _Whole(cells, index=self.recipes)

    def only(self, *recipes: str) -> Comparison:
        """Some recipes, in this order; the first is what the others are held against.

        Raises:
            RunError: there is no recipe of such a name, or none is named.
        """
        unknown = [name for name in recipes if name not in self.recipes]
        if unknown or not recipes:
            raise RunError(f"there is no recipe {' '.join(unknown[:1])!r}; known are {', '.join(self.recipes)}")
        rows = pd.concat([self.runs[self.runs["recipe"] == name] for name in recipes], ignore_index=True)
        return Comparison(rows)

    def with_proposal_recall(
        self, data: Dataset, *, top: int = 1000, scale: float = 1.0, device: str = "cpu", progress: bool = True
    ) -> Comparison:
        """The same with the columns of Table 4.1 of Lin's thesis for what each run's detector proposes on `data`.

        They are `proposals_AR100`, `proposals_AR1k`, `proposals_AR1k_s`, `_m`, `_l` and the others of its summary, of
        the region proposal network where there is one (see `evaluation.proposal_recall`); the plain AR100 is that of
        detections.

        Args:
            top: proposals per image, best first.
            scale: of the sizes, as for `proposal_recall`.
            device: where the detectors run.
            progress: show a bar.

        Raises:
            RunError: a run's folder is not there, as after `load`, which knows names only.
        """

        def measure(folder: str) -> dict[str, float]:
            return _proposal_recall(folder, data, top, scale, device)

        return self.with_measures(measure, progress=progress)

    def with_measures(self, measure: Callable[[str], Mapping[str, float]], *, progress: bool = True) -> Comparison:
        """The same with further columns: what `measure` says of each run.

        Args:
            measure: the folder of a run → numbers by name.
            progress: show a bar.

        Raises:
            RunError: a run's folder is not there, as after `load`, which knows names only.

        Example:
            >>> stage = {"train": "detector", "steps": 2, "lr": 3e-3}
            >>> recipe = wb.Recipe.load("dfv/digits-c").replace(stages=[stage])
            >>> few = {"name": "digits", "split": "test", "limit": 20}
            >>> comparison = wb.compare([recipe], seeds=1, folder="runs", test=few, progress=False)
            >>> more = comparison.with_measures(lambda run: {"classes": len(wb.load_detector(run).classes)})
            >>> more.frame()["classes"].tolist()
            [10]
        """
        known = self.runs["error"] == ""
        for folder in self.runs.loc[known, "folder"]:
            if not Path(folder).is_dir():
                raise RunError(
                    f"the run {folder} is not there, and a saved comparison has only names; call compare again, "
                    "which uses finished runs again, and measure before save"
                )
        wanted = self.runs["folder"].where(known, "")
        bar = Bar(wanted, desc="measuring", unit="run", disable=not progress)
        rows = [measure(folder) if folder else {} for folder in bar]
        return Comparison(self.runs.assign(**pd.DataFrame(rows, index=self.runs.index)))

    def save(self, path: str | Path) -> Path:
        """Write JSON, atomically; of the runs' folders only the names, so that the file can be given away.

        Raises:
            RunError: it cannot be written.
        """
        path = Path(path)
        runs = self.runs.assign(folder=[Path(folder).name for folder in self.runs["folder"]])
        content = json.loads(runs.to_json(orient="table", index=False, double_precision=15))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, content, indent=1)
        except OSError as error:
            raise RunError(f"{path} cannot be written: {error.strerror or error}") from error
        return path

    @classmethod
    def load(cls, path: str | Path) -> Comparison:
        """Read what `save` wrote.

        Raises:
            RunError: the file is not there, or is no comparison.
        """
        try:
            content = json.loads(Path(path).read_text())
            columns = [field["name"] for field in content["schema"]["fields"]]
            return cls(pd.DataFrame(content["data"], columns=columns))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(f"{path} is no saved comparison: {error}") from error

    def __repr__(self) -> str:
        return "\n".join(filter(None, [repr(self.text()), self._failed()]))

    def _repr_html_(self) -> str:
        failures = self.failures
        listed = f"<p>{self._failed()}</p>{failures._repr_html_()}" if len(failures) else ""
        return self.text()._repr_html_() + listed

    def _by_seed(self, metric: str) -> pd.DataFrame:
        return self.runs.pivot(index="seed", columns="recipe", values=metric).astype(float)

    def _failed(self) -> str:
        count = len(self.failures)
        return f"{count} of {len(self.runs)} runs gave no result; see .failures" if count else ""

    def _chosen(self, metrics: Sequence[str] | None) -> list[str]:
        known = self.metrics
        if metrics is None:
            there = [name for name in known if self.runs[name].notna().any()]
            own = [name for name in METRICS if name in there] or [name for name in OF_PROPOSALS if name in there]
            return own + [name for name in there if name.startswith(OCCLUDED) and name.count("_") == 2]
        unknown = [name for name in metrics if name not in known]
        if unknown:
            raise RunError(f"there is no metric {unknown[0]!r}; known are {', '.join(known)}")
        return list(metrics)


def _proposal_recall(folder: str, data: Dataset, top: int, scale: float, device: str) -> dict[str, float]:
    """Recall of the proposals of the detector in a run's folder; the proposals themselves are not kept."""
    from workbench.evaluation import proposal_recall
    from workbench.proposals import with_proposals  # late: torch takes seconds

    with TemporaryDirectory() as cache:
        proposed = with_proposals(data, kind="detector", name=folder, top=top, device=device, cache=cache)
        summary = proposal_recall(proposed, scale=scale).summary
    return {f"proposals_{name}": value for name, value in summary.items()}


def _cell(row: pd.Series) -> str:
    if not row["n"]:
        return "–"
    half = "" if math.isnan(row["low"]) else f" ± {row['high'] - row['mean']:.3f}"
    against = ""
    if row["pairs"]:
        bounds = "" if math.isnan(row["difference_low"]) else " [{difference_low:+.3f}, {difference_high:+.3f}]"
        against = (" ({difference:+.3f}" + bounds + ")").format(**row)
    return f"{row['mean']:.3f}{half}{against}"
