"""Predictors of detectron2 (`DefaultPredictor`): one image at a time, blue first, whatever the model's own order is.

Labels count from 0 into `thing_classes` of the predictor's metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from workbench.detectors.outside.families import Family, arrays_of, made_by
from workbench.options import Share


class Detectron2(Family):
    """A predictor of detectron2.

    Args:
        thing: the predictor, as DefaultPredictor(cfg) gives it.
        score_threshold: keep detections from this score on; None: as its configuration says.
    """

    called = "a detectron2 predictor"
    takes = "a DefaultPredictor of detectron2"

    def __init__(self, thing: Any, *, score_threshold: Share | None = None):
        super().__init__(thing)
        self.module = thing.model if isinstance(thing.model, nn.Module) else None
        said = getattr(thing.metadata, "thing_classes", None)
        self.names = dict(enumerate(said)) if said else None
        self.gives_masks = bool(thing.cfg.MODEL.MASK_ON)
        self.threshold = score_threshold
        kept = [getattr(holder, name) for holder, name in self._keepers()]
        self.check_threshold(max(kept, default=None), score_threshold)

    @classmethod
    def recognises(cls, thing: Any) -> bool:
        """A predictor of the package, or one made from it."""
        return made_by(thing, "detectron2", "DefaultPredictor")

    def ask(self, images: Sequence[Tensor], device: torch.device) -> Sequence[Any]:
        """Its instances."""
        with self._keeping():
            return [self.thing(array) for array in arrays_of(images, bgr=True)]

    def _keepers(self) -> list[tuple[Any, str]]:
        """What has the score from which detections are kept: an R-CNN's predictor of boxes, or a dense detector."""
        heads = getattr(self.thing.model, "roi_heads", None)
        boxes = getattr(heads, "box_predictor", None)
        stages = list(boxes) if isinstance(boxes, nn.ModuleList) else [boxes]
        places = [(self.thing.model, "test_score_thresh"), *((stage, "test_score_thresh") for stage in stages)]
        return [(holder, name) for holder, name in places if getattr(holder, name, None) is not None]

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        """With the threshold that was asked for; the model has its own again afterwards."""
        own = [] if self.threshold is None else [(*place, getattr(*place)) for place in self._keepers()]
        for holder, name, _ in own:
            setattr(holder, name, self.threshold)
        try:
            yield
        finally:
            for holder, name, value in own:
                setattr(holder, name, value)
