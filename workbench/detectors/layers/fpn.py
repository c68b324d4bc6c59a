"""A body under a feature pyramid (Lin et al. 2017; Lin's thesis, ch. 4), or a body that gives one map.

| Table 4.1 | here |
|---|---|
| (a), (b) a single map, C4 or C5 | `SingleMap` |
| (c) FPN | `Pyramid` |
| (d) bottom-up pyramid | `top_down=False`: a 1x1 and a 3x3 convolution on each map of the body |
| (e) top-down pyramid without lateral connections | `lateral=False`: the last map enlarged and enlarged again |
| (f) only the finest level | `finest=True`: P2 as in (c), with the anchors and the RoIs of all sizes |

Convolutions that a switch leaves without a use are not made, so that all parameters learn; the names of those that
stay do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

from workbench.detectors.layers.feature_cache import FeatureCache
from workbench.errors import RecipeError


def norm_layer(norm: str | None, key: str) -> Callable[..., nn.Module] | None:
    """What is put behind convolutions: None or "batch"; `key` names the option in the RecipeError for others."""
    if norm not in (None, "batch"):
        raise RecipeError(f"{key} {norm!r} does not exist; choose 'batch' or null")
    return nn.BatchNorm2d if norm else None


class SwitchedFPN(FeaturePyramidNetwork):
    """torchvision's FPN, parts of which can be left out; see the module and `Pyramid` for the arguments."""

    def __init__(
        self,
        widths: Sequence[int],
        channels: int,
        extra: ExtraFPNBlock | None = None,
        *,
        top_down: bool = True,
        lateral: bool = True,
        finest: bool = False,
        norm: Callable[..., nn.Module] | None = None,
    ):
        super().__init__(list(widths), channels, extra, norm)
        self.top_down, self.lateral, self.finest = top_down, lateral, finest
        last = len(self.inner_blocks) - 1
        for level in range(last + 1):
            if not lateral and level < last:
                self.inner_blocks[level] = nn.Identity()
            if finest and level > 0:
                self.layer_blocks[level] = nn.Identity()

    @property
    def whole(self) -> bool:
        """Whether no part is left out."""
        return self.top_down and self.lateral and not self.finest

    def forward(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        """Maps of the body, fine to coarse → maps of `channels` channels by the same names."""
        if self.whole:
            return super().forward(maps)
        names, given = list(maps), list(maps.values())
        used = names[:1] if self.finest else names
        out = [layer(one) for layer, one, _ in zip(self.layer_blocks, self._merge(given), used, strict=False)]
        if self.extra_blocks is not None:
            out, used = self.extra_blocks(out, given, used)
        return dict(zip(used, out, strict=True))

    def _merge(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps before the 3x3 convolutions, fine to coarse."""
        if not self.top_down:
            return [inner(one) for inner, one in zip(self.inner_blocks, maps, strict=True)]
        out = [self.inner_blocks[-1](maps[-1])]
        for level in reversed(range(len(maps) - 1)):
            above = F.interpolate(out[0], size=maps[level].shape[-2:], mode="nearest")
            out.insert(0, self.inner_blocks[level](maps[level]) + above if self.lateral else above)
        return out


class Pyramid(nn.Module):
    """Maps of a body, joined top-down; parameters have torchvision's names, `body.*` and `fpn.*`.

    Args:
        body: images → dict of maps, fine to coarse.
        widths: channels of those maps.
        channels: of every level of the pyramid.
        extra: further levels on top, such as torchvision's LastLevelMaxPool.
        top_down: coarse levels are enlarged and added to the finer ones.
        lateral: every level has a 1x1 convolution of the body's map of its own size.
        finest: give the finest level only.
        norm: "batch" puts BatchNorm behind each convolution, as torchvision's v2 detectors do; None: nothing.

    Raises:
        RecipeError: switches that leave nothing, or a norm that does not exist.
    """

    def __init__(
        self,
        body: nn.Module,
        widths: Sequence[int],
        channels: int,
        extra: ExtraFPNBlock | None = None,
        *,
        top_down: bool = True,
        lateral: bool = True,
        finest: bool = False,
        norm: str | None = None,
    ):
        super().__init__()
        if not (top_down or lateral):
            raise RecipeError("detector.pyramid: neither top_down nor lateral leaves no pyramid; keep one of them")
        if finest and not top_down:
            raise RecipeError(
                "detector.pyramid: without top_down the finest level sees the body's first map only; for that say "
                "pyramid: false and backbone.stage: 2"
            )
        self.body = body
        switches = {"top_down": top_down, "lateral": lateral, "finest": finest}
        made = norm_layer(norm, "detector.pyramid.norm")
        self.fpn = SwitchedFPN(widths, channels, extra, **switches, norm=made)

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] → one [B, channels, h, w] per level, fine to coarse."""
        return list(self.fpn(self.body(images)).values())


class SingleMap(nn.Module):
    """Only the last map of a body, such as C4 of a ResNet.

    Args:
        cache: remembers the maps of training images, for a body that is frozen as a whole.
    """

    def __init__(self, body: nn.Module, cache: FeatureCache | None = None):
        super().__init__()
        self.body = body
        self.cache = cache

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] → a list of one map [B, C, h, w]."""
        if self.cache is not None and torch.is_grad_enabled():  # only training sees the same images again
            return [self.cache(self._last, images)]
        return [self._last(images)]

    def _last(self, images: Tensor) -> Tensor:
        return list(self.body(images).values())[-1]
