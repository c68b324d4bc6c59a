"""From the plain values of a recipe to a detector."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence

from torch import nn

from workbench.detectors.base import Detector
from workbench.detectors.classifier import Classifier
from workbench.detectors.dfv_decoder import DFVDecoder
from workbench.detectors.fast_rcnn import FastRCNN
from workbench.detectors.faster_rcnn import FasterRCNN
from workbench.detectors.layers.pointwise import speed_up
from workbench.detectors.mask_rcnn import MaskRCNN
from workbench.detectors.proposal_network import ProposalNetwork
from workbench.detectors.retinanet import RetinaNet
from workbench.errors import RecipeError

KINDS: dict[str, Callable[..., Detector]] = {
    "classifier": Classifier.build,
    "dfv-decoder": DFVDecoder.build,
    "fast-rcnn": FastRCNN.build,
    "faster-rcnn": FasterRCNN.build,
    "mask-rcnn": MaskRCNN.build,
    "retinanet": RetinaNet.build,
    "rpn": ProposalNetwork.build,
}


def build_detector(
    config: dict, classes: Sequence[str], hardener: nn.Module | None = None, *, pretrained: bool = True
) -> Detector:
    """The detector that `config` describes, with random or ImageNet weights as it says.

    Args:
        config: {"kind": one of `KINDS`, and the options of that kind}.
        classes: names of labels 1..K.
        hardener: acts in `losses`.
        pretrained: False leaves out the ImageNet weights that `config` names, since others will be loaded.

    Raises:
        RecipeError: a kind or option that does not exist; the message lists what does.
    """
    options = copy.deepcopy(config)
    kind = options.pop("kind", None)
    if kind not in KINDS:
        raise RecipeError(f"detector.kind {kind!r} does not exist; choose one of {sorted(KINDS)}")
    known = [name for name in _options(KINDS[kind]) if name != "classes"]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise RecipeError(f"detector.{unknown[0]} is not an option of {kind}; choose from {known}")
    if not pretrained and "weights" in (options.get("backbone") or {}):
        options["backbone"]["weights"] = None
    detector = KINDS[kind](tuple(classes), **options)
    speed_up(detector)
    detector.config = copy.deepcopy(config)
    detector.take_hardener(hardener)
    return detector


def _options(build: Callable[..., Detector]) -> list[str]:
    """Names of the options of a `build`; one that hands **options on to its parent's has the parent's, too."""
    parameters = inspect.signature(build).parameters.values()
    names = [one.name for one in parameters if one.kind is not one.VAR_KEYWORD]
    return names if len(names) == len(parameters) else names + _options(build.__self__.__mro__[1].build)
