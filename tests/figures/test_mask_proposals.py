"""Pictures of proposals: what they show, read from the artists."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from workbench.analysis.mask_proposals import best_of_objects
from workbench.errors import DataError
from workbench.figures.drawing.colours import CHOSEN, SKY, WHITE
from workbench.figures.mask_proposals import (
    MISSED,
    REACHING,
    best_proposals_figure,
    object_figure,
    objects_figure,
)
from workbench.rle import encode_masks
from workbench.types import Proposals, Target

IMAGE = torch.full((3, 40, 60), 90, dtype=torch.uint8)


def masks(*boxes):
    out = torch.zeros(len(boxes), 40, 60, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(out, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    return out


BOXES = [[2, 2, 22, 22], [30, 10, 50, 30], [52, 30, 58, 38]]
TARGET = Target(
    boxes=torch.tensor(BOXES).float(),
    labels=torch.tensor([1, 2, 1]),
    masks=masks(*BOXES),
    iscrowd=torch.tensor([False, False, True]),
)
FOUND = Proposals(
    torch.tensor([[2.0, 2, 22, 20], [0, 0, 60, 40]]),
    torch.tensor([0.9, 0.25]),
    encode_masks(masks([2, 2, 22, 20], [0, 0, 60, 40])),
)
BARE = Proposals(FOUND.boxes, FOUND.scores)
BEST = {"$mask<b>": best_of_objects(FOUND, TARGET), "boxes": best_of_objects(BARE, TARGET)}


def tinted(axes):
    """The pixels of the picture's layers that are not clear, by colour."""
    shown = {}
    for layer in axes.images[1:]:
        rgba = np.asarray(layer.get_array())
        places = rgba[..., 3] > 0
        if places.any():
            shown[to_hex(rgba[places][0])] = int(places.sum())
    return shown


def edges(axes):
    """The colours of rectangles with their lines."""
    return [(to_hex(one.get_edgecolor()), one.get_linestyle()) for one in axes.patches]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_the_best_by_score_with_the_chosen_one_in_yellow():
    figure = best_proposals_figure(IMAGE, FOUND, 5, chosen=2)
    first, second = figure.axes
    assert [one.get_title() for one in figure.axes] == ["rank 1: 0.900", "rank 2: 0.250"]
    assert tinted(first) == {SKY: 20 * 18}
    assert tinted(second) == {CHOSEN: 60 * 40}
    assert (first.title.get_weight(), second.title.get_weight()) == ("normal", "bold")
    assert (first.get_xlim(), first.get_ylim()) == ((0, 60), (40, 0))
    bare = best_proposals_figure(IMAGE, BARE, 1)
    assert (edges(bare.axes[0]), tinted(bare.axes[0])) == ([(SKY, "-")], {})
    with pytest.raises(DataError, match="no proposals to draw"):
        best_proposals_figure(IMAGE, FOUND[:0])


def test_missed_objects_are_red_and_crowds_are_apart():
    """Of two objects the first is found; the second has an IoU of 400 / 2400."""
    figure = objects_figure(IMAGE, TARGET, BEST)
    with_masks, with_boxes = figure.axes
    assert with_masks.get_title() == "$mask<b>\n1 of 2, mean IoU 0.53, masks"
    assert with_boxes.get_title() == "boxes\n1 of 2, mean IoU 0.53, boxes"
    assert tinted(with_masks) == {REACHING[0]: 20 * 18, MISSED: 20 * 20}
    assert edges(with_masks) == [(MISSED, "--"), (WHITE, ":")]
    assert tinted(with_boxes) == {MISSED: 20 * 20}
    assert edges(with_boxes) == [(REACHING[0], "-"), (MISSED, "--"), (WHITE, ":")]
    assert sorted(texts(with_masks)) == ["0.17", "0.90"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "missed: best IoU below 0.5",
        "crowd or difficult",
    ]


def test_the_size_of_a_figure_does_not_follow_what_is_missed():
    perfect = {name: best_of_objects(Proposals.ranked(TARGET["boxes"]), TARGET) for name in BEST}
    all_found = objects_figure(IMAGE, {key: value[:2] for key, value in TARGET.items()}, {
        name: best_of_objects(Proposals.ranked(TARGET["boxes"]), {key: value[:2] for key, value in TARGET.items()})
        for name in perfect
    })  # fmt: skip
    assert not all_found.legends
    assert str(all_found) == str(objects_figure(IMAGE, TARGET, BEST))


def test_an_image_without_objects():
    nothing = Target(boxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    (axes,) = objects_figure(IMAGE, nothing, {"RPN": best_of_objects(FOUND, nothing)}).axes
    assert axes.get_title() == "RPN\nno objects"
    for draw in (lambda: objects_figure(IMAGE, TARGET, {}), lambda: object_figure(IMAGE, TARGET, 0, {})):
        with pytest.raises(DataError, match="no proposals to show"):
            draw()


def test_one_object_and_what_each_proposer_has_for_it():
    figure = object_figure(IMAGE, TARGET, 1, {**BEST, "none": best_of_objects(FOUND[:1], TARGET)}, name="1: seven")
    truth, with_masks, with_boxes, none = figure.axes
    assert [one.get_title() for one in figure.axes] == [
        "1: seven\nas it is",
        "$mask<b>\nrank 2, IoU 0.17 (masks)",
        "boxes\nrank 2, IoU 0.17 (boxes)",
        "none\nnone overlaps it",
    ]
    assert tinted(truth) == {WHITE: 20 * 20}
    assert tinted(with_masks) == {MISSED: 60 * 40}
    assert (MISSED, "-") in edges(with_boxes)
    assert with_masks.title.get_color() == MISSED
    assert tinted(none) == {}
    assert all((one.get_xlim(), one.get_ylim()) == ((25, 55), (35, 5)) for one in figure.axes)
    found = object_figure(IMAGE, TARGET, 0, BEST).axes[1]
    assert (tinted(found), to_hex(found.title.get_color())) == ({SKY: 20 * 18}, "#000000")
    assert (found.get_xlim(), found.get_ylim()) == ((0, 30), (30, 0))  # moved into the image


def test_many_proposers_stand_below_each_other():
    many = {str(place): BEST["boxes"] for place in range(7)}
    three = {name: many[name] for name in "012"}
    one_row, two_rows = (object_figure(IMAGE, TARGET, 0, some).get_size_inches() for some in (three, many))
    assert one_row[0] == two_rows[0]
    assert two_rows[1] > 1.9 * one_row[1]
