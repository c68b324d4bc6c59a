"""Figures of benchmarks of occluded people: miss rate against false positives per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from workbench.errors import DataError, did_you_mean
from workbench.evaluation.counting.miss_rate import FPPI
from workbench.evaluation.miss_rate import MissRateResult
from workbench.figures.drawing.benchmarks import LEGEND, dress, named, say
from workbench.figures.drawing.canvas import new_figure, plain
from workbench.figures.drawing.colours import INK, MARKERS, ON_WHITE, cycle

MissRates = MissRateResult | Mapping[str, MissRateResult]
LEFT, RIGHT = 1e-3, 10.0  #: FPPI at the ends of the axis
LOWEST = 0.05  #: miss rate at the lower end, or below the lowest curve
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.64, 0.8, 1.0)  # of miss rates, as Dollár et al. have them
_COLUMNS = 4  # panels side by side


def miss_rate_curves(results: MissRates, *, subsets: Sequence[str] | None = None) -> Figure:
    """Miss rate against false positives per image, as pedestrian papers since Dollár et al. 2012 draw it.

    One panel, or for several detectors one for each subset. The marks are at the nine FPPI whose miss rates are
    averaged to MR⁻², which the legend gives. Curves end where the last detection has been counted.

    Args:
        results: one, or several of one benchmark as a mapping from the name to show.
        subsets: of the people, in this order, such as ["reasonable", "heavy"]; None: all that have any.

    Raises:
        DataError: no results, a subset that they do not have, or subsets without people only.
    """
    chosen: dict[str, MissRateResult] = named(results)
    names = _subsets(chosen, subsets)
    single = len(chosen) == 1
    number = 1 if single else len(names)
    columns = min(number, _COLUMNS)
    rows = -(-number // columns)
    size = (5.6, 4.4) if single else (3.3 * columns, 3.9 * rows + 0.3)
    figure, grid = new_figure(rows, columns, size, sharex=True, sharey=True)
    panels, lowest = grid.ravel(), 1.0
    for index, (name, result) in enumerate(chosen.items()):
        for place, subset in enumerate(names):
            axes, style = (panels[0], place) if single else (panels[place], index)
            label = subset.replace("_", " ") if single else name
            lowest = min(lowest, _draw(axes, result, subset, label, style))
            axes.set_title(
                "" if single else f"{subset.replace('_', ' ')}\n{result.subsets[subset]}", fontsize="small"
            )
    for axes in panels[number:]:
        axes.set_visible(False)
    for place, axes in enumerate(panels[:number]):
        _axes(axes, min(LOWEST, lowest * 0.8))
        if place + columns >= number:  # nothing is below
            axes.set_xlabel("false positives per image")
            axes.xaxis.set_tick_params(labelbottom=True)
        axes.legend(loc="lower left", fontsize="small", **LEGEND)
    for axes in grid[:, 0]:
        axes.set_ylabel("miss rate")
    say(figure, chosen)
    return figure


def _subsets(results: Mapping[str, MissRateResult], asked: Sequence[str] | None) -> list[str]:
    first = next(iter(results.values()))
    for name in asked or ():
        if not all(name in result.curves for result in results.values()):
            raise DataError(f"there is no subset {name!r}{did_you_mean(name, list(first.curves))}")
    known = [name for name in first.curves if all(name in result.curves for result in results.values())]
    found = [name for name in (known if asked is None else asked) if first.curves[name].counts.any()]
    if not found:
        raise DataError(f"no person belongs to {', '.join(asked or known or ['a common subset'])}; there is no curve")
    return found


def _draw(axes: Axes, result: MissRateResult, subset: str, label: str, style: int) -> float:
    """A curve with its marks; the lowest miss rate of it."""
    frame = result.curves[subset].frame()
    missed = np.append(1.0, frame["miss_rate"])
    fppi = np.append(0.0, frame["fppi"]).clip(LEFT / 10)
    rates = result.curves[subset].miss_rates()[0]
    shade, text = cycle(ON_WHITE, style), f"{label}  {result.summary[f'MR_{subset}']:.1%}".strip()
    axes.step(fppi, missed.clip(1e-6), where="post", color=shade, linewidth=1.6)
    look = {"color": shade, "linewidth": 1.6, "marker": cycle(MARKERS, style), "markersize": 4.5}
    axes.plot(FPPI, rates.clip(1e-6), **{**look, "linewidth": 0}, zorder=3)
    axes.plot([], [], label=plain(text), **look)
    return float(missed[fppi <= RIGHT].min())


def _axes(axes: Axes, low: float) -> None:
    axes.set(xscale="log", yscale="log", xlim=(LEFT, RIGHT), ylim=(max(low, 0.005), 1.02))
    axes.yaxis.set_major_locator(FixedLocator(_TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.axvspan(FPPI[0], FPPI[-1], color=INK, alpha=0.08, linewidth=0)
    dress(axes)
