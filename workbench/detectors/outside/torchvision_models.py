"""Detection models of torchvision: Faster, Mask and Keypoint R-CNN, RetinaNet, FCOS, SSD and SSDlite.

Labels count from 1, and 0 is the background. Models of 91 outputs are taken to be those trained on COCO, whose ids
run from 1 to 90 with ten gaps. FCOS keeps only what scores at least 0.2, which lowers AP.

R-CNNs can say what they think of given boxes, as ours can: pooled from the same maps and classified by the same head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights
from torchvision.models.detection.transform import resize_boxes

from workbench.detectors.layers.inputs import as_float
from workbench.detectors.outside.families import Family, made_by
from workbench.options import Share

#: torchvision's 91 labels: background, COCO's 80 classes by their ids, and "N/A" in the ten gaps.
COCO: dict[int, str] = dict(enumerate(FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]))
MODELS = "GeneralizedRCNN|RetinaNet|FCOS|SSD"


class Torchvision(Family):
    """A detection model of torchvision.

    Args:
        thing: the model.
        score_threshold: keep detections from this score on; None: as the model does.
    """

    called = "a torchvision model"
    takes = "a detection model of torchvision"
    first_label = 1

    def __init__(self, thing: nn.Module, *, score_threshold: Share | None = None):
        super().__init__(thing)
        self.module = thing
        heads = _rcnn_heads(thing)
        self._keeper = thing if heads is None else heads
        self.num_labels = _num_labels(thing)
        self.names = COCO if self.num_labels == len(COCO) else None
        self.gives_masks = heads is not None and getattr(heads, "mask_predictor", None) is not None
        self.scores_boxes = heads is not None
        self.threshold = score_threshold
        self.check_threshold(getattr(self._keeper, "score_thresh", None), score_threshold)

    @classmethod
    def recognises(cls, thing: Any) -> bool:
        """A model of torchvision's detection package, or one made from it."""
        return made_by(thing, "torchvision", MODELS)

    def ask(self, images: Sequence[Tensor], device: torch.device) -> Sequence[Any]:
        """Its detections."""
        with self._keeping():
            return self.thing(as_float(images, device))

    def score_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor], device: torch.device) -> list[Tensor]:
        """Class probabilities [N, C] of given boxes, by its box head."""
        model, heads = self.thing, self.thing.roi_heads
        batch, _ = model.transform(as_float(images, device))
        features = model.backbone(batch.tensors)
        features = {"0": features} if isinstance(features, Tensor) else features
        given = zip(images, boxes, batch.image_sizes, strict=True)
        scaled = [
            resize_boxes(box.as_subclass(Tensor).to(device).float().reshape(-1, 4), image.shape[-2:], size)
            for image, box, size in given
        ]
        pooled = heads.box_roi_pool(features, scaled, batch.image_sizes)
        logits, _ = heads.box_predictor(heads.box_head(pooled))
        return list(logits.softmax(dim=1).split([len(box) for box in scaled]))

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        """With the threshold that was asked for; the model has its own again afterwards."""
        if self.threshold is None:
            yield
            return
        own, self._keeper.score_thresh = self._keeper.score_thresh, self.threshold
        try:
            yield
        finally:
            self._keeper.score_thresh = own


def _rcnn_heads(model: nn.Module) -> nn.Module | None:
    """The RoI heads of an R-CNN."""
    return getattr(model, "roi_heads", None)


def _num_labels(model: Any) -> int | None:
    """How many outputs its classifier has, background among them; None where it is none of torchvision's own."""
    heads = _rcnn_heads(model)
    if heads is not None:
        last = getattr(getattr(heads, "box_predictor", None), "cls_score", None)
        return getattr(last, "out_features", None)
    head = getattr(getattr(model, "head", None), "classification_head", None)
    number = getattr(head, "num_classes", None) or getattr(head, "num_columns", None)
    return number if isinstance(number, int) else None
