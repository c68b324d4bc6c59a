"""Who trains on what: clean and occluded images, pairs of them, and the paper's protocols.

"Deep feature augmentation for occluded image classification" (Cen et al. 2021, sections 3.2 and 4). I_trn is what the
classifier learns from, I_op the pairs of a clean and an occluded image that difference vectors are made of, I_tst the
test images, clean and under every pattern.

- *occlusion-exclusive*: some classes are no part of the task (`left_out`); the pairs come from them.
- *occlusion-inclusive*: the pairs' clean images are some of the training images.
- training set C: the clean images; F: also the occluded images of the pairs (inclusive only).
- pair patterns "full", "10C", "20C": all of the patterns, or those at the centre with ratio 10 % or 20 %.
- *cross-pattern*: `test_occluders` are others than those of the pairs.

Whether the difference vectors are used ("-Full") is the hardener's business, not that of the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torchvision import tv_tensors

from workbench.data.dataset import Dataset
from workbench.data.drawing.cut_outs import Occluder, load_occluders
from workbench.data.drawing.patterns import CENTRE, RATIOS, Pattern, columns_of, make_patterns, paste_pattern
from workbench.data.labelled_images import LabelledImages, draw_per_class, whole_image_target
from workbench.data.reading.contents import ObjectsAtHand
from workbench.errors import DataError, did_you_mean
from workbench.options import Count, Fraction, Number
from workbench.types import Target

PROTOCOLS = ("inclusive", "exclusive")
TRAINING_SETS = ("C", "F", "all")
PAIR_PATTERNS = ("full", "10C", "20C")


class OccludedImages(Dataset):
    """Images of a clean data set, some of them under a pattern.

    Args:
        rows: [N] which clean image.
        numbers: [N] 0 = as it is, k = under `patterns[k - 1]`.
        classes: those of the labels; None: the clean data set's.
    """

    def __init__(
        self,
        clean: LabelledImages,
        rows: np.ndarray,
        numbers: np.ndarray,
        patterns: Sequence[Pattern],
        *,
        classes: Sequence[str] | None = None,
        pairs: PairSet | None = None,
    ):
        self.name, self.split, self.problems = clean.name, clean.split, clean.problems
        self.task, self.mirrors = clean.task, clean.mirrors  # type: ignore[misc]
        self.clean, self.rows, self.numbers, self.patterns = clean, rows, numbers, tuple(patterns)
        self.classes = clean.classes if classes is None else tuple(classes)
        place = {name: label for label, name in enumerate(self.classes, start=1)}
        own = np.array([place.get(name, 0) for name in clean.classes], dtype=np.int64)
        self.labels = own[clean.labels[rows] - 1]
        self.columns, self.pairs = columns_of(self.patterns), pairs
        self._latest: tuple[int | None, Tensor | None] = (None, None)

    def __len__(self) -> int:
        return len(self.rows)

    def size(self, index: int) -> tuple[int, int]:
        return self.clean.size(int(self.rows[self._position(index)]))

    def path(self, index: int) -> Path | None:
        return self.clean.path(int(self.rows[self._position(index)]))

    def image(self, index: int) -> tv_tensors.Image:
        index = self._position(index)
        row, number = int(self.rows[index]), int(self.numbers[index])
        if self._latest[0] != row:  # an image is followed by itself under all patterns
            self._latest = row, self.clean.image(row)
        image: Any = self._latest[1]
        return tv_tensors.Image(paste_pattern(image, self.patterns[number - 1])[0] if number else image.clone())

    def objects_at_hand(self, indices: Sequence[int]) -> ObjectsAtHand:
        """The images themselves, and the share of each that its pattern hides."""
        ratios = np.array([0.0, *(pattern.ratio for pattern in self.patterns)])
        return ObjectsAtHand(self.labels[list(indices)], ratios[self.numbers[list(indices)]])

    def origin(self, index: int) -> tuple[Dataset, int]:
        """Of an image without a pattern, the clean one; those under a pattern are made here."""
        index = self._position(index)
        return (self, index) if self.numbers[index] else self.clean_origin(index)

    def clean_origin(self, index: int) -> tuple[Dataset, int]:
        """The clean image that one is made from, as `origin` says it."""
        return self.clean.origin(int(self.rows[self._position(index)]))

    def full_image(self, index: int) -> tv_tensors.Image:
        """Of a clean image all of its file; a pattern is pasted on what `image` shows of it."""
        index = self._position(index)
        return self.image(index) if self.numbers[index] else self.clean.full_image(int(self.rows[index]))

    def target(self, index: int) -> Target:
        index = self._position(index)
        row, number = int(self.rows[index]), int(self.numbers[index])
        return whole_image_target(
            image_id=row * (len(self.patterns) + 1) + number,
            size=self.size(index),
            label=int(self.labels[index]),
            pattern=number,
            source=row,
            hidden=self.patterns[number - 1].ratio if number else 0.0,
        )


@dataclass(frozen=True)
class PairSet:
    """Clean and occluded images that belong together (I_op)."""

    clean: Dataset  #: S images
    occluded: Dataset  #: O images
    index: np.ndarray  #: [M, 2] positions in `clean` and in `occluded`
    patterns: tuple[Pattern, ...] = ()  #: what `target["pattern"]` k of `occluded` means: `patterns[k - 1]`

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def labels(self) -> np.ndarray:
        """[M] label of each pair, of `clean.classes`."""
        each = np.array([self.clean.target(i)["label"] for i in range(len(self.clean))], dtype=np.int64)
        return each[self.index[:, 0]]

    @cached_property
    def numbers(self) -> np.ndarray:
        """[M] number of each pair's pattern, from 1 on."""
        each = np.array([self.occluded.target(i)["pattern"] for i in range(len(self.occluded))], dtype=np.int64)
        return each[self.index[:, 1]]


class OcclusionPlan:
    """What is hidden by what, and who trains on it; see the module.

    Args:
        occluders: of the pairs, and of training set F: shipped names, PNG files, or folders of them.
        test_occluders: others for the test images (cross-pattern); None: the same.
        ratios, random_places, pattern_seed: see `patterns.make_patterns`.
        protocol: one of `PROTOCOLS`.
        left_out: classes that are no part of the task: names, or how many.
        left_out_choice: "last" in order (Caltech-101) or "random" (ILSVRC2012), where `left_out` is a number.
        pair_classes: how many classes the pairs are drawn from; pair_images: clean images of each.
        no_pairs: classes that give no pairs, such as those that the occluders were cut from (ILSVRC2012).
        pair_patterns: one of `PAIR_PATTERNS`.
        training_set: one of `TRAINING_SETS`; "all" holds each image under every pattern (for the decoder).
        seed: of all that is drawn.
    """

    def __init__(
        self,
        *,
        occluders: Sequence[str | Occluder] = ("cup", "flower", "coin"),
        test_occluders: Sequence[str | Occluder] | None = None,
        ratios: Sequence[Fraction] = RATIOS,
        random_places: Number = 3,
        pattern_seed: Number = 0,
        protocol: str = "inclusive",
        left_out: Number | Sequence[str] = 0,
        left_out_choice: str = "last",
        pair_classes: Count = 10,
        pair_images: Count = 5,
        no_pairs: Sequence[str] = (),
        pair_patterns: str = "full",
        training_set: str = "C",
        seed: Number = 0,
    ):
        _choice("protocol", protocol, PROTOCOLS)
        _choice("pair_patterns", pair_patterns, PAIR_PATTERNS)
        _choice("training_set", training_set, TRAINING_SETS)
        _choice("left_out_choice", left_out_choice, ("last", "random"))
        if protocol == "exclusive" and training_set == "F":
            raise DataError(
                "occlusion.training_set F holds the pairs' occluded images, but in the exclusive protocol their "
                "classes are no part of the task; use C, or protocol: inclusive"
            )
        if protocol == "exclusive" and not left_out:
            raise DataError("occlusion.left_out is 0, but the exclusive protocol takes its pairs from such classes")
        self.protocol, self.pair_patterns, self.training_set = protocol, pair_patterns, training_set
        self.left_out, self.left_out_choice = left_out, left_out_choice
        self.pair_classes, self.pair_images, self.seed = pair_classes, pair_images, seed
        self.no_pairs = set(no_pairs)
        how: dict[str, Any] = {"ratios": ratios, "random_places": random_places, "seed": pattern_seed}
        own = load_occluders(occluders)
        self.patterns = self.test_patterns = make_patterns(own, **how)
        if test_occluders is not None:  # others, in places of their own
            self.test_patterns = make_patterns(load_occluders(test_occluders), first=len(own), **how)

    def divided(self, classes: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The classes of the task, and those left out.

        Raises:
            DataError: a class to leave out does not exist, or there are fewer.
        """
        if isinstance(self.left_out, int):
            if not 0 <= self.left_out < len(classes):
                raise DataError(f"occlusion.left_out is {self.left_out} of {len(classes)} classes; expected fewer")
            if self.left_out_choice == "last":
                out = set(classes[len(classes) - self.left_out :])
            else:
                drawn = np.random.default_rng([self.seed, 1]).permutation(len(classes))[: self.left_out]
                out = {classes[place] for place in drawn}
        else:
            out = set(self.left_out)
            for name in out - set(classes):
                raise DataError(f"occlusion.left_out: there is no class {name!r}{did_you_mean(name, list(classes))}")
        return tuple(n for n in classes if n not in out), tuple(n for n in classes if n in out)

    def pairs(self, clean: LabelledImages) -> PairSet:
        """I_op from the clean training images of all classes.

        Raises:
            DataError: `no_pairs` names no class, or there are too few classes or patterns to draw from.
        """
        task, out = self.divided(clean.classes)
        for name in self.no_pairs - set(clean.classes):
            close = did_you_mean(name, list(clean.classes))
            raise DataError(f"occlusion.no_pairs: there is no class {name!r}{close}")
        source = [name for name in (out if self.protocol == "exclusive" else task) if name not in self.no_pairs]
        if self.pair_classes > len(source):
            raise DataError(
                f"occlusion.pair_classes is {self.pair_classes}, but the {self.protocol} protocol has {len(source)} "
                "classes to draw from"
            )
        drawn = np.random.default_rng([self.seed, 2]).permutation(len(source))[: self.pair_classes]
        labels = [clean.classes.index(source[place]) + 1 for place in sorted(drawn)]
        rows = draw_per_class(clean.labels, self.pair_images, self.seed)
        rows = rows[np.isin(clean.labels[rows], labels)]
        chosen = self._pair_numbers()
        index = np.stack(np.meshgrid(np.arange(len(rows)), chosen, indexing="ij"), -1).reshape(-1, 2)
        occluded = OccludedImages(clean, rows[index[:, 0]], index[:, 1], self.patterns)
        whole = OccludedImages(clean, rows, np.zeros_like(rows), self.patterns)
        return PairSet(whole, occluded, np.stack([index[:, 0], np.arange(len(index))], 1), self.patterns)

    def _pair_numbers(self) -> np.ndarray:
        """Numbers of the patterns of the pairs."""
        if self.pair_patterns == "full":
            return np.arange(1, len(self.patterns) + 1)
        ratio = {"10C": 0.1, "20C": 0.2}[self.pair_patterns]
        central = [(n, p) for n, p in enumerate(self.patterns, start=1) if p.place == CENTRE]
        chosen = [n for n, p in central if abs(p.ratio - ratio) < 1e-9]
        if not chosen:
            raise DataError(f"occlusion.pair_patterns {self.pair_patterns} needs the ratio {ratio} among ratios")
        return np.array(chosen)


def training_data(clean: LabelledImages, plan: OcclusionPlan) -> OccludedImages:
    """I_trn with its I_op in `pairs`."""
    task, pairs = plan.divided(clean.classes)[0], plan.pairs(clean)
    rows = _rows_of(clean, task)
    numbers = np.zeros_like(rows)
    if plan.training_set == "F":
        rows = np.concatenate([rows, pairs.occluded.rows])
        numbers = np.concatenate([numbers, pairs.occluded.numbers])
    elif plan.training_set == "all":
        rows, numbers = _under_all(rows, len(plan.patterns))
    return OccludedImages(clean, rows, numbers, plan.patterns, classes=task, pairs=pairs)


def test_data(clean: LabelledImages, plan: OcclusionPlan) -> OccludedImages:
    """I_tst: each clean image of the task, followed by itself under every test pattern."""
    task = plan.divided(clean.classes)[0]
    rows, numbers = _under_all(_rows_of(clean, task), len(plan.test_patterns))
    return OccludedImages(clean, rows, numbers, plan.test_patterns, classes=task)


test_data.__test__ = False  # type: ignore[attr-defined]  # pytest takes every test_* for a test


def _rows_of(clean: LabelledImages, classes: Sequence[str]) -> np.ndarray:
    labels = [label for label, name in enumerate(clean.classes, start=1) if name in set(classes)]
    return np.flatnonzero(np.isin(clean.labels, labels))


def _under_all(rows: np.ndarray, num_patterns: int) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(rows, num_patterns + 1), np.tile(np.arange(num_patterns + 1), len(rows))


def _choice(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise DataError(f"occlusion.{key} {value!r} does not exist; there are {', '.join(allowed)}")
