"""An image at several scales: sizes, grey around it, and where windows lie."""

import pytest
import torch

from workbench.detectors.layers.image_scales import GREY, image_scales


def test_sizes_and_grey():
    image = torch.ones(3, 40, 60)
    half, whole = image_scales(image, [-1.0, 0.0], size=32, stride=8)
    assert half.pixels.shape == (1, 3, 56, 64)  # 20 x 30 and twice 16, rounded up to multiples of 8
    assert whole.pixels.shape == (1, 3, 72, 96)
    assert (whole.pixels[0, :, 16:56, 16:76] == 1).all()
    assert whole.pixels.sum().item() == pytest.approx(3 * (2400 + (72 * 96 - 2400) * GREY), rel=1e-5)


def test_windows_in_pixels_of_the_image():
    (half,) = image_scales(torch.zeros(3, 40, 60), [-1.0], size=32, stride=8)
    boxes = half.windows(torch.tensor([0, 2]), torch.tensor([0, 3]), stride=8, size=32)
    assert boxes.tolist() == [[-32, -32, 32, 32], [16, 0, 80, 64]]  # the first is centred on the corner


def test_windows_show_what_they_say():
    """A bright square of the image is found again in the window's pixels."""
    image = torch.zeros(3, 64, 64)
    image[:, 16:32, 40:56] = 1
    for scaled in image_scales(image, [-1.0, 0.0, 1.0], size=32, stride=8):
        box = scaled.windows(torch.tensor([3]), torch.tensor([4]), stride=8, size=32)[0]
        window = scaled.pixels[0, 0, 24:56, 32:64]
        left, top, right, bottom = [round(x) for x in box.clamp(0, 64).tolist()]
        seen = image[0, top:bottom, left:right].sum() * scaled.scale[0] * scaled.scale[1]
        grey = window[(window - GREY).abs() < 1e-4].sum()
        assert (window.sum() - grey).item() == pytest.approx(seen.item(), abs=0.02 * 1024)
