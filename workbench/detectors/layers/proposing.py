"""What detectors with a region proposal network share: its proposals and anchors, asked for by themselves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes

from workbench.detectors.base import as_float, evaluating
from workbench.detectors.layers.rpn import RegionProposalNetwork
from workbench.types import Proposals


class Proposing:
    """Mixin of a detector whose `rpn` proposes boxes on the maps of `backbone`."""

    transform: GeneralizedRCNNTransform
    backbone: torch.nn.Module
    rpn: RegionProposalNetwork
    device: torch.device

    def proposals(self, images: Sequence[Tensor], top: int) -> list[Proposals]:
        """The `top` of each image in its own pixels by objectness, after NMS among at least as many per level."""
        with evaluating(self):
            batch, _ = self.transform(as_float(images, self.device))
            before = max(top, self.rpn.test_proposals[0])
            found, _ = self.rpn(batch, self._features(batch), counts=(before, top))
            pairs = zip(images, batch.image_sizes, found, strict=True)
            return [
                Proposals(resize_boxes(own.boxes, size, image.shape[-2:]), own.scores) for image, size, own in pairs
            ]

    def anchors_for(self, height: int, width: int) -> Tensor:
        """Anchors [A, 4] in pixels of an image of this size."""
        with evaluating(self):
            batch, _ = self.transform([torch.zeros(3, height, width, device=self.device)])
            anchors = self.rpn.anchor_generator(batch, self._features(batch))[0]
        return resize_boxes(anchors, batch.image_sizes[0], [height, width]).cpu()

    def _features(self, batch: ImageList) -> list[Tensor]:
        """Maps of the network's input, fine to coarse."""
        return self.backbone(batch.tensors.contiguous(memory_format=torch.channels_last))
