"""YOLOX (Ge et al. 2021) as its authors export it to ONNX: what goes in, and what the numbers that come out mean.

The input is a letterbox, image in the upper left, blue first, values 0..255. The output [1, A, 5 + K] has a row for
each cell of the grids of stride 8, 16 and 32, row by row: centre and size (relative to the cell and its stride, the
size as a logarithm), objectness, and K class probabilities; the score of a class is objectness × probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_convert

from workbench.detectors.outside.letterbox import Letterbox
from workbench.errors import DataError

STRIDES = (8, 16, 32)


class YOLOX:
    """`prepare` and `decode` of a YOLOX: wrap(path, classes, prepare=yolox.prepare, decode=yolox.decode).

    Args:
        size: pixels a side of the network's input.
        score_threshold: keep detections that score more than this.
        nms_iou: of two detections of one class that overlap by more, the lower goes.
        max_detections: kept per image.

    Example:
        >>> import numpy as np
        >>> yolox = YOLOX(64)
        >>> rows = np.zeros((1, 64 + 16 + 4, 5 + 2), np.float32)
        >>> rows[0, 9] = [0.5, 0.5, np.log(2), np.log(3), 0.9, 0.0, 0.8]  # of the cell in row 1, column 1
        >>> found = yolox.decode([rows], np.zeros((64, 64, 3), np.uint8))
        >>> found["boxes"].tolist(), found["labels"].tolist(), round(float(found["scores"][0]), 2)
        ([[4.0, 0.0, 20.0, 24.0]], [1], 0.72)
    """

    def __init__(
        self,
        size: int = 416,
        *,
        score_threshold: float = 0.01,
        nms_iou: float = 0.65,
        max_detections: int = 100,
    ):
        self.box = Letterbox(size, place="corner", bgr=True, divisor=1.0)
        self.score_threshold, self.nms_iou, self.max_detections = score_threshold, nms_iou, max_detections
        grids = [torch.cartesian_prod(*[torch.arange(size // stride)] * 2).flip(1) for stride in STRIDES]
        self.cells = torch.cat(grids).float()  #: [A, 2], x and y
        repeats = torch.tensor([len(grid) for grid in grids])
        self.strides = torch.tensor(STRIDES).float().repeat_interleave(repeats)[:, None]  #: [A, 1]

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """An image uint8 [H, W, 3] as the network's input."""
        return self.box.prepare(image)

    def decode(self, outputs: Sequence[Any], image: np.ndarray) -> dict[str, Tensor]:
        """The detections in an image, with the scores of all classes.

        Raises:
            DataError: the output has not the shape that this size of input gives.
        """
        rows = torch.from_numpy(np.asarray(outputs[0], dtype=np.float32))
        if rows.ndim != 3 or rows.shape[:2] != (1, len(self.cells)) or rows.shape[2] < 6:
            what = f"the output of a YOLOX of {self.box.size} pixels is [1, {len(self.cells)}, 5 + K]"
            raise DataError(f"{what}, but {list(rows.shape)} came: another size of input, or another network")
        rows = rows[0]
        centres, sides = (rows[:, :2] + self.cells) * self.strides, rows[:, 2:4].exp() * self.strides
        every = rows[:, 4:5] * rows[:, 5:]
        cells, labels = torch.where(every > self.score_threshold)  # one cell may give several classes
        scores = every[cells, labels]
        boxes = box_convert(torch.cat([centres, sides], dim=1)[cells], "cxcywh", "xyxy")
        kept = batched_nms(boxes, scores, labels, self.nms_iou)[: self.max_detections]
        found = {"labels": labels[kept], "scores": scores[kept], "class_scores": every[cells[kept]]}
        found["objectness"] = rows[cells[kept], 4]
        return {"boxes": self.box.restore(boxes[kept], image), **found}
