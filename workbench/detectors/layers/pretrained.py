"""Weights by name or file: torchvision's ImageNet weights, and state dicts on disk; nothing in them is executed."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
import torchvision
from torch import Tensor, nn

from workbench.errors import WeightsError
from workbench.files import unfetched, user_path

#: places of fc6 and fc7 in torchvision's `classifier`
CLASSIFIERS = {"vgg16": (0, 3), "vgg11": (0, 3), "alexnet": (1, 4)}

PARALLEL = "module."  #: before all names in a state dict of (Distributed)DataParallel


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """torchvision's ImageNet weights of `name`, from its cache or the network.

    Raises:
        WeightsError: they cannot be had here; says how to name a local file instead.
    """
    try:
        weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    except ValueError:
        what = f"torchvision has no ImageNet weights of {name}"
        raise WeightsError(f"{what}; name a local file in the recipe (detector.backbone.weights: PATH)") from None
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
    w = (q - zero_point) * scale (* channel_scale over the input channels), half precision becomes float32. The
    "module." that DataParallel writes before all names is left out.

    Raises:
        WeightsError: no such file, not a file of tensors, or not readable as one.
    """
    path = user_path(path, WeightsError)
    if not path.is_file():
        raise WeightsError(f"there is no file of weights at {path}")
    if fetch := unfetched(path):
        raise WeightsError(f"{path} holds no weights: {fetch}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as reason:  # torch's own words advise to unpickle it all the same
        what = "it is damaged, or holds other objects, which are not unpickled since they could run code"
        fix = "save the state dict alone: torch.save(model.state_dict(), path)"
        raise WeightsError(f"{path} is not a file of plain tensors: {what}; {fix}") from reason
    except Exception as reason:
        raise WeightsError(f"{path} is not a file of plain tensors: {reason}") from reason
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict):
        raise WeightsError(f"{path} holds a {type(state).__name__}; expected a state dict of named tensors")
    while state and all(isinstance(name, str) and name.startswith(PARALLEL) for name in state):
        state = {name.removeprefix(PARALLEL): value for name, value in state.items()}
    weights = {str(name): _expand(str(name), value, path) for name, value in state.items()}
    for name, value in weights.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise WeightsError(f"{path}: entry {name!r} holds values that are not finite")
    return weights


def _expand(name: str, value: object, path: Path) -> Tensor:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, dict) and {"q", "scale", "zero_point"} <= value.keys():
        weight = (value["q"].float() - value["zero_point"]) * value["scale"]
        if "channel_scale" in value:
            weight = weight * torch.as_tensor(value["channel_scale"]).float()[None, :, None, None]
        return weight
    raise WeightsError(f"{path}: entry {name!r} is a {type(value).__name__}; expected a tensor")


def named_weights(name: str, weights: str) -> tuple[dict[str, Tensor], str]:
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


def load_fc(head: nn.Module, name: str, weights: str) -> None:
    """Load fc6 and fc7 of `head` from the classifier of a whole network `name`, by torchvision's names.

    Raises:
        WeightsError: there is no classifier in the file, or the head has another width or pooled size.
    """
    state, source = named_weights(name, weights)
    entries = {
        f"{layer}.{kind}": f"classifier.{place}.{kind}"
        for layer, place in zip(("fc6", "fc7"), CLASSIFIERS[name], strict=True)
        for kind in ("weight", "bias")
    }
    for own, given in entries.items():
        expected, found = tuple(head.state_dict()[own].shape), state.get(given)
        if found is None or tuple(found.shape) != expected:
            have = "is missing" if found is None else f"has shape {tuple(found.shape)}"
            raise WeightsError(
                f"{source}: {given} {have}, but {own} of the head needs {expected}. Give the weights of the whole "
                "network and leave out head.width and pool_size, or say detector.head.pretrained: false"
            )
    head.load_state_dict({own: state[given] for own, given in entries.items()})
