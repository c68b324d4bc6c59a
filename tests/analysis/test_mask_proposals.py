"""Proposals against objects by hand and by pycocotools, and SharpMask's top-down path against its own masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from small_detectors import DEEP_MASK, SHARP_MASK

import workbench as wb
from workbench.analysis.mask_proposals import (
    best_of_objects,
    encoding_map,
    mask_overlap,
    object_table,
    ranked_windows,
    top_down_path,
)
from workbench.detectors import build_detector
from workbench.errors import DataError
from workbench.rle import encode_masks
from workbench.types import Proposals, Target

CLASSES = tuple("0123456789")
SIZE = (20, 30)


def mask(*boxes):
    """Pixels of an image that lie in one of some boxes."""
    pixels = torch.zeros(SIZE, dtype=torch.bool)
    for x1, y1, x2, y2 in boxes:
        pixels[y1:y2, x1:x2] = True
    return pixels


def proposed(*masks):
    """Proposals of these masks, with boxes that cover the whole image."""
    boxes = torch.tensor([[0.0, 0, 30, 20]]).repeat(len(masks), 1)
    return Proposals(boxes, torch.linspace(0.9, 0.1, len(masks)), encode_masks(torch.stack(masks)))


def target(*boxes, **more):
    return Target(boxes=torch.tensor(boxes).float(), labels=torch.ones(len(boxes), dtype=torch.long), **more)


@pytest.fixture(scope="module")
def image():
    return wb.load_data("digit-scenes", split="test").image(7)


@pytest.fixture(scope="module")
def sharp():
    torch.manual_seed(0)
    return build_detector(SHARP_MASK, CLASSES)


def test_boxes_by_hand():
    """10 × 10 objects; the best of the second covers it and as much again, the third is alone."""
    objects = target([0, 0, 10, 10], [10, 0, 20, 10], [0, 15, 5, 20])
    boxes = torch.tensor([[0.0, 0, 5, 10], [10, 0, 20, 20], [0, 0, 10, 9], [0, 0, 10, 9]])
    best = best_of_objects(Proposals.ranked(boxes), objects)
    assert best.index.tolist() == [2, 1, -1]  # the first of equals
    assert best.iou.tolist() == pytest.approx([0.9, 0.5, 0])
    assert best.missed.tolist() == [False, False, True]  # 0.5 is reached
    assert best.summary == {"objects": 3, "found": 2, "mean IoU": pytest.approx(1.4 / 3)}
    assert (best.overlapping(), best.overlapping(0)) == ("boxes", "boxes")
    assert best.of(1).boxes.tolist() == [[10, 0, 20, 20]]
    assert len(best.of(2)) == 0


def test_masks_come_before_boxes():
    """Two halves of one box: as boxes all are equal, as masks each object has a half of its own."""
    left, right = mask((0, 0, 15, 20)), mask((15, 0, 30, 20))
    objects = target([0, 0, 30, 20], [0, 0, 30, 20], masks=torch.stack([right, left]))
    found = proposed(left, right)
    best = best_of_objects(found, objects)
    assert (best.index.tolist(), best.iou.tolist()) == ([1, 0], [1, 1])
    assert best.overlapping() == "masks"
    by_box = best_of_objects(found, objects, masks=None)
    assert (by_box.index.tolist(), by_box.iou.tolist()) == ([0, 0], [1, 1])
    assert by_box.overlapping() == "boxes"
    amodal = {**objects, "masks_amodal": torch.stack([left | right, left])}
    assert best_of_objects(found, amodal, masks="masks_amodal").iou.tolist() == [0.5, 1]
    without = best_of_objects(Proposals(found.boxes, found.scores), objects)
    assert without.overlapping() == "boxes"


def test_an_unknown_mask_is_compared_by_its_box():
    known = mask((0, 0, 10, 10))
    objects = target([0, 0, 10, 10], [0, 0, 15, 20], masks=torch.stack([known, torch.zeros(SIZE, dtype=torch.bool)]))
    best = best_of_objects(proposed(known), objects)
    assert best.by_mask.tolist() == [True, False]
    assert best.iou.tolist() == [1, 0.5]
    assert (best.overlapping(), best.overlapping(1)) == ("masks and boxes", "boxes")


def test_crowds_and_difficult_objects_are_not_missed():
    flags = {"iscrowd": torch.tensor([True, False, False]), "difficult": torch.tensor([False, True, False])}
    objects = target([0, 0, 5, 5], [5, 5, 9, 9], [9, 9, 15, 15], **flags)
    best = best_of_objects(Proposals.ranked(torch.zeros(0, 4)), objects)
    assert best.index.tolist() == [-1, -1, -1]
    assert best.missed.tolist() == [False, False, True]
    assert best.summary == {"objects": 1, "found": 0, "mean IoU": 0}


def test_nothing_against_nothing():
    nothing = Target(boxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    nothing["masks"] = torch.zeros(0, *SIZE, dtype=torch.bool)
    best = best_of_objects(proposed(mask((0, 0, 5, 5))), nothing)
    assert len(best.index) == len(best.missed) == 0
    assert math.isnan(best.summary["mean IoU"])
    assert best.overlapping() == ""


@pytest.mark.parametrize("masks", ["masks", None])
def test_as_pycocotools_has_it(masks):
    """The highest IoU of each object among random masks, and among their boxes."""
    random = np.random.default_rng(0)
    pixels = torch.from_numpy(random.random((12, *SIZE)) < random.random((12, 1, 1)))
    corners = np.sort(random.integers(0, (30, 20), (12, 2, 2)), axis=1).reshape(12, 4)
    corners[:, 2:] += 1
    boxes = torch.from_numpy(corners).float()
    found = Proposals(boxes[:8], torch.linspace(1, 0, 8), encode_masks(pixels[:8]))
    objects = target(*boxes[8:].tolist(), masks=pixels[8:])
    best = best_of_objects(found, objects, masks=masks)
    if masks:
        every = coco_mask.iou(encode_masks(pixels[:8]), encode_masks(pixels[8:]), [0] * 4)
    else:
        xywh = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1).astype(float)
        every = coco_mask.iou(xywh[:8], xywh[8:], [0] * 4)
    np.testing.assert_allclose(best.iou, every.max(axis=0), atol=1e-6)
    assert best.index.tolist() == every.argmax(axis=0).tolist()


def test_masks_of_another_size_are_refused():
    objects = target([0, 0, 5, 5], masks=torch.ones(1, 20, 20, dtype=torch.bool))
    with pytest.raises(DataError, match=r"masks of proposals are \[20, 30\] pixels .* those of objects \[20, 20\]"):
        best_of_objects(proposed(mask((0, 0, 5, 5))), objects)


def test_a_row_for_each_object():
    objects = target([0, 0, 10, 10], [20, 10, 30, 20])
    one = best_of_objects(Proposals.ranked(torch.tensor([[0.0, 0, 1, 1], [0, 0, 10, 5]])), objects)
    table = object_table({"RPN": one}, ["a", "b"])
    assert table.index.tolist() == [1, 2]
    assert table.columns.tolist() == ["class", "RPN IoU", "RPN rank"]
    assert table["RPN IoU"].tolist() == [0.5, 0]
    assert table["RPN rank"].isna().tolist() == [False, True]
    assert table["RPN rank"][1] == 2


def test_the_path_ends_in_the_proposal(sharp, image):
    """Of proposals of all scales: the mask is the one that was proposed, and the coarse one that of the DeepMask."""
    found = ranked_windows(sharp, image, 60)
    assert found.proposals.masks == sharp.proposals([image], 60)[0].masks
    with sharp.coarse():
        coarse = ranked_windows(sharp, image, 60)
    by_window = dict(zip(coarse.windows.tolist(), coarse.proposals.decode_masks(), strict=True))
    for rank in (1, 17, len(found.proposals)):
        path = top_down_path(sharp, image, rank, found=found)
        assert (path.rank, path.score) == (rank, pytest.approx(float(found.proposals.scores[rank - 1])))
        assert [tuple(one.shape) for one in path.encodings] == [(8, 8, 8), (4, 16, 16), (2, 32, 32), (1, 64, 64)]
        assert (path.logits.shape, path.coarse.shape) == ((64, 64), (16, 16))
        proposed = found.proposals[rank - 1 : rank].decode_masks()[0]
        assert mask_overlap(path.mask, proposed) > 0.99  # one window alone is not the same to the last bit
        assert mask_overlap(path.coarse_mask, by_window[int(found.windows[rank - 1])]) > 0.99
    assert sharp.refines
    alone = top_down_path(sharp, image, 2)
    torch.testing.assert_close(alone.window, top_down_path(sharp, image, 2, found=found).window)


def test_each_step_follows_from_the_last(sharp, image):
    """M^(i+1) is the module's own answer to M^i and the skip features of the window."""
    found = ranked_windows(sharp, image, 5)
    path = top_down_path(sharp, image, 3, found=found)
    scale, cell = found.window(2)
    with torch.no_grad():
        for i, stage in enumerate(sharp.refinement.stages):
            cut = scale.places(cell).cut(scale.shared[i], sharp.cells, 2**i)
            made = stage(path.encodings[i][None], cut)[0]
            torch.testing.assert_close(made, path.encodings[i + 1], atol=1e-5, rtol=1e-4)
        last = sharp.refinement.last(path.encodings[-1][None])[0, 0]
    torch.testing.assert_close(last, path.logits, atol=1e-5, rtol=1e-4)


def test_who_has_no_top_down_path(sharp, image):
    with pytest.raises(DataError, match="DeepMask has no top-down path; expected a SharpMask"):
        top_down_path(build_detector(DEEP_MASK, CLASSES), image)
    with pytest.raises(DataError, match="FasterRCNN has no windows; expected a DeepMask"):
        ranked_windows("digit-scenes/faster-rcnn", image)
    with sharp.coarse(), pytest.raises(DataError, match="gives coarse masks"):
        top_down_path(sharp, image)
    with pytest.raises(DataError, match="rank is 9; expected 1 to 5"):
        top_down_path(sharp, image, 9, found=ranked_windows(sharp, image, 5))
    skip = build_detector(SHARP_MASK | {"variant": "skip"}, CLASSES)
    path = top_down_path(skip, image)
    assert [tuple(one.shape) for one in path.encodings] == [(1, 8, 8)]


def test_one_map_of_an_encoding():
    encoding = torch.tensor([[[9.0, 9], [9, 9]], [[0, 0], [0, 4]], [[1, 0], [0, 0]]])
    mean, none = encoding_map(encoding)
    torch.testing.assert_close(mean, torch.tensor([[10 / 3, 3], [3, 13 / 3]]))
    assert none is None
    strongest, channel = encoding_map(encoding, "strongest")
    assert (strongest.tolist(), channel) == ([[0, 0], [0, 4]], 1)  # the first is high, and the same everywhere
    with pytest.raises(DataError, match="channels is 'all'; choose one of"):
        encoding_map(encoding, "all")


def test_overlap_of_two_masks():
    assert mask_overlap(mask((0, 0, 10, 10)), mask((5, 0, 15, 10))) == pytest.approx(1 / 3)
    assert mask_overlap(mask(), mask()) == 0
