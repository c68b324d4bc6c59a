"""From the plain values of a recipe to the parts of an R-CNN: trunk, RoI head, and how images are prepared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from workbench.detectors.layers.backbones import (
    PLAIN,
    RESNETS,
    SmallBackbone,
    check_backbone,
    resnet_body,
    resnet_widths,
)
from workbench.detectors.layers.box_heads import DropoutHead
from workbench.detectors.layers.feature_cache import FeatureCache
from workbench.detectors.layers.fpn import Pyramid, SingleMap, norm_layer
from workbench.detectors.layers.inputs import IMAGENET_MEAN, IMAGENET_STD
from workbench.detectors.layers.pretrained import load_fc
from workbench.detectors.layers.roi_head import Conv5Head, RoIHead
from workbench.detectors.layers.roi_max_pool import RoIMaxPool
from workbench.detectors.layers.roi_pool import PyramidPool, RoIAlign
from workbench.errors import RecipeError
from workbench.options import Count, Part, check_options, check_value
from workbench.registry import Registry

Pooling = Literal["align", "max"]
BackboneStage = Annotated[int, Field(ge=2, le=5)]  #: of a backbone: C2 to C5
POOLINGS: dict[Pooling, type[PyramidPool]] = {"align": RoIAlign, "max": RoIMaxPool}
HEADS = Registry("HEADS", None, place="detector.head", arguments=("trunk", "pool_size"))  #: on pooled features


class Resize(GeneralizedRCNNTransform):
    """Resizes, normalises and batches images as torchvision does, and all pixels of targets with them."""

    _generator: torch.Generator | None = None

    def forward(
        self, images: list[Tensor], targets: list[dict] | None = None, generator: torch.Generator | None = None
    ) -> tuple[ImageList, list[dict] | None]:
        """Images and targets as the network takes them; of several sizes, each image's is drawn from `generator`."""
        self._generator = generator
        try:
            return super().forward(images, targets)
        finally:
            self._generator = None  # none that is copied or saved with the detector

    def torch_choice(self, sizes: Sequence[int]) -> int:
        """One of several sizes, for the next image."""
        if self._generator is None:
            return super().torch_choice(sizes)
        if len(sizes) == 1:
            return sizes[0]
        source = self._generator
        return sizes[int(torch.randint(len(sizes), (1,), generator=source, device=source.device))]

    def resize(self, image: Tensor, target: dict | None = None) -> tuple[Tensor, dict | None]:
        """The image and its target; torchvision itself resizes `masks` and no other key."""
        before = image.shape[-2:]
        image, target = super().resize(image, target)
        size = image.shape[-2:]
        for key in {"boxes_ignored", "boxes_crowd"} & set(target or ()):
            target[key] = resize_boxes(target[key], before, size)
        for key, value in (target or {}).items():
            if value.dtype == torch.uint8 and value.shape[-2:] != size:
                pixels = F.interpolate(value.reshape(-1, 1, *value.shape[-2:]).float(), size)  # the nearest
                target[key] = pixels.byte().reshape(*value.shape[:-2], *size)
        return image, target


class KeepSize(Resize):
    """Normalises and batches images, but leaves their size alone."""

    def resize(self, image: Tensor, target: dict | None = None) -> tuple[Tensor, dict | None]:
        """The image and its target as they are."""
        return image, target


class BoxHead(NamedTuple):
    """A box head and what the rest of the detector must know of it."""

    module: nn.Module
    width: int  #: of its vectors
    pool_size: int  #: cells a side that it takes


class Trunk(NamedTuple):
    """A backbone and what the rest of the detector must know of it."""

    name: str
    module: nn.Module
    channels: int
    strides: tuple[int, ...]  #: of the levels that RoIs are pooled from
    extra_levels: int = 0  #: further, coarser levels that only propose
    conv5: nn.Module | None = None  #: the stage after C4, as a head
    weights: str | None = None  #: where fc6 and fc7 have theirs from, too

    @property
    def plain(self) -> bool:
        """Whether its network ends in fc6 and fc7."""
        return self.name in PLAIN


def build_transform(min_size: int | Sequence[int] | None, max_size: int | None) -> Resize:
    """Resizes, normalises and batches images; see `FasterRCNN.build`."""
    resize = KeepSize if min_size is None else Resize
    return resize(min_size or 0, max_size or 10**6, IMAGENET_MEAN, IMAGENET_STD)


def build_trunk(backbone: dict, pyramid: bool | dict, channels: int | None) -> Trunk:
    """The trunk that `backbone` describes; see `FasterRCNN.build`.

    Raises:
        RecipeError: there is no such backbone, or an option does not fit it.
    """
    options = dict(backbone)
    name, cached = options.pop("name"), options.pop("cache", False)
    stage = options.pop("stage", 4) if pyramid is False and name in ("small", *RESNETS) else 4
    check_value("detector.backbone.stage", _single_trunk, "stage", stage)
    options = check_backbone(name, options, plain=True)
    if cached and pyramid is not False:
        raise RecipeError("detector.backbone.cache: only a single map can be remembered; say pyramid: false")
    if name in PLAIN:
        if pyramid is not False:
            raise RecipeError(f"detector.pyramid: {name} gives a single map; say pyramid: false")
        body = PLAIN[name](**options)
        single = _single_map(body, cached, body.stride)
        return Trunk(name, single, body.channels, (body.stride,), weights=options.get("weights"))
    if pyramid is False:
        return _single_trunk(name, options, cached, stage)
    body = SmallBackbone(**options) if name == "small" else resnet_body(name, stages=4, **options)[0]
    fixed = ("body", "widths", "channels", "extra")
    switches = {} if pyramid is True else check_options("detector.pyramid", Pyramid, pyramid, given=fixed)
    small = name == "small"
    width, extra = channels or (96 if small else 256), None if small or switches.get("finest") else LastLevelMaxPool()
    strides = body.strides if small else (4, 8, 16, 32)
    module = Pyramid(body, body.widths if small else resnet_widths(name), width, extra, **switches)
    return Trunk(name, module, width, strides[:1] if switches.get("finest") else strides, int(extra is not None))


def _single_trunk(name: str, options: dict, cached: bool, stage: BackboneStage) -> Trunk:
    """One map, C2 to C5 of strides 4 to 32, of the small backbone or of a ResNet."""
    stride = 2**stage
    if name == "small":
        widths = SmallBackbone(**options).widths
        if stage - 1 > len(widths):
            raise RecipeError(f"detector.backbone.stage is {stage}; {len(widths)} widths end at C{len(widths) + 1}")
        body = SmallBackbone(**options | {"widths": widths[: stage - 1]})
        return Trunk(name, _single_map(body, cached, stride), widths[stage - 2], (stride,))
    body, layer4 = resnet_body(name, stages=stage - 1, **options)
    conv5 = Conv5Head(layer4) if stage == 4 else None
    return Trunk(name, _single_map(body, cached, stride), resnet_widths(name)[stage - 2], (stride,), conv5=conv5)


def _single_map(body: nn.Module, cached: bool, stride: int) -> SingleMap:
    if not cached:
        return SingleMap(body)
    learns = any(parameter.requires_grad for parameter in body.parameters())
    if learns or any(isinstance(module, nn.BatchNorm2d) for module in body.modules()):
        raise RecipeError("detector.backbone.cache: the trunk learns; freeze all of it (frozen_stages, norm: frozen)")
    return SingleMap(body, FeatureCache(stride=stride))


def build_roi_head(
    trunk: Trunk,
    num_classes: int,
    *,
    head: dict | None,
    pooling: Pooling,
    pool_size: int | None,
    canonical_size: float,
    roi: dict | None,
) -> RoIHead:
    """Pooling, box head and predictor for K classes; see `FasterRCNN.build`.

    Raises:
        RecipeError: an option is unknown, wrong or does not fit the trunk.
    """
    options = check_options("detector.roi", RoIHead, roi or {}, given=("pool", "box_head", "box_predictor"))
    box_head, vector, cells = _box_head(head or {}, trunk, pool_size)
    pool = POOLINGS[pooling](trunk.strides, size=cells, canonical_size=canonical_size)
    predictor = FastRCNNPredictor(vector, num_classes + 1)
    return RoIHead(pool, box_head, predictor, **options)


@HEADS.register("two-fc")
def _two_fc(
    trunk: Trunk,
    pool_size: int | None,
    *,
    width: Count | None = None,
    dropout: Part | None = None,
    pretrained: bool = True,
) -> BoxHead:
    """fc6 and fc7; those of VGG16 and AlexNet have width 4096, dropout and ImageNet weights."""
    size = pool_size or (6 if trunk.name == "alexnet" else 7)
    width = width or (4096 if trunk.plain else 1024)
    dropout = (0.5 if trunk.plain else 0.0) if dropout is None else dropout
    inputs = trunk.channels * size**2
    fc = DropoutHead(inputs, width, dropout=dropout) if dropout else TwoMLPHead(inputs, width)
    if trunk.weights is not None and pretrained:
        load_fc(fc, trunk.name, trunk.weights)
    return BoxHead(fc, width, size)


@HEADS.register("conv-fc")
def _conv_fc(
    trunk: Trunk,
    pool_size: int | None,
    *,
    width: Count = 1024,
    layers: Sequence[Count] = (256, 256, 256, 256),
    norm: str | None = "batch",
) -> BoxHead:
    """3x3 convolutions and one linear layer, as torchvision's v2 detectors have."""
    size = pool_size or 7
    shape = (trunk.channels, size, size)
    head = FastRCNNConvFCHead(shape, list(layers), [width], norm_layer(norm, "detector.head.norm"))
    return BoxHead(head, width, size)


@HEADS.register("conv5")
def _conv5(trunk: Trunk, pool_size: int | None) -> BoxHead:
    """The last stage of a ResNet, averaged."""
    if trunk.conv5 is None:
        raise RecipeError("detector.head.kind: conv5 needs a ResNet and pyramid: false")
    return BoxHead(trunk.conv5, 2 * trunk.channels, pool_size or 14)


def _box_head(head: dict, trunk: Trunk, pool_size: int | None) -> BoxHead:
    return HEADS.build(head, trunk, pool_size, default="two-fc")
