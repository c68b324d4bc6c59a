"""Outlines that detectors and mask proposals suggest, to begin with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

from widgets.parts.annotator_objects import corners
from widgets.parts.proposers import ProposalSource
from widgets.parts.sources import named
from workbench.annotation.outlines import polygons_of
from workbench.detectors.base import Detects
from workbench.detectors.deep_mask import DeepMask
from workbench.detectors.fpn_mask import FPNMask
from workbench.detectors.proposal_network import ProposalNetwork
from workbench.rle import decode_masks
from workbench.types import Detections, Proposals

MOST = 20  #: suggestions of one source
LOWEST = 0.3  #: score of detections


class Suggestions:
    """Asks detectors and proposers for the objects of a picture, each picture once.

    Args:
        sources: a detector, a `Run`, a name or path, a function of an image, or several as a list or by name; None:
            no suggestions.
        data: what is annotated.
    """

    def __init__(self, sources: Any, data: object):
        given = {} if sources is None else named(sources)
        self._sources = {name: ProposalSource(thing, data) for name, thing in given.items()}
        self._known: dict[str, list[dict[str, Any]]] = {}

    def __bool__(self) -> bool:
        return bool(self._sources)

    def of(self, name: str, image: Tensor, place: int, classes: Iterable[str]) -> list[dict[str, Any]]:
        """What is suggested for a picture: outlines, and source, score and, where known, category of each.

        Args:
            name: of the picture.
            image: uint8 [3, H, W].
            place: of the picture in the data.
            classes: the categories that may be suggested.
        """
        if name not in self._known:
            found = [one for source, each in self._sources.items() for one in self._found(source, each, image, place)]
            self._known[name] = sorted(found, key=lambda one: -one["score"])
        allowed = set(classes)
        return [
            {**one, "category": one["category"] if one["category"] in allowed else None} for one in self._known[name]
        ]

    def _found(self, name: str, source: ProposalSource, image: Tensor, place: int) -> Iterable[dict[str, Any]]:
        detector = source.detector()
        if _names_classes(detector):
            found = detector.detect([image])[0].to("cpu").above(LOWEST)
            yield from self._of_detections(name, found, tuple(detector.classes))
        else:
            proposals, _ = source.proposals(image, place, MOST)
            yield from self._of_proposals(name, proposals, tuple(image.shape[-2:]))

    def _of_detections(self, name: str, found: Detections, classes: tuple[str, ...]) -> Iterable[dict[str, Any]]:
        for row in range(min(MOST, len(found))):
            label = int(found.labels[row])
            mask = None if found.masks is None else found.masks[row].numpy()
            rings = _rings(mask, found.boxes[row])
            category = classes[label - 1] if 0 < label <= len(classes) else None
            yield {"rings": rings, "category": category, "score": round(float(found.scores[row]), 3), "source": name}

    def _of_proposals(self, name: str, found: Proposals, size: tuple[int, ...]) -> Iterable[dict[str, Any]]:
        for row in range(min(MOST, len(found.boxes))):
            mask = None if found.masks is None else decode_masks([found.masks[row]], (size[0], size[1]))[0].numpy()
            score = round(float(found.scores[row]), 3)
            yield {"rings": _rings(mask, found.boxes[row]), "category": None, "score": score, "source": name}


def _names_classes(detector: object) -> bool:
    """Whether it finds objects of classes by itself; proposers have classes that they do not distinguish."""
    if isinstance(detector, DeepMask | FPNMask | ProposalNetwork) or getattr(detector, "needs_proposals", False):
        return False
    return isinstance(detector, Detects) and bool(getattr(detector, "classes", ()))


def _rings(mask: np.ndarray | None, box: Tensor) -> list[list[float]]:
    rings = polygons_of(mask) if mask is not None and mask.any() else []
    x1, y1, x2, y2 = (round(value, 1) for value in box.tolist())
    return rings or [corners([x1, y1, x2 - x1, y2 - y1])]
