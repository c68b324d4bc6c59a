"""1x1 convolutions in one thread at the speed of the others.

torch 2.11 to 2.15 gives float32 convolutions to oneDNN, but those of 1x1 with one thread and fewer than 16 images to
a kernel of its own, which takes twice as long on some CPUs; and runs that share a machine have one thread each.
Dilated convolutions go to oneDNN unless they are tiny, and a single cell is the same dilated or not: so here it is
called dilated.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST = 20480  #: numbers in a single image from which on torch takes oneDNN


class PointwiseConv2d(nn.Conv2d):
    """A convolution that, if it is 1x1 and on a CPU, asks for oneDNN's kernel; else as torch's."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.kernel_size != (1, 1) or not _has_onednn(input):
            return super()._conv_forward(input, weight, bias)
        return F.conv2d(input, weight, bias, self.stride, self.padding, dilation=2, groups=self.groups)


def _has_onednn(input: Tensor) -> bool:
    """Whether torch would take oneDNN for such an input if the convolution were dilated."""
    known = input.device.type == "cpu" and input.dtype == torch.float32 and torch.backends.mkldnn.is_available()
    return known and input.ndim == 4 and (len(input) > 1 or input.numel() > SMALLEST)


def speed_up(module: nn.Module) -> None:
    """Make the 1x1 convolutions of a network `PointwiseConv2d`, in place; names and numbers stay."""
    for part in module.modules():
        if type(part) is nn.Conv2d and part.kernel_size == (1, 1) and part.padding_mode == "zeros":
            part.__class__ = PointwiseConv2d
