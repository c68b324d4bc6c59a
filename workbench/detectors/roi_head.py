"""The second stage of an R-CNN: sample RoIs, pool, harden, classify and regress.

The hardener seam is `losses`: after pooling and before the head. Module and parameter names are torchvision's
(`box_head`, `box_predictor`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import batched_nms, clip_boxes_to_image

from workbench.detectors.box_heads import DropoutHead
from workbench.detectors.roi_pool import PyramidPool
from workbench.detectors.sampling import balanced_sample, match_boxes
from workbench.types import Detections, RoIBatch, Score


class Conv5Head(nn.Module):
    """The last stage of a ResNet on pooled C4 features, averaged: [R, C, 2s, 2s] → [R, outputs]."""

    def __init__(self, layer4: nn.Module):
        super().__init__()
        self.layer4 = layer4

    def forward(self, features: Tensor) -> Tensor:
        """[R, C, h, w] → [R, outputs]."""
        return self.layer4(features).mean(dim=(2, 3))


class TwoLayerScore(Score):
    """Score of a head of two linear layers, with the gradient in closed form.

    For logits W_c relu(W_7 relu(W_6 x + b_6) + b_7) + b_c the gradient of the logit of class y, averaged over
    cells, is [((W_c[y] * 1[a_2 > 0]) W_7) * 1[a_1 > 0]] W̄_6, with W̄_6 the mean of W_6 over cells: exact, and
    1 / (h w) of the cost of back-propagating through the first layer.
    """

    def __init__(self, logits: Callable[[Tensor], Tensor], head: TwoMLPHead, predictor: FastRCNNPredictor):
        super().__init__(logits)
        self._layers = (head.fc6, head.fc7, predictor.cls_score)

    @torch.no_grad()
    def gradient(self, features: Tensor, labels: Tensor) -> Tensor:
        """d logit[label] / d features, [R, C, h, w]."""
        w6, back = self._back_to_first(features, labels)
        return (back @ w6).view(features.shape)

    @torch.no_grad()
    def pooled_gradient(self, features: Tensor, labels: Tensor) -> Tensor:
        """Mean over cells of d logit[label] / d features, [R, C]."""
        w6, back = self._back_to_first(features, labels)
        cells = features[0, 0].numel()
        mean = w6.new_full((cells,), 1 / cells)
        return F.linear(back, torch.mv(w6.view(-1, cells), mean).view(len(w6), -1).t())  # quicker than mean()

    def _back_to_first(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """W_6, and the gradient of the logits at its outputs [R, width]."""
        fc6, fc7, cls = self._layers
        kind = _product_type(features)
        w6, w7 = fc6.weight.to(kind), fc7.weight.to(kind)  # once, for both their uses
        first = F.linear(features.to(kind).flatten(1), w6, fc6.bias.to(kind))
        second = F.linear(first.relu(), w7, fc7.bias.to(kind))
        back = cls.weight[labels].to(kind) * (second > 0)
        return w6, F.linear(back, w7.t()) * (first > 0)


def _product_type(values: Tensor) -> torch.dtype:
    """What matrix products of `values` are computed in: autocast's type inside autocast."""
    kind = values.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else values.dtype


class RoIHead(nn.Module):
    """Classifies and refines proposals.

    Args:
        pool: pools boxes from the feature maps.
        box_head: pooled features → vectors.
        box_predictor: vectors → class logits [R, K+1] and box deltas [R, 4 (K+1)].
        foreground_iou, background_iou: RoIs at or above the first count as objects, below the second as background.
        background_from: background must overlap some object by this IoU; 0.1 in Fast R-CNN, as a kind of mining.
        box_beta: of the smooth L1 loss on deltas; 1 in Fast R-CNN.
        samples, positive_fraction: RoIs drawn per image for the loss, at most this share of them objects.
        score_threshold, nms_iou, max_detections: what `detect` keeps.
    """

    def __init__(
        self,
        pool: PyramidPool,
        box_head: nn.Module,
        box_predictor: nn.Module,
        *,
        foreground_iou: float = 0.5,
        background_iou: float = 0.5,
        background_from: float = 0.0,
        box_beta: float = 1 / 9,
        samples: int = 512,
        positive_fraction: float = 0.25,
        score_threshold: float = 0.05,
        nms_iou: float = 0.5,
        max_detections: int = 100,
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
        self.score_threshold = score_threshold
        self.nms_iou = nms_iou
        self.max_detections = max_detections

    def score(self) -> Score:
        """The head as a function of pooled features, its parameters frozen."""
        frozen = {name: value.detach() for name, value in self.named_parameters()}
        frozen.update(self.named_buffers())

        def logits(features: Tensor) -> Tensor:
            return functional_call(self, frozen, (features,))

        if isinstance(self.box_head, TwoMLPHead):
            return TwoLayerScore(logits, self.box_head, self.box_predictor)
        return Score(logits)

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
    ) -> dict[str, Tensor]:
        """`classifier` and `box` losses on sampled RoIs, and `adversary` where the hardener has one."""
        rois, labels, truth = self.sample(proposals, targets, generator)
        pooled = self.pool(features, rois)
        adversary = None
        if hardener is not None and len(pooled):
            hardened = hardener(self.batch(pooled, rois, labels, generator))
            pooled, adversary = hardened.features, hardened.adversary_loss
        logits, deltas = self.box_predictor(self.learn(pooled, generator))
        labels_all = torch.cat(labels)
        positive = torch.where(labels_all > 0)[0]
        goals = self.box_coder.encode_single(torch.cat(truth)[positive], torch.cat(rois)[positive])
        own = deltas.float().reshape(len(deltas), -1, 4)[positive, labels_all[positive]]
        box = F.smooth_l1_loss(own, goals, beta=self.box_beta, reduction="sum") / max(1, len(labels_all))
        classifier = F.cross_entropy(logits.float(), labels_all, reduction="sum") / max(1, len(labels_all))
        losses = {"classifier": classifier, "box": box}
        if adversary is not None:
            losses["adversary"] = adversary
        return losses

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
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """RoIs [S, 4], their labels [S] and the boxes [S, 4] they should become, of each image.

        The ground truth joins the proposals, so that every object is seen.
        """
        rois, labels, truth = [], [], []
        for boxes, target in zip(proposals, targets, strict=True):
            objects = target["boxes"]
            boxes = torch.cat([boxes, objects.to(boxes.dtype)])
            index, state = match_boxes(boxes, objects, self.matcher, self.background_from)
            label = target["labels"][index] * (state == 1) if len(objects) else state
            label = torch.where(state < 0, torch.full_like(label, -1), label)
            drawn = balanced_sample(label, self.samples, self.positive_fraction, generator)
            rois.append(boxes[drawn])
            labels.append(label[drawn])
            truth.append(objects[index[drawn]] if len(objects) else torch.zeros_like(boxes[drawn]))
        return rois, labels, truth

    def probabilities(self, features: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """Class probabilities [N, K+1] of the boxes [N, 4] of each image."""
        logits = self(self.pool(features, boxes))
        return list(F.softmax(logits.float(), dim=1).split([len(box) for box in boxes]))

    def detect(
        self, features: list[Tensor], proposals: list[Tensor], sizes: list[tuple[int, int]]
    ) -> list[Detections]:
        """Detections of each image, in pixels of the network's input."""
        vectors = self.box_head(self.pool(features, proposals))
        logits, deltas = self.box_predictor(vectors)
        scores = F.softmax(logits.float(), dim=1)
        boxes = self.box_coder.decode(deltas.float(), proposals)
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
