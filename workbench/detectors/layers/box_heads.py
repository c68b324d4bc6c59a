"""fc6 and fc7: the two linear layers that VGG16 and AlexNet have between the pooled map and the last layer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.faster_rcnn import TwoMLPHead


class DropoutHead(TwoMLPHead):
    """torchvision's two linear layers, with dropout behind each of them while the detector learns.

    `forward` drops nothing: detections, and what hardeners see of the head, are exact. Dropout is a part of
    `losses`, in either mode, and draws from their generator, as all that is random there.

    Args:
        inputs: C h w of the pooled features, flattened channel by channel as torchvision's classifiers do it.
        width: of fc6 and fc7.
        dropout: share of their outputs that is dropped.
    """

    def __init__(self, inputs: int, width: int, *, dropout: float = 0.5):
        super().__init__(inputs, width)
        self.dropout = dropout

    def learn(self, features: Tensor, generator: torch.Generator | None) -> Tensor:
        """[R, C, h, w] → [R, width] with dropout."""
        vectors = self._drop(F.relu(self.fc6(features.flatten(1))), generator)
        return self._drop(F.relu(self.fc7(vectors)), generator)

    def _drop(self, vectors: Tensor, generator: torch.Generator | None) -> Tensor:
        source = torch.default_generator if generator is None else generator
        kept = torch.empty(vectors.shape, dtype=torch.bool, device=source.device)
        kept = kept.bernoulli_(1 - self.dropout, generator=source).to(vectors.device)
        return vectors * kept * (1 / (1 - self.dropout))
