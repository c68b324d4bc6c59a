"""What layers of a network give on the way to a score, and the gradients of the score there.

Everything that is changed for this (hooks, which parameters want gradients, the mode) is put back as it was, also
where the network raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from workbench.detectors.base import evaluating
from workbench.errors import DataError, nearest


@dataclass
class Recorded:
    """What was met while a network ran."""

    names: list[str]  #: of each map: its layer, and the level where that gives several
    maps: list[Tensor]  #: [B, C, h, w], in the graph that ends in the score
    covers: tuple[float, float] = (1.0, 1.0)  #: height and width of what the maps cover, as shares of the image


def layer_of(module: nn.Module, name: str) -> nn.Module:
    """The part of a module that has this name.

    Raises:
        DataError: there is none.
    """
    parts = dict(module.named_modules())
    if name not in parts or not name:
        known = [one for one in parts if one]
        top = ", ".join(one for one in known if "." not in one)
        raise DataError(f"{type(module).__name__} has no layer {name!r}{nearest(name, known)}; on top it has {top}")
    return parts[name]


@contextmanager
def differentiable(module: nn.Module) -> Iterator[None]:
    """Evaluation mode with gradients, though not for parameters; modes and parameters are put back afterwards."""
    wanted = {parameter: parameter.requires_grad for parameter in module.parameters()}
    try:
        for parameter in wanted:
            parameter.requires_grad_(False)
        with evaluating(module), torch.enable_grad():
            yield
    finally:
        for parameter, wants in wanted.items():
            parameter.requires_grad_(wants)


@contextmanager
def recorded(module: nn.Module, layers: Sequence[str]) -> Iterator[Recorded]:
    """Listen to layers by name while the module runs in this context.

    The graph begins at what the first of them gives. The maps that one layer gives have no part in each other's
    gradients; those of a layer further on have one in those before. Where an image is resized and padded by
    torchvision's transform, as in its detectors and ours, the maps cover the padded input, of which `Recorded.covers`
    knows the share.

    Raises:
        DataError: no layer of that name, or none is named.
    """
    if not layers:
        raise DataError("no layer is named; give one or several names, as module.named_modules() has them")
    seen = Recorded([], [])
    with ExitStack() as hooks:
        for name in layers:
            hooks.callback(layer_of(module, name).register_forward_hook(_listening(seen, name)).remove)
        for part in module.modules():
            if isinstance(part, GeneralizedRCNNTransform):
                hooks.callback(part.register_forward_hook(_measuring(seen)).remove)
        yield seen


def _listening(seen: Recorded, layer: str) -> Callable[[nn.Module, Any, Any], Any]:
    """A hook that remembers the maps in what a layer gives, each as a node of the graph of its own."""

    def keep(name: str, value: Tensor) -> Tensor:
        node = value.clone() if value.requires_grad else value.detach().requires_grad_()
        seen.names.append(name)
        seen.maps.append(node)
        return node.clone()  # the next layer may work in place

    def replace(name: str, value: Any) -> Any:
        if isinstance(value, Tensor):
            return keep(name, value) if value.ndim == 4 and value.is_floating_point() else value
        if isinstance(value, Mapping):
            replaced: Any = copy(value)
            for key, one in value.items():
                replaced[key] = replace(f"{name}.{key}", one)
            return replaced
        if isinstance(value, list | tuple):
            parts = [replace(f"{name}.{place}", one) for place, one in enumerate(value)]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        return value

    return lambda _module, _given, value: replace(layer, value)


def _measuring(seen: Recorded) -> Callable[[nn.Module, Any, Any], None]:
    """A hook that notes how much larger than the image the input of the network is."""

    def measure(_module: nn.Module, _given: Any, value: Any) -> None:
        batch = value[0]
        if isinstance(batch, ImageList):
            padded, inside = batch.tensors.shape[-2:], batch.image_sizes[0]
            seen.covers = (padded[0] / inside[0], padded[1] / inside[1])

    return measure
