"""The trunk of DeepMask: a network up to stride 2^P, and its last map before each halving (Lin's thesis, sec. 3.4.1).

Convolutions pad by reflection in place of zeros (sec. 3.5), so that a window of a larger image and the patch that it
shows are seen alike. The released code repeats the outermost pixel, which torch's "reflect" does not.
"""

from __future__ import annotations

from torch import Tensor, nn

from workbench.detectors.layers.backbones import (
    PLAIN,
    PlainBackbone,
    SmallBackbone,
    check_backbone,
    resnet_body,
    resnet_widths,
)
from workbench.errors import RecipeError


class MaskTrunk(nn.Module):
    """Images → maps of strides 2^P, ..., 4, 2, coarse to fine.

    Args:
        body: a network that runs through its children, or those of its only child, one after the other.
        widths: channels of the maps, coarse to fine.
    """

    def __init__(self, body: nn.Module, widths: tuple[int, ...]):
        super().__init__()
        self.body, self.widths = body, widths
        reflect_padding(body)

    @property
    def stride(self) -> int:
        """Of the coarsest map."""
        return 2 ** len(self.widths)

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] → [B, C, H / s, W / s] for each stride s, coarse to fine; H and W are multiples of all."""
        x, maps = images, list[Tensor]()
        layers = list(self.body.children())
        for layer in layers[0].children() if len(layers) == 1 else layers:
            y = layer(x)
            if y.shape[-1] == x.shape[-1] and maps:
                maps[-1] = y
            elif y.shape[-1] < x.shape[-1]:
                maps.append(y)
            x = y
        return maps[::-1]


def build_mask_trunk(backbone: dict, pools: int) -> MaskTrunk:
    """The network that `backbone` describes, up to stride 2^`pools`.

    Raises:
        RecipeError: there is no such network, or it does not reach that stride.
    """
    options = dict(backbone)
    name = options.pop("name")
    options = check_backbone(name, options, plain=True)
    if name in PLAIN:
        body = PLAIN[name](**options)
        _check_pools(name, pools, PlainBackbone.stride.bit_length() - 1, fixed=True)
        return MaskTrunk(body, _widths_of_convolutions(body)[-pools:][::-1])
    if name == "small":
        widths = SmallBackbone(**options).widths
        _check_pools(name, pools, len(widths) + 1)
        body = SmallBackbone(**options | {"widths": widths[: pools - 1]})
        return MaskTrunk(body, (body.stem[0].out_channels, *body.widths)[::-1])
    _check_pools(name, pools, 5)
    body, _ = resnet_body(name, stages=pools - 1, **options)
    return MaskTrunk(body, (64, *resnet_widths(name)[: pools - 1])[::-1])


def _check_pools(name: str, pools: int, most: int, *, fixed: bool = False) -> None:
    least = most if fixed else 2
    if not least <= pools <= most:
        expected = f"{most}" if fixed else f"{least} to {most}"
        raise RecipeError(f"detector.pools is {pools}; {name} halves its maps {expected} times")


def _widths_of_convolutions(body: PlainBackbone) -> tuple[int, ...]:
    """Channels of the last convolution before each halving, and of the last one."""
    widths, latest = [], 3
    for layer in body.features:
        if isinstance(layer, nn.MaxPool2d):
            widths.append(latest)
        latest = layer.out_channels if isinstance(layer, nn.Conv2d) else latest
    return (*widths, latest)


def reflect_padding(module: nn.Module) -> None:
    """Let all convolutions of a network pad by reflection, in place."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and any(part.padding):
            part.padding_mode = "reflect"
