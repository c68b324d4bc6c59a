"""AOFD, a detector of occluded faces (Chen et al., Adversarial Occlusion-aware Face Detector, sec. 3 and 4.1).

Faster R-CNN with VGG16, one class, anchors of 64 to 512 px that are as high as wide or higher, and a branch that says
where something hides a face (`branches/occlusion.py`). The adversary of the paper is the hardener `mask-generator`,
which a recipe names beside it: each part also works without the others, on other detectors.

Where the paper is silent we do as the code of Faster R-CNN with VGG16 does: 128 RoIs of an image, smooth L1 with beta
1, RoIs pooled by their maximum, NMS at 0.3, and proposals from the best 12,000 boxes, 2,000 of them, in training, and
from 6,000, 300 of them, else. (`faster-rcnn` here has torchvision's numbers.) The three aspect ratios (1, 1.3, 1.7)
are taken as height over width, as faces are. "Either 512 or 1024" px of the short side is drawn for each image in
training, and 1024 px is the largest long side at any time.

Where it does not help: faces below about 15 px are missed ("due to the anchor setting", sec. 4.2), and without labels
of occlusion the branch learns nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.detectors.branches.build import Branches
from workbench.detectors.faster_rcnn import FasterRCNN
from workbench.registry import DETECTORS

#: Options of Faster R-CNN as the paper has them.
PAPER: dict[str, Any] = {
    "backbone": {"name": "vgg16"},
    "pyramid": False,
    "aspect_ratios": (1.0, 1.3, 1.7),
    "min_size": (512, 1024),
    "max_size": 1024,
    "pooling": "max",
    "rpn": {"train_proposals": (12000, 2000), "test_proposals": (6000, 300)},
    "roi": {"samples": 128, "box_beta": 1.0, "nms_iou": 0.3},
}
ANCHOR_SIZES = ((64.0, 128.0, 256.0, 512.0),)  #: of a single map; a pyramid has those of Faster R-CNN


@DETECTORS.register("aofd")
class AOFD(FasterRCNN):
    """Faster R-CNN with an occlusion branch; build one with `AOFD.build`. Its losses have an `occlusion`, too."""

    @classmethod
    def build(cls, classes: Sequence[str], *, branches: Branches | None = ("occlusion",), **options: Any) -> AOFD:
        """AOFD from plain values, as a recipe gives them; the other options are those of `FasterRCNN.build`.

        Args:
            branches: the occlusion branch with its options, [{"kind": "occlusion", "weight": 1e-5}]; [] for none.
            options: over `PAPER` and `ANCHOR_SIZES`, those of `backbone`, `rpn` and `roi` one by one.

        Raises:
            RecipeError: options that do not exist or do not fit together.
        """
        sections = {key: PAPER[key] | (options.get(key) or {}) for key in ("backbone", "rpn", "roi")}
        options = PAPER | options | sections
        if options["pyramid"] is False:
            options = {"anchor_sizes": ANCHOR_SIZES} | options
        return super().build(classes, branches=branches, **options)
