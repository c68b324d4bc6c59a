"""What DFV augmentation reaches for each alpha and beta, and what DFVs and pseudo-DFVs look like decoded.

Cen et al. 2021: accuracy against beta for each alpha, on clean and on occluded images (Fig. 6); images, what a
decoder paints of their vectors, and of pseudo-DFVs (Figs. 7 and S3). Where we depart: with several seeds a line is
their mean and a band shows its 95 % interval; the paper has one seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor

from workbench.errors import DataError
from workbench.figures.drawing.canvas import image_axes, new_figure, show_image
from workbench.figures.drawing.colours import INK, MARKERS, ON_PAGE, cycle

MEASURES = {"accuracy_clean": "clean images", "accuracy_occluded": "occluded images"}


def beta_means(results: pd.DataFrame, measure: str) -> pd.DataFrame:
    """A row for each alpha and beta: `mean`, and the half width `half` of its 95 % interval (0 with one seed).

    Args:
        results: a row for each run, with columns alpha, beta and `measure`.

    Raises:
        DataError: one is missing.
    """
    if missing := {"alpha", "beta", measure} - set(results.columns):
        raise DataError(f"results has no {sorted(missing)}; expected a row per run with alpha, beta and {measure}")
    grouped = results.groupby(["alpha", "beta"])[measure].agg(["mean", "std", "count"]).reset_index()
    count = grouped["count"].to_numpy()
    wide = stats.t.ppf(0.975, np.maximum(count - 1, 1)) * grouped["std"] / np.sqrt(count)
    return grouped.drop(columns=["std", "count"]).assign(half=wide.where(count > 1, 0.0))


def beta_figure(results: pd.DataFrame, *, measures: Mapping[str, str] = MEASURES, width: float = 8.0) -> Figure:
    """Accuracy against beta, a line for each alpha and a panel for each measure (Fig. 6).

    Args:
        results: a row for each run, with columns alpha, beta and the measures, 0..1.
        measures: column → title.
        width: inches.
    """
    figure, axes = new_figure(1, len(measures), (width, 0.42 * width))
    for panel, (measure, title) in zip(axes[0], measures.items(), strict=True):
        means = beta_means(results, measure)
        for place, (alpha, line) in enumerate(means.groupby("alpha")):
            _draw_line(panel, line, f"α = {alpha:g}", place)
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("β", fontsize=9)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(color=INK, alpha=0.15)
    axes[0, 0].set_ylabel("accuracy", fontsize=9)
    axes[0, -1].legend(fontsize=8, frameon=False)
    return figure


def reconstructions_figure(rows: Mapping[str, Sequence[Tensor | None]], columns: Sequence[str],
                           *, side: float = 1.1) -> Figure:  # fmt: skip
    """Pictures side by side: a row for each image, such as clean, occluded, decoded DFV, decoded pseudo-DFV.

    Args:
        rows: name → pictures, uint8 or float (0..1) [3, H, W]; None: no picture.
        columns: what they are.
        side: inches.

    Raises:
        DataError: a row has another number of pictures than there are columns.
    """
    for name, pictures in rows.items():
        if len(pictures) != len(columns):
            wanted = f"{len(columns)}: {', '.join(columns)}"
            raise DataError(f"row {name!r} has {len(pictures)} pictures; expected {wanted}")
    if not rows:
        raise DataError("no rows to show; give a dict of name → pictures")
    figure, axes = image_axes(len(rows), len(columns), (1, 1), side)
    for place, (name, pictures) in enumerate(rows.items()):
        for panel, picture in zip(axes[place], pictures, strict=True):
            panel.set_aspect("equal")  # an empty place is as large as a picture
            if picture is not None:
                show_image(panel, picture)
        axes[place, 0].text(-0.06, 0.5, name, transform=axes[place, 0].transAxes, ha="right", va="center",
                            fontsize=8, parse_math=False)  # fmt: skip
    for panel, text in zip(axes[0], columns, strict=True):
        panel.set_title(text, fontsize=8, parse_math=False)
    return figure


def _draw_line(axes: Axes, line: pd.DataFrame, label: str, place: int) -> None:
    colour = cycle(ON_PAGE, place)
    beta, mean, half = (line[name].to_numpy() for name in ("beta", "mean", "half"))
    axes.plot(beta, mean, marker=cycle(MARKERS, place), markersize=4, color=colour, label=label)
    if half.any():
        axes.fill_between(beta, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
