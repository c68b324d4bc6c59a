"""Boxes in all forms, and mix-ups of forms that are noticed before they cost an AP."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.detectors.outside.box_forms import BoxReader
from workbench.errors import DataError

SIZE = (100, 200)  # height, width
XYXY = torch.tensor([[20.0, 30, 60, 50]])
FORMS = {"xyxy": [20, 30, 60, 50], "xywh": [20, 30, 40, 20], "cxcywh": [40, 40, 40, 20], "yxyx": [30, 20, 50, 60]}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("relative", [False, True])
def test_every_form_gives_the_same_pixels(form, relative):
    box = torch.tensor([FORMS[form]], dtype=torch.float32)
    if relative:
        box = box / torch.tensor([100, 200, 100, 200] if form == "yxyx" else [200, 100, 200, 100])
    torch.testing.assert_close(BoxReader(form, relative=relative, name="it")(box, SIZE), XYXY)


def reader(form="xyxy", relative=False):
    return BoxReader(form, relative=relative, name="it")


def test_fractions_that_were_not_announced_are_an_error():
    with pytest.raises(DataError, match=r"it: boxes such as \[0.1, 0.3, 0.3, 0.5\] are fractions.*relative=True"):
        reader()(torch.tensor([[0.1, 0.3, 0.3, 0.5], [0.5, 0.5, 1.01, 1.0]]), SIZE)
    with pytest.raises(DataError, match="are no fractions of the image; wrap it without relative=True"):
        reader(relative=True)(XYXY, SIZE)


def test_one_odd_box_among_many_is_none():
    """A box within a pixel of the corner, or one inside out, is a bad box and no other form."""
    read = reader()
    read(XYXY.repeat(10, 1), SIZE)
    odd = torch.tensor([[0.0, 0.2, 0.9, 1.1], [50, 50, 40, 60]])
    assert torch.equal(read(odd, SIZE), odd)
    assert read.notes == []
    assert torch.equal(reader()(torch.tensor([[0.0, 0, 1, 1]]), SIZE), torch.tensor([[0.0, 0, 1, 1]]))


def test_corner_and_size_read_as_corners_are_an_error():
    """With x and y far from 0, a width is less than x2 would be."""
    with pytest.raises(
        DataError, match=r"in 1 of 1 boxes x2 < x1 or y2 < y1, read as xyxy.*boxes='xywh'\) or 'cxcywh'"
    ):
        reader()(torch.tensor([[120.0, 60, 40, 20]]), SIZE)


def test_boxes_outside_their_image_are_remarked_on_once():
    """A target size given as (width, height): x was multiplied by the height, y by the width."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.rand(40, 2, generator=generator) * torch.tensor([100.0, 200.0])
    boxes = torch.cat([centres - 4, centres + 4], dim=1)
    read = reader()
    with pytest.warns(UserWarning, match=r"of 40 boxes have their centre outside.*\(width, height\)"):
        read(boxes, SIZE)
    read(boxes, SIZE)
    assert len(read.notes) == 1


@settings(deadline=None, max_examples=60)
@given(
    corner=st.tuples(st.floats(0, 150), st.floats(0, 80)),
    sides=st.tuples(st.floats(2, 50), st.floats(2, 20)),
    number=st.integers(1, 30),
)
def test_good_boxes_pass_as_they_are(corner, sides, number):
    (x, y), (width, height) = corner, sides
    boxes = torch.tensor([[x, y, x + width, y + height]] * number)
    read = reader()
    assert torch.equal(read(boxes, SIZE), boxes)
    assert read.notes == []
