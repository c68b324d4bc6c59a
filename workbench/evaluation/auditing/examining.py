"""One image under all conditions, seen by all detectors: what an audit does again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import numpy as np
from torch import Tensor

from workbench.data import Dataset
from workbench.data.drawing.hiding import Place
from workbench.detectors.base import Detects
from workbench.errors import DataError
from workbench.evaluation.auditing.conditions import WORST, Condition, tried_places
from workbench.evaluation.auditing.gathering import Gathered, ImagePart
from workbench.evaluation.auditing.matching import Matched, match_image
from workbench.evaluation.auditing.objects import AuditedImage, audited_image, labels_in_common
from workbench.evaluation.auditing.occluding import Occluding, Shown
from workbench.evaluation.counting.checks import check_values
from workbench.types import Detections, Target


@dataclass(frozen=True)
class Limits:
    """Which objects are audited, and when one is found; `audit` explains them."""

    least_size: float
    most_hidden: float
    threshold: int  #: number of the IoU threshold
    nms_iou: float  #: from which overlap on a detection leaves no other of its class beside it
    budget: int  #: places that a search tries
    batch_size: int


class Examiner:
    """Shows images under all conditions to all detectors.

    Args:
        detectors: by the names to show.
        data: images with their objects.
        conditions: under which they are shown.
        occluding: draws them.
        limits: which objects are audited, and when one is found.
        names: which classes of the detectors have another name in the data.

    Raises:
        DataError: there is no class that the data and all detectors know.
    """

    def __init__(
        self,
        detectors: Mapping[str, Detects],
        data: Dataset,
        conditions: Sequence[Condition],
        occluding: Occluding,
        limits: Limits,
        names: Mapping[str, str] | None = None,
    ):
        self.detectors, self.data, self.conditions = detectors, data, conditions
        self.occluding, self.limits = occluding, limits
        self.maps = labels_in_common([tuple(one.classes) for one in self._objects()], data.classes, names)
        self.known = np.isin(np.arange(len(data.classes) + 1), self.maps[0][self.maps[0] > 0])
        self.most = max((condition.fraction for condition in conditions), default=0.0)

    def _objects(self) -> list[Any]:
        """The detectors, with the attributes that every one has."""
        return list(self.detectors.values())

    def examine(self, index: int) -> ImagePart:
        """One image of the data."""
        image, target = self.data[index]
        audited = self._audited(index, image, target)
        rows = Gathered(audited)
        shown = self.occluding.shown(image, audited, self.conditions)
        while batch := list(islice(shown, self.limits.batch_size)):
            for number, _ in enumerate(self.detectors):
                for one, matched in zip(batch, self._seen(number, target, audited, batch), strict=True):
                    rows.add(number, one, matched)
        for number, _ in enumerate(self.detectors):
            for one, matched in self._worst(number, image, target, audited):
                rows.add(number, one, matched)
            if not audited.rounds:  # nothing can be hidden: the image is the clean one
                rows.repeat(number, [place for place, one in enumerate(self.conditions) if one.hides])
        return rows.part()

    def shown(self, index: int, condition: int, row: int) -> Tensor:
        """An image of the data as it was under a condition, with this object hidden."""
        image, target = self.data[index]
        audited = self._audited(index, image, target)
        chosen = [self.conditions[condition]]
        return next(one.draw() for one in self.occluding.shown(image, audited, chosen) if row in one.rows)

    def _audited(self, index: int, image: Tensor, target: Target) -> AuditedImage:
        return audited_image(
            target,
            (int(image.shape[-2]), int(image.shape[-1])),
            index=index,
            known=self.known,
            least_size=self.limits.least_size,
            most_hidden=self.limits.most_hidden,
            most=self.most,
        )

    def _seen(self, number: int, target: Target, audited: AuditedImage, batch: Sequence[Shown]) -> Iterator[Matched]:
        """What a detector finds in each image, matched."""
        found = self._detect(number, [one.draw() for one in batch], target, audited)
        for detections, one in zip(found, batch, strict=True):
            yield match_image(
                detections,
                audited,
                one.rows,
                self.maps[number],
                threshold=self.limits.threshold,
                nms_iou=self.limits.nms_iou,
                pasted=one.pasted,
            )

    def _detect(self, number: int, images: list[Tensor], target: Target, audited: AuditedImage) -> list[Detections]:
        detector: Any = self._objects()[number]
        if getattr(detector, "needs_proposals", False):
            if "proposals" not in target:
                raise DataError(
                    f"{self.data.where(audited.index)} has no proposals, and the detector needs them: give the data "
                    "some by with_proposals(data, ...); those of the clean image are used under all conditions"
                )
            found = detector.detect(images, [target["proposals"]] * len(images))
        else:
            found = detector.detect(images)
        if len(found) != len(images):
            raise DataError(f"the detector gave {len(found)} answers to {len(images)} images; expected one for each")
        for one in found:
            check_values(one, len(detector.classes), self.data.where(audited.index))
        return [one.to("cpu") for one in cast(list[Detections], found)]

    def _worst(
        self, number: int, image: Tensor, target: Target, audited: AuditedImage
    ) -> Iterator[tuple[Shown, Matched]]:
        """Each condition whose place is searched for: every object under the occluder that hurts it most.

        All objects of a round are hidden at once, each try at another place; each then gets the place where its score
        was the lowest. The answer is what the detector says of that image.
        """
        for condition, group in ((one, group) for one in self._searched() for group in range(len(audited.rounds))):
            kind, fraction = self.conditions[condition].kind, self.conditions[condition].fraction
            rng = np.random.default_rng([self.occluding.seed, abs(audited.image_id), group])
            tries = [dict.fromkeys(audited.rounds[group], place) for place in tried_places(self.limits.budget, rng)]
            shown = iter([self._at(image, audited, condition, group, kind, fraction, places) for places in tries])
            scores: list[np.ndarray] = []
            while batch := list(islice(shown, self.limits.batch_size)):
                seen = self._seen(number, target, audited, batch)
                scores += [np.nan_to_num(one.outcomes["score"]) for one in seen]
            best = np.argmin(scores, axis=0)  # [n] the first of equally bad ones
            places = {row: tries[at][row] for row, at in zip(audited.rounds[group], best.tolist(), strict=True)}
            final = self._at(image, audited, condition, group, kind, fraction, places)
            yield final, next(self._seen(number, target, audited, [final]))

    def _searched(self) -> list[int]:
        return [number for number, one in enumerate(self.conditions) if one.place == WORST]

    def _at(
        self,
        image: Tensor,
        audited: AuditedImage,
        number: int,
        group: int,
        kind: str,
        fraction: float,
        places: dict[int, Place],
    ) -> Shown:
        laid = self.occluding.hidden(audited, group, kind, [fraction], places)[0]
        return self.occluding.laid(image, audited, number, group, laid, kind)
