"""What Annotator shows, for a still picture: a picture and what was done to it, candidates, or segments to judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from widgets.parts.annotator_grid import Tile
from widgets.parts.annotator_objects import outlines_for_editing
from widgets.parts.annotator_training import Example
from widgets.parts.pictures import decoded
from workbench.errors import DataError
from workbench.figures.drawing.colours import CHOSEN, colour
from workbench.figures.marked_images import Mark, MarkedImage, marked_images
from workbench.figures.still import Piece

SIDE, SMALL, COLUMNS = 6.0, 1.05, 8  #: inches of a picture and of one of many; many in a row


def picture_pieces(
    image: Tensor, entries: Iterable[Mapping[str, Any]], marks: Mapping[str, Any], categories: Sequence[str]
) -> list[Piece]:
    """A picture with its segments, crosses and labels.

    Args:
        image: uint8 [3, H, W].
        entries: its annotations in the COCO file, in the order of `marks["objects"]`.
        marks: what was done with it.
        categories: in the order of their colours.
    """
    drawn: list[Mark] = []
    for entry, about in zip(entries, marks["objects"], strict=True):
        ink = _colour(about["category"], categories)
        rings = [(ring, about["crowd"]) for ring in _outlines(entry, image)]
        rings += [(ring, True) for ring in about.get("amodal", [])]
        for place, (ring, dashed) in enumerate(rings):
            points = [*zip(ring[::2], ring[1::2], strict=True)]
            drawn.append(Mark(points, ink, about["category"] if place == 0 else "", dashed, filled=not dashed))
    for one in (*marks["crosses"], *marks["labels"]):
        if one["mine"] and one["point"] is not None:
            drawn.append(Mark([tuple(one["point"])], _colour(one["category"], categories), one["category"]))
    return [marked_images([MarkedImage(image, drawn)], side=SIDE)]


def example_pieces(image: Tensor, example: Example) -> list[Piece]:
    """What a worker has to practise on."""
    marked = MarkedImage(image, [Mark.box(example.box, CHOSEN, example.category, dashed=True)])
    return [f"An example of {example.category} to practise on", marked_images([marked], side=SIDE)]


def candidate_pieces(items: Sequence[Mapping[str, Any]], pictures: Sequence[bytes]) -> list[Piece]:
    """A page of the stage collecting."""
    shown = [
        MarkedImage(
            item.get("error") or decoded(picture), title=f"{'iconic: ' if item['iconic'] else ''}{item['name']}"
        )
        for item, picture in zip(items, pictures, strict=True)
    ]
    return [marked_images(shown, columns=COLUMNS, side=SMALL)] if shown else ["There are no candidates on this page."]


def grid_pieces(tiles: Sequence[Tile]) -> list[Piece]:
    """The segments of the stage verification."""
    shown = [MarkedImage(decoded(one.picture), title=one.category) for one in tiles]
    return [marked_images(shown, columns=COLUMNS, side=SMALL)] if shown else ["There is no segment to judge."]


def _outlines(entry: Mapping[str, Any], image: Tensor) -> list[list[float]]:
    try:
        return outlines_for_editing(entry, (image.shape[-2], image.shape[-1]))
    except DataError:  # the page says what is wrong with it
        return []


def _colour(category: str, categories: Sequence[str]) -> str:
    return colour(categories.index(category) + 1 if category in categories else 1)
