"""Detectors as files: one .safetensors file holds the weights, the configuration and the class names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from workbench.detectors.base import Detector, Detects, ScoresBoxes
from workbench.detectors.build import build_detector
from workbench.detectors.layers.branches import branch_prefixes
from workbench.detectors.locate import locate
from workbench.detectors.wrap import is_model, wrap
from workbench.errors import DataError, WeightsError
from workbench.files import whole_file


@runtime_checkable
class HasDetector(Protocol):
    """A `Run`."""

    def detector(self, *, hardener: bool = False) -> Detector:
        """The trained detector."""
        ...


DetectorLike: TypeAlias = Detector | HasDetector | Detects | str | Path  #: for `as_detector`; models of others, too

FORMAT = "occlusion-workbench-detector-1"
STATED = {"format", "config", "classes", "about", "digest"}  #: keys of what a file states of itself
LFS = b"version https://git-lfs"  #: how the stand-in of a file begins that Git LFS has not fetched


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
        WeightsError: a weight is not finite, or with `half` too large for 16 bits.

    Example:
        >>> path = save_detector(wb.load_detector("dfv/digits-c"), "copy.safetensors", half=True)
        >>> wb.load_detector(path).classes[:3]
        ('0', '1', '2')
    """
    path = Path(path)
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
    metadata["digest"] = _digest(state, metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(_in_order(save(state, metadata)))
    return path


def _digest(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """A checksum of the weights, as they are stored, and of what the file states of itself."""
    stated = {key: value for key, value in metadata.items() if key != "digest"}
    digest = hashlib.blake2b(json.dumps(stated, sort_keys=True).encode(), digest_size=16)
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _in_order(content: bytes) -> bytes:
    """The same .safetensors file with the keys of its header in order: the library's order is another each time."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    ordered = json.dumps(header | {"__metadata__": dict(sorted(header["__metadata__"].items()))}).encode()
    ordered += b" " * (-len(ordered) % 8)  # tensors begin at a multiple of 8
    return len(ordered).to_bytes(8, "little") + ordered + content[8 + length :]


def not_finite(state: Mapping[str, Any]) -> str | None:
    """The name of the first tensor of a state dict that holds a value that is not finite."""
    floats = {n: value for n, value in state.items() if isinstance(value, Tensor) and value.is_floating_point()}
    if not floats:
        return None
    good = torch.stack([value.isfinite().all() for value in floats.values()]).tolist()  # at once: a GPU is waited for
    return next((name for name, finite in zip(floats, good, strict=True) if not finite), None)


def load_detector(name: str | Path, device: str | torch.device = "cpu") -> Detector:
    """A detector ready to use, by shipped name ("digit-scenes/faster-rcnn"), file or run folder.

    For a `Run`, use `run.detector()`.

    Args:
        name: shipped name, file that `save_detector` wrote, or folder of a run that is done.
        device: where to put it.

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
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as reason:
        raise WeightsError(f"{path} is not a readable .safetensors file ({reason}). {_what_to_do(path)}") from reason
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} holds weights but not a detector's configuration; load it into a detector that you built "
            "with detector.load_state_dict(safetensors.torch.load_file(path))"
        )
    stated = metadata.get("digest", now := _digest(state, metadata))  # files of earlier versions have none
    if stated != now or not metadata.keys() <= STATED:
        raise WeightsError(f"{path} is damaged: it does not hold what was saved. Copy it again, or save it anew")
    config, classes, about = _described(metadata, path)
    detector = build_detector(config, classes, pretrained=False)
    detector.about = about
    state = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    try:
        detector.load_state_dict(state)
    except RuntimeError as reason:
        raise WeightsError(f"{path} does not fit its own configuration: {reason}") from reason
    if bad := not_finite(detector.state_dict()):
        raise WeightsError(
            f"{path}: values in {bad} are not finite; the training that made it has diverged. Use an earlier "
            "checkpoint: Run.open(folder).detector(step)"
        )
    return detector.to(device).eval()


def _what_to_do(path: Path) -> str:
    """With a file that is not one of ours."""
    if path.suffix == ".pt" and path.parent.name == "checkpoints":
        return f"It is a checkpoint: Run.open({str(path.parent.parent)!r}).detector(step) gives its detector."
    advice = (
        "A state dict from elsewhere goes into a detector that you built: "
        "detector.load_state_dict(torch.load(path, weights_only=True)); one of a backbone is named in a recipe by "
        "detector.backbone.weights."
    )
    with suppress(OSError), open(path, "rb") as file:
        if file.read(len(LFS)) == LFS:
            return f"It is only a pointer of Git LFS: `git lfs pull` fetches the file. {advice}"
    return advice


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
    if isinstance(thing, HasDetector) and callable(thing.detector):  # a recipe's is a section
        return thing.detector(hardener=True) if hardener else thing.detector()
    if isinstance(thing, Detector):
        return thing
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
