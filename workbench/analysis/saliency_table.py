"""Which map is to be believed: all methods judged on the same found objects of a data set, with intervals.

An object counts where a detection of its class overlaps its true box by IoU 0.5 or more with a score of 0.5 or more:
only of what is found can a map say why. Of several such detections it is the best. Every method is asked about the
same detections, so that differences are paired; intervals come from drawing the images anew (objects of one image are
not independent of each other).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torchvision.ops import box_iou

from workbench.analysis.explain import FOUND, explain, methods_of
from workbench.analysis.explaining.looking import finder
from workbench.analysis.saliency import Saliency
from workbench.analysis.saliency_curves import baselines, saliency_curves
from workbench.data import Dataset
from workbench.detectors.base import Detector
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.types import Detections, Target, learnable

SAME = 0.5  #: IoU from which a detection is the object
MEASURED = ("deletion", "insertion", "energy", "points")  #: columns that `saliency_summary` averages
COLUMNS = ("image", "object", "label", "method", "score", *MEASURED, "chance")


def saliency_table(
    detector: DetectorLike,
    data: Dataset,
    methods: Sequence[str] | Mapping[str, Mapping[str, Any]] | None = None,
    *,
    objects: int = 50,
    indices: Iterable[int] | None = None,
    steps: int = 20,
    measure: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> pd.DataFrame:
    """Deletion, insertion and localisation of the maps of found objects, a row for each object and method.

    Columns: image, object (position in the target), label, method, score of the detection; deletion and insertion
    (areas under the curves, see `saliency_curves`), energy (share of the positive values that lies on the object),
    points (whether the highest one does), chance (share of the image that the object covers). An object is its
    visible pixels where they are known, else its box. The baselines "box" and "random" are methods, too.

    Args:
        detector: that finds and is explained.
        data: with true objects.
        methods: names, or name → {"method": ..., and its options}; None: all that fit the detector.
        objects: stop after the image in which so many are reached.
        indices: positions of the images in `data`; None: all, in order.
        steps, measure: of `saliency_curves`.
        progress: called with the share of the objects that is done, 0..1.

    Raises:
        DataError: a method that does not exist, or data in which no object is found.
    """
    detector = as_detector(detector)
    asked = _asked(methods_of(detector) if methods is None else methods)
    rows: list[dict[str, Any]] = []
    done = 0
    for index in range(len(data)) if indices is None else indices:
        if done >= objects:
            break
        image, target = data[index]
        image = image.as_subclass(Tensor)
        found, places = _found(detector, image, target)
        maps = {name: explain(detector, image, found, **options) for name, options in asked.items()} if places else {}
        for row, place in enumerate(places):
            given = {name: some[row] for name, some in maps.items()}
            all_maps = given | baselines(next(iter(given.values())), seed=len(rows))
            region = _region(target, place)
            for name, one in all_maps.items():
                curves = saliency_curves(detector, image, one, steps=steps, measure=measure)
                measured = {
                    "deletion": curves.deletion_area,
                    "insertion": curves.insertion_area,
                    **_lies(one, region),
                }
                rows.append(
                    {
                        "image": index,
                        "object": place,
                        "label": one.label,
                        "method": name,
                        "score": one.score,
                        **measured,
                    }
                )
        done += len(places)
        if progress is not None:
            progress(min(1.0, done / objects))
    if not rows:
        raise DataError(
            f"the detector finds no object of {data.name} with a score of {FOUND} or more; try other images"
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def saliency_summary(
    table: pd.DataFrame, *, against: str = "box", resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Means of each method with 95 % intervals, and paired differences from one of them.

    Columns: for each measure its mean, `... low` and `... high`, and `... minus X`, `... minus X low`, `... high`.
    The intervals are percentiles of the means over images that are drawn anew.

    Args:
        table: of `saliency_table`.
        against: X, the method to take differences from.
        resamples, seed: of the bootstrap.

    Raises:
        DataError: the table has no such method.
    """
    names = list(dict.fromkeys(table["method"]))
    if against not in names:
        raise DataError(f"there is no method {against!r} in the table; it has {', '.join(names)}")
    images, owner = np.unique(table["image"], return_inverse=True)
    drawn = np.random.default_rng(seed).multinomial(len(images), np.full(len(images), 1 / len(images)), resamples)
    weights = np.concatenate([np.ones((1, len(images))), drawn])  # the first row is the table as it is
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    for measure in MEASURED:
        means = {name: _means(table, name, measure, owner, weights) for name in names}
        for name, samples in means.items():
            for text, values in ((measure, samples), (f"{measure} minus {against}", samples - means[against])):
                low, high = np.nanpercentile(values[1:], [2.5, 97.5])
                found[name] |= {text: values[0], f"{text} low": low, f"{text} high": high}
    objects = table.groupby("method").size()
    rows = [{"method": name, "objects": int(objects[name]), **found[name]} for name in names]
    return pd.DataFrame(rows).set_index("method")


def _means(table: pd.DataFrame, name: str, measure: str, owner: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of a measure for weights of images [B, I]: [B]; objects without a value are left out."""
    values = table[measure].to_numpy(float)
    counts = (table["method"] == name).to_numpy() & np.isfinite(values)
    sums = np.bincount(owner, np.where(counts, values, 0), minlength=weights.shape[1])
    number = np.bincount(owner, counts, minlength=weights.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights @ sums) / (weights @ number)


def _asked(methods: Sequence[str] | Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    if isinstance(methods, Mapping):
        return {name: dict(options) for name, options in methods.items()}
    return {name: {"method": name} for name in methods}


def _found(detector: Detector, image: Tensor, target: Target) -> tuple[Detections, list[int]]:
    """The best detection of each true object that is found, and the positions of these objects in the target."""
    found = finder(detector, image)([image])[0].to("cpu").above(FOUND)
    same = box_iou(target["boxes"].as_subclass(Tensor).float(), found.boxes.float()) >= SAME
    same &= (target["labels"].as_subclass(Tensor)[:, None] == found.labels) & learnable(target)[:, None]
    scores = found.scores.expand_as(same).masked_fill(~same, -torch.inf)
    places = torch.where(same.any(dim=1))[0]
    return found[scores[places].argmax(dim=1) if len(places) else places], places.tolist()


def _region(target: Target, place: int) -> Tensor:
    """The visible pixels of an object where they are known, else its box."""
    if "masks" in target and bool(target["masks"][place].any()):
        return target["masks"][place].as_subclass(Tensor).bool()
    return target["boxes"][place].as_subclass(Tensor)


def _lies(saliency: Saliency, region: Tensor) -> dict[str, float]:
    return {
        "energy": saliency.energy(region),
        "points": float(saliency.points_at(region)),
        "chance": saliency.chance(region),
    }
