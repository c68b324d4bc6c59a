"""Objects with a `detect` of their own that are no `Detector`, as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from workbench.detectors.base import Detector, Detects, ScoresBoxes
from workbench.errors import DataError
from workbench.types import Detections, Proposals


class Detecting(Detector):
    """Hands on what an object answers that offers `detect` and `classes`, and maybe `score_boxes`.

    Args:
        thing: the object; `needs_proposals` counts where it has that.

    Raises:
        DataError: it does not say its classes.
    """

    def __init__(self, thing: Any):
        super().__init__()
        classes: Any = getattr(thing, "classes", None)
        listed = isinstance(classes, Sequence) and not isinstance(classes, str)
        if not listed or not all(isinstance(one, str) for one in classes):
            what = f"a {type(thing).__name__} has detect, but no names of classes"
            raise DataError(f"{what}; wb.wrap(thing.detect, classes=[...]) takes a function of a list of images")
        self.thing, self.classes = thing, tuple(classes)
        self.needs_proposals = bool(getattr(thing, "needs_proposals", False))
        if isinstance(thing, ScoresBoxes):  # so that only those have it that can
            self.score_boxes = self._score_boxes

    @classmethod
    def recognises(cls, thing: Any) -> bool:
        """Anything with `detect`, but for classes."""
        return isinstance(thing, Detects) and not isinstance(thing, type)

    def detect(
        self, images: Sequence[Tensor], proposals: Sequence[Proposals | Tensor] | None = None
    ) -> list[Detections]:
        """What the object finds."""
        return self.thing.detect(images, proposals) if self.needs_proposals else self.thing.detect(images)

    def _score_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        return self.thing.score_boxes(images, boxes)

    def __repr__(self) -> str:
        return f"Detecting({type(self.thing).__name__})"
