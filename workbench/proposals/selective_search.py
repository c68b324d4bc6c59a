"""Selective search (Uijlings et al. 2013), by OpenCV's contributed module."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as vision

from workbench.data.dataset import Dataset
from workbench.errors import DataError
from workbench.options import Count
from workbench.proposals.base import SMALLEST, TOP, Computed, Source
from workbench.registry import PROPOSALS
from workbench.types import Proposals

Mode = Literal["fast", "quality"]


@PROPOSALS.register("selective-search")
def make(
    data: Dataset, top: Count, *, mode: Mode = "fast", longest: Count = 500, cache: str | Path | None = None
) -> Source:
    """Selective search of the images of `data`, kept in `cache`; `top` does not change what is kept."""
    search = SelectiveSearch(mode=mode, longest=longest)
    return Computed(search, search.options, cache=cache)


class SelectiveSearch:
    """Regions that grow together from super-pixels, by OpenCV (the package opencv-contrib-python-headless).

    OpenCV shuffles the boxes by an order of merging times a random number, which nobody can repeat; here it is the
    order of area times a random number of a fixed seed, so large regions come first more often, as there. Scores are
    1 / rank in this order.

    Args:
        mode: "fast" (about 2000 boxes of a photograph of 500 pixels, 1 s) or "quality" (10 000 boxes).
        longest: pixels; larger images are searched at this longer side, as is usual on VOC and COCO.

    Example:
        >>> image = torch.zeros(3, 60, 80, dtype=torch.uint8)
        >>> image[:, 20:40, 10:50] = 255
        >>> [10, 20, 50, 40] in SelectiveSearch(mode="fast")(image).boxes.tolist()
        True
    """

    def __init__(self, *, mode: Mode = "fast", longest: int = 500):
        if mode not in get_args(Mode):
            raise DataError(f"selective search has no mode {mode!r}; choose one of {get_args(Mode)}")
        self.mode, self.longest = mode, longest

    @property
    def options(self) -> dict[str, Any]:
        """What decides its boxes; `revision` counts changes of this code."""
        return {"kind": "selective-search", "mode": self.mode, "longest": self.longest, "revision": 1}

    def __call__(self, image: Tensor) -> Proposals:
        """Those of an image uint8 [3, H, W]."""
        cv2 = _opencv()
        size = image.shape[-2:]
        scale = min(1.0, self.longest / max(size))
        if scale < 1:
            image = vision.resize(image, [max(1, round(side * scale)) for side in size], antialias=True)
        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(np.ascontiguousarray(image.flip(0).permute(1, 2, 0).numpy()))  # blue comes first
        fast = self.mode == "fast"
        (search.switchToSelectiveSearchFast if fast else search.switchToSelectiveSearchQuality)()
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # its threads hang in processes that were forked
        try:
            found = np.asarray(search.process(), np.float32).reshape(-1, 4)
        finally:
            cv2.setNumThreads(threads)
        boxes = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1)
        height, width = image.shape[-2:]
        stretch = np.array([size[1] / width, size[0] / height] * 2, np.float32)
        return Proposals.ranked(torch.from_numpy(_ordered(boxes) * stretch))


def searched(image: Tensor) -> Proposals:
    """Proposals of one image uint8 [3, H, W] by selective search, for a detector that needs some.

    Example:
        >>> from torchvision.ops import box_iou
        >>> image, target = wb.load_data("digit-scenes", split="test")[7]
        >>> box_iou(searched(image).boxes, target["boxes"]).amax(dim=0).min() > 0.5  # of each object
        tensor(True)
    """
    return SelectiveSearch()(image.as_subclass(Tensor)).inside(image.shape[-2:], smallest=SMALLEST).top(TOP)


def _ordered(boxes: np.ndarray) -> np.ndarray:
    """Boxes [P, 4] by rank of area (1 is the largest) times a random number of a fixed seed."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    boxes = boxes[np.lexsort((*boxes.T, -area))]
    chance = np.random.default_rng(0).random(len(boxes))
    return boxes[np.argsort(np.arange(1, len(boxes) + 1) * chance, kind="stable")]


def _opencv() -> Any:
    try:
        import cv2

        cv2.ximgproc.segmentation  # noqa: B018 (plain OpenCV is without it)
    except (ImportError, AttributeError) as error:
        raise DataError(
            "selective search needs OpenCV with its contributed modules: pip install opencv-contrib-python-headless "
            "(in place of opencv-python, where that is installed)"
        ) from error
    return cv2
