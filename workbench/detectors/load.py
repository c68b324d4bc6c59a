"""Detectors as files: one .safetensors file holds the weights, the configuration and the class names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from workbench.detectors.base import Detector, Detects, ScoresBoxes
from workbench.detectors.build import build_detector
from workbench.detectors.layers.branches import branch_prefixes
from workbench.detectors.layers.pretrained import read_weights
from workbench.detectors.locate import locate
from workbench.detectors.reading.own_file import is_as_saved, read_safetensors, write_own
from workbench.detectors.reading.run_checkpoint import is_checkpoint, read_checkpoint
from workbench.detectors.reading.torchvision_weights import described
from workbench.detectors.wrap import is_model, wrap
from workbench.errors import DataError, WeightsError
from workbench.files import unfetched


@runtime_checkable
class HasDetector(Protocol):
    """A `Run`."""

    def detector(self, *, hardener: bool = False) -> Detector:
        """The trained detector."""
        ...


DetectorLike: TypeAlias = Detector | HasDetector | Detects | str | Path  #: for `as_detector`; models of others, too

FORMAT = "occlusion-workbench-detector-1"
STATED = {"format", "config", "classes", "about", "digest"}  #: keys of what a file states of itself
TORCH = (".pt", ".pth", ".bin", ".ckpt")  #: endings of state dicts


def save_detector(detector: Detector, path: str | Path, *, half: bool = False, about: dict | None = None) -> Path:
    """Write weights, configuration and class names to one file, atomically; the hardener stays behind.

    Equal detectors give equal files.

    Args:
        path: ends in .safetensors.
        half: store floating-point weights in 16 bits (half the size).
        about: further plain values to keep in the file, such as the name of the recipe; None: `detector.about`.

    Returns:
        The path.

    Raises:
        WeightsError: a weight is not finite, or with `half` too large for 16 bits; or nothing says how the detector
            is built, as with ensembles and those of others.

    Example:
        >>> path = save_detector(wb.load_detector("dfv/digits-c"), "copy.safetensors", half=True)
        >>> wb.load_detector(path).classes[:3]
        ('0', '1', '2')
    """
    path = Path(path)
    if "kind" not in detector.config:
        what = f"a {type(detector).__name__} cannot be saved, as no configuration says how to build it"
        raise WeightsError(f"{what}; save the detectors that it is made of, or the code that makes it")
    state = {}
    for name, value in detector.state_dict().items():
        if name.startswith("hardener."):
            continue
        value = value.detach().cpu()
        state[name] = (value.half() if half and value.is_floating_point() else value).clone().contiguous()
    if bad := not_finite(state):
        raise WeightsError(f"{path} is not written: values in {bad} are not finite{' in 16 bits' if half else ''}")
    metadata = {
        "format": FORMAT,
        "config": json.dumps(detector.config),
        "classes": json.dumps(list(detector.classes)),
        "about": json.dumps(detector.about if about is None else about),
    }
    return write_own(path, state, metadata)


def not_finite(state: Mapping[str, Any]) -> str | None:
    """The name of the first tensor of a state dict that holds a value that is not finite."""
    floats = {n: value for n, value in state.items() if isinstance(value, Tensor) and value.is_floating_point()}
    if not floats:
        return None
    good = torch.stack([value.isfinite().all() for value in floats.values()]).tolist()  # at once: a GPU is waited for
    return next((name for name, finite in zip(floats, good, strict=True) if not finite), None)


def load_detector(
    name: str | Path, device: str | torch.device = "cpu", *, classes: Sequence[str] | None = None
) -> Detector:
    """A detector ready to use, by shipped name ("digit-scenes/faster-rcnn"), file or run folder.

    For a `Run`, use `run.detector()`. Nothing in a file is executed.

    Args:
        name: shipped name, file that `save_detector` wrote, folder of a run that is done, or one of its checkpoints
            (`checkpoints/step-*.pt`). Also a state dict of torchvision's Faster or Mask R-CNN or RetinaNet with a
            ResNet and a pyramid (.pth), as published or from a training of your own.
        device: where to put it.
        classes: names of labels 1..K, for a state dict of other than COCO's classes.

    Returns:
        The detector, in evaluation mode and without its hardener.

    Raises:
        WeightsError: no such detector, not one of our files, or one that is damaged or whose weights do not fit or
            are not finite.

    Example:
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> image, target = wb.load_data("digit-scenes", split="test")[7]
        >>> found = detector.detect([image])[0].above(0.5)
        >>> sorted(detector.classes[label - 1] for label in found.labels)
        ['0', '0', '5', '6']
    """
    path = locate(name)
    state, config, names, about = _content(path, classes)
    detector = build_detector(config, names, pretrained=False)
    detector.about = about
    state = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    try:
        detector.load_state_dict(state)
    except RuntimeError as reason:
        raise WeightsError(f"{path} does not fit {_misfit(detector, state) or reason}") from reason
    if bad := not_finite(detector.state_dict()):
        raise WeightsError(
            f"{path}: values in {bad} are not finite; the training that made it has diverged. Use an earlier "
            "checkpoint: Run.open(folder).detector(step)"
        )
    return detector.to(device).eval()


def _content(path: Path, classes: Sequence[str] | None) -> tuple[dict[str, Any], dict, list[str], dict]:
    """Weights, configuration, classes and what else a file states of itself.

    Raises:
        WeightsError: it is none that can be read.
    """
    if fetch := unfetched(path):
        raise WeightsError(f"{path} holds no detector and no state dict: {fetch}")
    if path.suffix.lower() == ".onnx":
        raise WeightsError(f"{path} is an ONNX model: wb.wrap(path, classes=..., prepare=..., decode=...) takes it")
    if is_checkpoint(path):
        config, names, weights = read_checkpoint(path)
        _check_no_classes(classes, path)
        return weights, config, names, {}
    if path.suffix.lower() in TORCH:
        weights = read_weights(path)
        return weights, *described(weights, classes, str(path)), {}
    try:
        state, metadata = read_safetensors(path)
    except WeightsError as reason:
        raise WeightsError(f"{reason}. State dicts end in {', '.join(TORCH)}, ONNX models in .onnx") from reason
    if metadata.get("format") != FORMAT:
        return state, *described(state, classes, str(path)), {}
    if not is_as_saved(state, metadata) or not metadata.keys() <= STATED:
        raise WeightsError(f"{path} is damaged: it does not hold what was saved. Copy it again, or save it anew")
    _check_no_classes(classes, path)
    return state, *_described(metadata, path)


def _check_no_classes(classes: Sequence[str] | None, path: Path) -> None:
    if classes is not None:
        raise WeightsError(f"{path} says the names of its classes itself; leave classes out (relabel gives others)")


def _misfit(detector: Detector, state: Mapping[str, Any]) -> str:
    """What of a state dict a detector does not have, or has in another shape; empty if that is not the matter."""
    own = detector.state_dict()
    found = {
        "missing": [key for key in own if key not in state and not key.endswith("num_batches_tracked")],
        "unknown": [key for key in state if key not in own],
        "of another shape": [
            f"{key} {tuple(state[key].shape)} for {tuple(value.shape)}"
            for key, value in own.items()
            if key in state and state[key].shape != value.shape
        ],
    }
    parts = [f"{len(keys)} {what}, first {keys[0]}" for what, keys in found.items() if keys]
    return f"a {detector.kind} of {len(detector.classes)} classes: {'; '.join(parts)}" if parts else ""


def _described(metadata: dict[str, str], path: Path) -> tuple[dict, list[str], dict]:
    """Configuration, classes and what else the file states of itself.

    Raises:
        WeightsError: it states nothing that can be read.
    """
    try:
        config, classes = json.loads(metadata["config"]), json.loads(metadata["classes"])
        about = json.loads(metadata.get("about", "{}"))
    except (KeyError, ValueError, RecursionError) as reason:
        raise WeightsError(f"{path} says of itself what cannot be read: {reason!r}") from reason
    if not isinstance(config, dict) or not isinstance(classes, list) or not all(isinstance(c, str) for c in classes):
        raise WeightsError(f"{path}: expected a dict as configuration and a list of names as classes")
    return config, classes, about if isinstance(about, dict) else {}


def as_detector(thing: DetectorLike, *, hardener: bool = False) -> Detector:
    """The detector that is meant: all that takes a detector takes it through this function.

    Args:
        thing: a detector (as it is), a `Run`, or what `load_detector` takes: a shipped name, a file, a run's folder.
            Also a model of others that says of itself what it is and what its classes are, as `wrap` takes it.
        hardener: of a run: with its hardener.

    Raises:
        DataError: something else.
        WeightsError: no such detector.

    Example:
        >>> detector = as_detector("digit-scenes/faster-rcnn")
        >>> as_detector(detector) is detector
        True
    """
    if isinstance(thing, str | Path):
        return load_detector(thing)
    if isinstance(thing, Detector):  # first, as some hold another one as their `detector`
        return thing
    if isinstance(thing, HasDetector) and callable(thing.detector):  # a recipe's is a section
        return thing.detector(hardener=True) if hardener else thing.detector()
    if is_model(thing):
        return wrap(thing)
    if isinstance(thing, ScoresBoxes) and not isinstance(thing, type):  # enough for response maps
        return thing
    what, own = f"a {type(thing).__name__} is no detector", ""
    if callable(thing) and not isinstance(thing, type):
        own = "; wb.wrap(it, classes=[...]) makes one of a function or a module that maps images to boxes"
    raise DataError(f"{what}; give one, a Run, or the name or path of one that was saved{own}")


def start_from(detector: Detector, name: str | Path) -> list[str]:
    """Copy the weights of a saved detector into `detector`, to train on from there.

    Where the two have other classes, layers whose number of rows differs keep the weights they have, and so do
    branches and parts it `grows` that only the new one has.

    Args:
        name: as for `load_detector`.

    Returns:
        Names of the tensors that were not copied; the hardener's are never copied.

    Raises:
        WeightsError: anything else is missing or has another shape.

    Example:
        >>> detector = build_detector(wb.load_detector("dfv/digits-c").config, ("even", "odd"))
        >>> start_from(detector, "dfv/digits-c")  # ten classes there, two here
        ['network.fc.weight', 'network.fc.bias']
    """
    given = load_detector(name)
    module = detector.start_module()
    source, own = given.state_dict(), module.state_dict()
    may_lack = (*branch_prefixes(module), *(f"{part}." for part in detector.grows))
    rows_may_differ = given.classes != detector.classes
    kept, unfit = [], []
    for key, value in own.items():
        if key.startswith("hardener."):
            continue
        found = source.get(key)
        if found is not None and found.shape == value.shape:
            value.copy_(found)
        elif key.startswith(may_lack) if found is None else rows_may_differ and found.shape[1:] == value.shape[1:]:
            kept.append(key)
        else:
            unfit.append(key)
    if unfit:
        raise WeightsError(
            f"{name} cannot be the start: {len(unfit)} tensors of the detector have no counterpart there, the first "
            f"is {unfit[0]} {tuple(own[unfit[0]].shape)}; use the same detector section in the recipe"
        )
    return kept
