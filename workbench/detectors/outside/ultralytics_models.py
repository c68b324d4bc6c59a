"""Models of ultralytics (YOLO, RT-DETR ...), by their `predict`.

Arrays are given to it with blue first, as it takes them for what OpenCV reads. Its usual `conf` of 0.25 would ruin
AP; 0.001 is what its own validation uses. Masks come in the size of the image (`retina_masks`).

The model is not part of the detector as a module: its `train` starts a training, and is what modules are put into
evaluation mode by. So it stays on the device where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from workbench.detectors.outside.families import Family, arrays_of, made_by
from workbench.options import Count, Overlap, Share


class Ultralytics(Family):
    """A model of ultralytics.

    Args:
        thing: the model, as YOLO("yolo11n.pt") gives it.
        score_threshold: `conf` of its `predict`.
        nms_iou: `iou` of its `predict`.
        max_detections: `max_det` of its `predict`.
    """

    called = "an ultralytics model"
    takes = "a model of ultralytics"

    def __init__(
        self,
        thing: Any,
        *,
        score_threshold: Share = 0.001,
        nms_iou: Overlap = 0.7,
        max_detections: Count = 300,
    ):
        super().__init__(thing)
        self.settings = {"conf": score_threshold, "iou": nms_iou, "max_det": max_detections}
        said = thing.names
        self.names = dict(enumerate(said)) if isinstance(said, list | tuple) else {int(k): v for k, v in said.items()}
        self.gives_masks = getattr(thing, "task", None) == "segment"
        self.check_threshold(score_threshold, None)

    @classmethod
    def recognises(cls, thing: Any) -> bool:
        """A model of the package, or one made from it."""
        return made_by(thing, "ultralytics", "Model")

    def ask(self, images: Sequence[Tensor], device: torch.device) -> Sequence[Any]:
        """Its results."""
        return list(
            self.thing.predict(arrays_of(images, bgr=True), verbose=False, retina_masks=True, **self.settings)
        )
