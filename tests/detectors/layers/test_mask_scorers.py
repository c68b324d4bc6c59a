"""DeepMask's heads: on a whole map as on each of its windows, and what each of them shares."""

import pytest
import torch

from workbench.detectors.layers.mask_scorers import MASK_HEADS

OPTIONS = {"features": 6, "mask_size": 5, "width": 7, "score_width": 9, "dropout": 0.5}


def made(kind, cells):
    torch.manual_seed(0)
    return MASK_HEADS[kind](8, cells=cells, **OPTIONS).eval()


@pytest.mark.parametrize("kind", MASK_HEADS)
@pytest.mark.parametrize("cells", [4, 7])
def test_a_map_is_its_windows(kind, cells):
    head, maps = made(kind, cells), torch.randn(2, 8, cells + 3, cells + 5)
    with torch.no_grad():
        vectors, scores = head(maps)
        assert vectors.shape == (2, 7, 4, 6)
        assert scores.shape == (2, 4, 6)
        for row in range(4):
            for column in range(6):
                vector, score = head(maps[:, :, row : row + cells, column : column + cells])
                torch.testing.assert_close(vector[:, :, 0, 0], vectors[:, :, row, column])
                torch.testing.assert_close(score[:, 0, 0], scores[:, row, column])


@pytest.mark.parametrize("kind", MASK_HEADS)
def test_masks_of_vectors(kind):
    head = made(kind, 4)
    vectors = torch.randn(3, 7)
    masks = head.masks(vectors)
    assert masks.shape == (3, 5, 5)
    expected = vectors @ head.mask.weight.T + head.mask.bias
    torch.testing.assert_close(masks.flatten(1), expected)


def test_heads_share_more_and_more():
    """Which layers of the mask learn from the score: none of the original's and A's, then one more each."""
    learned = {}
    for kind in MASK_HEADS:
        head = made(kind, 4)
        head(torch.randn(16, 8, 4, 4))[1].sum().backward()
        learned[kind] = [part for part in ("reduce", "vector", "mask") if _has_gradient(getattr(head, part))]
    assert learned == {"original": [], "a": [], "b": ["reduce"], "c": ["reduce", "vector"]}


def test_the_simpler_the_fewer_weights():
    sizes = [sum(p.numel() for p in made(kind, 4).parameters()) for kind in ("a", "b", "c")]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


def _has_gradient(module):
    return any(parameter.grad is not None and parameter.grad.any() for parameter in module.parameters())
