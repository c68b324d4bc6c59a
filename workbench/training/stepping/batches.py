"""Which images make up which step: a pure function of (seed, step, rank), so that a resumed run sees the same.

The data are read in an endless stream, one permutation after the other; step s takes the s-th slice of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torchvision import tv_tensors

from workbench.data import Dataset, load_data
from workbench.data.reading.lazy_target import without_estimates
from workbench.proposals import with_proposals
from workbench.proposals.base import prepare
from workbench.training.processes.world import StopSignal, World, die_with_parent
from workbench.training.recipe_sections import AugmentSpec, DataSpec
from workbench.training.recording.records import log
from workbench.training.stepping.augment import build_changes
from workbench.types import Proposals, Target

LOG_EVERY = 10  #: seconds between two lines about proposals in the log
ORDER, FLIP, STEP, START, CHANGE = range(5)  #: purposes of random numbers; each gets a stream of its own


def derived_seed(seed: int, purpose: int, *numbers: int) -> int:
    """A 63-bit seed from the recipe's seed, a purpose and numbers such as step and rank."""
    return int(np.random.SeedSequence([seed, purpose, *numbers]).generate_state(1, np.uint64)[0] >> 1)


@lru_cache(maxsize=2)
def epoch_order(seed: int, epoch: int, num_images: int) -> np.ndarray:
    """The permutation [num_images] of one epoch."""
    return np.random.default_rng([seed, ORDER, epoch]).permutation(num_images)


def load_spec(spec: DataSpec) -> Dataset:
    """The data that a part of a recipe names."""
    data = load_data(spec.name, split=spec.split, root=spec.root, **spec.options)
    data = data if spec.proposals is None else with_proposals(data, **spec.proposals)
    limit = getattr(spec, "limit", None)
    return data if limit is None else data.subset(range(min(limit, len(data))))


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
    """

    def __init__(self, data: Dataset, *, seed: int, augment: AugmentSpec):
        self.data, self.seed, self.flip = data, seed, augment.flip
        self.changes, self.crops = build_changes(augment, data), augment.crop is not None

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Target]:
        epoch, index = key
        data = self.data.drawn(self.seed, epoch)
        image = data.full_image(index) if self.crops else data.image(index)
        target = without_estimates(data.target(index))
        rng = np.random.default_rng([self.seed, CHANGE, epoch, index]) if self.changes else None
        image = self.changes.move(image, rng, data.size(index)) if self.changes else image
        if self.flip and derived_seed(self.seed, FLIP, epoch, index) % 2 == 1:
            image, target = flip_horizontally(image, target)
        if self.changes and not target.get("pattern"):  # what is occluded already stays so
            image = self.changes.hide(image, rng)
        return image, target


def flip_horizontally(image: Tensor, target: Target) -> tuple[Tensor, Target]:
    """Image [3, H, W] and target mirrored left to right; what is not a place stays."""
    width = image.shape[-1]
    flipped = target.copy()
    values: dict[str, Any] = dict(target)
    for key, value in values.items():
        if key.startswith("mask"):  # of objects or of the image
            flipped[key] = _like(value, value.flip(-1))
        elif isinstance(value, Proposals):
            flipped[key] = value.flip_horizontally(width)
        elif key.startswith("boxes") or key == "proposals":
            left, top, right, bottom = value.as_subclass(Tensor).unbind(-1)
            flipped[key] = _like(value, torch.stack([width - right, top, width - left, bottom], dim=-1))
        elif key == "ellipses":
            long, short, angle, x, y = value.unbind(-1)
            flipped[key] = torch.stack([long, short, -angle, width - x, y], dim=-1)
    return _like(image, image.flip(-1)), flipped


def _like(original: Tensor, changed: Tensor) -> Tensor:
    if isinstance(original, tv_tensors.TVTensor):
        return tv_tensors.wrap(changed.as_subclass(Tensor), like=original)
    return changed


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
    world: World,
    workers: int,
) -> DataLoader:
    """Batches for the steps first .. last-1 of this process."""
    sampler = StepSampler(
        len(data), seed=seed, batch_size=batch_size, first=first, last=last, rank=world.rank, size=world.size
    )
    return DataLoader(
        TrainingView(data, seed=seed, augment=augment),
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
