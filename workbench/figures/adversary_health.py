"""Is the adversary of a run doing its work? What is logged of it over the steps, and warnings in plain words.

Columns of `Run.metrics()` that are looked at: `loss/adversary`, and `hardener/...` as `ASDN`, `ASTN`, `MaskGenerator`
and, for the warnings, `DFVAugmentation` report them in `health`: each is of the last step before it was logged.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.figures.drawing.colours import DASHES, GRID, INK, ON_PAGE
from workbench.figures.training import (
    Curve,
    curve_of,
    page_layout,
    rows_of,
    two_panels,
)
from workbench.training import Recipe

#: What is drawn of the columns `hardener/...`, in this order.
SHARES = {
    "hardened": "objects hardened",
    "masks_passed": "masks hard enough",
    "mask_entropy": "mask entropy (1: random)",
    "angles_at_limit": "angles at their limit",
    "window_found": "worst window found",
    "edges": "edges of masks (1: scattered)",
}
RECENT, ENOUGH = 10, 5  #: logged steps that are judged, and how many of a stage there must be
NEAR = 0.05  #: mask entropy this close to that of one fixed mask counts as collapsed
RUNAWAY = 4.0  #: times the length at a stage's beginning from which difference vectors count as run away
STUCK = 0.97  #: share of angles at their limit from which ASTN counts as stuck
ANGLES = [f"hardener/angle_{number}" for number in range(1, 10)]  #: from -limit to limit
SMALL, IDLE = ANGLES[3:6], 0.8  #: angles within a third of the limit; share of them from which ASTN counts as idle
TURNED = 0.25  #: share of angles at the limit in one logged step, above which ASTN did turn


def watches_adversary(metrics: pd.DataFrame) -> bool:
    """Whether a run's metrics hold anything of an adversary."""
    return any(name in metrics for name in ("loss/adversary", *(f"hardener/{share}" for share in SHARES)))


def adversary_health(
    metrics: pd.DataFrame, recipe: Recipe | None = None, *, points: int = 300, height: int = 300
) -> go.Figure:
    """The adversary's loss on the left; on the right the shares that show whether it does its work.

    Args:
        metrics: as `Run.metrics()` gives them.
        recipe: of the run: marks where its stages begin, and the entropy of a mask that is the same for all objects.
        points: a longer line is drawn by the means of so many groups of its values.
        height: pixels.
    """
    train = rows_of(metrics, "train")
    curves = [*curve_of("adversary", "loss", train, "loss/adversary", points, colour=ON_PAGE[0], width=2.0)]
    for place, (column, name) in enumerate(SHARES.items()):
        look: dict[str, Any] = {"colour": ON_PAGE[place], "dash": DASHES[place], "width": 1.8}
        curves += curve_of(name, "share", train, f"hardener/{column}", points, **look)
    level = None if recipe is None or "hardener/mask_entropy" not in train else fixed_mask_entropy(recipe)
    if level is not None:
        steps = train["step"].iloc[[0, -1]].to_numpy()
        curves.append(Curve("entropy of one fixed mask", "share", steps, np.full(2, level), INK, "dot", 1.2))
    figure = two_panels(curves, "share", height=height)
    figure.update_traces(showlegend=False, selector={"name": "adversary"})
    figure.update_layout(legend2={"x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top"})  # shares leave no room
    figure.update_xaxes(domain=[0, 0.4], row=1, col=1)
    figure.update_xaxes(domain=[0.48, 1], row=1, col=2)
    figure.update_yaxes(title_text="loss of the adversary", row=1, col=1)
    figure.update_yaxes(range=[-0.03, 1.05], row=1, col=2)
    for first, text in [] if recipe is None or len(recipe.stages) < 2 else _beginnings(recipe):
        note: dict[str, Any] = {"annotation_text": text, "annotation_textangle": 90, "annotation_font_size": 10}
        for panel in (1, 2):
            line = {"color": INK, "width": 1, "dash": "dot"}
            figure.add_vline(first, line=line, row=1, col=panel, annotation_position="top right", **note)
    return figure


def angle_histogram(metrics: pd.DataFrame, *, height: int = 220) -> go.Figure | None:
    """How far ASTN turned over the last logged steps; None where nothing is known of angles.

    Args:
        metrics: as `Run.metrics()` gives them.
        height: pixels.
    """
    train = rows_of(metrics, "train")
    known = train.dropna(subset=ANGLES) if set(ANGLES) <= set(train) else train[:0]
    if known.empty:
        return None
    shares = known[ANGLES].tail(RECENT).mean().to_numpy()
    centres = (np.arange(len(ANGLES)) - len(ANGLES) // 2) / (len(ANGLES) / 2)
    hint = "%{y:.0%} of the angles<extra></extra>"
    figure = go.Figure(go.Bar(x=centres, y=shares, marker_color=ON_PAGE[3], name="angles", hovertemplate=hint))
    figure.update_layout(**page_layout(height, {"l": 60, "r": 16, "t": 16, "b": 48}), bargap=0.06)
    figure.update_xaxes(title_text="angle as a share of hardener.limit", range=[-1, 1], gridcolor=GRID)
    figure.update_yaxes(title_text="share", range=[0, 1], gridcolor=GRID)
    return figure


def hardener_warnings(metrics: pd.DataFrame, recipe: Recipe) -> list[str]:
    """What is wrong with the hardener over the last logged steps of the present stage; empty if nothing is.

    It says nothing before a stage has logged 5 times, nor of a stage that the hardener sits out.

    Args:
        metrics: as `Run.metrics()` gives them.
    """
    train = rows_of(metrics, "train")
    if "stage" not in train or train.empty:
        return []
    stage = recipe.stages[int(train["stage"].iloc[-1])]
    present = train[train["stage"] == train["stage"].iloc[-1]]
    recent = present.tail(RECENT)
    if len(recent) < ENOUGH or not stage.harden:
        return []
    found = [_run_away(present, recent)]
    if not watches_adversary(train):
        return [text for text in found if text]
    if stage.train != "hardener":
        found += [_never_masked(recent), _collapsed(recent, recipe), _stuck(recent)]
        found += [_idle(present, recent, stage.train)] if len(present) >= 2 * RECENT else []
    if stage.train != "detector":
        found.append(_learns_nothing(recent))
    return [text for text in found if text]


def fixed_mask_entropy(recipe: Recipe) -> float | None:
    """What mask_entropy is (about) if an adversary's map is the same for all objects; None without one of masks."""
    from workbench.hardeners import build_hardener  # late: following a run needs no torch
    from workbench.hardeners.layers.adversary import Adversary

    hardener = build_hardener(recipe.hardener)
    players = [part for part in (() if hardener is None else hardener.modules()) if isinstance(part, Adversary)]
    return next((one.fixed_mask_entropy for one in players if one.fixed_mask_entropy is not None), None)


def _run_away(present: pd.DataFrame, recent: pd.DataFrame) -> str | None:
    """Vectors that outgrow what is added to them make the next epoch's difference vectors longer, and so on."""
    lengths = present.get("hardener/dv_length", pd.Series(dtype=float)).dropna()
    if lengths.empty or (times := float(recent["hardener/dv_length"].median() / lengths.iloc[0])) < RUNAWAY:
        return None
    return (
        f"Run away: the difference vectors are {times:.0f} times as long as when this stage began; vectors and what "
        "is added to them make each other longer. Lower the lr of the stage, or let BatchNorm learn "
        "(backbone.norm: batch)."
    )


def _never_masked(recent: pd.DataFrame) -> str | None:
    if _values(recent, "hardener/hardened").any():
        return None
    return (
        f"Never masked: in none of the last {len(recent)} logged steps was any object hardened, so the detector "
        "trains as if there were no adversary. Do the images hold objects? Lower hardener.clean_images, or take "
        "larger batches."
    )


def _learns_nothing(recent: pd.DataFrame) -> str | None:
    passed = _values(recent, "hardener/masks_passed", unknown=1)
    if not passed.any():
        return (
            f"Loss 0: in the last {len(recent)} logged steps none of ASDN's masks was hard enough to be learned "
            "from. Lower hardener.fall, or train the adversary by itself first (a stage with train: hardener)."
        )
    if _values(recent, "loss/adversary").any():
        return None
    return f"Loss 0: the adversary's loss was 0 in all of the last {len(recent)} logged steps, so it learns nothing."


def _collapsed(recent: pd.DataFrame, recipe: Recipe) -> str | None:
    entropy = float(np.median(_values(recent, "hardener/mask_entropy", unknown=1)))  # one step alone says little
    level = fixed_mask_entropy(recipe) if entropy < 1 else None
    if level is None or entropy > level + NEAR:
        return None
    return (
        f"Collapse: the adversary hides nearly the same cells of every object (mask entropy {entropy:.2f}; "
        f"{level:.2f} is one fixed mask, 1 is random), so it does what a fixed mask would do."
    )


def _stuck(recent: pd.DataFrame) -> str | None:
    share = float(_values(recent, "hardener/angles_at_limit").mean())
    if share < STUCK:
        return None
    return (
        f"At the limit: {share:.0%} of ASTN's angles are as large as hardener.limit allows, so it turns every object "
        "as far as it may and has no choice left but the direction."
    )


def _idle(present: pd.DataFrame, recent: pd.DataFrame, train: str) -> str | None:
    share = float(sum(_values(recent, name) for name in SMALL).mean())
    if share < IDLE:
        return None
    before = _values(present, "hardener/angles_at_limit").max()
    if before > TURNED:
        return (
            f"Turns no more: {share:.0%} of ASTN's angles are within a third of hardener.limit, though up to "
            f"{before:.0%} were at the limit before. The detector knows turned features by now; they are no harder "
            "than others. That is an outcome, not a fault."
        )
    faster = "Raise hardener_lr of the stage, or train ASTN" if train == "both" else "Train ASTN"
    return (
        f"Hardly turns: {share:.0%} of ASTN's angles are within a third of hardener.limit, so the detector sees "
        f"nearly what it would see without it. {faster} by itself first (a stage with train: hardener)."
    )


def _values(rows: pd.DataFrame, column: str, *, unknown: float = 0) -> np.ndarray:
    """A column with a number for what is not known."""
    if column not in rows:
        return np.full(len(rows), float(unknown))
    return rows[column].astype(float).fillna(unknown).to_numpy()


def _beginnings(recipe: Recipe) -> Iterator[tuple[int, str]]:
    """First step of each stage and who learns in it."""
    firsts = accumulate((stage.steps for stage in recipe.stages[:-1]), initial=0)
    for first, stage in zip(firsts, recipe.stages, strict=True):
        learns = "both learn" if stage.train == "both" else f"{stage.train} learns"
        yield first, learns if stage.harden else f"{learns}, not hardened"
