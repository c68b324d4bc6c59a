"""Faster R-CNN against torchvision's: the same state dict gives the same detections and losses."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from small_detectors import FASTER_RCNN
from torch import nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from workbench.detectors import build_detector, load_detector, save_detector, start_from
from workbench.errors import DataError, RecipeError, WeightsError
from workbench.hardeners import RandomDropout

CLASSES = tuple(f"class {i}" for i in range(6))


@pytest.fixture(scope="module")
def pair():
    """torchvision's detector and ours with the same random weights, activations kept near 1."""
    torch.manual_seed(0)
    peer = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=7, min_size=160, max_size=240, box_score_thresh=0.0
    )
    for module in peer.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(8.0)
    config = {
        "kind": "faster-rcnn",
        "backbone": {"name": "resnet50", "norm": "batch"},
        "min_size": 160,
        "max_size": 240,
        "roi": {"score_threshold": 0.0},
    }
    ours = build_detector(config, CLASSES)
    ours.load_state_dict(peer.state_dict())
    peer.load_state_dict(ours.state_dict())
    return peer.eval(), ours.eval()


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(1)
    images = [torch.rand(3, h, w, generator=generator) for h, w in ((150, 210), (220, 160), (90, 300))]
    targets = [
        {"boxes": torch.tensor([[20.0, 30, 100, 120], [50, 60, 200, 140]]), "labels": torch.tensor([3, 6])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)},
        {"boxes": torch.tensor([[5.0, 5, 60, 80]]), "labels": torch.tensor([1])},
    ]
    return images, targets


def test_detections_equal_torchvision(pair, batch):
    peer, ours = pair
    images, _ = batch
    with torch.no_grad():
        expected = peer(images)
    for want, got in zip(expected, ours.detect(images), strict=True):
        assert len(got) == len(want["boxes"]) > 0
        torch.testing.assert_close(got.boxes, want["boxes"], atol=1e-4, rtol=0)
        torch.testing.assert_close(got.scores, want["scores"], atol=1e-4, rtol=0)
        assert torch.equal(got.labels, want["labels"])


def test_losses_equal_torchvision_for_the_same_draws(pair, batch):
    peer, ours = pair
    images, targets = batch
    peer.train()
    for module in peer.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    torch.manual_seed(5)
    want = peer(images, targets)
    peer.eval()
    generator = torch.Generator().manual_seed(5)
    for _ in images:  # torchvision's transform draws a size for every image, also where there is one
        torch.empty(1).uniform_(generator=generator)
    got = ours.losses(images, targets, generator)
    names = {"classifier": "loss_classifier", "box": "loss_box_reg"}
    names |= {"objectness": "loss_objectness", "rpn_box": "loss_rpn_box_reg"}
    for name, peer_name in names.items():
        torch.testing.assert_close(got[name], want[peer_name], atol=1e-4, rtol=1e-4)


def test_batch_of_one_equals_batch_of_three(pair, batch):
    """Padding to the largest image must not change what is found in the largest one."""
    _, ours = pair
    image = batch[0][0]
    alone = ours.detect([image])[0]
    together = ours.detect([image, torch.rand(3, 150, 210)])[0]
    # Of random weights many scores are nearly equal, so the last bits decide their order.
    apart = (alone.boxes[:, None] - together.boxes).abs().amax(dim=2)
    apart = apart.masked_fill(alone.labels[:, None] != together.labels, torch.inf)
    assert (apart.amin(dim=1) < 1e-3).float().mean() > 0.97
    torch.testing.assert_close(alone.scores, together.scores, atol=1e-4, rtol=0)


def test_score_boxes_is_the_head_on_those_boxes(pair, batch):
    _, ours = pair
    images, targets = batch
    boxes = [target["boxes"] for target in targets]
    scores = ours.score_boxes(images, boxes)
    assert [tuple(score.shape) for score in scores] == [(2, 7), (0, 7), (1, 7)]
    torch.testing.assert_close(torch.cat(scores).sum(1), torch.ones(3))
    logits = ours.head_score()(ours.roi_features(images, boxes))
    torch.testing.assert_close(logits.softmax(1), torch.cat(scores))
    given = torch.cat(ours.box_logits(images, boxes))
    torch.testing.assert_close(given, logits)
    assert given.requires_grad  # unlike the scores


@pytest.mark.parametrize("training", [True, False])
def test_losses_and_detections_in_either_mode(training):
    detector = build_detector(FASTER_RCNN, CLASSES).train(training)
    image = torch.rand(3, 96, 128)
    target = {"boxes": torch.tensor([[10.0, 10, 60, 60]]), "labels": torch.tensor([2])}
    losses = detector([image], [target], torch.Generator().manual_seed(0))
    assert set(losses) == {"classifier", "box", "objectness", "rpn_box"}
    losses.total.backward()
    assert all(p.grad is not None for p in detector.parameters())
    frozen = detector.backbone.body.layer1
    frozen.eval()
    detector.detect([image])
    assert detector.training is training
    assert frozen.training is False, "detect must restore every submodule's own mode"


def test_mode_is_restored_when_detect_fails():
    detector = build_detector(FASTER_RCNN, CLASSES).train()
    with pytest.raises(DataError, match=r"shape \(1, 8, 8\)"):
        detector.detect([torch.zeros(1, 8, 8)])
    assert detector.training


def test_losses_are_decided_by_the_generator():
    torch.manual_seed(0)
    detector = build_detector(FASTER_RCNN, CLASSES, RandomDropout(share=1.0)).eval()
    image = torch.rand(3, 96, 128)
    target = {"boxes": torch.tensor([[10.0, 10, 60, 60]]), "labels": torch.tensor([2])}

    def total(seed: int) -> float:
        torch.rand(3)  # torch's own generator must not matter
        return float(detector.losses([image], [target], torch.Generator().manual_seed(seed)).total.detach())

    assert total(1) == total(1)
    assert total(1) != total(2)


def test_the_hardener_acts_in_losses_and_not_in_detect():
    torch.manual_seed(0)
    hardener = RandomDropout(share=1.0, drop=1.0)
    detector = build_detector(FASTER_RCNN, CLASSES, hardener).eval()
    assert detector.hardener is hardener
    image = torch.rand(3, 96, 128)
    target = {"boxes": torch.tensor([[10.0, 10, 60, 60]]), "labels": torch.tensor([2])}

    def classifier() -> float:
        losses = detector.losses([image], [target], torch.Generator().manual_seed(0))
        return float(losses["classifier"].detach())

    hardened, seen = classifier(), detector.score_boxes([image], [target["boxes"]])[0]
    detector.hardener = None
    assert classifier() != hardened
    assert torch.equal(detector.score_boxes([image], [target["boxes"]])[0], seen)


def test_uint8_and_float_images_agree():
    detector = build_detector(FASTER_RCNN, CLASSES)
    pixels = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    a = detector.score_boxes([pixels], [torch.tensor([[0.0, 0, 30, 30]])])[0]
    b = detector.score_boxes([pixels.float() / 255], [torch.tensor([[0.0, 0, 30, 30]])])[0]
    torch.testing.assert_close(a, b)


def test_crowds_and_difficult_objects_are_not_learned():
    torch.manual_seed(0)
    detector = build_detector(FASTER_RCNN, CLASSES).eval()
    image = torch.rand(3, 96, 128)
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    crowd = {
        "boxes": torch.tensor([[10.0, 10, 60, 60], [20, 20, 50, 50]]),
        "labels": torch.tensor([2, 3]),
        "iscrowd": torch.tensor([True, False]),
        "difficult": torch.tensor([False, True]),
    }
    seeds = (torch.Generator().manual_seed(0) for _ in range(2))
    a, b = (detector.losses([image], [t], g).total for t, g in zip((empty, crowd), seeds, strict=True))
    assert a == b


@pytest.mark.parametrize(
    ("boxes", "labels", "message"),
    [
        ([[10.0, 10, 5, 20]], [1], "empty or not finite.*x, y, width, height"),
        ([[10.0, float("nan"), 50, 20]], [1], "empty or not finite"),
        ([[10.0, 10, 50, 20]], [0], r"labels \[0\] are outside 1..6"),
        ([[10.0, 10, 50, 20]], [7], r"labels \[7\] are outside 1..6"),
    ],
)
def test_bad_targets_are_named(boxes, labels, message):
    detector = build_detector(FASTER_RCNN, CLASSES)
    target = {"boxes": torch.tensor(boxes), "labels": torch.tensor(labels), "image_id": 42}
    with pytest.raises(DataError, match=message) as error:
        detector.losses([torch.rand(3, 64, 64)], [target])
    assert "image 42" in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "yolo"}, "choose one of"),
        ({"bakbone": {}}, "bakbone is not an option"),
        ({"backbone": {"name": "resnet51"}}, "resnet51"),
        ({"backbone": {"name": "small", "depth": 3}}, "depth"),
        ({"anchor_sizes": [[8], [16]]}, "lists 2 levels; expected 3"),
        ({"anchor_sizes": [[8], [16], [16, 24]]}, "same number of sizes"),
        ({"head": {"kind": "conv5"}}, "conv5 needs a ResNet"),
        ({"roi": {"sampels": 3}}, "sampels"),
    ],
)
def test_bad_configurations_say_what_exists(change, message):
    with pytest.raises(RecipeError, match=message):
        build_detector(FASTER_RCNN | change, CLASSES)


@pytest.mark.parametrize("head", [{"kind": "conv5"}, {"kind": "two-fc", "width": 32}])
def test_single_map_c4(head):
    config = {
        "kind": "faster-rcnn",
        "backbone": {"name": "resnet18"},
        "pyramid": False,
        "head": head,
        "min_size": 96,
        "rpn": {"train_proposals": [30, 20], "test_proposals": [30, 20]},
    }
    detector = build_detector(config, CLASSES)
    image = torch.rand(3, 96, 128)
    target = {"boxes": torch.tensor([[10.0, 10, 60, 60]]), "labels": torch.tensor([2])}
    assert torch.isfinite(detector.losses([image], [target]).total)
    size = 14 if head["kind"] == "conv5" else 7
    assert detector.roi_features([image], [target["boxes"]]).shape == (1, 256, size, size)


def test_anchors_are_in_image_pixels():
    detector = build_detector(FASTER_RCNN | {"min_size": 64}, CLASSES)
    anchors = detector.anchors_for(128, 128)
    sides = (anchors[:, 2:] - anchors[:, :2]).prod(1).sqrt()
    assert sides.min().item() == pytest.approx(32, rel=0.05), "16 px at half size are 32 px of the image"


def test_saved_detector_comes_back(tmp_path):
    torch.manual_seed(0)
    detector = build_detector(FASTER_RCNN, CLASSES, RandomDropout())
    image = torch.rand(3, 96, 128)
    path = save_detector(detector, tmp_path / "a.safetensors", about={"recipe": "tiny"})
    again = load_detector(path)
    assert again.classes == CLASSES
    assert again.config == FASTER_RCNN
    box = [torch.tensor([[5.0, 5, 40, 40]])]
    assert torch.equal(again.score_boxes([image], box)[0], detector.score_boxes([image], box)[0])
    half = load_detector(save_detector(detector, tmp_path / "b.safetensors", half=True))
    torch.testing.assert_close(
        half.score_boxes([image], box)[0], detector.score_boxes([image], box)[0], atol=5e-3, rtol=0
    )
    assert (tmp_path / "b.safetensors").stat().st_size < 0.6 * path.stat().st_size
    assert not list(tmp_path.glob("*.partial"))


def test_start_from_copies_all_but_layers_for_other_classes(tmp_path):
    torch.manual_seed(0)
    path = save_detector(build_detector(FASTER_RCNN, CLASSES), tmp_path / "a.safetensors")
    source = load_detector(path).state_dict()
    same, other = (build_detector(FASTER_RCNN, classes, RandomDropout()) for classes in (CLASSES, (*CLASSES, "more")))
    fresh = {name: value.clone() for name, value in other.state_dict().items()}
    assert start_from(same, path) == []
    assert all(torch.equal(value, source[name]) for name, value in same.state_dict().items())
    kept = start_from(other, path)
    assert {name.rpartition(".")[0] for name in kept} == {
        "roi_heads.box_predictor.cls_score",
        "roi_heads.box_predictor.bbox_pred",
    }
    for name, value in other.state_dict().items():
        assert torch.equal(value, fresh[name] if name in kept else source[name]), name
    with pytest.raises(WeightsError, match="cannot be the start"):
        start_from(build_detector(FASTER_RCNN | {"channels": 24}, CLASSES), path)


def test_what_a_file_says_of_itself_goes_on_into_copies(tmp_path):
    detector, about = build_detector(FASTER_RCNN, CLASSES), {"recipe": "mine", "seed": 0}
    first = load_detector(save_detector(detector, tmp_path / "a.safetensors", about=about))
    assert load_detector(save_detector(first, tmp_path / "b.safetensors", half=True)).about == about
    assert build_detector(FASTER_RCNN, CLASSES).about == {}


@pytest.mark.parametrize("name", ["digit-scenes/faster-rcnn", "dfv/digits-decoder", "a-fast-rcnn/digits+ohem"])
def test_shipped_weights_name_their_recipe(name):
    assert load_detector(name).about["recipe"] == name


def test_files_that_are_not_detectors_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="no detector 'nothing'"):
        load_detector("nothing")
    with pytest.raises(WeightsError, match="no detector"):
        load_detector("../types")
    (tmp_path / "bad.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not json at all")
    with pytest.raises(WeightsError, match="not a readable"):
        load_detector(tmp_path / "bad.safetensors")
    with pytest.raises(WeightsError, match="not finished"):
        load_detector(tmp_path)


@pytest.mark.parametrize(
    ("config", "classes", "message"),
    [
        ("[" * 100_000, "[]", "cannot be read"),
        ("{", "[]", "cannot be read"),
        (None, "[]", "cannot be read"),
        ("[1]", "[]", "expected a dict"),
        ("{}", '{"a": 1}', "list of names"),
        ("{}", "[1]", "list of names"),
    ],
)
def test_what_a_file_says_of_itself_is_read_with_care(tmp_path, config, classes, message):
    about = {"format": "occlusion-workbench-detector-1", "classes": classes}
    about |= {} if config is None else {"config": config}
    save_file({"weight": torch.zeros(1)}, tmp_path / "odd.safetensors", metadata=about)
    with pytest.raises(WeightsError, match=message):
        load_detector(tmp_path / "odd.safetensors")
