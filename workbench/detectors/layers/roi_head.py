"""The second stage of an R-CNN: sample RoIs, pool, harden, classify and regress.

The hardener seam is `losses`: after pooling and before the head. Mining (which RoIs count) comes before it, on
features as they are, and jitter of the proposals before that. Module and parameter names are torchvision's
(`box_head`, `box_predictor`). What else is predicted of an RoI is a branch, with features of its own, unhardened.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.ops import batched_nms, clip_boxes_to_image

from workbench.detectors.layers.box_heads import DropoutHead
from workbench.detectors.layers.branches import HoldsBranches, RoIBranch, RoISamples
from workbench.detectors.layers.head_score import TwoLayerScore
from workbench.detectors.layers.jitter import build_jitter
from workbench.detectors.layers.matching import balanced_sample, match_boxes, not_background, share_within
from workbench.detectors.layers.roi_pool import PyramidPool
from workbench.detectors.layers.stages import begin_stage_of_parts
from workbench.losses import build_mining
from workbench.options import Count, Factor, Share
from workbench.types import Detections, HeadLayout, Losses, RoIBatch, Score, TrainingStage


class Conv5Head(nn.Module):
    """The last stage of a ResNet on pooled C4 features, averaged: [R, C, 2s, 2s] → [R, outputs]."""

    def __init__(self, layer4: nn.Module):
        super().__init__()
        self.layer4 = layer4

    def forward(self, features: Tensor) -> Tensor:
        """[R, C, h, w] → [R, outputs]."""
        return self.layer4(features).mean(dim=(2, 3))


class RoIHead(HoldsBranches[RoIBranch], nn.Module):
    """Classifies and refines proposals.

    Args:
        pool: pools boxes from the feature maps.
        box_head: pooled features → vectors.
        box_predictor: vectors → class logits [R, K+1] and box deltas [R, 4 (K+1)].
        foreground_iou, background_iou: RoIs at or above the first count as objects, below the second as background.
        background_from: background must overlap some object by this IoU; 0.1 in Fast R-CNN, as a kind of mining.
        box_beta: of the smooth L1 loss on deltas; 1 in Fast R-CNN.
        samples, positive_fraction: RoIs drawn per image for the loss, at most this share of them objects.
        crowd_share: proposals with more than this share of their area in a crowd teach nothing, as in the code of
            Fast R-CNN and of Detectron, which have 0.7; None: they are background, as in torchvision.
        mining: {"kind": "ohem", ...} learns from the hardest of all RoIs instead; see `losses.mining`.
        jitter: options of `Jitter`, random changes of the RoIs before they are pooled; {} takes its defaults.
        score_threshold, nms_iou, max_detections: what `detect` keeps.
    """

    def __init__(
        self,
        pool: PyramidPool,
        box_head: nn.Module,
        box_predictor: nn.Module,
        *,
        foreground_iou: Share = 0.5,
        background_iou: Share = 0.5,
        background_from: Share = 0.0,
        box_beta: Factor = 1 / 9,
        samples: Count = 512,
        positive_fraction: Share = 0.25,
        crowd_share: Share | None = None,
        mining: dict | None = None,
        jitter: dict | None = None,
        score_threshold: Share = 0.05,
        nms_iou: Share = 0.5,
        max_detections: Count = 100,
    ):
        super().__init__()
        self.pool = pool
        self.box_head = box_head
        self.box_predictor = box_predictor
        self.box_coder = BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))
        self.matcher = Matcher(foreground_iou, background_iou, allow_low_quality_matches=False)
        self.background_from = background_from
        self.box_beta = box_beta
        self.samples = samples
        self.positive_fraction = positive_fraction
        self.crowd_share = crowd_share
        self.mining = build_mining(mining)
        self.jitter = build_jitter(jitter)
        self.harden = True  #: False: a stage of plain training, without mining and jitter
        self.stage_fraction: float | None = None  #: what a stage asks for in place of positive_fraction
        self.score_threshold = score_threshold
        self.nms_iou = nms_iou
        self.max_detections = max_detections

    def begin_stage(self, stage: TrainingStage) -> None:
        """Mining and jitter sit out a stage of plain training; a stage may have its own share of objects."""
        begin_stage_of_parts(self, stage)
        self.harden, self.stage_fraction = stage.harden, stage.positive_fraction

    def score(self) -> Score:
        """The head as a function of pooled features, its parameters frozen."""
        if isinstance(self.box_head, TwoMLPHead):
            return TwoLayerScore(self.box_head, self.box_predictor)
        frozen = {name: value.detach() for name, value in self.named_parameters()}
        frozen.update((name, value.clone()) for name, value in self.named_buffers())  # BatchNorm writes to them

        def logits(features: Tensor) -> Tensor:
            return functional_call(self, frozen, (features,))

        return Score(logits)

    def layout(self) -> HeadLayout:
        """What an adversary must know of this head."""
        size = self.pool.size
        if isinstance(self.box_head, TwoMLPHead):
            layers = (self.box_head.fc6, self.box_head.fc7)
            return HeadLayout(layers[0].in_features // size**2, size, layers)
        first = next(module for module in self.box_head.modules() if isinstance(module, nn.Conv2d))
        return HeadLayout(first.in_channels, size)

    def forward(self, features: Tensor) -> Tensor:
        """Class logits [R, K+1] of pooled features [R, C, h, w]."""
        return self.box_predictor.cls_score(self.box_head(features))

    def learn(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Vectors of pooled features for the losses: with dropout, where the head has it."""
        if isinstance(self.box_head, DropoutHead):
            return self.box_head.learn(features, generator)
        return self.box_head(features)

    def losses(
        self,
        features: list[Tensor],
        proposals: list[Tensor],
        targets: list[dict[str, Tensor]],
        *,
        hardener: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> Losses:
        """`classifier` and `box` on the RoIs that count, `adversary` where it learns, and those of the branches."""
        source = torch.default_generator if generator is None else generator
        mining, jitter = (self.mining, self.jitter) if self.harden else (None, None)
        rois = self.sample(proposals, targets, generator)
        if jitter is not None:
            rois = rois._replace(boxes=jitter.move(rois.boxes, source))
        if mining is not None:
            rois = rois.take(self.mine(features, rois.boxes, rois.labels, rois.truth))
        pooled = self.pool(features, rois.boxes)
        if jitter is not None:
            pooled = jitter.turn(pooled, [len(boxes) for boxes in rois.boxes], source)
        adversary = None
        if hardener is not None:
            hardened = hardener(self.batch(pooled, rois.boxes, rois.labels, generator))
            pooled, adversary = hardened.features, hardened.adversary_loss
        logits, deltas = self.box_predictor(self.learn(pooled, generator))
        classifier, box = self.roi_losses(logits, deltas, rois.boxes, rois.labels, rois.truth)
        count = max(1, len(logits))
        losses = Losses(classifier=classifier.sum() / count, box=box.sum() / count)
        if adversary is not None:
            losses["adversary"] = adversary
        self.add_branch_losses(losses, features, rois, targets)
        return losses

    def roi_losses(
        self, logits: Tensor, deltas: Tensor, rois: list[Tensor], labels: list[Tensor], truth: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Loss of the class [R] and of the box [R] (0 for background) of each RoI; lists are per image."""
        label = torch.cat(labels)
        positive = torch.where(label > 0)[0]
        goals = self.box_coder.encode_single(torch.cat(truth)[positive], torch.cat(rois)[positive])
        own = deltas.float().unflatten(1, (-1, 4))[positive, label[positive]]
        off = F.smooth_l1_loss(own, goals, beta=self.box_beta, reduction="none").sum(1)
        box = off.new_zeros(len(label)).index_copy(0, positive, off)
        return F.cross_entropy(logits.float(), label, reduction="none"), box

    @torch.no_grad()
    def mine(
        self, features: list[Tensor], rois: list[Tensor], labels: list[Tensor], truth: list[Tensor]
    ) -> list[Tensor]:
        """Rows of the RoIs of each image that `mining` keeps; no dropout, no hardener."""
        logits, deltas = self.box_predictor(self.box_head(self.pool(features, rois)))
        each = sum(self.roi_losses(logits, deltas, rois, labels, truth)).split([len(boxes) for boxes in rois])
        mining: Any = self.mining
        return [mining(*image) for image in zip(rois, labels, each, strict=True)]

    def batch(
        self,
        pooled: Tensor,
        rois: list[Tensor],
        labels: list[Tensor],
        generator: torch.Generator | None = None,
    ) -> RoIBatch:
        """What a hardener sees, for pooled features [R, C, h, w] of the RoIs of each image."""
        index = torch.cat([torch.full_like(label, i) for i, label in enumerate(labels)])
        source = torch.default_generator if generator is None else generator
        return RoIBatch(pooled, torch.cat(labels), index, self.score(), source)

    @torch.no_grad()
    def sample(
        self,
        proposals: list[Tensor],
        targets: list[dict[str, Tensor]],
        generator: torch.Generator | None = None,
    ) -> RoISamples:
        """The RoIs of each image to learn from; with mining these are all.

        The ground truth joins the proposals, so that every object is seen.
        """
        found = RoISamples([], [], [], [])
        for boxes, target in zip(proposals, targets, strict=True):
            objects = target["boxes"]
            proposed = len(boxes)
            boxes = torch.cat([boxes, objects.to(boxes.dtype)])
            index, state = match_boxes(boxes, objects, self.matcher, self.background_from)
            label = target["labels"][index] * (state == 1) if len(objects) else state
            label = torch.where(state < 0, torch.full_like(label, -1), label)
            if "boxes_ignored" in target:
                label[(label == 0) & not_background(boxes, target["boxes_ignored"], self.matcher)] = -1
            if self.crowd_share is not None and "boxes_crowd" in target:
                label[:proposed][share_within(boxes[:proposed], target["boxes_crowd"]) > self.crowd_share] = -1
            if self.mining is None or not self.harden:
                fraction = self.positive_fraction if self.stage_fraction is None else self.stage_fraction
                drawn = balanced_sample(label, self.samples, fraction, generator)
            else:
                drawn = torch.where(label >= 0)[0]
            found.boxes.append(boxes[drawn])
            found.labels.append(label[drawn])
            found.truth.append(objects[index[drawn]] if len(objects) else torch.zeros_like(boxes[drawn]))
            found.owners.append(index[drawn])
        return found

    def logits(self, features: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """Class logits [N, K+1] float32 of the boxes [N, 4] of each image."""
        return list(self(self.pool(features, boxes)).float().split([len(box) for box in boxes]))

    def detect(
        self, features: list[Tensor], proposals: list[Tensor], sizes: list[tuple[int, int]]
    ) -> list[Detections]:
        """Detections of each image, in pixels of the network's input."""
        vectors = self.box_head(self.pool(features, proposals))
        logits, deltas = self.box_predictor(vectors)
        scores = F.softmax(logits.float(), dim=1)
        boxes = self.box_coder.decode(deltas.float(), proposals).reshape(*scores.shape, 4)
        counts = [len(proposal) for proposal in proposals]
        return [
            self._keep(box, score, size)
            for box, score, size in zip(boxes.split(counts), scores.split(counts), sizes, strict=True)
        ]

    def _keep(self, boxes: Tensor, scores: Tensor, size: tuple[int, int]) -> Detections:
        """Threshold, NMS per class and the best of one image: boxes [P, K+1, 4], scores [P, K+1]."""
        boxes, scores = clip_boxes_to_image(boxes, size)[:, 1:], scores[:, 1:]
        row, column = torch.where(scores > self.score_threshold)
        boxes, scores, labels = boxes[row, column], scores[row, column], column + 1
        large = ((boxes[:, 2:] - boxes[:, :2]) >= 1e-2).all(dim=1)
        boxes, scores, labels = boxes[large], scores[large], labels[large]
        keep = batched_nms(boxes, scores, labels, self.nms_iou)[: self.max_detections]
        return Detections(boxes[keep], labels[keep], scores[keep])
