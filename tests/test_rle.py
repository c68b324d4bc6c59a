"""Masks as run-length codes: the same as pycocotools, which sees the pixels, and broken codes are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from workbench.rle import checked, compressed, decode_masks, encode_masks, flip, mask_box, run_lengths

pixels = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))
blobs = st.builds(
    lambda height, width, top, left: np.pad(np.ones((height, width), bool), ((top, 3), (left, 5))),
    *[st.integers(0, 40)] * 4,
)


def code_of(mask: np.ndarray) -> dict:
    return encode_masks(torch.from_numpy(mask)[None])[0]


@given(mask=pixels | blobs)
def test_flipped_code_is_the_code_of_flipped_pixels(mask):
    assert flip(code_of(mask)) == code_of(mask[:, ::-1].copy())


@given(mask=pixels | blobs)
def test_lengths_are_the_runs_down_the_columns(mask):
    code = code_of(mask)
    lengths = run_lengths(code["counts"])
    runs = np.repeat(np.arange(len(lengths)) % 2, lengths)
    assert np.array_equal(runs.reshape(mask.shape[::-1]).T, mask)
    assert compressed(lengths, mask.shape) == code
    assert torch.equal(decode_masks([code], mask.shape)[0], torch.from_numpy(mask))


@given(mask=pixels)
def test_checked_takes_text_bytes_and_lists(mask):
    code = code_of(mask)
    lists = {"size": list(mask.shape), "counts": run_lengths(code["counts"]).tolist()}
    text = {"size": list(mask.shape), "counts": code["counts"].decode()}
    assert checked(code) == checked(lists) == checked(text) == code


@given(size=st.tuples(st.integers(1, 20), st.integers(1, 20)), counts=st.text(min_size=0, max_size=12))
def test_what_passes_the_check_can_be_decoded(size, counts):
    """pycocotools would leave memory unset for too few runs and write beyond it for too many."""
    try:
        code = checked({"size": list(size), "counts": counts})
    except ValueError:
        return
    assert run_lengths(code["counts"]).sum() == size[0] * size[1]
    assert coco_mask.decode(code).max(initial=0) <= 1


def test_the_box_around_a_mask():
    mask = np.zeros((8, 9), bool)
    mask[2:5, 3:7] = True
    assert mask_box(code_of(mask)) == (3, 2, 4, 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "size None"),
        ({"size": [3], "counts": "9"}, r"size \[3\]"),
        ({"size": [3, -3], "counts": "9"}, r"size \[3, -3\]"),
        ({"size": [3, 3.0], "counts": "9"}, "size"),
        ({"size": [3, 10**6], "counts": "9"}, "size"),
        ({"size": [3, 3], "counts": 9}, "neither text nor a list but int"),
        ({"size": [3, 3], "counts": [4, "5"]}, "no list of lengths"),
        ({"size": [3, 3], "counts": [10, -1]}, "no list of lengths"),
        ({"size": [3, 3], "counts": [4, 4]}, "add up to 8 instead of 3 × 3"),
        ({"size": [3, 3], "counts": []}, "add up to 0"),
        ({"size": [3, 3], "counts": ""}, "is empty"),
        ({"size": [3, 3], "counts": "8"}, "add up to 8"),
        ({"size": [3, 3], "counts": "é"}, "other characters"),
        ({"size": [3, 3], "counts": "Y"}, "ends within a number"),
        ({"size": [3, 3], "counts": "PPPPPPPP0"}, "more than 30 bits"),
        ({"size": [3, 3], "counts": ":O"}, "negative"),
    ],
)
def test_broken_codes_are_refused(value, message):
    with pytest.raises(ValueError, match=message):
        checked(value)
