"""Trunks: a small one for digit scenes, ResNets and VGG16 with torchvision's names and ImageNet weights."""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.ops import FrozenBatchNorm2d

from workbench.errors import RecipeError, WeightsError
from workbench.paths import user_path

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")
STAGES = ("layer1", "layer2", "layer3", "layer4")
VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  #: channels and convolutions of each stage


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
    """A residual trunk of strides 4, 8, 16 that trains from scratch in minutes on a laptop."""

    def __init__(self, widths: tuple[int, ...] = (48, 96, 160), blocks: int = 2, stem: int = 24):
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


class VGG16Backbone(nn.Module):
    """VGG16's convolutions (Simonyan & Zisserman 2015) without the last max-pool: one map of stride 16.

    Args:
        weights: None (random), "imagenet" (torchvision's) or the path of a state dict.
        frozen_stages: 2 freezes conv1 and conv2, as Fast R-CNN does.
    """

    channels, stride = 512, 16

    def __init__(self, *, weights: str | None = None, frozen_stages: int = 2):
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for stage, (width, depth) in enumerate(VGG16):
            layers += [nn.MaxPool2d(2)] if stage else []
            for _ in range(depth):
                conv = nn.Conv2d(inputs, width, 3, padding=1)
                nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(conv.bias)
                conv.requires_grad_(stage >= frozen_stages)
                layers += [conv, nn.ReLU(inplace=True)]
                inputs = width
        self.features = nn.Sequential(*layers)
        if weights is not None:
            load_trunk(self, *_named_weights("vgg16", weights))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """[B, 3, H, W] → one map [B, 512, H / 16, W / 16]."""
        return {"0": self.features(x)}


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """torchvision's ImageNet weights of `name`, from its cache or the network.

    Raises:
        WeightsError: they cannot be had here; says how to name a local file instead.
    """
    enum = torchvision.models.get_model_weights(name)
    weights = enum.IMAGENET1K_V1
    try:
        return weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as reason:
        raise WeightsError(
            f"the ImageNet weights of {name} could not be downloaded ({reason}). Name a local file in the recipe "
            f"(detector.backbone.weights: PATH), or put {Path(weights.url).name} into torch.hub's checkpoints folder"
        ) from reason


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """A state dict of tensors from a .pt, .pth or .safetensors file; nothing in the file is executed.

    Tensors stored in 8 bits as {q, scale, zero_point[, channel_scale]} are expanded,
    w = (q - zero_point) * scale (* channel_scale over the input channels), half precision becomes float32.

    Raises:
        WeightsError: no such file, not a file of tensors, or not readable as one.
    """
    path = user_path(path, WeightsError)
    if not path.is_file():
        raise WeightsError(f"there is no file of weights at {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as reason:
        raise WeightsError(f"{path} is not a file of plain tensors: {reason}") from reason
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict):
        raise WeightsError(f"{path} holds a {type(state).__name__}; expected a state dict of named tensors")
    return {name: _expand(name, value, path) for name, value in state.items()}


def _expand(name: str, value: object, path: Path) -> Tensor:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, dict) and {"q", "scale", "zero_point"} <= value.keys():
        weight = (value["q"].float() - value["zero_point"]) * value["scale"]
        if "channel_scale" in value:
            weight = weight * torch.as_tensor(value["channel_scale"]).float()[None, :, None, None]
        return weight
    raise WeightsError(f"{path}: entry {name!r} is a {type(value).__name__}; expected a tensor")


def _named_weights(name: str, weights: str) -> tuple[dict[str, Tensor], str]:
    """The state dict that a recipe names, and what to call it in messages."""
    if weights == "imagenet":
        return imagenet_weights(name), f"ImageNet weights of {name}"
    return read_weights(weights), str(weights)


def load_trunk(trunk: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load the part of `state` that belongs to `trunk`; entries of stages and classifiers it lacks are ignored.

    Raises:
        WeightsError: an entry of the trunk is missing or has another shape.
    """
    own = trunk.state_dict()
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    if missing:
        raise WeightsError(
            f"{source} lacks {len(missing)} of {len(own)} entries of the backbone, first {missing[:3]}; "
            "expected torchvision's names"
        )
    for name, value in own.items():
        if name in state and state[name].shape != value.shape:
            raise WeightsError(
                f"{source}: {name} has shape {tuple(state[name].shape)}, expected {tuple(value.shape)}"
            )
    trunk.load_state_dict({name: state[name] for name in own if name in state}, strict=False)


def resnet_body(
    name: str, *, stages: int = 4, norm: str = "frozen", weights: str | None = None, frozen_stages: int = 1
) -> tuple[nn.Module, nn.Module]:
    """The first `stages` stages of a torchvision ResNet, and the last one as a module of its own (conv5).

    Args:
        name: one of `RESNETS`.
        stages: 4 for a pyramid, 3 for a single C4 map.
        norm: "frozen" keeps BatchNorm's ImageNet statistics, "batch" trains it.
        weights: None (random), "imagenet" (torchvision's) or the path of a state dict.
        frozen_stages: 0 trains all, 1 freezes the stem, 2 the stem and layer1, and so on.

    Returns:
        body (a dict of maps "0", "1", ... per stage) and layer4.
    """
    if name not in RESNETS:
        raise RecipeError(f"backbone {name!r} does not exist; choose from {['small', 'vgg16', *RESNETS]}")
    layers = {"frozen": FrozenBatchNorm2d, "batch": nn.BatchNorm2d}
    if norm not in layers:
        raise RecipeError(f"backbone.norm {norm!r} does not exist; choose one of {sorted(layers)}")
    net = torchvision.models.get_model(name, weights=None, norm_layer=layers[norm])
    returned = {stage: str(index) for index, stage in enumerate(STAGES[:stages])}
    body = IntermediateLayerGetter(net, return_layers=returned)
    layer4 = net.layer4
    if weights is not None:
        state, source = _named_weights(name, weights)
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
    expansion = 4 if name in ("resnet50", "resnet101") else 1
    return tuple(expansion * width for width in (64, 128, 256, 512))
