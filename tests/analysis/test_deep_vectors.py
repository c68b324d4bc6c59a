"""Vectors of pairs and the numbers for the claims of section 3.1, on vectors worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.analysis.deep_vectors import (
    PairVectors,
    coverage,
    nearest,
    pair_vectors,
    pairs_of,
    pseudo_vectors,
    some_pairs,
    tightness,
)
from workbench.data import load_data
from workbench.detectors import build_detector
from workbench.errors import DataError

TINY = {"kind": "classifier", "backbone": {"name": "small", "widths": [8, 12], "stem": 8}}
OCCLUSION = {"occluders": ["cup", "coin"], "random_places": 0, "pair_classes": 3, "pair_images": 2}


def made(shift: dict[tuple[int, int], tuple[float, ...]]) -> PairVectors:
    """Four images of two classes far apart under two patterns; shift: (image, pattern) → its DV."""
    clean = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 20, 0], [1, 20, 0]])
    source, patterns = np.array(list(shift)).T
    occluded = clean[torch.from_numpy(source)] + torch.tensor(list(shift.values()))
    return PairVectors(clean, occluded, source, np.array([1, 1, 2, 2])[source], patterns, ("a", "b"), ("p", "q"))


@pytest.fixture
def by_pattern() -> PairVectors:
    """Each pattern moves every image in the same direction, the second one nearly."""
    first = {(image, 1): (0.0, 0.0, 4.0) for image in range(4)}
    return made(dict(sorted((first | {(image, 2): (0.0, 0.1 * image, -4.0) for image in range(4)}).items())))


@pytest.fixture
def by_class() -> PairVectors:
    """Each class moves in a direction of its own, whatever hides it."""
    return made({(image, p): (0.0, 0.1 * p, 4.0 if image < 2 else -4.0) for image in range(4) for p in (1, 2)})


@pytest.fixture(scope="module")
def data():
    return load_data("digits", split="train", ground="plain", occlusion=OCCLUSION)


@pytest.fixture(scope="module")
def classifier(data):
    torch.manual_seed(0)
    return build_detector(TINY, data.classes)


def test_differences_and_labels(by_pattern):
    assert by_pattern.differences[0].tolist() == [0, 0, 4]
    assert by_pattern.differences[7].tolist() == pytest.approx([0, 0.3, -4], abs=1e-5)
    assert by_pattern.clean_labels.tolist() == [1, 1, 2, 2]


def test_vectors_are_those_of_the_classifier(data, classifier):
    pairs = some_pairs(data.pairs, patterns=(2, 3))
    found = pair_vectors(classifier, pairs, batch_size=5)
    assert found.clean.shape == (6, 12)
    assert found.occluded.shape == (12, 12)
    torch.testing.assert_close(found.differences, classifier.differences(pairs)[:, :, 0, 0])
    assert found.patterns.tolist() == [2, 3] * 6
    assert found.pattern_names[1] == "cup 20 % centre"
    assert found.labels.tolist() == pairs.labels.tolist()
    assert found.images.tolist() == pairs.index[:, 1].tolist()


def test_some_pairs(data):
    one = some_pairs(data.pairs, images=1, patterns=(4,))
    assert len(one) == 3
    assert one.numbers.tolist() == [4] * 3
    assert len(set(one.labels)) == 3
    with pytest.raises(DataError, match=r"no pair has patterns \(9,\); there are \[1, 2, 3, 4\]"):
        some_pairs(data.pairs, patterns=(9,))


def test_pairs_of_test_images():
    test = load_data("digits", split="test", ground="plain", occlusion=OCCLUSION)
    pairs = pairs_of(test)
    assert len(pairs) == 397 * 4
    clean, occluded = pairs.index[9]
    assert torch.equal(pairs.clean.image(clean), test.image(2 * 5))
    assert torch.equal(pairs.occluded.image(occluded), test.image(2 * 5 + 2))
    assert pairs_of(pairs) is pairs
    with pytest.raises(DataError, match="has no pairs of clean and occluded images"):
        pairs_of(load_data("digits", split="test"))


def test_pseudo_dfvs_have_dvs_of_others(by_pattern):
    every = pseudo_vectors(by_pattern, beta=0.5)
    assert len(every.vectors) == 4 * 6
    assert (by_pattern.source[every.pair] != every.base).all()
    expected = by_pattern.clean[every.base] + 0.5 * by_pattern.differences[every.pair]
    assert torch.equal(every.vectors, expected)
    some = pseudo_vectors(by_pattern, bases=np.array([2]), each=3, seed=1)
    assert some.base.tolist() == [2] * 3
    assert len(set(some.pair)) == 3
    draws = [pseudo_vectors(by_pattern, each=3, seed=seed).pair.tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert torch.equal(pseudo_vectors(by_pattern, beta=0).vectors[0], by_pattern.clean[0])


def test_tight_by_pattern_or_by_class(by_pattern, by_class):
    table = tightness(by_pattern)
    assert table.loc["DVs", "pattern"] > 0.95
    assert table.loc["DVs", "class"] < 0
    assert table.loc["DVs", "same_pattern"] == pytest.approx(1, abs=0.01)
    assert table.loc["DVs", "same_class"] == pytest.approx(-1, abs=0.01)
    assert table.loc["occluded DFVs", "class"] > 0.5, "the images are far apart"
    other = tightness(by_class)
    assert other.loc["DVs", "class"] > 0.95
    assert other.loc["DVs", "pattern"] < 0


def test_silhouette_by_hand():
    """DVs 0 and 1 of one pattern, 10 of the other: (1 - 1/10), (1 - 1/9), and 0 for one alone."""
    vectors = made({(0, 1): (0.0, 0, 0), (1, 1): (0.0, 0, 1), (2, 2): (0.0, 0, 10)})
    assert tightness(vectors).loc["DVs", "pattern"] == pytest.approx((0.9 + 8 / 9) / 3)
    alone = made({(0, 1): (0.0, 0, 0), (1, 1): (0.0, 0, 1)})
    assert np.isnan(tightness(alone).loc["DVs", "pattern"]), "one group only"


def test_coverage_where_the_claim_holds_and_where_not(by_pattern):
    table = coverage(by_pattern, neighbours=1, each=None)
    assert table.loc["pseudo-DFVs", "covered"] == 1
    assert table.loc["clean DFVs", "covered"] == 0
    assert table.loc["pseudo-DFVs", "distance"] < 0.1 < 0.9 < table.loc["clean DFVs", "distance"]
    assert table.loc["pseudo-DFVs", "own_class"] == 1
    few = coverage(by_pattern, neighbours=1, each=None, beta=4.0)
    assert few.loc["pseudo-DFVs", "covered"] == 0, "far beyond the occluded ones"
    assert few.loc["pseudo-DFVs", "near"] == 0 < table.loc["pseudo-DFVs", "near"]
    assert np.isnan(table.loc["clean DFVs", "near"])


def test_coverage_by_hand():
    """Occluded at 0, 3, 20 and 23 (one dimension): balls of 3. Pseudo-DFVs: v plus the DVs of the others."""
    clean = torch.tensor([[0.0], [1], [20], [22]])
    occluded = torch.tensor([[0.0], [3], [20], [23]])  # DVs 0, 2, 0, 1
    vectors = PairVectors(clean, occluded, np.arange(4), np.array([1, 1, 2, 2]), np.ones(4, np.int64))
    table = coverage(vectors, neighbours=1, each=None)
    assert table.loc["clean DFVs", "covered"] == 1
    assert table.loc["clean DFVs", "distance"] == pytest.approx((0 + 2 + 0 + 1) / 4 / 0.75)
    # pseudo: 0 + {2, 0, 1}, 1 + {0, 0, 1}, 20 + {0, 2, 1}, 22 + {0, 2, 0}; nearest to 0, 3, 20, 23: 0, 2, 20, 22
    assert table.loc["pseudo-DFVs", "distance"] == pytest.approx((0 + 1 + 0 + 1) / 4 / 0.75)


def test_an_occluded_image_in_several_pairs_counts_once(by_pattern):
    """As in AR: two clean images of each class, each paired with both occluded ones of the class."""
    clean = torch.tensor([[0.0], [1], [20], [22]])
    images = np.array([0, 1, 0, 1, 2, 3, 2, 3])
    occluded = torch.tensor([[0.0], [3], [20], [23]])[images]
    labels = np.repeat([1, 2], 4)
    vectors = PairVectors(clean, occluded, np.repeat(np.arange(4), 2), labels, np.ones(8, np.int64), images=images)
    assert vectors.distinct.tolist() == [0, 1, 4, 5]
    table = coverage(vectors, neighbours=1, each=None)
    assert table.loc["clean DFVs", "covered"] == 1, "balls of 3, not of 0"
    length = (0 + 3 + 1 + 2 + 0 + 3 + 2 + 1) / 8
    assert table.loc["clean DFVs", "distance"] == pytest.approx((0 + 2 + 0 + 1) / 4 / length)
    pseudo = pseudo_vectors(vectors)
    assert (vectors.labels[pseudo.pair] != np.array([1, 1, 2, 2])[pseudo.base]).all(), "none from the same subject"
    assert len(pseudo.vectors) == 4 * 4
    of_one = (vectors.source[:4], labels[:4], vectors.patterns[:4])
    alone = PairVectors(clean[:2], occluded[:4], *of_one, images=images[:4])
    with pytest.raises(DataError, match="pairs of more subjects"):
        coverage(alone)
    assert by_pattern.distinct.tolist() == list(range(8)), "each its own where nothing else is said"


def test_tightness_takes_an_occluded_image_once():
    """Occluded at 0, 4 | 1, 5 (class | class), each in two pairs: the silhouette is that of four points."""
    images = np.array([0, 1, 0, 1, 2, 3, 2, 3])
    occluded = torch.tensor([[0.0], [4], [1], [5]])[images]
    patterns = np.array([1, 2, 1, 2, 1, 2, 1, 2])
    clean = torch.tensor([[0.0], [1], [2], [3]])
    vectors = PairVectors(clean, occluded, np.repeat(np.arange(4), 2), np.repeat([1, 2], 4), patterns, images=images)
    by_hand = np.mean([1 - 1 / 4.5, 1 - 1 / 3.5, 1 - 1 / 3.5, 1 - 1 / 4.5])
    found = tightness(vectors)
    assert found.loc["occluded DFVs", "pattern"] == pytest.approx(by_hand)
    assert found.loc["occluded DFVs", ["same_pattern", "same_class", "neither"]].notna().all()


def test_coverage_needs_two_images():
    one = made({(0, 1): (0.0, 0, 1), (0, 2): (0.0, 0, 2)})
    alone = PairVectors(one.clean[:1], one.occluded, one.source, one.labels, one.patterns)
    with pytest.raises(DataError, match="pairs of 1 clean and 2 occluded images; take pairs of at least two"):
        coverage(alone)
    same = PairVectors(one.clean, one.occluded, one.source, one.labels, one.patterns, images=np.zeros(2, np.int64))
    with pytest.raises(DataError, match="pairs of 4 clean and 1 occluded images"):
        coverage(same)


def test_nearest_is_exact_and_in_chunks():
    points = torch.rand(300, 8, generator=torch.Generator().manual_seed(0)) + 1000
    distance, index = nearest(points, points, 2)
    assert (distance[:, 0] == 0).all()
    assert index[:, 0].tolist() == list(range(300))
    assert nearest(points[:3], points[:2], 5)[0].shape == (3, 2)
