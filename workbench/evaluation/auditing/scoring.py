"""What detectors say of given boxes of one image: true boxes under all conditions, regions of the clean image.

An image is shown once for each condition and round of its objects, and all boxes that are asked about in it are
scored in one pass.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from workbench.data import Dataset
from workbench.detectors.base import Detector, ScoresBoxes, asked
from workbench.detectors.class_map import Relabelled
from workbench.errors import DataError
from workbench.evaluation.auditing.conditions import Condition
from workbench.evaluation.auditing.drawn_regions import chosen_regions, draw_regions
from workbench.evaluation.auditing.gathering import audited_table, even, set_aside, typed
from workbench.evaluation.auditing.objects import AuditedImage, audited_image
from workbench.evaluation.auditing.occluding import Occluding, Shown
from workbench.evaluation.auditing.tables import Audited, Looks, Regions
from workbench.types import Target

_STREAM = zlib.crc32(b"regions")


@dataclass(frozen=True)
class Wanted:
    """Which objects and regions are asked about; `score_regions` explains them."""

    least_size: float
    most_hidden: float
    regions: int  #: of each range of IoU
    batch_size: int


@dataclass(frozen=True)
class LooksPart:
    """What is found out on one image; `Looks.object` counts its own audited objects from 0."""

    audited: Audited
    looks: Looks
    regions: Regions
    set_aside: np.ndarray  #: [R] int, how many objects for each of `REASONS`

    FORMAT: ClassVar[str] = "workbench regions parts 1"
    TABLES: ClassVar[dict[str, type]] = {"audited": Audited, "looks": Looks, "regions": Regions}


class Scorer:
    """Shows images under all conditions to detectors, and asks about boxes.

    Args:
        detectors: by the names to show, with the classes of the data.
        data: images with their objects.
        conditions: under which they are shown.
        occluding: draws them.
        wanted: which objects and regions are asked about.
    """

    def __init__(
        self,
        detectors: Mapping[str, Detector],
        data: Dataset,
        conditions: Sequence[Condition],
        occluding: Occluding,
        wanted: Wanted,
    ):
        self.detectors = {name: asked(one, ScoresBoxes) for name, one in detectors.items()}
        self.data, self.conditions, self.occluding, self.wanted = data, conditions, occluding, wanted
        self.known = np.full(len(data.classes) + 1, True)
        self.known[0] = False
        for one in detectors.values():
            if isinstance(one, Relabelled):
                self.known &= np.isin(np.arange(len(self.known)), one.map.labels)
        self.most = max((condition.fraction for condition in conditions), default=0.0)

    def examine(self, index: int) -> LooksPart:
        """One image of the data."""
        image, target = self.data[index]
        wanted = self.wanted
        audited = audited_image(
            target,
            (int(image.shape[-2]), int(image.shape[-1])),
            index=index,
            known=self.known,
            least_size=wanted.least_size,
            most_hidden=wanted.most_hidden,
            most=self.most,
        )
        regions, iou = self._regions(audited, target)
        p_object = np.zeros((len(regions), len(self.detectors)), np.float32)
        rows: list[dict] = [even(0, dict.fromkeys(Looks.COLUMNS, 0))]
        shown = self.occluding.shown(image, audited, self.conditions)
        while batch := list(islice(shown, wanted.batch_size)):
            for number, scores in enumerate(self._scores(batch, audited, regions)):
                for one, said in zip(batch, scores, strict=True):
                    if one.condition == 0:
                        p_object[:, number] = 1 - said[len(one.rows) :, 0]
                    rows.append(self._looks(number, one, audited, said[: len(one.rows)]))
        place = {"image": np.full(len(regions), index), "box": regions, "iou": iou}
        return LooksPart(
            audited=audited_table(audited),
            looks=typed(Looks, rows),
            regions=typed(Regions, [place | {"p_object": p_object}]),
            set_aside=set_aside(audited),
        )

    def _regions(self, audited: AuditedImage, target: Target) -> tuple[np.ndarray, np.ndarray]:
        """Regions [R, 4] and their IoU: the best proposals of the data where there are some, else drawn ones."""
        objects = audited.objects
        ignored = objects.ignored | ~self.known[objects.labels]
        how: dict[str, Any] = {"each": self.wanted.regions, "least_size": self.wanted.least_size}
        if "proposals" in target:
            given = np.asarray(target["proposals"].as_subclass(Tensor), dtype=float).reshape(-1, 4)
            return chosen_regions(given, objects.boxes, ignored, audited.size, **how)
        rng = np.random.default_rng([self.occluding.seed, abs(audited.image_id), _STREAM])
        return draw_regions(objects.boxes, ignored, audited.size, rng=rng, **how)

    def _scores(
        self, batch: Sequence[Shown], audited: AuditedImage, regions: np.ndarray
    ) -> Iterator[list[np.ndarray]]:
        """Of each detector the probabilities [n, K + 1] in each image: of objects that count, then of regions."""
        images = [one.draw() for one in batch]
        boxes = [audited.objects.boxes[list(one.rows)].reshape(-1, 4) for one in batch]
        boxes = [
            np.concatenate([own, regions]) if one.condition == 0 else own
            for one, own in zip(batch, boxes, strict=True)
        ]
        given = [torch.from_numpy(one.astype(np.float32)) for one in boxes]
        width = len(self.data.classes) + 1
        for name, detector in self.detectors.items():
            found = [one.float().cpu().numpy() for one in detector.score_boxes(images, given)]
            for scores, one in zip(found, boxes, strict=True):
                if scores.shape != (len(one), width) or not np.isfinite(scores).all():
                    raise DataError(
                        f"{self.data.where(audited.index)}: {name} gave scores {scores.shape} to {len(one)} boxes; "
                        f"expected finite ones {(len(one), width)}, background first"
                    )
            yield found

    def _looks(self, number: int, shown: Shown, audited: AuditedImage, said: np.ndarray) -> dict:
        """Columns of `Looks` from the probabilities [n, K + 1] of the objects that count."""
        order = {row: place for place, row in enumerate(audited.audited.tolist())}
        rows, labels = list(shown.rows), audited.objects.labels[list(shown.rows)]
        among = np.where(self.known[None, 1:], said[:, 1:], -1.0)
        return even(len(rows), {"detector": number, "condition": shown.condition}) | {
            "object": [order[row] for row in rows], "hidden": [shown.hidden[row] for row in rows],
            "label": among.argmax(axis=1) + 1, "p_class": said[np.arange(len(rows)), labels],
            "p_object": 1 - said[:, 0],
        }  # fmt: skip
