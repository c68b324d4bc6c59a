"""The images of a training as it sees them, as a data set: to leaf through, to draw, to count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors

from workbench.data import Dataset
from workbench.data.dataset import View
from workbench.detectors.load import as_detector
from workbench.errors import RecipeError
from workbench.hiders import build_hiders
from workbench.training.recipe import Recipe
from workbench.training.stepping.batches import StepSampler, TrainingView, load_spec
from workbench.training.stepping.placement import Placement
from workbench.types import Target


class TrainingImages(View):
    """The images of one epoch, in the order in which a training sees them and changed as its recipe says.

    Each is the one that a training of this recipe by one process sees there, bit by bit, unless a stage takes only
    some sources of the data or has `harden: false`. Of hiders that ask the detector, that holds with the detector of
    that very step.

    Args:
        recipe: a recipe, or the name or file of one; its `data`, `augment`, `seed`, `batch_size` and steps count.
        epoch: counted from 0; None: the last one, in which all chances have risen to what they are.
        detector: asked by hiders such as adversarial-placement; None: these leave the images as they are.
        data: images in place of the recipe's own.

    Raises:
        RecipeError: the recipe is not valid, or has no such epoch.
        DataError: data or occluders cannot be read.

    Example:
        >>> recipe = wb.Recipe.load("digit-scenes/faster-rcnn+paste")
        >>> seen = wb.TrainingImages(recipe, epoch=0)
        >>> image, target = seen[3]
        >>> [round(float(hidden), 2) for hidden in target["occlusion"]]
        [0.25, 0.0, 0.0, 0.15, 0.0]
    """

    def __init__(
        self,
        recipe: Recipe | str | Path,
        *,
        epoch: int | None = None,
        detector: Any = None,
        data: Dataset | None = None,
    ):
        recipe = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
        self.recipe, self.whole = recipe, load_spec(recipe.data) if data is None else data
        number, batch = len(self.whole), recipe.batch_size
        epochs = recipe.steps * batch / max(1, number)
        self.epoch = max(0, int(epochs) - 1) if epoch is None else epoch
        if not 0 <= self.epoch < max(1.0, epochs):
            raise RecipeError(f"epoch {epoch} of {recipe.name}: its {recipe.steps} steps are {epochs:.1f} epochs")
        self.name, self.split = f"{self.whole.name} as {recipe.name} sees it", self.whole.split
        self.classes, self.problems = self.whole.classes, self.whole.problems
        self.task, self.mirrors = self.whole.task, self.whole.mirrors  # type: ignore[misc]
        self._view = TrainingView(self.whole, seed=recipe.seed, augment=recipe.augment, epochs=epochs)
        self._stream = StepSampler(
            number, seed=recipe.seed, batch_size=batch, first=0, last=recipe.steps, rank=0, size=1
        )
        self._placement = None
        asking = [hider for hider in build_hiders(recipe.augment.hide) if hider.needs_detector]
        if detector is not None and asking:
            asked = as_detector(detector)
            self._placement = Placement(asking, asked, self.whole, seed=recipe.seed, most=batch)
        self._latest: tuple[int, list[tuple[Tensor, Target]]] = (-1, [])

    def __len__(self) -> int:
        return len(self.whole)

    def _place(self, index: int) -> tuple[Dataset, int]:
        return self.whole, self._stream.position(self._in_stream(index))[1]

    def _in_stream(self, index: int) -> int:
        """The place of an image of the epoch in the endless stream of images."""
        return self.epoch * len(self) + self._position(index)

    def _sample(self, index: int) -> tuple[Tensor, Target]:
        step, within = divmod(self._in_stream(index), self.recipe.batch_size)
        if self._latest[0] != step:
            first = step * self.recipe.batch_size
            keys = [self._stream.position(place) for place in range(first, first + self.recipe.batch_size)]
            samples = self._view.__getitems__(keys)
            if self._placement is not None:
                images, targets = [image for image, _ in samples], [target for _, target in samples]
                progress = min(1.0, step / self.recipe.steps)
                placed = self._placement(images, targets, step=step, progress=progress)
                samples = list(zip(*placed, strict=True))
            self._latest = step, samples
        return self._latest[1][within]

    def image(self, index: int) -> tv_tensors.Image:
        """The image [3, H, W], uint8, as the training sees it."""
        return tv_tensors.Image(self._sample(index)[0].as_subclass(Tensor))

    def full_image(self, index: int) -> tv_tensors.Image:
        """The same."""
        return self.image(index)

    def target(self, index: int) -> Target:
        """What is true of the image as it is; an `occlusion` that would have to be estimated is unknown (NaN)."""
        target = self._sample(index)[1]
        return {"occlusion": torch.full((len(target["labels"]),), torch.nan)} | target

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of the image as the training sees it."""
        image = self._sample(index)[0]
        return image.shape[-2], image.shape[-1]

    def annotation_ids(self, index: int) -> None:
        """None: there may be other objects than in the file."""
