"""Images scaled to fit a square and filled up, as most exports of YOLO take them, and boxes back from there."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.errors import DataError


class Letterbox:
    """A square that images are scaled into, as large as they go in, without changing their shape.

    Args:
        size: pixels a side.
        place: "corner" puts the image to the upper left, "centre" into the middle.
        fill: grey value of the rest, 0..255.
        bgr: blue comes first.
        divisor: values 0..255 are divided by it; 1 leaves them.

    Example:
        >>> import numpy as np
        >>> box = Letterbox(64, place="corner", divisor=1)
        >>> image = np.full((30, 40, 3), 200, np.uint8)
        >>> given = box.prepare(image)
        >>> given.shape, given[0, 0, 47:49, 63].tolist()  # 48 rows of the image, then grey
        ((1, 3, 64, 64), [200.0, 114.0])
        >>> box.restore(torch.tensor([[0.0, 0, 64, 48]]), image).tolist()
        [[0.0, 0.0, 40.0, 30.0]]
    """

    def __init__(
        self,
        size: int,
        *,
        place: Literal["centre", "corner"] = "centre",
        fill: float = 114,
        bgr: bool = False,
        divisor: float = 255.0,
    ):
        if size < 1 or place not in ("centre", "corner") or divisor <= 0:
            what = f"size {size}, place {place!r} and divisor {divisor} were given"
            raise DataError(f"{what}; expected pixels a side, 'centre' or 'corner', and more than 0")
        self.size, self.place, self.fill, self.bgr, self.divisor = size, place, fill, bgr, divisor

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """An image uint8 [H, W, 3], red first, as input float32 [1, 3, size, size].

        It is scaled bilinearly between the nearest four pixels, without a filter, as OpenCV does.
        """
        height, width, left, top = self._inside(image)
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
        if self.bgr:
            pixels = pixels.flip(1)
        scaled = F.interpolate(pixels, (height, width), mode="bilinear", align_corners=False)
        out = torch.full((1, 3, self.size, self.size), float(self.fill))
        out[..., top : top + height, left : left + width] = scaled
        return (out / self.divisor).numpy()

    def restore(self, boxes: Any, image: np.ndarray) -> Tensor:
        """Boxes [N, 4], xyxy in pixels of the square, in pixels of the image; none reaches beyond it."""
        found = torch.as_tensor(boxes).float().reshape(-1, 4)
        _, _, left, top = self._inside(image)
        whole = found.new_tensor([image.shape[1], image.shape[0]] * 2)
        back = (found - found.new_tensor([left, top] * 2)) / self._scale(image)
        return torch.minimum(back.clamp(min=0), whole)

    def _scale(self, image: np.ndarray) -> float:
        return min(self.size / image.shape[0], self.size / image.shape[1])

    def _inside(self, image: np.ndarray) -> tuple[int, int, int, int]:
        """Height, width, left and top of the image within the square."""
        height, width = (max(1, int(side * self._scale(image))) for side in image.shape[:2])
        if self.place == "corner":
            return height, width, 0, 0
        return height, width, (self.size - width) // 2, (self.size - height) // 2
