"""Several detectors as one: what they find is put together, as in A-Fast-RCNN's ensembles with OHEM (§5.4).

The paper says only that detections of two models are merged. Here the detections of all members are one list, and of
two of one class that overlap by more than `nms_iou` only the better one stays. Scores are taken as they are, so the
members should be trained alike: one that is surer of everything would have the say.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms

from workbench.detectors.base import Detector, Detects, ScoresBoxes, asked
from workbench.detectors.class_map import few, relabel
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.types import Detections, Proposals


class Ensemble(Detector):
    """Detectors that detect together; it cannot be trained or saved.

    Masks, and extras of one shape, stay where all members give them; `score_boxes` is there where all have it.

    Args:
        detectors: the members, with the same classes; in another order, the first one's counts.
        nms_iou: of two detections of one class that overlap by more, the lower goes.
        max_detections: kept per image.

    Raises:
        DataError: there are no members, they know different classes, or `nms_iou` is outside 0..1.

    Example:
        >>> both = Ensemble(["digit-scenes/faster-rcnn", "digit-scenes/faster-rcnn+ia"])
        >>> image, target = wb.load_data("digit-scenes", split="test")[7]
        >>> found = both.detect([image])[0].above(0.5)
        >>> sorted(both.classes[label - 1] for label in found.labels)
        ['0', '0', '5', '6']
    """

    def __init__(self, detectors: Sequence[DetectorLike], *, nms_iou: float = 0.5, max_detections: int = 100):
        super().__init__()
        if not len(detectors):
            raise DataError("an ensemble needs at least one detector")
        if not 0 < nms_iou <= 1:
            raise DataError(f"nms_iou is {nms_iou}; expected an overlap in 0..1")
        members = [as_detector(one) for one in detectors]
        self.classes = tuple(members[0].classes)
        for place, detector in enumerate(members):
            if set(detector.classes) != set(self.classes):
                raise DataError(
                    f"detector {place} of the ensemble knows the classes {few(detector.classes)}, detector 0 knows "
                    f"{few(self.classes)}; all must have the same ones: relabel(detector, classes, {{name: other}})"
                )
            members[place] = relabel(detector, self.classes)
        self.members = nn.ModuleList(members)
        if all(isinstance(one, ScoresBoxes) for one in members):  # so that only those have it that can
            self.score_boxes = self._score_boxes
        self.needs_proposals = any(detector.needs_proposals for detector in members)
        self.nms_iou, self.max_detections = nms_iou, max_detections

    @property
    def mask_key(self) -> str | None:
        """That of its members, where it is the same for all."""
        keys = {member.mask_key for member in self.members}
        return keys.pop() if len(keys) == 1 else None

    def detect(
        self, images: Sequence[Tensor], proposals: Sequence[Proposals | Tensor] | None = None
    ) -> list[Detections]:
        """What all members find in each image, merged, highest score first."""
        found = []
        for member in self.members:
            one = asked(member, Detects)
            found.append(one.detect(images, proposals) if member.needs_proposals else one.detect(images))
        return [self._merge(parts) for parts in zip(*found, strict=True)]

    @property
    def notes(self) -> Sequence[str]:
        """Those of its members."""
        return tuple(note for member in self.members for note in member.notes)

    def _score_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Class probabilities [N, K+1] of given boxes [N, 4] of each image: the members' mean."""
        scores = [asked(member, ScoresBoxes).score_boxes(images, boxes) for member in self.members]
        return [torch.stack(parts).mean(dim=0) for parts in zip(*scores, strict=True)]

    def _merge(self, parts: Sequence[Detections]) -> Detections:
        """One image's detections of all members as one."""
        masks = [found.masks for found in parts]
        merged = Detections(
            torch.cat([found.boxes for found in parts]),
            torch.cat([found.labels for found in parts]),
            torch.cat([found.scores for found in parts]),
            None if any(mask is None for mask in masks) else torch.cat(masks),
            _common_extras(parts),
        )
        keep = batched_nms(merged.boxes.float(), merged.scores.float(), merged.labels, self.nms_iou)
        return merged[keep[: self.max_detections]]


def _common_extras(parts: Sequence[Detections]) -> dict[str, Tensor]:
    """The extras [N, ...] that all members give, in the same shape, put together."""
    merged = {}
    for name in parts[0].extras:
        found = [one.extras[name] for one in parts if name in one.extras]
        if len(found) == len(parts) and len({rows.shape[1:] for rows in found}) == 1:
            merged[name] = torch.cat(found)
    return merged
