"""Networks that classify whole images: torchvision's, a small one, and for faces. Their last layer stands apart.

What that layer sees is the deep feature vector of an image (DFV). It keeps its name in the network, so that state
dicts of torchvision fit, but lets vectors pass: the network gives vectors, and `LastLinear.logits` classifies them.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.detectors.layers.backbones import OWN_RESNETS, RESNETS, STAGES, SmallBackbone, Widths, whole_resnet
from workbench.detectors.layers.face_network import MEAN, SIZE, STD, UNITS, FaceNetwork
from workbench.detectors.layers.inputs import IMAGENET_MEAN, IMAGENET_STD
from workbench.detectors.layers.pretrained import load_trunk, named_weights
from workbench.errors import RecipeError, did_you_mean
from workbench.options import Count, Depth, check_options

NORMS = ("batch", "frozen")


class LastLinear(nn.Linear):
    """The last layer of a classifier; see the module."""

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors [N, d] as they are."""
        return vectors

    def logits(self, vectors: Tensor) -> Tensor:
        """Logits [N, K] of vectors [N, d]."""
        return F.linear(vectors, self.weight, self.bias)


class SmallNetwork(nn.Module):
    """The small residual trunk and a linear layer: for images of about 32 pixels.

    Args:
        widths, blocks, stem: see `SmallBackbone`.
        pool: the last map is averaged to so many cells a side. With 1, as in a ResNet, the vector is a mean over the
            image; with more, as in AlexNet and VGG, it keeps apart what was seen where, so that a part that is hidden
            leaves the numbers of the others nearly as they were. Vectors of `widths[-1] * pool ** 2`.
    """

    def __init__(self, *, widths: Widths = (32, 64, 128), blocks: Depth = 1, stem: Count = 24, pool: Count = 1):
        super().__init__()
        self.body = SmallBackbone(widths=tuple(widths), blocks=blocks, stem=stem)
        self.pool = pool
        self.fc = nn.Linear(widths[-1] * pool**2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] → what `fc` makes of the vectors."""
        coarsest = list(self.body(images).values())[-1]
        return self.fc(F.adaptive_avg_pool2d(coarsest, self.pool).flatten(1))


class Seen(NamedTuple):
    """How a network sees images."""

    size: int = 224  #: pixels a side, unless another size is asked for
    only: bool = False  #: whether it can see no other size
    mean: tuple[float, float, float] = IMAGENET_MEAN  #: of pixels in 0..1
    std: tuple[float, float, float] = IMAGENET_STD


class Network(NamedTuple):
    """A network whose last layer stands apart."""

    module: nn.Module
    last: LastLinear
    last_name: str
    seen: Seen


def build_network(
    num_classes: int,
    *,
    name: str,
    weights: str | None = None,
    last: str | None = None,
    norm: str = "batch",
    learns: list[str] | None = None,
    **options: object,
) -> Network:
    """A network for K classes.

    Args:
        name: "small", a classifier of torchvision such as "resnet18" or "vgg16", or one of `face_network.UNITS`,
            which see faces of 112 px.
        weights: None (random), "imagenet" (torchvision's) or the path of a state dict; its last layer is used if
            it has as many classes.
        last: name of the last linear layer; None: the last one that there is.
        norm: "batch" trains the BatchNorm of the layers that learn, "frozen" keeps all statistics and weights.
        learns: patterns of names of the parameters that learn, such as "layer4.*"; the last layer always does.
            None: all.
        options: of `SmallNetwork`.

    Raises:
        RecipeError: there is no such network, layer or pattern.
    """
    if norm not in NORMS:
        raise RecipeError(f"detector.backbone.norm {norm!r} does not exist; choose one of {sorted(NORMS)}")
    module = _bare(name, options)
    layer = _set_apart(module, last, num_classes)
    if weights is not None:
        _load(module, layer, name, weights)
    network = Network(module, module.get_submodule(layer), layer, seen_by(name))
    _freeze(network, norm, learns)
    return network


def seen_by(name: str) -> Seen:
    """How a network of this name sees images."""
    if name in UNITS:
        return Seen(SIZE, True, MEAN, STD)
    return Seen(32) if name == "small" else Seen()


def _bare(name: str, options: dict[str, Any]) -> nn.Module:
    if name == "small":
        return SmallNetwork(**check_options("detector.backbone", SmallNetwork, options))
    known = [*torchvision.models.list_models(module=torchvision.models), *OWN_RESNETS, *UNITS]
    if name not in known:
        close = did_you_mean(name, ["small", *known]).partition(" (")[0]
        raise RecipeError(
            f"detector.backbone.name {name!r} does not exist{close}; choose 'small' or a classifier of torchvision"
        )
    if options:
        raise RecipeError(f"detector.backbone.{next(iter(options))} is not an option of {name}")
    if name in OWN_RESNETS:
        return whole_resnet(name)
    if name in UNITS:
        return FaceNetwork(UNITS[name])
    special = {"init_weights": False, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    return torchvision.models.get_model(name, weights=None, **special)


def _set_apart(module: nn.Module, last: str | None, num_classes: int) -> str:
    """Put a `LastLinear` for K classes in place of the last linear layer; its name."""
    linear = [name for name, part in module.named_modules() if isinstance(part, nn.Linear)]
    last = linear[-1] if last is None and linear else last
    if last is None or last not in linear:
        raise RecipeError(f"detector.backbone.last {last!r} is no linear layer{did_you_mean(str(last), linear)}")
    parent, _, child = last.rpartition(".")
    old = module.get_submodule(last)
    setattr(module.get_submodule(parent), child, LastLinear(old.in_features, num_classes))
    return last


def _load(module: nn.Module, last: str, name: str, weights: str) -> None:
    state, source = named_weights(name, weights)
    own = module.state_dict()
    for key in (f"{last}.weight", f"{last}.bias"):
        if key not in state or state[key].shape != own[key].shape:
            state = {**state, f"{last}.weight": own[f"{last}.weight"], f"{last}.bias": own[f"{last}.bias"]}
    load_trunk(module, state, source)


def _freeze(network: Network, norm: str, learns: list[str] | None) -> None:
    names = [name for name, _ in network.module.named_parameters()]
    for pattern in learns or []:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise RecipeError(
                f"detector.backbone.learns: no parameter is named {pattern!r}{did_you_mean(pattern, names)}"
            )
    for name, parameter in network.module.named_parameters():
        chosen = learns is None or any(fnmatchcase(name, pattern) for pattern in learns)
        parameter.requires_grad_(chosen or name.startswith(f"{network.last_name}."))
    for part in norms(network.module) if norm == "frozen" else ():
        part.requires_grad_(False)


def norms(module: nn.Module) -> list[nn.Module]:
    """All BatchNorm layers."""
    return [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


def split_resnet(network: Network, name: str) -> tuple[nn.Sequential, nn.Sequential, int]:
    """A ResNet as what does not learn and the rest, with the stride of the map between them.

    Raises:
        RecipeError: it is no ResNet, or no stages at its beginning are frozen.
    """
    if name not in RESNETS:
        raise RecipeError(
            f"detector.backbone.cache: only the maps of {', '.join(RESNETS)} can be remembered, not of {name}"
        )
    net = network.module
    learning = [any(p.requires_grad for p in getattr(net, stage).parameters()) for stage in STAGES]
    first = learning.index(True) if True in learning else len(STAGES)
    frozen = [net.conv1, net.bn1, net.relu, net.maxpool, *(getattr(net, stage) for stage in STAGES[:first])]
    if any(p.requires_grad for part in frozen for p in part.parameters()):
        raise RecipeError(
            "detector.backbone.cache: the first layers learn; name later ones in learns, such as layer4.*"
        )
    if first == 0:
        raise RecipeError("detector.backbone.cache: all stages learn; name the last ones in learns, such as layer4.*")
    rest = [*(getattr(net, stage) for stage in STAGES[first:]), net.avgpool, nn.Flatten(1), network.last]
    return nn.Sequential(*frozen), nn.Sequential(*rest), 2 ** (first + 1)
