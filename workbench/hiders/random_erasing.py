"""Random erasing (Zhong, Zheng, Kang, Li & Yang, AAAI 2020): a rectangle of other colours over image or objects.

The paper has three forms for detection: a rectangle somewhere in the image ("image", IRE), in the box of each object
("objects", ORE), or both ("both", I+ORE); with Fast R-CNN on VOC 2007 it reports 76.2 mAP against 74.8. Each
rectangle is drawn with the same chance, its area is 2-40 % of the image's or the box's, its sides have a ratio of 0.3
to 1 / 0.3 (values of the released code), and it is filled with noise; one that does not fit is drawn again.

| | paper, released code | here |
|---|---|---|
| ratio of the sides | evenly from 0.3 to 1 / 0.3 | its logarithm evenly, as in torchvision |
| tries | until one fits / 100 | 10, as in torchvision |
| noise | each value evenly from 0 to 255 | the same |
| objects under a rectangle | learned as before | those of which too little is left are ignored (`least_visible`) |

Where it does not help: a rectangle of noise looks like nothing that hides objects in photographs; and with "objects"
alone a rectangle means that an object is there, which "both" makes less certain.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from workbench.hiders.base import Hider, Sample, Scene, check_range
from workbench.hiders.layers.fills import Fill, filled
from workbench.hiders.layers.rectangles import random_rectangle
from workbench.options import Share, Size
from workbench.registry import HIDERS
from workbench.types import Target, learnable

Where = Literal["image", "objects", "both"]
ASPECT = (0.3, 1 / 0.3)


@HIDERS.register("random-erasing")
class RandomErasing(Hider):
    """Erase a rectangle of the image, of each object's box, or both.

    Args:
        where: "image", "objects" or "both".
        chance: of each rectangle.
        area: lowest and highest share of the image, or of the box.
        aspect: lowest and highest width over height.
        fill: "noise", "mean" (the mean colour of the training images), "black" or "grey".

    Example:
        >>> image, target = wb.load_data("digit-scenes", split="test")[7]
        >>> scene = Scene.seeded(0)
        >>> erased, target = RandomErasing(chance=1.0, where="objects", area=(0.2, 0.2)).hide(image, target, scene)
        >>> bool((target["occlusion"] > 0).all())
        True
    """

    def __init__(
        self,
        *,
        where: Where = "both",
        chance: Share = 0.5,
        area: tuple[Share, Share] = (0.02, 0.4),
        aspect: tuple[Size, Size] = ASPECT,
        fill: Fill = "noise",
        **options: Any,
    ):
        super().__init__(chance=chance, **options)
        check_range("area", area)
        check_range("aspect", aspect)
        self.where, self.area, self.aspect, self.fill = where, area, aspect, fill

    def hide(self, image: Tensor, target: Target, scene: Scene) -> Sample:
        """See the class."""
        hidden = torch.zeros(image.shape[-2:], dtype=torch.bool)
        if self.where != "objects" and self.wants(scene):
            self._erase(hidden, scene)
        if self.where != "image":
            for row in learnable(target).nonzero()[:, 0].tolist():
                if self.wants(scene):
                    x1, y1, x2, y2 = target["boxes"][row].as_subclass(Tensor).round().int().tolist()
                    self._erase(hidden[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)], scene)
        if not hidden.any():
            return image, target
        return filled(image, hidden, self.fill, scene.mean, scene.rng), self.still_true(target, hidden)

    def _erase(self, hidden: Tensor, scene: Scene) -> None:
        """Hide a rectangle of a part [h, w] of an image, in place."""
        height, width = hidden.shape
        found = random_rectangle(height, width, self.area, self.aspect, scene.rng)
        if found is not None:
            top, left, rows, columns = found
            hidden[top : top + rows, left : left + columns] = True
