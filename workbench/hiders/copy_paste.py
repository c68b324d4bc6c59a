"""Copy-paste (Ghiasi, Cui, Srinivas, Qian, Lin, Cubuk, Le & Zoph, CVPR 2021): objects of one image laid over another.

A random subset of the objects of another image of the batch is cut out by their masks and pasted, at the places where
they lie there; both images have been scaled, cropped and mirrored before (`augment.scale_jitter`, `fixed_size`). What
they cover is hidden, and they are objects of the image from then on.

| | paper | here |
|---|---|---|
| subset | random | each object with probability `share`, at least one |
| place | the same as in its own image | `place`: "same", "anywhere", or "objects", see below |
| edges | smoothed by a Gaussian, or not: no difference in AP | not |
| boxes of covered objects | drawn anew around what is left | whole; `boxes: visible` draws them anew |
| covered objects | kept while a pixel is left | ignored where less than `least_visible` is left |
| partner | another image of the training set | another one of the batch, as in torchvision's reference |

Ours: `targets: false` pastes occluders that are no objects of the image; and "objects" scales a cut-out and lays it
over a drawn object so that a drawn share of that one is hidden, as `paste` does with cut-outs of its own. What is
scaled to fit is no object of the data any more, and never has a target.

Where it does not help: without masks nothing can be cut out; and occluders that are no targets ("false") teach that
some things that look like objects are none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from workbench.data.dataset import Dataset
from workbench.data.drawing.cut_outs import Occluder
from workbench.data.drawing.hiding import Laid
from workbench.errors import RecipeError
from workbench.hiders.base import Hider, Sample, Scene, check_range
from workbench.hiders.layers.covering import FEWEST, check_fractions, cover, coverable, covered
from workbench.hiders.layers.joining import joined, moved, take
from workbench.hiders.layers.pixels import as_array, has_mask, plain, window_of
from workbench.options import Count, Share
from workbench.registry import HIDERS
from workbench.types import Target, learnable

Where = Literal["same", "anywhere", "objects"]


@HIDERS.register("copy-paste")
class CopyPaste(Hider):
    """Paste objects of another image of the batch.

    Args:
        chance: that an image is changed.
        share: probability of each object of the other image to be pasted; of each object of this image to be hidden
            where `place` is "objects".
        most: so many objects are pasted at most.
        place: "same" as in the other image, "anywhere" in this one, or over its "objects".
        fraction: for "objects": lowest and highest share of an object's pixels that is hidden afterwards.
        targets: whether pasted objects are objects of the image then; false with "objects".

    Raises:
        RecipeError: an option that does not fit.

    Example:
        >>> (image, target), other = (wb.load_data("digit-scenes", split="test")[index] for index in (7, 8))
        >>> scene = Scene.seeded(0, others=[other])
        >>> pasted, after = CopyPaste(chance=1.0).hide(image, target, scene)
        >>> len(target["labels"]), len(after["labels"]), after["masks"].shape[0]
        (5, 6, 6)
    """

    tasks: ClassVar[tuple[str, ...]] = ("detection",)
    needs_batch: ClassVar[bool] = True

    def __init__(
        self,
        *,
        chance: Share = 0.5,
        share: Share = 0.5,
        most: Count | None = None,
        place: Where = "same",
        fraction: tuple[Share, Share] = (0.1, 0.6),
        targets: bool | None = None,
        **options: Any,
    ):
        super().__init__(chance=chance, **options)
        check_range("fraction", fraction)
        check_fractions(fraction[1], self.least_visible)
        if place == "objects" and targets:
            what = "what is scaled to lie over objects is no object of the data"
            raise RecipeError(f"augment.hide.targets is true, and place objects; {what}: leave one out")
        self.share, self.most, self.place, self.fraction = share, most, place, fraction
        self.targets = place != "objects" if targets is None else targets

    def obstacles(self, data: Dataset) -> Iterator[str]:
        """See `Hider.obstacles`."""
        if len(data) and "masks" not in data.target(0):
            yield f"{data.name} has no masks to cut objects out by; use data with masks (coco: options.masks true)"

    def hide(self, image: Tensor, target: Target, scene: Scene) -> Sample:
        """See the class."""
        if not scene.others or not self.wants(scene):
            return image, target
        other, theirs = scene.others[scene.rng.integers(len(scene.others))]
        rows = [row for row in learnable(theirs).nonzero()[:, 0].tolist() if has_mask(theirs, row)]
        if not rows:
            return image, target
        if self.place == "objects":
            return self._cover(image, target, other, theirs, rows, scene.rng)
        order = [rows[place] for place in scene.rng.permutation(len(rows))]
        drawn = [row for row in order if scene.rng.random() < self.share] or order[:1]
        for row in drawn[: self.most]:
            image, target = self._paste(image, target, other, take(theirs, [row]), scene.rng)
        return image, target

    def _paste(self, image: Tensor, target: Target, other: Tensor, one: Target, rng: np.random.Generator) -> Sample:
        """The image with one object of another image, given as the target of it alone."""
        size = (image.shape[-2], image.shape[-1])
        shift = (0, 0) if self.place == "same" else self._shift(one, size, rng)
        whole = int(one["masks"][0].sum())
        pixels, one = moved(other.as_subclass(Tensor), one, shift, size)
        pasted = plain(one["masks"][0])
        if int(pasted.sum()) < max(FEWEST, self.least_visible * whole):
            return image, target  # too much of it would lie outside
        changed = torch.where(pasted, pixels, image.as_subclass(Tensor))
        after = self.still_true(target, pasted)
        return changed, joined(after, one) if self.targets else after

    def _shift(self, one: Target, size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
        """Rows and columns by which an object moves, so that as much of it as fits is in the image."""
        window = window_of(plain(one["masks"][0]))
        if window is None:
            return 0, 0
        ends = []
        for length, part in zip(size, window, strict=True):
            room = length - (part.stop - part.start)
            ends.append(int(rng.integers(min(0, room), max(0, room) + 1)) - part.start)
        return ends[0], ends[1]

    def _cover(
        self, image: Tensor, target: Target, other: Tensor, theirs: Target, rows: list[int], rng: np.random.Generator
    ) -> Sample:
        """The image with cut-outs of the other one over its objects."""
        size = (image.shape[-2], image.shape[-1])
        chosen = [row for row in rng.permutation(coverable(target, size)).tolist() if rng.random() < self.share]
        draws: list[Callable[[Target], Laid | None]] = []
        for row in chosen[: self.most]:
            occluder, fraction = cut_out_of(other, theirs, rows[rng.integers(len(rows))]), rng.uniform(*self.fraction)
            how = {"size": size, "fraction": fraction, "kind": occluder, "place": "random", "rng": rng}
            draws.append(partial(cover, row=row, **how))
        return covered(image, target, draws, self.still_true)


def cut_out_of(image: Tensor, target: Target, row: int) -> Occluder:
    """What an image [3, H, W] shows of one of its objects, by its mask."""
    alpha = as_array(target["masks"][row]).astype(np.uint8) * 255
    pixels = image.as_subclass(Tensor).permute(1, 2, 0).numpy()
    return Occluder(f"object {row}", np.dstack([pixels, alpha]))
