"""The heads of DeepMask: a mask and a score of every window of a map (T.-Y. Lin's thesis, sec. 3.4.2, Fig. 3.3).

| head | where its score comes from |
|---|---|
| `original` | the trunk's map, max-pooled by 2, through a linear layer of its own |
| `a` | the trunk's map through a 1x1 convolution and a linear layer of its own, without pooling |
| `b` | the reduced map that the mask comes from, through a linear layer of its own |
| `c` | the 512 numbers that the mask comes from |

All predict the mask by a 1x1 convolution to F channels and two linear layers without a nonlinearity between them.
Linear layers on windows of k x k cells are convolutions, so that a head works on one patch and on a whole image
alike. Widths that the thesis leaves open are those of the released code: 1,024, with dropout of a half on both sides.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

HeadKind = Literal["original", "a", "b", "c"]


class MaskHead(nn.Module):
    """What all heads share: the vector of each window and the mask that it stands for.

    Args:
        channels: of the trunk's map.
        features: F.
        cells: k, cells a side of a window.
        mask_size: pixels a side of a mask.
        width: numbers of a vector.
        score_width: of the layer before the score.
        dropout: before each of the score's layers.
    """

    def __init__(
        self,
        channels: int,
        *,
        features: int,
        cells: int,
        mask_size: int,
        width: int,
        score_width: int,
        dropout: float,
    ):
        super().__init__()
        self.mask_size, self.width = mask_size, width
        self.reduce = nn.Sequential(nn.Conv2d(channels, features, 1), nn.ReLU())
        self.vector = nn.Conv2d(features, width, cells)
        self.mask = nn.Linear(width, mask_size**2)
        hidden = (nn.Dropout(dropout), nn.Conv2d(width, score_width, 1), nn.ReLU())
        self.score = nn.Sequential(*hidden, nn.Dropout(dropout), nn.Conv2d(score_width, 1, 1))

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """The trunk's maps [B, C, h, w] → vectors [B, width, h', w'] and logits of scores [B, h', w'] of windows."""
        reduced = self.reduce(maps)
        vectors = self.vector(reduced)
        return vectors, self.score(self.scored(maps, reduced, vectors))[:, 0]

    def scored(self, maps: Tensor, reduced: Tensor, vectors: Tensor) -> Tensor:
        """What the score is made of [B, width, h', w']."""
        return vectors

    def masks(self, vectors: Tensor) -> Tensor:
        """Logits [N, s, s] of the masks that vectors [N, width] stand for."""
        return self.mask(vectors).unflatten(1, (self.mask_size, self.mask_size))


class OriginalHead(MaskHead):
    """Fig. 3.3 (a); the pooled windows of neighbours are interleaved by a dilated convolution."""

    def __init__(self, channels: int, *, cells: int, width: int, **options: Any):
        super().__init__(channels, cells=cells, width=width, **options)
        self.pooled = nn.Conv2d(channels, width, cells // 2, dilation=2)

    def scored(self, maps: Tensor, reduced: Tensor, vectors: Tensor) -> Tensor:
        found = F.relu(self.pooled(F.max_pool2d(maps, 2, stride=1)))
        return found[..., : vectors.shape[-2], : vectors.shape[-1]]


class HeadA(MaskHead):
    """Fig. 3.3 (b): both branches do the same, each for itself."""

    def __init__(self, channels: int, *, features: int, cells: int, width: int, **options: Any):
        super().__init__(channels, features=features, cells=cells, width=width, **options)
        own = (nn.Conv2d(channels, features, 1), nn.ReLU(), nn.Conv2d(features, width, cells), nn.ReLU())
        self.own = nn.Sequential(*own)

    def scored(self, maps: Tensor, reduced: Tensor, vectors: Tensor) -> Tensor:
        return self.own(maps)


class HeadB(MaskHead):
    """Fig. 3.3 (c): the reduced map is shared."""

    def __init__(self, channels: int, *, features: int, cells: int, width: int, **options: Any):
        super().__init__(channels, features=features, cells=cells, width=width, **options)
        self.own = nn.Sequential(nn.Conv2d(features, width, cells), nn.ReLU())

    def scored(self, maps: Tensor, reduced: Tensor, vectors: Tensor) -> Tensor:
        return self.own(reduced)


#: Fig. 3.3 (d), head C, is `MaskHead` itself.
MASK_HEADS: dict[HeadKind, type[MaskHead]] = {"original": OriginalHead, "a": HeadA, "b": HeadB, "c": MaskHead}
