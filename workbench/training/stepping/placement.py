"""Hiders that ask the detector, as they act in a step of the training; see `hiders.adversarial_placement`.

They see the images of the step, changed already by all else, before these go to the device. All chance is that of
(seed, step, rank), so that a resumed run makes the same choices; the detector is asked in evaluation mode, without
gradients, and draws nothing from the generators that the step itself uses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from workbench.data import Dataset
from workbench.detectors import Detector, evaluating
from workbench.detectors.base import Learns, ScoresBoxes
from workbench.errors import WorkbenchError
from workbench.hiders import Hider, Judge, Scene
from workbench.hiders.base import GREY, Sample
from workbench.training.stepping.batches import PLACE, mean_colour
from workbench.types import Target


class ByScores:
    """1 minus the probability of the true class at the box of each object.

    Args:
        detector: that scores given boxes.
        most: images at a time.
    """

    needs_targets = False

    def __init__(self, detector: ScoresBoxes, most: int):
        self.detector, self.most = detector, most

    def __call__(self, samples: Sequence[Sample], rows: Tensor) -> Tensor:
        """See `hiders.Judge`."""
        found: list[Tensor] = []
        for first in range(0, len(samples), self.most):
            part = samples[first : first + self.most]
            boxes = [target["boxes"].as_subclass(Tensor)[rows] for _, target in part]
            with _asked(self.detector):
                scores = self.detector.score_boxes([image for image, _ in part], boxes)
            for each, (_, target) in zip(scores, part, strict=True):
                labels = target["labels"][rows].to(each.device)
                found.append(1 - each.gather(1, labels[:, None])[:, 0])
        return torch.stack(found)


class ByLosses:
    """All losses of the image, which are the same for each of its objects; drawn alike for every image.

    Args:
        detector: that learns.
        seed: of what the losses draw, such as RoIs.
    """

    needs_targets = True

    def __init__(self, detector: Learns, seed: int):
        self.detector, self.seed = detector, seed

    def __call__(self, samples: Sequence[Sample], rows: Tensor) -> Tensor:
        """See `hiders.Judge`."""
        found, device = [], getattr(self.detector, "device", torch.device("cpu"))
        for image, target in samples:
            generator = torch.Generator(device).manual_seed(self.seed)
            with _asked(self.detector):
                losses = self.detector.losses([image.to(device)], [target], generator)
            found.append(torch.stack([value.float() for name, value in losses.items() if name != "adversary"]).sum())
        return torch.stack(found)[:, None].expand(-1, len(rows))


def _asked(detector: object) -> contextlib.AbstractContextManager[None]:
    """In evaluation mode and without gradients, whatever it does by itself."""
    return evaluating(detector) if isinstance(detector, nn.Module) else torch.no_grad()


def judge_of(detector: object, *, most: int = 8, seed: int = 0) -> Judge:
    """What says how badly a detector does.

    Args:
        detector: a `Detector`, or anything with `score_boxes` or `losses`.
        most: images that it is shown at a time.
        seed: of what its losses draw.

    Raises:
        WorkbenchError: it can neither score given boxes nor learn.
    """
    if isinstance(detector, ScoresBoxes):
        return ByScores(detector, most)
    if isinstance(detector, Learns):
        return ByLosses(detector, seed)
    raise WorkbenchError(
        f"{type(detector).__name__} can neither score given boxes nor has it losses, and augment.hide asks it how "
        "badly it does; leave out hiders such as adversarial-placement, or use a detector of the workbench"
    )


class Placement:
    """The hiders of a recipe that ask the detector, for one process.

    Args:
        hiders: those of `augment.hide` that do.
        detector: as it is in each step.
        data: the training images, for their mean colour.
        seed: of the recipe.
        rank: of the process.
        most: images that the detector is shown at a time; with the batch of the process memory is that of a step.
    """

    def __init__(
        self, hiders: Sequence[Hider], detector: Detector, data: Dataset, *, seed: int, rank: int = 0, most: int = 8
    ):
        self.hiders, self.detector, self.data = list(hiders), detector, data
        self.seed, self.rank, self.most = seed, rank, most

    @cached_property
    def mean(self) -> Tensor:
        """The mean colour [3] of the training images, where a hider asks for it."""
        return mean_colour(self.data) if any(hider.needs_mean for hider in self.hiders) else GREY

    def __call__(
        self, images: list[Tensor], targets: list[Target], *, step: int, progress: float
    ) -> tuple[list[Tensor], list[Target]]:
        """Images and targets of a step, some of them changed.

        Args:
            step: counted from 0.
            progress: share of the training that is done.
        """
        samples: list[Sample] = list(zip(images, targets, strict=True))
        for number, hider in enumerate(self.hiders):
            rng = np.random.default_rng([self.seed, PLACE, step, self.rank, number])
            judge = judge_of(self.detector, most=self.most, seed=int(rng.integers(2**62)))
            scene = Scene(rng, progress=progress, mean=self.mean, judge=judge)
            samples = hider.hide_batch(samples, scene)
        return [image for image, _ in samples], [target for _, target in samples]

    @property
    def health(self) -> dict[str, float]:
        """Numbers of the last step by hider, such as "adversarial-placement/placed"."""
        figures = ((hider, hider.health) for hider in self.hiders)
        return {f"{hider.kind}/{name}": value for hider, health in figures for name, value in health.items()}
