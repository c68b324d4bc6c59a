"""From the plain values of a recipe to a detector."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import nn

from workbench.detectors.base import Detector
from workbench.detectors.layers.pointwise import speed_up
from workbench.registry import DETECTORS


def build_detector(
    config: dict | str, classes: Sequence[str], hardener: nn.Module | None = None, *, pretrained: bool = True
) -> Detector:
    """The detector that `config` describes, with random or ImageNet weights as it says.

    Args:
        config: {"kind": ..., and the options of that kind}, or the kind alone.
        classes: names of labels 1..K.
        hardener: acts in `losses`.
        pretrained: False leaves out the ImageNet weights that `config` names, since others will be loaded.

    Raises:
        RecipeError: a kind or option that does not exist; the message lists what does.

    Example:
        >>> section = {"kind": "retinanet", "backbone": {"name": "small"}, "min_size": None}
        >>> detector = build_detector(section, ("cat", "dog"))
        >>> detector.kind, detector.classes, detector.config == section
        ('retinanet', ('cat', 'dog'), True)
    """
    config = {"kind": config} if isinstance(config, str) else copy.deepcopy(config)
    used, backbone = config, config.get("backbone") if isinstance(config, dict) else None
    if not pretrained and isinstance(backbone, dict) and "weights" in backbone:
        used = config | {"backbone": backbone | {"weights": None}}
    detector = DETECTORS.build(used, tuple(classes))
    speed_up(detector)
    detector.config = config
    detector.take_hardener(hardener)
    return detector
