"""Figures of data sets and of detectors that T.-Y. Lin's thesis states, ch. 2: quoted, and never measured here.

Only what its text and captions say in words is here. What can only be read off a plot is not: the curves of its
Fig. 2.5, and the averages of SUN, VOC and ImageNet in the legend of that figure, of which the text says no more than
"less than 2 categories and 3 instances".
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd


class Quoted(NamedTuple):
    """One published figure of a data set."""

    data: str
    quantity: str  #: as in `DataStatistics.summary`
    relation: str  #: "=", "≈", "<" or ">": how the text puts it
    value: float  #: a number, or a share in 0..1
    where: str  #: section of Lin's thesis

    @property
    def text(self) -> str:
        """The figure as it is shown, such as "< 2"."""
        share = self.quantity.startswith("share")
        number = f"{self.value:.0%}".replace("%", " %") if share else f"{self.value:,.7g}"
        return number if self.relation == "=" else f"{self.relation} {number}"


COCO, COCO_2014, VOC, IMAGENET, SUN = "COCO", "COCO 2014", "VOC 2012", "ImageNet det.", "SUN"
_ONE = "share of images with one category"

#: In the order of the text. COCO is all of it, with 91 categories; COCO 2014 its released train and val, with 80.
QUOTED = (
    Quoted(COCO, "categories", "=", 91, "2.3.1"),
    Quoted(COCO, "images", "=", 328_000, "2.3.2"),
    Quoted(COCO, "instances", "≈", 2_500_000, "2.4.3"),
    Quoted(COCO, "categories per image", "=", 3.5, "2.5"),
    Quoted(COCO, "instances per image", "=", 7.7, "2.5"),
    Quoted(COCO, _ONE, "=", 0.10, "2.5"),
    Quoted(COCO_2014, "categories", "=", 80, "2.6"),
    Quoted(COCO_2014, "images", "=", 82_783 + 40_504, "2.6"),
    Quoted(COCO_2014, "instances", "≈", 886_000, "2.6"),
    Quoted(VOC, "categories", "=", 20, "2.2"),
    Quoted(VOC, "images", "≈", 11_000, "2.2"),
    Quoted(VOC, "instances", ">", 27_000, "2.2"),
    Quoted(VOC, "categories per image", "<", 2, "2.5"),
    Quoted(VOC, "instances per image", "<", 3, "2.5"),
    Quoted(VOC, _ONE, ">", 0.60, "2.5"),
    Quoted(IMAGENET, "categories", "=", 200, "2.2"),
    Quoted(IMAGENET, "images", "≈", 400_000, "2.2"),
    Quoted(IMAGENET, "instances", "≈", 350_000, "2.2"),
    Quoted(IMAGENET, "categories per image", "<", 2, "2.5"),  # of its validation set, as the next two
    Quoted(IMAGENET, "instances per image", "<", 3, "2.5"),
    Quoted(IMAGENET, _ONE, ">", 0.60, "2.5"),
    Quoted(SUN, "categories", "=", 3_819, "2.2"),
)
SETS = (COCO, COCO_2014, VOC, IMAGENET, SUN)

#: Classes of Table 2.1 in its order and by its names; the last column is their mean.
_CLASSES = (
    "plane", "bike", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "table", "dog", "horse", "moto",
    "person", "plant", "sheep", "sofa", "train", "tv",
)  # fmt: skip
#: AP in per cent of DPM release 5, by (tested on, trained on).
_TABLE = {
    ("VOC 2012", "VOC 2012"): (
        45.6, 49.0, 11.0, 11.6, 27.2, 50.5, 43.1, 23.6, 17.2, 23.2, 10.7, 20.5, 42.5, 44.5, 41.3, 8.7, 29.0, 18.7,
        40.0, 34.5, 29.6,
    ),
    ("VOC 2012", "COCO"): (
        43.7, 50.1, 11.8, 2.4, 21.4, 60.1, 35.6, 16.0, 11.4, 24.8, 5.3, 9.4, 44.5, 41.0, 35.8, 6.3, 28.3, 13.3, 38.8,
        36.2, 26.8,
    ),
    ("COCO", "VOC 2012"): (
        35.1, 17.9, 3.7, 2.3, 7, 45.4, 18.3, 8.6, 6.3, 17, 4.8, 5.8, 35.3, 25.4, 17.5, 4.1, 14.5, 9.6, 31.7, 27.9,
        16.9,
    ),
    ("COCO", "COCO"): (
        36.9, 20.2, 5.7, 3.5, 6.6, 50.3, 16.1, 12.8, 4.5, 19.0, 9.6, 4.0, 38.2, 29.9, 15.9, 6.7, 13.8, 10.4, 39.2,
        37.9, 19.1,
    ),
}  # fmt: skip


def published_statistics() -> pd.DataFrame:
    """The figures of COCO, VOC 2012, ImageNet detection and SUN that Lin's thesis states.

    Columns: data, quantity, relation ("=", "≈", "<", ">"), value, where (section).

    Example:
        >>> table = published_statistics().set_index(["data", "quantity"])
        >>> float(table.loc[("COCO", "instances per image"), "value"])
        7.7
    """
    return pd.DataFrame(QUOTED)


def published_generalisation() -> pd.DataFrame:
    """Table 2.1 of Lin's thesis: AP (0..1) of DPM release 5 trained on VOC 2012 or COCO and tested on both.

    Rows are (tested on, trained on); columns are VOC's 20 classes by the table's short names, and their mean.

    Example:
        >>> table = published_generalisation()
        >>> home, away = (float(table.loc[(tested, "VOC 2012"), "mean"]) for tested in ("VOC 2012", "COCO"))
        >>> round(home - away, 3)  # the performance drop of sec. 2.7
        0.127
    """
    values = {place: [round(value / 100, 4) for value in row] for place, row in _TABLE.items()}
    table = pd.DataFrame.from_dict(values, orient="index", columns=[*_CLASSES, "mean"])
    table.index = pd.MultiIndex.from_tuples(table.index, names=["tested on", "trained on"])
    return table
