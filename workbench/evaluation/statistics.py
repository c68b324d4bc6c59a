"""What a data set holds: the statistics of T.-Y. Lin's thesis, sec. 2.5, of any data set (its Fig. 2.5 and more).

Everything comes from the annotations; no picture is decoded. (Lists without the sizes of their images, such as those
of WIDER FACE, have the headers of the files looked at.) 120,000 images take seconds.

Where we decide: an instance is an object that is no crowd, whatever its flags. A crowd is no instance, but its
category is present. The size of an instance is the share of the image that its *box* covers, so that data with and
without masks can be compared. An image is iconic (sec. 2.3.2: "a single large object … centered in the image") if
its only object covers at least a quarter of it, and the middle of its box lies in the middle third of both sides;
Lin's thesis gives no numbers, workers decided.

Occlusion that would have to be estimated from masks is estimated on some images only, evenly spaced, as it takes
milliseconds for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from workbench.cards import notes_and_tables
from workbench.data import Dataset
from workbench.data.dataset import evenly_spaced
from workbench.data.reading.lazy_target import at_hand
from workbench.errors import DataError, did_you_mean
from workbench.evaluation import occlusion
from workbench.evaluation.counting.tables import Objects, gather_objects, joined
from workbench.evaluation.published import QUOTED, SETS
from workbench.progress import Bar
from workbench.types import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Edges of the shares of an image in the table of sizes.
SIZE_EDGES = (0.0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
AREAS = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}  #: COCO's, pixels
MOST = 500  #: images whose occlusion is estimated, where it has to be
_CHUNK = 512  # images whose targets are in memory at once


@dataclass(frozen=True, eq=False, repr=False)
class DataStatistics:
    """What a data set holds, see the module; made by `wb.statistics`.

    Example:
        >>> found = wb.statistics(wb.load_data("digit-scenes", split="test", length=50), progress=False)
        >>> found.num_images, found.num_objects == int(found.by_class["instances"].sum())
        (50, True)
        >>> found.beside().loc["instances per image", "COCO (quoted)"]
        '7.7'
        >>> found.figure("overview").axes[0].get_title()
        'instances per category'
    """

    data: str  #: name of the data set
    split: str
    classes: tuple[str, ...]
    num_images: int
    num_objects: int  #: instances: crowds are not among them
    num_crowds: int
    summary: dict[str, float]  #: the main figures by name; shares are in 0..1, NaN where there is nothing to count
    by_class: pd.DataFrame  #: see `statistics`
    per_image: pd.DataFrame
    sizes: pd.DataFrame
    together: pd.DataFrame
    by_occlusion: pd.DataFrame
    iconic: np.ndarray = field(repr=False)  #: indices of the iconic images, int64
    notes: tuple[str, ...] = ()  #: what to know when the figures are read

    @property
    def what(self) -> str:
        """The data in words."""
        crowds = f", {self.num_crowds:,} crowds" if self.num_crowds else ""
        return f"{self.data} {self.split}, {self.num_images:,} images, {self.num_objects:,} instances{crowds}"

    def beside(self) -> pd.DataFrame:
        """These figures as text, and beside them what Lin's thesis states of other data sets, marked as quoted.

        One row per figure of the summary; "–" where nothing is known. "<", ">" and "≈" are the words of the text:
        what can only be read off its plots is not here.
        """
        own = {name: _shown(name, value) for name, value in self.summary.items()}
        columns = {f"{self.data} {self.split}": own}
        columns |= {
            f"{name} (quoted)": {one.quantity: one.text for one in QUOTED if one.data == name} for name in SETS
        }
        return pd.DataFrame(columns).reindex(list(own)).fillna("–").rename_axis("figure")

    def beside_each_other(self, label: str) -> pd.Series:
        """In which share of the images with one category each other one is present, most first.

        Args:
            label: the name of the category.

        Raises:
            DataError: there is no such category.
        """
        if label not in self.classes:
            raise DataError(f"{self.data} has no class {label!r}{did_you_mean(label, self.classes)}")
        row = self.together.loc[label]
        shares = row.drop(label) / row[label] if row[label] else row.drop(label) * np.nan
        return shares.sort_values(ascending=False, kind="stable").rename(f"share of images with {label}")

    @property
    def figure_names(self) -> tuple[str, ...]:
        """What `figure` can draw."""
        from workbench.figures.data_statistics import figure_names

        return figure_names(self)

    def figure(self, name: str = "overview") -> Figure:
        """A matplotlib figure.

        Args:
            name: one of `figure_names`.

        Raises:
            DataError: there is no such figure of these data.
        """
        from workbench.figures.data_statistics import draw_statistics

        return draw_statistics(self, name)

    def __repr__(self) -> str:
        return "\n".join([f"DataStatistics({self.what})", self.beside().to_string(), *self.notes])

    def _repr_html_(self) -> str:
        return notes_and_tables((self.what, *self.notes), self.beside())


def statistics(
    data: Dataset,
    *,
    large: float = 0.25,
    middle: float = 1 / 3,
    occlusion_images: int = MOST,
    progress: bool = True,
) -> DataStatistics:
    """Count what a data set holds, from its annotations alone.

    Args:
        data: of any kind with boxes.
        large: share of the image, 0..1, that the box of an iconic image's object covers at least.
        middle: share of width and height around the centre of the image, 0..1, in which the middle of its box lies.
        occlusion_images: on how many images, evenly spaced, occlusion is estimated where it is neither known nor
            unknowable (COCO's, from masks); 0: it is left out.
        progress: show a bar.

    Returns:
        A report: `summary`; `by_class` (instances, images, crowds, size: median share of the image), `per_image` (how
        many images have 0, 1, 2 … categories and instances), `sizes` (instances by the share of the image that their
        box covers, `low` to `high`), `together` (images that have both of two categories [K, K], on the diagonal
        those with one), `by_occlusion` (n instances of known occlusion, their mean, and how many at each level),
        `iconic` (indices of images), `beside()` and `figure(name)`.

    Raises:
        DataError: no data set, one without images or boxes, or a share outside 0..1.

    Example:
        >>> found = wb.statistics(wb.load_data("digit-scenes", split="test", length=50), progress=False)
        >>> 2 <= found.summary["instances per image"] <= 6
        True
    """
    _check(data, large, middle, occlusion_images)
    objects, later = _objects(data, progress=progress)
    kept = ~objects.crowd
    presence = _presence(objects, len(data.classes))
    together = (presence.T @ presence).toarray().astype(np.int64)
    own = np.bincount(objects.images[kept], minlength=objects.num_images)
    categories = np.diff(presence.indptr)
    share = _box_shares(objects)
    iconic = _iconic(objects, share, large, middle)
    hidden, notes = _hidden(data, objects, later, occlusion_images)
    by_class = _by_class(objects, share, np.diag(together), data.classes)
    names = pd.Index(data.classes, name="class")
    return DataStatistics(
        data=data.name,
        split=data.split,
        classes=tuple(data.classes),
        num_images=objects.num_images,
        num_objects=int(kept.sum()),
        num_crowds=int(objects.crowd.sum()),
        summary=_summary(objects, by_class, categories, own, share, iconic, hidden),
        by_class=by_class,
        per_image=_per_image(categories, own),
        sizes=_sizes(share[kept]),
        together=pd.DataFrame(together, index=names, columns=names),
        by_occlusion=_by_occlusion(*hidden, data.classes),
        iconic=iconic,
        notes=tuple(notes),
    )


def _check(data: object, large: float, middle: float, occlusion_images: int) -> None:
    if not isinstance(data, Dataset):
        raise DataError(f"data is a {type(data).__name__}; expected a data set, as load_data gives one")
    if len(data) == 0:
        raise DataError(f"{data.name} {data.split} has no images to count")
    for name, value in (("large", large), ("middle", middle)):
        if not 0 <= value <= 1:
            raise DataError(f"{name} is {value}; expected a share of the image in 0..1")
    if occlusion_images < 0:
        raise DataError(f"occlusion_images is {occlusion_images}; expected a number of images from 0 on")


def _objects(data: Dataset, *, progress: bool) -> tuple[Objects, list[int]]:
    """All objects, and the images with objects whose occlusion would have to be estimated first."""
    parts, later = [], []
    for first in Bar(range(0, len(data), _CHUNK), desc=f"{data.name} {data.split}", disable=not progress):
        places = range(first, min(first + _CHUNK, len(data)))
        targets: list[Target] = []
        for index in places:
            target = data.target(index)
            if "boxes" not in target or "labels" not in target:
                raise DataError(f"{data.where(index)}: its target has no boxes with labels to count")
            targets.append(at_hand(target))
            if len(target["labels"]) and "occlusion" in target and "occlusion" not in targets[-1]:
                later.append(index)
        parts.append(gather_objects(targets, [data.size(index) for index in places], first=first))
    return joined(parts), later


def _presence(objects: Objects, num_classes: int) -> csr_array:
    """Whether an image has a category [I, K], 0 or 1; also one of crowds alone."""
    pairs = np.unique(objects.images * num_classes + objects.labels - 1)
    ones = np.ones(len(pairs), np.int64)
    return csr_array((ones, (pairs // num_classes, pairs % num_classes)), shape=(objects.num_images, num_classes))


def _box_shares(objects: Objects) -> np.ndarray:
    """Which share of its image the box of each object covers [N], 0..1."""
    height, width = objects.sizes[objects.images].T
    frame = np.stack([width, height, width, height], axis=1)
    inside = np.clip(objects.boxes, 0, frame)
    return (inside[:, 2:] - inside[:, :2]).clip(min=0).prod(axis=1) / (height * width)


def _iconic(objects: Objects, share: np.ndarray, large: float, middle: float) -> np.ndarray:
    """Indices of the images with one object, which is large and in the middle."""
    number = np.bincount(objects.images, minlength=objects.num_images)
    size = objects.sizes[objects.images][:, ::-1]  # width, height
    centre = (objects.boxes[:, :2] + objects.boxes[:, 2:]) / 2 / size
    fits = (number[objects.images] == 1) & ~objects.crowd & (share >= large)
    return objects.images[fits & (np.abs(centre - 0.5) <= middle / 2 + 1e-9).all(axis=1)]


def _hidden(
    data: Dataset, objects: Objects, later: list[int], most: int
) -> tuple[tuple[np.ndarray, np.ndarray], list[str]]:
    """Labels and hidden fractions of the instances for which these are known [M], and what to know about them."""
    labels, values, notes = [objects.labels[~objects.crowd]], [objects.occlusion[~objects.crowd]], []
    chosen = [later[place] for place in evenly_spaced(len(later), most)] if later and most else []
    for index in chosen:
        target = data.target(index)
        kept = ~np.asarray(target["iscrowd"]) if "iscrowd" in target else slice(None)
        labels.append(np.asarray(target["labels"])[kept])
        values.append(np.asarray(target["occlusion"], dtype=float)[kept])
    if later:
        extent = f" on {len(chosen):,} of {len(later):,} images, evenly spaced" if len(chosen) < len(later) else ""
        notes.append(f"Occlusion is estimated from overlapping masks{extent}.")
    elif data.occlusion_is_estimate:
        notes.append("Occlusion is an estimate.")
    label, value = np.concatenate(labels), np.concatenate(values)
    known = ~np.isnan(value)
    if not known.any() and not later:
        notes = ["The occlusion of the objects is unknown."]
    return (label[known], value[known]), notes


def _by_class(objects: Objects, share: np.ndarray, images: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    kept, number = ~objects.crowd, len(classes)
    order = np.argsort(objects.labels[kept], kind="stable")
    labels, ends = objects.labels[kept][order], np.arange(2, number + 2)
    parts = np.split(share[kept][order], np.searchsorted(labels, ends))[:number]
    columns = {
        "instances": np.bincount(objects.labels[kept], minlength=number + 1)[1:],
        "images": images,
        "crowds": np.bincount(objects.labels[~kept], minlength=number + 1)[1:],
        "size": [float(np.median(part)) if len(part) else np.nan for part in parts],
    }
    return pd.DataFrame(columns, index=pd.Index(classes, name="class"))


def _per_image(categories: np.ndarray, instances: np.ndarray) -> pd.DataFrame:
    most = int(max(categories.max(initial=0), instances.max(initial=0))) + 1
    columns = {
        name: np.bincount(numbers, minlength=most)
        for name, numbers in (("categories", categories), ("instances", instances))
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(most, name="number"))


def _sizes(share: np.ndarray) -> pd.DataFrame:
    edges = np.array(SIZE_EDGES)
    counts = np.histogram(share, bins=edges)[0]
    total = counts.sum()
    columns = {
        "low": edges[:-1],
        "high": edges[1:],
        "instances": counts,
        "share": counts / total if total else np.full(len(counts), np.nan),
    }
    return pd.DataFrame(columns)


def _by_occlusion(labels: np.ndarray, hidden: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """One row per class: n, mean, and the number at each level."""
    number = len(classes) + 1
    n = np.bincount(labels, minlength=number)[1:]
    total = np.bincount(labels, hidden, minlength=number)[1:]
    table = {"n": n, "mean": np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)}
    members = occlusion.members(hidden, np.zeros(len(hidden), bool))
    for name, member in zip(occlusion.SUBSETS, members, strict=True):
        if name in occlusion.BINS:
            table[name] = np.bincount(labels[member], minlength=number)[1:]
    return pd.DataFrame(table, index=pd.Index(classes, name="class"))


def _summary(
    objects: Objects,
    by_class: pd.DataFrame,
    categories: np.ndarray,
    instances: np.ndarray,
    share: np.ndarray,
    iconic: np.ndarray,
    hidden: tuple[np.ndarray, np.ndarray],
) -> dict[str, float]:
    kept = ~objects.crowd
    there = by_class["instances"][by_class["instances"] > 0]
    area = objects.area[kept]
    found = {
        "images": float(objects.num_images),
        "instances": float(kept.sum()),
        "categories": float(len(there)),
        "instances per category": _mean(there.to_numpy()),
        "instances per category, median": float(there.median()) if len(there) else np.nan,
        "categories per image": _mean(categories),
        "instances per image": _mean(instances),
        "share of images with one category": _mean(categories == 1),
        "share of images without objects": _mean((categories == 0) & (instances == 0)),
        "share of iconic images": len(iconic) / objects.num_images,
        "share of the image, median": float(np.median(share[kept])) if kept.any() else np.nan,
    }
    for name, (low, high) in AREAS.items():
        found[f"share of {name} instances"] = _mean((area >= low) & (area < high))
    found["share of instances hidden by 20 % or more"] = _mean(hidden[1] >= occlusion.OCCLUDED)
    return found


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _shown(name: str, value: float) -> str:
    if np.isnan(value):
        return "–"
    if name.startswith("share"):
        return f"{100 * value:.3g} %"
    return f"{value:,.0f}" if value == round(value) or value >= 1000 else f"{value:.1f}"
