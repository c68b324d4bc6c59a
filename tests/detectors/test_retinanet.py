"""RetinaNet against torchvision's: the same state dict gives the same detections and losses."""

from __future__ import annotations

import math

import pytest
import torch
from small_detectors import RETINANET
from torch import nn
from torchvision.models.detection import retinanet_resnet50_fpn, retinanet_resnet50_fpn_v2
from torchvision.ops import box_iou

from workbench.detectors import build_detector, load_detector, save_detector
from workbench.errors import RecipeError
from workbench.hardeners import RandomDropout

CLASSES = tuple(f"class {i}" for i in range(6))
PEERS = {"torchvision": retinanet_resnet50_fpn, "torchvision-v2": retinanet_resnet50_fpn_v2}
NOTHING = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}


def like_trained(peer: nn.Module, images: list[torch.Tensor]) -> None:
    """Scores that differ on `images`, boxes near their anchors, and a background logit that was taught to be low."""
    for module in peer.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(8.0)
    for subnet in (peer.head.classification_head, peer.head.regression_head):
        for module in subnet.conv.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
    logits, deltas = peer.head.classification_head.cls_logits, peer.head.regression_head.bbox_reg
    with torch.no_grad():
        seen = peer.eval().head(list(peer.backbone(peer.transform(images)[0].tensors).values()))
        logits.weight.div_(seen["cls_logits"].std())
        logits.bias.fill_(-3.0)
        logits.bias[:: len(CLASSES) + 1] = -50.0
        deltas.weight.mul_(0.05 / seen["bbox_regression"].std())


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(1)
    images = [torch.rand(3, h, w, generator=generator) for h, w in ((150, 210), (220, 160), (90, 300))]
    targets = [
        {"boxes": torch.tensor([[20.0, 30, 100, 120], [50, 60, 200, 140]]), "labels": torch.tensor([3, 6])},
        NOTHING,
        {"boxes": torch.tensor([[5.0, 5, 60, 80]]), "labels": torch.tensor([1])},
    ]
    return images, targets


@pytest.fixture(scope="module", params=list(PEERS))
def pair(request, batch):
    """torchvision's detector and ours with the same random weights."""
    torch.manual_seed(0)
    size = {"min_size": 160, "max_size": 240}
    peer = PEERS[request.param](weights=None, weights_backbone=None, num_classes=7, **size)
    like_trained(peer, batch[0])
    backbone = {"name": "resnet50", "norm": "batch"}
    ours = build_detector({"kind": "retinanet", "form": request.param, "backbone": backbone, **size}, CLASSES)
    ours.load_state_dict(peer.state_dict())
    peer.load_state_dict(ours.state_dict())
    return peer.eval(), ours.eval()


def test_detections_equal_torchvision(pair, batch):
    peer, ours = pair
    with torch.no_grad():
        expected = peer(batch[0])
    for want, got in zip(expected, ours.detect(batch[0]), strict=True):
        assert len(got) == len(want["boxes"]) > 0
        assert got.scores.max() - got.scores.min() > 0.05
        places = [torch.cat([boxes, 1e3 * labels[:, None]], 1) for boxes, labels in
                  ((got.boxes, got.labels), (want["boxes"], want["labels"]))]  # fmt: skip
        same = torch.cdist(*places).argmin(1)  # rounding swaps those of nearly the same score
        assert torch.equal(same.sort()[0], torch.arange(len(got)))
        torch.testing.assert_close(got.boxes, want["boxes"][same], atol=1e-4, rtol=2e-6)  # and float32's rounding
        torch.testing.assert_close(got.scores, want["scores"][same], atol=1e-4, rtol=0)
        torch.testing.assert_close(got.scores, want["scores"], atol=1e-4, rtol=0)
        assert torch.equal(got.labels, want["labels"][same])


def test_losses_equal_torchvision(pair, batch):
    peer, ours = pair
    images, targets = batch
    peer.train()
    for module in peer.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    for some in (slice(None), slice(1, 2)):
        want, got = peer(images[some], targets[some]), ours.losses(images[some], targets[some])
        torch.testing.assert_close(got["classifier"], want["classification"], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(got["box"], want["bbox_regression"], atol=1e-4, rtol=1e-4)
    peer.eval()


def test_old_checkpoints_of_torchvision_load():
    """Published ones call the convolutions of the subnets conv.0, conv.2, ..."""
    detector = build_detector(RETINANET, CLASSES)
    old = {}
    for name, value in detector.state_dict().items():
        parts = name.split(".")
        if "_head.conv." in name:
            parts[3:5] = [str(2 * int(parts[3]))]
        old[".".join(parts)] = value + 1 if value.is_floating_point() else value
    assert "head.regression_head.conv.6.weight" in old
    detector.load_state_dict(old)
    assert torch.equal(detector.head.regression_head.conv[3][0].bias, old["head.regression_head.conv.6.bias"])


def test_the_thesis_s_network():
    """256 channels, P3 to P7 of strides 8 to 128, nine anchors of 32 to 813 px per place, prior 0.01."""
    with torch.device("meta"):
        detector = build_detector({"kind": "retinanet"}, tuple(f"class {i}" for i in range(80)))
    assert detector.anchor_generator.num_anchors_per_location() == [9] * 5
    assert detector.anchor_generator.strides == (8, 16, 32, 64, 128)
    assert detector.anchor_generator.sizes[0][0] == 32
    assert round(detector.anchor_generator.sizes[-1][-1]) == 813
    head = detector.head
    assert [layer[0].weight.shape for layer in head.classification_head.conv] == [(256, 256, 3, 3)] * 4
    assert head.classification_head.cls_logits.weight.shape == (9 * 80, 256, 3, 3)
    assert head.regression_head.bbox_reg.weight.shape == (9 * 4, 256, 3, 3)
    assert detector.backbone.fpn.extra_blocks.p6.weight.shape == (256, 2048, 3, 3), "P6 is from C5"
    assert not detector.backbone.fpn.extra_blocks.use_P5


@pytest.mark.parametrize("prior", [0.01, 0.5])
def test_every_class_begins_at_the_prior(prior):
    torch.manual_seed(0)
    detector = build_detector(RETINANET | {"prior": prior}, CLASSES).eval()
    scores = detector.anchor_scores([torch.rand(3, 64, 64)], [NOTHING])[0].logits.sigmoid()
    torch.testing.assert_close(scores, torch.full_like(scores, prior), atol=0, rtol=0.1)


def test_anchors_are_exact_in_size_and_place():
    """Of an image whose sides 64 does not divide, too; torchvision's stand closer there."""
    detector = build_detector(RETINANET | {"aspect_ratios": [1.0]}, CLASSES)
    anchors = detector.anchors_for(96, 96)
    sides = anchors[:, 2] - anchors[:, 0]
    expected = sorted(4 * stride * 2 ** (i / 3) for stride in (8, 16, 32, 64) for i in range(3))
    assert sorted({round(side, 3) for side in sides.tolist()}) == pytest.approx(expected, abs=1e-2)
    coarsest = anchors[-12::3]
    centres = (coarsest[:, :2] + coarsest[:, 2:]) / 2
    assert centres.tolist() == [[0, 0], [64, 0], [0, 64], [64, 64]]
    other = build_detector(RETINANET | {"aspect_ratios": [1.0], "exact_anchors": False}, CLASSES).anchors_for(96, 96)
    assert other[-1].tolist() != anchors[-1].tolist()


def test_anchors_are_in_image_pixels():
    detector = build_detector(RETINANET | {"min_size": 64, "max_size": 64}, CLASSES)
    anchors = detector.anchors_for(128, 128)
    sides = (anchors[:, 2:] - anchors[:, :2]).prod(1).sqrt()
    assert sides.min().item() == pytest.approx(64, rel=0.01), "32 px at half size are 64 px of the image"


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mining", [None, {"kind": "ohem", "kept": 16}, {"kind": "ohem-1:3", "kept": 16}])
def test_losses_and_detections_in_either_mode(training, mining):
    torch.manual_seed(0)
    detector = build_detector(RETINANET | {"mining": mining}, CLASSES).train(training)
    images = [torch.rand(3, 96, 128), torch.rand(3, 128, 64)]
    target = {"boxes": torch.tensor([[10.0, 10, 60, 60]]), "labels": torch.tensor([2])}
    losses = detector(images, [target, NOTHING])
    assert set(losses) == {"classifier", "box"}
    losses.total.backward()
    assert all(p.grad is not None for p in detector.parameters())
    detector.detect(images)
    assert detector.training is training
    none = detector.losses(images, [NOTHING, NOTHING])
    assert none["box"] == 0
    assert none["classifier"] > 0


def test_mining_takes_the_mean_over_the_hardest():
    torch.manual_seed(0)
    options = {"loss": {"kind": "cross-entropy"}, "mining": {"kind": "ohem", "kept": 8, "nms_iou": 1.0}}
    detector = build_detector(RETINANET | options, CLASSES).eval()
    image, target = torch.rand(3, 64, 64), {"boxes": torch.tensor([[10.0, 10, 50, 50]]), "labels": torch.tensor([2])}
    seen = detector.anchor_scores([image], [NOTHING])[0]
    hardest = nn.functional.softplus(seen.logits).sum(dim=1).topk(8).values.mean()
    torch.testing.assert_close(detector.losses([image], [NOTHING])["classifier"], hardest)
    losses = detector.losses([image], [target])
    assert losses["box"] > 0, "objects cost about -log 0.01, so they are among the hardest"


def test_the_normaliser_and_the_loss_are_those_of_the_recipe():
    torch.manual_seed(0)
    detector = build_detector(RETINANET, CLASSES).eval()
    images = [torch.rand(3, 96, 96)] * 2
    targets = [{"boxes": torch.tensor([[8.0, 8, 60, 60]]), "labels": torch.tensor([2])}, NOTHING]
    scores = detector.anchor_scores(images, targets)
    positives = int((scores[0].labels > 0).sum())
    assert positives > 1
    losses = {}
    for kind in ("image", "batch", "moving-average"):
        options = {"normaliser": kind, "loss": {"kind": "focal", "gamma": 0}}
        other = build_detector(RETINANET | options, CLASSES).eval()
        other.load_state_dict(detector.state_dict(), strict=False)
        losses[kind] = float(other.losses(images, targets)["classifier"].detach())
        assert ("normaliser.mean" in other.state_dict()) is (kind == "moving-average")
    assert losses["image"] > losses["batch"]
    assert losses["batch"] * positives == pytest.approx(losses["moving-average"] * (90 + 0.1 * positives), rel=1e-5)


def test_scores_of_boxes_are_those_of_the_detections_there():
    torch.manual_seed(0)
    detector = build_detector(RETINANET | {"score_threshold": 0.0, "prior": 0.3, "nms_iou": 0.99}, CLASSES).eval()
    nn.init.normal_(detector.head.classification_head.cls_logits.weight, std=1.0)
    image = torch.rand(3, 96, 96)
    found = detector.detect([image])[0]
    scores = detector.score_boxes([image], [found.boxes[:5]])[0]
    assert scores.shape == (5, 7)
    own = scores[torch.arange(5), found.labels[:5]]
    assert (own >= found.scores[:5] - 1e-6).all()
    overlap = box_iou(found.boxes[:1], found.boxes)[0]
    same = (overlap >= 0.5) & (found.labels == found.labels[0])
    assert own[0].item() == pytest.approx(found.scores[same].max().item())
    torch.testing.assert_close(scores[:, 0], 1 - scores[:, 1:].amax(dim=1))
    logits = detector.box_logits([image], [found.boxes[:5]])[0]
    torch.testing.assert_close(torch.sigmoid(logits), scores)
    assert logits.requires_grad  # unlike the scores


def test_a_box_that_nothing_reaches_is_scored_by_what_is_nearest():
    detector = build_detector(RETINANET, CLASSES).eval()
    tiny = torch.tensor([[1.0, 1, 3, 3]])
    scores = detector.score_boxes([torch.rand(3, 64, 64)], [tiny])[0]
    assert torch.isfinite(scores).all()
    assert detector.score_boxes([torch.rand(3, 64, 64)], [tiny[:0]])[0].shape == (0, 7)


def test_labels_are_those_of_training(batch):
    """An anchor equal to an object has its label; by the thresholds others are background or ignored."""
    detector = build_detector(RETINANET, CLASSES)
    image = torch.rand(3, 96, 96)
    anchors = detector.anchors_for(96, 96)
    box = anchors[(anchors >= 0).all(1) & (anchors <= 96).all(1)][:1]
    seen = detector.anchor_scores([image], [{"boxes": box, "labels": torch.tensor([4])}])[0]
    overlap = box_iou(box, seen.boxes)[0]
    assert set(seen.labels[overlap >= 0.5].tolist()) == {4}
    assert set(seen.labels[(overlap >= 0.4) & (overlap < 0.5)].tolist()) == {-1}
    assert set(seen.labels[overlap < 0.4].tolist()) == {0}
    assert seen.logits.shape == (len(seen.boxes), len(CLASSES))


def test_bfloat16_losses_are_near_those_of_float32():
    torch.manual_seed(0)
    detector = build_detector(RETINANET, CLASSES).eval()
    image, target = torch.rand(3, 96, 96), {"boxes": torch.tensor([[8.0, 8, 60, 60]]), "labels": torch.tensor([2])}
    exact = detector.losses([image], [target])
    with torch.autocast("cpu", torch.bfloat16):
        rounded = detector.losses([image], [target])
        assert len(detector.detect([image])[0]) == 0, "all scores are near the prior of 0.01"
        anchors = detector.anchors_for(203, 301)
    assert torch.equal(anchors, detector.anchors_for(203, 301)), "half precision would move them by pixels"
    for name, value in exact.items():
        torch.testing.assert_close(rounded[name], value, rtol=0.02, atol=0, check_dtype=False)


def test_a_hardener_is_refused():
    with pytest.raises(RecipeError, match="retinanet has no RoIs"):
        build_detector(RETINANET, CLASSES, RandomDropout())


def test_saved_detector_comes_back(tmp_path):
    detector = build_detector(RETINANET, CLASSES)
    image, box = torch.rand(3, 96, 128), [torch.tensor([[5.0, 5, 40, 40]])]
    again = load_detector(save_detector(detector, tmp_path / "a.safetensors"))
    assert torch.equal(again.score_boxes([image], box)[0], detector.score_boxes([image], box)[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": "paper"}, "form is 'paper'; expected 'thesis'"),
        ({"backbone": {"name": "vgg16"}}, "vgg16"),
        ({"finest_stride": 2}, r"finest_stride is 2; the backbone has \(4, 8, 16\)"),
        ({"anchor_sizes": [[8], [16]]}, "lists 2 levels; expected 4"),
        ({"anchor_sizes": [[8], [16], [16, 24], [9]]}, "same number of sizes"),
        ({"p6_from": "c4"}, "p6_from 'c4'"),
        ({"head_norm": "batch"}, "head_norm 'batch'"),
        ({"head_norm": "group"}, "32 groups do not divide 16"),
        ({"prior": 0}, "prior is 0"),
        ({"loss": {"kind": "l2"}}, "loss.kind 'l2'"),
        ({"box_loss": {"kind": "l2"}}, "box_loss.kind is 'l2'; expected 'smooth-l1' or 'giou'"),
        ({"box_loss": {"beat": 1}}, "beat"),
        ({"normaliser": "anchors"}, "normaliser.kind 'anchors' does not exist"),
        ({"mining": {"kind": "easy"}}, "mining.kind 'easy'"),
        ({"negative_iou": 0.6}, "negative_iou is 0.6"),
    ],
)
def test_bad_configurations_say_what_exists(change, message):
    with pytest.raises(RecipeError, match=message):
        build_detector(RETINANET | change, CLASSES)


def test_equal_widths_do_not_take_p6_from_p5():
    """torchvision guesses from the widths; 16 channels are those of the last map here."""
    detector = build_detector(RETINANET, CLASSES)
    assert not detector.backbone.fpn.extra_blocks.use_P5
    assert math.isclose(detector.selection._least, math.log(0.05 / 0.95))
