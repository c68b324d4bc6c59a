"""Faster R-CNN (Ren et al. 2015) with a feature pyramid (Lin et al. 2017) or on a single C4 map.

Built from torchvision's parts, with its names: a state dict of `fasterrcnn_resnet50_fpn` loads into
`FasterRCNN.build(classes, backbone={"name": "resnet50"})` and gives the same detections and losses. Ours differs
in three ways: the RoI head has a seam for hardeners, all sampling uses a generator that is passed in, and the
losses can be had in evaluation mode as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from workbench.detectors.backbones import SmallBackbone, VGG16Backbone, resnet_body, resnet_widths
from workbench.detectors.base import Detector, as_float, evaluating, training_targets
from workbench.detectors.feature_cache import FeatureCache
from workbench.detectors.fpn import Pyramid, SingleMap
from workbench.detectors.roi_head import Conv5Head, RoIHead
from workbench.detectors.roi_pool import RoIAlign
from workbench.detectors.rpn import RegionProposalNetwork
from workbench.errors import RecipeError
from workbench.types import Detections, Losses, Score, Target

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class KeepSize(GeneralizedRCNNTransform):
    """Normalises and batches images, but leaves their size alone."""

    def resize(self, image: Tensor, target: dict | None = None) -> tuple[Tensor, dict | None]:
        """The image and its target as they are."""
        return image, target


class Trunk(NamedTuple):
    """A backbone and what the rest of the detector must know of it."""

    module: nn.Module
    channels: int
    strides: tuple[int, ...]  #: of the levels that RoIs are pooled from
    extra_levels: int  #: further, coarser levels that only propose
    conv5: nn.Module | None = None  #: the stage after C4, as a head
    head_width: int = 1024  #: of a head of two linear layers, where the recipe does not say


class FasterRCNN(Detector):
    """Two-stage detector: backbone, region proposals, RoI head; build one with `FasterRCNN.build`.

    Args:
        backbone: images → list of maps, fine to coarse.
        rpn: proposes boxes on all maps.
        roi_heads: classifies and refines them.
        transform: resizes, normalises and batches the images.
        classes: names of labels 1..K.
    """

    def __init__(
        self,
        backbone: nn.Module,
        rpn: RegionProposalNetwork,
        roi_heads: RoIHead,
        transform: GeneralizedRCNNTransform,
        classes: Sequence[str],
        hardener: nn.Module | None = None,
    ):
        super().__init__()
        self.transform = transform
        self.backbone = backbone
        self.rpn = rpn
        self.roi_heads = roi_heads
        self.classes = tuple(classes)
        self.hardener = hardener
        self.config: dict = {}

    @classmethod
    def build(
        cls,
        classes: Sequence[str],
        *,
        backbone: dict | None = None,
        pyramid: bool = True,
        channels: int | None = None,
        head: dict | None = None,
        anchor_sizes: Sequence[Sequence[float]] | None = None,
        aspect_ratios: Sequence[float] = (0.5, 1.0, 2.0),
        min_size: int | Sequence[int] | None = 800,
        max_size: int | None = 1333,
        canonical_size: float = 224.0,
        pool_size: int | None = None,
        rpn: dict | None = None,
        roi: dict | None = None,
    ) -> FasterRCNN:
        """A Faster R-CNN from plain values, as a recipe gives them.

        Args:
            backbone: {"name": "small" | "vgg16" | "resnet18" ... "resnet101", and the options of that backbone};
                "cache": True remembers the map of every training image, where a frozen trunk gives a single map.
            pyramid: False takes a single stride-16 map: C4 of a ResNet, or conv5_3 of VGG16, which has no pyramid.
            channels: of the pyramid; 256 for ResNets, 96 for the small one.
            head: {"kind": "two-fc", "width": 1024} (VGG16: 4096) or {"kind": "conv5"} (C4 only).
            anchor_sizes: per level, sides in pixels of the network's input.
            min_size, max_size: pixels; images are resized to this short side, but never above this long side.
                None for `min_size` keeps every image as it is.
            canonical_size: pixels; RoIs of this size are pooled from the stride-16 map.
            rpn, roi: further options of `RegionProposalNetwork` and `RoIHead`.

        Raises:
            RecipeError: options that do not exist or do not fit together.
        """
        backbone = {"name": "resnet50"} | (backbone or {})
        trunk = _trunk(backbone, pyramid, channels)
        sizes = _anchors(anchor_sizes, trunk, backbone["name"] == "small")
        box_head, vector, pool_size = _box_head(head or {}, trunk, pool_size)
        pool = RoIAlign(trunk.strides, size=pool_size, canonical_size=canonical_size)
        predictor = FastRCNNPredictor(vector, len(classes) + 1)
        try:
            proposals = RegionProposalNetwork(
                trunk.channels, anchor_sizes=sizes, aspect_ratios=tuple(aspect_ratios), **(rpn or {})
            )
            roi_head = RoIHead(pool, box_head, predictor, **(roi or {}))
        except TypeError as reason:
            raise RecipeError(f"detector: {reason}") from reason
        resize = KeepSize if min_size is None else GeneralizedRCNNTransform
        transform = resize(min_size or 0, max_size or 10**6, IMAGENET_MEAN, IMAGENET_STD)
        detector = cls(trunk.module, proposals, roi_head, transform, classes)
        return detector.to(memory_format=torch.channels_last)

    def losses(
        self, images: Sequence[Tensor], targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> Losses:
        """`classifier`, `box`, `objectness`, `rpn_box`, and `adversary` where the hardener learns.

        Raises:
            DataError: images or targets that are not what `workbench.types` says.
        """
        truth = training_targets(targets, images, len(self.classes), self.device)
        batch, truth = self.transform(as_float(images, self.device), truth)
        features = self._features(batch)
        proposals, rpn_losses = self.rpn(batch, features, truth, generator)
        losses = self.roi_heads.losses(
            features, proposals, truth, hardener=self.hardener, generator=generator
        )
        return Losses(losses | rpn_losses)

    def detect(self, images: Sequence[Tensor]) -> list[Detections]:
        """Detections of each image in its own pixels, highest score first."""
        if not len(images):
            return []
        with evaluating(self):
            batch, _ = self.transform(as_float(images, self.device))
            features = self._features(batch)
            proposals, _ = self.rpn(batch, features)
            found = self.roi_heads.detect(features, proposals, batch.image_sizes)
            for image, size, detections in zip(images, batch.image_sizes, found, strict=True):
                detections.boxes = resize_boxes(detections.boxes, size, image.shape[-2:])
        return found

    def score_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Class probabilities [N, K+1] of given boxes [N, 4] of each image."""
        with evaluating(self):
            features, scaled = self._features_and_boxes(images, boxes)
            return self.roi_heads.probabilities(features, scaled)

    def roi_features(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Pooled features [R, C, h, w] of given boxes of all images, in order."""
        with evaluating(self):
            return self.roi_heads.pool(*self._features_and_boxes(images, boxes))

    def head_score(self) -> Score:
        """The head as a function of pooled features, parameters frozen."""
        return self.roi_heads.score()

    def anchors_for(self, height: int, width: int) -> Tensor:
        """Anchors [A, 4] in pixels of an image of this size."""
        with evaluating(self):
            batch, _ = self.transform([torch.zeros(3, height, width, device=self.device)])
            anchors = self.rpn.anchor_generator(batch, self._features(batch))[0]
        return resize_boxes(anchors, batch.image_sizes[0], [height, width]).cpu()

    def _features(self, batch: ImageList) -> list[Tensor]:
        images = batch.tensors.contiguous(memory_format=torch.channels_last)
        return self.backbone(images)

    def _features_and_boxes(
        self, images: Sequence[Tensor], boxes: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        batch, _ = self.transform(as_float(images, self.device))
        scaled = [
            resize_boxes(box.as_subclass(Tensor).to(self.device).float(), image.shape[-2:], size)
            for image, box, size in zip(images, boxes, batch.image_sizes, strict=True)
        ]
        return self._features(batch), scaled


def _trunk(backbone: dict, pyramid: bool, channels: int | None) -> Trunk:
    options = dict(backbone)
    name, cached = options.pop("name"), options.pop("cache", False)
    if cached and (pyramid or name == "small"):
        raise RecipeError("detector.backbone.cache: only a single map can be remembered; say pyramid: false")
    try:
        if name == "small":
            if not pyramid:
                raise RecipeError("detector.pyramid: the small backbone always has a pyramid")
            body = SmallBackbone(**options)
            return Trunk(Pyramid(body, body.widths, channels or 96), channels or 96, body.strides, 0)
        if name == "vgg16":
            if pyramid:
                raise RecipeError("detector.pyramid: vgg16 gives a single map; say pyramid: false")
            body = VGG16Backbone(**options)
            return Trunk(_single_map(body, cached), body.channels, (body.stride,), 0, head_width=4096)
        body, layer4 = resnet_body(name, stages=4 if pyramid else 3, **options)
    except TypeError as reason:
        raise RecipeError(f"detector.backbone: {reason}") from reason
    widths = resnet_widths(name)
    if not pyramid:
        return Trunk(_single_map(body, cached), widths[2], (16,), 0, Conv5Head(layer4))
    width = channels or 256
    return Trunk(Pyramid(body, widths, width, LastLevelMaxPool()), width, (4, 8, 16, 32), 1)


def _single_map(body: nn.Module, cached: bool) -> SingleMap:
    if not cached:
        return SingleMap(body)
    learns = any(parameter.requires_grad for parameter in body.parameters())
    if learns or any(isinstance(module, nn.BatchNorm2d) for module in body.modules()):
        raise RecipeError("detector.backbone.cache: the trunk learns; freeze all of it (frozen_stages, norm: frozen)")
    return SingleMap(body, FeatureCache(stride=16))


def _anchors(given: Sequence[Sequence[float]] | None, trunk: Trunk, small: bool) -> tuple:
    """Anchor sides per level: the given ones, or the published defaults."""
    levels = len(trunk.strides) + trunk.extra_levels
    if given is None and small:
        given = [(4.0 * stride, 6.0 * stride) for stride in trunk.strides]
    elif given is None:
        given = [(8.0 * 4 * 2**i,) for i in range(levels)] if levels > 1 else [(32, 64, 128, 256, 512)]
    if len(given) != levels:
        raise RecipeError(f"detector.anchor_sizes lists {len(given)} levels; expected {levels}")
    if len({len(sizes) for sizes in given}) > 1:
        raise RecipeError("detector.anchor_sizes: every level must list the same number of sizes")
    return tuple(tuple(sizes) for sizes in given)


def _box_head(head: dict, trunk: Trunk, pool_size: int | None) -> tuple[nn.Module, int, int]:
    """The box head, the length of its vectors and the pooled size it takes."""
    kind = head.get("kind", "two-fc")
    if kind == "conv5":
        if trunk.conv5 is None:
            raise RecipeError("detector.head.kind: conv5 needs a ResNet and pyramid: false")
        return trunk.conv5, 2 * trunk.channels, pool_size or 14
    if kind != "two-fc":
        raise RecipeError(f"detector.head.kind {kind!r} does not exist; choose 'two-fc' or 'conv5'")
    size, width = pool_size or 7, head.get("width", trunk.head_width)
    return TwoMLPHead(trunk.channels * size**2, width), width, size
