"""The map of DFVs, DVs and pseudo-DFVs: what is on it, that it is repeatable, and where new vectors lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.analysis.deep_vectors import PairVectors
from workbench.analysis.embedding import NONE, POINT_KINDS, Embedding, embed, embed_differences, place, tsne
from workbench.errors import DataError


@pytest.fixture(scope="module")
def vectors() -> PairVectors:
    """Three classes far apart, six images each, two patterns with a direction of their own."""
    generator = torch.Generator().manual_seed(0)
    labels = np.repeat([1, 2, 3], 6)
    clean = 30 * torch.eye(8)[labels] + torch.randn(18, 8, generator=generator)
    source, patterns = np.repeat(np.arange(18), 2), np.tile([1, 2], 18)
    shift = 8 * torch.eye(8)[3 + patterns] + torch.randn(36, 8, generator=generator)
    return PairVectors(clean, clean[source] + shift, source, labels[source], patterns, ("a", "b", "c"), ("p", "q"))


@pytest.fixture(scope="module")
def embedding(vectors) -> Embedding:
    return embed(vectors, pseudo=4, beta=0.5)


def test_what_is_on_the_map(vectors, embedding):
    assert len(embedding) == 18 + 36 + 18 * 4 + 36
    assert [len(embedding.rows(kind)) for kind in POINT_KINDS] == [18, 36, 72, 36]
    pseudo = embedding.rows("pseudo-DFV")
    expected = vectors.clean[embedding.base[pseudo]] + 0.5 * vectors.differences[embedding.pair[pseudo]]
    assert torch.equal(embedding.vectors[pseudo], expected)
    assert (embedding.labels[pseudo] == vectors.clean_labels[embedding.base[pseudo]]).all()
    assert (embedding.patterns[pseudo] == vectors.patterns[embedding.pair[pseudo]]).all()
    assert (embedding.pair[embedding.rows("clean")] == NONE).all()
    assert (embedding.patterns[embedding.rows("clean")] == 0).all()
    assert torch.equal(embedding.vectors[embedding.rows("DV")], vectors.differences)
    with pytest.raises(DataError, match="kind 'dv' does not exist; there are clean, occluded, pseudo-DFV, DV"):
        embedding.rows("dv")


def test_without_differences_and_pseudo(vectors):
    plain = embed(vectors, differences=False)
    assert len(plain) == 54
    assert len(plain.rows("DV")) == len(plain.rows("pseudo-DFV")) == 0


def test_the_same_seed_gives_the_same_map(vectors):
    first, second = tsne(vectors.occluded), tsne(vectors.occluded)
    assert np.array_equal(first, second)
    assert first.shape == (36, 2)


def test_classes_stay_together(vectors, embedding):
    clean = embedding.points[embedding.rows("clean")]
    distance = np.linalg.norm(clean[:, None] - clean[None], axis=2) + 1e9 * np.eye(18)
    assert (vectors.clean_labels[distance.argmin(axis=1)] == vectors.clean_labels).all()


def test_a_vector_that_is_there_is_laid_onto_itself(vectors, embedding):
    placed = place(embedding, vectors.occluded)
    np.testing.assert_allclose(placed.points, embedding.points[embedding.rows("occluded")])
    assert (placed.distance == 0).all()
    assert placed.nearest.tolist() == embedding.rows("occluded").tolist()


def test_place_by_hand(embedding):
    """Between vectors at 0 and 4, at 1: weights 1 and 1 / 9; a DV at the same place draws nothing."""
    tiny = replace(
        embedding,
        points=np.array([[0, 0], [10, 0], [50, 50]], np.float32),
        vectors=torch.tensor([[0.0], [4], [1]]),
        kinds=np.array([0, 1, POINT_KINDS.index("DV")]),
    )
    placed = place(tiny, torch.tensor([[1.0]]), neighbours=2)
    assert placed.points[0].tolist() == pytest.approx([10 * (1 / 9) / (1 + 1 / 9), 0])
    assert placed.nearest.tolist() == [0]
    assert placed.distance.tolist() == [1]


def test_too_few():
    with pytest.raises(DataError, match="t-SNE got 3 vectors; expected at least 4"):
        tsne(torch.rand(3, 5))


def test_vectors_that_are_all_the_same_have_no_map():
    with pytest.raises(DataError, match="all the same"):
        tsne(torch.zeros(6, 8))


def test_equal_or_few_differences_lie_at_one_point(vectors):
    few = replace(vectors, occluded=vectors.clean[vectors.source])
    assert (embed_differences(few).points == 0).all()
    assert len(embed_differences(few)) == len(vectors.differences)
