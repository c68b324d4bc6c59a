"""One image, one occluder, several detectors: what each of them still sees, and how sure it is of one object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from workbench.analysis.following import SAME, best_match, object_scores, scores_boxes
from workbench.analysis.occlusion_response import (
    OcclusionResponse,
    box_coverage,
    hidden_fraction,
    response_steps,
)
from workbench.data.drawing.occluders import paste
from workbench.detectors.base import Detector, Detects, ScoresBoxes, asked
from workbench.detectors.branches.occlusion import FOUND
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.proposals import searched
from workbench.types import Detections, Proposals, Target

LOWEST = 0.05  # score of the faintest detection that is reported
MOST = 50  # detections reported per detector
BATCH = 8  # positions of a response map asked at once; few, so that other questions need not wait
FEW = 5  # detections that can be chosen where none is sure and nothing is known
OWN = "you"  #: source of an object that the user drew


@dataclass(frozen=True)
class PlacedOccluder:
    """What lies over the image."""

    box: tuple[float, float, float, float]  #: xyxy pixels
    texture: str = "brick"
    outline: str = "rectangle"

    @property
    def size(self) -> tuple[float, float]:
        """Height and width in pixels."""
        return self.box[3] - self.box[1], self.box[2] - self.box[0]


@dataclass(frozen=True)
class Thing:
    """An object that can be asked about: a true one, or what a detector found in the clean image."""

    name: str  #: of its class
    box: tuple[float, ...]  #: xyxy pixels
    source: str | None  #: the detector that found it, or `OWN`; None for a true object

    @property
    def tensor(self) -> Tensor:
        """The box, [4] float32."""
        return torch.tensor(self.box, dtype=torch.float32)

    @property
    def area(self) -> float:
        """Pixels of the box."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


class OcclusionProbe:
    """Asks `detectors` (name → detector) about one image uint8 [3, H, W] under an occluder.

    `objects` are the target's objects and then the clean detections of at least `min_score` that match none of those
    before; without any, the best ones that there are. `pick` adds any other detection, and `draw` one of your own. Of
    detectors that cannot score boxes the detection that matches the object is followed. Detectors that need proposals
    get them by selective search, anew for every picture: 0.05 s for 112 pixels, 1 s for 500.

    Args:
        classes: names of the target's labels 1..K, where they are not the first detector's.
    """

    def __init__(
        self,
        detectors: Mapping[str, DetectorLike],
        image: Tensor,
        target: Target | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        min_score: float = 0.5,
    ):
        if not detectors:
            raise DataError("at least one detector is needed")
        self.detectors = {name: as_detector(one) for name, one in detectors.items()}
        self.image, self.target = image, target
        self.classes = classes or next(iter(self.detectors.values())).classes
        self._searched: tuple[Tensor | None, Proposals | None] = None, None  # an image and its proposals
        self._clean = {name: self._detect(one, image) for name, one in self.detectors.items()}
        self.objects = list(self._find_objects(min_score)) or list(self._find_objects(LOWEST))[:FEW]
        self._before: dict[tuple[str, Thing], float | None] = {}  # scores without an occluder, by detector

    @property
    def names(self) -> list[str]:
        """All classes that a detector or the target knows, those of the first detector first."""
        known = [name for detector in self.detectors.values() for name in detector.classes]
        return list(dict.fromkeys([*known, *self.classes]))

    def draw(self, box: Sequence[float], name: str | None = None) -> int:
        """Make an object of a region [4] (xyxy pixels) in place of the one that was drawn before; its position.

        Args:
            name: its class; None: what the first detector takes it for, other than background. Where it cannot score
                boxes: what it finds most there, or else what it is surest of in the image.

        Raises:
            DataError: no box within the image, or a class that no detector knows.
        """
        corners = self._within(box)
        if name is not None:
            self._check_known(name)
        else:
            name = self._looks_like(corners)
        self.objects = [thing for thing in self.objects if thing.source != OWN]
        self.objects.append(Thing(name, corners, OWN))
        return len(self.objects) - 1

    def pick(self, box: Sequence[float], name: str, source: str) -> int:
        """Make an object of a detection, unless there is one of its class at its place; the object's position.

        Args:
            box: [4], xyxy pixels.
            name: its class.
            source: the detector that found it, by name.

        Raises:
            DataError: no box that reaches into the image, or a class or a detector that is not known.
        """
        if source not in self.detectors:
            raise DataError(f"there is no detector {source!r}; there are {', '.join(self.detectors)}")
        self._check_known(name)
        sides = (*self.image.shape[:0:-1],) * 2  # width and height
        inside = [min(max(0.0, float(value)), float(side)) for value, side in zip(box, sides, strict=True)]
        picked = Thing(name, self._within(inside), source)
        for place, thing in enumerate(self.objects):
            if thing.source != OWN and _same(picked, thing):
                return place
        self.objects = [*self.objects, picked]
        return len(self.objects) - 1

    def _within(self, box: Sequence[float]) -> tuple[float, ...]:
        height, width = self.image.shape[-2:]
        x1, y1, x2, y2 = (float(value) for value in box)
        if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
            raise DataError(f"the region {list(box)} is no box (xyxy pixels) in an image of {width} × {height}")
        return x1, y1, x2, y2

    def _check_known(self, name: str) -> None:
        if not any(name in one.classes for one in self.detectors.values()):
            raise DataError(f"no detector knows the class {name!r}; they know {', '.join(self.names)}")

    def _looks_like(self, corners: tuple[float, ...]) -> str:
        """The class that the first detector gives to a region; see `draw`."""
        (first_name, first), box = next(iter(self.detectors.items())), torch.tensor([corners])
        if isinstance(first, ScoresBoxes):
            return first.classes[int(first.score_boxes([self.image], [box])[0][0, 1:].argmax())]
        found = self._clean[first_name]
        if not len(found):
            return first.classes[0]
        nearest = int(box_iou(box, found.boxes.cpu())[0].argmax())  # of those that overlap equally, the surest
        return first.classes[int(found.labels[nearest]) - 1]

    def answer(self, occluder: PlacedOccluder, chosen: int | None) -> tuple[dict[str, Any], Tensor]:
        """What every detector says, as plain values for JSON but for masks, and the occluded image uint8 [3, H, W].

        Keys: `hidden` (0..1 or None) of the chosen object, `hidden_of` ("object", "visible pixels" or "box"; see
        `hidden_fraction`), `hidden_by_scene` (what of it is hidden without the occluder; None where that is not
        known, and then `hidden` is the occluder's alone), and `detectors`: for each name `boxes`, `names` and
        `scores` of the detections, where there is an occlusion branch `masks_occluder` (what it finds before each,
        bool [N, H, W]), and `before`, `now` (probability of the chosen object's class at its box without
        and with the occluder; None if the detector does not know the class), `found` (score of the detection that
        matches it, or None) and `followed` (whether the probabilities are the scores of matching detections).
        """
        occluded, covered = paste(self.image, occluder.box, occluder.texture, outline=occluder.outline)
        hidden, of = self._hidden(chosen, covered)
        scene = self._hidden(chosen, torch.zeros_like(covered))[0] if of == "object" else None
        shares = {"hidden": hidden, "hidden_of": of, "hidden_by_scene": scene}
        answers = {name: self._ask(name, occluded, chosen) for name in self.detectors}
        thing = None if chosen is None else asdict(self.objects[chosen])
        return {"object": thing, **shares, "detectors": answers}, occluded

    def response_steps(
        self, occluder: PlacedOccluder, chosen: int, stride: int
    ) -> Iterator[dict[str, OcclusionResponse]]:
        """Response maps of the chosen object as they grow, coarse ones first; the detectors take turns.

        Detectors that do not know the object's class have no map. See `analysis.occlusion_response`.
        """
        thing, maps = self.objects[chosen], dict[str, OcclusionResponse]()
        options: dict[str, Any] = {
            "occluder_size": occluder.size,
            "texture": occluder.texture,
            "outline": occluder.outline,
        }
        options |= {"stride": stride, "coarse_first": True, "batch_size": BATCH}
        growing = {
            name: response_steps(self.detectors[name], self.image, thing.tensor, label, **options)
            for name, label in self._labels(thing).items()
        }
        while growing:
            for name in list(growing):
                step = next(growing[name], None)
                if step is None:
                    del growing[name]
                else:
                    maps = {**maps, name: step}
                    yield maps

    def able(self, chosen: int) -> list[str]:
        """The detectors that know the class of an object."""
        return list(self._labels(self.objects[chosen]))

    def _labels(self, thing: Thing) -> dict[str, int]:
        """Label of the thing's class in each detector that knows it."""
        known = {name: d.classes for name, d in self.detectors.items() if thing.name in d.classes}
        return {name: classes.index(thing.name) + 1 for name, classes in known.items()}

    def _find_objects(self, min_score: float) -> Iterator[Thing]:
        known: list[Thing] = []
        if self.target is not None:
            for box, label in zip(self.target["boxes"], self.target["labels"], strict=True):
                known.append(Thing(self.classes[int(label) - 1], tuple(box.tolist()), None))
        yield from known
        for name, detector in self.detectors.items():
            for thing in _things(self._clean[name].above(min_score), detector.classes, name):
                if not any(_same(thing, other) for other in known):
                    known.append(thing)
                    yield thing

    def _detect(self, detector: Detector, image: Tensor) -> Detections:
        finder = asked(detector, Detects)
        if not detector.needs_proposals:
            return finder.detect([image])[0]
        if self._searched[0] is not image:
            self._searched = image, searched(image)
        return finder.detect([image], [self._searched[1]])[0]

    def _ask(self, name: str, occluded: Tensor, chosen: int | None) -> dict[str, Any]:
        detector = self.detectors[name]
        everything = self._detect(detector, occluded)
        found = everything.above(LOWEST)[:MOST].to("cpu")
        answer: dict[str, Any] = {
            "followed": not scores_boxes(detector),
            "boxes": [[round(value, 1) for value in box] for box in found.boxes.tolist()],
            "names": [detector.classes[label - 1] for label in found.labels.tolist()],
            "scores": [round(score, 4) for score in found.scores.tolist()],
        }
        if FOUND in found.extras:
            answer[FOUND] = found.extras[FOUND]
        if chosen is None:
            return {**answer, "before": None, "now": None, "found": None}
        thing = self.objects[chosen]
        if (name, thing) not in self._before:
            self._before[name, thing] = self._score(name, self.image, self._clean[name], thing)
        matches = zip(_things(found, detector.classes, name), found.scores.tolist(), strict=True)
        answer["found"] = max((score for other, score in matches if _same(thing, other)), default=None)
        now = self._score(name, occluded, everything, thing)
        return {**answer, "before": self._before[name, thing], "now": now}

    def _score(self, name: str, image: Tensor, found: Detections, thing: Thing) -> float | None:
        """Of an object in an image, where `found` was found; None where the detector does not know its class."""
        detector = self.detectors[name]
        label = self._labels(thing).get(name)
        if label is None:
            return None
        if scores_boxes(detector):
            return object_scores(detector, [image], thing.tensor, label)[0]
        return best_match(found, thing.tensor, label)

    def _hidden(self, chosen: int | None, covered: Tensor) -> tuple[float | None, str | None]:
        if chosen is None:
            return None, None
        thing = self.objects[chosen]
        if thing.source is None and self.target is not None:
            return hidden_fraction(self.target, chosen, covered)
        return box_coverage(thing.tensor, covered), "box"


def _things(found: Detections, classes: tuple[str, ...], source: str) -> list[Thing]:
    rows = zip(found.boxes.tolist(), found.labels.tolist(), strict=True)
    return [Thing(classes[label - 1], tuple(box), source) for box, label in rows]


def _same(one: Thing, other: Thing) -> bool:
    return one.name == other.name and float(box_iou(one.tensor[None], other.tensor[None])) >= SAME
