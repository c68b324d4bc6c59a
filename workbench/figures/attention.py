"""Attention on the patch it belongs to: channels and inversions, four strategies, detectors and checkpoints.

These are Figs. 1, 2, 5 and 6 of Huang et al. 2019 ("Improving Object Detection with Inverted Attention"). A map of
7 × 7 cells is interpolated linearly and drawn over the object's box at 224 × 224. Where we depart: their colours run
over the range of each map, so that even a map without any attention glows somewhere; ours run from 0 (and below:
what speaks against the class) to the map's highest value. Their rainbow is replaced by colours that rise in
brightness, for every kind of eye and for print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from workbench.analysis.attention import Inversion, RoIAttention
from workbench.errors import DataError
from workbench.figures.drawing.sheet import GAP, Sheet, class_name, heat, keep


def attention_on_patch(
    rows: Mapping[str, RoIAttention | Inversion],
    classes: Sequence[str] | None = None,
    *,
    side: float = 1.5,
    dpi: int = 150,
) -> Figure:
    """Overall attention and that of the most sensitive channels, one row each (Fig. 1).

    Args:
        rows: name → attention (of one or of several detectors), or an inversion, whose row shows the patch through
            what it keeps (overall: of the average channel).
        classes: names of labels 1..K.
        side: inches of a panel.
        dpi: pixels per inch.
    """
    if not rows:
        raise DataError("there is no attention to draw")
    columns = 1 + max(len(_seen(row).channels) for row in rows.values())
    sheet = Sheet.blank(len(rows), columns, side, dpi)
    above: list[str] = []
    for place, (name, row) in enumerate(rows.items()):
        seen, draw = _seen(row), keep if isinstance(row, Inversion) else heat
        overall, each = _maps(row)
        patch = sheet.sized(seen.patch)
        titles = [f"channel {channel}" for channel in seen.channels.tolist()]
        for column, one in enumerate(each):
            sheet.show(place, column, draw(patch, one), "" if titles == above else titles[column])
        sheet.show(place, columns - 1, draw(patch, overall), "" if above else "all channels")
        sheet.name(place, name, _facts(row, classes))
        above = titles  # the same channels need no names again
    return sheet.finished()


def four_strategies(
    inverted: Mapping[str, Inversion],
    classes: Sequence[str] | None = None,
    *,
    side: float = 1.5,
    dpi: int = 150,
) -> Figure:
    """What each inversion strategy keeps of one region, and the score before → after (Fig. 6).

    Args:
        inverted: strategy → inversion, as `workbench.analysis.attention.inversions` gives them.
        classes: names of labels 1..K.
        side: inches of a panel.
        dpi: pixels per inch.
    """
    if not inverted:
        raise DataError("there is no inversion to draw")
    seen = next(iter(inverted.values())).before
    sheet = Sheet.blank(1, 1 + len(inverted), side, dpi, above=2, labels=GAP)
    patch = sheet.sized(seen.patch)
    sheet.show(0, 0, heat(patch, seen.map), f"attention\n{class_name(seen.label, classes)}: {seen.score:.2f}")
    for column, (name, inversion) in enumerate(inverted.items(), start=1):
        title = f"{name}\n{seen.score:.2f} → {inversion.after.score:.2f}"
        sheet.show(0, column, keep(patch, inversion.kept), title)
    return sheet.finished()


def attention_over_training(
    runs: Mapping[str, Mapping[int, RoIAttention]],
    *,
    marked: int | None = None,
    side: float = 1.2,
    dpi: int = 150,
) -> Figure:
    """How the attention on one object changes as training goes on, one row per run (Fig. 5).

    Args:
        runs: name → step → attention; a step that a run does not have stays empty.
        marked: a step to print in bold.
        side: inches of a panel.
        dpi: pixels per inch.
    """
    steps = sorted({step for row in runs.values() for step in row})
    rows = {name: [row.get(step) for step in steps] for name, row in runs.items()}
    bold = steps.index(marked) if marked in steps else None
    return _grid(rows, [f"step {step:,}" for step in steps], side, dpi, bold)


def attention_of_objects(
    detectors: Mapping[str, Sequence[RoIAttention]],
    classes: Sequence[str] | None = None,
    *,
    side: float = 1.2,
    dpi: int = 150,
) -> Figure:
    """Overall attention of several detectors (rows) on the same objects (columns) (Fig. 2).

    Args:
        detectors: name → attention on each object.
        classes: names of labels 1..K.
        side: inches of a panel.
        dpi: pixels per inch.

    Raises:
        DataError: the detectors have different numbers of objects, or there is nothing to draw.
    """
    lengths = {name: len(row) for name, row in detectors.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"all detectors need the same objects; there are {lengths}")
    first = next(iter(detectors.values()), [])
    return _grid(detectors, [class_name(seen.label, classes) for seen in first], side, dpi)


def _grid(
    rows: Mapping[str, Sequence[RoIAttention | None]],
    titles: Sequence[str],
    side: float,
    dpi: int,
    bold: int | None = None,
) -> Figure:
    """Overall maps with score and spread under each; None leaves a place empty."""
    if not rows or not titles:
        raise DataError("there is no attention to draw")
    sheet = Sheet.blank(len(rows), len(titles), side, dpi, below=1)
    for column, title in enumerate(titles):
        sheet.title(0, column, title, bold=column == bold)
    for place, (name, row) in enumerate(rows.items()):
        sheet.name(place, name, "score · spread")
        for column, seen in enumerate(row):
            if seen is not None:
                sheet.show(place, column, heat(sheet.sized(seen.patch), seen.map))
                sheet.caption(place, column, f"{seen.score:.2f} · {seen.spread:.2f}")
    return sheet.finished()


def _seen(row: RoIAttention | Inversion) -> RoIAttention:
    return row.before if isinstance(row, Inversion) else row


def _maps(row: RoIAttention | Inversion) -> tuple[Tensor, Tensor]:
    """Overall [h, w] and in each of the most sensitive channels [k, h, w]."""
    return (row.kept, row.kept_channels) if isinstance(row, Inversion) else (row.map, row.channel_maps)


def _facts(row: RoIAttention | Inversion, classes: Sequence[str] | None) -> str:
    if isinstance(row, Inversion):
        return f"{100 * float(row.kept.mean()):.0f} % of elements"
    return f"{class_name(row.label, classes)}: {row.score:.2f}\nspread {row.spread:.2f}"
