"""What a still of DatasetBrowser shows of the items that its page was sent."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from widgets.parts.browser_still import COLUMNS, detail_pieces, page_pieces
from widgets.parts.pictures import encode
from workbench.figures.still import Table

CLASSES = ("cup", "<b>fork")
PICTURE = encode(torch.full((3, 20, 40), 90, dtype=torch.uint8))  # half the size of the image


def item(position=3, **change):
    """An image of 80 pixels with one object of each class."""
    return {
        "position": position,
        "width": 80,
        "labels": [1, 2],
        "boxes": [[0, 0, 40, 20], [10.5, 10, 70, 40]],
        "occlusion": [None, 0.254],
        "flags": ["", "crowd"],
        **change,
    }


def texts(figure: Figure) -> list[str]:
    return [said for text in figure.axes[0].texts if (said := text.get_text())]


def test_a_page_has_a_thumbnail_for_each_item():
    items = [item(3), item(4, labels=[], boxes=[], occlusion=[], flags=[]), {"position": 5, "error": "broken"}]
    (figure,) = page_pieces(items, [PICTURE, PICTURE, b""], CLASSES)
    assert texts(figure) == ["image 3: cup, <b>fork", "image 4: no object", "broken", "image 5"]
    corners = [patch.get_xy()[:4].tolist() for patch in figure.axes[0].patches[:1]]
    assert corners == [[[0, 0.0], [0.8, 0.0], [0.8, 0.4], [0, 0.4]]], "half of 1.6 inches"
    assert page_pieces([], [], CLASSES) == ["No image has such an object."]
    many = page_pieces([item()] * (COLUMNS + 1), [PICTURE] * (COLUMNS + 1), CLASSES)[0]
    assert many.get_size_inches()[1] > figure.get_size_inches()[1]


def test_the_open_image_has_its_objects_in_a_table():
    ((figure, table),) = detail_pieces(item(), [PICTURE], CLASSES)
    assert {"1: cup", "2: <b>fork"} <= set(texts(figure))
    assert table == Table(
        (
            ("", "class", "box x1, y1, x2, y2 (pixels)", "hidden", ""),
            ("1", "cup", "0, 0, 40, 20", "unknown", ""),
            ("2", "<b>fork", "10.5, 10, 70, 40", "25%", "crowd"),
        )
    )
    empty = item(labels=[], boxes=[], occlusion=[], flags=[])
    assert detail_pieces(empty, [PICTURE], CLASSES)[0][1] == "no object"
    assert detail_pieces({"position": 9, "error": "broken"}, [], CLASSES) == ["image 9: broken"]
