"""SharpMask's refinement: Fig. 3.7's two forms are one, in values and gradients; schedules and ablations."""

import pytest
import torch
from torch.nn import functional as F

from workbench.detectors.layers.mask_refinement import Refinement, TopDown, Windows

WIDTHS = (12, 10, 8)  #: of maps of strides 8, 4, 2


def maps(batch=2, cells=9):
    torch.manual_seed(1)
    return [torch.randn(batch, width, cells * 2**i, (cells + 2) * 2**i) for i, width in enumerate(WIDTHS)]


def windows():
    return Windows(torch.tensor([0, 1, 1, 0]), torch.tensor([0, 2, 5, 1]), torch.tensor([3, 7, 0, 1]))


@pytest.mark.parametrize("form", ["thesis", "released"])
def test_two_forms_of_one_module(form):
    torch.manual_seed(0)
    module = Refinement(12, 6, 5, 4, form=form).double()
    encoding = torch.randn(4, 6, 4, 4, dtype=torch.float64, requires_grad=True)
    features = maps()[0].double().requires_grad_()
    where = Windows(torch.tensor([0, 1, 1, 0]), torch.tensor([1, 2, 4, 1]), torch.tensor([3, 6, 1, 1]))
    shared = module(encoding, where.cut(module.skips(features), 4, 1))
    apart = module.joined(encoding, where.cut(module.skip(features), 4, 1, halo=1))
    torch.testing.assert_close(shared, apart, atol=1e-10, rtol=0)
    assert shared.shape == (4, 4, 8, 8)
    inputs = (encoding, features, *module.parameters())
    weights = torch.randn_like(shared)
    for ours, other in zip(
        *(torch.autograd.grad((one * weights).sum(), inputs) for one in (shared, apart)), strict=True
    ):
        torch.testing.assert_close(ours, other, atol=1e-10, rtol=0)


def test_by_hand():
    """One cell everywhere 1: the encoding's weight plus the skip's, ReLU, twice the size."""
    module = Refinement(1, 1, 1, 1, form="thesis")
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.from_mask.weight[0, 0, 1, 1] = 2.0
        module.from_skip.weight[0, 0, 1, 1] = 3.0
    ones = torch.ones(1, 1, 4, 4)
    assert (module(ones, F.conv2d(ones, module.from_skip.weight, padding=1)) == 5.0).all()
    assert (module(-ones, None) == 0.0).all()


def test_skip_features_by_two_convolutions():
    module = Refinement(100, 6, 5, 4, form="thesis")
    shapes = [tuple(one.weight.shape) for one in module.skip if hasattr(one, "weight")]
    assert shapes == [(64, 100, 3, 3), (5, 64, 3, 3)]
    released = Refinement(64, 6, 5, 4, form="released")
    assert released.skip[0].weight.shape == (32, 64, 3, 3)
    assert released.before[0].weight.shape == (6, 6, 3, 3)


@pytest.mark.parametrize(("schedule", "sizes"), [("a", [8, 8, 8, 8]), ("b", [8, 4, 2, 1])])
def test_schedules(schedule, sizes):
    top_down = TopDown(20, 4, WIDTHS, k=8, schedule=schedule)
    steps = top_down.steps(torch.randn(4, 20), top_down.skips(maps()), windows())
    assert [tuple(one.shape) for one in steps[:-1]] == [(4, k, 4 * 2**i, 4 * 2**i) for i, k in enumerate(sizes)]
    assert steps[-1].shape == (4, 32, 32)


@pytest.mark.parametrize("variant", ["refine", "skip", "deconv"])
def test_a_window_sees_nothing_of_others(variant):
    torch.manual_seed(0)
    top_down = TopDown(20, 4, WIDTHS, k=8, variant=variant)
    vectors, where = torch.randn(4, 20), windows()
    together = top_down(vectors, top_down.skips(maps()), where)
    assert together.shape == (4, 32, 32)
    for row in range(4):
        one = Windows(*(part[row : row + 1] for part in where))
        torch.testing.assert_close(top_down(vectors[row : row + 1], top_down.skips(maps()), one)[0], together[row])


def test_without_horizontals_the_image_does_not_matter():
    top_down = TopDown(20, 4, WIDTHS, k=8, variant="deconv")
    assert top_down.skips(maps()) == [None, None, None]


def test_without_verticals_it_is_the_mean_of_predictions():
    torch.manual_seed(0)
    top_down = TopDown(20, 4, WIDTHS, k=8, variant="skip")
    vectors, where = torch.randn(4, 20), windows()
    found = top_down(vectors, top_down.skips(maps()), where)
    every = [top_down.encode(vectors).view(4, 1, 4, 4)]
    every += [where.cut(side(one), 4, 2**i) for i, (side, one) in enumerate(zip(top_down.sides, maps(), strict=True))]
    grown = [F.interpolate(one, (32, 32), mode="bilinear", align_corners=False) for one in every]
    torch.testing.assert_close(found, sum(grown)[:, 0] / 4)


def test_cuts_of_finer_maps():
    whole = torch.arange(6 * 8.0).view(1, 1, 6, 8)
    where = Windows(torch.tensor([0]), torch.tensor([1]), torch.tensor([2]))
    assert where.cut(whole, 2, 2)[0, 0].equal(whole[0, 0, 2:6, 4:8])
    with_halo = where.cut(whole, 1, 2, halo=1)[0, 0]
    assert with_halo.equal(whole[0, 0, 1:5, 3:7])
