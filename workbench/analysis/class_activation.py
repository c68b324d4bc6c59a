"""What a detection rests on, from inside the network: LayerCAM and HiResCAM on all levels of its maps.

Both weigh each element of a map A of a layer with the gradient of one score there, g = d score / d A, cell by cell,
and sum over channels, so that they stay sharp also on large maps of early layers, where Grad-CAM's one weight per
channel does not:

| method | map M | paper |
|---|---|---|
| "layer-cam" | max(0, Σ_c max(0, g_c) A_c) | Jiang et al., LayerCAM, IEEE TIP 2021 |
| "hires-cam" | Σ_c g_c A_c | Draelos & Carin, Use HiResCAM instead of Grad-CAM, 2020 |

**The score is that of one detection**, not of the image: for our detectors the logit of its class in
`detector.box_logits` at its own box, that is of the RoI there, or, of dense detectors, of the best anchor whose
prediction overlaps it. For torchvision's detectors, and those that `wb.wrap` puts around a torch module, it is the
score of the detection of that class that overlaps it most. A map that were the same for any target would explain
nothing: `tests/analysis/test_class_activation.py` holds that it follows.

**Several maps**: those that one layer gives (the levels of a pyramid) lie beside each other in the network, each adds
a part of its own to the score's first-order change, and they are summed, per pixel of the image (a value of a coarse
cell is spread over its area). Of several layers, which lie behind each other and show the same evidence again, each
is scaled to a highest value of 1, and the highest at each pixel is taken (as LayerCAM fuses layers, but without its
tanh). Maps are enlarged bilinearly to exactly the part of the image that they cover.

Where we depart: HiResCAM keeps its sign, as the paper's proof has it; its pictures cut it at 0. LayerCAM sees class
scores of classifiers, here it is detections. It does not help where features are negative: LayerCAM takes what is
positive of a product, and the maps of a pyramid have both signs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import box_iou

from workbench.analysis.explaining.layers import Recorded, differentiable, recorded
from workbench.analysis.saliency import LevelMap, Saliency, check_asked
from workbench.detectors.base import Detector, HasBoxLogits
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.types import Detections

#: From maps A and gradients g [C, h, w] to [h, w].
METHODS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "layer-cam": lambda maps, gradients: (gradients.clamp(min=0) * maps).sum(dim=0).clamp(min=0),
    "hires-cam": lambda maps, gradients: (gradients * maps).sum(dim=0),
}
LAYERS = ("backbone",)  #: unless said otherwise: the maps that the heads of our and of torchvision's detectors see
BODY = ("backbone.body",)  #: the maps that a pyramid is built from
SAME = 0.5  #: IoU from which a detection is the one that is asked about


class Asked(Protocol):
    """How a wrapped detector is asked."""

    def ask(self, images: Sequence[Tensor], device: torch.device) -> Sequence[Any]:
        """What the wrapped one answers for each image; with gradients where they are on."""
        ...


@runtime_checkable
class Wraps(Protocol):
    """A detector of others around a torch module, as `wb.wrap` makes them."""

    module: nn.Module | None
    family: Asked

    @property
    def device(self) -> torch.device:
        """Where the module is."""
        ...


def has_layers(detector: object) -> bool:
    """Whether a detector can be asked without more being said: it is ours, or wraps a module with `LAYERS`."""
    if isinstance(detector, Wraps):
        return detector.module is not None and set(LAYERS) <= {name for name, _ in detector.module.named_children()}
    return isinstance(detector, HasBoxLogits)


def class_activation(
    detector: DetectorLike | nn.Module,
    image: Tensor,
    detections: Detections,
    *,
    method: str = "layer-cam",
    layers: Sequence[str] = LAYERS,
    scores: Callable[[], Tensor] | None = None,
) -> list[Saliency]:
    """What each detection rests on, by gradients in the maps of a network; see the module.

    Args:
        detector: one of ours, one of torchvision's, one that wraps a torch module, or with `scores` any module.
        image: uint8 [3, H, W].
        detections: what to explain: of this detector, or boxes and labels of your own.
        method: one of `METHODS`.
        layers: names of modules in it (in the wrapped one), as `named_modules()` has them: of our detectors
            "backbone" are the maps that the heads see (P_k of a pyramid), and "backbone.body" those that a pyramid is
            built from (C_k).
        scores: runs the module on the image and gives the score of each detection, [N], with its graph; for modules
            whose output we cannot know. Their maps must cover the image as a whole.

    Returns:
        One for each detection, with the map of every level.

    Raises:
        DataError: no such method or layer, a layer without maps, or one that no score depends on; a module whose
            scores cannot be asked for; a detection that torchvision's detector does not have.

    Example:
        >>> image, _ = wb.load_data("digit-scenes", split="test")[7]
        >>> detector = wb.load_detector("digit-scenes/retinanet")
        >>> found = detector.detect([image])[0].above(0.9)
        >>> best = class_activation(detector, image, found, method="hires-cam")[0]
        >>> best.points_at(), [round(level.stride) for level in best.levels]
        (True, [8, 16, 32, 64])
    """
    if method not in METHODS:
        raise DataError(f"method {method!r} does not exist; choose from {', '.join(METHODS)}")
    module: Any = detector if isinstance(detector, nn.Module) else as_detector(detector)
    targets = check_asked(image, detections, len(module.classes) if isinstance(module, Detector) else None)
    if not len(targets):
        return []
    asked = scores or _scores_of(module, image, targets)
    if isinstance(module, Wraps) and module.module is not None:
        module = module.module
    with differentiable(module), recorded(module, layers) as seen:
        given = asked()
        per_score = _gradients(given, seen, layers, len(targets))
    names = [_layer_of(name, layers) for name in seen.names]
    found = []
    for row, gradients in enumerate(per_score):
        pairs = zip(seen.maps, gradients, strict=True)
        raw = [METHODS[method](one[0].detach().float(), gradient[0].float()).cpu() for one, gradient in pairs]
        whole, levels = _together(raw, seen, names, image.shape[-2:])
        settings = {"layers": tuple(layers), "target": float(given[row].detach())}
        box, label, score = targets.boxes[row], int(targets.labels[row]), float(targets.scores[row])
        found.append(Saliency(whole, method, box, label, score, settings, levels))
    return found


def _gradients(scores: Tensor, seen: Recorded, layers: Sequence[str], number: int) -> list[list[Tensor]]:
    """Of each score, its gradients in all maps; 0 where it does not depend on one.

    Raises:
        DataError: the layers gave no maps, or maps of several images, or no score depends on any.
    """
    if scores.shape != (number,):
        raise DataError(f"scores gave {tuple(scores.shape)}; expected [{number}], one for each detection")
    if shapes := [tuple(one.shape) for one in seen.maps if len(one) != 1]:
        raise DataError(f"layer {', '.join(layers)} gave maps of shape {shapes[0]}; expected one image, [1, C, h, w]")
    if not seen.maps or not scores.requires_grad:
        what = "gave no maps [1, C, h, w]" if not seen.maps else "has no part in the scores"
        raise DataError(
            f"layer {', '.join(layers)} {what}; choose one whose maps lead to the scores, as a stage of it"
        )
    out = []
    for row in range(number):
        found = torch.autograd.grad(scores[row], seen.maps, retain_graph=row + 1 < number, allow_unused=True)
        pairs = zip(found, seen.maps, strict=True)
        out.append([torch.zeros_like(one) if gradient is None else gradient for gradient, one in pairs])
    return out


def _together(
    raw: Sequence[Tensor], seen: Recorded, names: Sequence[str], size: Sequence[int]
) -> tuple[Tensor, tuple[LevelMap, ...]]:
    """The map [H, W] of an image of `size`, and what each of the maps [h, w] adds to it."""
    height, width = size
    covered = seen.covers[0] * height, seen.covers[1] * width
    areas = [covered[0] * covered[1] / one.numel() for one in raw]
    weights = [min(areas) / area for area in areas]  # so that a coarse cell's value is spread over its pixels
    positive = [float(one.clamp(min=0).sum()) for one in raw]
    total = sum(positive)
    levels = tuple(
        LevelMap(name, one, covered[0] / one.shape[0], part / total if total > 0 else 0.0)
        for name, one, part in zip(seen.names, raw, positive, strict=True)
    )
    of_layers: dict[str, Tensor] = {}
    for layer, one, weight in zip(names, raw, weights, strict=True):
        large = enlarged(one, covered, (height, width)) * weight
        of_layers[layer] = of_layers[layer] + large if layer in of_layers else large
    if len(of_layers) == 1:
        return next(iter(of_layers.values())), levels
    scaled = [one / max(float(one.max()), 1e-12) for one in of_layers.values()]
    return torch.stack(scaled).amax(dim=0), levels


def enlarged(cells: Tensor, covered: tuple[float, float], size: tuple[int, int]) -> Tensor:
    """A map [h, w] that covers (height, width) pixels from the upper left corner, at each pixel of `size`: bilinear.

    Where it covers exactly the image this is what `torch.nn.functional.interpolate` gives.
    """
    places = []
    for pixels, cover in zip(size, covered, strict=True):
        places.append(2 * (torch.arange(pixels) + 0.5) / cover - 1)
    y, x = torch.meshgrid(*places, indexing="ij")
    grid = torch.stack([x, y], dim=-1)[None]
    return F.grid_sample(cells[None, None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0, 0]


def _layer_of(name: str, layers: Sequence[str]) -> str:
    """The layer that a map is of."""
    return max((one for one in layers if name == one or name.startswith(f"{one}.")), key=len)


def _scores_of(module: Any, image: Tensor, targets: Detections) -> Callable[[], Tensor]:
    """What gives the scores [N] of the targets."""
    boxes, labels = targets.boxes, targets.labels
    if isinstance(module, HasBoxLogits):

        def logits() -> Tensor:
            found = module.box_logits([image], [boxes])[0]
            return found.gather(1, labels.to(found.device)[:, None])[:, 0]

        return logits
    name = type(module).__name__
    if not isinstance(module, nn.Module) or next(module.parameters(), None) is None:
        what = f"{module!r} is no torch module, so there are no layers to look into"
        raise DataError(f"{what}; d_rise explains any detector from the outside")
    if isinstance(module, Wraps):
        own = _its_own(module, image, targets)
        return lambda: _same_scores(module.family.ask([image], module.device), own, name)

    def detected() -> Tensor:
        device = next(module.parameters()).device
        found = _answer(module([image.as_subclass(Tensor).to(device).float() / 255]), name)
        rows = _matching(boxes.to(device), labels.to(device), found["boxes"], found["labels"], name)
        return found["scores"][rows]

    return detected


def _its_own(detector: Any, image: Tensor, targets: Detections) -> Detections:
    """The detections of a detector that wraps a module that the targets are, with its own boxes and scores."""
    found = detector.detect([image])[0].to("cpu")
    return found[_matching(targets.boxes, targets.labels, found.boxes, found.labels, type(detector).__name__)]


def _same_scores(output: Any, own: Detections, name: str) -> Tensor:
    """The scores [N] of `own` as the wrapped module gave them, with their graph; its labels may be other numbers."""
    found = _answer(output, name)
    boxes, scores = found["boxes"].detach().float().cpu(), found["scores"].detach().float().cpu()
    off = (own.boxes[:, None] - boxes).abs().amax(dim=2) + (own.scores[:, None] - scores).abs()
    return found["scores"][off.argmin(dim=1).to(found["scores"].device)]


def _answer(output: Any, name: str) -> Mapping[str, Tensor]:
    """Boxes, labels and scores of the one image that a module was asked about.

    Raises:
        DataError: they are not there.
    """
    keys = {"boxes", "labels", "scores"}
    one = output[0] if isinstance(output, list) and len(output) == 1 else None
    if not (isinstance(one, Mapping) and keys <= set(one) and all(isinstance(one[key], Tensor) for key in keys)):
        what = f"{name} gives no list of boxes, labels and scores as torchvision's detectors do"
        raise DataError(f"{what}; give scores, a function that runs it and gives those of the detections")
    return one


def _matching(boxes: Tensor, labels: Tensor, found: Tensor, found_labels: Tensor, name: str) -> Tensor:
    """Which of the found boxes [M, 4] each box [N, 4] is, by class and IoU: [N].

    Raises:
        DataError: one of them is not among those that are found.
    """
    overlap = box_iou(boxes, found.detach().float()) * (labels[:, None] == found_labels)
    best = overlap.amax(dim=1) if len(found) else overlap.new_zeros(len(boxes))
    if bool((best < SAME).any()):
        missing, counts = int(best.argmin()), dict(Counter(found_labels.tolist()).most_common(5))
        what = f"detection {missing} (label {int(labels[missing])}, box {boxes[missing].tolist()})"
        raise DataError(f"{name} does not find {what} in this image; it finds labels {counts} (label: how often)")
    return overlap.argmax(dim=1)
