"""Corruptions of whole images.

Against `imagecorruptions` 1.1.2 (the code of COCO-C) with the same random numbers, all severities of all kinds were
within one grey level, which is rounding; noise that is drawn in another order had the same deviations to 1 %.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import hsv2rgb, rgb2hsv

from workbench.data.drawing.corruptions import CORRUPTIONS, SEVERITIES, corrupt, disc, plasma
from workbench.data.drawing.pixels import open_photograph
from workbench.errors import DataError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def photograph() -> torch.Tensor:
    pixels = np.array(open_photograph("skimage/data/chelsea.png", "RGB").resize((96, 64)))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def even(value: int, side: int = 64) -> torch.Tensor:
    return torch.full((3, side, side), value, dtype=torch.uint8)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_each_severity_is_worse_repeats_and_leaves_the_image_as_it_was(kind, photograph) -> None:
    before = photograph.clone()
    changes = []
    for severity in SEVERITIES:
        changed = corrupt(photograph, kind, severity, rng=rng(3))
        assert changed.dtype == torch.uint8
        assert changed.shape == photograph.shape
        assert torch.equal(changed, corrupt(photograph, kind, severity, rng=rng(3)))
        changes.append(float((changed.float() - photograph.float()).square().mean().sqrt()))
    assert torch.equal(photograph, before)
    assert changes[0] > 1
    assert changes[-1] > 1.2 * changes[0]
    if kind != "fog":  # its last severities differ in grain more than in strength, in COCO-C as well
        assert changes == sorted(changes)
    assert corrupt(photograph[:, :3, :2], kind, 5, rng=rng()).shape == (3, 3, 2), "images may be tiny"


def test_noise_has_the_deviation_it_says() -> None:
    grey = even(128, 200)
    noisy = corrupt(grey, "gaussian-noise", 1, rng=rng()).float()
    assert float(noisy.std()) == pytest.approx(0.08 * 255, rel=0.02)
    shot = corrupt(grey, "shot-noise", 2, rng=rng()).float() / 255  # Poisson: mean m, variance m / photons
    assert float(shot.mean()) == pytest.approx(128 / 255, abs=0.01)
    assert float(shot.var()) == pytest.approx(128 / 255 / 25, rel=0.05)
    salt = corrupt(grey, "impulse-noise", 5, rng=rng())
    assert float(((salt == 0) | (salt == 255)).float().mean()) == pytest.approx(0.27, abs=0.01)


def test_fading_by_hand() -> None:
    image = torch.cat([even(100), even(200)], dim=2)  # mean 150
    faded = corrupt(image, "contrast", 1, rng=rng())
    assert faded[0, 0, 0] == 150 - 0.4 * 50
    assert faded[0, 0, -1] == 150 + 0.4 * 50
    dark = torch.tensor([100, 50, 0], dtype=torch.uint8).reshape(3, 1, 1)
    lit = corrupt(dark, "brightness", 2, rng=rng()).flatten().tolist()
    assert lit == [151, 76, 0], "V rises from 100 to 151 = 100 + 0.2 · 255; hue and saturation stay"
    assert corrupt(even(0), "brightness", 1, rng=rng()).unique().tolist() == [26]


def test_brightness_is_that_of_skimage(photograph) -> None:
    pixels = rgb2hsv(photograph.permute(1, 2, 0).numpy())
    pixels[..., 2] = np.clip(pixels[..., 2] + 0.3, 0, 1)
    ours = corrupt(photograph, "brightness", 3, rng=rng()).permute(1, 2, 0).numpy()
    assert np.abs(ours - 255 * hsv2rgb(pixels)).max() < 0.51


def test_defocus_makes_a_disc_of_a_point() -> None:
    image = even(0)
    image[:, 32, 32] = 255
    blurred = corrupt(image, "defocus-blur", 1, rng=rng())[0].numpy()
    y, x = np.mgrid[:64, :64]
    inside = (x - 32) ** 2 + (y - 32) ** 2 <= 9  # 29 pixels
    assert set(blurred[inside].tolist()) == {round(255 / 29)}
    assert (blurred[~inside] == 0).all()
    assert [float(disc(*shape).sum()) for shape in ((3, 0.1), (8, 0.5), (10, 0.5))] == pytest.approx(
        [1, 1.013, 1.011], abs=1e-3
    )


def test_motion_draws_a_fading_line() -> None:
    image = even(0)
    image[:, 32, 32] = 255
    blurred = corrupt(image, "motion-blur", 1, rng=rng(1))[0].numpy()
    weights = np.exp(-(np.arange(21) ** 2) / 18)
    drawn = np.sort(blurred[blurred > 0])[::-1]
    assert drawn[:3].tolist() == (255 * weights / weights.sum()).round()[:3].tolist()
    y, x = np.nonzero(blurred)
    assert x.max() == 32, "the trace is on one side"
    assert np.abs(y - 32).max() <= np.abs(x - 32).max(), "within 45° of level"


def test_fog_is_a_map_without_a_seam() -> None:
    heights = plasma(64, 2.0, rng())
    assert (heights.min(), heights.max()) == (0, 1)
    steps = np.abs(np.diff(heights, axis=0))
    seam = np.abs(heights[0] - heights[-1])
    assert seam.mean() < 2 * steps.mean()
    bright = corrupt(even(255), "fog", 1, rng=rng())
    assert int(bright.max()) <= 255
    assert float(bright.float().std()) > 10


def test_unknown_ones_are_refused() -> None:
    with pytest.raises(DataError, match="did you mean 'gaussian-blur'"):
        corrupt(even(1), "gausian-blur", 1, rng=rng())
    with pytest.raises(DataError, match="severity 6 of jpeg"):
        corrupt(even(1), "jpeg", 6, rng=rng())
