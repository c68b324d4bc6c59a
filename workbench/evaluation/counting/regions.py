"""How much ellipses and boxes overlap as regions of an image, as FDDB's evaluation program counts pixels.

An ellipse and a box are convex: on each row of pixels they are one span. So a region is a table of spans, and
regions are compared row by row without any mask.

The program (V. Jain and E. Learned-Miller, 2010) draws regions with OpenCV: the centre of an ellipse and the corners
of a box are rounded to whole pixels, the radii of an ellipse are cut to whole pixels and its angle is rounded to
whole degrees; a box holds the pixels of both of its corners, and the outline of an ellipse is drawn as well, which
is half a pixel more all around. What lies outside the image does not count. We do the same, but for the polygon by
which OpenCV draws an ellipse: IoU with boxes differs from that of its masks by 0.001 on average where the major
radius is 20 pixels or more, by 0.004 at 12 to 20, and by 0.012 below (ours is the higher).

The exact form rounds nothing: along a row spans have their true length, and each row is four lines.

Shape letters: N and D regions, R lines of an image of W pixels a row. An ellipse is (major radius, minor radius,
angle in radians from the x axis towards the y axis, centre x, centre y); a pixel's centre has whole coordinates in
the program's form.
"""

from __future__ import annotations

import numpy as np

LINES = 4  #: of a row of pixels in the exact form
_THINNEST = 1e-6  # pixels


def box_spans(boxes: np.ndarray, size: tuple[int, int], *, exact: bool = False) -> np.ndarray:
    """Where lines enter and leave boxes [N, 4] (xyxy pixels) in an image of `size` (height, width): [N, R, 2]."""
    if exact:
        x1, y1, x2, y2 = boxes.T[..., None]
    else:
        x1, y1, x2, y2 = np.add(np.rint(boxes), [0, 0, 1, 1]).T[..., None]
        y1, y2 = y1 - 0.5, y2 - 0.5  # rows are at whole numbers
    lines = _lines(size, exact)
    inside = (lines >= y1) & (lines < y2) & (x2 > x1)
    return _spans(x1, x2, inside, size)


def ellipse_spans(ellipses: np.ndarray, size: tuple[int, int], *, exact: bool = False) -> np.ndarray:
    """Where lines enter and leave ellipses [N, 5]; [N, R, 2] as those of boxes."""
    if not exact:
        ellipses = np.stack(
            [*(np.trunc(ellipses.T[:2]) + 0.5), np.radians(np.rint(np.degrees(ellipses[:, 2]))),
             *np.rint(ellipses.T[3:])], axis=1,
        )  # fmt: skip
    major, minor, angle, x, y = ellipses.T[..., None]
    major, minor = np.maximum(major, _THINNEST), np.maximum(minor, _THINNEST)
    cos, sin = np.cos(angle), np.sin(angle)
    # On the line dy from the centre, a dx² + 2 b dx dy + c dy² = 1 has the ends as its roots.
    a = (cos / major) ** 2 + (sin / minor) ** 2
    b = sin * cos * (major**-2.0 - minor**-2.0)
    c = (sin / major) ** 2 + (cos / minor) ** 2
    dy = _lines(size, exact) - y
    root = (b * dy) ** 2 - a * (c * dy**2 - 1)
    half = np.sqrt(root.clip(min=0)) / a
    low, high = x - b * dy / a - half, x - b * dy / a + half
    if not exact:  # the pixels whose centres are inside
        low, high = np.ceil(low), np.floor(high) + 1
    return _spans(low, high, root >= 0, size)


def span_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU [N, D] of regions given by their spans, [N, R, 2] and [D, R, 2]; 0 where both lie outside the image."""
    areas = [(spans[..., 1] - spans[..., 0]).sum(axis=1) for spans in (first, second)]
    shared = np.zeros((len(first), len(second)))
    for row, spans in enumerate(first):
        lines = np.flatnonzero(spans[:, 1] > spans[:, 0])
        if len(lines):
            rows = slice(lines[0], lines[-1] + 1)
            low = np.maximum(spans[rows, 0], second[:, rows, 0])
            shared[row] = (np.minimum(spans[rows, 1], second[:, rows, 1]) - low).clip(min=0).sum(axis=1)
    return shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1e-9)


def inscribed(boxes: np.ndarray) -> np.ndarray:
    """The upright ellipse [N, 5] that touches all sides of each box [N, 4]."""
    radii = (boxes[:, 2:] - boxes[:, :2]).clip(min=0) / 2
    tall = radii[:, 1] >= radii[:, 0]
    angle = np.where(tall, np.pi / 2, 0.0)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.column_stack([radii.max(axis=1), radii.min(axis=1), angle, centre])


def _lines(size: tuple[int, int], exact: bool) -> np.ndarray:
    return (np.arange(size[0] * LINES) + 0.5) / LINES if exact else np.arange(float(size[0]))


def _spans(low: np.ndarray, high: np.ndarray, inside: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    ends = [np.where(inside, end.clip(0, size[1]), 0.0) for end in (low, high)]
    ends[1] = np.maximum(*ends)  # a span between two pixels holds none
    return np.stack(ends, axis=-1)
