"""What a saved detector proposes."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from workbench.data.dataset import Dataset
from workbench.detectors.base import Detector
from workbench.detectors.load import load_detector
from workbench.detectors.locate import locate
from workbench.options import Count
from workbench.proposals.base import Computed, Source
from workbench.registry import PROPOSALS
from workbench.types import Proposals


@PROPOSALS.register("detector")
def make(
    data: Dataset, top: Count, *, name: str | Path, device: str = "cpu", cache: str | Path | None = None
) -> Source:
    """What the detector called `name` proposes for `data`, kept in `cache`."""
    propose = DetectorProposals(name, top=top, device=device)
    return Computed(propose, propose.options, cache=cache)


class DetectorProposals:
    """What a saved detector proposes, with scores.

    These are its proposals with their objectness, and with masks where it proposes masks; or, where it proposes
    nothing, its detections with their scores and masks.

    Args:
        name: as for `load_detector`.
        top: proposals per image, best first.
        device: where it runs; it is loaded when the first image is asked for.
    """

    def __init__(self, name: str | Path, *, top: int, device: str = "cpu"):
        self.path, self.top, self.device = locate(name), top, device

    @property
    def options(self) -> dict[str, Any]:
        """What decides what it proposes."""
        weights = hashlib.sha256(self.path.read_bytes()).hexdigest()
        return {"kind": "detector", "weights": weights, "top": self.top, "revision": 1}

    @cached_property
    def detector(self) -> Detector:
        """The detector, on its device."""
        return load_detector(self.path, self.device)

    def __call__(self, image: Tensor) -> Proposals:
        """Those of an image uint8 [3, H, W]."""
        return Proposals.of(self.detector.proposals([image], self.top)[0]).to("cpu")
