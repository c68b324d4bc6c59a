"""The page of DatasetBrowser and the image that is open, for a still picture, of what the page was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from widgets.parts.pictures import decoded, decoded_layer
from workbench.figures.drawing.colours import colour
from workbench.figures.marked_images import Mark, MarkedImage, marked_images
from workbench.figures.still import Piece, Table

COLUMNS, SIDE, LARGE = 6, 1.6, 4.0  #: thumbnails in a row; inches of a thumbnail and of the open image

Item = Mapping[str, Any]


def page_pieces(items: Sequence[Item], pictures: Sequence[bytes], classes: Sequence[str]) -> list[Piece]:
    """The thumbnails of a page."""
    shown = [_marked(item, picture, classes, large=False) for item, picture in zip(items, pictures, strict=True)]
    return [marked_images(shown, columns=COLUMNS, side=SIDE)] if shown else ["No image has such an object."]


def detail_pieces(item: Item, buffers: Sequence[bytes], classes: Sequence[str]) -> list[Piece]:
    """The open image, and its objects beside it."""
    if "error" in item:
        return [f"image {item['position']}: {item['error']}"]
    image = marked_images([_marked(item, buffers[0], classes, large=True, layers=buffers[1:])], side=LARGE)
    rows = [("", "class", "box x1, y1, x2, y2 (pixels)", "hidden", "")]
    facts = zip(item["labels"], item["boxes"], item["occlusion"], item["flags"], strict=True)
    for place, (label, box, hidden, flags) in enumerate(facts, start=1):
        share = "unknown" if hidden is None else f"{hidden:.0%}"
        rows.append((str(place), classes[label - 1], ", ".join(f"{value:g}" for value in box), share, flags))
    return [(image, Table(tuple(rows)) if item["labels"] else "no object")]


def _marked(
    item: Item, picture: bytes, classes: Sequence[str], *, large: bool, layers: Sequence[bytes] = ()
) -> MarkedImage:
    if "error" in item:
        return MarkedImage(item["error"], title=f"image {item['position']}")
    image = decoded(picture)
    scale = image.shape[-1] / item["width"]
    names = [classes[label - 1] for label in item["labels"]]
    marks = [
        Mark.box([value * scale for value in box], colour(label), f"{place}: {name}" if large else "")
        for place, (box, label, name) in enumerate(zip(item["boxes"], item["labels"], names, strict=True), start=1)
    ]
    title = f"image {item['position']}: {', '.join(names) or 'no object'}"
    return MarkedImage(image, marks, title, [decoded_layer(layer) for layer in layers])
