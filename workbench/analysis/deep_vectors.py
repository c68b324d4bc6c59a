"""Deep feature vectors of pairs, what occlusion does to them, and how well pseudo-DFVs stand in for it, in numbers.

"Deep feature augmentation for occluded image classification" (Cen et al. 2021, sec. 3.1). A DFV v is what the last
linear layer of a classifier sees, a DV is d = v_occluded - v (eq. 1), a pseudo-DFV is v + beta d (eq. 2) with a DV of
*another* image (Fig. 3: all DVs but those of v itself).

Where we depart: the paper shows its claims in pictures (Figs. 2, 3, S1); `tightness` and `coverage` measure them in
the space of the vectors, where t-SNE cannot mislead. Coverage is that of Naeem et al. 2020 (eq. 4): the share of real
points in whose ball, out to their k-th nearest real neighbour, a made-up point lies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import silhouette_score
from torch import Tensor
from torch.nn import functional as F

from workbench.data.dataset import Dataset
from workbench.data.pairs import OccludedImages, PairSet
from workbench.detectors.classifier import dataset_features
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError

CHUNK = 256  #: vectors whose distances to all others are held at once


@dataclass(frozen=True, eq=False)
class PairVectors:
    """DFVs of S clean images and of the M occluded ones made from them; on the CPU, float32."""

    clean: Tensor  #: [S, d]
    occluded: Tensor  #: [M, d]
    source: np.ndarray  #: [M] int64, row in `clean` of each occluded image
    labels: np.ndarray  #: [M] int64, 1..K, of `classes`
    patterns: np.ndarray  #: [M] int64, number of the pattern, from 1 on
    classes: tuple[str, ...] = ()
    pattern_names: tuple[str, ...] = ()  #: `pattern_names[k - 1]` is that of pattern k
    images: np.ndarray | None = None  #: [M] int64, which occluded image each pair is of; None: each of its own

    @cached_property
    def differences(self) -> Tensor:
        """The DVs [M, d], eq. 1."""
        return self.occluded - self.clean[torch.from_numpy(self.source)]

    @cached_property
    def clean_labels(self) -> np.ndarray:
        """[S] label of each clean image, 0 for one that has no pair."""
        labels = np.zeros(len(self.clean), np.int64)
        labels[self.source] = self.labels
        return labels

    @cached_property
    def hidden(self) -> np.ndarray:
        """[M] which occluded image each pair is of: in AR each is in several pairs."""
        return np.arange(len(self.occluded)) if self.images is None else self.images

    @cached_property
    def distinct(self) -> np.ndarray:
        """A pair of each occluded image [D], by its row."""
        return np.unique(self.hidden, return_index=True)[1]

    def chosen(self, rows: np.ndarray) -> PairVectors:
        """Some of the pairs, by their rows."""
        of_pairs = {name: getattr(self, name)[rows] for name in ("source", "labels", "patterns")}
        return replace(self, occluded=self.occluded[torch.from_numpy(rows)], images=self.hidden[rows], **of_pairs)


@dataclass(frozen=True, eq=False)
class PseudoVectors:
    """P pseudo-DFVs: `clean[base] + beta * differences[pair]`."""

    vectors: Tensor  #: [P, d]
    base: np.ndarray  #: [P] int64, row of the clean image
    pair: np.ndarray  #: [P] int64, row of the pair that the DV is from


def pairs_of(data: PairSet | Dataset) -> PairSet:
    """The pairs of a data set: its I_op, or else its occluded images with the clean ones that they are made from.

    Raises:
        DataError: it has none.
    """
    if isinstance(data, PairSet):
        return data
    known = getattr(data, "pairs", None)
    if known is not None:
        return known
    if isinstance(data, OccludedImages):
        hidden = np.flatnonzero(data.numbers > 0)
        rows, place = np.unique(data.rows[hidden], return_inverse=True)
        options: dict[str, Any] = {"patterns": data.patterns, "classes": data.classes}
        clean = OccludedImages(data.clean, rows, np.zeros_like(rows), **options)
        occluded = OccludedImages(data.clean, data.rows[hidden], data.numbers[hidden], **options)
        if len(hidden):
            return PairSet(clean, occluded, np.stack([place, np.arange(len(hidden))], 1), data.patterns)
    raise DataError(
        f"{data!r} has no pairs of clean and occluded images; load it with occlusion={{...}}, or give a PairSet"
    )


def some_pairs(pairs: PairSet, *, images: int | None = None, patterns: tuple[int, ...] | None = None) -> PairSet:
    """Fewer pairs: of the first `images` clean images of each class, and under these patterns (numbers from 1 on).

    The paper's Fig. 2 has 4 classes of 10 images under 3 patterns.

    Raises:
        DataError: none are left.
    """
    keep = np.ones(len(pairs), bool)
    if patterns is not None:
        keep &= np.isin(pairs.numbers, patterns)
    if images is not None:
        for label in np.unique(pairs.labels):
            own = pairs.labels == label
            keep &= ~own | np.isin(pairs.index[:, 0], np.unique(pairs.index[own, 0])[:images])
    if not keep.any():
        raise DataError(f"no pair has patterns {patterns}; there are {np.unique(pairs.numbers).tolist()}")
    return PairSet(pairs.clean, pairs.occluded, pairs.index[keep], pairs.patterns)


def pair_vectors(classifier: DetectorLike, pairs: PairSet, *, batch_size: int = 64) -> PairVectors:
    """The vectors of all pairs; clean and occluded images that are in no pair are left out."""
    classifier = as_detector(classifier)
    rows, source = np.unique(pairs.index[:, 0], return_inverse=True)
    hidden, order = np.unique(pairs.index[:, 1], return_inverse=True)
    clean, occluded = (
        dataset_features(classifier, side.subset(some.tolist()), batch_size).float().cpu()
        for side, some in ((pairs.clean, rows), (pairs.occluded, hidden))
    )
    names = tuple(pattern.name for pattern in pairs.patterns)
    return PairVectors(clean, occluded[torch.from_numpy(order)], source, pairs.labels, pairs.numbers,
                       tuple(pairs.clean.classes), names, pairs.index[:, 1])  # fmt: skip


def pseudo_vectors(
    vectors: PairVectors,
    *,
    beta: float = 1.0,
    bases: np.ndarray | None = None,
    each: int | None = None,
    seed: int = 0,
) -> PseudoVectors:
    """Pseudo-DFVs of clean images (eq. 2), never with a DV of an occluded image that has a pair with them.

    In AR each clean face of a person is paired with each occluded one of that person: the DV of another clean face
    added to this one would be nearly the occluded face itself.

    Args:
        beta: factor of the DVs; 1 in the paper.
        bases: rows of the clean images; None: all.
        each: how many of every image, drawn at random; None: with all DVs.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    chosen = []
    for base in np.arange(len(vectors.clean)) if bases is None else np.asarray(bases):
        others = np.flatnonzero(~np.isin(vectors.hidden, vectors.hidden[vectors.source == base]))
        if each is not None and each < len(others):
            others = np.sort(rng.choice(others, each, replace=False))
        chosen.append(np.stack([np.full_like(others, base), others], 1))
    base, pair = np.concatenate(chosen).T if chosen else np.zeros((2, 0), np.int64)
    made = vectors.clean[torch.from_numpy(base)] + beta * vectors.differences[torch.from_numpy(pair)]
    return PseudoVectors(made, base, pair)


def tightness(vectors: PairVectors, *, metric: str = "euclidean") -> pd.DataFrame:
    """How tightly vectors lie together by pattern, against by class: the paper's claim is that DVs do so by pattern.

    Rows: DVs, and for contrast occluded DFVs. Columns: `pattern` and `class`, silhouettes in -1..1 (0: no groups at
    all; NaN where there is one group only), and `same_pattern`, `same_class` and `neither`: the mean cosine of two
    vectors of different images that share only the pattern, only the class, or neither. An occluded image that is in
    several pairs counts once, its DVs each.

    Args:
        metric: of the silhouette.
    """
    once, rows = vectors.chosen(vectors.distinct), {}
    if len(once.hidden) < len(vectors.hidden):  # of images of their own, not made from the clean ones
        once = replace(once, source=once.hidden)
    for name, of, some in (("DVs", vectors, vectors.differences), ("occluded DFVs", once, once.occluded)):
        groups = {"pattern": of.patterns, "class": of.labels}
        rows[name] = {key: _silhouette(some, labels, metric) for key, labels in groups.items()}
        rows[name] |= _cosines(some, of)
    return pd.DataFrame.from_dict(rows, orient="index")


def coverage(
    vectors: PairVectors, *, beta: float = 1.0, neighbours: int = 5, each: int | None = 24, seed: int = 0
) -> pd.DataFrame:
    """How much of the occluded DFVs' neighbourhood is covered: by clean DFVs, pseudo-DFVs, or a control.

    The control adds to the clean DFVs vectors as long as the DVs in random directions, as many as there are
    pseudo-DFVs: what more points alone do. An occluded image that is in several pairs counts once.

    Args:
        beta: factor of the DVs in pseudo-DFVs.
        neighbours: k of the k nearest.
        each: pseudo-DFVs of every image; None: all.
        seed: of the pseudo-DFVs and the control.

    Returns:
        A table with the columns `covered`, the share of occluded DFVs whose ball, out to their `neighbours`-th
        nearest other occluded DFV, holds such a vector; `distance`, to the nearest one, as a share of the mean
        length of a DV; `own_class`, the share for which the nearest one is of their class; `near`, the share of
        these vectors among the `neighbours` nearest of them and the clean DFVs, with as many of these as of those
        (chance: 0.5; NaN for the clean DFVs).

    Raises:
        DataError: there are fewer than two clean or two occluded images, or each occluded one has a pair with each
            clean one, so that no other one has a DV, or is near.
    """
    once = vectors.chosen(vectors.distinct)
    hidden, hidden_labels = once.occluded, once.labels
    if min(len(vectors.clean), len(hidden)) < 2:
        raise DataError(
            f"coverage got pairs of {len(vectors.clean)} clean and {len(hidden)} occluded images; take pairs of at "
            "least two images of either"
        )
    pseudo = pseudo_vectors(vectors, beta=beta, each=each, seed=seed)
    if len(pseudo.vectors) == 0:
        raise DataError("coverage: every occluded image has a pair with every clean one; take pairs of more subjects")
    generator = torch.Generator().manual_seed(seed)
    noise = F.normalize(torch.randn(pseudo.vectors.shape, generator=generator), dim=1)
    lengths = vectors.differences.norm(dim=1)
    bases = torch.from_numpy(pseudo.base)
    control = vectors.clean[bases] + beta * lengths[torch.from_numpy(pseudo.pair)][:, None] * noise
    radius = nearest(hidden, hidden, neighbours + 1)[0][:, -1]
    labels = torch.from_numpy(vectors.clean_labels)
    rows = {}
    for name, some, own in (("clean DFVs", vectors.clean, labels), ("pseudo-DFVs", pseudo.vectors, labels[bases]),
                            ("random directions", control, labels[bases])):  # fmt: skip
        distance, index = nearest(hidden, some, 1)
        rows[name] = {
            "covered": float((distance[:, 0] <= radius).double().mean()),
            "distance": float(distance.mean() / lengths.mean()),
            "own_class": float((own[index[:, 0]] == torch.from_numpy(hidden_labels)).double().mean()),
            "near": np.nan if some is vectors.clean else _share_near(vectors, some, neighbours, generator),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def nearest(points: Tensor, others: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Distances and indices [N, number] of the nearest of `others` [P, d] to each of `points` [N, d].

    Nearest first; all of them, if there are fewer than `number`.
    """
    number = min(number, len(others))
    exact = {"compute_mode": "donot_use_mm_for_euclid_dist"}  # else a vector is not at distance 0 from itself
    parts = [torch.cdist(part, others, **exact).topk(number, largest=False) for part in points.split(CHUNK)]
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def _share_near(vectors: PairVectors, some: Tensor, neighbours: int, generator: torch.Generator) -> float:
    """Share of `some` among the nearest of the clean DFVs and as many of them, drawn at random."""
    drawn = torch.randperm(len(some), generator=generator)[: len(vectors.clean)]
    hidden = vectors.occluded[vectors.distinct]
    _, index = nearest(hidden, torch.cat([vectors.clean, some[drawn]]), neighbours)
    return float((index >= len(vectors.clean)).double().mean())


def _silhouette(some: Tensor, labels: np.ndarray, metric: str) -> float:
    if not 2 <= len(np.unique(labels)) < len(labels):
        return float("nan")
    return float(silhouette_score(some.numpy(), labels, metric=metric))


def _cosines(some: Tensor, vectors: PairVectors) -> dict[str, float]:
    """Mean cosines of two vectors of different images, by what they share."""
    unit = F.normalize(some, dim=1)
    cosine = (unit @ unit.T).numpy()
    other = vectors.source[:, None] != vectors.source[None]
    pattern = vectors.patterns[:, None] == vectors.patterns[None]
    label = vectors.labels[:, None] == vectors.labels[None]
    kinds = {"same_pattern": pattern & ~label, "same_class": label & ~pattern, "neither": ~label & ~pattern}
    return {k: float(cosine[m & other].mean()) if (m & other).any() else float("nan") for k, m in kinds.items()}
