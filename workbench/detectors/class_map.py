"""A detector seen through the classes of a data set: the one place where classes of two sides are compared by name.

Equal names are the same class, in whatever order they stand; a map says which others are. What the detector finds of
classes that the other side lacks is left out, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.detectors.base import Detector, Detects, ScoresBoxes, asked
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError, did_you_mean, nearest
from workbench.types import CLASS_SCORES, Detections, Proposals

FEW = 5  #: names that are listed in a sentence


@dataclass(frozen=True)
class ClassMap:
    """Which labels 1..K of one side are which of the other."""

    ours: tuple[str, ...]  #: names of labels 1..K of the detector
    theirs: tuple[str, ...]  #: names of labels 1..M of the data
    labels: tuple[int, ...]  #: [K + 1] of theirs, for 0 (background) and each of ours; 0: they have no such class

    @classmethod
    def between(cls, ours: Sequence[str], theirs: Sequence[str], names: Mapping[str, str] | None = None) -> ClassMap:
        """The map by equal names, and by `names` (ours → theirs) before that.

        Raises:
            DataError: `names` has one that a side does not know, or the two sides have no class in common.
        """
        ours, theirs, names = tuple(ours), tuple(theirs), names or {}
        if not isinstance(names, Mapping):
            raise DataError(f"classes is {names!r}; expected a dict, the detector's name → the data's name")
        for own, other in names.items():
            if own not in ours:
                raise DataError(f"classes: the detector has no {own!r}{did_you_mean(own, ours)}")
            if other not in theirs:
                raise DataError(
                    f"classes: {own!r} is to be {other!r}, which the data do not have{did_you_mean(other, theirs)}"
                )
        place = {name: label for label, name in enumerate(theirs, start=1)}
        labels = (0, *(place.get(names.get(name, name), 0) for name in ours))
        if not any(labels):
            what = f"The detector knows the classes {few(ours)}, the data have {few(theirs)}, and none is the same."
            raise DataError(f"{what} Say which are: classes={{its name: the data's name, ...}}")
        return cls(ours, theirs, labels)

    @property
    def same(self) -> bool:
        """Whether both sides have the same classes in the same order."""
        return self.ours == self.theirs and self.labels == tuple(range(len(self.ours) + 1))

    @property
    def left_out(self) -> tuple[str, ...]:
        """Ours that they do not have."""
        return tuple(name for name, label in zip(self.ours, self.labels[1:], strict=True) if not label)

    @property
    def lacking(self) -> tuple[str, ...]:
        """Theirs that none of ours is."""
        return tuple(name for label, name in enumerate(self.theirs, start=1) if label not in self.labels)

    def columns(self, scores: Tensor) -> Tensor:
        """Scores [N, M+1] of their classes from those of ours [N, K+1]; 0 for classes that none of ours is.

        Where several of ours are one of theirs, it has their highest.
        """
        out = scores.new_zeros(len(scores), len(self.theirs) + 1)
        out[:, 0] = scores[:, 0]
        for column, label in enumerate(self.labels):
            if label:
                out[:, label] = torch.maximum(out[:, label], scores[:, column])
        return out


class Relabelled(Detector):
    """A detector with the labels of other classes, made by `relabel`; it can be neither trained nor saved.

    Args:
        detector: any.
        classes: from its classes to others.
    """

    def __init__(self, detector: Detector, classes: ClassMap):
        super().__init__()
        self.detector, self.map, self.classes = detector, classes, classes.theirs
        self.needs_proposals = detector.needs_proposals
        self.dropped: Counter[str] = Counter()  #: detections of classes that were left out so far, by name
        self.register_buffer("_labels", torch.tensor(classes.labels), persistent=False)
        if isinstance(detector, ScoresBoxes):  # so that only those have it that can
            self.score_boxes = self._score_boxes

    @property
    def mask_key(self) -> str | None:
        """The detector's own."""
        return self.detector.mask_key

    @property
    def notes(self) -> Sequence[str]:
        """The detector's own, and what was left out so far."""
        count = sum(self.dropped.values())
        if not count:
            return self.detector.notes
        names = few([name for name, _ in self.dropped.most_common()])
        what = f"{count} detections of classes that the data do not have were left out: {names}."
        return (*self.detector.notes, what)

    def detect(
        self, images: Sequence[Tensor], proposals: Sequence[Proposals | Tensor] | None = None
    ) -> list[Detections]:
        """What the detector finds of these classes."""
        finder = asked(self.detector, Detects)
        found = finder.detect(images, proposals) if self.needs_proposals else finder.detect(images)
        return [self._read(one) for one in found]

    def _score_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Class probabilities [N, M+1] of given boxes [N, 4] of each image; 0 for classes that the detector lacks."""
        return [self.map.columns(one) for one in asked(self.detector, ScoresBoxes).score_boxes(images, boxes)]

    def _read(self, found: Detections) -> Detections:
        outside = (found.labels < 1) | (found.labels > len(self.map.ours))
        if outside.any():
            label, number = int(found.labels[outside][0]), len(self.map.ours)
            what = f"{type(self.detector).__name__} gave the label {label}, which is outside 1..{number}, its classes"
            raise DataError(f"{what}; 0 is the background: add 1 if its labels count from 0")
        labels = self._labels.to(found.labels.device)[found.labels]
        kept = labels > 0
        self.dropped.update(self.map.ours[label - 1] for label in found.labels[~kept].tolist())
        extras = dict(found.extras)
        if CLASS_SCORES in extras:
            extras[CLASS_SCORES] = self.map.columns(extras[CLASS_SCORES])
        return Detections(found.boxes, labels, found.scores, found.masks, extras)[kept]


def relabel(detector: DetectorLike, classes: Sequence[str], names: Mapping[str, str] | None = None) -> Detector:
    """A detector whose labels 1..M are those of `classes`, by name; itself where it has the same in the same order.

    Args:
        detector: as for `as_detector`.
        classes: names of the labels 1..M, such as those of a data set.
        names: which of its classes have another name there: its name → that one.

    Raises:
        DataError: a name that is not known, or no class in common.

    Example:
        >>> detector = relabel("digit-scenes/faster-rcnn", ("seven", "9"), {"7": "seven"})
        >>> image, target = wb.load_data("digit-scenes", split="test")[36]
        >>> {detector.classes[label - 1] for label in detector.detect([image])[0].above(0.5).labels}
        {'9'}
    """
    detector = as_detector(detector)
    classes_map = ClassMap.between(detector.classes, classes, names)
    return detector if classes_map.same else Relabelled(detector, classes_map)


def own_names(detectors: Sequence[Sequence[str]], names: Mapping[str, str] | None) -> list[dict[str, str]]:
    """For each of several detectors, by their classes, what `names` says of these.

    Raises:
        DataError: a name that none of them has.
    """
    names, known = names or {}, sorted({name for classes in detectors for name in classes})
    for own in names:
        if own not in known:
            raise DataError(f"classes: no detector has {own!r}{did_you_mean(own, known)}")
    return [{own: other for own, other in names.items() if own in classes} for classes in detectors]


def few(names: Sequence[str]) -> str:
    """The first of some names."""
    shown = ", ".join(names[:FEW])
    return f"{shown}, … ({len(names)} in all)" if len(names) > FEW else shown


def lacking_note(lacking: Mapping[str, int], known: Sequence[str]) -> str | None:
    """A sentence about classes of the data that the detector lacks, with their objects; None: it has all.

    Args:
        lacking: class → objects.
        known: the detector's classes.
    """
    if not lacking:
        return None
    named = [f"{name} ({count})" for name, count in lacking.items()]
    close = next((f": {name!r}{hint}" for name in lacking if (hint := nearest(name, known))), "")
    what = f"The detector lacks {len(lacking)} classes of the data: {few(named)}"
    cost = f"Their {sum(lacking.values())} objects count as missed, with an AP of 0"
    return f"{what}. {cost}. If it has them under other names{close}, say classes={{its name: the data's name}}."
