"""What the adversaries of A-Fast-RCNN do to an object, drawn over its patch, and what that does to its classes.

`hardest_windows_of_objects` is Fig. 3 of Wang et al. 2017: (a) the windows that the search finds and (b) what ASDN
makes of them. The others show one object: every window of the search, ASDN's heat map with masks sampled from it,
ASTN's rotated blocks, and the class probabilities before and after each. Maps run from 0 (the bare patch in grey) to
their highest value; ASDN's heat from its lowest value, since only the order of the cells counts for a mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from workbench.analysis.adversary import WINDOW, Dropout, RoIAdversary
from workbench.errors import DataError
from workbench.figures.drawing.canvas import placed_figure, text_width
from workbench.figures.drawing.charts import Bar, Chart, draw_key
from workbench.figures.drawing.colours import INK, OKABE_ITO
from workbench.figures.drawing.sheet import GAP, Sheet, class_name, heat, keep
from workbench.hardeners.astn import rotate

#: Of the bars: the true class, background, the class that gains most, all others; readable with any colour vision.
OWN, BACKGROUND, RIVAL, REST = OKABE_ITO[0], INK, OKABE_ITO[4], "#dfe3e8"
Item = TypeVar("Item")


class Answered(Protocol):
    """What a head says of one region, untouched and after something was done to it."""

    @property
    def label(self) -> int:
        """The class that is asked about, 0..K."""

    @property
    def probabilities(self) -> Tensor:
        """Of all classes, untouched, [K+1]."""

    @property
    def answers(self) -> Mapping[str, Tensor]:
        """What was done → probabilities [n, K+1], one row for each sample."""


def search_map(
    seen: RoIAdversary, classes: Sequence[str] | None = None, *, side: float = 1.5, dpi: int = 150
) -> Figure:
    """The exhaustive search: the object, every window, the cells they cover, and the worst window (Fig. 3a).

    Args:
        classes: names of labels 1..K.
        side: inches of a panel.
        dpi: pixels per inch.
    """
    sheet = Sheet.blank(1, 4, side, dpi, above=2, labels=GAP)
    patch, search = sheet.sized(seen.patch), seen.search
    low, high = (float(value) for value in (search.rises.min(), search.rises.max()))
    sheet.show(0, 0, _plain(patch), f"{class_name(seen.label, classes)}: {seen.score:.2f}\nuntouched")
    sheet.show(0, 1, heat(patch, search.rises, crisp=True), f"each window\nloss {_signed(low)} to {_signed(high)}")
    sheet.show(0, 2, heat(patch, search.map - search.untouched), "mean of the\nwindows over a cell")
    change = _change(seen, seen.scores[WINDOW])
    sheet.show(0, 3, keep(patch, ~search.worst), f"worst window\n{change}")
    return sheet.finished("rise of the loss")


def sampled_masks(seen: RoIAdversary, *, side: float = 1.5, dpi: int = 150) -> Figure:
    """ASDN's heat map and the masks sampled from it, each with the score before → after (Fig. 3b).

    "Hard enough" are those that lower the score by more than ASDN's `fall`: in joint training it learns from them.

    Args:
        side: inches of a panel.
        dpi: pixels per inch.

    Raises:
        DataError: there is no ASDN.
    """
    dropout = _found(seen.dropout, "ASDN")
    sheet = Sheet.blank(1, 1 + len(dropout.masks), side, dpi, above=2, labels=GAP)
    patch = sheet.sized(seen.patch)
    low, high = float(dropout.heat.min()), float(dropout.heat.max())
    sheet.show(0, 0, _hot(patch, dropout), f"ASDN's heat\n{low:.2f} to {high:.2f}")
    after = dropout.probabilities[:, seen.label].tolist()
    samples = zip(dropout.masks, after, seen.passed.tolist(), strict=True)
    for column, (mask, score, passed) in enumerate(samples, start=1):
        title = f"{_change(seen, score)}\n{'hard enough' if passed else 'too easy'}"
        sheet.show(0, column, keep(patch, mask), title)
    return sheet.finished("heat", "low")


def rotated_blocks(seen: RoIAdversary, *, side: float = 1.5, dpi: int = 150) -> Figure:
    """The mean activation of ASTN's blocks of channels before and after each is rotated by its own angle.

    The patch turns with its block, so that the angle can be seen; what comes from outside is black, as it is 0.

    Raises:
        DataError: there is no ASTN.
    """
    rotation = _found(seen.rotation, "ASTN")
    sheet = Sheet.blank(2, len(rotation.angles), side, dpi)
    patch = sheet.sized(seen.patch)
    blocks = zip(rotation.angles, rotation.before, rotation.after, strict=True)
    for block, (angle, *maps) in enumerate(blocks):
        top = float(max(one.max() for one in maps))
        turned = rotate(patch[None].float(), angle.deg2rad().view(1, 1))[0].clamp(0, 255).byte()
        for row, (under, one) in enumerate(zip((patch, turned), maps, strict=True)):
            title = f"{_signed(float(angle), 1)}°" if row else f"block {block + 1}"
            sheet.show(row, block, heat(under, one, top=top), title)
    sheet.name(0, "as pooled", f"score {seen.score:.2f}")
    after = float(rotation.probabilities[seen.label])
    sheet.name(1, "rotated", f"score {after:.2f}\nlimit ±{rotation.limit:g}°")
    return sheet.finished("activation")


def class_scores(seen: Answered, classes: Sequence[str] | None = None, *, width: float = 7.0) -> Figure:
    """The probabilities of the true class, of background and of the strongest rival, before and after each player.

    A dot for each sampled mask shows its score of the true class; the bars are means.

    Args:
        seen: a `RoIAdversary`, or `RoIMasks`.
        classes: names of labels 1..K.
        width: inches.
    """
    answers, label = seen.answers, seen.label
    means = {name: rows.mean(dim=0) for name, rows in answers.items()}
    rival = _rival(seen, means)
    parts = {label: OWN, 0: BACKGROUND} | ({} if rival is None else {rival: RIVAL})
    height, left = 0.85 + 0.36 * len(answers), 0.2 + max(text_width(name, 9) for name in answers) / 72
    figure = placed_figure(width, height)
    chart = Chart.blank(
        figure,
        (left, 0.3, width - left - 0.15, height - 0.75),
        xlim=(0, 1),
        ylim=(len(means) - 0.5, -0.5),
        xticks={share / 5: f"{share / 5:.1f}" for share in range(6)},
        yticks=dict(enumerate(means)),
        xlabel="probability",
    )
    for row, (name, mean) in enumerate(means.items()):
        _draw_shares(chart, row, {colour: float(mean[one]) for one, colour in parts.items()})
        own = answers[name][:, label].tolist()
        if len(own) > 1:
            style = {"linestyle": "", "marker": "o", "markersize": 3.5, "markeredgecolor": "black"}
            chart.draw_line(own, [row + 0.24] * len(own), "white", **style)
    rest = [] if len(parts) == len(seen.probabilities) else [("all others", REST)]
    marks = [*((class_name(one, classes), colour) for one, colour in parts.items()), *rest]
    draw_key(figure, width / 2, 0.06, marks, columns=4, size=8.5)
    return figure


def _draw_shares(chart: Chart, row: int, shares: Mapping[str, float]) -> None:
    """One bar of shares by colour, and what is left to 1; those that have room for it have their number."""
    ends = np.cumsum([0.0, *shares.values()]).tolist()
    bars = [Bar(low, high, row, colour) for low, high, colour in zip(ends, ends[1:], shares, strict=False)]
    chart.draw_bars([*bars, Bar(ends[-1], 1.0, row, REST)], 0.72)
    for bar, value in zip(bars, shares.values(), strict=True):
        if value >= 0.07:
            ink = "black" if bar.colour == RIVAL else "white"
            chart.label((bar.low + bar.high) / 2, row - 0.04, f"{value:.2f}", fontsize=8, color=ink)


def hardest_windows_of_objects(
    objects: Mapping[str, RoIAdversary] | Sequence[RoIAdversary],
    classes: Sequence[str] | None = None,
    *,
    marked: str | None = None,
    side: float = 1.2,
    dpi: int = 150,
) -> Figure:
    """Fig. 3: the worst window of several objects, and beneath it ASDN's heat map and a mask sampled from it.

    Without ASDN only the search is shown.

    Args:
        objects: as `roi_adversary` gives them; a mapping names the columns, as for one object at several checkpoints,
            else the names of their classes do.
        classes: names of labels 1..K.
        marked: a column whose name is printed in bold.
        side: inches of a panel.
        dpi: pixels per inch.
    """
    if not objects:
        raise DataError("there is no object to draw")
    if not isinstance(objects, Mapping):
        titles, views = [class_name(seen.label, classes) for seen in objects], list(objects)
    else:
        titles, views = list(objects), list(objects.values())
    learned = any(seen.dropout is not None for seen in views)
    sheet = Sheet.blank(3 if learned else 1, len(views), side, dpi, below=1)
    sheet.name(0, "search", "worst window\nscore before → after")
    if learned:
        sheet.name(1, "ASDN's heat", "which cells the\ndetector would miss")
        sheet.name(2, "a mask of ASDN", "score before → after")
    for column, (title, seen) in enumerate(zip(titles, views, strict=True)):
        patch = sheet.sized(seen.patch)
        sheet.title(0, column, title, bold=title == marked)
        sheet.show(0, column, keep(patch, ~seen.search.worst))
        sheet.caption(0, column, _change(seen, seen.scores[WINDOW]))
        if seen.dropout is not None:
            heats = seen.dropout.heat
            sheet.show(1, column, _hot(patch, seen.dropout))
            sheet.caption(1, column, f"{float(heats.min()):.2f} to {float(heats.max()):.2f}")
            sheet.show(2, column, keep(patch, seen.dropout.masks[0]))
            sheet.caption(2, column, _change(seen, float(seen.dropout.probabilities[0, seen.label])))
    return sheet.finished("heat", "low", row=1) if learned else sheet.finished(None)


def _plain(patch: Tensor) -> np.ndarray:
    return patch.permute(1, 2, 0).numpy()


def _hot(patch: Tensor, dropout: Dropout) -> np.ndarray:
    return heat(patch, dropout.heat - dropout.heat.min())


def _change(seen: RoIAdversary, after: float) -> str:
    return f"{seen.score:.2f} → {after:.2f}"


def _signed(value: float, digits: int = 2) -> str:
    """With its sign; small values as 0.0004 rather than 0.00."""
    text = f"{value:+.{digits}f}"
    return (f"{value:+.1g}" if value and not float(text) else text).replace("-", "−")


def _rival(seen: Answered, means: Mapping[str, Tensor]) -> int | None:
    """The class that any of the players helps most, besides the true one and background; None if there is none."""
    others = [one for one in range(1, len(seen.probabilities)) if one != seen.label]
    return max(others, key=lambda one: max(float(mean[one]) for mean in means.values()), default=None)


def _found(part: Item | None, name: str) -> Item:
    if part is None:
        raise DataError(f"there is no {name} to draw; the detector's hardener has none")
    return part
