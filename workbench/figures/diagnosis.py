"""What detectors get wrong: which classes change, which kinds of errors there are and what they cost, and pictures.

`change_by_class` is Fig. 5 of A-Fast-RCNN (Wang et al. 2017), `false_positives_grid` its Fig. 6; the kinds are those
of Hoiem et al. 2012, see `workbench.evaluation.diagnosis`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from workbench.data import Dataset
from workbench.errors import DataError
from workbench.evaluation.diagnosis import ERROR_KINDS, Diagnosis
from workbench.figures.drawing.canvas import draw_box, hatch, image_axes, new_figure, plain, show_image
from workbench.figures.drawing.colours import ON_WHITE, colour

AROUND = 0.5  #: of the side of a box that is shown around it
PANEL = 192  #: pixels of a picture of the grid


def change_by_class(table: pd.DataFrame, *, a: str = "a", b: str = "b", measure: str = "AP") -> Figure:
    """Change of each class with its 95 % interval, the largest gain first (Fig. 5).

    Bars whose interval holds 0 are grey. `a` and `b` are the names to show, `measure` what was compared.

    Args:
        table: as `workbench.evaluation.difference_by_class` gives it.
    """
    table = table.dropna(subset=["difference"]).sort_values("difference", ascending=False)
    if not len(table):
        raise DataError("no class has objects in both results; there is nothing to show")
    figure, panels = new_figure(1, 1, (max(4.0, 1.2 + 0.5 * len(table)), 3.4))
    axes, places = panels[0, 0], np.arange(len(table))
    clear = (table["low"] > 0) | (table["high"] < 0)
    axes.bar(places, table["difference"], 0.7, color=np.where(clear, ON_WHITE[0], "0.75"))
    spans = np.stack([table["difference"] - table["low"], table["high"] - table["difference"]]).clip(min=0)
    axes.errorbar(places, table["difference"], yerr=spans, fmt="none", ecolor="0.25", elinewidth=1, capsize=2)
    axes.axhline(0, color="0.3", linewidth=1)
    turned = max(len(str(name)) for name in table.index) > 4
    axes.set_xticks(places, [plain(str(name)) for name in table.index], rotation=45 if turned else 0)
    axes.set_ylabel(plain(f"change of {measure}"))
    axes.set_title(plain(f"{b} minus {a}, by class"), fontsize="medium")
    axes.grid(axis="y", color="0.9")
    _dress(axes)
    return figure


def kinds_of_errors(diagnoses: Mapping[str, Diagnosis], *, year: int = 2007) -> Figure:
    """Left: how many of each detector's top false positives are of each kind. Right: what each kind costs in AP.

    Args:
        diagnoses: name to show → `Result.diagnosis()`.
        year: of VOC's rules for AP.
    """
    if not diagnoses:
        raise DataError("no diagnoses to show; give a mapping from names to them")
    figure, panels = new_figure(1, 2, (9.0, 1.6 + 0.42 * len(diagnoses)))
    left, right = panels[0]
    places, starts = np.arange(len(diagnoses)), np.zeros(len(diagnoses))
    costs = pd.DataFrame({name: one.cost(year).loc["mean", list(ERROR_KINDS)] for name, one in diagnoses.items()})
    for index, kind in enumerate(ERROR_KINDS):
        counts = np.array([one.kinds()[kind].sum() for one in diagnoses.values()], dtype=float)
        left.barh(places, counts, 0.7, left=starts, color=ON_WHITE[index], label=kind)
        for place, start, count in zip(places, starts, counts, strict=True):
            if count >= 0.06 * max(1.0, starts.max() + counts.max()):
                text = f"{count:.0f}"
                left.text(start + count / 2, place, text, ha="center", va="center", color="white", fontsize="small")
        starts += counts
        height = 0.8 / len(ERROR_KINDS)
        right.barh(places + (index - 1.5) * height, costs.loc[kind], height, color=ON_WHITE[index])
    left.set_xlabel("top false positives (as many per class as it has objects)", fontsize="small")
    right.set_xlabel(f"AP (VOC {year}) gained without them", fontsize="small")
    left.set_yticks(places, [plain(name) for name in diagnoses])
    right.set_yticks(places, [""] * len(places))
    for axes in (left, right):
        axes.invert_yaxis()
        axes.grid(axis="x", color="0.9")
        _dress(axes)
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside upper center", ncols=len(ERROR_KINDS), frameon=False
    )
    return figure


#: What hides the object in a box [4] of an image [3, H, W], bool [H, W].
HiddenBy = Callable[[Tensor, Tensor], Tensor]


def false_positives_grid(
    table: pd.DataFrame,
    diagnosis: Diagnosis,
    data: Dataset,
    *,
    number: int = 8,
    columns: int = 4,
    side: float = 1.9,
    hidden_by: HiddenBy | None = None,
) -> Figure:
    """The first false positives of a table, each cut out of its image: the detection, and dashed what explains it.

    Args:
        table: rows of `diagnosis.false_positives`, as `top`, `only_in` and filters give them.
        data: the images that were evaluated.
        number: of pictures at most.
        side: inches of each.
        hidden_by: asked what is found to hide the object in each detection's box, which is hatched; None: nothing is.

    Raises:
        DataError: there are no rows, or `data` has fewer images than were evaluated.
    """
    cards = [
        (row, f"{row['class']} {row['score']:.2f}\n{in_words(row)}", row["detection"], row["object"])
        for _, row in table.head(number).iterrows()
    ]
    return _grid(cards, diagnosis, data, columns, side, hidden_by)


def missed_grid(
    table: pd.DataFrame,
    diagnosis: Diagnosis,
    data: Dataset,
    *,
    number: int = 8,
    columns: int = 4,
    side: float = 1.9,
    hidden_by: HiddenBy | None = None,
) -> Figure:
    """The first missed objects of a table, each cut out of its image: the object dashed, and the nearest detection.

    The other arguments are those of `false_positives_grid`; without a detection it is the object's box that is asked
    about.

    Args:
        table: rows of `diagnosis.objects_found`, as `missed` and `missed_only_in` give them.
    """
    cards = []
    for _, row in table.head(number).iterrows():
        hidden = "" if np.isnan(row["occlusion"]) else f", {row['occlusion']:.0%} hidden"
        nearest = f"taken for {row['found_class']}, IoU {row['iou']:.2f}" if row["detection"] >= 0 else "nothing near"
        found = nearest if np.isnan(row["score"]) else f"score {row['score']:.2f}"
        cards.append((row, f"{row['class']}{hidden}\n{found}", row["detection"], row["object"]))
    return _grid(cards, diagnosis, data, columns, side, hidden_by)


def _grid(
    cards: list[tuple[pd.Series, str, int, int]],
    diagnosis: Diagnosis,
    data: Dataset,
    columns: int,
    side: float,
    hidden_by: HiddenBy | None,
) -> Figure:
    """Cards of (row, title, detection or -1, object or -1)."""
    if not cards:
        raise DataError("there is nothing to show: the table is empty")
    last = max(int(row["image"]) for row, *_ in cards)
    if last >= len(data):
        raise DataError(f"the errors are about image {last}; {data.name} has {len(data)} images")
    columns = min(columns, len(cards))
    rows = -(-len(cards) // columns)
    figure, panels = image_axes(rows, columns, (PANEL, PANEL), side, titles=2 * rows)
    found, objects = diagnosis.found, diagnosis.objects
    for axes, (row, title, detection, known) in zip(panels.flat, cards, strict=False):
        ours = None if detection < 0 else torch.tensor(found.boxes[detection]).float()
        theirs = None if known < 0 else torch.tensor(objects.boxes[known]).float()
        whole = data.image(int(row["image"]))
        image, corner, scale = _cut_out(whole, ours, theirs)
        show_image(axes, image)
        if hidden_by is not None:
            hidden = hidden_by(whole, theirs if ours is None else ours)
            hatch(axes, _cut_out(255 * hidden.expand(3, -1, -1), ours, theirs)[0][0] >= 128)
        if theirs is not None:
            draw_box(axes, (theirs - corner.repeat(2)) * scale, dashed=True)
        if ours is not None:
            draw_box(axes, (ours - corner.repeat(2)) * scale, colour=colour(int(found.labels[detection])))
        axes.set_title(title, fontsize=8, parse_math=False)
    return figure


def in_words(row: pd.Series) -> str:
    """What is wrong with a false positive (a row of `Diagnosis.false_positives`)."""
    if row["kind"] == "localisation":
        return "found twice" if row["duplicate"] else f"IoU {row['iou']:.2f}"
    if row["kind"] == "background":
        return "nothing there"
    return f"{'similar: ' if row['kind'] == 'similar' else ''}it is {row['object_class']}"


def _cut_out(image: Tensor, *boxes: Tensor | None) -> tuple[Tensor, Tensor, float]:
    """A square around the boxes [4] at `PANEL` pixels, black outside the image; its corner [2] and scale."""
    corners = torch.stack([box for box in boxes if box is not None])
    low, high = corners[:, :2].amin(0), corners[:, 2:].amax(0)
    length = max(8, round(float((high - low).max()) * (1 + AROUND)))
    corner = ((low + high) / 2 - length / 2).round()
    x, y = (int(value) for value in corner)
    height, width = image.shape[-2:]
    padding = (max(0, -x), max(0, x + length - width), max(0, -y), max(0, y + length - height))
    padded = F.pad(image.as_subclass(Tensor), padding)
    x, y = max(0, x), max(0, y)
    cut = padded[:, y : y + length, x : x + length]
    large = F.interpolate(cut[None].float(), size=(PANEL, PANEL), mode="nearest" if length < PANEL else "area")
    return large[0].round().to(torch.uint8), corner, PANEL / length


def _dress(axes: Axes) -> None:
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
