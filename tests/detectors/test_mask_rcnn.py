"""Mask R-CNN against torchvision's, both of its versions: state dicts, boxes, scores, masks and losses."""

from __future__ import annotations

import pytest
import torch
from small_detectors import MASK_RCNN
from torch import nn
from torchvision.models.detection import (
    fasterrcnn_resnet50_fpn_v2,
    maskrcnn_resnet50_fpn,
    maskrcnn_resnet50_fpn_v2,
)
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import maskrcnn_loss, paste_masks_in_image

from workbench.data import load_data
from workbench.detectors import build_detector, load_detector, save_detector
from workbench.detectors.layers.mask_head import own_masks, paste, project
from workbench.detectors.mask_rcnn import V2
from workbench.errors import DataError, RecipeError
from workbench.hardeners import build_hardener
from workbench.registry import HARDENERS

CLASSES = tuple(f"class {i}" for i in range(6))
V1 = {"backbone": {"name": "resnet50", "norm": "batch"}}
PEERS = {"v1": (maskrcnn_resnet50_fpn, V1), "v2": (maskrcnn_resnet50_fpn_v2, V2)}
LOSSES = {"classifier": "loss_classifier", "box": "loss_box_reg", "objectness": "loss_objectness"}
LOSSES |= {"rpn_box": "loss_rpn_box_reg", "mask": "loss_mask"}


@pytest.fixture(scope="module", params=PEERS)
def pair(request):
    """torchvision's detector and ours with the same random weights, activations kept near 1."""
    torch.manual_seed(0)
    build, options = PEERS[request.param]
    peer = build(
        weights=None, weights_backbone=None, num_classes=7, min_size=120, max_size=180, box_score_thresh=0.0,
        box_detections_per_img=20, rpn_post_nms_top_n_test=60, rpn_post_nms_top_n_train=60,
        box_batch_size_per_image=64,
    )  # fmt: skip
    for module in peer.backbone.body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(8.0)
    ours = build_detector(
        options
        | {
            "kind": "mask-rcnn",
            "min_size": 120,
            "max_size": 180,
            "rpn": options.get("rpn", {}) | {"test_proposals": [1000, 60], "train_proposals": [2000, 60]},
            "roi": {"score_threshold": 0.0, "max_detections": 20, "samples": 64},
        },
        CLASSES,
    )
    ours.load_state_dict(peer.state_dict())
    peer.load_state_dict(ours.state_dict())
    return peer.eval(), ours.eval()


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(1)
    sizes = ((110, 160), (170, 120), (70, 200))
    images = [torch.rand(3, h, w, generator=generator) for h, w in sizes]
    boxes = [torch.tensor([[20.0, 30, 100, 90], [50, 20, 150, 80]]), torch.zeros(0, 4)]
    boxes.append(torch.tensor([[5.0, 5, 60, 60]]))
    targets = []
    for box, label, (height, width) in zip(boxes, ([3, 6], [], [1]), sizes, strict=True):
        masks = torch.zeros(len(box), height, width, dtype=torch.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, box.long().tolist(), strict=True):
            mask[y1:y2, x1:x2] = torch.rand(y2 - y1, x2 - x1, generator=generator) > 0.3
        targets.append({"boxes": box, "labels": torch.tensor(label, dtype=torch.long), "masks": masks})
    return images, targets


def test_detections_equal_torchvision(pair, batch):
    peer, ours = pair
    images, _ = batch
    with torch.no_grad():
        expected = peer(images)
    found = ours.detect(images)
    shapes = ours.mask_boxes(images, [one.boxes for one in found], [one.labels for one in found])
    for image, want, got, shape in zip(images, expected, found, shapes, strict=True):
        assert len(got) == len(want["boxes"]) > 0
        torch.testing.assert_close(got.boxes, want["boxes"], atol=1e-4, rtol=0)
        torch.testing.assert_close(got.scores, want["scores"], atol=1e-4, rtol=0)
        assert torch.equal(got.labels, want["labels"])
        soft = paste(shape, got.boxes, image.shape[-2:], threshold=None)
        torch.testing.assert_close(soft, want["masks"][:, 0], atol=1e-4, rtol=0)
        assert float(soft.std()) > 0
        undecided = (want["masks"][:, 0] - 0.5).abs() < 1e-4
        assert torch.equal(got.masks | undecided, (want["masks"][:, 0] >= 0.5) | undecided)


def test_losses_equal_torchvision_for_the_same_draws(pair, batch):
    peer, ours = pair
    images, targets = batch
    peer.train()
    for module in peer.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    torch.manual_seed(5)
    with torch.no_grad():
        want = peer(images, targets)
    peer.eval()
    generator = torch.Generator().manual_seed(5)
    for _ in images:  # torchvision's transform draws a size for every image, also where there is one
        torch.empty(1).uniform_(generator=generator)
    with torch.no_grad():
        got = ours.losses(images, targets, generator)
    assert set(got) == set(LOSSES)
    for name, peer_name in LOSSES.items():
        torch.testing.assert_close(got[name], want[peer_name], atol=1e-4, rtol=1e-4)


def test_faster_rcnn_has_a_second_version_too():
    with torch.device("meta"):
        peer = fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=7)
        options = {name: value for name, value in V2.items() if name != "mask"}
        ours = build_detector({"kind": "faster-rcnn", **options}, CLASSES)
    shapes = [{name: value.shape for name, value in one.state_dict().items()} for one in (peer, ours)]
    assert shapes[0] == shapes[1]


def test_own_masks_and_their_gradients_are_those_of_the_modules():
    torch.manual_seed(0)
    head, predictor = MaskRCNNHeads(8, [6, 5], 1), MaskRCNNPredictor(5, 7, 4)
    features = torch.rand(9, 8, 4, 4, requires_grad=True)
    labels = torch.tensor([1, 2, 3, 3, 2, 1, 0, 1, 2])
    want = predictor(head(features))[torch.arange(9), labels]
    got = own_masks(head, predictor, features, labels)
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-5)
    weight = torch.rand(9, 8, 8)
    learning = [features, *head.parameters(), *predictor.parameters()]
    theirs = torch.autograd.grad((want * weight).sum(), learning)
    for mine, other in zip(torch.autograd.grad((got * weight).sum(), learning), theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


def test_goals_are_torchvisions():
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(2, 40, 50, generator=generator) > 0.5
    boxes = torch.tensor([[3.2, 4.1, 30.0, 35.5], [0.0, 0.0, 50.0, 40.0], [10.0, 10.0, 12.0, 39.0]])
    owners = torch.tensor([1, 0, 0])
    logits = torch.randn(3, 5, 28, 28, generator=generator)
    want = maskrcnn_loss(logits, [boxes], [masks], [torch.tensor([2, 4])], [owners])
    own = logits[torch.arange(3), torch.tensor([4, 2, 2])]
    got = nn.functional.binary_cross_entropy_with_logits(own, project(masks, boxes, owners, 28))
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("side", [4, 28])
def test_pasting_is_torchvisions(side):
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(30, side, side, generator=generator)
    corner = torch.rand(30, 2, generator=generator) * torch.tensor([60.0, 40.0]) - 2
    boxes = torch.cat([corner, corner + torch.rand(30, 2, generator=generator) * 40], dim=1)
    boxes = torch.cat([boxes, torch.tensor([[0.0, 0, 70, 50], [69.5, 49.5, 70, 50]])])
    masks = torch.cat([masks, masks[:2]])
    want = paste_masks_in_image(masks[:, None], boxes, (50, 70))[:, 0]
    assert torch.equal(paste(masks, boxes, (50, 70), threshold=None), want)
    assert torch.equal(paste(masks, boxes, (50, 70), threshold=0.3), want >= 0.3)
    assert paste(masks[:0], boxes[:0], (50, 70)).shape == (0, 50, 70)


def digits(count: int = 2):
    data = load_data("digit-scenes", split="train", length=count, size=64)
    images, targets = (list(part) for part in zip(*(data[i] for i in range(count)), strict=True))
    return images, targets


@pytest.mark.parametrize("training", [True, False])
def test_it_learns_the_masks_of_digit_scenes(training):
    torch.manual_seed(0)
    images, targets = digits()
    detector = build_detector(MASK_RCNN, tuple("0123456789")).train(training)
    detector(images, targets, torch.Generator().manual_seed(0)).total.backward()
    assert all(p.grad is not None for p in detector.parameters())
    for image, found in zip(images, detector.detect(images), strict=True):
        assert found.masks.shape == (len(found), *image.shape[-2:])
        assert found.masks.dtype == torch.bool


@pytest.mark.parametrize("norm", [None, "batch"])
def test_without_objects_the_mask_loss_is_zero_and_has_a_gradient(norm):
    detector = build_detector(MASK_RCNN | {"mask": MASK_RCNN["mask"] | {"norm": norm}}, CLASSES)
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long), "masks": torch.zeros(0, 64, 64)}
    losses = detector.losses([torch.rand(3, 64, 64)], [empty])
    assert float(losses["mask"].detach()) == 0
    losses.total.backward()
    assert all(p.grad is not None for p in detector.roi_heads.mask_head.parameters())


def test_visible_or_amodal_masks():
    images, targets = digits()
    torch.manual_seed(0)
    losses = {}
    for learn in ("visible", "amodal"):
        torch.manual_seed(0)
        mask = MASK_RCNN["mask"] | {"learn": learn}
        detector = build_detector(MASK_RCNN | {"mask": mask}, tuple("0123456789")).eval()
        given = [dict(target) for target in targets]
        for target in given:
            target["masks" if learn == "amodal" else "masks_amodal"] = torch.zeros(1)  # must not be looked at
            target[detector.mask_key] = target[detector.mask_key].clone()
            target[detector.mask_key][:, ::2] = learn == "amodal"
        losses[learn] = float(detector.losses(images, given, torch.Generator().manual_seed(0))["mask"].detach())
    assert losses["visible"] != losses["amodal"]


@pytest.mark.parametrize("kind", [kind for kind in HARDENERS.homes if HARDENERS.class_of(kind).acts_on == "maps"])
def test_every_hardener_acts_on_the_boxes_and_not_on_the_masks(kind):
    torch.manual_seed(0)
    images, targets = digits(4)
    options = {"random-dropout": {"share": 1.0}, "inverted-attention": {"share": 1.0}}.get(kind, {})
    detector = build_detector(MASK_RCNN, tuple("0123456789"), build_hardener({"kind": kind, **options})).eval()
    nn.init.normal_(detector.roi_heads.box_predictor.cls_score.weight, std=0.5)
    losses = [detector.losses(images, targets, torch.Generator().manual_seed(0))]
    learned = detector.hardener
    detector.hardener = None
    losses.append(detector.losses(images, targets, torch.Generator().manual_seed(0)))
    assert losses[0]["classifier"] != losses[1]["classifier"]
    assert losses[0]["mask"] == losses[1]["mask"]
    assert ("adversary" in losses[0]) == any(True for _ in learned.parameters())


def test_mining_and_jitter_keep_each_roi_with_its_mask():
    """Two objects; the mask of one has no pixel within its box, that of the other is full: both must be seen."""
    torch.manual_seed(0)
    box = torch.tensor([[8.0, 8, 56, 56], [8, 8, 30, 56]])
    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    masks[0, 0, 0], masks[1] = True, True
    target = {"boxes": box, "labels": torch.tensor([1, 2]), "masks": masks}
    roi = {"mining": {"kind": "ohem", "kept": 16}, "jitter": {}, "foreground_iou": 0.5}
    detector = build_detector(MASK_RCNN | {"roi": roi}, CLASSES).eval()
    nn.init.zeros_(detector.roi_heads.mask_predictor.mask_fcn_logits.weight)
    bias = detector.roi_heads.mask_predictor.mask_fcn_logits.bias
    with torch.no_grad():
        bias.copy_(torch.tensor([0.0, -20, 20, 0, 0, 0, 0]))  # right for both
    loss = detector.losses([torch.rand(3, 64, 64)], [target], torch.Generator().manual_seed(0))["mask"]
    assert float(loss.detach()) < 1e-6
    with torch.no_grad():
        bias.neg_()
    loss = detector.losses([torch.rand(3, 64, 64)], [target], torch.Generator().manual_seed(0))["mask"]
    assert float(loss.detach()) > 10


def test_an_object_without_a_mask_teaches_none():
    """Two objects; the mask of one is unknown, that of the other full, and its prediction right."""
    box = torch.tensor([[8.0, 8, 56, 56], [8, 8, 30, 56]])
    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    masks[1] = True
    target = {"boxes": box, "labels": torch.tensor([1, 2]), "masks": masks}
    torch.manual_seed(0)
    detector = build_detector(MASK_RCNN, CLASSES).eval()
    nn.init.zeros_(detector.roi_heads.mask_predictor.mask_fcn_logits.weight)
    for first in (20.0, -20.0):
        with torch.no_grad():
            bias = detector.roi_heads.mask_predictor.mask_fcn_logits.bias
            bias.copy_(torch.tensor([0.0, first, 20, 0, 0, 0, 0]))
        losses = detector.losses([torch.rand(3, 64, 64)], [target], torch.Generator().manual_seed(0))
        assert float(losses["mask"].detach()) < 1e-6
    losses = detector.losses([torch.rand(3, 64, 64)], [target | {"masks": masks & False}])
    losses.total.backward()
    assert float(losses["mask"].detach()) == 0
    assert all(p.grad is not None for p in detector.roi_heads.mask_head.parameters())


def test_saved_and_loaded(tmp_path):
    torch.manual_seed(0)
    detector = build_detector(MASK_RCNN, CLASSES)
    again = load_detector(save_detector(detector, tmp_path / "a.safetensors"))
    given = ([torch.rand(3, 64, 64)], [torch.tensor([[5.0, 5, 40, 40]])], [torch.tensor([3])])
    assert torch.equal(again.mask_boxes(*given)[0], detector.mask_boxes(*given)[0])


def test_missing_masks_are_named():
    detector = build_detector(MASK_RCNN, CLASSES)
    target = {"boxes": torch.tensor([[5.0, 5, 40, 40]]), "labels": torch.tensor([3]), "image_id": 7}
    with pytest.raises(DataError, match=r'image 7 has no target\["masks"\], and the detector learns masks'):
        detector.losses([torch.rand(3, 64, 64)], [target])
    with pytest.raises(DataError, match=r"image 7: masks have shape \(1, 32, 64\), expected \(1, 64, 64\)"):
        detector.losses([torch.rand(3, 64, 64)], [target | {"masks": torch.zeros(1, 32, 64)}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": {"learn": "hidden"}}, r"detector\.mask\.learn is 'hidden'; expected 'visible' or 'amodal'"),
        ({"mask": {"depth": 4}}, r"detector\.mask\.depth does not exist"),
        ({"mask": {"norm": "group"}}, r"mask\.norm 'group'"),
        ({"masc": {}}, r"detector\.masc is not an option of mask-rcnn \(did you mean 'mask'\?\)"),
        (
            {"head": {"kind": "conv-fc", "dropout": 0.5}},
            "head.dropout is not an option of conv-fc",
        ),
    ],
)
def test_bad_configurations_say_what_exists(change, message):
    with pytest.raises(RecipeError, match=message):
        build_detector(MASK_RCNN | change, CLASSES)
