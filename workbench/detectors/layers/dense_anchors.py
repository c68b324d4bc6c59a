"""Dense anchors: what each should learn, which become detections (Lin's thesis, sec. 5.4); torchvision's numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import batched_nms, clip_boxes_to_image

from workbench.detectors.layers.matching import match_anchors, not_background
from workbench.types import Detections

MATCHING = 0.5  #: IoU from which a prediction answers for a box in `best_logits`


class AnchorScores(NamedTuple):
    """What the class subnet makes of the anchors of one image."""

    boxes: Tensor  #: [A, 4] float32, xyxy pixels of the image as given; they may reach outside
    labels: Tensor  #: [A] int64: 0 background, 1..K, -1 ignored in training
    logits: Tensor  #: [A, K] float32


class Assignment(NamedTuple):
    """What the anchors of B images should learn."""

    labels: Tensor  #: [B, A] int64: 0 background, 1..K, -1 ignored
    objects: Tensor  #: [B, A] int64, rows of `boxes`; of no meaning where `labels` is not above 0
    boxes: Tensor  #: [N, 4], the objects of all images

    def goals(self, image: Tensor, anchor: Tensor) -> Tensor:
        """Boxes [P, 4] that the given anchors [P] of the given images [P] should become."""
        return self.boxes[self.objects[image, anchor]]


def level_anchors(generator: AnchorGenerator, batch: ImageList, maps: Sequence[Tensor]) -> list[Tensor]:
    """Anchors [n, 4] float32 of each level in pixels of the network's input, which all images share."""
    like = [level[:1, :1].float() for level in maps]  # torchvision's would be of the maps' half precision
    per_place = generator.num_anchors_per_location()
    counts = [level.numel() * number for level, number in zip(like, per_place, strict=True)]
    return list(generator(batch, like)[0].split(counts))


def assign(anchors: Tensor, truth: list[dict[str, Tensor]], matcher: Matcher) -> Assignment:
    """Give each of the anchors [A, 4], which all images share, its object in every image."""
    index, state = match_anchors(anchors, [target["boxes"] for target in truth], matcher)
    for row, target in zip(state, truth, strict=True):
        if "boxes_ignored" in target:
            row.masked_fill_((row == 0) & not_background(anchors, target["boxes_ignored"], matcher), -1)
    starts = torch.tensor([0, *(len(target["boxes"]) for target in truth)], device=anchors.device).cumsum(0)
    labels = torch.cat([*(target["labels"] for target in truth), starts.new_zeros(1)])  # never empty
    objects = index + starts[:-1, None]
    boxes = torch.cat([target["boxes"] for target in truth])
    return Assignment(torch.where(state > 0, labels[objects], state), objects, boxes)


class Selection:
    """Which anchors of an image become detections.

    Args:
        coder: of the boxes.
        score_threshold: classes of a lower probability are no detections.
        candidates: kept of each level, best first, before their boxes are decoded.
        nms_iou: of two boxes of a class that overlap by more, the lower-scoring one goes; all levels together.
        max_detections: kept of the image.
    """

    def __init__(
        self, coder: BoxCoder, *, score_threshold: float, candidates: int, nms_iou: float, max_detections: int
    ):
        self.coder = coder
        self.score_threshold = score_threshold
        self.candidates = candidates
        self.nms_iou = nms_iou
        self.max_detections = max_detections

    def __call__(
        self,
        logits: Sequence[Tensor],
        deltas: Sequence[Tensor],
        anchors: Sequence[Tensor],
        size: tuple[int, int],
    ) -> Detections:
        """Detections of one image, highest score first, in pixels of the network's input.

        Args:
            logits: [n, K] of each level.
            deltas, anchors: [n, 4] of each level.
            size: height and width of the image.
        """
        levels = zip(logits, deltas, anchors, strict=True)
        best = zip(*(self._best(*level) for level in levels), strict=True)
        boxes, scores, labels = (torch.cat(part) for part in best)
        boxes = clip_boxes_to_image(boxes, size)
        keep = batched_nms(boxes, scores, labels, self.nms_iou)[: self.max_detections]
        return Detections(boxes[keep], labels[keep], scores[keep])

    def _best(self, logits: Tensor, deltas: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, scores and labels of the best candidates of one level."""
        row, column = torch.where(logits > self._least)
        scores = torch.sigmoid(logits[row, column].float())
        best = scores.topk(min(self.candidates, len(scores))).indices
        row = row[best]
        boxes = self.coder.decode_single(deltas[row].float(), anchors[row])
        return boxes, scores[best], column[best] + 1

    @property
    def _least(self) -> float:
        """The logit of `score_threshold`: no sigmoid is needed of what is below."""
        if not 0 < self.score_threshold < 1:
            return -math.inf if self.score_threshold <= 0 else math.inf
        return math.log(self.score_threshold / (1 - self.score_threshold))


def best_logits(logits: Tensor, iou: Tensor) -> Tensor:
    """Logit of each class at N boxes, [N, K], from the predictions there; see `RetinaNet.score_boxes`.

    Args:
        logits: [A, K], of the predictions.
        iou: [N, A], how much they overlap the boxes.
    """
    best = [logits[torch.where(overlap >= min(MATCHING, float(overlap.max())))[0]].amax(dim=0) for overlap in iou]
    return torch.stack(best) if best else logits.new_zeros(0, logits.shape[1])
