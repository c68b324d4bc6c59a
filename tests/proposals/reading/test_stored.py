"""What the cache keeps of an image comes back as it was, and other bytes are no proposals."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from workbench.proposals.reading.stored import as_bytes, from_bytes
from workbench.rle import encode_masks
from workbench.types import Proposals


def example(number: int = 3, sizes: tuple[tuple[int, int], ...] = ((5, 6),)) -> Proposals:
    generator = torch.Generator().manual_seed(number)
    draw = [torch.rand(1, *sizes[row % len(sizes)], generator=generator) > 0.5 for row in range(number)]
    masks = [encode_masks(mask)[0] for mask in draw] if sizes else None
    return Proposals(torch.rand(number, 4, generator=generator), torch.rand(number, generator=generator), masks)


@given(number=st.integers(0, 5), masks=st.booleans())
def test_comes_back_as_it_was(number, masks):
    some = example(number)
    some = some if masks else Proposals(some.boxes, some.scores)
    again = from_bytes(as_bytes(some))
    assert torch.equal(again.boxes, some.boxes)
    assert torch.equal(again.scores, some.scores)
    assert again.masks == some.masks


def test_broken_bytes_are_none():
    content = as_bytes(example())
    for wrong in (b"", b"x", content[:-3], content[:40], content + b"x"):
        assert from_bytes(wrong) is None


def test_every_flipped_bit_is_noticed():
    content = as_bytes(example())
    for place in range(0, len(content)):
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << place % 8
        again = from_bytes(bytes(spoilt))
        assert again is None or same(again, example()), place  # blanks may be others


def same(one: Proposals, other: Proposals) -> bool:
    return torch.equal(one.boxes, other.boxes) and torch.equal(one.scores, other.scores) and one.masks == other.masks


def test_what_earlier_versions_kept_is_read():
    some = Proposals(example().boxes, example().scores)
    assert same(from_bytes(save({"boxes": some.boxes, "scores": some.scores})), some)


good = {"boxes": torch.zeros(2, 4), "scores": torch.zeros(2)}
codes = {"codes": torch.zeros(2, dtype=torch.uint8), "ends": torch.tensor([1, 2]), "sizes": torch.ones(2, 2)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"boxes": torch.zeros(2, 4)},
        good | {"boxes": torch.zeros(3, 4)},
        good | {"boxes": torch.zeros(2, 4).double()},
        good | {"scores": torch.tensor([1.0, float("nan")])},
        good | codes | {"ends": torch.tensor([1])},
        good | {"codes": codes["codes"]},
        good | codes | {"ends": torch.tensor([1]), "sizes": torch.ones(1, 2)},
    ],
)
def test_other_tensors_are_none(wrong):
    assert from_bytes(save(good)) is not None
    assert from_bytes(save(wrong)) is None
