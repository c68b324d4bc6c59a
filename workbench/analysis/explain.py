"""One way to ask what detections rest on, whatever the method and the detector.

| method | asks for | works for |
|---|---|---|
| "layer-cam", "hires-cam" | gradients in the maps of the network | our detectors of objects, torchvision's, modules |
| "attention" | the same in the cells of its RoI | detectors with RoIs |
| "d-rise" | what is found in a thousand masked images | anything with `detect` |

The first take a hundredth of a second; of other modules they need `layers` and `scores`, see `class_activation`.

Which of them is to be believed, `saliency_curves` and `saliency_table` measure; what they say of our detectors is in
`docs/results.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.analysis import class_activation as activation
from workbench.analysis.attention import roi_attention
from workbench.analysis.d_rise import METHOD as D_RISE
from workbench.analysis.d_rise import d_rise
from workbench.analysis.explaining.looking import finder
from workbench.analysis.saliency import Saliency, check_asked
from workbench.detectors.base import Detects, HasRoIs
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError, did_you_mean
from workbench.types import Detections

ATTENTION = "attention"
METHODS = (*activation.METHODS, ATTENTION, D_RISE)
FOUND = 0.5  #: score from which detections are explained, where none are named


def methods_of(detector: object) -> tuple[str, ...]:
    """The methods that can be asked of a detector without more being said, the quickest first.

    Example:
        >>> methods_of(wb.load_detector("digit-scenes/retinanet"))
        ('layer-cam', 'hires-cam', 'd-rise')
    """
    able: tuple[str, ...] = tuple(activation.METHODS) if activation.has_layers(detector) else ()
    able += (ATTENTION,) if isinstance(detector, HasRoIs) else ()
    return able + ((D_RISE,) if isinstance(detector, Detects) else ())


def explain(
    detector: DetectorLike | nn.Module,
    image: Tensor,
    detections: Detections | None = None,
    *,
    method: str | None = None,
    **options: Any,
) -> list[Saliency]:
    """What each detection of an image rests on: a map [H, W] for each, and what made it.

    Args:
        detector: see the table of the module.
        image: uint8 [3, H, W].
        detections: what to explain, such as `found[:3]`; None: what the detector finds with a score of 0.5 or more.
        method: one of `METHODS`; None: the quickest that the detector can be asked for.
        options: of the method: see `class_activation.class_activation` and `d_rise.d_rise`.

    Raises:
        DataError: an unknown method, or one that does not fit the detector; and what the method says.

    Example:
        >>> image, _ = wb.load_data("digit-scenes", split="test")[7]
        >>> maps = wb.explain("digit-scenes/faster-rcnn", image)
        >>> [one.method for one in maps], all(one.energy() > 5 * one.chance() for one in maps)
        (['layer-cam', 'layer-cam', 'layer-cam', 'layer-cam'], True)
        >>> maps = wb.explain("digit-scenes/faster-rcnn", image, method="d-rise", masks=100)  # needs only detections
        >>> maps[0].settings["similarity"]
        'IoU × same class × score'
    """
    module: Any = detector if isinstance(detector, nn.Module) else as_detector(detector)
    if method is None:
        method = next(iter(methods_of(module)), next(iter(activation.METHODS)))
    if method not in METHODS:
        raise DataError(f"method {method!r} does not exist{did_you_mean(method, METHODS)}")
    if detections is None:
        detections = _found(module, image)
    return _ASKED[method](module, image, detections, **options)


def _found(detector: Any, image: Tensor) -> Detections:
    """What the detector finds."""
    detects = isinstance(detector, Detects)
    if not detects:
        what = f"a {type(detector).__name__} has no detect(images)"
        raise DataError(f"{what}; say which detections to explain")
    return finder(detector, image)([image])[0].above(FOUND)


def _attention(detector: Any, image: Tensor, detections: Detections) -> list[Saliency]:
    """Attention of eq. 1 of Inverted Attention in the box of each detection, and 0 outside."""
    targets, found = check_asked(image, detections, len(detector.classes)), []
    for box, label, score in zip(targets.boxes, targets.labels.tolist(), targets.scores.tolist(), strict=True):
        seen = roi_attention(detector, image, box, label)
        found.append(Saliency(_in_box(seen.map, seen.box, image.shape[-2:]), ATTENTION, box, label, score))
    return found


def _in_box(cells: Tensor, box: Tensor, size: tuple[int, ...]) -> Tensor:
    """A map [h, w] of a box enlarged bilinearly to its pixels in an image of `size`; 0 outside."""
    places = []
    for side, low, high in zip(size, (box[1], box[0]), (box[3], box[2]), strict=True):
        places.append(2 * (torch.arange(side) + 0.5 - low) / (high - low) - 1)
    y, x = torch.meshgrid(*places, indexing="ij")
    grid = torch.stack([x, y], dim=-1)[None]
    large = F.grid_sample(cells[None, None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0, 0]
    return large * ((x.abs() < 1) & (y.abs() < 1))


def _activation(method: str) -> Callable[..., list[Saliency]]:
    def ask(*asked_about: Any, **options: Any) -> list[Saliency]:
        return activation.class_activation(*asked_about, method=method, **options)

    return ask


_ASKED: dict[str, Callable[..., list[Saliency]]] = {
    **{method: _activation(method) for method in activation.METHODS},
    ATTENTION: _attention,
    D_RISE: d_rise,
}
