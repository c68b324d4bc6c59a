"""The parts of a RetinaNet: pyramid P3 to P7, its anchors, and the two subnets (Lin's thesis, sec. 5.4, Fig. 5.2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNetClassificationHead, RetinaNetRegressionHead
from torchvision.ops import generalized_box_iou_loss
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from workbench.detectors.layers.backbones import SmallBackbone, check_backbone, resnet_body, resnet_widths
from workbench.detectors.layers.fpn import Pyramid
from workbench.errors import RecipeError
from workbench.losses import prior_bias
from workbench.options import Factor, check_options

NORMS = {None: None, "group": partial(nn.GroupNorm, 32)}


class UpperPyramid(Pyramid):
    """A pyramid on all but the finest `skipped` maps of its body."""

    def __init__(self, body: nn.Module, widths: Sequence[int], channels: int, extra: LastLevelP6P7, *, skipped: int):
        super().__init__(body, widths[skipped:], channels, extra)
        self.skipped = skipped

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] → one [B, channels, h, w] per level, fine to coarse."""
        maps = list(self.body(images).items())[self.skipped :]
        return list(self.fpn(dict(maps)).values())


def build_upper_pyramid(
    backbone: dict, channels: int | None, finest_stride: int, p6_from: str
) -> tuple[UpperPyramid, int, tuple[int, ...]]:
    """The pyramid, its channels and the strides of its levels; see `RetinaNet.build`.

    Raises:
        RecipeError: there is no such backbone, level or map to begin P6 from.
    """
    options = dict(backbone)
    name = options.pop("name")
    options, small = check_backbone(name, options), name == "small"
    body = SmallBackbone(**options) if small else resnet_body(name, stages=4, **options)[0]
    strides = body.strides if small else (4, 8, 16, 32)
    widths = body.widths if small else resnet_widths(name)
    if finest_stride not in strides:
        raise RecipeError(f"detector.finest_stride is {finest_stride}; the backbone has {strides}")
    if p6_from not in ("c5", "p5"):
        raise RecipeError(f"detector.p6_from {p6_from!r} does not exist; choose 'c5' or 'p5'")
    channels = channels or (96 if small else 256)
    extra = LastLevelP6P7(channels if p6_from == "p5" else widths[-1], channels)
    extra.use_P5 = p6_from == "p5"  # torchvision guesses it from the widths, which may be equal
    skipped = strides.index(finest_stride)
    pyramid = UpperPyramid(body, widths, channels, extra, skipped=skipped)
    return pyramid, channels, (*strides[skipped:], 2 * strides[-1], 4 * strides[-1])


class ExactAnchors(AnchorGenerator):
    """Anchors of exactly the stated sizes at exactly the strides of the levels.

    torchvision's have whole pixels, and on images whose sides the coarsest stride does not divide they stand closer.
    """

    def __init__(self, sizes: tuple, aspect_ratios: tuple, strides: Sequence[int]):
        super().__init__(sizes, aspect_ratios)
        self.strides = tuple(strides)

    def generate_anchors(
        self,
        scales: Sequence[float],
        aspect_ratios: Sequence[float],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Anchors [len(aspect_ratios) * len(scales), 4] around the origin, in torchvision's order."""
        sides = torch.as_tensor(scales, dtype=dtype, device=device)
        tall = torch.as_tensor(aspect_ratios, dtype=dtype, device=device).sqrt()
        half = torch.stack([sides / tall[:, None], sides * tall[:, None]], dim=-1).flatten(0, 1) / 2
        return torch.cat([-half, half], dim=1)

    def grid_anchors(self, grid_sizes: list, strides: list) -> list[Tensor]:
        """Anchors of each level, whatever strides torchvision has guessed from the sizes of image and map."""
        return super().grid_anchors(grid_sizes, [(stride, stride) for stride in self.strides])


def build_anchors(
    sizes: Sequence[Sequence[float]], aspect_ratios: Sequence[float], strides: Sequence[int], *, exact: bool
) -> AnchorGenerator:
    """Anchors of these sides on each level.

    Args:
        sizes: sides in pixels, for each level.
        aspect_ratios: height / width.
        strides: of the levels, in pixels.
        exact: `ExactAnchors`; else torchvision's.

    Raises:
        RecipeError: the sides do not fit the levels.
    """
    if len(sizes) != len(strides):
        raise RecipeError(f"detector.anchor_sizes lists {len(sizes)} levels; expected {len(strides)}")
    if len({len(level) for level in sizes}) > 1:
        raise RecipeError("detector.anchor_sizes: every level must list the same number of sizes")
    sides, ratios = tuple(tuple(level) for level in sizes), (tuple(aspect_ratios),) * len(sizes)
    return ExactAnchors(sides, ratios, strides) if exact else AnchorGenerator(sides, ratios)


def octaves(strides: Sequence[int], scales: int, *, whole_pixels: bool) -> list[list[float]]:
    """Sides of anchors for each level: 4 strides, times 2^(i / scales) for i = 0 .. scales - 1."""
    sides = [[4 * stride * 2 ** (i / scales) for i in range(scales)] for stride in strides]
    return [[float(int(side)) for side in level] for level in sides] if whole_pixels else sides


class ClassSubnet(RetinaNetClassificationHead):
    """K binary classifiers per anchor; parameters have torchvision's names, those of its old checkpoints too."""

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps [B, C, h, w] of each level → logits [B, h w A, K] of each level."""
        return [by_anchor(self.cls_logits(self.conv(level)), self.num_classes) for level in maps]


class BoxSubnet(RetinaNetRegressionHead):
    """One box per anchor, whatever its class."""

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps [B, C, h, w] of each level → deltas [B, h w A, 4] of each level."""
        return [by_anchor(self.bbox_reg(self.conv(level)), 4) for level in maps]


def by_anchor(level: Tensor, values: int) -> Tensor:
    """[B, A values, h, w] → [B, h w A, values]; no copy where the memory format is channels-last."""
    return level.permute(0, 2, 3, 1).reshape(len(level), -1, values)


class Subnets(nn.Module):
    """The two subnets: alike, but they share no parameters.

    Args:
        channels: of the maps and of all hidden layers.
        num_anchors: A, per place of a map.
        num_logits: per anchor.
        prior: probability of each class before training.
        norm: "group" puts GroupNorm of 32 groups behind each hidden convolution; None: nothing.

    Raises:
        RecipeError: a prior outside 0..1, or a norm that does not exist or does not divide the channels.
    """

    def __init__(self, channels: int, num_anchors: int, num_logits: int, *, prior: float, norm: str | None):
        super().__init__()
        if norm not in NORMS:
            raise RecipeError(f"detector.head_norm {norm!r} does not exist; choose one of {list(NORMS)}")
        if norm == "group" and channels % 32:
            raise RecipeError(f"detector.head_norm: 32 groups do not divide {channels} channels")
        self.classification_head = ClassSubnet(channels, num_anchors, num_logits, norm_layer=NORMS[norm])
        nn.init.constant_(self.classification_head.cls_logits.bias, prior_bias(prior))
        self.regression_head = BoxSubnet(channels, num_anchors, norm_layer=NORMS[norm])

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Maps of each level → logits [B, h w A, num_logits] and deltas [B, h w A, 4] of each level."""
        return self.classification_head(maps), self.regression_head(maps)


class BoxLoss:
    """What a box costs: "smooth-l1" on the four deltas (L1 beyond `beta`; 0: L1 everywhere), or "giou" on the box.

    Raises:
        RecipeError: a kind or a beta that does not exist.
    """

    def __init__(self, *, kind: Literal["smooth-l1", "giou"] = "smooth-l1", beta: Factor = 0.11):
        self.kind, self.beta = kind, beta

    def __call__(self, coder: BoxCoder, deltas: Tensor, anchors: Tensor, truth: Tensor) -> Tensor:
        """Loss [P] of deltas [P, 4] at anchors [P, 4] that should become the boxes `truth` [P, 4]."""
        if self.kind == "giou":
            return generalized_box_iou_loss(coder.decode_single(deltas, anchors), truth)
        goals = coder.encode_single(truth, anchors)
        return F.smooth_l1_loss(deltas, goals, beta=self.beta, reduction="none").sum(dim=1)


def build_box_loss(config: dict) -> BoxLoss:
    """The box loss that a recipe describes.

    Raises:
        RecipeError: an option is unknown or wrong.
    """
    return BoxLoss(**check_options("detector.box_loss", BoxLoss, config))
