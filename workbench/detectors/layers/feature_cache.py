"""Maps of a frozen trunk, computed once per image: training then costs only what learns.

Each image is computed by itself and found again by its pixels, so it does not matter in which batch it comes, and a
mirrored image is another image. The margin that a batch adds to its smaller images is left empty in the maps; a trunk
that sees the whole batch puts there what its biases make of black. No RoI lies there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_BYTES = 4 * 2**30


class FeatureCache:
    """Remembers the map of each image until `max_bytes` are full; further images are computed each time.

    Args:
        stride: pixels per cell of the map.
    """

    def __init__(self, stride: int, *, max_bytes: int = MAX_BYTES):
        self.stride, self.max_bytes = stride, max_bytes
        self._maps: dict[tuple, Tensor] = {}
        self.num_bytes = 0

    def __len__(self) -> int:
        return len(self._maps)

    @torch.no_grad()
    def __call__(self, trunk: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Maps [B, C, H / stride, W / stride] of a batch [B, 3, H, W] whose images are padded with zeros."""
        maps = [self._map(trunk, _without_margin(image)) for image in images]
        height, width = (side // self.stride for side in images.shape[-2:])
        padded = [F.pad(one, (0, width - one.shape[-1], 0, height - one.shape[-2])) for one in maps]
        return torch.stack(padded).contiguous(memory_format=torch.channels_last)

    def _map(self, trunk: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
        kind = image.device.type
        precision = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else image.dtype
        pixels = image.cpu().contiguous().numpy().tobytes()
        key = (hashlib.blake2b(pixels, digest_size=16).digest(), tuple(image.shape), precision)
        if key in self._maps:
            return self._maps[key].to(image.device)
        down, right = (-side % self.stride for side in image.shape[-2:])
        padded = F.pad(image, (0, right, 0, down))[None].contiguous(memory_format=torch.channels_last)
        found = trunk(padded)[0]
        size = found.numel() * found.element_size()
        if self.num_bytes + size <= self.max_bytes:
            self._maps[key] = found.cpu()
            self.num_bytes += size
        return found


def _without_margin(image: Tensor) -> Tensor:
    """The image [3, H, W] without the rows and columns of zeros at its lower and right end."""
    filled = image.ne(0).any(0)
    rows, columns = filled.any(1).nonzero(), filled.any(0).nonzero()
    if len(rows) == 0:
        return image
    return image[:, : int(rows[-1]) + 1, : int(columns[-1]) + 1]
