"""How SharpMask makes the mask of one proposal, and what it changes (T.-Y. Lin's thesis, Figs. 3.1 and 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor
from torch.nn import functional as F

from workbench.analysis.mask_proposals import Channels, TopDownPath, encoding_map, mask_overlap
from workbench.detectors.layers.image_scales import GREY
from workbench.figures.drawing.canvas import mask_layer, show_image, show_layer
from workbench.figures.drawing.colours import MINT, PINK, SKY, WHITE
from workbench.figures.drawing.panels import draw_mask, frame, legend_below, look_at, outline_mask, panels, title
from workbench.figures.drawing.sheet import heat

PIXELS = 240  #: a side of a map's picture


def top_down_figure(
    image: Tensor, path: TopDownPath, *, channels: Channels = "mean", columns: int = 4, side: float = 1.75
) -> Figure:
    """The encodings of one proposal of an image [3, H, W] growing into its mask, within its window (Fig. 3.1c).

    Every encoding has a colour scale of its own, from its lowest to its highest value; the probability has one from 0
    to 1. Where the window reaches outside the image it is grey, as the network sees it.

    Args:
        channels: what is shown of an encoding, see `encoding_map`.
        columns: pictures in a row.
        side: inches of a picture.
    """
    figure, axes = panels(len(path.encodings) + 3, columns, (1, 1), side)
    first, *levels, probability, last = axes
    window, patch = path.window.tolist(), _patch(image, path.window)
    _show_window(first, image, window)
    title(first, f"proposal {path.rank}", f"its window, score {path.score:.3g}")
    for level, (one, encoding) in enumerate(zip(levels, path.encodings, strict=True), start=1):
        values, channel = encoding_map(encoding, channels)
        low, high = float(values.min()), float(values.max())
        _show_map(one, patch, (values - low) / max(high - low, 1e-12), window)
        number, cells = encoding.shape[:2]
        what = f"mean of {number}" if channel is None else f"channel {channel + 1} of {number}"
        title(one, f"M{_raised(level)}", f"{cells} × {cells}, {what if number > 1 else '1 channel'}")
    cells = path.logits.shape[0]
    _show_map(probability, patch, path.logits.sigmoid(), window)
    title(probability, "probability", f"{cells} × {cells}, 0 to 1")
    _show_window(last, image, window)
    draw_mask(last, path.mask, SKY)
    title(last, "mask", f"where it is above {path.threshold:g}")
    for one in axes:
        look_at(one, window)
    return figure


def coarse_and_sharp_figure(
    image: Tensor, path: TopDownPath, *, truth: Tensor | None = None, side: float = 1.75
) -> Figure:
    """The coarse and the sharp mask of one proposal of an image [3, H, W], and what refinement changes (Fig. 3.2).

    Args:
        truth: the mask of the object, bool [H, W]; it is outlined, and titles say the IoU with it.
        side: inches of a picture.
    """
    coarse, sharp, window = path.coarse_mask, path.mask, path.window.tolist()
    figure, axes = panels(3 if truth is None else 4, 4, (1, 1), side)
    for one in axes:
        _show_window(one, image, window)
    for one, name, mask, logits in zip(
        axes[:2], ("coarse", "sharp"), (coarse, sharp), (path.coarse, path.logits), strict=True
    ):
        draw_mask(one, mask, SKY)
        overlap = "" if truth is None else f", IoU {mask_overlap(mask, truth):.2f}"
        title(one, name, f"{logits.shape[0]} × {logits.shape[1]}{overlap}")
    changes = torch.stack([sharp & ~coarse, coarse & ~sharp])
    show_layer(axes[2], mask_layer(changes, [MINT, PINK], opacity=0.75))
    title(axes[2], "what changes", f"IoU of both {mask_overlap(coarse, sharp):.2f}")
    if truth is not None:
        for one in axes[:3]:
            outline_mask(one, truth, WHITE)
        draw_mask(axes[3], truth, WHITE)
        title(axes[3], "the object", "as it is")
    for one in axes:
        look_at(one, window)
    legend_below(figure, [Patch(color=MINT, label="added by refinement"), Patch(color=PINK, label="taken away")])
    return figure


def _show_window(axes: Axes, image: Tensor, window: Sequence[float]) -> None:
    """The image, on the grey that the network sees around it."""
    show_image(axes, image)
    frame(axes, window, fill=True, color=str(GREY), zorder=-1)


def _show_map(axes: Axes, patch: Tensor, share: Tensor, window: Sequence[float]) -> None:
    """A map [s, s] in 0..1 over what the window shows; every cell is a crisp square."""
    x1, y1, x2, y2 = window
    axes.imshow(heat(patch, share, top=1.0, crisp=True), extent=(x1, x2, y2, y1), interpolation="nearest")


def _patch(image: Tensor, window: Tensor) -> Tensor:
    """What a window [4] shows, uint8 [3, PIXELS, PIXELS]; grey outside the image."""
    plain = image.detach().as_subclass(Tensor).cpu()
    plain = plain.float() / 255 if plain.dtype == torch.uint8 else plain.float()
    height, width = plain.shape[-2:]
    steps = (torch.arange(PIXELS) + 0.5) / PIXELS
    across = (window[0] + steps * (window[2] - window[0])) / width * 2 - 1
    down = (window[1] + steps * (window[3] - window[1])) / height * 2 - 1
    places = torch.stack([across[None].expand(PIXELS, -1), down[:, None].expand(-1, PIXELS)], dim=-1)
    seen = F.grid_sample((plain - GREY)[None], places[None], align_corners=False)[0] + GREY
    return (seen.clamp(0, 1) * 255).round().to(torch.uint8)


def _raised(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
