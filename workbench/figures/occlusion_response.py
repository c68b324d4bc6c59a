"""Response maps over the image: where an occluder must lie to cost the object its score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from workbench.analysis.occlusion_response import OcclusionResponse
from workbench.errors import DataError
from workbench.figures.drawing.canvas import draw_box, draw_tags, image_axes, show_image
from workbench.figures.drawing.colours import SCORES, SKY, WHITE

_SCALE = ListedColormap(SCORES, "response")
OBJECT, OCCLUDER = SKY, WHITE
LETTERS = 13  #: of the title an inch


def response_figure(
    image: Tensor,
    responses: Mapping[str, OcclusionResponse],
    classes: Sequence[str] | None = None,
    *,
    side: float = 3.6,
) -> Figure:
    """The response map of each detector (name → response) over the grey image [3, H, W].

    Colours show what is left of the score without the occluder, 0 to 1, so that a detector that was never sure of
    the object does not seem to be hurt everywhere.

    The solid box is the object; the dashed one is the occluder, at the place where the score is lowest.

    Args:
        image: [3, H, W].
        responses: name → response of a detector.
        classes: names of labels 1..K, for the title.
        side: inches of each picture.
    """
    if not responses:
        raise DataError("there is no response map to draw")
    height, width = image.shape[-2:]
    figure, axes = image_axes(1, len(responses), (height, width), side, titles=4)
    figure.set_size_inches(figure.get_figwidth() + 0.7, figure.get_figheight())
    for one, (name, response) in zip(axes[0], responses.items(), strict=True):
        drawn = _draw_response(one, image, response, _name(response, classes))
        lowest = float(np.nanmin(response.scores.numpy()))
        high, wide = (float(response.positions[0, 0, i + 2] - response.positions[0, 0, i]) for i in (1, 0))
        facts = f"without occluder {response.baseline:.2f}, lowest {lowest:.2f}"
        whose = " (its matching detection)" if response.followed else ""  # else the score of the box itself
        title = f"{name}{whose}\n{facts}\nwith the occluder ({wide:.0f} × {high:.0f} px) at the dashed place"
        one.set_title(title, fontsize=9, parse_math=False)
    thing = _name(next(iter(responses.values())), classes)
    text = f"What is left of the score of {thing} with the occluder centred there"
    lines = fill(text, max(30, int(LETTERS * figure.get_figwidth())))
    figure.suptitle(lines, fontsize=10, parse_math=False)
    bar = figure.colorbar(drawn, ax=list(axes[0]), fraction=0.035, pad=0.02)
    bar.set_label("share of the score without it", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return figure


def _name(response: OcclusionResponse, classes: Sequence[str] | None) -> str:
    return "the object" if classes is None else f"“{classes[response.label - 1]}”"


def _draw_response(axes: Axes, image: Tensor, response: OcclusionResponse, name: str) -> AxesImage:
    """The map over the image in grey, with the object and the occluder where it hurts most."""
    height, width = image.shape[-2:]
    show_image(axes, _grey(image))
    rows, columns = response.scores.shape
    values = np.ma.masked_invalid(response.left.numpy())
    extent = (0, columns * response.stride, rows * response.stride, 0)
    drawn = axes.imshow(values, extent=extent, cmap=_SCALE, vmin=0, vmax=1, interpolation="nearest")
    axes.set(xlim=(0, width), ylim=(height, 0))
    worst = response.positions.flatten(0, 1)[int(response.scores.nan_to_num(2).argmin())]
    draw_box(axes, response.box, colour=OBJECT)
    draw_box(axes, worst, colour=OCCLUDER, dashed=True)
    draw_tags(axes, response.box[None], [name], [OBJECT])
    return drawn


def _grey(image: Tensor) -> Tensor:
    """[3, H, W] without colour, so that all colour is the map's."""
    return image.float().mean(0, keepdim=True).expand(3, -1, -1).to(image.dtype)
