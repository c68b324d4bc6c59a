"""The search, ASDN and ASTN at one region: on a head whose every number is known, and of a run."""

from __future__ import annotations

import math

import pytest
import torch
from red_detector import BOX, RedDetector, red_cells
from stages import stage
from torch import nn

from workbench.analysis.adversary import adversaries, harder_features, has_begun, roi_adversary
from workbench.errors import DataError, RecipeError
from workbench.hardeners import ASDN, ASTN, Chain, RandomDropout
from workbench.types import HeadLayout


@pytest.fixture
def image():
    return red_cells()


def bound(*parts: nn.Module) -> Chain:
    torch.manual_seed(0)
    chain = Chain(*parts)
    chain.bind_head(HeadLayout(2, 6))
    return chain


def cross_entropy(red: float) -> float:
    return math.log(math.exp(red) + 2) - red


def test_every_window_by_hand(image):
    """Windows of 2 × 2 over the bright cell leave 0.4, those over the corner 1, over both there is none."""
    seen = roi_adversary(RedDetector(), image, BOX, 1)
    search = seen.search
    assert search.windows.shape == (25, 6, 6)
    assert search.untouched == pytest.approx(cross_entropy(1.4))
    expected = torch.zeros(5, 5)
    expected[1:3, 2:4] = cross_entropy(0.4) - cross_entropy(1.4)
    expected[4, 4] = cross_entropy(1.0) - cross_entropy(1.4)
    torch.testing.assert_close(search.rises, expected)
    assert search.worst[2, 3]
    assert search.worst.sum() == 4
    rise = search.map - search.untouched
    assert rise[2, 3] == pytest.approx(float(expected[1, 2]))  # all four windows over it
    assert rise[1, 2] == pytest.approx(float(expected[1, 2]) / 4)  # one of its four
    assert rise[5, 5] == pytest.approx(float(expected[4, 4]))
    assert rise[0, 0] == pytest.approx(0)
    left = math.exp(0.4) / (math.exp(0.4) + 2)
    assert seen.scores == pytest.approx({"untouched": math.exp(1.4) / (math.exp(1.4) + 2), "worst window": left})
    assert (seen.dropout, seen.rotation, seen.both) == (None, None, None)
    assert len(seen.passed) == 0


def test_a_stride_tries_fewer_windows(image):
    assert roi_adversary(RedDetector(), image, BOX, 1, stride=2).search.rises.shape == (3, 3)
    with pytest.raises(RecipeError, match="stride is 0"):
        roi_adversary(RedDetector(), image, BOX, 1, stride=0)


def test_masks_are_asdn_s_own(image):
    """A head that would miss the bright cell only: its masks pass exactly if they drop it."""
    chain = bound(ASDN(fall=0.1))
    detector = RedDetector(chain)
    seen = roi_adversary(detector, image, BOX, 1, masks=20)
    kept = seen.dropout.masks
    assert kept.shape == (20, 6, 6)
    assert (kept == 0).flatten(1).sum(1).tolist() == [13] * 20
    features = detector.roi_features([image], [BOX[None]])
    torch.testing.assert_close(seen.dropout.heat, chain.hardeners[0].heat(features)[0].detach())
    pool = seen.dropout.heat.flatten().topk(21).indices
    assert kept.flatten(1)[:, [i for i in range(36) if i not in pool]].min() == 1
    red = kept[:, 2, 3] + 0.4 * kept[:, 5, 5]
    torch.testing.assert_close(seen.dropout.probabilities[:, 1], red.exp() / (red.exp() + 2))
    assert seen.passed.tolist() == (kept[:, 2, 3] == 0).tolist()
    assert seen.scores["ASDN"] == pytest.approx(float(seen.dropout.probabilities[:, 1].mean()))
    assert list(seen.answers) == ["untouched", "worst window", "ASDN"]


def test_masks_are_drawn_by_the_generator(image):
    detector = RedDetector(bound(ASDN()))
    again = [roi_adversary(detector, image, BOX, 1).dropout.masks for _ in range(2)]
    assert torch.equal(*again)
    other = roi_adversary(detector, image, BOX, 1, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(other.dropout.masks, again[0])
    with pytest.raises(DataError, match="masks is 0"):
        roi_adversary(detector, image, BOX, 1, masks=0)


def test_blocks_turn_by_their_angles(image):
    chain = bound(ASTN(blocks=2, limit=90))
    with torch.no_grad():
        chain.hardeners[0].net.out.weight.zero_()
        chain.hardeners[0].net.out.bias.copy_(torch.tensor([20.0, 0.0]))  # red a quarter turn, green not
    image[1] = 51
    seen = roi_adversary(RedDetector(chain), image, BOX, 1)
    turned = seen.rotation
    torch.testing.assert_close(turned.angles, torch.tensor([90.0, 0.0]))
    assert turned.limit == 90
    assert turned.before[0, 2, 3] == 1
    torch.testing.assert_close(turned.after[0], turned.before[0].rot90(), atol=1e-4, rtol=0)
    torch.testing.assert_close(turned.after[1], torch.full((6, 6), 0.2), atol=1e-4, rtol=0)
    assert seen.scores["ASTN"] == pytest.approx(seen.score, abs=1e-4)


def test_the_chain_begins_with_the_masks_that_are_shown(image):
    """Where ASTN does nothing, all of the chain does what ASDN does."""
    chain = bound(ASDN(), ASTN(blocks=2))
    nn.init.zeros_(chain.hardeners[1].net.out.weight)
    seen = roi_adversary(RedDetector(chain), image, BOX, 1)
    torch.testing.assert_close(seen.both, seen.dropout.probabilities, atol=1e-4, rtol=0)
    assert list(seen.answers)[2:] == ["ASDN", "ASTN", "ASDN + ASTN"]
    assert seen.both.shape == (6, 3)


def test_what_is_asked_leaves_the_detector_alone(image):
    detector = RedDetector(bound(ASDN(), ASTN(blocks=2))).train()
    roi_adversary(detector, image, BOX)
    assert all(part.training for part in detector.modules())
    assert all(parameter.grad is None for parameter in detector.parameters())


def test_the_class_and_wrong_questions(image):
    detector = RedDetector()
    assert roi_adversary(detector, image, BOX).label == 1
    with pytest.raises(DataError, match=r"label 3 is outside 0\.\.2"):
        roi_adversary(detector, image, BOX, 3)
    with pytest.raises(DataError, match="has no pixel inside"):
        roi_adversary(detector, image, BOX + 100, 1)


def test_who_is_an_adversary_and_has_begun():
    chain = bound(RandomDropout(), ASDN(), Chain(ASTN(blocks=2)))
    assert [type(one) for one in adversaries(chain)] == [ASDN, ASTN]
    assert list(adversaries(None)) == list(adversaries(RandomDropout())) == []
    assert not any(map(has_begun, adversaries(chain)))
    chain.begin_stage(stage("detector"))
    assert not any(map(has_begun, adversaries(chain)))
    chain.begin_stage(stage("hardener"))
    assert all(map(has_begun, adversaries(chain)))


def test_features_as_each_player_leaves_them(image):
    chain = bound(ASDN(), ASTN(blocks=2, limit=90))
    with torch.no_grad():
        chain.hardeners[1].net.out.weight.zero_()
        chain.hardeners[1].net.out.bias.copy_(torch.tensor([20.0, 0.0]))  # red a quarter turn, green not
    detector = RedDetector(chain)
    features, labels = detector.roi_features([image] * 8, [BOX[None]] * 8), torch.ones(8, dtype=torch.long)
    features = features + 0.1  # no cell is 0 by itself
    found = harder_features(chain, detector.head_score(), features, labels)
    assert list(found) == ["untouched", "ASDN", "random cells", "worst window", "ASTN"]
    assert torch.equal(found["untouched"], features)
    zeroed = {name: (one == 0).all(dim=1).flatten(1).sum(dim=1).tolist() for name, one in found.items()}
    assert zeroed["ASDN"] == zeroed["random cells"] == [13] * 8
    assert zeroed["worst window"] == [4] * 8
    assert (found["worst window"][:, :, 2, 3] == 0).all(), "the brightest cell"
    pool = chain.hardeners[0].heat(features)[0].flatten().topk(21).indices
    dropped = (found["ASDN"][:, 0] == 0).flatten(1).nonzero()[:, 1]
    assert set(dropped.tolist()) <= set(pool.tolist())
    assert not set((found["random cells"][:, 0] == 0).flatten(1).nonzero()[:, 1].tolist()) <= set(pool.tolist())
    torch.testing.assert_close(found["ASTN"][:, 0], features[:, 0].rot90(dims=(1, 2)), atol=1e-4, rtol=0)
    again = harder_features(chain, detector.head_score(), features, labels)
    assert all(torch.equal(one, again[name]) for name, one in found.items())
    assert not any(one.requires_grad for one in found.values())
    assert list(harder_features(None, detector.head_score(), features, labels)) == ["untouched", "worst window"]


class Darkener(RandomDropout):
    """No ASDN, but it has a heat map, too: red, and it drops where that is highest."""

    fall, drop, pool = 0.5, 1 / 36, 1 / 36

    def heat(self, features):
        return features[:, 0]

    def sample(self, features, generator):
        red = self.heat(features).flatten(1)
        return (red < red.amax(1, keepdim=True)).float().view(len(features), 1, *features.shape[2:])


def test_an_adversary_of_ones_own_is_seen(image):
    """By what it can do, whatever its class."""
    seen = roi_adversary(RedDetector(Darkener()), image, BOX, 1, masks=2)
    assert seen.dropout is not None
    assert seen.rotation is seen.both is None
    assert int(36 - seen.dropout.masks[0].sum()) == int((seen.dropout.heat == seen.dropout.heat.max()).sum())
    assert seen.dropout.fall == 0.5
