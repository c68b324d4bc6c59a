"""Response maps over the image: where an occluder must lie to cost the object its score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from workbench.analysis.occlusion_response import OcclusionResponse
from workbench.errors import DataError
from workbench.figures.canvas import draw_box, image_axes, show_image


def response_figure(
    image: Tensor,
    responses: Mapping[str, OcclusionResponse],
    classes: Sequence[str] | None = None,
    *,
    opacity: float = 0.7,
    side: float = 3.6,
) -> Figure:
    """The response map of each detector (name → response) over the image [3, H, W], on one colour scale of 0
    to 1.

    classes: names of labels 1..K, for the title. The yellow box is the object, the one in the corner the
    occluder's size. side: inches of each picture.
    """
    if not responses:
        raise DataError("there is no response map to draw")
    height, width = image.shape[-2:]
    figure, axes = image_axes(1, len(responses), (height, width), side, titles=2)
    figure.set_size_inches(figure.get_figwidth() + 0.6, figure.get_figheight())
    for one, (name, response) in zip(axes[0], responses.items(), strict=True):
        show_image(one, image)
        rows, columns = response.scores.shape
        values = np.ma.masked_invalid(response.scores.numpy())
        extent = (0, columns * response.stride, rows * response.stride, 0)
        drawn = one.imshow(
            values, extent=extent, cmap="viridis", vmin=0, vmax=1, alpha=opacity, interpolation="nearest"
        )
        one.set(xlim=(0, width), ylim=(height, 0))
        draw_box(one, response.box, colour="#ffd400")
        place = response.positions[0, 0]
        draw_box(one, place - place[[0, 1, 0, 1]] + 1, dashed=True)
        lowest = float(np.nanmin(response.scores.numpy()))
        thing = "" if classes is None else f"{classes[response.label - 1]}: "
        title = f"{name}\n{thing}{response.baseline:.2f} unoccluded, lowest {lowest:.2f}"
        one.set_title(title, fontsize=9, parse_math=False)
    bar = figure.colorbar(drawn, ax=list(axes[0]), fraction=0.035, pad=0.02)
    bar.set_label("score with the occluder centred there", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return figure
