"""Boxes of any form as xyxy pixels, and mix-ups of forms that show in the boxes themselves."""

from __future__ import annotations

import warnings
from typing import Literal

from torch import Tensor
from torchvision.ops import box_convert

from workbench.errors import DataError

BoxForm = Literal["xyxy", "xywh", "cxcywh", "yxyx"]

FEW = 0.2  #: share of boxes that may be inside out: some detectors predict sides below 0
MANY = 0.5  #: share of boxes that must look like fractions
SMALL = 1.5  #: fractions may overshoot 1; in pixels, a box within so few is no object
ODD = 0.02  #: share of boxes that may lie outside their image before it is said
ENOUGH = 20  #: boxes before something is said of shares as small as that
SLACK = 1.0  #: pixels by which a side may be negative


class BoxReader:
    """Turns the boxes of a detector into xyxy pixels, and keeps count of what looks wrong.

    Args:
        form: "xyxy", "xywh" (corner and size), "cxcywh" (centre and size) or "yxyx".
        relative: whether they are fractions of the image's width and height.
        name: of the detector, for messages.
    """

    def __init__(self, form: BoxForm, *, relative: bool, name: str):
        self.form, self.relative, self.name = form, relative, name
        self.seen = self.inverted = self.fractions = self.outside = 0
        self.notes: list[str] = []

    def __call__(self, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        """Boxes [N, 4] of one image as xyxy pixels.

        Args:
            boxes: as the detector gave them.
            size: height and width of the image.

        Raises:
            DataError: they are evidently of another form.
        """
        height, width = size
        if self.form == "yxyx":
            boxes = boxes[:, [1, 0, 3, 2]]
        elif self.form != "xyxy":
            boxes = box_convert(boxes, self.form, "xyxy")
        scale = boxes.new_tensor([width, height, width, height])
        self._count(boxes, scale)
        return boxes * scale if self.relative else boxes

    def _count(self, boxes: Tensor, scale: Tensor) -> None:
        """Look for mix-ups in further boxes."""
        if len(boxes) == 0:
            return
        pixels = boxes * scale if self.relative else boxes
        centres = (pixels[:, :2] + pixels[:, 2:]) / 2
        self.seen += len(boxes)
        self.inverted += int((pixels[:, 2:] < pixels[:, :2] - SLACK).any(dim=1).sum())
        self.outside += int(((centres < 0) | (centres > scale[:2])).any(dim=1).sum())
        small, whole = (boxes.abs() <= SMALL).all(dim=1), (boxes == boxes.round()).all(dim=1)
        self.fractions += int((small & ~whole).sum()) if float(scale.min()) > 8 * SMALL else 0
        self._check(boxes)

    def _check(self, boxes: Tensor) -> None:
        if not self.relative and self.fractions > MANY * self.seen:
            what = f"boxes such as {_short(boxes[0])} are fractions of the image"
            raise DataError(f"{self.name}: {what}; wrap it with relative=True, or give pixels")
        if self.relative and float(boxes.abs().median()) > 2 * SMALL:
            what = f"boxes such as {_short(boxes[0])} are no fractions of the image"
            raise DataError(f"{self.name}: {what}; wrap it without relative=True")
        if self.inverted > FEW * self.seen:
            what = f"in {self.inverted} of {self.seen} boxes x2 < x1 or y2 < y1, read as {self.form}"
            fix = "say of which form they are: wrap(..., boxes='xywh') or 'cxcywh'"
            raise DataError(f"{self.name}: {what}, such as {_short(boxes[0])}; {fix}")
        if self.seen >= ENOUGH and self.outside > ODD * self.seen and not self.notes:
            what = f"{self.outside} of {self.seen} boxes have their centre outside the image"
            why = (
                "are they in pixels of the network's input, or is a target size (width, height) for (height, width)?"
            )
            self.notes.append(f"{self.name}: {what}: {why}")
            warnings.warn(self.notes[-1], stacklevel=2)


def _short(box: Tensor) -> str:
    return str([round(value, 2) for value in box.tolist()])
