"""Which of our detectors a state dict of torchvision is of, by its names and shapes.

A state dict says neither the names of its classes nor what has no weights. With 91 outputs it is taken for one that
is trained on COCO, as those that torchvision publishes are; its ten labels without a class are called "N/A 12" and so
on. Where the statistics of BatchNorm are frozen, they have no eps, as in what torchvision publishes of the first
version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from workbench.detectors.outside.own_labels import BACKGROUND
from workbench.detectors.outside.torchvision_models import COCO
from workbench.errors import WeightsError

BODY = "backbone.body."
CLASSES = "roi_heads.box_predictor.cls_score.weight"  #: of an R-CNN
LOGITS = "head.classification_head.cls_logits.weight"  #: of a RetinaNet
#: b: with bottlenecks; behind them the groups of a ResNeXt and the width of each
DEPTHS = {
    "2222": "resnet18", "3463": "resnet34", "3463b": "resnet50", "34233b": "resnet101",
    "3463b32x4d": "resnext50_32x4d", "34233b32x4d": "resnext101_32x4d", "34233b32x8d": "resnext101_32x8d",
    "34233b64x4d": "resnext101_64x4d",
}  # fmt: skip
#: What only others of torchvision's detectors have.
OTHERS = {
    "roi_heads.keypoint_predictor.": "a Keypoint R-CNN",
    "head.regression_head.bbox_ctrness.": "an FCOS",
    "head.classification_head.module_list.": "an SSD",
}
PER_PLACE = 9  #: anchors of a RetinaNet


def described(state: Mapping[str, Tensor], classes: Sequence[str] | None, where: str) -> tuple[dict, list[str]]:
    """Configuration and classes of the detector that a state dict is of.

    Args:
        state: names → tensors.
        classes: names of labels 1..K; None: COCO's, for 91 outputs.
        where: the file, for messages.

    Raises:
        WeightsError: it is none of torchvision's that is known here, or its classes are not known.
    """
    found = next((name for start, name in OTHERS.items() if any(key.startswith(start) for key in state)), None)
    if found:
        build = "build it with torchvision, load the state dict into it, and wb.wrap(model)"
        raise WeightsError(f"{where} holds weights of {found}, which has no counterpart here; {build}")
    if CLASSES in state and f"{BODY}conv1.weight" in state:
        config, outputs = _rcnn(state, where), len(state[CLASSES])
    elif LOGITS in state and f"{BODY}conv1.weight" in state:
        config, outputs = _retinanet(state, where), len(state[LOGITS]) // PER_PLACE
    else:
        names = ", ".join(list(state)[:3])
        what = f"{where} holds weights that are of no detector known here, by their names ({names} ...)"
        fix = (
            "load them into a detector that you built: detector.load_state_dict(torch.load(path, weights_only=True))"
        )
        more = (
            "one of a backbone is named in a recipe by detector.backbone.weights, and wb.wrap takes models of others"
        )
        raise WeightsError(f"{what}; {fix}; {more}")
    return config, _classes(classes, outputs - 1, where)


def _classes(given: Sequence[str] | None, number: int, where: str) -> list[str]:
    if given is None:
        if number != len(COCO) - 1:
            fix = f"give them: load_detector({where!r}, classes=[...])"
            raise WeightsError(f"{where} has {number} classes, whose names a state dict does not hold; {fix}")
        return [name if name != "N/A" else f"N/A {label}" for label, name in COCO.items() if label]
    names = [str(one) for one in given]
    if len(names) == number + 1 and names[0].lower() in BACKGROUND:
        names = names[1:]
    if len(names) != number:
        raise WeightsError(
            f"{where} has {number} classes, and {len(names)} names were given; give one for each label"
        )
    return names


def _backbone(state: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    counts = [len({key.split(".")[3] for key in state if key.startswith(f"{BODY}layer{i}.")}) for i in range(1, 5)]
    shape = "".join(map(str, counts)) + ("b" if f"{BODY}layer1.0.conv3.weight" in state else "")
    middle = state.get(f"{BODY}layer1.0.conv2.weight")
    if middle is not None and middle.shape[0] > middle.shape[1]:  # its channels, and those of a group
        shape += f"{middle.shape[0] // middle.shape[1]}x{middle.shape[1]}d"
    if shape not in DEPTHS:
        raise WeightsError(f"{where}: a backbone of {counts} blocks is none of {', '.join(DEPTHS.values())}")
    trained = any(key.startswith(BODY) and key.endswith("num_batches_tracked") for key in state)
    return {"name": DEPTHS[shape], **({"norm": "batch"} if trained else {"norm": "frozen", "eps": 0.0})}


def _rcnn(state: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    config: dict[str, Any] = {"kind": "faster-rcnn", "backbone": _backbone(state, where)}
    if "backbone.fpn.inner_blocks.0.1.weight" in state:
        config["pyramid"] = {"norm": "batch"}
        config["backbone"].pop("eps", None)
    depth = _layers(state, r"rpn\.head\.conv\.(\d+)\.0\.weight")
    if depth > 1:
        config["rpn"] = {"conv_depth": depth}
    if "roi_heads.box_head.fc6.weight" in state:
        config["head"] = {"kind": "two-fc", "width": len(state["roi_heads.box_head.fc6.weight"])}
    else:
        layers = _widths(state, "roi_heads.box_head.{}.0.weight")
        width = len(state[CLASSES][0])
        norm = "batch" if "roi_heads.box_head.0.1.weight" in state else None
        config["head"] = {"kind": "conv-fc", "layers": layers, "width": width, "norm": norm}
    if any(key.startswith("roi_heads.mask_predictor.") for key in state):
        normed = "roi_heads.mask_head.0.1.weight" in state
        config |= {"kind": "mask-rcnn", "mask": {"norm": "batch"} if normed else {}}
    return config


def _retinanet(state: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    second = "head.classification_head.conv.0.1.weight" in state
    backbone = _backbone(state, where)
    if second:
        backbone.pop("eps", None)
    return {"kind": "retinanet", "form": "torchvision-v2" if second else "torchvision", "backbone": backbone}


def _layers(state: Mapping[str, Tensor], pattern: str) -> int:
    """How many names match, each with another number."""
    return len({found[1] for key in state if (found := re.fullmatch(pattern, key))})


def _widths(state: Mapping[str, Tensor], name: str) -> list[int]:
    """Outputs of layers 0, 1, ... by the name of their weights."""
    widths: list[int] = []
    while name.format(len(widths)) in state:
        widths.append(len(state[name.format(len(widths))]))
    return widths
