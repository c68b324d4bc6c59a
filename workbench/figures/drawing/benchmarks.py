"""What figures of benchmarks share: results by name, a heading that says how they were computed, plain axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.errors import DataError
from workbench.evaluation.benchmark_result import BenchmarkResult
from workbench.figures.drawing.canvas import plain

LEGEND = {"edgecolor": "none", "framealpha": 0.8, "fancybox": False}  #: curves may be anywhere
One = TypeVar("One", bound=BenchmarkResult)


def named(results: One | Mapping[str, One]) -> dict[str, One]:
    """Results by the names to show; one alone has none.

    Raises:
        DataError: there are none.
    """
    by_name = {"": results} if isinstance(results, BenchmarkResult) else dict(results)
    if not by_name:
        raise DataError("No results to show; give one, or a mapping from names to results.")
    return by_name


def say(figure: Figure, results: Mapping[str, BenchmarkResult]) -> None:
    """What the figure is about, as its heading; where results differ in how they were computed, of each."""
    abouts = dict.fromkeys(result.gathered.about for result in results.values())
    hows = dict.fromkeys(result.how for result in results.values())
    lines = list(hows) if len(hows) == 1 else [f"{name}: {result.how}" for name, result in results.items()]
    figure.suptitle(plain("\n".join([*abouts, *lines])), fontsize="x-small", color="0.3", wrap=True)


def dress(axes: Axes) -> None:
    """A faint grid behind the curves, and no frame above and to the right."""
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
