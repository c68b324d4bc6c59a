"""Which images make up which step: a pure function of (seed, step, rank), so that a resumed run sees the same.

The data are read in an endless stream, one permutation after the other; step s takes the s-th slice of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from workbench.data import Dataset, load_data
from workbench.data.dataset import evenly_spaced
from workbench.data.reading.lazy_target import without_estimates
from workbench.hiders import Scene, build_hiders
from workbench.hiders.base import GREY
from workbench.proposals import with_proposals
from workbench.proposals.base import prepare
from workbench.training.processes.world import StopSignal, World, die_with_parent
from workbench.training.recipe_sections import AugmentSpec, DataSpec
from workbench.training.recording.records import log
from workbench.training.stepping.augment import build_changes
from workbench.training.stepping.colour import draw_distortion
from workbench.training.stepping.geometry import fixed_size, flip_horizontally, jittered_size, resized, shortest_size
from workbench.types import Proposals, Target

LOG_EVERY = 10  #: seconds between two lines about proposals in the log
#: Purposes of random numbers; each gets a stream of its own.
ORDER, FLIP, STEP, START, CHANGE, JITTER, COLOUR, HIDE, PLACE = range(9)


def derived_seed(seed: int, purpose: int, *numbers: int) -> int:
    """A 63-bit seed from the recipe's seed, a purpose and numbers such as step and rank."""
    return int(np.random.SeedSequence([seed, purpose, *numbers]).generate_state(1, np.uint64)[0] >> 1)


@lru_cache(maxsize=2)
def epoch_order(seed: int, epoch: int, num_images: int) -> np.ndarray:
    """The permutation [num_images] of one epoch."""
    return np.random.default_rng([seed, ORDER, epoch]).permutation(num_images)


@lru_cache(maxsize=2)
def epoch_places(seed: int, epoch: int, num_images: int) -> np.ndarray:
    """Where in one epoch each image comes [num_images]."""
    return np.argsort(epoch_order(seed, epoch, num_images))


def load_spec(spec: DataSpec) -> Dataset:
    """The data that a part of a recipe names."""
    data = load_data(spec.name, split=spec.split, root=spec.root, **spec.options)
    data = data if spec.proposals is None else with_proposals(data, **spec.proposals)
    return data if spec.limit is None else data.subset(range(min(spec.limit, len(data))))


def prepare_proposals(data: Dataset, *, workers: int, part: tuple[int, int], stop: StopSignal) -> None:
    """Compute proposals before they are needed, each process its `part`, and log now and then how far it is.

    A signal ends it; what is computed stays on disk.
    """
    began = [time.monotonic()]

    def proceed(done: int, total: int) -> bool:
        if time.monotonic() - began[0] > LOG_EVERY:
            share = "" if part[1] == 1 else f" (part {part[0] + 1} of {part[1]})"
            log.info("proposals of %s %s: %d of %d images%s", data.name, data.split, done, total, share)
            began[0] = time.monotonic()
        return stop.name is None

    prepare(data, workers=workers, progress=False, part=part, proceed=proceed)


class StepSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index), one per step, for one process; starts at any step."""

    def __init__(self, num_images: int, *, seed: int, batch_size: int, first: int, last: int, rank: int, size: int):
        self.num_images, self.seed = num_images, seed
        self.batch_size, self.first, self.last = batch_size, first, last
        share = batch_size // size
        self.offset, self.share = rank * share, share

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.first, self.last):
            start = step * self.batch_size + self.offset
            yield [self.position(place) for place in range(start, start + self.share)]

    def position(self, place: int) -> tuple[int, int]:
        """(epoch, index) of one place in the endless stream."""
        epoch, within = divmod(place, self.num_images)
        return epoch, int(epoch_order(self.seed, epoch, self.num_images)[within])


class TrainingView(torch.utils.data.Dataset):
    """A data set as training sees it: looked up by (epoch, index), images changed as `augment` says.

    An `occlusion` that would have to be estimated, which takes longer than all else, is left out of the targets.
    Hiders that ask the detector act later, in the training step.

    Args:
        data: what the images are from.
        seed: of the recipe; all changes of an image follow from it, the epoch and the index.
        augment: the changes.
        epochs: how many the training has, for what changes while it goes on.
    """

    def __init__(self, data: Dataset, *, seed: int, augment: AugmentSpec, epochs: float = 1.0):
        self.data, self.seed, self.augment, self.epochs = data, seed, augment, epochs
        self.changes, self.crops = build_changes(augment, data), augment.crop is not None
        self.hiders = [hider for hider in build_hiders(augment.hide) if not hider.needs_detector]
        self.mean = mean_colour(data) if any(hider.needs_mean for hider in self.hiders) else GREY

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Target]:
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: list[tuple[int, int]]) -> list[tuple[Tensor, Target]]:
        """The images of a batch, so that one may get objects of another."""
        samples = [self._changed(*key) for key in keys]
        for number, hider in enumerate(self.hiders):
            before, samples = samples, list(samples)
            for place, (key, (image, target)) in enumerate(zip(keys, before, strict=True)):
                if not target.get("pattern"):  # what is occluded already stays so
                    scene = Scene(
                        rng=np.random.default_rng([self.seed, HIDE, *key, number]),
                        progress=self._progress(*key),
                        mean=self.mean,
                        others=before[:place] + before[place + 1 :] if hider.needs_batch else (),
                    )
                    samples[place] = hider.hide(image, target, scene)
        return samples

    def _changed(self, epoch: int, index: int) -> tuple[Tensor, Target]:
        """An image before anything of it is hidden, but for what hides images of one class."""
        data = self.data.drawn(self.seed, epoch)
        image = data.full_image(index) if self.crops else data.image(index)
        target = without_estimates(data.target(index))
        rng = np.random.default_rng([self.seed, CHANGE, epoch, index]) if self.changes else None
        image = self.changes.move(image, rng, data.size(index)) if self.changes else image
        if self.augment.photometric is not None:
            colours = np.random.default_rng([self.seed, COLOUR, epoch, index])
            image = draw_distortion(self.augment.photometric, colours).apply(image)
        image, target = self._sized(image, target, np.random.default_rng([self.seed, JITTER, epoch, index]))
        if self.augment.flip and derived_seed(self.seed, FLIP, epoch, index) % 2 == 1:
            image, target = flip_horizontally(image, target)
        if self.changes and not target.get("pattern"):
            image = self.changes.hide(image, rng)
        return image, target

    def _sized(self, image: Tensor, target: Target, rng: np.random.Generator) -> tuple[Tensor, Target]:
        size, augment = (image.shape[-2], image.shape[-1]), self.augment
        if augment.scale_jitter is not None:
            image, target = resized(image, target, jittered_size(size, augment.scale_jitter, rng))
        if augment.shortest_size is not None:
            image, target = resized(image, target, shortest_size(size, augment.shortest_size, rng))
        if augment.fixed_size is not None:
            image, target = fixed_size(image, target, augment.fixed_size, rng.random())
        return image, target

    def _progress(self, epoch: int, index: int) -> float:
        """The share of the training that is done when an image is seen."""
        place = int(epoch_places(self.seed, epoch, len(self))[index])
        return min(1.0, (epoch + place / len(self)) / self.epochs)


def mean_colour(data: Dataset, number: int = 64) -> Tensor:
    """The mean colour [3] uint8 of at most `number` images, evenly spaced; each image counts alike."""
    images = [data.image(index).as_subclass(Tensor) for index in evenly_spaced(len(data), number)]
    if not images:
        return GREY
    return torch.stack([image.double().mean((1, 2)) for image in images]).mean(0).round().to(torch.uint8)


def collate(samples: list[tuple[Tensor, Target]]) -> tuple[list[Tensor], list[Target]]:
    """Lists of images and targets; images may differ in size."""
    images, targets = zip(*samples, strict=True)
    return list(images), list(targets)


def step_loader(
    data: Dataset,
    *,
    seed: int,
    augment: AugmentSpec,
    batch_size: int,
    first: int,
    last: int,
    steps: int,
    world: World,
    workers: int,
) -> DataLoader:
    """Batches for the steps first .. last-1 of this process, of a training of so many `steps`."""
    sampler = StepSampler(
        len(data), seed=seed, batch_size=batch_size, first=first, last=last, rank=world.rank, size=world.size
    )
    return DataLoader(
        TrainingView(data, seed=seed, augment=augment, epochs=steps * batch_size / len(data)),
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_start_worker if workers else None,
        generator=torch.Generator(),  # else it would draw from the global generator
        pin_memory=world.device.type not in ("cpu", "mps"),  # mps has no memory of its own
    )


def _start_worker(_: int) -> None:
    die_with_parent()
    torch.set_num_threads(1)


def to_device(images: list[Tensor], targets: list[Target], device: torch.device) -> tuple[list[Tensor], list[Target]]:
    """Images, and all tensors and proposals of the targets, on a device, as plain tensors unless it is a CPU."""
    if device.type == "cpu":
        return images, targets
    moved = [target.copy() for target in targets]
    for target in moved:
        for key, value in target.items():
            if isinstance(value, Tensor):
                target[key] = value.as_subclass(Tensor).to(device, non_blocking=True)
            elif isinstance(value, Proposals):
                target[key] = value.to(device, non_blocking=True)
    return [image.as_subclass(Tensor).to(device, non_blocking=True) for image in images], moved
