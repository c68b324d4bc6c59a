"""What proposes: each kind is asked in its own way, and gives at most so many."""

from __future__ import annotations

import pytest
import torch
from colour_detector import ColourDetector
from small_detectors import DEEP_MASK

from widgets.parts.proposers import ProposalSource
from workbench.data import load_data
from workbench.detectors import build_detector
from workbench.errors import DataError
from workbench.proposals import WithProposals
from workbench.types import Detections, Proposals

IMAGE = torch.zeros(3, 48, 64, dtype=torch.uint8)
BOXES = torch.tensor([[0.0, 0, 8, 8], [1, 1, 9, 9], [2, 2, 9, 9]])


class Foreign:
    """A detector of others: no module, but it detects."""

    classes = ("thing",)

    def __call__(self, images):
        raise AssertionError("it is asked by `detect`")

    def detect(self, images):
        return [Detections(BOXES, torch.ones(3, dtype=torch.long), torch.tensor([0.9, 0.8, 0.7])) for _ in images]


class Ranks:
    """The index of an image as its only box."""

    problems = ()

    def __call__(self, data, index, image_id):
        return Proposals.ranked(torch.tensor([[0.0, 0, 10 + index, 10]]))


def boxes(thing, top=2, index=0, data=None, image=IMAGE):
    found, windows = ProposalSource(thing, data).proposals(image, index, top)
    assert windows is None
    return found.boxes.tolist()


def test_functions_and_detectors():
    first = BOXES[:2].tolist()
    assert boxes(lambda image: BOXES[:, :] + 0 * image.shape[0]) == first
    assert boxes(lambda image: Proposals.ranked(BOXES)) == first
    assert boxes(Foreign()) == first
    assert boxes(ColourDetector(found=[(box, 1) for box in BOXES.tolist()])) == first


def test_a_deep_mask_comes_with_its_windows():
    source = ProposalSource(build_detector(DEEP_MASK, ("thing",)), None)
    found, ranked = source.proposals(IMAGE, 0, 5)
    assert len(found) == len(ranked.windows) == 5
    assert found.boxes.equal(ranked.proposals.boxes)
    assert source.steps == []


def test_data_are_asked_about_the_same_image():
    data = load_data("digit-scenes", split="test", length=3)
    known = WithProposals(data, Ranks())
    assert boxes(known, index=2, data=data, image=data.image(2)) == [[0, 0, 12, 10]]
    with pytest.raises(DataError, match="has 128 × 128 pixels, and the image 64 × 48; give proposals of the same"):
        boxes(known, data=data)
