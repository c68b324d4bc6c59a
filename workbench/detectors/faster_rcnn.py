"""Faster R-CNN (Ren et al. 2015) with a feature pyramid (Lin et al. 2017; Lin's thesis, ch. 4) or on a single map.

Built from torchvision's parts, with its names: a state dict of `fasterrcnn_resnet50_fpn` loads into
`FasterRCNN.build(classes, backbone={"name": "resnet50"})` and gives the same detections and losses. Ours differs
in three ways: the RoI head has a seam for hardeners, all sampling uses a generator that is passed in, and the
losses can be had in evaluation mode as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList

from workbench.detectors.branches.build import Branches, add_branches
from workbench.detectors.layers.proposing import Proposing
from workbench.detectors.layers.rpn import RegionProposalNetwork
from workbench.detectors.layers.trunk import Pooling, Trunk, build_roi_head, build_transform, build_trunk
from workbench.detectors.rcnn import RCNN
from workbench.errors import RecipeError
from workbench.options import Count, Size, check_options
from workbench.registry import DETECTORS


@DETECTORS.register("faster-rcnn")
class FasterRCNN(Proposing, RCNN):
    """Two-stage detector that proposes for itself; build one with `FasterRCNN.build`.

    Example:
        >>> detector = FasterRCNN.build(("cat", "dog"), backbone={"name": "small"}, min_size=None)
        >>> image, boxes = torch.rand(3, 64, 64), torch.tensor([[8.0, 8, 40, 40]])
        >>> detector.score_boxes([image], [boxes])[0].shape, detector.roi_features([image], [boxes]).shape
        (torch.Size([1, 3]), torch.Size([1, 96, 7, 7]))
    """

    grows = ("rpn",)  # so that it can start from a Fast R-CNN, as the third of Ren et al.'s four steps does
    rpn: RegionProposalNetwork

    @classmethod
    def build(
        cls,
        classes: Sequence[str],
        *,
        backbone: dict | None = None,
        pyramid: bool | dict = True,
        channels: Count | None = None,
        head: dict | None = None,
        anchor_sizes: Sequence[Sequence[Size]] | None = None,
        aspect_ratios: Sequence[Size] = (0.5, 1.0, 2.0),
        min_size: Count | Sequence[Count] | None = 800,
        max_size: Count | None = 1333,
        canonical_size: Size = 224.0,
        pooling: Pooling = "align",
        pool_size: Count | None = None,
        rpn: dict | None = None,
        roi: dict | None = None,
        branches: Branches | None = None,
    ) -> FasterRCNN:
        """A Faster R-CNN from plain values, as a recipe gives them.

        Args:
            backbone: {"name": "small" | "alexnet" | "vgg11" | "vgg16" | "resnet18" ... "resnet101" |
                "resnext50_32x4d" ... "resnext101_64x4d", and its options};
                "cache": True remembers the map of every training image, where a frozen trunk gives a single map.
            pyramid: False takes a single map: the last one of VGG16 and AlexNet, which have no pyramid, and C4
                (stride 16) of the others, unless `backbone` has another "stage", 2 to 5. A dict switches parts of
                the pyramid off, as in Tables 4.1 to 4.3 of Lin's thesis: {"top_down": False}, {"lateral": False} or
                {"finest": True}; {"norm": "batch"} is that of torchvision's v2 detectors.
            channels: of the pyramid; 256 for ResNets, 96 for the small one.
            head: {"kind": "two-fc", "width": 1024} or {"kind": "conv5"} (C4 of a ResNet only). VGG16 and AlexNet
                have fc6 and fc7: width 4096, "dropout": 0.5, and the weights of their classifier unless
                "pretrained": False. {"kind": "conv-fc", "layers": [256, ...], "norm": "batch"} has 3x3 convolutions
                before one layer of `width`, as torchvision's v2 detectors.
            anchor_sizes: per level, sides in pixels of the network's input.
            aspect_ratios: height over width.
            min_size, max_size: pixels; images are resized to this short side, but never above this long side.
                None for `min_size` keeps every image as it is.
            pooling: "align" or "max", to `pool_size` cells a side.
            canonical_size: pixels; RoIs of this size are pooled from the stride-16 map.
            rpn, roi: further options of `RegionProposalNetwork` and `RoIHead`.
            branches: what is predicted beside boxes, on whole images: [{"kind": "occlusion", and its options}].

        Raises:
            RecipeError: options that do not exist or do not fit together.
        """
        trunk = build_trunk({"name": "resnet50"} | (backbone or {}), pyramid, channels)
        roi_head = build_roi_head(
            trunk,
            len(classes),
            head=head,
            pooling=pooling,
            pool_size=pool_size,
            canonical_size=canonical_size,
            roi=roi,
        )
        proposals = build_rpn(trunk, anchor_sizes, aspect_ratios, rpn)
        detector = cls(trunk.module, proposals, roi_head, build_transform(min_size, max_size), classes)
        add_branches(detector, branches, trunk.channels, trunk.strides)
        return detector.to(memory_format=torch.channels_last)

    def propose(
        self,
        images: Sequence[Tensor],
        batch: ImageList,
        features: list[Tensor],
        given: list[Tensor | None],
        targets: list[dict[str, Tensor]] | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Those of the region proposal network, whatever is given; its losses are `objectness` and `rpn_box`."""
        proposals, losses = self.rpn(batch, features, targets, generator)
        return [found.boxes for found in proposals], losses


def build_rpn(
    trunk: Trunk,
    anchor_sizes: Sequence[Sequence[float]] | None,
    aspect_ratios: Sequence[float],
    options: dict | None,
) -> RegionProposalNetwork:
    """The region proposal network on all levels of a trunk; see `FasterRCNN.build`.

    Raises:
        RecipeError: an option is unknown or wrong, or `anchor_sizes` does not fit the levels.
    """
    fixed: dict[str, Any] = {"channels": trunk.channels, "aspect_ratios": tuple(aspect_ratios)}
    checked = check_options("detector.rpn", RegionProposalNetwork, options or {}, given=(*fixed, "anchor_sizes"))
    return RegionProposalNetwork(anchor_sizes=_anchors(anchor_sizes, trunk), **fixed, **checked)


def _anchors(given: Sequence[Sequence[float]] | None, trunk: Trunk) -> tuple:
    """Anchor sides per level: the given ones, or the published defaults."""
    levels = len(trunk.strides) + trunk.extra_levels
    if given is None and trunk.name == "small":
        given = [(4.0 * stride, 6.0 * stride) for stride in ((4, 8, 16) if levels == 1 else trunk.strides)]
        given = [[size for sizes in given for size in sizes]] if levels == 1 else given
    elif given is None:
        given = [(8.0 * 4 * 2**i,) for i in range(levels)] if levels > 1 else [(32, 64, 128, 256, 512)]
    if len(given) != levels:
        raise RecipeError(f"detector.anchor_sizes lists {len(given)} levels; expected {levels}")
    if len({len(sizes) for sizes in given}) > 1:
        raise RecipeError("detector.anchor_sizes: every level must list the same number of sizes")
    return tuple(tuple(sizes) for sizes in given)
