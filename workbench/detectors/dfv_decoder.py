"""The DFV decoder: pictures of what deep feature vectors, also pseudo-DFVs, stand for.

"Deep feature augmentation for occluded image classification" (Cen et al. 2021, sec. 4.1.2 and supplement S.II): the
generator of DCGAN (Radford et al. 2016) with the vector as its input, two more transposed convolutions, so that it
ends at 256 pixels instead of 64, and a last convolution; the mean squared error to the image, clean and occluded
images alike. The classifier whose vectors it decodes is frozen.

*Here:* the numbers of channels, which the paper's figure does not state, are halved with each doubling of the side
from `width` on, but at least 16; the output is a sigmoid on 0..1, where DCGAN has tanh on -1..1. The small form stops
at 32 pixels.

When it does not help: a picture is the mean of all images with such a vector, so what the vector does not hold is
blurred; it says nothing of how a vector is classified.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as V

from workbench.data.pairs import PairSet
from workbench.detectors.base import Detector, evaluating
from workbench.detectors.classifier import Classifier
from workbench.detectors.layers.inputs import as_float
from workbench.errors import RecipeError
from workbench.options import Count
from workbench.registry import DETECTORS
from workbench.types import Losses, Target


def generator_channels(size: int, width: int) -> list[int]:
    """Channels after each transposed convolution, from 4 pixels up to `size`.

    Raises:
        RecipeError: `size` is no power of two from 8 on.
    """
    if size < 8 or size & (size - 1):
        raise RecipeError(f"detector.size is {size}; expected a power of two of at least 8 pixels")
    doublings = (size // 4).bit_length() - 1
    return [max(16, min(width, width * 4 >> place)) for place in range(2, doublings + 3)]


class Generator(nn.Sequential):
    """DCGAN's generator, longer: vectors [N, d, 1, 1] → pictures [N, 3, size, size] in 0..1."""

    def __init__(self, num_features: int, *, size: int, width: int):
        channels = generator_channels(size, width)
        layers: list[nn.Module] = []
        inputs = num_features
        for place, outputs in enumerate(channels):
            stride, padding = (2, 1) if place else (1, 0)
            layers += [
                nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
            inputs = outputs
        super().__init__(*layers, nn.Conv2d(inputs, 3, 3, padding=1), nn.Sigmoid())


@DETECTORS.register("dfv-decoder")
class DFVDecoder(Detector):
    """A frozen classifier and a generator that learns to paint its vectors; build one with `build`.

    Args:
        classifier: gives the vectors.
        size: side of the pictures in pixels.
        width: channels of the generator at 4 pixels.

    Example:
        >>> decoder = wb.load_detector("dfv/digits-decoder")
        >>> image, _ = wb.load_data("digits", split="test")[0]
        >>> vectors = decoder.classifier.features([image])
        >>> tuple(decoder.decode(vectors).shape), float(decoder.errors([image])) < 0.05
        ((1, 3, 32, 32), True)
    """

    task = "reconstruction"
    needs_start = True

    def __init__(self, classifier: Classifier, *, size: int = 256, width: int = 512):
        super().__init__()
        self.classifier = classifier.requires_grad_(False)
        self.classes, self.size = classifier.classes, size
        self.generator = Generator(classifier.num_features, size=size, width=width)

    @classmethod
    def build(cls, classes: Sequence[str], *, classifier: dict, size: Count = 256, width: Count = 512) -> DFVDecoder:
        """A decoder from plain values.

        Args:
            classifier: the section of the classifier that the recipe's `start` names; its weights come from there.
            size, width: see the class.
        """
        maker, options = DETECTORS.check(classifier, place="detector.classifier", default=Classifier.kind)
        if isinstance(options.get("backbone"), dict):
            options["backbone"] |= {"weights": None}  # they come from the file
        return cls(maker(classes, **options), size=size, width=width)

    def start_module(self) -> nn.Module:
        """The classifier: a decoder starts from a trained one."""
        return self.classifier

    def train(self, mode: bool = True) -> DFVDecoder:
        """Training mode, in which the classifier stays in evaluation mode."""
        super().train(mode)
        self.classifier.eval()
        return self

    def losses(
        self, images: Sequence[Tensor], targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> Losses:
        """`mse` between the decoded vectors of the images and the images."""
        vectors = self.classifier.features(images)
        return Losses(mse=F.mse_loss(self.generator(vectors[:, :, None, None]).float(), self.pictures(images)))

    def decode(self, vectors: Tensor) -> Tensor:
        """Pictures [N, 3, size, size] float32 in 0..1 of deep feature vectors [N, d], also of pseudo-DFVs."""
        with evaluating(self):
            return self.generator(vectors.to(self.device)[:, :, None, None]).float()

    def errors(self, images: Sequence[Tensor]) -> Tensor:
        """Mean squared error of each image [N]."""
        decoded = self.decode(self.classifier.features(images))
        return (decoded - self.pictures(images)).square().mean(dim=(1, 2, 3))

    def pictures(self, images: Sequence[Tensor]) -> Tensor:
        """Images as the decoder should paint them [N, 3, size, size], 0..1."""
        square = [self.size, self.size]
        floats = as_float(images, self.device)
        sized = [i if list(i.shape[-2:]) == square else V.resize(i, square, antialias=True) for i in floats]
        return torch.stack(sized)

    def differences(self, pairs: PairSet) -> Tensor:
        """Those of its classifier."""
        return self.classifier.differences(pairs)
