"""Pictures of the objects that were lost first, drawn again as the detector was shown them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image
from torch import Tensor

from workbench.evaluation.audit_report import Picture
from workbench.evaluation.auditing.counted import Counted

if TYPE_CHECKING:
    from workbench.evaluation.audit_report import AuditReport
    from workbench.evaluation.auditing.examining import Examiner

PICTURES, SIDE = 6, 160  #: pictures of each detector, and pixels of their sides
AROUND = 0.4  #: of the longer side of a box is shown around it


def first_lost_pictures(report: AuditReport, examiner: Examiner) -> tuple[Picture, ...]:
    """Of each detector the objects that it loses first, each under the occluder and fraction at which it was lost."""
    pictures = []
    for number, name in enumerate(report.detectors):
        table = report.first_lost(name)
        for _, row in table[table["lost_to"] > 0].head(PICTURES).iterrows():
            pictures.append(_picture(report.counted, examiner, number, name, row))
    return tuple(pictures)


def _picture(counted: Counted, examiner: Examiner, number: int, name: str, row: pd.Series) -> Picture:
    audited = counted.audited
    own = int(np.flatnonzero((audited.image == row["image"]) & (audited.row == row["object"]))[0])
    condition = _first_loss(counted, number, own)
    shown = examiner.shown(int(row["image"]), condition, int(row["object"]))
    pixels, box = _cut(shown, audited.box[own])
    lost = counted.conditions[condition]
    facts = f"{100 * lost.fraction:g} % hidden, {lost.kind}"
    return Picture(name, f"{row['class']}, {row['score']:.2f}", facts, pixels, box)


def _first_loss(counted: Counted, detector: int, own: int) -> int:
    """The condition of the least fraction under which an object is not found."""
    for _, conditions in counted.curve()[1:]:
        for condition in conditions:
            rows = counted.rows(detector, [condition])
            if not counted.found[rows[counted.outcomes.object[rows] == own]].all():
                return condition
    return counted.clean


def _cut(image: Tensor, box: np.ndarray) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """A square around a box at `SIDE` pixels, moved into the image, grey outside of it; and the box there."""
    height, width = image.shape[-2:]
    x1, y1, x2, y2 = (float(value) for value in box)
    side = max(16.0, (1 + 2 * AROUND) * max(x2 - x1, y2 - y1))
    left, top = ((a + b - side) / 2 for a, b in ((x1, x2), (y1, y2)))
    left = min(max(left, 0.0), width - side) if side < width else (width - side) / 2
    top = min(max(top, 0.0), height - side) if side < height else (height - side) / 2
    corner, end = (round(left), round(top)), (round(left + side), round(top + side))
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).crop((*corner, *end))
    scale = SIDE / (end[0] - corner[0])
    shown = [(value - corner[i % 2]) * scale for i, value in enumerate((x1, y1, x2, y2))]
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)), (*shown,)
