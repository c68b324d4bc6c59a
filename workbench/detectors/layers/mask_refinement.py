"""SharpMask's top-down refinement of mask encodings (T.-Y. Lin's thesis, secs. 3.3 and 3.5.2, Fig. 3.7).

R^i makes of an encoding M^i and of the map F^i of the same resolution M^{i+1} of twice the resolution: two 3x3
convolutions take F^i to skip features S^i, a third one sees M^i and S^i together, ReLU, enlarged by 2. Convolving
what is joined along channels is the sum of two convolutions, so S^i_*, the part that S^i has in that sum, is made
once for all windows of an image (Fig. 3.7b), and each window takes its cut of it. At the edge of a window the
encoding is padded by reflection and S^i is what the image shows there; `Refinement.joined` does the same by
concatenation, window by window (Fig. 3.7a).

The encoding after the last module becomes logits by one more 3x3 convolution, as in the released code. Its other
departures are the form `released`: the vertical path has two convolutions per module, the last skip path is reduced
to half of the 64 channels of its map first, and enlarging repeats cells, which the thesis does bilinearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Schedule = Literal["a", "b"]
Variant = Literal["refine", "skip", "deconv"]
RefinementForm = Literal["thesis", "released"]
REDUCED = 64  #: channels that skip features have between their two convolutions


class Windows(NamedTuple):
    """N windows of the maps of a batch."""

    image: Tensor  #: [N] int64, which map of the batch
    row: Tensor  #: [N] int64, first cell of the coarsest map
    column: Tensor

    def cut(self, maps: Tensor, cells: int, factor: int, *, halo: int = 0) -> Tensor:
        """[N, C, s, s] of maps [B, C, h, w] that are `factor` times as fine, s = cells * factor + 2 * halo.

        What lies outside the maps repeats the cells at their edge.
        """
        steps = torch.arange(-halo, cells * factor + halo, device=maps.device)
        rows = (self.row[:, None] * factor + steps).clamp(0, maps.shape[-2] - 1)
        columns = (self.column[:, None] * factor + steps).clamp(0, maps.shape[-1] - 1)
        return maps[self.image[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


class Refinement(nn.Module):
    """One module R^i.

    Args:
        channels: of F^i.
        mask, skip: k_m^i and k_s^i, channels of M^i and of S^i.
        out: k_m^{i+1}.
        form: "released" as the module says.
        horizontal: False leaves out the skip features ("deconv").
    """

    def __init__(
        self, channels: int, mask: int, skip: int, out: int, *, form: RefinementForm, horizontal: bool = True
    ):
        super().__init__()
        released = form == "released"
        self.mode = "nearest" if released else "bilinear"
        self.skip: nn.Module | None = None
        if horizontal:
            hidden = min(REDUCED, channels // 2) if released else REDUCED
            self.skip = nn.Sequential(_conv(channels, hidden), nn.ReLU(), _conv(hidden, skip), nn.ReLU())
            self.from_skip = _conv(skip, out, bias=False)
        self.before = nn.Sequential(_conv(mask, mask), nn.ReLU()) if released else nn.Identity()
        self.from_mask = _conv(mask, out)

    def skips(self, features: Tensor) -> Tensor | None:
        """S^i_* [B, out, h, w] of F^i [B, C, h, w], once for all windows."""
        return None if self.skip is None else self.from_skip(self.skip(features))

    def forward(self, encoding: Tensor, skips: Tensor | None) -> Tensor:
        """M^i [N, k, s, s] and the windows' cuts of S^i_* [N, out, s, s] → M^{i+1} [N, out, 2s, 2s]."""
        merged = self.from_mask(self.before(encoding))
        return self._enlarged(merged if skips is None else merged + skips)

    def joined(self, encoding: Tensor, skip: Tensor) -> Tensor:
        """The same of S^i [N, k_s, s + 2, s + 2] with a cell around each window, by one convolution (Fig. 3.7a)."""
        around = F.pad(self.before(encoding), (1, 1, 1, 1), mode="reflect")
        weight = torch.cat([self.from_mask.weight, self.from_skip.weight], dim=1)
        return self._enlarged(F.conv2d(torch.cat([around, skip], dim=1), weight, self.from_mask.bias))

    def _enlarged(self, merged: Tensor) -> Tensor:
        smooth = None if self.mode == "nearest" else False
        return F.interpolate(F.relu(merged), scale_factor=2, mode=self.mode, align_corners=smooth)


class TopDown(nn.Module):
    """Vectors of windows and the maps of an image → masks of the resolution of the image.

    Args:
        width: numbers of a vector.
        cells: cells a side of a window of the coarsest map.
        channels: of the maps F^1, F^2, ..., coarse to fine.
        k: k_m^1 = k_s^1.
        schedule: "a" keeps k, "b" halves it with every module.
        form: see the module.
        variant: "deconv" has no horizontal and "skip" no vertical convolutions: the mean of one prediction from every
            map and of the encoding, each of one channel (sec. 3.5.2).
    """

    def __init__(
        self,
        width: int,
        cells: int,
        channels: Sequence[int],
        *,
        k: int = 32,
        schedule: Schedule = "b",
        form: RefinementForm = "thesis",
        variant: Variant = "refine",
    ):
        super().__init__()
        self.cells, self.variant = cells, variant
        count = len(channels)
        sizes = [max(1, k // 2**stage) if schedule == "b" else k for stage in range(count + 1)]
        sizes = [1] * (count + 1) if variant == "skip" else sizes
        self.first = sizes[0]
        self.encode = nn.Linear(width, sizes[0] * cells**2)
        if variant == "skip":
            self.sides = nn.ModuleList(
                nn.Sequential(_conv(one, REDUCED), nn.ReLU(), _conv(REDUCED, 1)) for one in channels
            )
            return
        across = variant == "refine"
        self.stages = nn.ModuleList(
            Refinement(one, sizes[i], sizes[i], sizes[i + 1], form=form, horizontal=across)
            for i, one in enumerate(channels)
        )
        self.last = _conv(sizes[-1], 1)

    def skips(self, maps: Sequence[Tensor]) -> list[Tensor | None]:
        """What all windows of the images share, of maps coarse to fine: S^i_* [B, k, h, w]."""
        if self.variant == "skip":
            return [side(one) for side, one in zip(self.sides, maps, strict=True)]
        return [stage.skips(one) for stage, one in zip(self.stages, maps, strict=True)]

    def forward(self, vectors: Tensor, skips: Sequence[Tensor | None], windows: Windows) -> Tensor:
        """Logits [N, s, s] of N windows with `vectors` [N, width], s = cells * 2^modules."""
        return self.steps(vectors, skips, windows)[-1]

    def steps(self, vectors: Tensor, skips: Sequence[Tensor | None], windows: Windows) -> list[Tensor]:
        """The encodings M^1, M^2, ... [N, k, s, s] and, last, the logits [N, s, s]."""
        encodings = [self.encode(vectors).unflatten(1, (self.first, self.cells, self.cells))]
        cuts = [None if skip is None else windows.cut(skip, self.cells, 2**i) for i, skip in enumerate(skips)]
        if self.variant == "skip":
            side = self.cells * 2 ** len(cuts)
            every = [F.interpolate(one, side, mode="bilinear", align_corners=False) for one in (*encodings, *cuts)]
            return [*encodings, torch.stack(every).mean(dim=0)[:, 0]]
        for stage, cut in zip(self.stages, cuts, strict=True):
            encodings.append(stage(encodings[-1], cut))
        return [*encodings, self.last(encodings[-1])[:, 0]]


def _conv(inputs: int, outputs: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect", bias=bias)
