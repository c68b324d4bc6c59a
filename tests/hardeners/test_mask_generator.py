"""AOFD's generator: its compact loss by hand, its gradient, what it learns, and what is masked in which stage."""

from __future__ import annotations

import pytest
import torch
from cell_world import CHANNELS, batch_of, head_layout, learned_head, world
from hypothesis import given
from hypothesis import strategies as st
from stages import stage
from torch.nn import functional as F

from workbench.hardeners import MaskGenerator
from workbench.hardeners.mask_generator import compact_loss, hide_lowest, squeezed


@pytest.fixture(scope="module")
def head():
    return learned_head()


def drawn(*rows: str) -> torch.Tensor:
    """[1, 1, h, w], 1 where there is an "x"."""
    return torch.tensor([[float(cell == "x") for cell in row] for row in rows])[None, None]


ROUND = drawn(".......", "..xx...", "..xx...", ".......")
STRIP = drawn(".......", ".xxxx..", ".......", ".......")
SCATTERED = drawn(".......", ".x..x..", ".......", ".x..x..")
CORNER = drawn("x......", ".......", ".......", ".......")


def test_the_rectified_loss_is_one_less_an_eighth_for_each_masked_neighbour():
    # Round: 4 cells with 3 neighbours each. Strip: two ends with 1, two with 2. Scattered: none.
    losses = [float(compact_loss(form)) for form in (ROUND, STRIP, SCATTERED)]
    assert losses == [4 - 12 / 8, 4 - 6 / 8, 4.0]
    assert losses == sorted(losses)
    assert float(compact_loss(drawn("xxx", "xxx", "xxx"))) == 9 - (4 * 3 + 4 * 5 + 8) / 8


def test_the_literal_loss_sees_nothing_but_the_border():
    assert [float(compact_loss(form, "literal")) for form in (ROUND, STRIP)] == [0.0, 0.0]
    assert float(compact_loss(CORNER, "literal")) == 1 - 3 / 8  # five of the eight neighbours are outside
    assert float(compact_loss(CORNER)) == 1.0


@given(st.lists(st.booleans(), min_size=49, max_size=49))
def test_the_rectified_loss_counts_neighbours(cells):
    mask = torch.tensor(cells).float().view(7, 7)
    padded, total = F.pad(mask, (1, 1, 1, 1)), 0.0
    for y, x in mask.nonzero().tolist():
        total += 1 - (float(padded[y : y + 3, x : x + 3].sum()) - 1) / 8
    assert float(compact_loss(mask[None, None])) == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize(("area", "count"), [(1 / 6, 8), (1 / 4, 12), (1 / 3, 16), (1 / 2, 24)])
def test_the_lowest_cells_are_hidden(area, count):
    values = torch.arange(49.0).flip(0).view(1, 1, 7, 7)
    assert torch.where(hide_lowest(values, area).flatten() == 0)[0].tolist() == list(range(49 - count, 49))


def test_masks_are_hard_and_their_gradient_is_of_the_order_alone():
    generator = torch.Generator().manual_seed(0)
    values = (50 * torch.randn(3, 1, 7, 7, generator=generator)).requires_grad_()
    mask = squeezed(values, 1 / 4)
    assert torch.equal(mask.detach(), hide_lowest(values.detach(), 1 / 4))
    weights = torch.randn(mask.shape, generator=generator)
    (gradient,) = torch.autograd.grad((mask * weights).sum(), values)
    assert gradient.abs().sum() > 0, "also where the map itself would be 0 or 1"
    torch.testing.assert_close(gradient.sum(dim=(1, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)


def test_the_gradient_of_the_compact_loss_counts_neighbours_of_masked_and_other_cells():
    masked = ROUND.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(compact_loss(masked).sum(), masked)
    around = F.conv2d(ROUND, torch.ones(1, 1, 3, 3), padding=1) - ROUND
    torch.testing.assert_close(gradient, 1 - around / 4)


def taught(head, *, steps: int, **options) -> MaskGenerator:
    """A generator after some steps of its own stage."""
    torch.manual_seed(0)
    generator = MaskGenerator(width=16, **options)
    generator.bind_head(head_layout(head))
    generator.begin_stage(stage("hardener"))
    optimizer = torch.optim.Adam(generator.parameters(), 3e-3)
    for step in range(steps):
        optimizer.zero_grad()
        generator(batch_of(head, *world(48, 100 + step))).adversary_loss.backward()
        optimizer.step()
    return generator


def test_it_learns_to_hide_what_the_head_looks_at(head):
    features, labels = world(300, 7)  # never seen
    features, labels = features[labels > 0], labels[labels > 0]
    lit = features.gather(1, labels.view(-1, 1, 1, 1).expand(-1, 1, 7, 7)) > 0.9  # the 4 cells of each object

    def found(generator: MaskGenerator) -> float:
        with torch.no_grad():
            hidden = hide_lowest(generator.order(features), 1 / 4) == 0
        return float((hidden & lit).sum() / lit.sum())

    assert found(taught(head, steps=0)) < 0.6
    learned = taught(head, steps=60)
    assert found(learned) > 0.9, "12 of 49 cells at random would find a quarter"
    assert learned.health["masked_loss"] > 0.5


def test_a_large_gamma_makes_masks_compact_and_the_published_one_does_not_tell(head):
    edges = {gamma: taught(head, steps=40, gamma=gamma).health["edges"] for gamma in (0.0, 1e-6, 3.0)}
    assert edges[3.0] < edges[0.0]
    assert edges[1e-6] == pytest.approx(edges[0.0], abs=0.05)


def test_its_loss_is_equation_2(head):
    torch.manual_seed(0)
    generator = MaskGenerator(width=8, gamma=0.5, eta=2.0)
    generator.bind_head(head_layout(head))
    generator.begin_stage(stage("hardener"))
    batch = batch_of(head, *world(20, 3))
    rows = batch.labels > 0
    features = batch.features[rows]
    with torch.no_grad():
        mask = hide_lowest(generator.order(features), 1 / 4)
        hurt = F.cross_entropy(batch.score(features * mask), batch.labels[rows])
    want = 0.5 * compact_loss(1 - mask).mean() - 2.0 * hurt
    loss = generator(batch).adversary_loss
    assert float(loss.detach()) == pytest.approx(float(want), rel=1e-5)
    loss.backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in generator.parameters())


@pytest.mark.parametrize(
    ("train", "masks", "learns"), [("hardener", False, True), ("detector", True, False), ("both", True, True)]
)
def test_who_does_what_in_which_stage(head, train, masks, learns):
    generator = MaskGenerator(width=8, generated=1, half=0, scattered=0)
    generator.bind_head(head_layout(head))
    generator.begin_stage(stage(train))
    batch = batch_of(head, *world(40, 5))
    hardened = generator(batch)
    assert (hardened.adversary_loss is not None) == learns
    assert (hardened.mask is not None) == masks
    if masks:
        hidden = (hardened.mask == 0).flatten(1).sum(1)
        assert (hidden[batch.labels > 0] == 16).all(), "a third of 49"
        assert (hidden[batch.labels == 0] == 0).all()


def test_the_four_kinds_are_mixed(head):
    generator = MaskGenerator(width=4)
    generator.bind_head(head_layout(head))
    generator.begin_stage(stage("detector"))
    labels = torch.ones(2000, dtype=torch.long)
    batch = batch_of(head, torch.rand(2000, CHANNELS, 7, 7), labels)
    hidden = (generator(batch).mask == 0).flatten(1).sum(1)
    shares = [float((hidden == count).float().mean()) for count in (0, 16, 21, 24)]
    assert shares == pytest.approx([0.25] * 4, abs=0.04)
    assert generator.health["hardened"] == pytest.approx(1 - shares[0])


def test_steps_with_few_masks_say_nothing_of_how_they_differ(head):
    generator = MaskGenerator(width=4, generated=1, half=0, scattered=0, background_share=1.0)
    generator.bind_head(head_layout(head))
    generator.begin_stage(stage("detector"))
    for count, said in ((1, {"hardened", "edges"}), (2, {"hardened", "edges", "mask_entropy"})):
        generator(batch_of(head, torch.rand(count, CHANNELS, 7, 7), torch.ones(count, dtype=torch.long)))
        assert generator.health.keys() == said
    generator.shares = (0.0, 0.0, 0.0)
    generator(batch_of(head, torch.rand(4, CHANNELS, 7, 7), torch.ones(4, dtype=torch.long)))
    assert generator.health == {"hardened": 0.0}
    generator.shares = (1.0, 0.0, 0.0)
    generator(batch_of(head, torch.rand(4, CHANNELS, 7, 7), torch.tensor([0, 1, 0, 0])))
    assert generator.health["hardened"] == 1, "background is no object"
