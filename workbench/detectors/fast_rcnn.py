"""Fast R-CNN (Girshick 2015) on given proposals, as A-Fast-RCNN trains it (Wang et al. 2017, sec. 4.3 and 5.1).

Faster R-CNN without its region proposal network: proposals come with the data (`target["proposals"]`, see
`with_proposals`) and with the images to `detect`. The defaults are those of the papers: RoI max pooling, objects from
IoU 0.5, background in [0.1, 0.5), a quarter of the RoIs objects, NMS at 0.3, images of 600 pixels.

| | paper | authors' code (`roi`) | here otherwise |
|---|---|---|---|
| RoIs per step | 256 of 2 images | 128 of each of 2 (joint) | `samples` 128 per image |
| background from IoU | 0.1 | 0 (`background_from: 0`) | |
| detections | - | score > 1e-5, up to 2000 per image | score > 0.05, 100 per image; recipes `voc…` as released |
| box loss | smooth L1, beta 1, deltas normalised by their deviation | the same | by 0.1, 0.1, 0.2, 0.2 |

The box loss is the original's: beta 1 on deltas divided by 0.1, 0.1, 0.2, 0.2, which are near the deviations that
Fast R-CNN measures on VOC (Faster R-CNN's code fixes them so). torchvision's detectors, and `FasterRCNN` here, have
beta 1/9 with the same divisors: nearly an L1 loss, nine times as steep at small errors. An image without objects
teaches nothing with a background from 0.1: none of its proposals overlaps an object.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import clip_boxes_to_image

from workbench.detectors.branches.build import Branches, add_branches
from workbench.detectors.layers.trunk import Pooling, build_roi_head, build_transform, build_trunk
from workbench.detectors.rcnn import RCNN
from workbench.errors import DataError
from workbench.options import Count, Size
from workbench.registry import DETECTORS

PUBLISHED = {"samples": 128, "background_from": 0.1, "box_beta": 1.0, "nms_iou": 0.3}


@DETECTORS.register("fast-rcnn")
class FastRCNN(RCNN):
    """Two-stage detector on given proposals; build one with `FastRCNN.build`.

    Example:
        >>> detector = FastRCNN.build(("cat", "dog"), backbone={"name": "small"}, pyramid=True, min_size=None)
        >>> image, proposals = torch.rand(3, 64, 64), torch.tensor([[8.0, 8, 40, 40]])
        >>> found = detector.detect([image], [proposals])[0]
        >>> sorted(found.labels.tolist())
        [1, 2]
    """

    needs_proposals = True

    @classmethod
    def build(
        cls,
        classes: Sequence[str],
        *,
        backbone: dict | None = None,
        pyramid: bool | dict = False,
        channels: Count | None = None,
        head: dict | None = None,
        pooling: Pooling = "max",
        pool_size: Count | None = None,
        canonical_size: Size = 224.0,
        min_size: Count | Sequence[Count] | None = 600,
        max_size: Count | None = 1000,
        roi: dict | None = None,
        branches: Branches | None = None,
    ) -> FastRCNN:
        """A Fast R-CNN from plain values, as a recipe gives them; the options are those of `FasterRCNN.build`.

        Args:
            backbone: {"name": "vgg16", ...}, the default; a ResNet without `pyramid` has its conv5 as the head
                unless `head` says {"kind": "two-fc"}.
            pool_size: cells; 7, AlexNet 6, conv5 14.
            roi: options of `RoIHead`, over `PUBLISHED`; with `mining` all background counts, from IoU 0 on, also in
                stages without it (Shrivastava et al. 2016: what `background_from` is a substitute for).

        Raises:
            RecipeError: options that do not exist or do not fit together.
        """
        trunk = build_trunk({"name": "vgg16"} | (backbone or {}), pyramid, channels)
        natural = {"kind": "two-fc" if trunk.conv5 is None else "conv5"}
        roi_head = build_roi_head(
            trunk,
            len(classes),
            head=natural | (head or {}),
            pooling=pooling,
            pool_size=pool_size,
            canonical_size=canonical_size,
            roi=PUBLISHED | ({"background_from": 0.0} if (roi or {}).get("mining") else {}) | (roi or {}),
        )
        detector = cls(trunk.module, None, roi_head, build_transform(min_size, max_size), classes)
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
        """The given ones, clipped to their images; there is no loss on them."""
        _check(given)
        boxes = self._scaled(images, batch, given)
        return [clip_boxes_to_image(box, size) for box, size in zip(boxes, batch.image_sizes, strict=True)], {}


def _check(proposals: list[Tensor | None]) -> None:
    """Raise a DataError unless there are boxes [P, 4] for every image."""
    for index, boxes in enumerate(proposals):
        if boxes is None:
            raise DataError(
                f"image {index} of the batch has no proposals, and Fast R-CNN makes none: give detect(images, "
                'proposals), and data target["proposals"] by with_proposals(data, ...), in a recipe data.proposals'
            )
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise DataError(f"proposals of image {index} of the batch have shape {tuple(boxes.shape)}, not [P, 4]")
        wrong = ~torch.isfinite(boxes).all(dim=1) | (boxes[:, 2:] < boxes[:, :2]).any(dim=1)
        if wrong.any():
            row = boxes[wrong][0].tolist()
            raise DataError(
                f"image {index} of the batch has the proposal {row}; expected finite x1 <= x2 and y1 <= y2 in "
                "pixels. Were the boxes given as x, y, width, height?"
            )
