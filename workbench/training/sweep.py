"""Train a recipe with many settings, of a grid or drawn at random, and see what each does to a metric.

A sweep is a comparison of recipes that differ in the swept values: what is finished already is used again, what was
interrupted goes on, and its tables are those of a comparison.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import RecipeError, RunError
from workbench.training.compare import compare
from workbench.training.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from workbench.training.comparison import Comparison

AT = " @ "  #: in a setting's name, between the recipe's and what is set


@dataclass(frozen=True)
class Drawn:
    """A value that is drawn between two bounds, as `uniform` and `loguniform` make them."""

    low: float
    high: float
    logarithmic: bool = False

    def draw(self, generator: random.Random) -> float:
        """One value, with four digits: so many say all, and can be read."""
        if self.logarithmic:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = generator.uniform(self.low, self.high)
        return min(max(float(f"{value:.4g}"), self.low), self.high)


def uniform(low: float, high: float) -> Drawn:
    """Values that are equally likely between two bounds.

    Raises:
        RecipeError: the bounds are not finite, or not in order.

    Example:
        >>> wb.uniform(0.1, 0.3)
        Drawn(low=0.1, high=0.3, logarithmic=False)
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise RecipeError(f"expected two finite bounds, the lower first, got {low} and {high}")
    return Drawn(low, high)


def loguniform(low: float, high: float) -> Drawn:
    """Values whose logarithms are equally likely between two bounds, as learning rates are tried.

    Raises:
        RecipeError: the bounds are not positive and finite, or not in order.

    Example:
        >>> wb.loguniform(1e-4, 1e-2)
        Drawn(low=0.0001, high=0.01, logarithmic=True)
    """
    if not (0 < low < high < math.inf):
        raise RecipeError(f"expected two positive bounds, the lower first, got {low} and {high}")
    return Drawn(low, high, logarithmic=True)


def settings(space: Mapping[str, Sequence[Any] | Drawn], *, draws: int = 10, seed: int = 0) -> list[dict[str, Any]]:
    """What a sweep tries: each combination of the lists, and with each so many draws of what is drawn.

    Args:
        space: dotted key of a recipe → list of values, or `uniform(...)`, `loguniform(...)`.
        draws: for each combination; 1 where nothing is drawn.
        seed: of the draws. More draws begin with the same ones.

    Raises:
        RecipeError: there is nothing to try.

    Example:
        >>> settings({"batch_size": [4, 8], "stages.0.lr": [0.01]})
        [{'batch_size': 4, 'stages.0.lr': 0.01}, {'batch_size': 8, 'stages.0.lr': 0.01}]
        >>> settings({"stages.0.lr": wb.loguniform(1e-4, 1e-2)}, draws=2)
        [{'stages.0.lr': 0.0005445}, {'stages.0.lr': 0.002127}]
    """
    listed = {key: values for key, values in space.items() if not isinstance(values, Drawn)}
    drawn = {key: values for key, values in space.items() if isinstance(values, Drawn)}
    for key, values in listed.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise RecipeError(f"{key}: expected a list of values, uniform(...) or loguniform(...), got {values!r}")
    if not space or draws < 1:
        raise RecipeError(f"there is nothing to sweep: {len(space)} keys, draws={draws}")
    tried = []
    for number in range(draws if drawn else 1):
        generators = {key: random.Random(json.dumps([seed, number, key])) for key in drawn}
        own = {key: values.draw(generators[key]) for key, values in drawn.items()}
        for combination in itertools.product(*listed.values()):
            chosen = {**dict(zip(listed, combination, strict=True)), **own}
            tried.append({key: chosen[key] for key in space})
    return tried


def sweep(
    recipe: Recipe | str | Path,
    space: Mapping[str, Sequence[Any] | Drawn],
    *,
    seeds: int | Sequence[int] = 3,
    draws: int = 10,
    draw_seed: int = 0,
    **how: Any,
) -> Sweep:
    """Train a recipe with each setting of a space and each seed, and compare them.

    Called again it uses what is finished, goes on with what was interrupted, and adds what is new: more draws, more
    values, more seeds.

    Args:
        recipe: a recipe, the name of a shipped one, or a file.
        space: dotted key of the recipe → list of values, of which all combinations are tried, or `wb.uniform(low,
            high)`, `wb.loguniform(low, high)`.
        seeds: so many from 0 on, or the seeds; the same for each setting.
        draws: how often what is drawn is drawn, for each combination of the lists. The same for all combinations, so
            that they can be compared.
        draw_seed: of the draws.
        how: `folder`, `on`, `workers`, `test` and `progress`, as `compare` takes them; `on="slurm"` puts all runs
            into the queue at once.

    Returns:
        The result: `.table()`, `.best()`, `.figure(metric, key)`, `.comparison`.

    Raises:
        RecipeError: a key leads nowhere, a value is not allowed, or there is nothing to try.
        RunError: as `compare`.

    Example:
        >>> stage = {"train": "detector", "steps": 5, "lr": 3e-3}
        >>> few = {"name": "digits", "split": "test", "limit": 20}
        >>> recipe = wb.Recipe.load("dfv/digits-c").replace(stages=[stage], test=few)
        >>> tried = wb.sweep(recipe, {"stages.0.lr": [0.01]}, seeds=1, folder="runs", progress=False)
        >>> tried.best("accuracy_clean")
        {'stages.0.lr': 0.01}
    """
    base = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    tried = {_name(base, setting): setting for setting in settings(space, draws=draws, seed=draw_seed)}
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


def _name(base: Recipe, setting: Mapping[str, Any]) -> str:
    return base.name + AT + ", ".join(f"{key}={_short(value)}" for key, value in setting.items())


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
