"""The images of an audit: one image under every condition, as many times as its objects need.

What is drawn depends on (seed, image id, object, kind, place) alone, and on the data that cut-outs are from. So it is
the same for every detector and after an interruption, and a larger fraction hides what a smaller one hides.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from workbench.data import Dataset
from workbench.data.drawing.corruptions import corrupt
from workbench.data.drawing.cut_outs import SHIPPED, Occluder, cut_out, shipped
from workbench.data.drawing.hiding import Laid, Place, hide_each, lay
from workbench.evaluation.auditing.conditions import WORST, Condition, Kind
from workbench.evaluation.auditing.objects import AuditedImage
from workbench.types import learnable

MOST_CUT_OUTS, LEAST_SIDE = 32, 48  #: cut-outs taken from the data, and pixels of the shorter side of each
_LOOKED_AT = 64  # images that are looked through for them


@dataclass(frozen=True, eq=False)
class CutOut:
    """An object of the data as an occluder."""

    occluder: Occluder
    label: int  #: of the data; 0: none of its classes


@dataclass(frozen=True, eq=False)
class Shown:
    """One image under one condition."""

    condition: int  #: its number
    round: int  #: which group of the image's objects is hidden; all are where none is
    rows: tuple[int, ...]  #: the objects that count
    share: float  #: of the image under this condition: 1 / number of its rounds
    hidden: dict[int, int]  #: pixels of each of these objects that are covered
    pasted: np.ndarray  #: boxes [P, 4] of cut-outs, which may rightly be found
    draw: Callable[[], Tensor] = field(repr=False)  #: the image uint8 [3, H, W]


class Occluding:
    """Draws the conditions of an audit.

    Args:
        kinds: of occluders that conditions name.
        cut_outs: of objects of the data.
        class_names: of the data.
        seed: of all that is drawn.
    """

    def __init__(self, kinds: Sequence[Kind], cut_outs: Sequence[CutOut], class_names: Sequence[str], seed: int):
        self.kinds, self.cut_outs, self.seed = {kind.name: kind for kind in kinds}, tuple(cut_outs), seed
        self.stand_ins = [CutOut(shipped(name), 0) for name in SHIPPED if name not in class_names]

    def shown(self, image: Tensor, audited: AuditedImage, conditions: Sequence[Condition]) -> Iterator[Shown]:
        """The image under all conditions but those whose place is searched for, in no order."""
        together: dict[tuple[str, str], list[int]] = {}
        for number, condition in enumerate(conditions):
            if condition.place == WORST:
                continue
            if condition.hides:
                together.setdefault((condition.kind, condition.place), []).append(number)
            else:
                yield self._whole(image, audited, conditions, number)
        for (kind, place), numbers in together.items():
            fractions = [conditions[number].fraction for number in numbers]
            for group in range(len(audited.rounds)):
                places = dict.fromkeys(audited.rounds[group], place)
                for number, laid in zip(numbers, self.hidden(audited, group, kind, fractions, places), strict=True):
                    yield self.laid(image, audited, number, group, laid, kind)

    def _whole(self, image: Tensor, audited: AuditedImage, conditions: Sequence[Condition], number: int) -> Shown:
        """The image as it is, or corrupted."""
        condition = conditions[number]

        def draw() -> Tensor:
            if not condition.severity:
                return image.as_subclass(Tensor)
            rng = self._rng(audited, -1, condition.kind, "")
            return corrupt(image, condition.kind, condition.severity, rng=rng)

        rows = tuple(audited.audited.tolist())
        return Shown(number, 0, rows, 1.0, dict.fromkeys(rows, 0), np.zeros((0, 4)), draw)

    def hidden(
        self, audited: AuditedImage, group: int, kind: str, fractions: Sequence[float], places: Mapping[int, Place]
    ) -> list[dict[int, Laid]]:
        """For each fraction, the occluder over each object of a group, at its place."""
        found: list[dict[int, Laid]] = [{} for _ in fractions]
        for row, pixels, keep in audited.round(group):
            place = places[row]
            rng = self._rng(audited, row, kind, place if isinstance(place, str) else "")
            occluder = self._occluder(audited, kind, rng)
            for laid, one in zip(
                found, hide_each(pixels, fractions, occluder, place, rng=rng, keep=keep), strict=True
            ):
                laid[row] = one
        return found

    def laid(
        self, image: Tensor, audited: AuditedImage, number: int, group: int, laid: dict[int, Laid], kind: str
    ) -> Shown:
        """The image under occluders, with what they hide counted in what is drawn."""
        cover = np.zeros(audited.size, bool)
        for one in laid.values():
            cover[one.window] |= one.cover
        boxes = [one.box for one in laid.values() if self.kinds[kind].shows_objects and one.cover.any()]
        return Shown(
            condition=number,
            round=group,
            rows=audited.rounds[group],
            share=1 / len(audited.rounds),
            hidden={row: int((cover & audited.pixels[row]).sum()) for row in laid},
            pasted=np.array(boxes, dtype=float).reshape(-1, 4),
            draw=lambda: lay(image, laid.values()),
        )

    def _rng(self, audited: AuditedImage, row: int, kind: str, place: str) -> np.random.Generator:
        words = [zlib.crc32(word.encode()) for word in (kind, place)]
        return np.random.default_rng([self.seed, abs(audited.image_id), row + 1, *words])

    def _occluder(self, audited: AuditedImage, name: str, rng: np.random.Generator) -> str | Occluder:
        """What is laid: a cut-out of the data shows no class that the image has objects of."""
        kind = self.kinds[name]
        if not kind.shows_objects:
            return name
        pool: Sequence[Occluder] = kind.pool
        if kind.from_data:
            there = set(audited.objects.labels.tolist())
            pool = [one.occluder for one in self.cut_outs if one.label not in there]
            pool = pool or [one.occluder for one in self.stand_ins]
        return pool[int(rng.integers(len(pool)))]


def cut_outs_of(data: Dataset, seed: int) -> list[CutOut]:
    """Objects of a data set as occluders, at most one of an image: whole ones of some size; without masks none."""
    rng = np.random.default_rng([seed, 0])
    found: list[CutOut] = []
    for index in rng.permutation(len(data))[:_LOOKED_AT].tolist():
        target = data.target(index)
        if "masks" not in target:
            return []
        boxes = target["boxes"].as_subclass(Tensor)
        large = (boxes[:, 2:] - boxes[:, :2]).amin(1) >= LEAST_SIDE
        whole = ~(target["occlusion"] > 0.05) if "occlusion" in target else large
        good = (large & whole & learnable(target) & target["masks"].flatten(1).any(1)).nonzero().flatten().tolist()
        if good:
            row = good[int(rng.integers(len(good)))]
            found.append(CutOut(cut_out(data, index, row), int(target["labels"][row])))
        if len(found) == MOST_CUT_OUTS:
            break
    return found
