"""Train a recipe with many settings, of a grid, drawn at random or searched, and see what each does to a metric.

A sweep is a comparison of recipes that differ in the swept values: what is finished already is used again, what was
interrupted goes on, and its tables are those of a comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import RunError
from workbench.training.compare import compare
from workbench.training.recipe import Recipe
from workbench.training.search import search_settings
from workbench.training.space import Drawn, named, settings

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from workbench.training.comparison import Comparison


def sweep(
    recipe: Recipe | str | Path,
    space: Mapping[str, Sequence[Any] | Drawn],
    *,
    seeds: int | Sequence[int] = 3,
    draws: int = 10,
    draw_seed: int = 0,
    search: str | None = None,
    metric: str = "AP",
    lowest: bool = False,
    **how: Any,
) -> Sweep:
    """Train a recipe with each setting of a space and each seed, and compare them.

    Called again it uses what is finished, goes on with what was interrupted, and adds what is new: more draws, more
    values, more seeds. With a `search`, several notebooks that call it at once share the work.

    Args:
        recipe: a recipe, the name of a shipped one, or a file.
        space: dotted key of the recipe → list of values, of which all combinations are tried, or `wb.uniform(low,
            high)`, `wb.loguniform(low, high)`.
        seeds: so many from 0 on, or the seeds; the same for each setting.
        draws: how often what is drawn is drawn, for each combination of the lists. The same for all combinations, so
            that they can be compared. With a `search`: how many settings are tried in all, lists included.
        draw_seed: of the draws.
        search: "tpe" learns from the settings that were tried where to try the next ones (Bergstra et al. 2011, by
            Optuna): some at a time, as many as `workers` (or the place's `at_once`) train side by side. Settings with
            a run that failed count as failed. What is known lies in `search-…` in the folder of the runs.
        metric: of the results, whose mean over seeds a search goes by.
        lowest: a search is for the lowest value, as of a loss.
        how: `folder`, `on`, `workers`, `test` and `progress`, as `compare` takes them; `on="slurm"` puts all runs,
            or all that a search tries at a time, into the queue at once.

    Returns:
        The result: `.table()`, `.best()`, `.figure(metric, key)`, `.comparison`.

    Raises:
        RecipeError: a key leads nowhere, a value is not allowed, or there is nothing to try.
        RunError: as `compare`; there is no such search, Optuna is not installed, or results have no such metric.

    Example:
        >>> stage = {"train": "detector", "steps": 5, "lr": 3e-3}
        >>> few = {"name": "digits", "split": "test", "limit": 20}
        >>> recipe = wb.Recipe.load("dfv/digits-c").replace(stages=[stage], test=few)
        >>> tried = wb.sweep(recipe, {"stages.0.lr": [0.01]}, seeds=1, folder="runs", progress=False)
        >>> tried.best("accuracy_clean")
        {'stages.0.lr': 0.01}
    """
    base = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    if search is not None:
        goal: dict[str, Any] = {"metric": metric, "lowest": lowest, "draws": draws, "draw_seed": draw_seed}
        return Sweep(*search_settings(base, space, search, seeds=seeds, **goal, **how))
    tried = named(base, settings(space, draws=draws, seed=draw_seed))
    changed = [base.replace(setting, name=name) for name, setting in tried.items()]
    return Sweep(compare(changed, seeds=seeds, **how), tried)


@dataclass(frozen=True, repr=False)
class Sweep:
    """What a sweep gave: a comparison, in which each recipe is a setting.

    Example:
        >>> import pandas as pd
        >>> from workbench.training import Comparison, Sweep
        >>> runs = {"recipe": ["a", "a", "b", "b"], "seed": [0, 1, 0, 1], "AP": [0.40, 0.42, 0.43, 0.45]}
        >>> tried = Sweep(Comparison(pd.DataFrame(runs)), {"a": {"stages.0.lr": 0.01}, "b": {"stages.0.lr": 0.02}})
        >>> tried.best("AP")
        {'stages.0.lr': 0.02}
    """

    comparison: Comparison
    settings: dict[str, dict[str, Any]]  #: name of the recipe → key → value

    @property
    def keys(self) -> list[str]:
        """The keys that were swept."""
        return list(next(iter(self.settings.values())))

    def frame(self) -> pd.DataFrame:
        """One row per run: the swept values under their keys, then `seed`, `status`, `folder`, `error`, metrics."""
        runs = self.comparison.frame()
        for place, (key, values) in enumerate(self._columns(runs["recipe"]).items()):
            runs.insert(place, key, values)
        return runs

    def table(self, metrics: Sequence[str] | None = None) -> pd.DataFrame:
        """One row per setting: its values, and of each metric mean and 95 % interval over seeds.

        Args:
            metrics: names; by default those of `Comparison.table`.

        Returns:
            Columns are the keys, then (for a metric AP) AP, AP_low, AP_high.

        Raises:
            RunError: there is no such metric.
        """
        import pandas as pd

        table, columns = self.comparison.table(metrics), self._columns(self.settings)
        for metric in table.index.unique("metric"):
            own = table.loc[metric].loc[list(self.settings)]
            names = {metric: "mean", f"{metric}_low": "low", f"{metric}_high": "high"}
            columns |= {name: pd.Series(own[part].tolist()) for name, part in names.items()}
        return pd.DataFrame(columns)

    def best(self, metric: str, *, lowest: bool = False) -> dict[str, Any]:
        """The setting whose mean over seeds is highest: key → value.

        Args:
            metric: its name.
            lowest: the lowest is best, as of a loss.

        Raises:
            RunError: there is no such metric, or no run has it.
        """
        means = self.table([metric])[metric]
        if means.isna().all():
            raise RunError(f"no run has {metric}; see .comparison.failures")
        return list(self.settings.values())[int(means.idxmin() if lowest else means.idxmax())]

    def figure(self, metric: str, key: str | None = None) -> go.Figure:
        """The metric against a swept value: a point for each run, and the means with their 95 % intervals.

        Args:
            metric: its name.
            key: of the value; by default the first. A second one that was swept gives the colours.

        Raises:
            RunError: there is no such metric, or the key was not swept.
        """
        from workbench.figures.sweep import metric_against

        return metric_against(self, metric, key)

    def _columns(self, names: Iterable[str]) -> dict[str, pd.Series]:
        """Key → its values for recipes of these names; a column with None stays as it is, with no NaN."""
        import pandas as pd

        values = {key: [self.settings[name][key] for name in names] for key in self.keys}
        return {key: pd.Series(own, dtype=object if None in own else None) for key, own in values.items()}

    def __repr__(self) -> str:
        return self.table().to_string(index=False, na_rep="–", float_format="{:.4g}".format)

    def _repr_html_(self) -> str:
        return self.table().to_html(index=False, na_rep="–", float_format="{:.4g}".format)
