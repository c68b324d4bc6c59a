"""What is recorded of a network, and that it is afterwards as it was before, also where it raises."""

from __future__ import annotations

import copy
from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from workbench.analysis.explaining.layers import differentiable, layer_of, recorded
from workbench.errors import DataError

Pair = namedtuple("Pair", ["one", "two"])


class Several(nn.Module):
    """One map as it is, and others in all containers."""

    def forward(self, x):
        return OrderedDict(plain=x, inside=[2 * x, (3 * x, Pair(4 * x, 5))], vector=x.mean((2, 3)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 2, 3, padding=1)
        self.loud = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(2, 2, 1)
        self.drop = nn.Dropout()

    def forward(self, x):
        return self.drop(self.second(self.loud(self.first(x)))).sum()


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = Net().train()
    net.second.bias.requires_grad_(False)
    net.second.eval()
    return net


def state(net):
    modes = [part.training for part in net.modules()]
    wants = [one.requires_grad for one in net.parameters()]
    return modes, wants, [len(part._forward_hooks) for part in net.modules()], torch.is_grad_enabled()


def test_gradients_are_those_of_autograd_though_the_next_layer_works_in_place(net):
    x = torch.randn(1, 3, 4, 5)
    before = state(net)
    with differentiable(net), recorded(net, ["first", "second"]) as seen:
        gradients = torch.autograd.grad(net(x), seen.maps)
    assert state(net) == before
    assert seen.names == ["first", "second"]
    assert seen.covers == (1, 1)
    torch.testing.assert_close(seen.maps[0].detach(), net.first(x).detach())  # not rectified
    weight = net.second.weight.sum(0)[None].detach() * (seen.maps[0] > 0)
    torch.testing.assert_close(gradients[0], weight)
    torch.testing.assert_close(gradients[1], torch.ones(1, 2, 4, 5))


@pytest.mark.parametrize("fails", ["in the network", "in a name", "in between"])
def test_everything_is_put_back_when_something_raises(net, fails):
    before = state(net)
    if fails == "in the network":
        net.second.forward = lambda x: 1 / 0
    layers = ["first", "third"] if fails == "in a name" else ["first"]

    def look():
        with differentiable(net), recorded(net, layers):
            net(torch.randn(1, 3, 4, 5))
            raise ZeroDivisionError

    with pytest.raises((ZeroDivisionError, DataError)):
        look()
    assert state(net) == before


def test_all_that_a_layer_gives_is_recorded_and_of_one_kind_as_before():
    net = nn.Sequential(Several())
    x = torch.randn(1, 3, 4, 5)
    with recorded(net, ["0"]) as seen:
        out = net(x)
    assert seen.names == ["0.plain", "0.inside.0", "0.inside.1.0", "0.inside.1.1.0"]
    assert [float((one / x).mean().detach()) for one in seen.maps] == pytest.approx([1, 2, 3, 4])
    assert type(out) is OrderedDict
    assert type(out["inside"][1][1]) is Pair
    assert out["inside"][1][1].two == 5
    score = (out["plain"] + 10 * out["inside"][0]).sum()
    found = torch.autograd.grad(score, seen.maps, allow_unused=True)
    assert [None if one is None else float(one.mean()) for one in found] == [1, 10, None, None]


def test_how_much_of_the_input_is_the_image():
    """30 × 40 pixels resized to 60 × 80 and padded to 64 × 96."""
    net = nn.Sequential(GeneralizedRCNNTransform(60, 80, [0.0] * 3, [1.0] * 3))
    with recorded(net, ["0"]) as seen:
        net[0]([torch.rand(3, 30, 40)])
    assert seen.covers == (64 / 60, 96 / 80)


def test_names_of_layers(net):
    assert layer_of(net, "second") is net.second
    with pytest.raises(
        DataError, match=r"Net has no layer 'secnd' \(did you mean 'second'\?\); on top it has first, "
    ):
        layer_of(net, "secnd")
    with pytest.raises(DataError, match="has no layer ''"):
        layer_of(net, "")
    with pytest.raises(DataError, match="no layer is named"), recorded(net, []):
        pass


def test_a_copy_made_within_is_a_plain_network(net):
    with differentiable(net), recorded(net, ["first"]):
        pass
    assert not copy.deepcopy(net).first._forward_hooks
