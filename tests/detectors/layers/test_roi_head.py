"""The RoI head: mining learns exactly from what it keeps, jitter, and both with every hardener."""

from __future__ import annotations

import pytest
import torch
from small_detectors import FASTER_RCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import box_iou

from workbench.detectors import build_detector
from workbench.detectors.layers.jitter import Jitter
from workbench.detectors.layers.roi_head import RoIHead
from workbench.detectors.layers.roi_pool import RoIAlign
from workbench.errors import RecipeError
from workbench.hardeners import build_hardener


def make_head(**options) -> RoIHead:
    torch.manual_seed(0)
    return RoIHead(RoIAlign((8,), size=5), TwoMLPHead(6 * 25, 24), FastRCNNPredictor(24, 4), **options)


def inputs(seed: int = 0) -> tuple[list[torch.Tensor], list[torch.Tensor], list[dict]]:
    """Maps of two images of 128 pixels, 60 proposals each, and three objects each."""
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.rand(2, 6, 16, 16, generator=generator).requires_grad_()]
    targets, proposals = [], []
    for _ in range(2):
        corner = 80 * torch.rand(3, 2, generator=generator)
        objects = torch.cat([corner, corner + 20 + 20 * torch.rand(3, 2, generator=generator)], dim=1)
        targets.append({"boxes": objects, "labels": torch.tensor([1, 2, 3])})
        moved = objects.repeat(10, 1) + 4 * torch.randn(30, 4, generator=generator)
        elsewhere = 80 * torch.rand(30, 2, generator=generator)
        elsewhere = torch.cat([elsewhere, elsewhere + 10 + 30 * torch.rand(30, 2, generator=generator)], dim=1)
        proposals.append(torch.cat([moved, elsewhere]))
    return maps, proposals, targets


def gradients(head: RoIHead, maps: list[torch.Tensor], loss: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, [*head.parameters(), *maps]))


def test_mining_has_the_gradients_of_backpropagating_through_all():
    """All RoIs in one graph, and only the losses of the kept ones added up."""
    head = make_head(mining={"kind": "ohem", "kept": 12})
    maps, proposals, targets = inputs()
    ours = head.losses(maps, proposals, targets)
    rois, labels, truth, _ = head.sample(proposals, targets)
    assert [len(boxes) for boxes in rois] == [63, 63], "all proposals and the objects"
    logits, deltas = head.box_predictor(head.box_head(head.pool(maps, rois)))
    each = sum(head.roi_losses(logits, deltas, rois, labels, truth))
    kept = [head.mining(*image) for image in zip(rois, labels, each.detach().split([63, 63]), strict=True)]
    whole = torch.cat([kept[0], 63 + kept[1]])
    assert len(whole) == 24
    every = each[whole].sum() / 24
    torch.testing.assert_close(ours["classifier"] + ours["box"], every)
    pairs = zip(gradients(head, maps, ours["classifier"] + ours["box"]), gradients(head, maps, every), strict=True)
    for mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_losses_of_rois_add_up_to_the_loss():
    head = make_head(samples=40)
    maps, proposals, targets = inputs()
    losses = head.losses(maps, proposals, targets, generator=torch.Generator().manual_seed(1))
    rois, labels, truth, _ = head.sample(proposals, targets, torch.Generator().manual_seed(1))
    logits, deltas = head.box_predictor(head.box_head(head.pool(maps, rois)))
    classifier, box = head.roi_losses(logits, deltas, rois, labels, truth)
    assert (box[torch.cat(labels) == 0] == 0).all()
    assert (box[torch.cat(labels) > 0] > 0).any()
    torch.testing.assert_close(losses["classifier"], classifier.sum() / len(classifier))
    torch.testing.assert_close(losses["box"], box.sum() / len(box))


def test_mining_raises_the_mean_loss_and_needs_no_foreground():
    maps, proposals, targets = inputs()
    mined = make_head(mining={"kind": "ohem", "kept": 12}).losses(maps, proposals, targets)
    every = make_head(mining={"kind": "ohem", "kept": 500, "nms_iou": 1.0}).losses(maps, proposals, targets)
    assert mined["classifier"] + mined["box"] > every["classifier"] + every["box"]
    empty = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}] * 2
    losses = make_head(mining={"kind": "ohem", "kept": 12}).losses(maps, proposals, empty)
    assert float(losses["box"].detach()) == 0
    assert float(losses["classifier"].detach()) > 0


HARDENERS = [
    None,
    {"kind": "random-dropout", "share": 1.0},
    {"kind": "inverted-attention"},
    {"kind": "hard-dropout"},
    {"kind": "asdn"},
    {"kind": "astn"},
    [{"kind": "asdn"}, {"kind": "astn"}],
]


@pytest.mark.parametrize("hardener", HARDENERS, ids=str)
@pytest.mark.parametrize("roi", [{"mining": {"kind": "ohem", "kept": 16}}, {"samples": 16, "jitter": {}}], ids=str)
def test_mining_and_jitter_go_with_every_hardener(roi, hardener):
    torch.manual_seed(0)
    detector = build_detector(FASTER_RCNN | {"roi": roi}, ("a", "b", "c"), build_hardener(hardener))
    images = [torch.rand(3, 96, 128) for _ in range(2)]
    target = {"boxes": torch.tensor([[10.0, 10, 60, 60]]), "labels": torch.tensor([2])}
    losses = detector.losses(images, [target, target], torch.Generator().manual_seed(0))
    losses.total.backward()
    assert torch.isfinite(losses.total)
    learns = detector.hardener is not None and len(list(detector.hardener.parameters())) > 0
    assert ("adversary" in losses) == learns
    assert all(p.grad is not None for p in detector.parameters())


def test_jitter_changes_sizes_and_shapes_within_bounds():
    generator = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[20.0, 30, 60, 50]]).repeat(500, 1)
    still, moved = Jitter(scale=1.2, aspect=1.5).move([boxes, boxes], generator)
    assert torch.equal(still, boxes), "one image is spared"
    torch.testing.assert_close((moved[:, :2] + moved[:, 2:]) / 2, torch.tensor([[40.0, 40.0]]).expand(500, 2))
    width, height = (moved[:, 2:] - moved[:, :2]).unbind(1)
    area, shape = (width * height / 800).sqrt(), width / height / 2
    for values, limit in ((area, 1.2), (shape, 1.5)):
        assert 1 / limit - 1e-4 <= float(values.min()) < 1 / limit**0.8
        assert limit**0.8 < float(values.max()) <= limit + 1e-4
    assert float(box_iou(boxes[:1], moved).min()) > 0.5, "still on the object"


def test_jitter_turns_all_channels_alike():
    generator = torch.Generator().manual_seed(0)
    pooled = torch.rand(8, 1, 7, 7, generator=generator).expand(8, 3, 7, 7)
    turned = Jitter(rotation=10).turn(pooled, [3, 5], generator)
    assert torch.equal(turned[:3], pooled[:3])
    changed = (turned[3:] - pooled[3:]).abs().flatten(1).amax(1)
    assert (changed > 0.01).all()
    assert torch.equal(turned[:, 0], turned[:, 2])
    assert Jitter(rotation=0).turn(pooled, [3, 5], generator) is pooled
    assert not torch.equal(Jitter().turn(pooled, [8], generator), pooled), "the only image is not spared"


@pytest.mark.parametrize(
    ("jitter", "message"),
    [({"scale": 0.9}, "scale is 0.9"), ({"rotation": 200}, "rotation is 200"), ({"shift": 1}, "shift"),
     ({"clean_images": -1}, "clean_images is -1")],
)  # fmt: skip
def test_bad_jitter_is_named(jitter, message):
    with pytest.raises(RecipeError, match=message):
        make_head(jitter=jitter)


def test_layout_tells_what_adversaries_copy():
    head = make_head()
    layout = head.layout()
    assert (layout.channels, layout.size) == (6, 5)
    assert layout.layers == (head.box_head.fc6, head.box_head.fc7)
