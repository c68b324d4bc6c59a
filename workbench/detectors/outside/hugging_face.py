"""Object detection models of Hugging Face's transformers, with their image processor.

The processor prepares the images and turns what the model gives into boxes; target sizes are (height, width). Its
usual threshold of 0.5 would ruin AP, so all is kept unless it is said otherwise. Labels are those of the model's
`id2label`. Where each query gives one detection (DETR and the like), the scores of all classes are kept as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from workbench.detectors.outside.families import Family, arrays_of, made_by
from workbench.errors import DataError
from workbench.options import Share

SAME = 1e-4  #: by which a score may differ from the highest of its query


class HuggingFace(Family):
    """An object detection model of transformers, or an object detection pipeline, which has its processor.

    Args:
        thing: the model, or the pipeline.
        processor: of the images, such as AutoImageProcessor.from_pretrained(name) gives it.
        score_threshold: keep detections that score more than this.
    """

    called = "a Hugging Face model"
    takes = "an object detection model of transformers with processor=..., or its pipeline"

    def __init__(self, thing: Any, *, processor: Any = None, score_threshold: Share = 0.0):
        super().__init__(thing)
        if made_by(thing, "transformers", "ObjectDetectionPipeline"):
            processor, self.thing = processor or thing.image_processor, thing.model
        if not callable(getattr(processor, "post_process_object_detection", None)):
            what = "give its image processor, which has post_process_object_detection"
            raise DataError(f"{self.name}: {what}: wrap(model, processor=AutoImageProcessor.from_pretrained(...))")
        self.processor, self.threshold, self.module = processor, score_threshold, self.thing
        said = getattr(self.thing.config, "id2label", None) or {}
        self.names = {int(key): str(one) for key, one in said.items()} or None
        self.background = "last"
        self.check_threshold(score_threshold, None)

    @classmethod
    def recognises(cls, thing: Any) -> bool:
        """A model or a pipeline of transformers, or one made from it."""
        return made_by(thing, "transformers", ".*ForObjectDetection|ObjectDetectionPipeline")

    def ask(self, images: Sequence[Tensor], device: torch.device) -> Sequence[Any]:
        """What its processor makes of the model's outputs."""
        pictures = [Image.fromarray(array) for array in arrays_of(images)]
        inputs = self.processor(images=pictures, return_tensors="pt")
        kind = next(self.thing.parameters()).dtype
        given = {key: one.to(device, kind if one.is_floating_point() else None) for key, one in inputs.items()}
        outputs = self.thing(**given)
        sizes = [(picture.height, picture.width) for picture in pictures]
        found = self.processor.post_process_object_detection(outputs, threshold=self.threshold, target_sizes=sizes)
        return [self._with_all(one, logits) for one, logits in zip(found, outputs.logits, strict=True)]

    def _with_all(self, found: dict[str, Tensor], logits: Tensor) -> dict[str, Tensor]:
        """Detections with the scores of all classes, where each is the best class of one query, in their order."""
        known = len(self.names or ())
        if logits.shape[1] != known + 1:  # no column of no object: sigmoids, of which the best pairs are kept
            return found
        every = logits.float().softmax(dim=1)
        best = every[:, :-1].amax(dim=1)
        rows = best > self.threshold
        kept = best[rows]
        if kept.shape != found["scores"].shape or not bool(((kept - found["scores"]).abs() <= SAME).all()):
            return found
        return {**found, "class_scores": every[rows]}
