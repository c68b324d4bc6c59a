"""Proposals go to a file of COCO results and come back equal; the file is one that COCO's own code reads."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO

from workbench import with_proposals
from workbench.data import Dataset
from workbench.errors import DataError
from workbench.proposals import save_proposals
from workbench.rle import encode_masks
from workbench.types import Proposals

SIZE = (20, 30)


class Given(Dataset):
    """Targets with these proposals, of images of 20 × 30 pixels, numbered from 5."""

    name, split, classes = "given", "all", ("a",)

    def __init__(self, proposals: list[Proposals | torch.Tensor | None]):
        self.proposals = proposals

    def __len__(self) -> int:
        return len(self.proposals)

    def target(self, index: int) -> dict:
        known = {} if self.proposals[index] is None else {"proposals": self.proposals[index]}
        return {
            "image_id": 5 + index,
            "boxes": torch.zeros(0, 4),
            "labels": torch.zeros(0, dtype=torch.long),
            **known,
        }

    def size(self, index: int) -> tuple[int, int]:
        return SIZE


def some(number: int, seed: int, masks: bool) -> Proposals:
    """Boxes inside the image and at least 2 pixels a side."""
    generator = torch.Generator().manual_seed(seed)
    corner, side = torch.rand(number, 2, generator=generator) * 15, torch.rand(number, 2, generator=generator) * 3 + 2
    scores = torch.randn(number, generator=generator).sort(descending=True).values
    pixels = torch.rand(number, *SIZE, generator=generator) > 0.7
    return Proposals(torch.cat([corner, corner + side], 1), scores, encode_masks(pixels) if masks else None)


@given(
    numbers=st.lists(st.integers(0, 4), min_size=1, max_size=3).filter(any),
    masks=st.booleans(),
    seed=st.integers(0, 999),
)
def test_what_is_saved_comes_back_equal(tmp_path_factory, numbers, masks, seed):
    folder = tmp_path_factory.mktemp("saved")
    given = [some(number, seed + place, masks) for place, number in enumerate(numbers)]
    save_proposals(Given(given), folder / "p.json")
    again = with_proposals(Given([None] * len(given)), kind="file", path=folder / "p.json", cache=folder)
    for index, wanted in enumerate(given):
        got = again.target(index)["proposals"]
        assert torch.equal(got.boxes, wanted.boxes)
        assert torch.equal(got.scores, wanted.scores)
        assert got.masks == wanted.masks or len(got) == 0


def test_coco_itself_reads_it(tmp_path):
    given = [some(3, 0, masks=True), some(2, 1, masks=True)]
    save_proposals(Given(given), tmp_path / "p.json")
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        images = [{"id": number, "height": SIZE[0], "width": SIZE[1]} for number in (5, 6)]
        coco.dataset = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "a"}]}
        coco.createIndex()
        results = coco.loadRes(str(tmp_path / "p.json"))
    pixels = torch.stack([torch.from_numpy(results.annToMask(one)) for one in results.loadAnns(results.getAnnIds(5))])
    assert torch.equal(pixels > 0, given[0].decode_masks())


def test_bare_boxes_are_saved_with_their_ranks(tmp_path):
    save_proposals(Given([torch.tensor([[1.0, 2, 4, 8], [0, 0, 9, 9]])]), tmp_path / "p.json")
    entries = json.loads((tmp_path / "p.json").read_text())
    assert entries[0] == {"image_id": 5, "category_id": 1, "bbox": [1.0, 2.0, 3.0, 6.0], "score": 1.0}
    assert entries[1]["score"] == 0.5
    save_proposals(Given([]), tmp_path / "empty.json")
    assert json.loads((tmp_path / "empty.json").read_text()) == []


def test_without_proposals_or_place_nothing_is_written(tmp_path):
    with pytest.raises(DataError, match="given/all image 1: there are no proposals; give them by with_proposals"):
        save_proposals(Given([some(1, 0, masks=False), None]), tmp_path / "p.json")
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"nowhere/p\.json: this file cannot be written"):
        save_proposals(Given([]), tmp_path / "nowhere" / "p.json")


def test_masks_of_another_image_are_named(tmp_path):
    wrong = Proposals(torch.tensor([[0.0, 0, 9, 9]]), torch.ones(1), encode_masks(torch.ones(1, 10, 10)))
    save_proposals(Given([wrong]), tmp_path / "p.json")
    with pytest.raises(DataError, match=r"p\.json: a mask of given/all image 0 has 10 x 10 pixels.* 30 x 20"):
        with_proposals(Given([None]), kind="file", path=tmp_path / "p.json", cache=tmp_path)
