"""Figures of face benchmarks: FDDB's curves over false positives, and precision against recall by kind of face."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workbench.errors import DataError
from workbench.evaluation.fddb import SCORES, FddbResult
from workbench.evaluation.mafa import CHOICES, MafaResult
from workbench.evaluation.wider_face import ENOUGH, SETS, WiderFaceResult
from workbench.figures.drawing.benchmarks import LEGEND, dress, named, say
from workbench.figures.drawing.canvas import new_figure, plain
from workbench.figures.drawing.colours import INK, ON_WHITE, cycle

Rocs = FddbResult | Mapping[str, FddbResult]
PrecisionRecall = MafaResult | WiderFaceResult
Curves = PrecisionRecall | Mapping[str, PrecisionRecall]


def fddb_roc(results: Rocs, *, most: int | None = None) -> Figure:
    """Recall against false positives by the discrete and the continuous score; a dotted line where recall is given.

    Args:
        results: one, or several as a mapping from the name to show.
        most: false positives at the right end; None: twice as many as where recall is given.

    Raises:
        DataError: no results.
    """
    chosen = named(results)
    limit = max(result.limit for result in chosen.values())
    most = 2 * max(limit, 1) if most is None else most
    figure, panels = new_figure(1, 2, (9.0, 3.8), sharey=True)
    for axes, kind in zip(panels[0], SCORES, strict=True):
        for index, (name, result) in enumerate(chosen.items()):
            curve = result.frame()
            value = result.summary[f"{kind}@{result.limit}"]
            label = " ".join(part for part in (name, f"{value:.1%} at {result.limit}") if part)
            style = {"color": cycle(ON_WHITE, index), "label": plain(label), "where": "post"}
            wrong, recall = (np.append(0, curve[key]) for key in ("false_positives", kind))
            axes.step(wrong, recall, linewidth=1.6, **style)
        axes.axvline(limit, color=INK, linewidth=1, linestyle=":")
        axes.set(xlabel="false positives", xlim=(0, most), ylim=(0, 1.02), title=f"{kind} score")
        dress(axes)
        axes.legend(loc="lower right", **LEGEND)
    panels[0, 0].set_ylabel("true positive rate")
    say(figure, chosen)
    return figure


def face_precision_recall(results: Curves, *, iou: float | None = None) -> Figure:
    """Precision against recall on WIDER FACE or MAFA: one panel, or for several detectors one per kind of face.

    Args:
        results: one, or several of one benchmark as a mapping from the name to show.
        iou: of MAFA's, whose curves to show; None: the first.

    Raises:
        DataError: no results, results of different benchmarks, or another IoU.
    """
    chosen: dict[str, PrecisionRecall] = named(results)
    least = _least(next(iter(chosen.values())), iou)
    curves = {name: _by_kind(result, _least(result, least)) for name, result in chosen.items()}
    kinds = list(next(iter(curves.values())))
    if any(list(one) != kinds for one in curves.values()):
        raise DataError(f"The results {', '.join(chosen)} are about different kinds of faces; show them one by one.")
    number = 1 if len(chosen) == 1 else len(kinds)
    figure, panels = new_figure(1, number, (4.8 if number == 1 else 3.4 * number, 4.2), sharey=True)
    for index, (name, by_kind) in enumerate(curves.items()):
        for place, (kind, (curve, area)) in enumerate(by_kind.items()):
            axes = panels[0, 0 if number == 1 else place]
            label, shade = (kind, place) if number == 1 else (name, index)
            text = plain(f"{label}  AP {area:.3f}")
            axes.plot(curve["recall"], curve["precision"], color=cycle(ON_WHITE, shade), linewidth=1.6, label=text)
            axes.set_title(f"IoU ≥ {least:g}" if number == 1 else f"{kind}, IoU ≥ {least:g}")
    for axes in panels[0]:
        axes.set(xlabel="recall", xlim=(0, 1), ylim=(0, 1.02))
        dress(axes)
        axes.legend(loc="best", **LEGEND)
    panels[0, 0].set_ylabel("precision")
    say(figure, chosen)
    return figure


def _least(result: PrecisionRecall, iou: float | None) -> float:
    """The IoU whose curves are shown."""
    known = [least for _, least in result.matches] if isinstance(result, MafaResult) else [ENOUGH]
    if iou is not None and iou not in known:
        raise DataError(f"there are no curves of IoU {iou}; choose one of {list(dict.fromkeys(known))}")
    return known[0] if iou is None else iou


def _by_kind(result: PrecisionRecall, least: float) -> dict[str, tuple[pd.DataFrame, float]]:
    """The curve and AP of each kind of face."""
    curves = result.frame()
    if not isinstance(result, MafaResult):
        return {kind: (curves[curves["faces"] == kind], result.summary[f"AP_{kind}"]) for kind in SETS}
    curves = curves[curves["iou"] == least]
    return {
        kind.replace("_", " "): (curves[curves["faces"] == kind], result.summary[f"AP_{kind}@{least:g}"])
        for kind in CHOICES
    }
