"""What a still of Annotator shows in each stage."""

from __future__ import annotations

import numpy as np
import torch

from widgets.parts.annotator_grid import Tile
from widgets.parts.annotator_still import candidate_pieces, example_pieces, grid_pieces, picture_pieces
from widgets.parts.annotator_training import Example
from widgets.parts.pictures import encode

IMAGE = torch.full((3, 40, 80), 90, dtype=torch.uint8)
CATEGORIES = ["cup", "spoon"]


def texts(piece) -> list[str]:
    return [said for text in piece.axes[0].texts if (said := text.get_text())]


def test_a_picture_has_its_segments_crosses_and_labels():
    ring = [10, 10, 30, 10, 30, 30]
    entries = [{"segmentation": [ring, [50, 5, 60, 5, 60, 15]]}, {"segmentation": "broken"}]
    objects = [
        {"category": "cup", "crowd": False, "amodal": [[0, 0, 40, 0, 40, 40]]},
        {"category": "unheard-of", "crowd": True},
    ]
    crosses = [
        {"mine": True, "point": [5, 6], "category": "spoon"},
        {"mine": False, "point": [1, 1], "category": "cup"},
    ]
    labels = [{"mine": True, "point": None, "category": "cup"}]
    marks = {"objects": objects, "crosses": crosses, "labels": labels}
    (figure,) = picture_pieces(IMAGE, entries, marks, CATEGORIES)
    assert sorted(texts(figure)) == ["cup", "spoon"], "a name for each object that can be drawn, and of the cross"
    styles = [patch.get_linestyle() for patch in figure.axes[0].patches]
    assert styles == ["-", "-", "--"], "two parts, and what is guessed behind others"
    assert len(figure.axes[0].lines) == 1, "the cross"


def test_an_example_is_marked_and_named():
    words, figure = example_pieces(IMAGE, Example(0, "cup", np.zeros((40, 80), bool), [10, 10, 30, 30]))
    assert words == "An example of cup to practise on"
    assert texts(figure) == ["cup"]


def test_candidates_and_segments_stand_in_rows():
    picture = encode(IMAGE)
    items = [{"name": "a.jpg", "iconic": True}, {"name": "b.jpg", "iconic": False, "error": "broken"}]
    (figure,) = candidate_pieces(items, [picture, b""])
    assert texts(figure) == ["iconic: a.jpg", "broken", "b.jpg"]
    assert candidate_pieces([], []) == ["There are no candidates on this page."]
    (figure,) = grid_pieces([Tile(1, "", False, picture, "cup")] * 2)
    assert texts(figure) == ["cup", "cup"]
    assert grid_pieces([]) == ["There is no segment to judge."]
