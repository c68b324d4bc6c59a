"""Trunks: a small one for digit scenes, ResNets, ResNeXts, VGG16 and AlexNet with torchvision's names and weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import torch
import torchvision
from pydantic import Field
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.resnet import Bottleneck
from torchvision.ops import FrozenBatchNorm2d

from workbench.detectors.layers.pointwise import PointwiseConv2d
from workbench.detectors.layers.pretrained import load_trunk, named_weights
from workbench.errors import RecipeError
from workbench.options import Count, Depth, Factor, Number, check_options

Widths = Annotated[tuple[Count, ...], Field(min_length=1)]  #: channels of each stage
SHALLOW = ("resnet18", "resnet34")  #: of basic blocks
RESNEXTS = ("resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d", "resnext101_64x4d")
RESNETS = (*SHALLOW, "resnet50", "resnet101", *RESNEXTS)
#: those that torchvision lacks: blocks of each stage, groups and width of a group
OWN_RESNETS = {"resnext101_32x4d": ((3, 4, 23, 3), 32, 4)}
STAGES = ("layer1", "layer2", "layer3", "layer4")
#: channels, kernel and stride of each convolution, and whether a max-pool follows
ALEXNET = ((64, 11, 4, True), (192, 5, 1, True), (384, 3, 1, False), (256, 3, 1, False), (256, 3, 1, False))
#: channels and convolutions of each stage
VGG11 = ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2))
VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm and a shortcut (He et al. 2016, the basic block).

    A strided shortcut averages and then projects ("ResNet-D"). This also avoids strided 1x1 convolutions:
    their backward pass corrupts memory in torch 2.15 on CPUs when fewer than 16 channels come in.
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity(),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] → [B, outputs, h / stride, w / stride]."""
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class SmallBackbone(nn.Module):
    """A residual trunk of strides 4, 8, 16 that trains from scratch in minutes on a laptop.

    Args:
        widths: channels of each stage.
        blocks: residual blocks of each stage.
        stem: channels of the first convolution.
    """

    def __init__(self, widths: Widths = (48, 96, 160), blocks: Depth = 2, stem: Count = 24):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU())
        inputs = stem
        for index, width in enumerate(widths):
            stage = [ResidualBlock(inputs, width, 2)]
            stage += [ResidualBlock(width, width, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{index + 1}", nn.Sequential(*stage))
            inputs = width
        self.widths = tuple(widths)
        self.strides = tuple(4 * 2**i for i in range(len(widths)))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """[B, 3, H, W] → one map per stage, named "0", "1", ... from fine to coarse."""
        x = self.stem(x)
        maps = {}
        for index in range(len(self.widths)):
            x = getattr(self, f"layer{index + 1}")(x)
            maps[str(index)] = x
        return maps


class PlainBackbone(nn.Module):
    """Convolutions in a row, without the last max-pool: one map of stride 16; torchvision's names."""

    channels: int
    stride = 16

    def __init__(self, layers: list[nn.Module], name: str, weights: str | None, frozen: int):
        super().__init__()
        self.features = nn.Sequential(*layers)
        convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        for index, conv in enumerate(convolutions):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(conv.bias)
            conv.requires_grad_(index >= frozen)
        if weights is not None:
            load_trunk(self, *named_weights(name, weights))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """[B, 3, H, W] → one map [B, C, H / 16, W / 16]."""
        return {"0": self.features(x)}


class VGG16Backbone(PlainBackbone):
    """VGG16's convolutions (Simonyan & Zisserman 2015, configuration D).

    Args:
        weights: None (random), "imagenet" (torchvision's) or the path of a state dict.
        frozen_stages: 2 freezes conv1 and conv2, as Fast R-CNN does.
    """

    channels = 512
    name, stages = "vgg16", VGG16

    def __init__(self, *, weights: str | None = None, frozen_stages: Number = 2):
        layers: list[nn.Module] = []
        inputs = 3
        for stage, (width, depth) in enumerate(self.stages):
            layers += [nn.MaxPool2d(2)] if stage else []
            for _ in range(depth):
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = width
        frozen = sum(depth for _, depth in self.stages[:frozen_stages])
        super().__init__(layers, self.name, weights, frozen)


class VGG11Backbone(VGG16Backbone):
    """The same of VGG11 (configuration A)."""

    name, stages = "vgg11", VGG11


class AlexNetBackbone(PlainBackbone):
    """AlexNet's convolutions (Krizhevsky 2014, torchvision's form); a map of H / 16 - 1 cells, nearly.

    Args:
        weights: None (random), "imagenet" (torchvision's) or the path of a state dict.
        frozen_stages: how many of the five convolutions are frozen.
    """

    channels = 256

    def __init__(self, *, weights: str | None = None, frozen_stages: Number = 1):
        layers: list[nn.Module] = []
        inputs = 3
        for width, kernel, stride, pooled in ALEXNET:
            layers += [nn.Conv2d(inputs, width, kernel, stride, 2 if kernel > 3 else 1), nn.ReLU(inplace=True)]
            layers += [nn.MaxPool2d(3, 2)] if pooled else []
            inputs = width
        super().__init__(layers, "alexnet", weights, frozen_stages)


class FrozenNorm(FrozenBatchNorm2d):
    """BatchNorm that keeps its statistics and weights; the convolution before it does its work."""

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Both [C]."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def forward(self, x: Tensor) -> Tensor:
        """The map as it is."""
        return x


class NormedConv(PointwiseConv2d):
    """A convolution and the `FrozenNorm` behind it in one: the weights are scaled instead of the map."""

    def __init__(self, conv: nn.Conv2d, norm: FrozenNorm):
        options = {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation, "groups": conv.groups}
        super().__init__(conv.in_channels, conv.out_channels, conv.kernel_size, bias=False, device="meta", **options)
        self.weight = conv.weight
        self._norm = (norm,)  # in a tuple: it is the network's

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → the normed map."""
        scale, shift = self._norm[0].scale_and_shift()
        return self._conv_forward(x, self.weight * scale[:, None, None, None], shift)


def _fold(net: nn.Module) -> None:
    """Make each convolution of a ResNet do the work of the norm that follows it; names stay as they are."""
    for parent in net.modules():
        children = list(parent.named_children())
        norms = [(name, child) for name, child in children if isinstance(child, FrozenNorm)]
        convs = [(name, child) for name, child in children if isinstance(child, nn.Conv2d)]
        for (name, conv), (_, norm) in zip(convs, norms, strict=True):
            setattr(parent, name, NormedConv(conv, norm))


def whole_resnet(name: str, norm_layer: Callable[..., nn.Module] | None = None) -> torchvision.models.ResNet:
    """One of `RESNETS` with random weights and torchvision's names.

    A ResNeXt (Xie et al. 2017) is a ResNet whose 3x3 convolutions have groups: 64x4d are 64 of them, 4 channels wide.
    """
    if name in OWN_RESNETS:
        blocks, groups, width = OWN_RESNETS[name]
        shape = {"groups": groups, "width_per_group": width, "norm_layer": norm_layer}
        return torchvision.models.ResNet(Bottleneck, list(blocks), **shape)
    return torchvision.models.get_model(name, weights=None, norm_layer=norm_layer)


def resnet_body(
    name: str,
    *,
    stages: int = 4,
    norm: str = "frozen",
    eps: Factor = 1e-5,
    weights: str | None = None,
    frozen_stages: Number = 1,
) -> tuple[nn.Module, nn.Module]:
    """The first `stages` stages of a torchvision ResNet, and the last one as a module of its own (conv5).

    Args:
        name: one of `RESNETS`.
        stages: 4 for a pyramid, 3 for a single C4 map.
        norm: "frozen" keeps BatchNorm's ImageNet statistics, "batch" trains it.
        eps: of BatchNorm; torchvision's published R-CNNs and RetinaNet of the first version have 0.
        weights: None (random), "imagenet" (torchvision's) or the path of a state dict.
        frozen_stages: 0 trains all, 1 freezes the stem, 2 the stem and layer1, and so on.

    Returns:
        body (a dict of maps "0", "1", ... per stage) and layer4.
    """
    layers = {"frozen": FrozenNorm, "batch": nn.BatchNorm2d}
    if norm not in layers:
        raise RecipeError(f"detector.backbone.norm {norm!r} does not exist; choose one of {sorted(layers)}")
    net = whole_resnet(name, partial(layers[norm], eps=eps))
    if norm == "frozen":
        _fold(net)
    returned = {stage: str(index) for index, stage in enumerate(STAGES[:stages])}
    body = IntermediateLayerGetter(net, return_layers=returned)
    layer4 = net.layer4
    if weights is not None:
        state, source = named_weights(name, weights)
        load_trunk(body, state, source)
        own = {k.removeprefix("layer4."): v for k, v in state.items() if k.startswith("layer4.")}
        if stages < 4 and own:
            layer4.load_state_dict(own, strict=False)
    freeze = ("conv1", "bn1", *STAGES)[: frozen_stages + 1] if frozen_stages else ()
    for part, child in body.named_children():
        if part in freeze:
            child.requires_grad_(False)
    return body, layer4


def resnet_widths(name: str) -> tuple[int, ...]:
    """Channels of layer1 to layer4."""
    expansion = 1 if name in SHALLOW else 4
    return tuple(expansion * width for width in (64, 128, 256, 512))


#: networks whose head is fc6 and fc7
PLAIN = {"vgg16": VGG16Backbone, "vgg11": VGG11Backbone, "alexnet": AlexNetBackbone}


def check_backbone(name: str, options: dict, *, plain: bool = False) -> dict:
    """The options of a backbone, if there is such a backbone that takes them.

    Args:
        plain: whether it may be one of `PLAIN`, which have no pyramid.

    Raises:
        RecipeError: there is none of this name, or it does not take these options.
    """
    made: dict[str, Callable[..., Any]] = {"small": SmallBackbone, **dict.fromkeys(RESNETS, resnet_body)}
    made |= PLAIN if plain else {}
    if not isinstance(name, str) or name not in made:
        raise RecipeError(f"detector.backbone.name {name!r} does not exist; choose one of {list(made)}")
    return check_options("detector.backbone", made[name], options, given=("name", "stages"))
