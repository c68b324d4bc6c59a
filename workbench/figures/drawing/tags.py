"""Where the names of boxes go, so that they neither cover each other nor leave the picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Box = tuple[float, float, float, float]  #: x1, y1, x2, y2; y grows downwards


def place_tags(boxes: Sequence[Box], sizes: Sequence[tuple[float, float]], frame: tuple[float, float]) -> list[Box]:
    """A place for the tag of each box, xyxy in the boxes' units, the first boxes choosing first.

    A tag goes above its box where that is free, or else below, inside or beside it, or else to the nearest free
    place; only where there is none at all does it cover others, as little as it can.

    Args:
        sizes: (width, height) of each tag.
        frame: (width, height) of the picture; tags stay inside it, unless they are larger than it.
    """
    placed: list[Box] = []
    for box, size in zip(boxes, sizes, strict=True):
        tried = [_inside(place, frame) for place in _around(box, *size)]
        free = next((one for one in tried if not _covered(one, placed)), None)
        if free is None:
            tried += sorted(_everywhere(size, frame), key=lambda one: _distance(one, tried[0]))
            free = min(tried, key=lambda one: _covered(one, placed))  # the first of the best
        placed.append(free)
    return placed


def _around(box: Box, width: float, height: float) -> Iterator[Box]:
    """Above, below, inside and beside a box, the best first."""
    x1, y1, x2, y2 = box
    right, low = x2 - width, y2 - height
    corners = [(x1, y1 - height), (right, y1 - height), (x1, y2), (right, y2), (x1, y1), (right, low)]
    for x, y in [*corners, (x2, y1), (x1 - width, y1), (x2, low), (x1 - width, low)]:
        yield x, y, x + width, y + height


def _everywhere(size: tuple[float, float], frame: tuple[float, float]) -> Iterator[Box]:
    """Places all over the picture, half a tag from each other."""
    width, height = size
    for row in range(int(2 * frame[1] / height) + 1):
        for column in range(int(4 * frame[0] / width) + 1):
            x, y = column * width / 4, row * height / 2
            yield _inside((x, y, x + width, y + height), frame)


def _inside(place: Box, frame: tuple[float, float]) -> Box:
    """Moved back into the picture."""
    x1, y1, x2, y2 = place
    x, y = max(0, min(x1, frame[0] - (x2 - x1))), max(0, min(y1, frame[1] - (y2 - y1)))
    return x, y, x + x2 - x1, y + y2 - y1


def _covered(place: Box, others: Sequence[Box]) -> float:
    """The area that a tag shares with others; what rounding makes is none."""
    shared = 0.0
    for other in others:
        width = min(place[2], other[2]) - max(place[0], other[0])
        height = min(place[3], other[3]) - max(place[1], other[1])
        if width > 1e-6 and height > 1e-6:
            shared += width * height
    return shared


def _distance(one: Box, other: Box) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])
