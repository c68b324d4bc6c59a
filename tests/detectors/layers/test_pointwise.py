"""1x1 convolutions give what torch gives, in oneDNN's kernel."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from workbench.detectors import build_detector
from workbench.detectors.layers.pointwise import PointwiseConv2d, speed_up


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def kernels(conv: nn.Module, x: torch.Tensor) -> set[str]:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        conv(x).sum().backward()
    return {event.key for event in profile.key_averages()}


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"padding": 1}, {"groups": 4}, {"bias": False}], ids=str)
@pytest.mark.parametrize("shape", [(2, 48, 30, 20), (1, 48, 1, 64), (16, 48, 8, 8), (0, 48, 8, 8)])
def test_results_and_gradients_are_those_of_torch(shape, options, layout):
    torch.manual_seed(0)
    plain = nn.Conv2d(48, 32, 1, **options)
    ours = copy.deepcopy(plain)
    speed_up(ours)
    assert type(ours) is PointwiseConv2d
    x = torch.randn(shape).contiguous(memory_format=layout)
    sides = []
    for conv in (plain, ours):
        given = x.clone().requires_grad_()
        found = conv(given)
        (found * torch.arange(found.shape[-1])).sum().backward()
        sides.append((found, given.grad, *(parameter.grad for parameter in conv.parameters())))
    for theirs, mine in zip(*sides, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-3)
    for mine in sides[1][:2]:
        assert mine.numel() == 0 or mine.is_contiguous(memory_format=layout)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_the_slow_kernel_is_left():
    x = torch.randn(2, 64, 40, 40).contiguous(memory_format=torch.channels_last)
    conv = nn.Conv2d(64, 32, 1).to(memory_format=torch.channels_last)
    if "aten::_slow_conv2d_forward" not in kernels(conv, x):
        pytest.skip("this torch takes oneDNN by itself; workbench.detectors.layers.pointwise is no longer needed")
    speed_up(conv)
    assert "aten::mkldnn_convolution" in kernels(conv, x)
    assert not any("slow" in name for name in kernels(conv, x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_input_comes_to_the_kernel_of_dilated_convolutions(dtype):
    """It is slower still; torch has it for what oneDNN does not take."""
    conv = nn.Conv2d(128, 64, 1).to(dtype)
    speed_up(conv)
    for shape in ((1, 128, 8, 8), (1, 128, 40, 40), (2, 128, 4, 4)):
        assert not any("dilated" in name for name in kernels(conv, torch.randn(shape, dtype=dtype)))


def test_a_single_image_without_batch_and_other_convolutions():
    conv = nn.Conv2d(8, 4, 1)
    speed_up(conv)
    x = torch.randn(8, 5, 5)
    torch.testing.assert_close(conv(x), nn.functional.conv2d(x, conv.weight, conv.bias))
    other = nn.Conv2d(4, 4, 3)
    speed_up(other)
    assert type(other) is nn.Conv2d


def test_a_detector_has_them_and_its_names_stay():
    config = {"kind": "faster-rcnn", "backbone": {"name": "resnet50"}, "min_size": None}
    detector = build_detector(config, ("a",))
    single = {n for n, m in detector.named_modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)}
    assert single <= {n for n, m in detector.named_modules() if isinstance(m, PointwiseConv2d)}
    assert {"backbone.body.layer1.0.conv1", "backbone.fpn.inner_blocks.0.0"} <= single
    assert "backbone.fpn.inner_blocks.0.0.weight" in detector.state_dict()
