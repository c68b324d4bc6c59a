"""DeepMask: masks of objects of any class and a score of each, from windows of an image (T.-Y. Lin's thesis, ch. 3).

Trained on patches about one object (`workbench.data.patches`), by the sum of two losses: every pixel's of the mask,
and the score's, each log(1 + exp(-y f)). Run on whole images at several scales, where a window stands for a patch and
neighbours share what they have in common. It gives proposals and no detections; the defaults are the W160-P4-D39-F128
with head C of Tables 3.1 and 3.2, "DeepMask-ours".

Departures: a batch holds patches for masks and for scores, as the loss of the paper has it (Pinheiro et al. 2015,
eq. 1), where the released code takes one kind at a time, alternately. It multiplies the gradient of masks by its
batch of 32: `mask_weight: 32, score_weight: 1` is the same, with its learning rates.

When it does not help: for boxes alone a region proposal network is faster. An object is found where a scale shows it
at about `object_size` pixels; what is far larger or smaller than all scales is missed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import nms

from workbench.data.dataset import Dataset
from workbench.data.patches import Patches
from workbench.detectors.base import Detector, evaluating
from workbench.detectors.layers.found_windows import Found, Ranked
from workbench.detectors.layers.image_scales import Scaled, image_scales
from workbench.detectors.layers.inputs import as_float, check_batch, check_is_target, is_empty
from workbench.detectors.layers.mask_head import LEARN, Learn
from workbench.detectors.layers.mask_scorers import MASK_HEADS, HeadKind, MaskHead
from workbench.detectors.layers.mask_trunk import MaskTrunk, build_mask_trunk
from workbench.detectors.layers.trunk import IMAGENET_MEAN, IMAGENET_STD
from workbench.detectors.layers.window_masks import joined_proposals, proposals_and_rows
from workbench.errors import DataError, RecipeError
from workbench.options import Count, Factor, Fraction, Number, Offset, Overlap, Part, check_options
from workbench.registry import DETECTORS
from workbench.types import Losses, Proposals, Target

HALF_OCTAVE = 0.5  #: between the scales of an image
AT_ONCE = 128  #: windows whose masks are made together


@DETECTORS.register("deep-mask")
class DeepMask(Detector):
    """Proposes masks; build one with `DeepMask.build`.

    Args:
        trunk: images → maps, coarse to fine.
        head: the coarsest map → a vector, a mask and a score of each window.
        classes: names of labels 1..K, which it does not distinguish.
        size, context: pixels of a patch, see `Patches`.
        patches: further options of `Patches`.
        octaves: of the scales of images.
        threshold: of a pixel's probability, from which it belongs to the object.
        nms_iou: above which overlap of boxes a proposal falls to a better one; None: none falls.
        mask_weight, score_weight: factors of the losses.
        target_size: pixels a side at which masks are compared.
    """

    proposes = True
    learns_from_patches = True

    def __init__(
        self,
        trunk: MaskTrunk,
        head: MaskHead,
        classes: Sequence[str],
        *,
        size: int,
        context: int,
        patches: dict,
        octaves: list[float],
        threshold: float,
        nms_iou: float | None,
        mask_weight: float,
        score_weight: float,
        target_size: int,
    ):
        super().__init__()
        self.trunk, self.head, self.classes = trunk, head, tuple(classes)
        self.size, self.context, self.patches = size, context, patches
        self.octaves, self.threshold, self.nms_iou = octaves, threshold, nms_iou
        self.mask_weight, self.score_weight, self.target_size = mask_weight, score_weight, target_size
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    @classmethod
    def build(
        cls,
        classes: Sequence[str],
        *,
        backbone: dict | None = None,
        size: Count = 160,
        pools: Count = 4,
        features: Count = 128,
        head: HeadKind = "c",
        width: Count = 512,
        score_width: Count = 1024,
        dropout: Part = 0.5,
        mask_size: Count = 56,
        target_size: Count | None = None,
        context: Number = 32,
        learn: Learn = "visible",
        patches: dict | None = None,
        scales: tuple[Offset, Offset] = (-2.5, 0.5),
        zoom: Number = 0,
        threshold: Fraction = 0.2,
        nms_iou: Overlap | None = None,
        mask_weight: Factor = 1.0,
        score_weight: Factor = 1 / 32,
    ) -> DeepMask:
        """A DeepMask from plain values, as a recipe gives them.

        Args:
            backbone: {"name": "resnet50" and others, "vgg16", "vgg11" or "small", and its options}.
            size: W, pixels of a window.
            pools: P, how often the trunk halves its maps.
            features: F, channels that windows are seen in.
            head: one of Fig. 3.3: "original", "a", "b" or "c".
            width, score_width, dropout: of the layers of the head.
            mask_size: pixels a side of a mask as it is predicted.
            target_size: pixels a side at which it is compared; None: twice `mask_size`.
            context: further pixels of the patches that are learned from.
            learn: what masks show, the visible pixels or whole objects.
            patches: options of `workbench.data.patches.Patches`: object_size, shift, octaves, distance ...
            scales: of images, the lowest and the highest in octaves; half an octave apart.
            zoom: further scales above the highest: 1 is Table 3.3's Zoom, 2 its Zoom².
            threshold, nms_iou, mask_weight, score_weight: see the class.

        Raises:
            RecipeError: options that do not exist or do not fit together.
        """
        trunk = build_mask_trunk({"name": "resnet50"} | (backbone or {}), pools)
        if size % trunk.stride or context % (2 * trunk.stride):
            raise RecipeError(
                f"detector.size is {size} and context {context}; with {pools} pools expected multiples of "
                f"{trunk.stride} and of {2 * trunk.stride}"
            )
        if scales[0] > scales[1]:
            raise RecipeError(f"detector.scales is {list(scales)}; expected the lowest octave and the highest")
        made = {"whole", "size", "context", "key", "seed", "epoch"}
        own = check_options("detector.patches", Patches, patches or {}, given=made) | {"key": LEARN[learn]}
        steps = round((scales[1] - scales[0]) / HALF_OCTAVE) + 1 + zoom
        return cls(
            trunk,
            MASK_HEADS[head](
                trunk.widths[0],
                features=features,
                cells=size // trunk.stride,
                mask_size=mask_size,
                width=width,
                score_width=score_width,
                dropout=dropout,
            ),
            classes,
            size=size,
            context=context,
            patches=own,
            octaves=[scales[0] + HALF_OCTAVE * step for step in range(steps)],
            threshold=threshold,
            nms_iou=nms_iou,
            mask_weight=mask_weight,
            score_weight=score_weight,
            target_size=target_size or 2 * mask_size,
        ).to(memory_format=torch.channels_last)

    @property
    def needs_labels(self) -> tuple[str, ...]:
        return (self.patches["key"],)

    @property
    def mask_key(self) -> str:
        return self.patches["key"]

    @property
    def cells(self) -> int:
        """Of a window of the coarsest map, a side."""
        return self.size // self.trunk.stride

    def samples(self, data: Dataset) -> Dataset:
        """Patches of `data`, of the size that this network sees.

        Raises:
            DataError: the data have no masks, or no object is large enough.
        """
        return Patches(data, size=self.size, context=self.context, **self.patches)

    def losses(
        self, images: Sequence[Tensor], targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> Losses:
        """`mask` and `score`, each the mean over the patches that it learns from; dropout alone is drawn at random.

        Args:
            images: patches [3, S, S], as `samples` gives them.
            targets: each with a mask [1, S, S], or with `objectness`.
            generator: not used.

        Raises:
            DataError: images or targets that are no such patches.
        """
        batch = self._patches(images, targets)
        maps = self.trunk(batch)
        inner = self.context // (2 * self.trunk.stride)
        vectors, scores = self.head(maps[0][..., inner : inner + self.cells, inner : inner + self.cells])
        rows = torch.tensor(["objectness" not in target for target in targets], device=self.device)
        logits = self.patch_masks(vectors[rows, :, 0, 0], [one[rows] for one in maps], inner).float()
        wrong = F.binary_cross_entropy_with_logits(logits, self._mask_goals(targets, logits), reduction="sum")
        losses = Losses(mask=self.mask_weight * wrong / max(1, logits.numel()))
        if self.score_weight:
            goals = [float(target["objectness"]) for target in targets if "objectness" in target]
            found = scores[~rows, 0, 0].float()
            wrong = F.binary_cross_entropy_with_logits(found, found.new_tensor(goals), reduction="sum")
            losses["score"] = self.score_weight * wrong / max(1, len(goals))
        return losses

    def patch_masks(self, vectors: Tensor, maps: list[Tensor], inner: int) -> Tensor:
        """Logits [N, s, s] of N patches with `vectors` [N, width], at the size at which they are compared.

        Args:
            maps: of the trunk, with the context of the patches.
            inner: cells of context before the first row and column of the coarsest map.
        """
        found = self.head.masks(vectors)[:, None]
        return F.interpolate(found, self.target_size, mode="bilinear", align_corners=False)[:, 0]

    def shared(self, maps: list[Tensor]) -> list[Tensor | None]:
        """What the masks of all windows of an image need of its maps beside their vectors; here nothing."""
        return []

    def window_masks(self, found: Found, cells: Tensor) -> Tensor:
        """Logits [N, s, s] of some windows of an image, by their numbers [N] in the row-by-row order of the map."""
        return self.head.masks(found.vectors.flatten(0, 1)[cells])

    def proposals(self, images: Sequence[Tensor], top: int) -> list[Proposals]:
        """The `top` windows of each image by score, of all scales, with their masks and the boxes around these."""
        if is_empty(images):
            return []
        with evaluating(self):
            return [self.ranked(image, top).proposals for image in as_float(images, self.device)]

    def ranked(self, image: Tensor, top: int) -> Ranked:
        """The proposals of an image [3, H, W] in 0..1, and the windows that they are from."""
        size = (image.shape[-2], image.shape[-1])
        scales = self.scales(image)
        best = torch.cat([one.scores.flatten() for one in scales]).argsort(descending=True, stable=True)[:top]
        parts, windows, first = [], [], 0
        for one in scales:
            scores = one.scores.flatten()
            cells = best[(best >= first) & (best < first + len(scores))] - first
            for some in cells.split(AT_ONCE):
                masks, probability = self.window_masks(one, some), scores[some].sigmoid()
                part, rows = proposals_and_rows(masks, one.boxes[some], probability, size, threshold=self.threshold)
                parts.append(part)
                windows.append(first + some[rows])
            first += len(scores)
        found, order = joined_proposals(parts)
        kept = slice(None) if self.nms_iou is None else nms(found.boxes, found.scores, self.nms_iou)
        return Ranked(found[kept], scales, torch.cat(windows)[order][kept])

    def scales(self, image: Tensor) -> list[Found]:
        """The windows of an image [3, H, W] in 0..1 at each scale."""
        scaled = image_scales(image, self.octaves, size=self.size, stride=self.trunk.stride)
        return [self._windows(one) for one in scaled]

    def _windows(self, image: Scaled) -> Found:
        """Those of an image at one scale."""
        batch = (image.pixels - self.mean) / self.std
        maps = self.trunk(batch.contiguous(memory_format=torch.channels_last))
        vectors, scores = self.head(maps[0])
        rows, columns = (torch.arange(side, device=self.device) for side in scores.shape[-2:])
        grid = torch.cartesian_prod(rows, columns)
        boxes = image.windows(grid[:, 0], grid[:, 1], stride=self.trunk.stride, size=self.size)
        return Found(vectors[0].permute(1, 2, 0), scores[0].float(), self.shared(maps), boxes)

    def _patches(self, images: Sequence[Tensor], targets: Sequence[Target]) -> Tensor:
        """Patches as the network sees them [B, 3, S, S]."""
        check_batch(images, targets=targets)
        side = self.size + self.context
        for index, (image, target) in enumerate(zip(images, targets, strict=True)):
            check_is_target(target, index)
            shapes = [tuple(image.shape[-2:])]
            if "objectness" not in target:
                shapes.append(tuple(target[self.mask_key].shape) if self.mask_key in target else ())
            if shapes != [(side, side), (1, side, side)][: len(shapes)]:
                raise DataError(
                    f"image {index} of the batch and its target are no patch: expected {side} x {side} pixels and "
                    f'target["{self.mask_key}"] [1, {side}, {side}] or target["objectness"], got '
                    f"{' and '.join(map(str, shapes))}; detector.samples(data) cuts patches, and training does it "
                    "by itself"
                )
        pixels = (torch.stack(as_float(images, self.device)) - self.mean) / self.std
        return pixels.contiguous(memory_format=torch.channels_last)

    def _mask_goals(self, targets: Sequence[Target], logits: Tensor) -> Tensor:
        """What logits [N, s, s] of the patches that have a mask should be, 0 or 1."""
        masks = [target[self.mask_key].as_subclass(Tensor) for target in targets if "objectness" not in target]
        if not masks:
            return torch.zeros_like(logits)
        edge = self.context // 2
        whole = torch.stack(masks).to(self.device).float()[..., edge : edge + self.size, edge : edge + self.size]
        return (F.adaptive_avg_pool2d(whole, logits.shape[-1])[:, 0] > 0.5).float()
