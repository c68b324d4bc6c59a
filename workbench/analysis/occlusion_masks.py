"""What the masks of AOFD do to one face, and what its occlusion branch sees before it (Chen et al., sec. 3.3, 3.4).

Every strategy masks the same pooled features and the head is asked before and after: the generator's mask, where the
detector's hardener has one; the halves; and half of the cells at random. The fixed masks need no network, so that any
detector with RoIs can be asked how it stands them.

Where we depart: the paper shows masks of RoIs that training had sampled; here the box is any box, and the occlusion
branch, too, is asked about it rather than about what the detector finds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.roi_heads import expand_boxes
from torchvision.ops import clip_boxes_to_image

from workbench.analysis.adversary import UNTOUCHED
from workbench.analysis.attention import crop, region
from workbench.detectors.base import Detector, HasRoIs, asked, evaluating
from workbench.detectors.branches.occlusion import KEY, OcclusionBranch, inside
from workbench.detectors.layers.branches import all_branches
from workbench.detectors.layers.proposing import SeesMaps
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.hardeners.mask_generator import MaskGenerator, compact_loss, hide_lowest
from workbench.hardeners.occlusion_masks import SIDES, side_masks
from workbench.hardeners.random_dropout import random_cells
from workbench.types import Target

GENERATED, SCATTERED = "generator", "random half"
HALVES = tuple(f"{side} half" for side in SIDES)


@dataclass(frozen=True)
class RoIMasks:
    """What each masking strategy does to one region, asked about one class; all tensors on the CPU."""

    patch: Tensor  #: [3, 224, 224] uint8, exactly the box; small images keep crisp pixels
    box: Tensor  #: [4] float32, xyxy pixels of the image
    label: int  #: in 0..K, the class that is asked about
    map: Tensor | None  #: [h, w] float32 in 0..1, low where the generator hides; None: the detector has none
    masks: dict[str, Tensor]  #: strategy → [h, w] float32, 1 = kept
    answers: dict[str, Tensor]  #: untouched, then strategy → probabilities [1, K+1] of all classes, background first

    @property
    def probabilities(self) -> Tensor:
        """Of all classes where nothing is masked, [K+1]."""
        return self.answers[UNTOUCHED][0]

    @property
    def scores(self) -> dict[str, float]:
        """Untouched, then strategy → probability of `label`, 0..1."""
        return {name: float(row[0, self.label]) for name, row in self.answers.items()}

    @property
    def edges(self) -> dict[str, float]:
        """Strategy → L_com, rectified, for each masked cell: 1 where none touches another, the rounder the lower."""
        masked = {name: 1 - mask[None, None] for name, mask in self.masks.items()}
        return {name: float(compact_loss(one) / one.sum().clamp(min=1)) for name, one in masked.items()}


@dataclass(frozen=True)
class FoundOcclusion:
    """What the occlusion branch finds before one region; all tensors on the CPU."""

    patch: Tensor  #: [3, 224, 224] uint8, exactly `box`
    box: Tensor  #: [4] float32, xyxy pixels: the region, enlarged as the branch does, inside the image
    chance: Tensor  #: float32 [H, W] in 0..1, of each pixel of the image to be occluded
    found: Tensor  #: bool [H, W], the pixels inside `box` where that reaches the branch's threshold
    truth: Tensor | None  #: the same as it is; None: it is not known

    @property
    def iou(self) -> float | None:
        """Of found and true pixels; None where there are neither, or the truth is not known."""
        if self.truth is None or not (either := int((self.found | self.truth).sum())):
            return None
        return int((self.found & self.truth).sum()) / either


def roi_masks(
    detector: DetectorLike,
    image: Tensor,
    box: Tensor,
    label: int | None = None,
    *,
    area: float = 1 / 3,
    generator: torch.Generator | None = None,
) -> RoIMasks:
    """The masks of every strategy for one box, and the head's answers.

    Args:
        detector: any with `roi_features` and `head_score`. The generator is that of its `hardener`: saved detectors
            have none, `Run.detector(step, hardener=True)` has it.
        image: [3, H, W], uint8 or float in 0..1.
        box: [4], xyxy pixels; the part outside the image is cut off.
        label: the class to ask about, 0..K; None: the most probable one that is not background.
        area: share of the cells that the generator masks.
        generator: of the random half; None: the same cells every time.

    Raises:
        DataError: a label or an area outside its range, or a box that is empty or outside the image.
        WorkbenchError: the detector has no RoIs.

    Example:
        >>> import workbench as wb
        >>> from workbench.analysis.occlusion_masks import roi_masks
        >>> image, target = wb.load_data("digit-scenes", split="test")[7]
        >>> seen = roi_masks("digit-scenes/faster-rcnn", image, target["boxes"][0])
        >>> list(seen.scores)  # a saved detector has no generator
        ['untouched', 'left half', 'right half', 'top half', 'bottom half', 'random half']
        >>> int(seen.masks["left half"].sum())  # cells of 7 x 7 that are kept
        28
    """
    detector = as_detector(detector, hardener=True)
    if not 0 <= area <= 1:
        raise DataError(f"area is {area}; expected a share in 0..1")
    box = region(detector, image, box, label)
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    pooled = asked(detector, HasRoIs).roi_features([image], [box[None]])
    height, width = pooled.shape[2:]
    learned = mask_generator(detector.hardener)
    with evaluating(detector):
        order = None if learned is None else learned.order(pooled)
        masks = {} if order is None else {GENERATED: hide_lowest(order, area)}
        masks |= dict(zip(HALVES, side_masks(height, width, pooled.device)[:, None], strict=True))
        masks[SCATTERED] = random_cells(1, height, width, 0.5, pooled, generator)
        features = torch.cat([pooled, *(pooled * mask for mask in masks.values())])
        answers = F.softmax(asked(detector, HasRoIs).head_score()(features).float(), dim=1).cpu()
    return RoIMasks(
        patch=crop(image, box),
        box=box,
        label=int(answers[0, 1:].argmax()) + 1 if label is None else label,
        map=None if order is None else order[0, 0].sigmoid().cpu(),
        masks={name: mask[0, 0].float().cpu() for name, mask in masks.items()},
        answers=dict(zip((UNTOUCHED, *masks), answers.split(1), strict=True)),
    )


def found_occlusion(
    detector: DetectorLike, image: Tensor, box: Tensor, target: Target | None = None
) -> FoundOcclusion | None:
    """What the detector's occlusion branch finds before one box; None where it has no such branch.

    Args:
        image: [3, H, W], uint8 or float in 0..1.
        box: [4], xyxy pixels; the part outside the image is cut off.
        target: of the image; its `mask_occluder` is the truth.

    Raises:
        DataError: a box that is empty or outside the image.

    Example:
        >>> import workbench as wb
        >>> from workbench.analysis.occlusion_masks import found_occlusion
        >>> image, target = wb.load_data("digit-scenes", split="test")[7]
        >>> found_occlusion("digit-scenes/faster-rcnn", image, target["boxes"][0]) is None
        True
    """
    detector = as_detector(detector)
    branch = occlusion_branch(detector)
    if branch is None or not isinstance(detector, SeesMaps):
        return None
    box, size = region(detector, image, box, None), (image.shape[-2], image.shape[-1])
    with evaluating(detector):
        batch = detector.prepare([image])
        chance = branch.chances(batch, detector.maps(batch), [size])[0].cpu()
    around = clip_boxes_to_image(expand_boxes(box[None], branch.enlarge), size)
    within = inside(around, size)[0]
    truth = None if target is None or KEY not in target else target[KEY].as_subclass(Tensor).cpu().bool()
    return FoundOcclusion(
        patch=crop(image, around[0]),
        box=around[0],
        chance=chance,
        found=within & (chance >= branch.threshold),
        truth=None if truth is None else truth & within,
    )


def mask_generator(hardener: nn.Module | None) -> MaskGenerator | None:
    """The first that a hardener is or consists of."""
    parts = () if hardener is None else hardener.modules()
    return next((part for part in parts if isinstance(part, MaskGenerator)), None)


def occlusion_branch(detector: Detector) -> OcclusionBranch | None:
    """That of a detector, if it has one."""
    return next((one for one in all_branches(detector) if isinstance(one, OcclusionBranch)), None)
