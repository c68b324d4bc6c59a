"""The contract of the hardener seam, held for every method."""

from __future__ import annotations

import dataclasses
import re

import pytest
import torch
from stages import stage
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from workbench import registry
from workbench.errors import RecipeError
from workbench.hardeners import (
    ASDN,
    ASTN,
    Chain,
    DFVAugmentation,
    DropBlock,
    HardDropout,
    InvertedAttention,
    RandomDropout,
    build_hardener,
)
from workbench.hardeners.base import Decision, Hardener, MaskDecision
from workbench.types import HeadLayout, RoIBatch, Score

ROIS, CHANNELS, SIZE, CLASSES = 40, 8, 5, 4


class LearnedGate(Hardener):
    """A minimal adversary, so that the ownership of gradients is tested on one that has parameters."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, 1, 1)

    def decide(self, batch: RoIBatch) -> Decision:
        heat = torch.sigmoid(self.conv(batch.features))
        true = batch.score.true_class(batch.features * heat, batch.labels)
        return MaskDecision((heat > 0.5).float().detach(), adversary_loss=true.mean())


HARDENERS = {
    "ia soft": lambda: InvertedAttention(share=1.0),
    "ia 20 %": InvertedAttention,
    "ia released": lambda: InvertedAttention.released(share=0.5, margin=0.0),
    "ia spatial": lambda: InvertedAttention(share=0.5, orientation="spatial"),
    "ia by cell": lambda: InvertedAttention(share=0.5, orientation="spatial", cam="hires-cam"),
    "ia of the prediction": lambda: InvertedAttention(share=1.0, score_of="prediction"),
    "ia channel": lambda: InvertedAttention(share=0.5, orientation="channel"),
    "ia hard": lambda: InvertedAttention(share=1.0, inversion="hard"),
    "ia overturn": lambda: InvertedAttention(share=1.0, inversion="overturn"),
    "ia random": lambda: InvertedAttention(share=1.0, inversion="random"),
    "dropout": lambda: RandomDropout(share=1.0),
    "dropout block": lambda: RandomDropout(share=1.0, block=3),
    "hard dropout": HardDropout,
    "drop block": DropBlock,
    "drop block as it is": lambda: DropBlock(keep=0.7, normalise=False, per_channel=False),
    "asdn": ASDN,
    "asdn released": ASDN.released,
    "astn": lambda: ASTN(limit=60),  # 10 degrees hardly moves anything on 5 x 5 cells
    "fusion": lambda: Chain(ASDN(), ASTN()),
    "dfv": DFVAugmentation,
    "dfv by batch": DFVAugmentation.released,
    "learned": LearnedGate,
    "chain": lambda: Chain(InvertedAttention(share=1.0), LearnedGate()),
}
tried = {type(make()) for make in HARDENERS.values()}
#: A kind without a variant above is held to the contract with the values that it has by itself.
HARDENERS |= {
    kind: registry.HARDENERS[kind] for kind in registry.HARDENERS.homes if registry.HARDENERS[kind] not in tried
}

WITHOUT_MASK = ("astn", "fusion", "dfv", "dfv by batch", "drop block")  #: a mask does not say all that they do
ROTATING = ("astn", "fusion")


def made(name: str) -> Hardener:
    """A hardener with its network, where it has one."""
    hardener = HARDENERS[name]()
    hardener.bind_head(HeadLayout(CHANNELS, SIZE))
    hardener.begin_epoch(differences)
    return hardener


def differences() -> torch.Tensor:
    """What a detector would say of pairs: every object's light is dimmed and the next class's lit."""
    shifts = torch.zeros(6 * CLASSES, CHANNELS, SIZE, SIZE)
    for row in range(len(shifts)):
        shifts[row, 1 + row % CLASSES] = 1.5
        shifts[row, 1 + (row + 1) % CLASSES] = -1.5
    return shifts


def taught(name: str, trained) -> Hardener:
    """The same; adversaries have learned alone for a few steps."""
    torch.manual_seed(0)
    hardener = made(name)
    if name in ("asdn", "asdn released", *ROTATING):
        hardener.begin_stage(stage("hardener"))
        optimizer = torch.optim.Adam(hardener.parameters(), 3e-3)
        for _ in range(30):
            optimizer.zero_grad()
            hardener(batch_of(trained)).adversary_loss.backward()
            optimizer.step()
        hardener.begin_stage(stage("both"))
    return hardener


class Head(nn.Module):
    """A small head; scores depend strongly on few cells, as after training."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(CHANNELS * SIZE**2, 32), nn.ReLU(), nn.Linear(32, CLASSES + 1)
        )

    def forward(self, features):
        return self.layers(features)

    def score(self) -> Score:
        frozen = {name: value.detach() for name, value in self.named_parameters()}
        return Score(lambda features: functional_call(self, frozen, (features,)))


@pytest.fixture(scope="module")
def trained():
    """Each class lights up a channel of its own, strongly at one place and faintly at another; a head learned it."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    labels = torch.randint(0, CLASSES + 1, (ROIS,), generator=generator)
    features = 0.3 * torch.rand(ROIS, CHANNELS, SIZE, SIZE, generator=generator)
    for roi, label in enumerate(labels.tolist()):
        if label:
            top, left = torch.randint(0, SIZE - 1, (2,), generator=generator).tolist()
            features[roi, label, top : top + 2, left : left + 2] += 2.0
            features[roi, label, SIZE - 1 - top, SIZE - 1 - left] += 0.7
    head = Head()
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(head(features), labels).backward()
        optimizer.step()
    head.zero_grad(set_to_none=True)
    return head, features, labels


def batch_of(trained, seed: int = 0, features: torch.Tensor | None = None) -> RoIBatch:
    head, original, labels = trained
    features = original if features is None else features
    index = torch.arange(len(labels)) % 2
    return RoIBatch(features, labels, index, head.score(), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", HARDENERS)
def test_shapes_and_replay_from_the_mask(trained, name):
    batch = batch_of(trained)
    hardened = made(name)(batch)
    assert hardened.features.shape == batch.features.shape
    if name in WITHOUT_MASK:
        assert not torch.equal(batch.features, hardened.features)
        return
    assert hardened.mask is not None
    assert hardened.mask.shape[0] == ROIS
    assert hardened.mask.shape[1] in (1, CHANNELS)
    assert hardened.mask.shape[2:] == (SIZE, SIZE)
    assert float(hardened.mask.min()) >= 0
    assert float(hardened.mask.max()) <= 1
    assert torch.equal(batch.features * hardened.mask, hardened.features), "the mask replays what was done"


@pytest.mark.parametrize("name", HARDENERS)
def test_each_player_gets_its_own_gradient_only(trained, name):
    head, features, labels = trained
    hardener = made(name)
    trunk = nn.Conv2d(CHANNELS, CHANNELS, 1)
    live = trunk(features)
    hardened = hardener(batch_of(trained, features=live))
    detector_loss = F.cross_entropy(head(hardened.features), labels)
    detector_loss.backward(retain_graph=True)
    assert all(p.grad is None for p in hardener.parameters()), "the detector's loss must not train the adversary"
    assert all(p.grad is not None for p in trunk.parameters())
    grads = [p.grad.clone() for p in (*trunk.parameters(), *head.parameters())]
    if hardened.adversary_loss is not None:
        hardened.adversary_loss.backward()
        assert all(p.grad is not None for p in hardener.parameters())
        for parameter, before in zip((*trunk.parameters(), *head.parameters()), grads, strict=True):
            assert torch.equal(parameter.grad, before), "the adversary's loss must not train the detector"
    else:
        assert not list(hardener.parameters())
    head.zero_grad(set_to_none=True)


@pytest.mark.parametrize("name", HARDENERS)
def test_the_generator_decides(trained, name):
    torch.manual_seed(0)
    hardener = made(name)
    first = hardener(batch_of(trained, seed=3)).features
    torch.rand(7)  # torch's own generator must not matter
    assert torch.equal(first, hardener(batch_of(trained, seed=3)).features)


@pytest.mark.parametrize(
    "name",
    ["ia 20 %", "ia released", "ia random", "dropout", "dropout block", "drop block as it is", "asdn", "fusion"],
)
def test_another_seed_gives_another_mask(trained, name):
    hardener = made(name)
    a, b = (hardener(batch_of(trained, seed=seed)).mask for seed in (1, 2))
    assert not torch.equal(a, b)


@pytest.mark.parametrize("name", HARDENERS)
def test_no_rois(trained, name):
    batch = batch_of(trained)
    empty = dataclasses.replace(
        batch, features=batch.features[:0], labels=batch.labels[:0], image_index=batch.image_index[:0]
    )
    hardened = made(name)(empty)
    assert hardened.features.shape == (0, CHANNELS, SIZE, SIZE)
    assert hardened.adversary_loss is None


@pytest.mark.parametrize("name", [name for name in HARDENERS if name not in ("learned",)])
def test_the_loss_of_the_true_class_rises(trained, name):
    head, features, labels = trained
    hardened = taught(name, trained)(batch_of(trained))
    with torch.no_grad():
        before = F.cross_entropy(head(features), labels)
        after = F.cross_entropy(head(hardened.features), labels)
    assert after > before + 1e-3


def test_inverted_attention_hurts_more_than_chance(trained):
    """The cells it drops are the ones that the head needs."""
    head, _, labels = trained
    losses = {}
    for name in ("ia spatial", "ia random"):
        options = {"share": 1.0, "orientation": "spatial"}
        hardener = InvertedAttention(inversion="random" if "random" in name else "soft", **options)
        with torch.no_grad():
            losses[name] = float(F.cross_entropy(head(hardener(batch_of(trained)).features), labels))
    assert losses["ia spatial"] > 1.3 * losses["ia random"]


def test_chain_multiplies_masks_and_adds_losses(trained):
    torch.manual_seed(0)
    gate = LearnedGate()
    chain = Chain(RandomDropout(share=1.0), gate, gate)
    hardened = chain(batch_of(trained))
    assert torch.equal(hardened.features, batch_of(trained).features * hardened.mask)
    first = RandomDropout(share=1.0)(batch_of(trained))
    second = gate(dataclasses.replace(batch_of(trained), features=first.features))
    third = gate(dataclasses.replace(batch_of(trained), features=second.features))
    torch.testing.assert_close(hardened.adversary_loss, second.adversary_loss + third.adversary_loss)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kind": "asnd"}, "'asnd' does not exist (did you mean 'astn'?); choose one of"),
        ({"kind": "inverted-attention", "shere": 0.2}, "hardener.shere is not an option of inverted-attention"),
        ({"kind": "inverted-attention", "share": 2}, "share is 2; expected at most 1"),
        ({"kind": "inverted-attention", "inversion": "inside-out"}, "inside-out"),
        ({"kind": "inverted-attention", "preset": "mine"}, "preset 'mine'"),
        ({"kind": "random-dropout", "preset": "paper"}, "preset 'paper'"),
        ({"kind": "random-dropout", "block": 0}, "block is 0"),
        ({"kind": "random-dropout", "clean_images": -1}, "clean_images is -1"),
        ({"kind": "hard-dropout", "stride": 0}, "stride is 0"),
        ({"kind": "asdn", "net": "big"}, "net is 'big'; expected 'fully-connected' or 'convolutional'"),
        ({"kind": "asdn", "drop": 0.7}, "drop is 0.7, pool 0.58"),
        ({"kind": "asdn", "fall": 2}, "fall is 2"),
        ({"kind": "astn", "limit": 0}, "limit is 0"),
        ({"kind": "astn", "blocks": 0}, "blocks is 0"),
        ({"kind": "astn", "padding": "ones"}, "padding is 'ones'; expected 'zeros', 'border' or 'reflection'"),
    ],
)
def test_bad_configurations_say_what_exists(config, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        build_hardener(config)


@pytest.mark.parametrize("method", [ASDN, InvertedAttention, DFVAugmentation])
def test_presets_are_options_and_can_be_changed(method):
    for name, options in method.presets.items():
        made_so = getattr(method, name)()
        assert {key: getattr(made_so, {"net": "net_kind"}.get(key, key)) for key in options} == options
    with pytest.raises(
        RecipeError, match=rf"preset 'mine' does not exist for {method.kind}; choose one of \['paper', 'rele"
    ):
        method.preset("mine")
    with pytest.raises(RecipeError, match="'released' does not exist for random-dropout; it has none"):
        RandomDropout.released()


def test_what_hardeners_say_of_themselves():
    assert DFVAugmentation.needs_pairs
    assert ASDN.pretrains
    assert not ASTN.pretrains
    chain = Chain(RandomDropout(), Chain(ASDN(), DFVAugmentation()))
    assert (chain.pretrains, chain.needs_pairs, chain.acts_on) == (True, True, "maps and vectors")
    assert not Chain(RandomDropout(), ASTN()).pretrains
    assert not Chain(RandomDropout(), ASTN()).needs_pairs


@pytest.mark.parametrize("name", HARDENERS)
def test_a_stage_of_plain_training_is_without_it(trained, name):
    batch, hardener = batch_of(trained), made(name)
    hardener.begin_stage(stage("detector", harden=False))
    assert hardener(batch).features is batch.features
    hardener.begin_stage(stage("detector"))
    assert not torch.equal(hardener(batch).features, batch.features)


@pytest.mark.parametrize("name", [name for name in HARDENERS if name not in ("fusion", "chain")])
def test_a_decision_can_be_replayed(trained, name):
    hardener, batch = made(name), batch_of(trained)
    decision = hardener.decide(batch)
    features = decision.apply(batch.features)
    assert torch.equal(features, hardener(batch_of(trained)).features)
    assert torch.equal(features, decision.apply(batch.features))
    full = decision.full_mask(ROIS)
    assert (full is None) == (name in WITHOUT_MASK)
    if full is not None:
        assert torch.equal(features, batch.features * full)


def test_a_plain_decision_does_nothing():
    features = torch.rand(2, 3, 4, 4)
    assert Decision().apply(features) is features
    assert Decision().full_mask(2) is None
    with pytest.raises(TypeError):
        Decision(torch.ones(2, 1, 4, 4))  # a mask is a MaskDecision's, and no loss


def test_configurations_build_what_they_say():
    assert build_hardener(None) is None
    assert build_hardener({"kind": "inverted-attention", "preset": "released", "margin": 0.1}).margin == 0.1
    chain = build_hardener([{"kind": "random-dropout"}, {"kind": "inverted-attention"}])
    assert [type(part) for part in chain.hardeners] == [RandomDropout, InvertedAttention]


SPARING = ["asdn", "asdn released", "astn", "fusion", "hard dropout"]


@pytest.mark.parametrize("name", SPARING)
def test_background_and_one_image_stay_as_they_are(trained, name):
    batch = batch_of(trained)
    changed = (made(name)(batch).features != batch.features).flatten(1).any(1)
    assert torch.equal(changed, (batch.labels > 0) & (batch.image_index == 1))


@pytest.mark.parametrize("name", SPARING)
def test_the_only_image_of_a_batch_is_not_spared(trained, name):
    batch = dataclasses.replace(batch_of(trained), image_index=torch.zeros(ROIS, dtype=torch.long))
    changed = (made(name)(batch).features != batch.features).flatten(1).any(1)
    assert torch.equal(changed, batch.labels > 0)


def test_random_dropout_as_the_control_of_asdn(trained):
    options = {"share": 1, "drop": 13 / 36, "foreground_only": True, "clean_images": 1}
    batch = batch_of(trained)
    changed = (RandomDropout(**options)(batch).features != batch.features).flatten(1).any(1)
    assert torch.equal(changed, (batch.labels > 0) & (batch.image_index == 1))


@pytest.mark.parametrize("name", ["asdn", "astn", "fusion"])
def test_no_foreground_is_no_work(trained, name):
    batch = dataclasses.replace(batch_of(trained), labels=torch.zeros(ROIS, dtype=torch.long))
    hardened = made(name)(batch)
    assert torch.equal(hardened.features, batch.features)
    assert hardened.adversary_loss is None


@pytest.mark.parametrize("rois", [ROIS, 0])
@pytest.mark.parametrize("name", ["asdn", "asdn released", "astn", "fusion"])
def test_alone_without_foreground_an_adversary_has_a_loss_of_zero(trained, name, rois):
    """Such a step of a stage that trains the hardener only must still have gradients."""
    batch = batch_of(trained)
    none = {"features": batch.features[:rois], "image_index": batch.image_index[:rois]}
    batch = dataclasses.replace(batch, labels=torch.zeros(rois, dtype=torch.long), **none)
    hardener = made(name)
    hardener.begin_stage(stage("hardener"))
    hardened = hardener(batch)
    assert torch.equal(hardened.features, batch.features)
    assert hardened.adversary_loss == 0
    hardened.adversary_loss.backward()
    assert all(p.grad is not None and not p.grad.any() for p in hardener.parameters())


@pytest.mark.parametrize("name", ["asdn", "asdn released", "astn", "fusion"])
def test_a_fixed_adversary_hardens_but_has_no_loss(trained, name):
    hardener, batch = made(name), batch_of(trained)
    hardener.begin_stage(stage("detector"))
    hardened = hardener(batch)
    assert hardened.adversary_loss is None
    assert not torch.equal(hardened.features, batch.features)


@pytest.mark.parametrize("name", ["asdn", "asdn released", "astn", "fusion"])
def test_learning_alone_leaves_the_features_as_they_are(trained, name):
    hardener, batch = made(name), batch_of(trained)
    hardener.begin_stage(stage("hardener"))
    hardened = hardener(batch)
    assert torch.equal(hardened.features, batch.features)
    assert float(hardened.adversary_loss.detach()) > 0


@pytest.mark.parametrize("name", HARDENERS)
def test_an_inactive_hardener_does_nothing(trained, name):
    batch, hardener = batch_of(trained), made(name)
    hardener.begin_stage(stage("detector"))
    hardener.active = False
    hardened = hardener(batch)
    assert hardened.features is batch.features
    assert (hardened.mask, hardened.adversary_loss) == (None, None)
    hardener.active = True
    assert not torch.equal(hardener(batch).features, batch.features)
