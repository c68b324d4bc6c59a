"""What detectors are given, checked and as they need it: images as floats, targets with what they learn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from workbench.detectors.layers.branches import Branch
from workbench.errors import DataError
from workbench.types import Target, learnable

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  #: of pixels in 0..1
SLACK = 0.25  #: by which float images may overshoot 0..1, as after resizing


def is_empty(images: Sequence[Tensor]) -> bool:
    """Whether a batch has no images.

    Raises:
        DataError: it is no list.
    """
    return _length("images", images) == 0


def check_batch(images: Sequence[Tensor], **others: Sequence[Any]) -> None:
    """See that there are images, and of everything else one for each of them.

    Raises:
        DataError: there are none, or something is no list or of another length.
    """
    if is_empty(images):
        raise DataError("the batch has no images; expected at least one")
    for name, given in others.items():
        if _length(name, given) != len(images):
            raise DataError(f"{len(images)} images came with {len(given)} {name}; expected one of each image")


def as_float(images: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Images as float32 in 0..1 on `device`.

    Raises:
        DataError: no images, or one that is not [3, H, W] with pixels, or not uint8 or float in 0..1.
    """
    check_batch(images)
    out = []
    for index, image in enumerate(images):
        _check_image(image, index)
        plain = image.as_subclass(Tensor).to(device, non_blocking=True)
        out.append(plain.float() / 255 if plain.dtype == torch.uint8 else _in_range(plain, index).float())
    return out


def as_bytes(images: Sequence[Tensor]) -> list[Tensor]:
    """Images as uint8 [3, H, W] on the CPU; floats are rounded to the nearest of 256 values.

    Raises:
        DataError: as `as_float`.
    """
    check_batch(images)
    out = []
    for index, image in enumerate(images):
        _check_image(image, index)
        plain = image.as_subclass(Tensor).detach().cpu()
        if plain.dtype != torch.uint8:
            plain = (255 * _in_range(plain, index).float()).round().clamp(0, 255).byte()
        out.append(plain)
    return out


def _check_image(image: object, index: int) -> None:
    """Raise a DataError unless an image is a tensor [3, H, W] with pixels."""
    if not isinstance(image, Tensor):
        what = f"image {index} of the batch is a {type(image).__name__}; expected a tensor [3, H, W]"
        raise DataError(f"{what}: workbench.read_image(path) gives one of a file")
    if image.ndim != 3 or image.shape[0] != 3 or image.numel() == 0:
        raise DataError(f"image {index} of the batch has shape {tuple(image.shape)}; expected [3, H, W]")


def _in_range(image: Tensor, index: int) -> Tensor:
    """An image of floats as it is, or a DataError that says its values."""
    if not image.is_floating_point():
        raise DataError(f"image {index} of the batch has dtype {image.dtype}; expected uint8 or float")
    low, high = torch.stack(torch.aminmax(image.detach())).tolist()
    if not -SLACK <= low <= high <= 1 + SLACK:  # also not a number
        what = f"image {index} of the batch has float values from {low:.3g} to {high:.3g}"
        raise DataError(f"{what}; expected 0 to 1, or uint8")
    return image


def training_targets(
    targets: Sequence[Target],
    images: Sequence[Tensor],
    num_classes: int,
    device: torch.device,
    *,
    branches: Iterable[Branch] = (),
    needed: Iterable[str] = (),
) -> list[dict[str, Tensor]]:
    """Boxes and labels to learn from, on `device`; crowds, difficult and ignored objects are left out.

    Where an image has objects that are `ignored`, their boxes [M, 4] are `boxes_ignored`: no background lies there.
    Those of crowds are `boxes_crowd`.

    Args:
        num_classes: K.
        branches: what they learn from comes along, as uint8: `masks...` [N, H, W], anything else [H, W].
        needed: keys of further pixels, which every target must have.

    Raises:
        DataError: boxes and labels that are not [N, 4] and [N], empty or not finite boxes, labels outside 1..K, a
            missing target or mask.
    """
    wanted = [(key, True) for key in needed]
    wanted += [(key, branch.needs_every_image) for branch in branches for key in branch.learns_from]
    check_batch(images, targets=targets)
    found = []
    for index, target in enumerate(targets):
        _check_form(target, index)
        boxes = target["boxes"].as_subclass(Tensor).to(device).float().reshape(-1, 4)
        labels = target["labels"].to(device).long()
        crowd = target["iscrowd"] if "iscrowd" in target else torch.zeros(len(labels), dtype=torch.bool)
        keep = torch.stack([learnable(target).to(device), crowd.to(device).bool()], dim=1)
        found.append((boxes, labels, _flags(boxes, labels, keep, num_classes)))
    numbers = [len(labels) for _, labels, _ in found]
    flags = torch.cat([each for *_, each in found]).cpu().split(numbers)  # the one wait for the device
    out = []
    for index, (target, (given, labels, _), flag) in enumerate(zip(targets, found, flags, strict=True)):
        rows = slice(None) if flag[:, 0].all() else flag[:, 0]
        boxes, labels = given[rows], labels[rows]
        _check_objects(boxes, labels, flag[rows], num_classes, target.get("image_id", index))
        out.append({"boxes": boxes, "labels": labels})
        if "ignored" in target and bool(target["ignored"].any()):
            unlearned = target["ignored"].to(device) & (given[:, 2:] > given[:, :2]).all(dim=1)
            out[-1]["boxes_ignored"] = given[unlearned]
        if flag[:, 1].any():
            out[-1]["boxes_crowd"] = given[flag[:, 1] & ~flag[:, 2]]
        for key, everywhere in wanted:
            if everywhere or key in target:
                pixels = _pixels(target, key, images[index], index)
                out[-1][key] = (pixels[rows] if pixels.ndim == 3 else pixels).to(device)
    return out


def _length(name: str, given: Sequence[Any]) -> int:
    try:
        return len(given)
    except TypeError:
        raise DataError(f"expected a list of {name}, got {given!r:.60} ({type(given).__name__})") from None


def _check_form(target: Target, index: int) -> None:
    """Raise a DataError unless a target has boxes [N, 4] and labels [N]."""
    check_is_target(target, index)
    where = f"image {target.get('image_id', index)}"
    for key, form in (("boxes", "[N, 4]"), ("labels", "[N]")):
        if not isinstance(target.get(key), Tensor):
            came = f"is a {type(target[key]).__name__}" if key in target else "is missing"
            raise DataError(f'{where}: target["{key}"] {came}; expected a tensor {form}')
    boxes, labels = tuple(target["boxes"].shape), tuple(target["labels"].shape)
    if len(labels) != 1 or (boxes != (*labels, 4) and (labels[0] or target["boxes"].numel())):
        raise DataError(f"{where}: boxes have shape {boxes} and labels {labels}; expected [N, 4] and [N]")


def check_is_target(target: Target, index: int) -> None:
    """Raise a DataError unless the target of the image at `index` is a dict, as data sets give it."""
    if not isinstance(target, Mapping):
        raise DataError(f"target {index} of the batch is a {type(target).__name__}; expected a dict, as data[i][1]")


def _pixels(target: Target, key: str, image: Tensor, index: int) -> Tensor:
    """uint8 [N, H, W] of each object or [H, W] of one image, or an error that says what is missing."""
    if key not in target:
        what, advice = key, "such labels"
        if key.startswith("masks"):
            what, advice = "masks", "masks (coco: options.masks true), or a detector of boxes"
        where = f'image {target.get("image_id", index)} has no target["{key}"]'
        raise DataError(f"{where}, and the detector learns {what}; use data with {advice}")
    shape, size = tuple(target[key].shape), tuple(image.shape[-2:])
    expected = (len(target["labels"]), *size) if key.startswith("masks") else size
    if shape != expected:
        raise DataError(f"image {target.get('image_id', index)}: {key} have shape {shape}, expected {expected}")
    return target[key].as_subclass(Tensor).to(torch.uint8)


def _flags(boxes: Tensor, labels: Tensor, keep: Tensor, num_classes: int) -> Tensor:
    """[N, 4] bool: whether an object is learned from, whether it is a crowd (`keep`), its box is wrong, its label."""
    wrong_box = ~torch.isfinite(boxes).all(dim=1) | (boxes[:, 2:] <= boxes[:, :2]).any(dim=1)
    return torch.cat([keep, torch.stack([wrong_box, (labels < 1) | (labels > num_classes)], dim=1)], dim=1)


def _check_objects(boxes: Tensor, labels: Tensor, flags: Tensor, num_classes: int, image_id: object) -> None:
    """Raise a DataError about what is wrong with objects that are learned from."""
    _, _, wrong_box, wrong_label = flags.unbind(dim=1)
    if wrong_box.any():
        row = int(wrong_box.nonzero()[0])
        raise DataError(
            f"image {image_id}, object {row}: box {boxes[row].tolist()} is empty or not finite; expected "
            "x1 < x2 and y1 < y2 in pixels. Were the boxes given as x, y, width, height?"
        )
    if wrong_label.any():
        wrong = labels[wrong_label].unique().tolist()
        raise DataError(
            f"image {image_id}: labels {wrong} are outside 1..{num_classes} (0 is background); does the "
            "detector have the classes of this data set?"
        )
