"""Adversarial placement: where an occluder lies is what the present detector can bear least. Our own idea.

A-Fast-RCNN (Wang et al. 2017) searches the pooled features of an RoI for the window that hurts most, and its ASDN
learns to predict it (`hardeners.asdn`). A missing feature is not an occluder, though: on the digit scenes of this
project occluders in the training images help, and hardened features do not. So here the same search is made in the
image: an occluder that hides a drawn share of an object is tried at `grid` x `grid` places over it, the detector as
it is now says for each how badly it recognises the object, and the worst one stays. All candidates hide exactly as
many of the object's pixels, by the same occluder, so that only the place is chosen; the control is `paste`, which
draws it. A place at which too little of another object would be left is no candidate.

How bad it is, the detector says itself: one that scores given boxes by 1 minus the probability of the true class at
the object's box, any other by its training losses on the image. It is asked in evaluation mode, without gradients.
So the search belongs to the training step: a loader's processes have no detector, and images that they prepare in
advance would be chosen against one of some steps ago.

What it costs: `grid`² images through the detector, forwards only, for each image that is chosen, `chance` of all; at
the default 0.25 x 9 = 2.25 forward passes of a batch per step, whatever the number of `objects`: those of an image
are tried at once, each under its k-th candidate in the k-th image, and each takes its own worst.

Where it does not help: early in training all places are alike (`ramp`); the worst place may be where nothing is left
to be recognised, which teaches to guess (lower `fraction`); and a detector soon learns the places that it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from workbench.data.dataset import Dataset
from workbench.data.drawing.diffuse import DIFFUSE
from workbench.data.drawing.hiding import Laid, lay
from workbench.errors import WorkbenchError
from workbench.hiders.base import Hider, Sample, Scene, check_range
from workbench.hiders.layers.covering import Occluders, check_fractions, cover, coverable, hidden_by, newly_ignored
from workbench.options import Count, Share
from workbench.registry import HIDERS
from workbench.types import Target

Places = list[tuple[float, float]]  #: x and y as shares of an object's box


@HIDERS.register("adversarial-placement")
class AdversarialPlacement(Hider):
    """Lay an occluder where the detector can bear it least; see the module.

    Args:
        chance: share of the images of a step that are changed.
        ramp: share of the training over which `chance` rises from 0.
        occluders: as of `Paste`, but for diffuse ones, which have no place.
        objects: of an image that are hidden, at most.
        fraction: lowest and highest share of an object's pixels that is hidden afterwards.
        grid: so many places across, and as many down.

    Raises:
        RecipeError: an option that does not fit.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", occlusion_rate=0.0)
        >>> class LeftIsBad:
        ...     needs_targets = True
        ...     def __call__(self, samples, rows):  # how much is hidden in the left half of the image
        ...         left = [target["mask_hidden"][:, :64].float().sum() for _, target in samples]
        ...         return torch.stack(left)[:, None]
        >>> scene = Scene.seeded(0, judge=LeftIsBad())
        >>> placement = AdversarialPlacement(chance=1.0, occluders="grey", fraction=(0.3, 0.3))
        >>> _, target = placement.hide(*data[7], scene)
        >>> [round(float(hidden), 2) for hidden in target["occlusion"]]
        [0.0, 0.0, 0.3, 0.0, 0.0]
    """

    needs_detector: ClassVar[bool] = True

    def __init__(
        self,
        *,
        chance: Share = 0.25,
        ramp: Share = 0.0,
        occluders: str | Sequence[str] = "texture",
        objects: Count = 1,
        fraction: tuple[Share, Share] = (0.2, 0.5),
        grid: Count = 3,
        **options: Any,
    ):
        super().__init__(chance=chance, ramp=ramp, **options)
        check_range("fraction", fraction)
        check_fractions(fraction[1], self.least_visible)
        self.occluders = Occluders(occluders, place="augment.hide.occluders", without=DIFFUSE)
        self.objects, self.fraction, self.grid = objects, fraction, grid
        self._placed, self._worsened = 0, 0.0

    def obstacles(self, data: Dataset) -> Iterator[str]:
        """See `Hider.obstacles`."""
        if (reason := self.occluders.obstacle()) is not None:
            yield reason

    @property
    def places(self) -> Places:
        """The middles of the cells of a grid over an object's box, row by row."""
        middles = [(number + 0.5) / self.grid for number in range(self.grid)]
        return [(x, y) for y in middles for x in middles]

    @property
    def health(self) -> dict[str, float]:
        """`placed`: occluders in the step; `worsened`: by how much, in all, they are worse there than on average."""
        return {"placed": float(self._placed), "worsened": self._worsened}

    def hide_batch(self, samples: Sequence[Sample], scene: Scene) -> list[Sample]:
        """The images of a step, `chance` of them changed: to a whole number, up or down by chance."""
        self._placed, self._worsened = 0, 0.0
        number = int(self.chance_at(scene.progress) * len(samples) + scene.rng.random())
        chosen = {int(place) for place in scene.rng.permutation(len(samples))[:number]}
        return [self.hide(*sample, scene) if place in chosen else sample for place, sample in enumerate(samples)]

    def hide(self, image: Tensor, target: Target, scene: Scene) -> Sample:
        """The image under an occluder at the worst place, whatever the `chance`.

        Raises:
            WorkbenchError: there is no detector to ask.
        """
        if scene.judge is None:
            raise WorkbenchError(
                "adversarial-placement asks the detector where it is worst, and there is none here: it acts in the "
                "steps of a training; elsewhere give a detector"
            )
        size = (image.shape[-2], image.shape[-1])
        tried = dict(self._candidates(target, size, scene.rng))
        if not tried:
            return image, target
        samples, allowed = [], []
        for each in zip(*tried.values(), strict=True):
            after = self.still_true(target, hidden_by(each, size))
            samples.append((lay(image, each), after if scene.judge.needs_targets else target))
            allowed.append(not newly_ignored(target, after))
        if not any(allowed):
            return image, target
        badness = scene.judge(samples, torch.tensor(list(tried))).float().cpu().numpy()  # [places, objects]
        badness = badness[allowed]
        self._placed += len(tried)
        self._worsened += float((badness.max(axis=0) - badness.mean(axis=0)).sum())
        places = np.flatnonzero(allowed)[badness.argmax(axis=0)]  # the first, where several are the worst
        laid = [candidates[place] for candidates, place in zip(tried.values(), places, strict=True)]
        return lay(image, laid), self.still_true(target, hidden_by(laid, size))

    def _candidates(
        self, target: Target, size: tuple[int, int], rng: np.random.Generator
    ) -> Iterator[tuple[int, list[Laid]]]:
        """Rows of the objects that are drawn, each with its occluder at every place."""
        for row in rng.permutation(coverable(target, size))[: self.objects].tolist():
            kind, fraction, seed = self.occluders.draw(rng), rng.uniform(*self.fraction), int(rng.integers(2**62))
            what = target, row, size, fraction, kind
            laid = [cover(*what, place, np.random.default_rng(seed)) for place in self.places]  # of the same colours
            if known := [one for one in laid if one is not None]:
                yield row, known
