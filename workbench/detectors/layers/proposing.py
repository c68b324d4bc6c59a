"""What detectors share that see images as maps of a backbone: the maps, anchors on them, and proposals there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import resize_boxes

from workbench.detectors.base import evaluating
from workbench.detectors.layers.branches import Branch
from workbench.detectors.layers.dense_anchors import level_anchors
from workbench.detectors.layers.inputs import as_float, training_targets
from workbench.detectors.layers.rpn import RegionProposalNetwork
from workbench.detectors.layers.trunk import Resize
from workbench.types import Proposals, Target

_KEPT: ContextVar[dict[SeesMaps, tuple[Tensor, list[Tensor]]] | None] = ContextVar("maps that are kept", default=None)


@contextmanager
def keeping_maps() -> Iterator[None]:
    """Within it a detector makes the maps of an image once, as long as no gradients are wanted.

    For several questions about one image; weights must not change meanwhile. Within another one it begins anew, as
    hooks need that shall hear of the network, and leaves to the other what it has made.

    Example:
        >>> detector, image = wb.load_detector("digit-scenes/faster-rcnn"), wb.load_data("digit-scenes").image(0)
        >>> with keeping_maps():  # the network sees the image once
        ...     found, asked = detector.detect([image])[0], detector.score_boxes([image], [torch.zeros(0, 4)])[0]
        >>> asked.shape
        torch.Size([0, 11])
    """
    outer = _KEPT.get()
    mine: dict[SeesMaps, tuple[Tensor, list[Tensor]]] = {}
    token = _KEPT.set(mine)
    try:
        yield
    finally:
        _KEPT.reset(token)
        if outer is not None:
            outer.update(mine)


class SeesMaps:
    """Mixin of a detector whose `backbone` makes maps of what `transform` has prepared."""

    transform: Resize
    backbone: torch.nn.Module
    classes: tuple[str, ...]
    device: torch.device

    def prepare(self, images: Sequence[Tensor]) -> ImageList:
        """Images as the network sees them."""
        return self.transform(as_float(images, self.device))[0]

    def prepare_to_learn(
        self,
        images: Sequence[Tensor],
        targets: Sequence[Target],
        branches: Iterable[Branch] = (),
        generator: torch.Generator | None = None,
        needed: Iterable[str] = (),
    ) -> tuple[ImageList, list[dict[str, Tensor]]]:
        """Images as the network sees them, and what is learned of each there: see `training_targets`.

        Args:
            generator: that the size of each image is drawn from, where there are several (default: torch's own).

        Raises:
            DataError: images or targets that are not what `workbench.types` says.
        """
        floats = as_float(images, self.device)
        truth = training_targets(targets, images, len(self.classes), self.device, branches=branches, needed=needed)
        return self.transform(floats, truth, generator)

    def maps(self, batch: ImageList) -> list[Tensor]:
        """Maps [B, C, h, w] of prepared images, fine to coarse."""
        kept = None if torch.is_grad_enabled() else _KEPT.get()
        seen, maps = (None, []) if kept is None else kept.get(self, (None, []))
        if seen is None or seen.shape != batch.tensors.shape or not torch.equal(seen, batch.tensors):
            maps = self.backbone(batch.tensors.contiguous(memory_format=torch.channels_last))
            if kept is not None:
                kept[self] = batch.tensors, maps
        return maps


class SeesAnchors(SeesMaps):
    """The same with anchors on the maps: those of `anchoring`."""

    @property
    def anchoring(self) -> Any:
        """The module that has the `anchor_generator` and the `matcher`: here the detector itself."""
        return self

    def anchor_matcher(self) -> Matcher:
        """What says which anchors are objects and which are background."""
        return self.anchoring.matcher

    def level_anchors(self, batch: ImageList, maps: list[Tensor]) -> list[Tensor]:
        """Anchors [n, 4] of each level in pixels of the network's input, which all images share."""
        return level_anchors(self.anchoring.anchor_generator, batch, maps)

    def anchors_for(self, height: int, width: int) -> Tensor:
        """Anchors [A, 4] in pixels of an image of this size."""
        with evaluating(self):
            batch = self.prepare([torch.zeros(3, height, width)])
            anchors = torch.cat(self.level_anchors(batch, self.maps(batch)))
        return resize_boxes(anchors, batch.image_sizes[0], [height, width]).cpu()


class Proposing(SeesAnchors):
    """Mixin of a detector whose `rpn` proposes boxes on the maps."""

    proposes = True
    rpn: RegionProposalNetwork

    @property
    def anchoring(self) -> RegionProposalNetwork:
        """The region proposal network."""
        return self.rpn

    def proposals(self, images: Sequence[Tensor], top: int) -> list[Proposals]:
        """The `top` of each image in its own pixels by objectness, after NMS among at least as many per level."""
        with evaluating(self):
            batch = self.prepare(images)
            before = max(top, self.rpn.test_proposals[0])
            found, _ = self.rpn(batch, self.maps(batch), counts=(before, top))
            pairs = zip(images, batch.image_sizes, found, strict=True)
            return [
                Proposals(resize_boxes(own.boxes, size, image.shape[-2:]), own.scores) for image, size, own in pairs
            ]
