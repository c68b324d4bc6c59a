"""What Fast and Faster R-CNN share: all but where the proposals come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import resize_boxes

from workbench.detectors.base import Detector, evaluating
from workbench.detectors.layers.branches import HoldsBranches, ImageBranch, all_branches
from workbench.detectors.layers.inputs import check_batch, is_empty
from workbench.detectors.layers.proposing import SeesMaps
from workbench.detectors.layers.roi_head import RoIHead
from workbench.detectors.layers.roi_pool import PyramidPool
from workbench.detectors.layers.rpn import RegionProposalNetwork
from workbench.detectors.layers.trunk import Resize
from workbench.errors import DataError
from workbench.types import Detections, HeadLayout, Losses, Proposals, Score, Target


class RCNN(HoldsBranches[ImageBranch], SeesMaps, Detector, ABC):
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
        transform: Resize,
        classes: Sequence[str],
    ):
        super().__init__()
        self.transform = transform
        self.backbone = backbone
        self.rpn = rpn
        self.roi_heads = roi_heads
        self.classes = tuple(classes)

    @abstractmethod
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

    def losses(
        self, images: Sequence[Tensor], targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> Losses:
        """`classifier` and `box`, `adversary` where the hardener learns, and those of branches and proposals.

        Raises:
            DataError: images or targets that are not what `workbench.types` says.
        """
        batch, truth = self.prepare_to_learn(images, targets, all_branches(self), generator)
        features = self.maps(batch)
        given = [_boxes(target.get("proposals")) for target in targets]
        proposals, more = self.propose(images, batch, features, given, truth, generator)
        losses = self.roi_heads.losses(features, proposals, truth, hardener=self.hardener, generator=generator)
        losses.add(more, self)
        self.add_branch_losses(losses, batch, features, truth)
        return losses

    def detect(
        self, images: Sequence[Tensor], proposals: Sequence[Proposals | Tensor] | None = None
    ) -> list[Detections]:
        """Detections of each image in its own pixels, highest score first."""
        if is_empty(images):
            return []
        given = _given(proposals, len(images))
        with evaluating(self):
            batch = self.prepare(images)
            features = self.maps(batch)
            rois, _ = self.propose(images, batch, features, given)
            found = self.roi_heads.detect(features, rois, batch.image_sizes)
            boxes, sizes = [one.boxes for one in found], [tuple(image.shape[-2:]) for image in images]
            for detections, seen, size in zip(found, batch.image_sizes, sizes, strict=True):
                detections.boxes = resize_boxes(detections.boxes, seen, size)
            self.roi_heads.extend_detections(found, features, boxes, sizes)
            self.extend_detections(found, batch, features, sizes)
        return found

    def score_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Class probabilities [N, K+1] of given boxes [N, 4] of each image."""
        with evaluating(self):
            return [F.softmax(logits, dim=1) for logits in self.box_logits(images, boxes)]

    def box_logits(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Class logits [N, K+1] of the RoIs at given boxes [N, 4] of each image, with their graph."""
        features, scaled = self._features_and_boxes(images, boxes)
        return self.roi_heads.logits(features, scaled)

    def roi_features(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Pooled features [R, C, h, w] of given boxes of all images, in order."""
        with evaluating(self):
            return self.roi_heads.pool(*self._features_and_boxes(images, boxes))

    def head_score(self) -> Score:
        """The head as a function of pooled features, parameters frozen."""
        return self.roi_heads.score()

    def head_layout(self) -> HeadLayout:
        """What an adversary must know of the head."""
        return self.roi_heads.layout()

    def roi_pool(self) -> PyramidPool:
        """What pools the features of boxes from the maps."""
        return self.roi_heads.pool

    def _features_and_boxes(
        self, images: Sequence[Tensor], boxes: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        check_batch(images, boxes=boxes)
        batch = self.prepare(images)
        return self.maps(batch), self._scaled(images, batch, boxes)

    def _scaled(self, images: Sequence[Tensor], batch: ImageList, boxes: Sequence[Tensor]) -> list[Tensor]:
        """Boxes [N, 4] in pixels of `images` → in pixels of the network's input."""
        return [
            resize_boxes(box.as_subclass(Tensor).to(self.device).float(), image.shape[-2:], size)
            for image, box, size in zip(images, boxes, batch.image_sizes, strict=True)
        ]


def _given(proposals: Sequence[Proposals | Tensor] | None, number: int) -> list[Tensor | None]:
    """Of each of so many images."""
    if proposals is None:
        return [None] * number
    if not isinstance(proposals, list | tuple):
        raise DataError(f"proposals are a {type(proposals).__name__}; expected a list of one set per image")
    if len(proposals) != number:
        raise DataError(f"{number} images came with {len(proposals)} sets of proposals; give one per image")
    return [_boxes(one) for one in proposals]


def _boxes(given: Proposals | Tensor | None) -> Tensor | None:
    """Boxes [P, 4], where a detector looks, of proposals or as they are."""
    given = given.boxes if isinstance(given, Proposals) else given
    if given is not None and not isinstance(given, Tensor):
        raise DataError(f"proposals of an image are a {type(given).__name__}; expected Proposals or a tensor [P, 4]")
    return given
