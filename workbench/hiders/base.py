"""The seam for what hides parts of training images, and what becomes of a target when pixels are hidden.

A hider gets an image with its target and gives both back: other pixels, and a target that is still true
(`after_hiding`). Most look at one image alone and act in the loader; those that take objects from other images of the
batch (`needs_batch`) do so, too, as a loader makes whole batches. A hider that asks the detector (`needs_detector`)
acts in the training step: only there is the detector as it is now, and processes of a loader have none. What the
detector thinks reaches it as a `Judge`, as hardeners are given a `Score`; hiders never import detectors.

All chance comes from the generator of the `Scene`, which is made from the recipe's seed and the image (or the step),
so that a resumed run sees the same images, by any number of loader processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from workbench.data.dataset import Dataset
from workbench.data.drawing.layout import LEVELS, MOST_HIDDEN
from workbench.data.face_scenes import MASKED
from workbench.errors import RecipeError
from workbench.hiders.layers.pixels import (
    Window,
    cut,
    has_mask,
    like,
    own_count,
    plain,
    shown,
    shrunk,
    tight_box,
    window_of,
)
from workbench.options import Share
from workbench.types import Target

Sample = tuple[Tensor, Target]  #: an image uint8 [3, H, W] and its target
Boxes = Literal["whole", "visible"]
GREY = torch.full((3,), 128, dtype=torch.uint8)


class Judge(Protocol):
    """How the detector does now, as hiders may ask it."""

    needs_targets: bool  #: whether it looks at more of the targets than boxes and labels

    def __call__(self, samples: Sequence[Sample], rows: Tensor) -> Tensor:
        """How badly it does at objects `rows` [n] of the same image under V occluders [V, n]; more is worse."""
        ...


@dataclass(frozen=True)
class Scene:
    """What a hider may look at beside the image itself.

    Example:
        >>> scene = Scene.seeded(0, progress=0.5)
        >>> int(scene.rng.integers(10)), scene.mean.tolist()
        (8, [128, 128, 128])
    """

    rng: np.random.Generator  #: the only source of chance
    progress: float = 1.0  #: share of the training that is done
    mean: Tensor = GREY  #: [3] uint8, mean colour of the training images, where the hider asks for it
    others: Sequence[Sample] = ()  #: the other images of the batch, as they were before this hider
    judge: Judge | None = None

    @classmethod
    def seeded(cls, seed: int, **more: Any) -> Scene:
        """With the chance of a seed; `more` are the other fields by name."""
        return cls(np.random.default_rng(seed), **more)


class Hider:
    """Hides parts of training images. Methods implement `hide`, and say by attributes what they need.

    Args:
        chance: that an image is changed.
        ramp: share of the training over which `chance` rises from 0.
        least_visible: objects of which a change leaves less than this share visible are `ignored` in training:
            neither objects nor background.
        boxes: what the boxes of changed objects become: "whole" leaves them as they are, "visible" draws them around
            what is left to be seen, as annotators of COCO would.

    Example:
        >>> class UpperHalf(Hider):
        ...     def hide(self, image, target, scene):
        ...         hidden = torch.zeros(image.shape[-2:], dtype=torch.bool)
        ...         hidden[: len(hidden) // 2] = True
        ...         return image.masked_fill(hidden, 0), self.still_true(target, hidden)
        >>> image, target = wb.load_data("digit-scenes", split="test")[7]
        >>> changed, target = UpperHalf().hide(image, target, Scene.seeded(0))
        >>> target["occlusion"]  # the fourth digit lies in the upper half, the fifth in the lower one
        tensor([0.7276, 0.5889, 0.3555, 1.0000, 0.0000])
    """

    kind: ClassVar[str] = ""  #: its name in recipes
    tasks: ClassVar[tuple[str, ...]] = ("detection", "classification")  #: which data it is for
    needs_batch: ClassVar[bool] = False  #: whether it looks at the other images of a batch
    needs_detector: ClassVar[bool] = False  #: whether it asks the detector, and so acts in the training step

    def __init__(
        self,
        *,
        chance: Share = 1.0,
        ramp: Share = 0.0,
        least_visible: Share = 1 - MOST_HIDDEN,
        boxes: Boxes = "whole",
    ):
        self.chance, self.ramp = chance, ramp
        self.least_visible, self.boxes = least_visible, boxes

    def hide(self, image: Tensor, target: Target, scene: Scene) -> Sample:
        """The image uint8 [3, H, W] with something hidden, and what is true of it then; those given stay as they are.

        Raises:
            DataError: an occluder that cannot be read.
        """
        raise NotImplementedError

    def hide_batch(self, samples: Sequence[Sample], scene: Scene) -> list[Sample]:
        """The same for all images of a step, for hiders that ask the detector."""
        return [self.hide(*sample, scene) for sample in samples]

    def obstacles(self, data: Dataset) -> Iterator[str]:
        """Why it cannot work on training data; files of occluders are read."""
        yield from ()

    @property
    def needs_mean(self) -> bool:
        """Whether it asks for the mean colour of the data."""
        return getattr(self, "fill", None) == "mean"

    @property
    def health(self) -> dict[str, float]:
        """Numbers of the last step that show whether it does its work, also 0; of hiders that ask the detector."""
        return {}

    def chance_at(self, progress: float) -> float:
        """The chance of a change when `progress` (0..1) of the training is done."""
        return self.chance * min(1.0, progress / self.ramp) if self.ramp else self.chance

    def wants(self, scene: Scene) -> bool:
        """Whether this image is to be changed; drawn."""
        return scene.rng.random() < self.chance_at(scene.progress)

    def still_true(self, target: Target, hidden: Tensor) -> Target:
        """`after_hiding` as the options say."""
        return after_hiding(target, hidden, least_visible=self.least_visible, boxes=self.boxes)


def check_range(name: str, given: tuple[float, float]) -> None:
    """See that the lower end of a range comes first.

    Raises:
        RecipeError: it does not.
    """
    if given[0] > given[1]:
        raise RecipeError(f"augment.hide.{name} is {list(given)}; expected the lower value first")


def after_hiding(target: Target, hidden: Tensor, *, least_visible: float = 0.0, boxes: Boxes = "whole") -> Target:
    """What is true of an image once pixels of it are hidden: a new target.

    An object's pixels are its mask where that is known, else those whose centres lie in its (visible) box.
    `occlusion` becomes the hidden share of its pixels: to the pixel where `masks` and `masks_amodal` are known; else
    what was visible before counts with the hidden share of before, and as the whole object where that is unknown.
    `masks`, `area` (of masks), `boxes_visible`, `mask_occluder` and `face_type` follow where the target has them.
    `mask_hidden` remembers what was hidden, so that no pixel of a box counts twice.

    Args:
        hidden: [H, W] bool.
        least_visible: objects that were touched, and of which less than this share is left to half a pixel, or none,
            are `ignored`.
        boxes: see `Hider`.

    Example:
        >>> target = {"boxes": torch.tensor([[0.0, 0, 4, 4], [4, 0, 8, 4]]), "labels": torch.tensor([1, 2])}
        >>> hidden = torch.zeros(4, 8, dtype=torch.bool)
        >>> hidden[:, :3] = True
        >>> after = after_hiding(target, hidden, least_visible=0.3)
        >>> after["occlusion"], after["ignored"]  # of the second one nothing is known, as before
        (tensor([0.7500,    nan]), tensor([ True, False]))
    """
    hidden, size = plain(hidden), tuple(hidden.shape)
    already = plain(target["mask_hidden"]) if "mask_hidden" in target else torch.zeros_like(hidden)
    fresh, number = hidden & ~already, len(target["labels"])
    after = target | Target(mask_hidden=tv_tensors.Mask(hidden | already))
    window = window_of(fresh)
    if window is None or not number:
        return after
    occlusion = target["occlusion"].clone() if "occlusion" in target else torch.full((number,), torch.nan)
    ignored = target["ignored"].clone() if "ignored" in target else torch.zeros(number, dtype=torch.bool)
    tight: dict[int, Tensor] = {}  # of touched objects of which something is left
    for row in range(number):
        seen = shown(target, row, size)
        lost = int((cut(seen, window) & cut(fresh, window)).sum())
        if lost == 0:
            continue
        visible = int(seen.sum())
        own, left = own_count(target, row, visible), visible - lost
        occlusion[row] = (own - left) / own
        ignored[row] |= left == 0 or left + 0.5 < least_visible * own
        if left:
            tight[row] = tight_box(seen & ~fresh)
    after |= Target(occlusion=occlusion, ignored=ignored) | _pixels_after(target, fresh, window)
    after |= _boxes_after(target, tight, ("boxes_visible", "boxes") if boxes == "visible" else ("boxes_visible",))
    if "face_type" in target:
        worn = [row for row in tight if occlusion[row] >= LEVELS[1]]
        after["face_type"] = target["face_type"].index_fill(0, torch.tensor(worn, dtype=torch.long), MASKED)
    return after


def _pixels_after(target: Target, fresh: Tensor, window: Window) -> Target:
    """`masks`, the `area` of those that are known, and `mask_occluder`, once `fresh` [H, W] is hidden as well."""
    found = Target()
    part, own = cut(fresh, window), torch.zeros_like(cut(fresh, window))
    for row in range(len(target["labels"])):
        whole = has_mask(target, row, "masks_amodal")
        pixels = plain(target["masks_amodal"][row]) if whole else shown(target, row, tuple(fresh.shape))
        own |= cut(pixels, window)
    if "masks" in target:
        masks = plain(target["masks"]).clone()
        cut(masks, window).logical_and_(~part)
        found["masks"] = tv_tensors.Mask(masks)
        if "area" in target:
            touched = (cut(plain(target["masks"]), window) & part).flatten(1).any(1)
            area = target["area"].clone()
            area[touched] = masks[touched].flatten(1).sum(1).to(area.dtype)
            found["area"] = area
    if "mask_occluder" in target:
        occluder = plain(target["mask_occluder"]).clone()
        cut(occluder, window).logical_or_(part & own)
        found["mask_occluder"] = tv_tensors.Mask(occluder)
    return found


def _boxes_after(target: Target, tight: Mapping[int, Tensor], keys: Iterable[str]) -> Target:
    """Boxes of touched objects, moved in to the boxes around what is left of them."""
    found = Target()
    for key in keys:
        if key in target and tight:
            boxes = target[key].as_subclass(Tensor).clone()
            for row, box in tight.items():
                boxes[row] = shrunk(boxes[row], box)
            found[key] = like(target[key], boxes)
    return found
