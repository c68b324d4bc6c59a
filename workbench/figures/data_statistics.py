"""What a data set holds: Fig. 2.5 of T.-Y. Lin's thesis of any data, and what else `wb.statistics` counts.

Hollow marks and dotted lines are figures of other data sets that Lin's thesis states in words; they are quoted. The
curves of its Fig. 2.5 are not here, since they can only be read off a plot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, ScalarFormatter

from workbench.errors import DataError, did_you_mean
from workbench.evaluation.occlusion import BINS
from workbench.evaluation.published import COCO, COCO_2014, IMAGENET, QUOTED, VOC, Quoted
from workbench.evaluation.statistics import DataStatistics
from workbench.figures.drawing.canvas import new_figure, plain
from workbench.figures.drawing.colours import BRIGHT, INK, OKABE_ITO, cycle

OWN = OKABE_ITO[0]  #: colour of the data
QUOTES = {COCO: (OKABE_ITO[1], "s"), COCO_2014: (OKABE_ITO[4], "D"), VOC: (OKABE_ITO[2], "^"), IMAGENET: (INK, "v")}
MOST_CLASSES = 40  #: that have names beside them
MOST_NUMBER = 30  #: of categories and instances per image that are shown
SMALLEST = 5.0  #: points of names that can be read
SHARE = FuncFormatter(lambda value, _: f"{100 * value:g} %")
LEVELS = ("#d9d9d9", "#9ecae1", "#4292c6", "#2171b5", "#08306b")  #: of `BINS`, the more hidden the darker


def statistics_figure(
    counts: Mapping[str, int], occlusion: Sequence[float] | np.ndarray, *, width: float = 8.0
) -> Figure:
    """Objects per class, and a histogram of their hidden fractions.

    Args:
        counts: class → objects, in the order of the labels.
        occlusion: hidden fractions 0..1, NaN where unknown.
        width: inches.
    """
    figure, axes = new_figure(1, 2, (width, 2.4))
    left, right = axes[0]
    places = np.arange(len(counts))
    left.bar(places, list(counts.values()), color=[cycle(BRIGHT, place) for place in places])
    left.set_title("objects per class", fontsize=10)
    turned = sum(len(name) for name in counts) > 40
    left.set_xticks(places, list(counts), rotation=90 if turned else 0, fontsize=8, parse_math=False)
    known = np.asarray(occlusion, dtype=float)
    known = known[~np.isnan(known)]
    right.set_title("hidden fraction of the objects", fontsize=10)
    if len(known):
        right.hist(known, bins=np.linspace(0, 1, 21), color="#1976d2")
        right.set_xlim(0, 1)
        right.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    else:
        right.text(0.5, 0.5, "unknown in this data set", ha="center", transform=right.transAxes)
        right.set_axis_off()
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    return figure


def draw_statistics(found: DataStatistics, name: str) -> Figure:
    """One of the figures that `figure_names` lists.

    Raises:
        DataError: there is no such figure of these data.
    """
    names = figure_names(found)
    if name not in names:
        raise DataError(f"these statistics have no figure {name!r}{did_you_mean(name, names)}")
    if name == "overview":
        return overview(found)
    size, draw = _PANELS[name]
    width, height = size(found)
    figure, axes = new_figure(1, 1, (width, height))
    draw(axes[0, 0], found)
    _head(figure, found)
    return figure


def figure_names(found: DataStatistics) -> tuple[str, ...]:
    """What can be drawn of a data set."""
    return ("overview", *(name for name in _PANELS if name != "occlusion" or found.by_occlusion["n"].any()))


def overview(found: DataStatistics) -> Figure:
    """The five panels of Fig. 2.5 and, as a sixth, which categories occur together."""
    figure, axes = new_figure(2, 3, (12.6, 6.6))
    names = ("classes", "categories", "instances", "category counts", "sizes", "together")
    for one, name in zip(axes.flat, names, strict=True):
        _PANELS[name][1](one, found)
    _head(figure, found)
    return figure


def _classes(axes: Axes, found: DataStatistics) -> None:
    """(a) Instances per category, most first."""
    counts = found.by_class["instances"].sort_values(ascending=False, kind="stable")
    places = np.arange(len(counts))
    axes.bar(places, counts, color=OWN, width=0.8)
    if len(counts) and counts.max() > 30 * max(1, counts.min()):
        axes.set_yscale("log")
        axes.set_ylim(0.5, 2 * counts.max())
        axes.yaxis.set_major_formatter(FuncFormatter(_count))
    _name_places(axes, places, [str(name) for name in counts.index])
    _dress(axes, "instances per category", "", "instances")


def _categories(axes: Axes, found: DataStatistics) -> None:
    """(b) Categories per image."""
    _per_image(axes, found, "categories")
    for (_, value), said in _quoted("share of images with one category").items():
        colour, marker = QUOTES[said[0].data]
        axes.plot(1, value, marker=marker, color=colour, fillstyle="none", linestyle="none", markersize=7)
        text = f"{said[0].text} with one, {', '.join(one.data for one in said)}, quoted"
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
        place = {"textcoords": "offset points", "fontsize": 7, "va": "center", "color": colour, "bbox": box}
        axes.annotate(text, (1, value), (8, 0), **place)
    axes.set_ylim(0, max(axes.get_ylim()[1], 0.9))
    _dress(axes, "categories per image", "categories", "share of images")


def _instances(axes: Axes, found: DataStatistics) -> None:
    """(c) Instances per image."""
    _per_image(axes, found, "instances")
    _dress(axes, "instances per image", "instances", "share of images")


def _category_counts(axes: Axes, found: DataStatistics) -> None:
    """(d) Categories against instances per category."""
    own, places = found.summary, []
    if own["categories"]:
        places.append((own["categories"], own["instances per category"], _own(found), OWN, "o", "full"))
    for name, (colour, marker) in QUOTES.items():
        said = {one.quantity: one for one in QUOTED if one.data == name}
        categories, instances = said["categories"].value, said["instances"]
        each = f"{instances.relation.replace('=', '≈')} {instances.value / categories:,.0f}"
        places.append((categories, instances.value / categories, f"{name}: {each}, quoted", colour, marker, "none"))
    for x, y, text, colour, marker, fill in places:
        axes.plot(x, y, marker=marker, color=colour, fillstyle=fill, markersize=7, linestyle="none")
        above = {"ha": "center", "va": "bottom"} if fill == "full" else {"ha": "left", "va": "center"}
        shift = (0, 6) if fill == "full" else (7, -9 if text.startswith(VOC) else 0)
        axes.annotate(text, (x, y), shift, textcoords="offset points", fontsize=7, color=colour, **above)
    axes.set(xscale="log", yscale="log")
    across, up = np.array([(x, y) for x, y, *_ in places]).T
    axes.set_xlim(across.min() / 3, across.max() * 30)  # room for the names
    axes.set_ylim(up.min() / 3, up.max() * 3)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_count))
        axis.set_minor_locator(NullLocator())
    _dress(axes, "categories and instances", "categories", "instances per category")


def _sizes(axes: Axes, found: DataStatistics) -> None:
    """(e) Sizes of instances."""
    table = found.sizes
    places = np.arange(len(table))
    axes.bar(places, table["share"].fillna(0), color=OWN, width=0.92)
    axes.set_xticks(places + 0.5, [f"{100 * high:g}" for high in table["high"]], fontsize=8)
    axes.yaxis.set_major_formatter(SHARE)
    _dress(axes, "sizes of instances", "% of the image that the box covers, at most", "share of instances")


def _together(axes: Axes, found: DataStatistics) -> None:
    """Which categories occur together: the share of a row's images that have the column's category as well."""
    table = found.together.to_numpy()
    order = np.argsort(-np.diag(table), kind="stable")[:MOST_CLASSES]
    table = table[np.ix_(order, order)]
    own = np.diag(table)[:, None]
    share = np.divide(table, own, out=np.full(table.shape, np.nan), where=own > 0)
    np.fill_diagonal(share, np.nan)
    high = np.nanmax(share) if np.isfinite(share).any() else 1.0
    shades = matplotlib.colormaps["YlGnBu"].with_extremes(bad="0.92")  # the diagonal
    picture = axes.imshow(share, cmap=shades, vmin=0, vmax=max(high, 1e-3), aspect="auto", interpolation="nearest")
    names = [found.classes[place] for place in order]
    for axis, side, turned in ((axes.xaxis, 0, 90), (axes.yaxis, 1, 0)):
        size = _name_size(axes, len(names), side)
        shown = [plain(name) for name in names] if size else []
        axis.set_ticks(range(len(shown)), shown, rotation=turned, fontsize=size or 8)
    bar = axes.figure.colorbar(picture, ax=axes, format=SHARE, pad=0.02)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)
    few = f" (the {len(names)} most frequent)" if len(found.classes) > len(names) else ""
    axes.set_title(f"categories together{few}", fontsize=10)
    axes.set_ylabel("of the images with …", fontsize=8)
    axes.set_xlabel("… so many have this one, too", fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _occlusion(axes: Axes, found: DataStatistics) -> None:
    """Occlusion by category, the most hidden first."""
    table = found.by_occlusion[found.by_occlusion["n"] > 0].sort_values("mean", kind="stable")
    table = table.tail(MOST_CLASSES)
    places, start = np.arange(len(table)), np.zeros(len(table))
    for name, shade in zip(BINS, LEVELS, strict=True):
        share = (table[name] / table["n"]).to_numpy()
        axes.barh(places, share, left=start, color=shade, height=0.82, label=name)
        start += share
    axes.set_yticks(places, [plain(f"{name} ({n:,})") for name, n in zip(table.index, table["n"], strict=True)])
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(SHARE)
    axes.legend(
        title="hidden", frameon=False, fontsize=8, title_fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0)
    )
    _dress(axes, "occlusion by category (instances)", "share of instances", "")
    axes.tick_params(axis="y", length=0)
    if found.notes:
        axes.set_xlabel(f"share of instances. {found.notes[0]}", fontsize=8)


def _per_image(axes: Axes, found: DataStatistics, what: str) -> None:
    """The distribution of a number per image, its mean, and the quoted means."""
    share = found.per_image[what] / found.num_images
    share = share[: MOST_NUMBER + 1]
    most = int(np.flatnonzero(share.to_numpy()).max(initial=1))
    shown = share[: most + 1]
    style = {"marker": "o", "markersize": 3.5, "linewidth": 1.4, "color": OWN}
    mean = found.summary[f"{what} per image"]
    axes.plot(shown.index, shown, label=f"{_own(found)}: mean {mean:.1f}", **style)
    axes.axvline(mean, ymax=0.7, color=OWN, linewidth=1)
    for (_, value), said in _quoted(f"{what} per image").items():
        label = f"{', '.join(one.data for one in said)}: {said[0].text}, quoted"
        axes.axvline(value, ymax=0.7, color=QUOTES[said[0].data][0], linestyle=":", label=label)
    axes.set_xlim(-0.4, max(most, 8) + 0.6)
    axes.set_ylim(0, 1.42 * max(shown.max(), 1e-3))  # the legend is above the curve
    axes.yaxis.set_major_formatter(SHARE)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=7, loc="upper right", edgecolor="none", framealpha=0.8, fancybox=False)


def _quoted(quantity: str) -> dict[tuple[str, float], list[Quoted]]:
    """What is said of a quantity, together where the same is said of several data sets."""
    found: dict[tuple[str, float], list[Quoted]] = {}
    for one in QUOTED:
        if one.quantity == quantity:
            found.setdefault((one.relation, one.value), []).append(one)
    return found


def _own(found: DataStatistics) -> str:
    return plain(f"{found.data} {found.split}")


def _name_places(axes: Axes, places: np.ndarray, names: Sequence[str]) -> None:
    """Names of categories below their bars, unless there are too many to be read."""
    axes.set_xlim(-0.8, len(names) - 0.2)
    size = _name_size(axes, len(names), 0)
    if not size:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(names)} categories", fontsize=8)
        return
    turned = sum(map(len, names)) > 30
    axes.set_xticks(places, [plain(name) for name in names], rotation=90 if turned else 0, fontsize=size)


def _name_size(axes: Axes, number: int, side: int) -> float:
    """Points of so many names along a side (0: width, 1: height) of a panel; 0 where they could not be read."""
    inches = axes.figure.get_size_inches()[side]
    cells = axes.get_subplotspec().get_gridspec().get_geometry()[1 - side]
    size = min(8.0, 0.62 * 72 * inches / cells / max(1, number))
    return size if size >= SMALLEST else 0.0


def _count(value: float, _: object = None) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _head(figure: Figure, found: DataStatistics) -> None:
    figure.suptitle(plain(found.what), fontsize=9, color="0.3")


def _dress(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_title(title, fontsize=10)
    if across:
        axes.set_xlabel(across, fontsize=8)
    axes.set_ylabel(up, fontsize=8)
    axes.yaxis.set_tick_params(labelsize=8)
    if isinstance(axes.xaxis.get_major_formatter(), FuncFormatter | ScalarFormatter):  # names have their own size
        axes.xaxis.set_tick_params(labelsize=8)
    axes.grid(axis="y", color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _wide(found: DataStatistics) -> tuple[float, float]:
    return min(14.0, max(6.0, 0.16 * len(found.classes))), 3.6


def _square(found: DataStatistics) -> tuple[float, float]:
    side = 2.6 + 0.15 * min(MOST_CLASSES, len(found.classes))
    return side + 1.2, side


def _tall(found: DataStatistics) -> tuple[float, float]:
    return 7.0, 1.5 + 0.2 * min(MOST_CLASSES, int((found.by_occlusion["n"] > 0).sum()))


def _usual(found: DataStatistics) -> tuple[float, float]:
    return 5.6, 3.6


#: Name → its size in inches, and what draws it.
_PANELS: dict[str, tuple[Callable[[DataStatistics], tuple[float, float]], Callable[[Axes, DataStatistics], None]]] = {
    "classes": (_wide, _classes),
    "categories": (_usual, _categories),
    "instances": (_usual, _instances),
    "category counts": (_usual, _category_counts),
    "sizes": (_usual, _sizes),
    "together": (_square, _together),
    "occlusion": (_tall, _occlusion),
}
