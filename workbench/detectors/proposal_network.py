"""A region proposal network by itself, as Table 4.1 of Lin's thesis trains and measures it (ch. 4.5.1).

It gives proposals and no detections: `proposals(images, top)`, or `with_proposals(data, kind="detector", name=...)`
for `proposal_recall` and for a Fast R-CNN to learn on; `evaluate` gives their recall. Its names are those of Faster
R-CNN's trunk and `rpn`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workbench.detectors.base import Detector
from workbench.detectors.faster_rcnn import build_rpn
from workbench.detectors.layers.proposing import Proposing
from workbench.detectors.layers.rpn import RegionProposalNetwork
from workbench.detectors.layers.trunk import Resize, build_transform, build_trunk
from workbench.options import Count, Size
from workbench.registry import DETECTORS
from workbench.types import Losses, Target


@DETECTORS.register("rpn")
class ProposalNetwork(Proposing, Detector):
    """The first stage of Faster R-CNN, without the second; build one with `ProposalNetwork.build`.

    Args:
        backbone: images → list of maps, fine to coarse.
        rpn: proposes boxes on all maps.
        transform: resizes, normalises and batches the images.
        classes: names of labels 1..K, which it does not distinguish.
    """

    def __init__(
        self,
        backbone: nn.Module,
        rpn: RegionProposalNetwork,
        transform: Resize,
        classes: Sequence[str],
    ):
        super().__init__()
        self.transform, self.backbone, self.rpn = transform, backbone, rpn
        self.classes = tuple(classes)

    @classmethod
    def build(
        cls,
        classes: Sequence[str],
        *,
        backbone: dict | None = None,
        pyramid: bool | dict = True,
        channels: Count | None = None,
        anchor_sizes: Sequence[Sequence[Size]] | None = None,
        aspect_ratios: Sequence[Size] = (0.5, 1.0, 2.0),
        min_size: Count | Sequence[Count] | None = 800,
        max_size: Count | None = 1333,
        rpn: dict | None = None,
    ) -> ProposalNetwork:
        """A proposal network from plain values; the options are those of `FasterRCNN.build`.

        Raises:
            RecipeError: an option does not exist or does not fit the others.
        """
        trunk = build_trunk({"name": "resnet50"} | (backbone or {}), pyramid, channels)
        proposals = build_rpn(trunk, anchor_sizes, aspect_ratios, rpn)
        detector = cls(trunk.module, proposals, build_transform(min_size, max_size), classes)
        return detector.to(memory_format=torch.channels_last)

    def losses(
        self, images: Sequence[Tensor], targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> Losses:
        """The losses `objectness` and `rpn_box`.

        Args:
            images: [3, H, W] each, uint8 or float in 0..1.
            targets: `boxes` [N, 4] of each image, xyxy pixels.
            generator: the only source of sampling (default: torch's own).

        Raises:
            DataError: wrong images or targets.
        """
        batch, truth = self.prepare_to_learn(images, targets, generator=generator)
        _, losses = self.rpn(batch, self.maps(batch), truth, generator, counts=(1, 1))
        return Losses(losses)
