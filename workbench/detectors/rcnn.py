"""What Fast and Faster R-CNN share: all but where the proposals come from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes

from workbench.detectors.base import Detector, as_float, evaluating, training_targets
from workbench.detectors.layers.branches import HoldsBranches, ImageBranch
from workbench.detectors.layers.roi_head import RoIHead
from workbench.detectors.layers.rpn import RegionProposalNetwork
from workbench.hardeners import Hardener
from workbench.types import Detections, Losses, Proposals, Score, Target, TrainingStage


class RCNN(HoldsBranches[ImageBranch], Detector):
    """A backbone, proposals from somewhere (`propose`), and an RoI head; build one with a subclass's `build`.

    Args:
        backbone: images → list of maps, fine to coarse.
        rpn: proposes boxes on all maps; None where the proposals are given.
        roi_heads: classifies and refines them.
        transform: resizes, normalises and batches the images.
        classes: names of labels 1..K.
    """

    hardens = "maps"

    def __init__(
        self,
        backbone: nn.Module,
        rpn: RegionProposalNetwork | None,
        roi_heads: RoIHead,
        transform: GeneralizedRCNNTransform,
        classes: Sequence[str],
        hardener: nn.Module | None = None,
    ):
        super().__init__()
        self.transform = transform
        self.backbone = backbone
        self.rpn = rpn
        self.roi_heads = roi_heads
        self.classes = tuple(classes)
        self.hardener = hardener
        self.config: dict = {}

    def take_hardener(self, hardener: Hardener | None) -> None:
        """Let `hardener` act in `losses`; adversaries learn of the head that they play against."""
        super().take_hardener(hardener)
        if hardener is not None:
            hardener.bind_head(self.roi_heads.layout())

    def begin_stage(self, stage: TrainingStage) -> None:
        """Also of the RoI head."""
        super().begin_stage(stage)
        if self.roi_heads is not None:
            self.roi_heads.begin_stage(stage)

    def propose(
        self,
        images: Sequence[Tensor],
        batch: ImageList,
        features: list[Tensor],
        given: list[Tensor | None],
        targets: list[dict[str, Tensor]] | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Proposals [P, 4] of each image in pixels of the network's input, and losses of their own.

        Args:
            images: as they came.
            batch: as the network sees them.
            features: [B, C, h, w] of each level.
            given: proposals [P, 4] in pixels of `images`.
            targets: of each image, to learn from; None: no losses.
            generator: the only source of sampling.
        """
        raise NotImplementedError

    def losses(
        self, images: Sequence[Tensor], targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> Losses:
        """`classifier` and `box`, `adversary` where the hardener learns, and those of branches and proposals.

        Raises:
            DataError: images or targets that are not what `workbench.types` says.
        """
        learning = (*self.roi_heads.branches, *self.branches)
        truth = training_targets(targets, images, len(self.classes), self.device, branches=learning)
        batch, truth = self.transform(as_float(images, self.device), truth)
        features = self._features(batch)
        given = [_boxes(target.get("proposals")) for target in targets]
        proposals, more = self.propose(images, batch, features, given, truth, generator)
        losses = self.roi_heads.losses(features, proposals, truth, hardener=self.hardener, generator=generator)
        for branch in self.branches:
            more |= branch.losses(batch, features, truth)
        return Losses(losses | more)

    def detect(
        self, images: Sequence[Tensor], proposals: Sequence[Proposals | Tensor] | None = None
    ) -> list[Detections]:
        """Detections of each image in its own pixels, highest score first."""
        if not len(images):
            return []
        given = [None] * len(images) if proposals is None else [_boxes(one) for one in proposals]
        with evaluating(self):
            batch, _ = self.transform(as_float(images, self.device))
            features = self._features(batch)
            rois, _ = self.propose(images, batch, features, given)
            found = self.roi_heads.detect(features, rois, batch.image_sizes)
            boxes, sizes = [one.boxes for one in found], [tuple(image.shape[-2:]) for image in images]
            for detections, seen, size in zip(found, batch.image_sizes, sizes, strict=True):
                detections.boxes = resize_boxes(detections.boxes, seen, size)
            for branch in self.roi_heads.branches:
                branch.extend(found, features, boxes, sizes)
            for of_image in self.branches:
                of_image.extend(found, batch, features, sizes)
        return found

    def score_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Class probabilities [N, K+1] of given boxes [N, 4] of each image."""
        with evaluating(self):
            features, scaled = self._features_and_boxes(images, boxes)
            return self.roi_heads.probabilities(features, scaled)

    def roi_features(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Pooled features [R, C, h, w] of given boxes of all images, in order."""
        with evaluating(self):
            return self.roi_heads.pool(*self._features_and_boxes(images, boxes))

    def head_score(self) -> Score:
        """The head as a function of pooled features, parameters frozen."""
        return self.roi_heads.score()

    def _features(self, batch: ImageList) -> list[Tensor]:
        images = batch.tensors.contiguous(memory_format=torch.channels_last)
        return self.backbone(images)

    def _features_and_boxes(
        self, images: Sequence[Tensor], boxes: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        batch, _ = self.transform(as_float(images, self.device))
        return self._features(batch), self._scaled(images, batch, boxes)

    def _scaled(self, images: Sequence[Tensor], batch: ImageList, boxes: Sequence[Tensor]) -> list[Tensor]:
        """Boxes [N, 4] in pixels of `images` → in pixels of the network's input."""
        return [
            resize_boxes(box.as_subclass(Tensor).to(self.device).float(), image.shape[-2:], size)
            for image, box, size in zip(images, boxes, batch.image_sizes, strict=True)
        ]


def _boxes(given: Proposals | Tensor | None) -> Tensor | None:
    """Boxes [P, 4], where a detector looks, of proposals or as they are."""
    return given.boxes if isinstance(given, Proposals) else given
