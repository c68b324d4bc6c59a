"""Mask proposals of a feature pyramid (Lin et al. 2017; Lin's thesis, sec. 4.6 and Table 4.6; details in the paper).

At each cell of P2 to P6 two small networks, on windows of 5 x 5 and of 7 x 7 cells, say whether an object of their
scale has its centre there, and which pixels around are the object's: after DeepMask and SharpMask (Pinheiro et al.
2015, 2016), but without their pyramid of images. Scales are octaves, those of the second network half octaves.

It gives proposals with masks and no detections: `proposals(images, top)`, or `with_proposals(data, kind="detector",
name=...)` for `proposal_recall(data, iou_type="segm")`. There is no suppression: near duplicates are all kept.

What the paper leaves open, and what we do:

- Where a cell is: its centre is half a stride inside, so that all of a window is mirrored with the image.
- The size of an object: that of its box, so that a hidden one is looked for where it is as a whole. The mask is that
  of its visible pixels (`learn: amodal`: of all of them). Of an object whose mask is unknown the score alone learns.
- A single network on 7 x 7 cells has the scales of the half octaves. Objects outside all scales belong to the last.
- Where two objects claim a cell, the nearer one has it.
- The losses are means: over the places drawn, and over the pixels of the masks of those that learn one.
- A pixel belongs to the mask from probability 0.2 on, as in DeepMask (`threshold`).

It does not help where objects of one scale lie on each other: there is one mask for each place and scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.transform import resize_boxes

from workbench.detectors.base import Detector, evaluating
from workbench.detectors.layers.inputs import is_empty
from workbench.detectors.layers.mask_head import LEARN, Learn
from workbench.detectors.layers.mask_windows import MaskWindows, have_masks, mask_goals, sample_places
from workbench.detectors.layers.proposing import SeesMaps
from workbench.detectors.layers.trunk import Resize, build_transform, build_trunk
from workbench.detectors.layers.window_head import WindowHead
from workbench.detectors.layers.window_masks import window_proposals
from workbench.errors import RecipeError
from workbench.options import Count, Factor, Fraction, Share, Size
from workbench.registry import DETECTORS
from workbench.types import Losses, Proposals, Target

WindowSizes = Annotated[Sequence[Literal[5, 7]], Field(min_length=1)]  #: cells a side, of each network
Padding = Annotated[float, Field(ge=1, le=100)]  #: a factor that enlarges
SCALE = 8  #: strides, of the objects of 5 x 5 cells: 32 px at P2


@DETECTORS.register("fpn-mask")
class FPNMask(SeesMaps, Detector):
    """Proposes masks of objects, whatever their class; build one with `FPNMask.build`.

    Args:
        backbone: images → list of maps, fine to coarse.
        windows: where it looks on them.
        head: predicts scores and masks there.
        transform: resizes, normalises and batches the images.
        classes: names of labels 1..K, which it does not distinguish.
        learn: what a mask shows, one of `LEARN`.
        samples, positive_fraction: places drawn per image for the losses.
        mask_weight: factor of the masks' loss.
        threshold: probability from which a pixel belongs to the object.
    """

    proposes = True

    def __init__(
        self,
        backbone: nn.Module,
        windows: MaskWindows,
        head: WindowHead,
        transform: Resize,
        classes: Sequence[str],
        *,
        learn: Learn = "visible",
        samples: int = 128,
        positive_fraction: float = 0.25,
        mask_weight: float = 10.0,
        threshold: float = 0.2,
    ):
        super().__init__()
        self.transform, self.backbone, self.head = transform, backbone, head
        self.windows, self.classes = windows, tuple(classes)
        self.learn, self.mask_weight, self.threshold = learn, mask_weight, threshold
        self.num_samples, self.positive_fraction = samples, positive_fraction

    @classmethod
    def build(
        cls,
        classes: Sequence[str],
        *,
        backbone: dict | None = None,
        pyramid: bool | dict = True,
        channels: Count = 128,
        windows: WindowSizes = (5, 7),
        finest_scale: Size | None = None,
        padding: Padding = 1.25,
        width: Count = 512,
        mask_size: Count = 14,
        learn: Learn = "visible",
        samples: Count = 128,
        positive_fraction: Share = 0.25,
        mask_weight: Factor = 10.0,
        threshold: Fraction = 0.2,
        min_size: Count | Sequence[Count] | None = 800,
        max_size: Count | None = 1333,
    ) -> FPNMask:
        """A proposer of masks from plain values, as a recipe gives them.

        Args:
            backbone, pyramid, channels, min_size, max_size: see `FasterRCNN.build`.
            windows: cells a side of the window of each network: 5, 7 or both.
            finest_scale: pixels of the network's input; the larger of width and height of the objects that the window
                of 5 x 5 cells looks for on the finest level. None: 8 strides. Each level doubles it, 7 x 7 cells
                have √2 of it.
            padding: factor from the scale to the side of the region that a mask covers.
            width: of the networks' hidden layers.
            mask_size: cells a side of a mask; 14 or 28 in Lin's thesis.
            learn: "visible" or "amodal", what a mask shows.
            samples, positive_fraction: places drawn per image for the losses, and how many of them objects at most.
            mask_weight: factor of the masks' loss.
            threshold: probability from which a pixel belongs to the object.

        Raises:
            RecipeError: an option does not exist or does not fit the others.
        """
        if len(set(windows)) < len(windows):
            raise RecipeError(f"detector.windows is {list(windows)}; expected each size once")
        trunk = build_trunk({"name": "resnet50"} | (backbone or {}), pyramid, channels)
        strides = [*trunk.strides, *(trunk.strides[-1] * 2**i for i in range(1, trunk.extra_levels + 1))]
        finest_scale = finest_scale or float(SCALE * strides[0])
        detector = cls(
            trunk.module,
            MaskWindows(strides, sizes=windows, finest_scale=finest_scale, padding=padding),
            WindowHead(trunk.channels, windows, width=width, mask_size=mask_size),
            build_transform(min_size, max_size),
            classes,
            learn=learn,
            samples=samples,
            positive_fraction=positive_fraction,
            mask_weight=mask_weight,
            threshold=threshold,
        )
        return detector.to(memory_format=torch.channels_last)

    @property
    def needs_labels(self) -> tuple[str, ...]:
        """The key of the masks that every target must have for `losses`."""
        return (self.mask_key,)

    @property
    def mask_key(self) -> str:
        """Where targets have the masks that those of its proposals should be."""
        return LEARN[self.learn]

    def losses(
        self, images: Sequence[Tensor], targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> Losses:
        """The losses `score` and `mask`, of places that are drawn.

        Args:
            images: [3, H, W] each, uint8 or float in 0..1.
            targets: `boxes` [N, 4] of each image, xyxy pixels, and its `masks` or `masks_amodal` [N, H, W].
            generator: the only source of sampling (default: torch's own).

        Raises:
            DataError: wrong images or targets.
        """
        batch, truth = self.prepare_to_learn(images, targets, generator=generator, needed=self.needs_labels)
        maps = self.maps(batch)
        places = self.windows.places(maps)
        owners = self.windows.assign(maps, [target["boxes"] for target in truth])
        within = places.within(batch.image_sizes) & ~self._unlearned(maps, truth, owners)
        image, place = sample_places(owners, within, self.num_samples, self.positive_fraction, generator)
        places, owner = places.take(place), owners[image, place]
        masks = [target[self.mask_key] for target in truth]
        masked = have_masks(masks, image, owner)
        scores, logits = self.head.at(maps, image, places, masked)
        goals = mask_goals(masks, places.regions()[masked], image[masked], owner[masked], logits.shape[-1])
        mask = F.binary_cross_entropy_with_logits(logits, goals, reduction="sum") / max(1, logits.numel())
        score = F.binary_cross_entropy_with_logits(scores, (owner >= 0).float())
        return Losses(score=score, mask=self.mask_weight * mask)

    def _unlearned(self, maps: list[Tensor], truth: list[dict[str, Tensor]], owners: Tensor) -> Tensor:
        """Places [B, P] bool of no object to learn, where an ignored one lies."""
        if not any("boxes_ignored" in target for target in truth):
            return torch.zeros_like(owners, dtype=torch.bool)
        ignored = [target.get("boxes_ignored", target["boxes"][:0]) for target in truth]
        return (owners < 0) & (self.windows.assign(maps, ignored) >= 0)

    def proposals(self, images: Sequence[Tensor], top: int) -> list[Proposals]:
        """The `top` of each image by score, with masks, in its own pixels; masks are predicted at these only."""
        if is_empty(images):
            return []
        with evaluating(self):
            batch = self.prepare(images)
            maps = self.maps(batch)
            places = self.windows.places(maps)
            scores = self.head(maps).masked_fill_(~places.within(batch.image_sizes), -torch.inf)
            best = scores.topk(min(top, scores.shape[1]), dim=1)
            kept = best.values > -torch.inf
            row, chosen = torch.where(kept)[0], places.take(best.indices[kept])
            logits = self.head.at(maps, row, chosen)[1]
            counts = kept.sum(dim=1).tolist()
            parts = (part.split(counts) for part in (logits, chosen.regions(), best.values[kept].sigmoid()))
            found = []
            for image, size, mask, region, score in zip(images, batch.image_sizes, *parts, strict=True):
                own = (image.shape[-2], image.shape[-1])
                windows = resize_boxes(region, size, own)
                found.append(window_proposals(mask, windows, score, own, threshold=self.threshold))
            return found
