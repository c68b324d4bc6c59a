"""From the labels of a detector of others, numbers or names, to 1..K.

Numbers count from 0 or from 1, have gaps (COCO's 80 classes have ids from 1 to 90), or stand for no class at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from workbench.detectors.outside.families import Family
from workbench.errors import DataError, did_you_mean, nearest

BACKGROUND = ("__background__", "background", "no object", "no-object")  #: names of it, in lower case
NO_CLASS = (*BACKGROUND, "n/a", "")  #: names that stand for no class: torchvision has gaps among COCO's as well
Classes = Sequence[str] | Mapping[int, str] | Mapping[str, str]
SAME = 1e-3  #: by which a score may differ from that of its class among all
COUNT = (
    "Where labels count from 1, say first_label=1. Where they are ids with gaps, such as COCO's 1 to 90, give "
    "classes={id: name, ...}, as dict(zip(data.category_ids, data.classes))"
)


class OwnLabels:
    """What the labels of a detector mean.

    Args:
        numbers: its own label → class; names of `NO_CLASS` are no class.
        name: of the detector, for messages.
        renamed: names as it gives them → classes, where they differ.
        wanted: the classes, in their order; None: all of `numbers`. Others are left out.
        background: "first" or "last": where scores of all classes have one column more, of no class.

    Raises:
        DataError: there are no classes.
    """

    def __init__(
        self,
        numbers: Mapping[int, str],
        name: str,
        *,
        renamed: Mapping[str, str] | None = None,
        wanted: Sequence[str] | None = None,
        background: str | None = None,
    ):
        renamed = renamed or {}
        own = {number: numbers[number] for number in sorted(numbers) if not _is_none(numbers[number])}
        named = {number: renamed.get(one, one) for number, one in own.items()}
        self.classes = tuple(dict.fromkeys(named.values() if wanted is None else wanted))  #: names of labels 1..K
        if not self.classes:
            raise DataError(f"{name}: there are no classes; give their names: wrap(..., classes=[...])")
        place = {one: label for label, one in enumerate(self.classes, start=1)}
        self.of_number = {number: place.get(named.get(number, ""), 0) for number in sorted(numbers)}
        self.of_name = dict.fromkeys(named.values(), 0) | place
        self.of_name |= {one: place.get(renamed[one], 0) for one in renamed}
        self.has_background = any(one.strip().lower() in BACKGROUND for one in numbers.values())
        self.name, self.background = name, background

    def __call__(self, labels: Tensor | list[str]) -> Tensor:
        """Labels [N] in 1..K; 0 where it is none of the classes.

        Raises:
            DataError: a label that is not known.
        """
        found = labels if isinstance(labels, list) else labels.tolist()
        return torch.tensor([self._label(one) for one in found], dtype=torch.int64)

    def _label(self, own: int | str) -> int:
        if isinstance(own, str):
            if not _is_none(own) and own not in self.of_name:
                raise DataError(
                    f"{self.name}: it found {own!r}, which is no class{did_you_mean(own, [*self.of_name])}"
                )
            return self.of_name.get(own, 0)
        if own not in self.of_number:
            known = list(self.of_number)
            what = f"it gave the label {own}; its {len(known)} labels were expected to be {known[0]} to {known[-1]}"
            raise DataError(f"{self.name}: {what}. {COUNT}")
        return self.of_number[own]

    def spread(self, every: Tensor, labels: Tensor | list[str] | None = None, scores: Tensor | None = None) -> Tensor:
        """Scores of all classes [N, K+1], those of background first, of scores [N, C] in the detector's own order.

        Background is what the detector gives to no class, or else 1 minus the highest score.

        Args:
            every: a column for each of its labels, the lowest first, and maybe one of the background.
            labels, scores: [N] of the detections, which show where the background is.

        Raises:
            DataError: values outside 0..1, or columns that fit no reading.
        """
        low, high = (float(value) for value in torch.aminmax(every)) if every.numel() else (0.0, 0.0)
        if not -SAME <= low <= high <= 1 + SAME:
            what = f"class_scores run from {low:.3g} to {high:.3g}"
            raise DataError(f"{self.name}: {what}; expected 0 to 1: give probabilities, not logits")
        first, none = self._columns(every, labels, scores)
        out = every.new_zeros(len(every), len(self.classes) + 1)
        for column, label in enumerate(self.of_number.values(), start=first):
            out[:, label] = torch.maximum(out[:, label], every[:, column]) if label else out[:, 0] + every[:, column]
        if none is not None:
            out[:, 0] += every[:, none]
        elif not self.has_background:
            out[:, 0] = 1 - out[:, 1:].amax(dim=1)
        out[:, 0].clamp_(0, 1)
        return out

    def _columns(
        self, every: Tensor, labels: Tensor | list[str] | None, scores: Tensor | None
    ) -> tuple[int, int | None]:
        """Where the columns of its labels begin, and which is that of the background."""
        number, given = len(self.of_number), every.shape[1]
        if given == number:
            return 0, None
        if given != number + 1:
            what = f"class_scores have {given} columns for {number} labels"
            raise DataError(f"{self.name}: {what}; expected {number}, or {number + 1} with one of the background")
        readings = {"first": (1, 0), "last": (0, number)}
        if self.background in readings:
            return readings[self.background]
        if isinstance(labels, Tensor) and scores is not None and len(scores):
            rows, place = torch.arange(len(scores)), {own: column for column, own in enumerate(self.of_number)}
            columns = torch.tensor([place.get(own, 0) for own in labels.tolist()])
            fits = [
                reading
                for reading in readings.values()
                if bool(((every[rows, columns + reading[0]] - scores).abs() <= SAME).all())
            ]
            if len(fits) == 1:
                return fits[0]
        what = f"class_scores have one column more than the {number} labels"
        raise DataError(f"{self.name}: {what}; say which one is the background: background='first' or 'last'")


def own_labels(family: Family, classes: Classes | None, first_label: int | None, background: str | None) -> OwnLabels:
    """What the labels of a detector mean, from what its user and its family know of them.

    Args:
        family: may know names and numbers.
        classes: names in the order of the labels, or label → name; where the family knows names, also some of them,
            or other names for some of them (its own name → another).
        first_label: the label of the first of `classes`; None: what the family says.
        background: as for `OwnLabels`; None: what the family says.

    Raises:
        DataError: they do not fit together; says what is known.
    """
    own, name = family.names, family.name
    background = background or family.background
    if classes is None:
        if not own:
            raise DataError(f"{name}: the names of its classes are not known; give them: wrap(..., classes=[...])")
        return OwnLabels(own, name, background=background)
    if isinstance(classes, str) or not isinstance(classes, Sequence | Mapping) or not len(classes):
        raise DataError(f"{name}: classes is {classes!r}; expected names in the order of its labels, or label → name")
    if isinstance(classes, Mapping):
        return _of_mapping(classes, own, name, first_label, background)
    names = [str(one) for one in classes]
    if own and first_label is None:
        known = {one for one in own.values() if not _is_none(one)}
        if set(names) <= known:
            return OwnLabels(own, name, wanted=names, background=background)
        if len(names) not in (len(own), len(known)):
            strange = [one for one in names if one not in known]
            what = f"{strange[0]!r} is none of its classes{nearest(strange[0], sorted(known))}"
            fix = f"it has {len(known)}; give some of them, or other names for some: classes={{its name: yours}}"
            more = "where all have names of your own, say first_label, too"
            raise DataError(f"{name}: {what}; {fix}; {more}")
        numbers = [number for number in sorted(own) if len(names) == len(own) or not _is_none(own[number])]
        return OwnLabels(dict(zip(numbers, names, strict=True)), name, background=background)
    return OwnLabels(_counted(names, family, first_label), name, background=background)


def _counted(names: Sequence[str], family: Family, first_label: int | None) -> dict[int, str]:
    """Label → name for names that are counted."""
    named = [one for one in names if not _is_none(one)]
    if len(set(named)) < len(named):
        twice = next(one for one in named if named.count(one) > 1)
        raise DataError(f"{family.name}: the class {twice!r} stands twice among classes; expected each name once")
    start = first_label
    if start is None:
        start = 0 if _is_none(names[0]) else family.first_label
    total = family.num_labels
    if total is not None and first_label is None and start + len(names) != total:
        what = f"it has {total - family.first_label} classes and came with the names of {len(names)}"
        fix = "give one for each, in the order of its labels"
        more = "; where those count from 0, say first_label=0" if len(names) == total else ""
        raise DataError(f"{family.name}: {what}; {fix}{more}")
    below = {0: BACKGROUND[0]} if start == family.first_label == 1 else {}
    return below | dict(enumerate(names, start=start))


def _of_mapping(
    classes: Mapping[Any, str],
    own: Mapping[int, str] | None,
    name: str,
    first_label: int | None,
    background: str | None,
) -> OwnLabels:
    """For label → name, or the detector's own name → another."""
    if all(isinstance(key, Integral) and not isinstance(key, bool) for key in classes):
        if first_label is not None:
            raise DataError(f"{name}: classes says the label of each name; leave first_label out")
        return OwnLabels({int(key): str(one) for key, one in classes.items()}, name, background=background)
    if not all(isinstance(key, str) for key in classes):
        raise DataError(f"{name}: classes has keys of several kinds; expected label → name, or own name → other name")
    if own is None:
        numbers = dict(enumerate(classes, start=first_label or 0))
        return OwnLabels(numbers, name, renamed=classes, background=background)
    unknown = [one for one in classes if one not in own.values()]
    if unknown:
        known = sorted({one for one in own.values() if not _is_none(one)})
        raise DataError(
            f"{name}: classes has {unknown[0]!r}, which it does not know{did_you_mean(unknown[0], known)}"
        )
    return OwnLabels(own, name, renamed=classes, background=background)


def _is_none(name: str) -> bool:
    return name.strip().lower() in NO_CLASS
