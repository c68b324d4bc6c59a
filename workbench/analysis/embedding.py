"""DFVs, DVs and pseudo-DFVs on a plane by t-SNE (Cen et al. 2021, Figs. 2, 3 and S1).

t-SNE has no place for a vector that it was not given. A new vector is put at the mean of its nearest embedded DFVs,
weighted by 1 / distance²: exactly onto one that it equals, never outside of them. So the map stays fixed while beta
moves, for any beta, at the cost that a pseudo-DFV unlike all embedded ones is drawn amid them all the same; how far
it really is, `Placed.distance` says.

Where we depart: the paper does not state perplexity or start; here they are scikit-learn's (30, PCA), with a fixed
seed. DVs lie around 0, not where DFVs do: what is near on the map is near in space only within a kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from sklearn.manifold import TSNE
from torch import Tensor

from workbench.analysis.deep_vectors import PairVectors, nearest, pseudo_vectors
from workbench.errors import DataError

POINT_KINDS = ("clean", "occluded", "pseudo-DFV", "DV")
NONE = -1  #: in place of a row that there is not


@dataclass(frozen=True, eq=False)
class Embedding:
    """N vectors on a plane."""

    points: np.ndarray  #: [N, 2] float32
    vectors: Tensor  #: [N, d] float32, what was embedded
    kinds: np.ndarray  #: [N] int64, positions in `POINT_KINDS`
    labels: np.ndarray  #: [N] int64, 1..K; of a DV, the class of its image
    patterns: np.ndarray  #: [N] int64, from 1 on; 0 for clean DFVs
    base: np.ndarray  #: [N] int64, row of the clean image; of a pseudo-DFV, of the one that was added to
    pair: np.ndarray  #: [N] int64, row of the pair; NONE for clean DFVs
    classes: tuple[str, ...] = ()
    pattern_names: tuple[str, ...] = ()
    beta: float = 1.0  #: of the pseudo-DFVs

    def __len__(self) -> int:
        return len(self.points)

    def rows(self, kind: str) -> np.ndarray:
        """Rows [n] of one kind.

        Raises:
            DataError: it does not exist.
        """
        if kind not in POINT_KINDS:
            raise DataError(f"kind {kind!r} does not exist; there are {', '.join(POINT_KINDS)}")
        return np.flatnonzero(self.kinds == POINT_KINDS.index(kind))


class Placed(NamedTuple):
    """New vectors on the map."""

    points: np.ndarray  #: [Q, 2] float32
    nearest: np.ndarray  #: [Q] int64, row of the nearest embedded DFV
    distance: np.ndarray  #: [Q] float32, to it


def tsne(vectors: Tensor, *, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Vectors [N, d] on a plane [N, 2], the same for the same seed.

    Args:
        perplexity: about how many neighbours count; lowered to (N - 1) / 3.

    Raises:
        DataError: fewer than four vectors, or all the same.
    """
    if len(vectors) < 4:
        raise DataError(f"t-SNE got {len(vectors)} vectors; expected at least 4, so take more pairs")
    if bool((vectors == vectors[:1]).all()):
        raise DataError("t-SNE got vectors that are all the same; there is nothing to lay out")
    perplexity = min(perplexity, (len(vectors) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors.numpy())


def embed(
    vectors: PairVectors,
    *,
    pseudo: int = 0,
    beta: float = 1.0,
    differences: bool = True,
    perplexity: float = 30.0,
    seed: int = 0,
) -> Embedding:
    """Clean and occluded DFVs on one map, in this order, then pseudo-DFVs and DVs.

    Args:
        vectors: of the pairs.
        pseudo: pseudo-DFVs of every clean image, drawn at random (Fig. 3).
        beta: of them.
        differences: whether the DVs are there (Figs. 2 and S1).
        perplexity, seed: see `tsne`.
    """
    made = pseudo_vectors(vectors, beta=beta, each=pseudo, seed=seed)
    num_clean, num_pairs = vectors.clean.shape[0], len(vectors.occluded)
    pairs = np.arange(num_pairs)
    repeat = 1 if differences else 0
    shown = [vectors.clean, vectors.occluded, made.vectors, *[vectors.differences] * repeat]
    base = [np.arange(num_clean), vectors.source, made.base, *[vectors.source] * repeat]
    pair = [np.full(num_clean, NONE), pairs, made.pair, *[pairs] * repeat]
    base, pair = np.concatenate(base), np.concatenate(pair)
    every = torch.cat(shown)
    return Embedding(
        points=tsne(every, perplexity=perplexity, seed=seed),
        vectors=every,
        kinds=np.repeat(np.arange(len(shown)), [len(part) for part in shown]),
        labels=vectors.clean_labels[base],
        patterns=np.where(pair == NONE, 0, vectors.patterns[pair]),
        base=base,
        pair=pair,
        classes=vectors.classes,
        pattern_names=vectors.pattern_names,
        beta=beta,
    )


def embed_differences(vectors: PairVectors, *, perplexity: float = 30.0, seed: int = 0) -> Embedding:
    """The DVs on a map of their own, in the order of the pairs: do they lie together by pattern (Sec. 3.1)?

    Fewer than four of them, or equal ones, lie at one point.

    Args:
        perplexity: of t-SNE.
        seed: of t-SNE.
    """
    differences = vectors.differences
    if len(differences) < 4 or bool((differences == differences[:1]).all()):
        points = np.zeros((len(differences), 2), np.float32)
    else:
        points = tsne(differences, perplexity=perplexity, seed=seed)
    return Embedding(
        points=points,
        vectors=vectors.differences,
        kinds=np.full(len(vectors.differences), POINT_KINDS.index("DV")),
        labels=vectors.clean_labels[vectors.source],
        patterns=vectors.patterns,
        base=vectors.source,
        pair=np.arange(len(vectors.differences)),
        classes=vectors.classes,
        pattern_names=vectors.pattern_names,
    )


def place(embedding: Embedding, vectors: Tensor, *, neighbours: int = 5) -> Placed:
    """Where vectors that were not embedded lie among the DFVs of a map; see the module. DVs do not attract them.

    Args:
        vectors: [Q, d].
        neighbours: how many of the nearest DFVs attract each.
    """
    dfvs = np.flatnonzero(embedding.kinds != POINT_KINDS.index("DV"))
    distance, index = (found.numpy() for found in nearest(vectors, embedding.vectors[dfvs], neighbours))
    there = distance == 0
    weights = np.where(there.any(axis=1, keepdims=True), there, 1 / np.maximum(distance, 1e-12) ** 2)
    weights = weights / weights.sum(axis=1, keepdims=True)
    rows = dfvs[index]
    points = (weights[:, :, None] * embedding.points[rows]).sum(axis=1)
    return Placed(points.astype(np.float32), rows[:, 0], distance[:, 0])
