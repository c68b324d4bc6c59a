"""DeepMask: its losses by hand, its windows against patches, and that it learns to find and to cut out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_detectors import DEEP_MASK
from torch.nn import functional as F

import workbench as wb
from workbench.detectors import build_detector, save_detector
from workbench.detectors.deep_mask import DeepMask
from workbench.detectors.layers.window_masks import window_proposals
from workbench.errors import DataError, RecipeError
from workbench.evaluation import evaluate, proposal_recall


def built(**changes) -> DeepMask:
    torch.manual_seed(0)
    return build_detector(DEEP_MASK | changes, tuple("0123456789"))


@pytest.fixture(scope="module")
def data():
    return wb.load_data("digit-scenes", length=24)


@pytest.fixture(scope="module")
def patches(data):
    some = built().samples(data)
    return [some[index] for index in range(16)]


def test_as_the_thesis_has_it():
    """W160-P4-D39-F128 with head C: 17 million parameters, less 75 of the original's."""
    detector = build_detector({"kind": "deep-mask", "backbone": {"weights": None}}, ("object",))
    assert (detector.size, detector.cells, detector.head.mask_size, detector.target_size) == (160, 10, 56, 112)
    assert detector.octaves == [-2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5]
    assert detector.head.vector.weight.shape == (512, 128, 10, 10)
    parameters = sum(parameter.numel() for parameter in detector.parameters())
    assert 16e6 < parameters < 18e6
    zoomed = DeepMask.build(("object",), backbone={"name": "resnet18"}, zoom=2)
    assert zoomed.octaves[-2:] == [1.0, 1.5]


def test_losses_are_soft_margins(patches):
    """The thesis's losses: log(1 + exp(-y f)), the mean over pixels and over patches, 1/32 for scores."""
    detector = built().eval()
    images, targets = zip(*patches, strict=True)
    losses = detector.losses(images, targets)
    masks, scores = [], []
    for image, target in patches:
        pixels = (image.as_subclass(torch.Tensor).float() / 255 - detector.mean) / detector.std
        vector, score = detector.head(detector.trunk(pixels[None])[0][..., 1:9, 1:9])
        if "objectness" in target:
            scores.append(torch.log1p(torch.exp(-(2 * target["objectness"] - 1) * score)).mean())
            continue
        logits = F.interpolate(detector.head.masks(vector[:, :, 0, 0])[None], 32, mode="bilinear")[0, 0]
        goal = F.avg_pool2d(target["masks"].float()[:, 8:72, 8:72], 2)[0] > 0.5
        masks.append(torch.log1p(torch.exp(-(2.0 * goal - 1) * logits)).mean())
    assert 4 < len(masks) < 12
    torch.testing.assert_close(losses["mask"], torch.stack(masks).mean())
    torch.testing.assert_close(losses["score"], torch.stack(scores).mean() / 32)


def test_patches_of_one_kind_only(patches):
    detector = built()
    for_masks = [one for one in patches if "objectness" not in one[1]]
    for_scores = [one for one in patches if "objectness" in one[1]]
    assert detector.losses(*zip(*for_masks, strict=True))["score"] == 0
    losses = detector.losses(*zip(*for_scores, strict=True))
    assert losses["mask"] == 0
    losses.total.backward()
    assert not detector.head.mask.weight.grad.any()


@pytest.mark.parametrize("head", ["original", "a", "b", "c"])
def test_a_window_of_an_image_is_a_patch(head):
    """What the network says of a window far from the edges is what it says of that part of the image alone."""
    detector = built(head=head, scales=[0.0, 0.0]).eval()
    image = torch.rand(3, 256, 256)
    with torch.no_grad():
        (found,) = detector.scales(image)
        place = int(found.boxes.sub(torch.tensor([96.0, 96, 160, 160])).abs().sum(dim=1).argmin())
        left, top, right, bottom = found.boxes[place].int().tolist()
        assert (right - left, bottom - top) == (64, 64)
        part = (image[None, :, top - 64 : bottom + 64, left - 64 : right + 64] - detector.mean) / detector.std
        vector, score = detector.head(detector.trunk(part)[0][..., 8:16, 8:16])
    torch.testing.assert_close(found.vectors.flatten(0, 1)[place], vector[0, :, 0, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.scores.flatten()[place], score[0, 0, 0], atol=1e-4, rtol=1e-4)
    masks = detector.window_masks(found, torch.tensor([place]))
    torch.testing.assert_close(masks[0], detector.head.masks(vector[:, :, 0, 0])[0], atol=1e-4, rtol=1e-4)


def test_proposals_are_the_best_windows(data):
    detector = built()
    image = data.image(0)
    every = detector.proposals([image], 10**6)[0]
    best = detector.proposals([image, data.image(1)], 20)
    assert len(best) == 2
    assert best[0].scores.tolist() == every.scores[:20].tolist()
    assert (every.scores[:-1] >= every.scores[1:]).all()
    masks = best[0].decode_masks()
    assert masks.shape[1:] == image.shape[1:]
    for mask, box in zip(masks, best[0].boxes, strict=True):
        rows, columns = torch.where(mask)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert detector.proposals([], 10) == []
    assert len(built(nms_iou=0.3).proposals([image], 10**6)[0]) < len(every)


def test_it_learns(data):
    """After a hundred steps masks of new patches are better than any constant, and so are scores."""
    detector = built(backbone={"name": "small", "widths": [24, 48], "blocks": 1, "stem": 12}, features=16, width=64)
    some = detector.samples(data)
    optimizer = torch.optim.AdamW(detector.parameters(), lr=3e-3)
    for step in range(100):
        batch = [some.drawn(0, step)[index] for index in range(16)]
        optimizer.zero_grad()
        losses = detector.losses(*zip(*batch, strict=True))
        (losses["mask"] + 32 * losses["score"]).backward()
        optimizer.step()
    detector.eval()
    with torch.no_grad():
        losses = detector.losses(*zip(*[some.drawn(1, 0)[index] for index in range(24)], strict=True))
    assert losses["mask"] < 0.4
    assert 32 * losses["score"] < 0.55


def test_it_is_evaluated_by_the_recall_of_its_boxes_and_masks(data, tmp_path):
    """Boxes are those around the masks; losses are those of the patches of the data."""
    detector, some = built().eval(), data.subset(range(4))
    result = evaluate(detector, some, batch_size=4, losses=True, progress=False)
    assert result.num_proposals > 100
    images, targets = zip(*(detector.samples(some)[index] for index in range(4)), strict=True)
    want = detector.losses(images, targets).floats()
    assert {**result.losses, "total": sum(result.losses.values())} == pytest.approx(want)
    name = save_detector(detector, tmp_path / "masks.safetensors")
    given = wb.with_proposals(some, kind="detector", name=name, top=1000, cache=tmp_path)
    boxes, masks = (proposal_recall(given, iou_type=kind) for kind in ("bbox", "segm"))
    assert boxes.reached.ranks.max() > 100
    assert (boxes.reached.ranks != masks.reached.ranks).any()
    np.testing.assert_array_equal(result.reached.ranks, boxes.reached.ranks)
    np.testing.assert_array_equal(result.masks.reached.ranks, masks.reached.ranks)
    assert evaluate(built(learn="amodal"), some, progress=False).masks.iou_type == "segm-amodal"


def test_images_that_are_no_patches_are_refused(data, patches):
    detector = built()
    image, target = data[0]
    with pytest.raises(DataError, match=r"no patch: expected 80 x 80 pixels.*detector.samples\(data\) cuts patches"):
        detector.losses([image], [target])
    image, target = next(one for one in patches if "objectness" not in one[1])
    with pytest.raises(DataError, match="no patch"):
        detector.losses([image], [{**target, "masks": torch.zeros(2, 80, 80)}])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 60}, "detector.size is 60 and context 16; with 3 pools expected multiples of 8 and of 16"),
        ({"context": 8}, "detector.size is 64 and context 8"),
        ({"scales": [1.0, 0.0]}, r"detector.scales is \[1.0, 0.0\]"),
        ({"head": "d"}, "detector.head"),
        ({"patches": {"jitter": 3}}, "detector.patches.jitter does not exist"),
        ({"patches": {"key": "masks"}}, "detector.patches.key"),
        ({"threshold": 1.0}, "detector.threshold"),
    ],
)
def test_options_that_do_not_fit(changes, message):
    with pytest.raises(RecipeError, match=message):
        built(**changes)


def test_it_says_what_it_learns_from():
    assert built().needs_labels == ("masks",)
    assert built(learn="amodal").needs_labels == ("masks_amodal",)
    assert built(learn="amodal").mask_key == "masks_amodal"


def test_every_proposal_knows_its_window(data):
    """What its window alone gives is the proposal, whichever scale it is from."""
    detector = built(nms_iou=0.7).eval()
    image = data.image(0).as_subclass(torch.Tensor).float() / 255
    with torch.no_grad():
        found = detector.ranked(image, 150)
        again = []
        for place in range(len(found.proposals)):
            scale, cell = found.window(place)
            score = scale.scores.flatten()[cell].sigmoid()
            masks = detector.window_masks(scale, cell)
            again.append(window_proposals(masks, scale.boxes[cell], score, image.shape[1:], threshold=0.2))
    assert 10 < len(found.proposals) < 150
    assert len({id(found.window(place)[0]) for place in range(len(found.proposals))}) > 1
    torch.testing.assert_close(torch.cat([one.scores for one in again]), found.proposals.scores, atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.cat([one.boxes for one in again]), found.proposals.boxes, atol=1, rtol=0)
