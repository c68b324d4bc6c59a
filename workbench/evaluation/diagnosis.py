"""What kinds of errors a detector makes, after Hoiem, Chodpathumwan and Dai, "Diagnosing Error in Object Detectors"
(ECCV 2012), as in Fig. 6 of A-Fast-RCNN.

Right and wrong are as in PASCAL VOC (see `voc.py`). A wrong detection is of the first kind that fits:
*localisation*: it overlaps an object of its class by IoU 0.1 or more, which is too little, or the object is found
already (a duplicate); *similar*: it overlaps an object of a similar class by 0.1 or more; *other*: one of any other
class; *background*: none. Difficult objects and crowds are things too: what overlaps one is not background.

The top false positives are those of the highest score in each class, as many as the class has objects unless said
otherwise. What a kind costs is the AP that would be gained if its false positives were not there. (Hoiem's second
figure, in which mislocalised boxes are put right, is not given.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from workbench.errors import DataError
from workbench.evaluation.counting.bootstrap import mean_over_classes
from workbench.evaluation.counting.matching import IGNORED, RIGHT, WRONG
from workbench.evaluation.counting.tables import Found, Objects, box_iou
from workbench.evaluation.voc import VocMatches, voc_ap

ERROR_KINDS = ("localisation", "similar", "other", "background")
NEAR = 0.1  #: IoU from which a detection has to do with an object
SAME = 0.5  #: IoU from which two detectors' boxes are the same error

#: Hoiem's groups of VOC's classes that are easily taken for each other; a class may be in several.
VOC_SIMILAR = (
    ("aeroplane", "bicycle", "boat", "bus", "car", "motorbike", "train"),
    ("bird", "cat", "cow", "dog", "horse", "person", "sheep"),
    ("chair", "diningtable", "sofa"),
    ("aeroplane", "bird"),
)


@dataclass(frozen=True)
class Diagnosis:
    """The errors of one detector on one data set.

    `false_positives`, one row each, highest score first: image (index in the data set), class, score, kind,
    duplicate, rank (from 1, among the false positives of its class), overlap (IoU with the best object of its own
    class, Hoiem's "ov"), lower (the fraction of its class's objects that no higher score finds, Hoiem's "1 - r";
    NaN without objects), object (row of the object that explains the kind, or the one of best IoU; -1: none), iou
    (with that object), object_class ("" if none) and detection (row in `found`).

    `objects_found`, one row per object that counts: image, class, occlusion (hidden fraction, NaN: unknown), score
    (of the right detection; NaN if it was never found), object (row in `objects`), detection (row of the detection
    of any class that overlaps it most; -1: none), found_class, and iou.
    """

    objects: Objects
    found: Found
    classes: tuple[str, ...]
    matches: VocMatches
    false_positives: pd.DataFrame
    objects_found: pd.DataFrame

    def top(self, number: int | None = None) -> pd.DataFrame:
        """The `number` best false positives of each class; None: as many as it has objects."""
        table = self.false_positives
        limit = self._limits(table["class"]) if number is None else number
        return table[table["rank"] <= limit]

    def missed(self, min_score: float = 0.5) -> pd.DataFrame:
        """Objects that no right detection of at least `min_score` finds."""
        table = self.objects_found
        return table[~(table["score"] >= min_score)]

    def kinds(self, number: int | None = None) -> pd.DataFrame:
        """How many of the top false positives are of each kind, by class."""
        table = self.top(number)
        counts = pd.crosstab(table["class"], table["kind"])
        return counts.reindex(index=list(self.classes), columns=list(ERROR_KINDS), fill_value=0)

    def kinds_by_rank(self, ranks: Iterable[int] | None = None) -> pd.DataFrame:
        """Share of each kind among the best false positives of each class up to a rank, all classes together.

        A class with fewer gives all that it has.

        Args:
            ranks: None takes 1, 2, 4 … up to the longest list.
        """
        table = self.false_positives
        if ranks is None:
            longest = int(table["rank"].max()) if len(table) else 1
            ranks = [*(2**power for power in range(longest.bit_length()) if 2**power < longest), longest]
        shares = {rank: table.loc[table["rank"] <= rank, "kind"].value_counts(normalize=True) for rank in ranks}
        out = pd.DataFrame.from_dict(shares, orient="index").reindex(columns=list(ERROR_KINDS))
        return out.fillna(0.0).rename_axis("rank") if len(table) else out.rename_axis("rank")

    def cost(self, year: int = 2007) -> pd.DataFrame:
        """AP by class and mean, and how much higher it would be without the false positives of each kind.

        A kind may cost little by itself where another one remains.

        Args:
            year: of VOC's rules for AP.
        """
        kind = np.full(len(self.found), "", dtype=object)
        kind[self.false_positives["detection"]] = self.false_positives["kind"]
        kind = kind[self.matches.order]
        ap = _with_mean(voc_ap(self.matches, year)[0])
        columns = {"AP": ap}
        for name in ERROR_KINDS:
            status = np.where(kind == name, IGNORED, self.matches.status)
            columns[name] = _with_mean(voc_ap(replace(self.matches, status=status), year)[0]) - ap
        return pd.DataFrame(columns, index=pd.Index([*self.classes, "mean"], name="class"))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return dict(zip(self.classes, self.matches.counts.sum(axis=0).tolist(), strict=True))

    def _limits(self, names: pd.Series) -> pd.Series:
        return names.map(self._numbers).astype(int)


def diagnose(
    objects: Objects,
    found: Found,
    classes: tuple[str, ...],
    matches: VocMatches,
    similar: Iterable[Collection[str]] | None = None,
) -> Diagnosis:
    """Name the kind of each error; `Result.diagnosis` is the short way here.

    Args:
        similar: groups of similar classes by name; None: VOC's, as far as there are classes of these names.

    Raises:
        DataError: a name that is none of `classes`.
    """
    alike = _alike(classes, similar)
    wrong = np.flatnonzero(matches.status == WRONG)
    wrong = wrong[np.argsort(-found.scores[matches.order[wrong]], kind="stable")]
    detections = matches.order[wrong]
    kind, nearest, iou = _explain(objects, found, detections, alike)
    overlap = matches.overlap[wrong]
    names = np.array(["", *classes], dtype=object)
    labels = found.labels[detections]
    columns = {
        "image": found.images[detections],
        "class": names[labels],
        "score": found.scores[detections],
        "kind": np.array(ERROR_KINDS, dtype=object)[kind],
        "duplicate": overlap >= SAME,
        "rank": pd.Series(labels).groupby(labels).cumcount().to_numpy() + 1,
        "overlap": overlap,
        "lower": _not_yet_found(matches)[wrong],
        "object": nearest,
        "iou": iou,
        "object_class": names[np.where(nearest >= 0, objects.labels[nearest] if len(objects) else 0, 0)],
        "detection": detections,
    }
    return Diagnosis(objects, found, classes, matches, pd.DataFrame(columns), _found(objects, found, names, matches))


def only_in(a: Diagnosis, b: Diagnosis, number: int | None = None) -> pd.DataFrame:
    """Top false positives of `a` that are not among those of `b` (Fig. 6).

    Two are the same error if they are of one class and image and overlap by IoU 0.5 or more.

    Args:
        number: of each class, as in `Diagnosis.top`.

    Raises:
        DataError: the two are about different data.
    """
    check_same_objects(a, b)
    ours, theirs = a.top(number), b.top(number)
    boxes = {key: b.found.boxes[rows["detection"]] for key, rows in theirs.groupby(["image", "class"])}
    keep = [
        key not in boxes or box_iou(a.found.boxes[[detection]], boxes[key]).max() < SAME
        for *key_parts, detection in ours[["image", "class", "detection"]].itertuples(index=False)
        if (key := tuple(key_parts))
    ]
    return ours[np.array(keep, dtype=bool)]


def missed_only_in(a: Diagnosis, b: Diagnosis, min_score: float = 0.5) -> pd.DataFrame:
    """Objects that `a` misses and `b` finds, with a score of at least `min_score`."""
    check_same_objects(a, b)
    missed = a.missed(min_score)
    return missed[~missed["object"].isin(b.missed(min_score)["object"])]


def check_same_objects(a: Diagnosis, b: Diagnosis) -> None:
    """Raise DataError unless both are about the same objects and classes."""
    if a.classes != b.classes or a.objects.fingerprint() != b.objects.fingerprint():
        raise DataError("Errors can be compared only on the same data; evaluate both detectors on one data set.")


def _alike(classes: tuple[str, ...], similar: Iterable[Collection[str]] | None) -> np.ndarray:
    """[K + 1, K + 1] bool: which labels are similar."""
    if similar is not None:
        similar = [[group] if isinstance(group, str) else list(group) for group in similar]
        for name in (name for group in similar for name in group if name not in classes):
            raise DataError(f"there is no class {name!r} to be similar to others; known are {', '.join(classes)}")
    alike = np.zeros((len(classes) + 1, len(classes) + 1), dtype=bool)
    for group in VOC_SIMILAR if similar is None else similar:
        labels = [label for label, name in enumerate(classes, start=1) if name in group]
        alike[np.ix_(labels, labels)] = True
    return alike


def _explain(
    objects: Objects, found: Found, detections: np.ndarray, alike: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kind (place in ERROR_KINDS), object (-1: none), IoU with it, [F] each, of the false positives `detections`."""
    kind = np.full(len(detections), len(ERROR_KINDS) - 1)
    nearest, iou = np.full(len(detections), -1), np.zeros(len(detections))
    for rows, theirs in _by_image(found.images[detections], objects.images):
        ious = box_iou(found.boxes[detections[rows]], objects.boxes[theirs])
        ours, labels = found.labels[detections[rows]][:, None], objects.labels[theirs]
        same, near = ours == labels, alike[ours, labels]
        asked = np.stack([same, near & ~same, ~near & ~same, np.ones_like(same)])
        ious = np.where(asked, ious, 0.0)  # [4, f, n]
        best, place = ious.max(axis=2), ious.argmax(axis=2)
        best_of_all = best[-1].copy()
        best[-1] = np.inf
        kind[rows] = (best >= NEAR).argmax(axis=0)
        row = np.arange(len(rows))
        iou[rows] = np.minimum(best[kind[rows], row], best_of_all)
        nearest[rows] = np.where(iou[rows] > 0, theirs[place[kind[rows], row]], -1)
    return kind, nearest, iou


def _by_image(first: np.ndarray, second: np.ndarray) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """For each image that both know, its rows in both."""
    for image in np.intersect1d(first, second):
        yield np.flatnonzero(first == image), np.flatnonzero(second == image)


def _not_yet_found(matches: VocMatches) -> np.ndarray:
    """[D] in 0..1: the objects of its class that no higher score finds."""
    out = np.full(len(matches.order), np.nan)
    for label, total in enumerate(matches.counts.sum(axis=0), start=1):
        if total:
            rows = matches.rows(label)
            out[rows] = 1 - (matches.status[rows] == RIGHT).cumsum() / total
    return out


def _found(objects: Objects, found: Found, names: np.ndarray, matches: VocMatches) -> pd.DataFrame:
    """The table of the objects that count."""
    score = np.full(len(objects), np.nan)
    right = matches.status == RIGHT
    score[matches.nearest[right]] = found.scores[matches.order[right]]
    nearest, iou = np.full(len(objects), -1), np.zeros(len(objects))
    for theirs, ours in _by_image(objects.images, found.images):
        ious = box_iou(objects.boxes[theirs], found.boxes[ours])
        iou[theirs] = ious.max(axis=1)
        nearest[theirs] = np.where(iou[theirs] > 0, ours[ious.argmax(axis=1)], -1)
    columns = {
        "image": objects.images,
        "class": names[objects.labels],
        "occlusion": objects.occlusion,
        "score": score,
        "object": np.arange(len(objects)),
        "detection": nearest,
        "found_class": names[np.where(nearest >= 0, found.labels[nearest] if len(found) else 0, 0)],
        "iou": iou,
    }
    return pd.DataFrame(columns)[~objects.ignored].reset_index(drop=True)


def _with_mean(ap: np.ndarray) -> np.ndarray:
    return np.append(ap, mean_over_classes(ap))
