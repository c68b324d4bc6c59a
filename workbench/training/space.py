"""What a sweep tries: values that are listed or drawn, and what a recipe with some of them is called."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.errors import RecipeError
from workbench.training.recipe import Recipe

AT = " @ "  #: in a setting's name, between the recipe's and what is set


@dataclass(frozen=True)
class Drawn:
    """A value that is drawn between two bounds, as `uniform` and `loguniform` make them."""

    low: float
    high: float
    logarithmic: bool = False

    def draw(self, generator: random.Random) -> float:
        """One value."""
        if self.logarithmic:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = generator.uniform(self.low, self.high)
        return self.rounded(value)

    def rounded(self, value: float) -> float:
        """With four digits: so many say all, and can be read."""
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


def check_space(space: Mapping[str, Sequence[Any] | Drawn], draws: int) -> None:
    """Raise RecipeError where there is nothing to try, or what is given is no space."""
    if not isinstance(space, Mapping):
        raise RecipeError(
            f"the space is {space!r:.60}; expected key of the recipe → values, as {{'batch_size': [4, 8]}}"
        )
    if own := {"seed", "name"}.intersection(space):
        raise RecipeError(
            f"{min(own)} is set for each run of a sweep; give seeds=[...] and keys that change a training"
        )
    for key, values in space.items():
        listed = isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 0
        if not listed and not isinstance(values, Drawn):
            raise RecipeError(f"{key}: expected a list of values, uniform(...) or loguniform(...), got {values!r}")
    if not space or draws < 1:
        raise RecipeError(f"there is nothing to sweep: {len(space)} keys, draws={draws}")


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
    check_space(space, draws)
    listed = {key: values for key, values in space.items() if not isinstance(values, Drawn)}
    drawn = {key: values for key, values in space.items() if isinstance(values, Drawn)}
    tried = []
    for number in range(draws if drawn else 1):
        generators = {key: random.Random(json.dumps([seed, number, key])) for key in drawn}
        own = {key: values.draw(generators[key]) for key, values in drawn.items()}
        for combination in itertools.product(*listed.values()):
            chosen = {**dict(zip(listed, combination, strict=True)), **own}
            tried.append({key: chosen[key] for key in space})
    return tried


def named(base: Recipe, tried: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Name of the recipe with a setting → that setting."""
    return {_name(base, setting): dict(setting) for setting in tried}


def _name(base: Recipe, setting: Mapping[str, Any]) -> str:
    return base.name + AT + ", ".join(f"{key}={_short(value)}" for key, value in setting.items())


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
