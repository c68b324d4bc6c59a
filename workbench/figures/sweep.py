"""What a swept value does to a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from workbench.errors import RunError, did_you_mean
from workbench.figures.drawing.colours import GRID, ON_PAGE, cycle
from workbench.figures.training import page_layout

if TYPE_CHECKING:
    import pandas as pd

    from workbench.training.sweep import Sweep

WIDE = 20.0  #: from this ratio of the largest to the smallest value on, the axis is logarithmic
FEW = 6  #: values of a second key that colours set apart


def metric_against(sweep: Sweep, metric: str, key: str | None = None, *, height: int = 340) -> go.Figure:
    """A point for each run, and a line through the means over seeds with their 95 % intervals.

    Runs without the metric, most of them failed, are crosses below all others, with what went wrong as their text.

    Args:
        sweep: what was tried.
        metric: its name, for the upright axis.
        key: of the swept value on the other axis; by default the first. Another one with few values gives the lines.
        height: pixels.

    Raises:
        RunError: there is no such metric, or the key was not swept.
    """
    key = sweep.keys[0] if key is None else key
    if key not in sweep.keys:
        raise RunError(f"{key!r} was not swept{did_you_mean(key, sweep.keys)}")
    runs, table = sweep.frame(), sweep.table([metric])
    other = next((name for name in sweep.keys if name != key and 1 < len(_words(table, name).unique()) <= FEW), None)
    figure = go.Figure()
    for place, value in enumerate([None] if other is None else _words(table, other).unique()):
        own = [frame if other is None else frame[_words(frame, other) == value] for frame in (runs, table)]
        _draw(figure, *own, key=key, metric=metric, name=value or "mean", colour=cycle(ON_PAGE, place))
    lost = runs[runs[metric].isna()] if metric in runs else runs
    if len(lost):
        _draw_lost(figure, lost, key=key, floor=_floor(runs[metric].dropna().tolist() if metric in runs else []))
    legend = {"title": {"text": other}, "x": 1.02, "xanchor": "left"}
    figure.update_layout(**page_layout(height, {"l": 60, "r": 16, "t": 32, "b": 48}), legend=legend)
    figure.update_layout(showlegend=other is not None or len(lost) > 0)
    figure.update_xaxes(title_text=key, type=_scale(table[key]), exponentformat="e", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(title_text=metric, gridcolor=GRID, zeroline=False)
    return figure


def _words(frame: pd.DataFrame, key: str) -> pd.Series:
    return frame[key].map(str)


def _places(frame: pd.DataFrame, key: str, *, words: bool) -> list:
    return (_words(frame, key) if words else frame[key]).tolist()


def _floor(values: list[float]) -> float:
    """Below all values, by a tenth of their range."""
    return min(values, default=0.0) - 0.1 * (max(values, default=0.0) - min(values, default=0.0))


def _draw_lost(figure: go.Figure, lost: pd.DataFrame, *, key: str, floor: float) -> None:
    """Runs that have no value, as crosses at the floor."""
    figure.add_scatter(
        x=_places(lost, key, words=_scale(lost[key]) == "category"),
        y=[floor] * len(lost),
        text=[
            f"seed {run.seed}, {run.folder.rpartition('/')[2]}: {run.error or run.status}"
            for run in lost.itertuples()
        ],
        name="no value",
        mode="markers",
        marker={"symbol": "x-thin-open", "size": 8, "color": cycle(ON_PAGE, FEW)},
    )


def _scale(values: pd.Series) -> str:
    """Of an axis: what are no numbers stand side by side."""
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return "category"
    return "log" if values.min() > 0 and values.max() >= WIDE * values.min() else "linear"


def _draw(
    figure: go.Figure, runs: pd.DataFrame, table: pd.DataFrame, *, key: str, metric: str, name: str, colour: str
) -> None:
    """One line with its points."""
    texts = [f"seed {run.seed}, {run.folder.rpartition('/')[2]}" for run in runs.itertuples()]
    points = {"mode": "markers", "marker": {"color": colour, "size": 5, "opacity": 0.5}, "showlegend": False}
    words = _scale(table[key]) == "category"
    ordered = table if words else table.sort_values(key)
    places = [_places(frame, key, words=words) for frame in (runs, ordered)]
    figure.add_scatter(x=places[0], y=runs[metric].tolist(), text=texts, name=name, **points)
    up = (ordered[f"{metric}_high"] - ordered[metric]).tolist()
    figure.add_scatter(
        x=places[1],
        y=ordered[metric].tolist(),
        error_y={"type": "data", "array": up, "color": colour},
        line={"color": colour},
        mode="lines+markers",
        name=name,
    )
