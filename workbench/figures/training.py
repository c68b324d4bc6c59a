"""How a training goes, and what a comparison of trainings says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from plotly.subplots import make_subplots

from workbench.errors import RunError
from workbench.figures.drawing.canvas import new_figure
from workbench.figures.drawing.colours import CLEAR, DASHES, FAINT, GRID, INK, ON_PAGE, cycle

PRECISIONS = (
    "AP", "AP50", "AP_unoccluded", "AP_occluded", "accuracy_clean", "accuracy_occluded",
    "AUC", "AR100_unoccluded", "AR100_occluded",
)  # fmt: skip
ON_VALIDATION = "on validation data"
Scale = Literal["loss", "share"]


@dataclass(frozen=True)
class Curve:
    """One line of the learning curves."""

    name: str
    panel: Scale
    steps: np.ndarray  #: [P] training steps
    values: np.ndarray  #: [P]
    colour: str
    dash: str = "solid"
    width: float = 1.5  #: pixels
    marked: bool = False


def learning_curves(
    metrics: pd.DataFrame | Mapping[str, pd.DataFrame], *, points: int = 300, height: int = 320
) -> go.Figure:
    """Losses on the left, precision, or recall of proposals, on validation data on the right, over the steps.

    Args:
        metrics: as `Run.metrics()` gives them. Of one run all parts of the loss are drawn, of several (by name) the
            total and AP of each.
        points: a longer line is drawn by the means of so many groups of its values.
        height: pixels.
    """
    if not isinstance(metrics, pd.DataFrame):
        return two_panels(several_runs(metrics, points), ON_VALIDATION, alone=False, height=height)
    curves = one_run(metrics, points)
    figure = two_panels(curves, ON_VALIDATION, height=height)
    if all(curve.panel == "loss" for curve in curves):  # all the room for what there is
        figure.update_layout(xaxis_domain=[0, 1], legend_x=1, xaxis2_visible=False, yaxis2_visible=False)
    return figure


def two_panels(curves: Iterable[Curve], right: str, *, alone: bool = True, height: int = 320) -> go.Figure:
    """Losses on the left and shares (0..1) on the right, over the training steps.

    Args:
        right: title of the right axis.
        alone: a run's curves are named in their own panel, where losses and precisions leave room; several runs have
            one name for both panels, beside them.
        height: pixels.
    """
    figure = make_subplots(1, 2, horizontal_spacing=0.1)
    for curve in curves:
        figure.add_trace(_line(curve, alone=alone), row=1, col=1 if curve.panel == "loss" else 2)
    inside, beside = {"xanchor": "right", "bgcolor": CLEAR}, {"x": 1.02, "xanchor": "left", "y": 1, "bgcolor": CLEAR}
    figure.update_layout(
        **page_layout(height, {"l": 60, "r": 16, "t": 32, "b": 48}),
        legend={**inside, "x": 0.45, "y": 1} if alone else beside,  # losses fall
        legend2={**inside, "x": 1, "y": 0, "yanchor": "bottom"},  # precisions rise
        hovermode="x unified",
    )
    figure.update_xaxes(title_text="step", rangemode="tozero", matches="x")
    figure.update_xaxes(gridcolor=GRID, zerolinecolor=GRID)
    figure.update_yaxes(gridcolor=GRID, zerolinecolor=GRID)
    figure.update_yaxes(title_text="loss", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text=right, range=[0, 1], row=1, col=2)
    return figure


def page_layout(height: int, margin: dict[str, int]) -> dict[str, object]:
    """What lets a figure fill its cell and read on a light and on a dark page; height and margins in pixels."""
    return {
        "template": "plotly_white",
        "height": height,
        "autosize": True,
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "margin": margin,
        "font": {"size": 12, "color": INK},
        "hoverlabel": {"bgcolor": "#24292f", "font": {"color": "#ffffff"}},
    }


def one_run(metrics: pd.DataFrame, points: int = 300) -> list[Curve]:
    """The curves of one run: total loss and its parts, validation loss, and `PRECISIONS`."""
    train, val = (rows_of(metrics, kind) for kind in ("train", "val"))
    parts = [name for name in train.columns if name.startswith("loss/")]
    curves: list[Curve] = []
    for place, name in enumerate(["loss", *parts]):
        label = "total" if name == "loss" else name.removeprefix("loss/")
        style: dict[str, Any] = {"colour": cycle(ON_PAGE, place), "dash": cycle(DASHES, place)}
        curves += curve_of(label, "loss", train, name, points, width=2.5 if name == "loss" else 1.2, **style)
    curves += curve_of("total, validation", "loss", val, "loss", points, colour=INK, dash="dot", marked=True)
    for place, name in enumerate(PRECISIONS):
        style = {"colour": cycle(ON_PAGE, place), "dash": cycle(DASHES, place), "width": 2.5 if not place else 1.5}
        curves += curve_of(name.replace("_", ", "), "share", val, name, points, marked=True, **style)
    return curves


def several_runs(runs: Mapping[str, pd.DataFrame], points: int = 300) -> list[Curve]:
    """Total loss and AP (or AUC) of each run, in the same colour and dash."""
    curves: list[Curve] = []
    for place, (name, metrics) in enumerate(runs.items()):
        style = {"colour": cycle(ON_PAGE, place), "dash": cycle(DASHES, place)}
        curves += curve_of(name, "loss", rows_of(metrics, "train"), "loss", points, **style)
        for metric in ("AP", "accuracy_occluded", "AUC"):
            curves += curve_of(name, "share", rows_of(metrics, "val"), metric, points, marked=True, **style)
    return curves


def thin_out(steps: np.ndarray, values: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `points` of a line [P]: the means of equal groups of neighbours. Keeps its first and last shape."""
    if len(steps) <= points:
        return steps, values
    edges = np.linspace(0, len(steps), points + 1).round().astype(int)
    counts = np.diff(edges)
    return tuple(np.add.reduceat(column, edges[:-1]) / counts for column in (steps, values))


def differences_figure(table: pd.DataFrame, *, width: float = 8.0) -> Figure:
    """Each recipe's difference from the first, with its 95 % interval, one panel per metric.

    An interval that holds 0 is drawn in grey: over these seeds the recipe does not differ from the first.

    Args:
        table: as `Comparison.table()` gives it.
        width: inches.

    Raises:
        RunError: there is only one recipe.
    """
    metrics = list(dict.fromkeys(table.index.get_level_values("metric")))
    recipes = list(dict.fromkeys(table.index.get_level_values("recipe")))
    if len(recipes) < 2:
        raise RunError("a difference needs two recipes")
    size = (width, 0.9 + 0.4 * (len(recipes) - 1))
    figure, axes = new_figure(1, len(metrics), size, sharey=True)
    panels = axes[0]
    for axes, metric in zip(panels, metrics, strict=True):
        for place, recipe in enumerate(recipes[1:]):
            _draw_difference(axes, table.loc[metric, recipe], place)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_title(metric.replace("_", ", "), fontsize=10)
        axes.tick_params(labelsize=8, left=False)
        axes.locator_params(axis="x", nbins=4)  # more numbers would touch
        axes.spines[["top", "right", "left"]].set_visible(False)
    panels[0].set_yticks(range(len(recipes) - 1), recipes[1:], fontsize=9, parse_math=False)
    panels[0].set_ylim(len(recipes) - 1.5, -0.5)
    figure.supxlabel(f"difference from {recipes[0]}, 95 % interval over seeds", fontsize=9, parse_math=False)
    return figure


def _draw_difference(axes: Axes, row: pd.Series, place: int) -> None:
    low, high = row["difference_low"], row["difference_high"]
    colour = ON_PAGE[0] if low > 0 or high < 0 else FAINT
    if np.isfinite(low):
        axes.plot([low, high], [place, place], color=colour, linewidth=2.5, solid_capstyle="butt")
    if np.isfinite(row["difference"]):
        axes.plot(row["difference"], place, "o", color=colour, markersize=6)


def rows_of(metrics: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The rows of a kind ("train" or "val"), and of their columns those that hold anything."""
    return metrics[metrics["kind"] == kind].dropna(axis=1, how="all")


def curve_of(name: str, panel: Scale, rows: pd.DataFrame, column: str, points: int, **style: Any) -> Iterator[Curve]:
    """The curve of one column, if there is one and it holds numbers."""
    if column not in rows:
        return
    known = rows[["step", column]].astype(float).dropna()
    steps, values = thin_out(known["step"].to_numpy(), known[column].to_numpy(), points)
    yield Curve(name, panel, steps, values, **style)


def _line(curve: Curve, *, alone: bool) -> go.Scatter:
    own = {"legend": "legend" if curve.panel == "loss" else "legend2"}
    shared = {"legendgroup": curve.name, "showlegend": curve.panel == "loss"}
    return go.Scatter(
        x=curve.steps,
        y=curve.values,
        name=curve.name.replace("<", "&lt;"),
        mode="lines+markers" if curve.marked or len(curve.steps) == 1 else "lines",  # a line needs two points
        line={"color": curve.colour, "dash": curve.dash, "width": curve.width},
        marker={"size": 6},
        **(own if alone else shared),
        hovertemplate="%{y:.4g}",
    )
