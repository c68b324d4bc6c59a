"""Corruptions of whole images: noise, blur, fading and compression, each in 5 severities.

The kinds and their parameters are those of ImageNet-C (Hendrycks and Dietterich, "Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations", ICLR 2019) as COCO-C has them (Michaelis et al., "Benchmarking
Robustness in Object Detection: Autonomous Driving when Winter is Coming", 2019): lengths are pixels whatever the
image's size.
Inverted Attention names blur, noise and faded pictures; "contrast", "fog" and "brightness" fade.

Where we depart: values are rounded to the nearest of 0..255, not down. Glass and zoom blur, snow, frost and elastic
distortion are left out: the first two look like the blurs here, the others hide or move what the boxes are about.
Randomness comes only from the generator passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from scipy.signal import fftconvolve
from skimage.filters import gaussian
from skimage.util import random_noise
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from workbench.errors import DataError, did_you_mean

SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Corruption:
    """A kind of corruption."""

    family: str  #: "noise", "blur", "fading" or "compression"
    parameters: tuple[Any, ...]  #: of severities 1 to 5
    #: From the image, float32 [H, W, 3] in 0..1, to the same, which may lie outside.
    apply: Callable[[np.ndarray, Any, np.random.Generator], np.ndarray]


def corrupt(image: Tensor, kind: str, severity: int, *, rng: np.random.Generator) -> Tensor:
    """The image uint8 [3, H, W] under a corruption.

    Args:
        kind: one of `CORRUPTIONS`.
        severity: 1 (weak) to 5.

    Raises:
        DataError: an unknown kind or severity.
    """
    check_corruption(kind)
    if severity not in SEVERITIES:
        raise DataError(f"severity {severity!r} of {kind}; expected a whole number from 1 to 5")
    corruption = CORRUPTIONS[kind]
    pixels = image.as_subclass(Tensor).permute(1, 2, 0).numpy().astype(np.float32) / 255
    changed = corruption.apply(pixels, corruption.parameters[severity - 1], rng)
    whole = (changed.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(whole.transpose(2, 0, 1)))


def check_corruption(kind: object) -> None:
    """Refuse what is none of `CORRUPTIONS`.

    Raises:
        DataError: it is none.
    """
    if kind not in CORRUPTIONS:
        raise DataError(f"corruption {kind!r} does not exist{did_you_mean(kind, tuple(CORRUPTIONS))}")


def _gaussian_noise(pixels: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    return random_noise(pixels, mode="gaussian", var=deviation**2, rng=rng)


def _shot_noise(pixels: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(pixels * photons) / photons


def _impulse_noise(pixels: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    return random_noise(pixels, mode="s&p", amount=amount, rng=rng)


def _gaussian_blur(pixels: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    return gaussian(pixels, sigma=deviation, channel_axis=-1)


def _defocus_blur(pixels: np.ndarray, shape: tuple[int, float], rng: np.random.Generator) -> np.ndarray:
    """What a disc of a radius, its edge softened, makes of each point."""
    kernel = disc(*shape)
    reach = len(kernel) // 2
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    return fftconvolve(padded, kernel[..., None], mode="valid", axes=(0, 1))


def disc(radius: int, softness: float) -> np.ndarray:
    """A kernel float32 [k, k]: even within the radius, then blurred by a Gaussian of 3 taps, or 5 from 9 pixels on.

    Its sum is 1; 1.01 for 8 and 10 pixels, where the blur is mirrored at the kernel's edge, as in COCO-C.
    """
    reach = max(8, radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = (x**2 + y**2 <= radius**2).astype(np.float32)
    kernel /= kernel.sum()
    half = 1 if radius <= 8 else 2
    taps = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * softness**2))
    taps /= taps.sum()
    for axis in (0, 1):
        kernel = ndimage.correlate1d(kernel, taps, axis=axis, mode="mirror")
    return kernel


def _motion_blur(pixels: np.ndarray, shape: tuple[int, float], rng: np.random.Generator) -> np.ndarray:
    """Traces of 2 · radius + 1 pixels that fade, in a random direction within 45° of level."""
    radius, deviation = shape
    angle = math.radians(rng.uniform(-45, 45))
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * deviation**2))
    places = [(-math.ceil(i * math.sin(angle) - 0.5), -math.ceil(i * math.cos(angle) - 0.5)) for i in steps]
    height, width = pixels.shape[:2]
    reach = 2 * radius + 1
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    blurred = np.zeros_like(pixels)
    for weight, (down, right) in zip((weights / weights.sum()).astype(np.float32), places, strict=True):
        y, x = reach - down, reach - right
        blurred += weight * padded[y : y + height, x : x + width]
    return blurred


def _contrast(pixels: np.ndarray, left: float, rng: np.random.Generator) -> np.ndarray:
    middle = pixels.mean(axis=(0, 1))
    return (pixels - middle) * np.float32(left) + middle


def _brightness(pixels: np.ndarray, more: float, rng: np.random.Generator) -> np.ndarray:
    """V of HSV raised; hue and saturation stay, so that all channels grow by one factor."""
    value = pixels.max(axis=2, keepdims=True)
    higher = np.minimum(value + np.float32(more), 1)
    return np.where(value > 0, pixels * (higher / np.maximum(value, 1e-6)), higher)


def _fog(pixels: np.ndarray, shape: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    thickness, decay = shape
    height, width = pixels.shape[:2]
    brightest = pixels.max()
    mist = plasma(1 << max(1, (max(height, width) - 1).bit_length()), decay, rng)[:height, :width, None]
    return (pixels + np.float32(thickness) * mist) * (brightest / (brightest + thickness))


def plasma(side: int, decay: float, rng: np.random.Generator) -> np.ndarray:
    """A map of heights float32 [side, side] in 0..1 by the diamond-square algorithm, which repeats at its edges.

    Args:
        side: a power of two.
        decay: by which each halving of the grid divides the random part.
    """
    heights, step, rough = np.zeros((side, side), np.float32), side, 100.0

    def middles(total: np.ndarray) -> np.ndarray:
        return total / 4 + rough * rng.uniform(-rough, rough, total.shape)

    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        rows = corners + np.roll(corners, -1, axis=0)
        heights[half::step, half::step] = middles(rows + np.roll(rows, -1, axis=1))
        centres = heights[half::step, half::step]
        above = centres + np.roll(centres, 1, axis=0) + corners + np.roll(corners, -1, axis=1)
        heights[::step, half::step] = middles(above)
        beside = centres + np.roll(centres, 1, axis=1) + corners + np.roll(corners, -1, axis=0)
        heights[half::step, ::step] = middles(beside)
        step, rough = half, rough / decay
    heights -= heights.min()
    return heights / max(float(heights.max()), 1e-6)


def _jpeg(pixels: np.ndarray, quality: int, rng: np.random.Generator) -> np.ndarray:
    image = torch.from_numpy((pixels * 255 + 0.5).astype(np.uint8)).permute(2, 0, 1).contiguous()
    return transforms.jpeg(image, quality).permute(1, 2, 0).numpy().astype(np.float32) / 255


def _pixelate(pixels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    image = Image.fromarray((pixels * 255 + 0.5).astype(np.uint8))
    size = max(1, int(image.width * share)), max(1, int(image.height * share))
    small = image.resize(size, Image.Resampling.BOX)
    return np.asarray(small.resize(image.size, Image.Resampling.NEAREST), dtype=np.float32) / 255


_SOFT = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))
_TRACES = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))
_MISTS = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))
CORRUPTIONS: dict[str, Corruption] = {
    "gaussian-noise": Corruption("noise", (0.08, 0.12, 0.18, 0.26, 0.38), _gaussian_noise),
    "shot-noise": Corruption("noise", (60, 25, 12, 5, 3), _shot_noise),
    "impulse-noise": Corruption("noise", (0.03, 0.06, 0.09, 0.17, 0.27), _impulse_noise),
    "gaussian-blur": Corruption("blur", (1, 2, 3, 4, 6), _gaussian_blur),
    "defocus-blur": Corruption("blur", _SOFT, _defocus_blur),
    "motion-blur": Corruption("blur", _TRACES, _motion_blur),
    "contrast": Corruption("fading", (0.4, 0.3, 0.2, 0.1, 0.05), _contrast),
    "fog": Corruption("fading", _MISTS, _fog),
    "brightness": Corruption("fading", (0.1, 0.2, 0.3, 0.4, 0.5), _brightness),
    "jpeg": Corruption("compression", (25, 18, 15, 10, 7), _jpeg),
    "pixelate": Corruption("compression", (0.6, 0.5, 0.4, 0.3, 0.25), _pixelate),
}
