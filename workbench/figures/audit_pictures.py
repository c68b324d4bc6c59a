"""Pictures of an audit: the objects that each detector loses first."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from workbench.evaluation import AuditReport
from workbench.figures.drawing.canvas import draw_box, image_axes, plain, show_image
from workbench.figures.drawing.colours import CHOSEN

_SIDE = 1.15  # inches of a picture


def first_lost(report: AuditReport) -> Figure:
    """The objects that are lost first, a row for each detector, as it was shown them; numbers are clean scores."""
    by_detector = {name: [one for one in report.pictures if one.detector == name] for name in report.detectors}
    rows = {name: pictures for name, pictures in by_detector.items() if pictures}
    columns = max(len(pictures) for pictures in rows.values())
    side = max(one.pixels.shape[0] for one in report.pictures)
    figure, axes = image_axes(len(rows), columns, (side, side), _SIDE, titles=2.2 * len(rows))
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for place, picture in zip(line, pictures, strict=False):
            show_image(place, torch.from_numpy(picture.pixels.copy()).permute(2, 0, 1))
            draw_box(place, torch.tensor(picture.box), colour=CHOSEN)
            place.set_title(f"{picture.title}\n{picture.facts}", fontsize=7, parse_math=False)
        if len(report.detectors) > 1:
            line[0].set_axis_on()
            line[0].set(xticks=[], yticks=[])
            line[0].set_ylabel(plain(name), fontsize=8)
    return figure
