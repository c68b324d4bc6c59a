"""Images in a square and boxes back from there, counted by hand; there and back leaves boxes where they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.detectors import Letterbox
from workbench.errors import DataError


def test_the_image_lies_in_the_middle_or_in_the_corner():
    """30 × 60 pixels in a square of 40: scaled by 2/3 to 20 × 40, with 10 rows above and below."""
    image = np.full((30, 60, 3), 51, np.uint8)
    image[..., 2] = 255
    middle = Letterbox(40).prepare(image)
    assert middle.shape == (1, 3, 40, 40)
    assert middle.dtype == np.float32
    assert middle[0, 0, 9:11, 0].tolist() == pytest.approx([114 / 255, 0.2])
    assert middle[0, 2, 29:31, 39].tolist() == pytest.approx([1, 114 / 255])
    corner = Letterbox(40, place="corner", bgr=True, fill=0, divisor=1).prepare(image)
    assert corner[0, 0, 0, 0] == 255
    assert corner[0, :, 20, 0].tolist() == [0, 0, 0]


@settings(deadline=None, max_examples=50)
@given(
    height=st.integers(4, 300), width=st.integers(4, 300), size=st.integers(16, 200),
    place=st.sampled_from(["centre", "corner"]), part=st.tuples(*[st.floats(0, 0.4)] * 2),
)  # fmt: skip
def test_a_box_finds_its_way_back(height, width, size, place, part):
    box, image = Letterbox(size, place=place), np.zeros((height, width, 3), np.uint8)
    own = torch.tensor([[part[0] * width, part[1] * height, width, height]], dtype=torch.float32)
    scale = min(size / height, size / width)
    inside = [max(1, int(side * scale)) for side in (height, width)]
    left, top = ((size - inside[1]) // 2, (size - inside[0]) // 2) if place == "centre" else (0, 0)
    there = own * scale + torch.tensor([left, top, left, top])
    torch.testing.assert_close(box.restore(there, image), own, atol=1e-2, rtol=1e-4)


def test_what_makes_no_square_is_refused():
    with pytest.raises(DataError, match="'centre' or 'corner'"):
        Letterbox(64, place="left")
    with pytest.raises(DataError, match="size 0"):
        Letterbox(0)
