"""Pasted occluders: something is laid over objects so that a drawn share of each is hidden.

What lies there are cut-outs with their own outlines, textures, or diffuse things such as a fence
(`data.drawing.hiding`): the embedded ones, or PNG files with alpha of one's own. How much of an object is hidden
afterwards is drawn evenly from a range; what was hidden before counts. So training sees what an audit measures. An
occluder that would hide too much of another object is drawn again, some times, and then left out.

No paper has exactly this. Cut-outs pasted in front of objects are those of Dwibedi et al. (2017) and of the occlusion
patterns of Cen et al. (2021); that the hidden share of the object is what is drawn is ours.

Where it does not help: where occluders lie on objects only, an occluder means that an object is behind it; `decoys`
lie elsewhere. A detector that has seen six cut-outs knows six cut-outs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.data.dataset import Dataset
from workbench.data.drawing.cut_outs import SHIPPED
from workbench.data.drawing.hiding import PLACES, Laid, hide
from workbench.errors import RecipeError, nearest
from workbench.hiders.base import Hider, Sample, Scene, check_range
from workbench.hiders.layers.covering import Occluders, check_fractions, cover, coverable, covered
from workbench.hiders.layers.pixels import as_array, shown, window_of
from workbench.options import Count, Number, Share
from workbench.registry import HIDERS
from workbench.types import Target


@HIDERS.register("paste")
class Paste(Hider):
    """Lay occluders over a share of the objects.

    Args:
        occluders: what they are, each drawn with equal chance: some of `data.drawing.hiding.KINDS` (as "texture",
            "grey", "fence"), of the embedded cut-outs, PNG files with alpha, or folders of these.
        share: of the objects that training learns from, each with equal chance.
        most: so many objects of an image are hidden at most.
        fraction: lowest and highest share of an object's pixels that is hidden afterwards.
        place: where an occluder begins: "random", "centre", "top", "bottom", "left" or "right" of the object.
        spare: leave what other objects show free, where masks are known: the occluder lies behind them.
        decoys: so many further occluders, each as large as one for a random object, anywhere in the image.

    Raises:
        RecipeError: an option that does not fit.

    Example:
        >>> image, target = wb.load_data("digit-scenes", split="test", occlusion_rate=0.0)[7]
        >>> scene = Scene.seeded(0)
        >>> paste = Paste(occluders=["cup", "fence"], share=1.0, fraction=(0.3, 0.3), spare=True)
        >>> pasted, target = paste.hide(image, target, scene)
        >>> target["occlusion"]  # to the nearest pixel
        tensor([0.3004, 0.3040, 0.2995, 0.2994, 0.3000])
    """

    def __init__(
        self,
        *,
        occluders: str | Sequence[str] = SHIPPED,
        share: Share = 0.5,
        most: Count | None = None,
        fraction: tuple[Share, Share] = (0.1, 0.6),
        place: str = "random",
        spare: bool = False,
        decoys: Number = 0,
        **options: Any,
    ):
        super().__init__(**options)
        check_range("fraction", fraction)
        check_fractions(fraction[1], self.least_visible)
        if place not in PLACES:
            close = nearest(place, PLACES)
            raise RecipeError(f"augment.hide.place {place!r} does not exist{close}; choose one of {list(PLACES)}")
        self.occluders = Occluders(occluders, place="augment.hide.occluders")
        self.share, self.most, self.fraction, self.place = share, most, fraction, place
        self.spare, self.decoys = spare, decoys

    def obstacles(self, data: Dataset) -> Iterator[str]:
        """See `Hider.obstacles`."""
        if (reason := self.occluders.obstacle()) is not None:
            yield reason

    def hide(self, image: Tensor, target: Target, scene: Scene) -> Sample:
        """See the class."""
        if not self.wants(scene):
            return image, target
        size, rng = (image.shape[-2], image.shape[-1]), scene.rng
        rows = coverable(target, size)
        chosen = [row for row in rng.permutation(rows).tolist() if rng.random() < self.share][: self.most]
        draws: list[Callable[[Target], Laid | None]] = []
        for row in chosen:
            fraction = rng.uniform(*self.fraction)
            draws.append(partial(self._over, row=row, size=size, fraction=fraction, rng=rng))
        for _ in range(self.decoys if rows else 0):
            draws.append(partial(self._decoy, row=rows[rng.integers(len(rows))], size=size, rng=rng))
        return covered(image, target, draws, self.still_true)

    def _over(
        self, target: Target, *, row: int, size: tuple[int, int], fraction: float, rng: np.random.Generator
    ) -> Laid | None:
        """An occluder over an object."""
        how = self.occluders.draw(rng), self.place, rng
        return cover(target, row, size, fraction, *how, spare=self.spare)

    def _decoy(self, target: Target, *, row: int, size: tuple[int, int], rng: np.random.Generator) -> Laid | None:
        """An occluder for pixels as an object shows them, but anywhere in the image."""
        pixels = shown(target, row, size)
        window = window_of(pixels)
        if window is None:
            return None
        moved, part = torch.zeros_like(pixels), pixels[window]
        top, left = (int(rng.integers(side - own + 1)) for side, own in zip(size, part.shape, strict=True))
        moved[top : top + part.shape[0], left : left + part.shape[1]] = part
        how = self.occluders.draw(rng), self.place
        return hide(as_array(moved), rng.uniform(*self.fraction), *how, rng=rng)
