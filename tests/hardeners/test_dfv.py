"""DFV augmentation by hand: which vectors are added, how often, and what is kept."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import RecipeError, RunError
from workbench.hardeners import Chain, DFVAugmentation, build_hardener
from workbench.types import RoIBatch, Score

BANK = torch.tensor([[1.0, 0, 0], [0, 10, 0], [0, 0, 100]])[:, :, None, None]  # [3, 3, 1, 1]


def batch_of(count: int, seed: int = 0) -> RoIBatch:
    features = torch.zeros(count, 3, 1, 1)
    labels = torch.ones(count, dtype=torch.int64)
    generator = torch.Generator().manual_seed(seed)
    return RoIBatch(features, labels, torch.arange(count), Score(lambda f: f.flatten(1)), generator)


def made(**options: object) -> DFVAugmentation:
    hardener = DFVAugmentation(**options)
    hardener.begin_epoch(lambda: BANK)
    return hardener


def test_the_papers_values() -> None:
    hardener = DFVAugmentation()
    assert (hardener.alpha, hardener.beta, hardener.per) == (0.9, 1.0, "image")
    assert build_hardener({"kind": "dfv", "preset": "paper"}).per == "image"
    assert build_hardener({"kind": "dfv", "preset": "released"}).per == "batch"


@given(beta=st.floats(0.0, 3.0), seed=st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_every_vector_gets_beta_times_a_vector_of_the_bank_or_nothing(beta: float, seed: int) -> None:
    added = made(beta=beta)(batch_of(64, seed)).features[:, :, 0, 0]
    allowed = torch.cat([torch.zeros(1, 3), beta * BANK[:, :, 0, 0]])
    distance = (added[:, None] - allowed[None]).abs().amax(2).amin(1)
    assert float(distance.max()) == 0


def test_alpha_is_the_share_of_pseudo_vectors_and_any_pair_is_as_likely() -> None:
    added = made(alpha=0.7)(batch_of(20000)).features[:, :, 0, 0]
    used = added.ne(0).any(1)
    assert float(used.float().mean()) == pytest.approx(0.7, abs=0.015)
    each = added[used].ne(0).float().mean(0)
    assert each.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)


@pytest.mark.parametrize(("alpha", "share"), [(0.0, 0.0), (1.0, 1.0)])
def test_alpha_at_its_ends(alpha: float, share: float) -> None:
    added = made(alpha=alpha)(batch_of(500)).features
    assert float(added.flatten(1).ne(0).any(1).float().mean()) == share


def test_by_batch_all_images_are_changed_or_none() -> None:
    hardener = made(alpha=0.5, per="batch")
    shares = {
        float(hardener(batch_of(50, seed)).features.flatten(1).ne(0).any(1).float().mean()) for seed in range(20)
    }
    assert shares == {0.0, 1.0}


def test_the_bank_is_a_constant() -> None:
    source = torch.ones(2, 3, 1, 1, requires_grad=True)
    hardener = DFVAugmentation(alpha=1.0)
    hardener.begin_epoch(lambda: 2 * source)
    live = torch.zeros(4, 3, 1, 1, requires_grad=True)
    batch = batch_of(4)
    hardener(RoIBatch(live, batch.labels, batch.image_index, batch.score, batch.generator)).features.sum().backward()
    assert torch.equal(live.grad, torch.ones_like(live))
    assert source.grad is None


def test_the_bank_is_made_anew_and_remembered() -> None:
    hardener = made()
    state = hardener.state_dict()
    hardener.begin_epoch(lambda: torch.cat([2 * BANK, BANK]))
    assert torch.equal(hardener.bank, torch.cat([2 * BANK, BANK]))
    hardener.load_state_dict(state)  # of another length
    assert torch.equal(hardener.bank, BANK)
    assert not list(hardener.parameters())
    chain = Chain(made(), made())
    other = Chain(DFVAugmentation(), DFVAugmentation())
    assert other.hardeners[1].bank is None
    other.load_state_dict(chain.state_dict())
    assert torch.equal(other.hardeners[1].bank, BANK)
    assert hardener.health == {"pairs": 3.0, "dv_length": pytest.approx(37.0)}


def test_the_shift_follows_the_features_to_their_device() -> None:
    hardener = made()
    decision = hardener.decide(batch_of(4))
    moved = decision.apply(torch.zeros(4, 3, 1, 1, device="meta", dtype=torch.float16))
    assert (moved.device.type, moved.dtype) == ("meta", torch.float16)


def test_without_vectors_it_says_so() -> None:
    with pytest.raises(RunError, match="begin_epoch"):
        DFVAugmentation()(batch_of(2))
    with pytest.raises(RunError, match="no pairs"):
        DFVAugmentation().begin_epoch(lambda: torch.zeros(0, 3, 1, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"alpha": 1.1}, "alpha is 1.1"), ({"beta": -1}, "beta is -1"), ({"per": "epoch"}, "per is 'epoch'")],
)
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        DFVAugmentation(**options)
