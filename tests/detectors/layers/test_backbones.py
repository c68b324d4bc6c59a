"""Trunks against torchvision's networks, and weights from local files."""

from __future__ import annotations

import copy
import re
import urllib.error
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import FrozenBatchNorm2d
from torchvision.transforms.v2 import functional as vision

from workbench.detectors import build_detector, load_detector
from workbench.detectors.layers.backbones import (
    RESNEXTS,
    AlexNetBackbone,
    VGG16Backbone,
    resnet_body,
    resnet_widths,
    whole_resnet,
)
from workbench.detectors.layers.pretrained import imagenet_weights, load_trunk, read_weights
from workbench.detectors.layers.trunk import IMAGENET_MEAN, IMAGENET_STD
from workbench.errors import RecipeError, WeightsError

CLASSES = ("cat", "dog")
VGG = {
    "kind": "faster-rcnn",
    "backbone": {"name": "vgg16"},
    "pyramid": False,
    "head": {"width": 16},
    "min_size": None,
    "rpn": {"train_proposals": [30, 20], "test_proposals": [30, 20]},
    "roi": {"samples": 16},
}


@pytest.fixture(scope="module")
def vgg() -> VGG16Backbone:
    torch.manual_seed(0)
    return VGG16Backbone()


def test_vgg16_is_torchvisions_without_the_last_pool(vgg):
    layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    layers.load_state_dict({k.removeprefix("features."): v for k, v in vgg.state_dict().items()})
    image = torch.rand(1, 3, 64, 80)
    with torch.no_grad():
        got, want = vgg(image)["0"], layers[:-1](image)
    assert got.shape == (1, 512, 4, 5)
    torch.testing.assert_close(got, want)


def test_vgg16_trains_from_conv3_on(vgg):
    frozen = {name for name, p in vgg.named_parameters() if not p.requires_grad}
    assert frozen == {f"features.{i}.{kind}" for i in (0, 2, 5, 7) for kind in ("weight", "bias")}
    assert all(p.requires_grad for p in VGG16Backbone(frozen_stages=0).parameters())


def test_detector_on_vgg16():
    torch.manual_seed(0)
    detector = build_detector(VGG, CLASSES)
    image = torch.rand(3, 64, 80)
    target = {"boxes": torch.tensor([[10.0, 10, 60, 60]]), "labels": torch.tensor([2])}
    detector.losses([image], [target]).total.backward()
    learned = {name for name, p in detector.named_parameters() if p.grad is not None}
    assert learned == {name for name, p in detector.named_parameters() if p.requires_grad}
    assert detector.roi_features([image], [target["boxes"]]).shape == (1, 512, 7, 7)


@pytest.mark.parametrize(("name", "inputs"), [("vgg16", 512 * 49), ("alexnet", 256 * 36)])
def test_plain_networks_have_4096_units_dropout_and_no_pyramid(name, inputs):
    config = {**VGG, "backbone": {"name": name}}
    with torch.device("meta"):
        wide = build_detector({**config, "head": {}}, CLASSES)
    assert wide.roi_heads.box_head.fc6.weight.shape == (4096, inputs)
    assert wide.roi_heads.box_head.dropout == 0.5
    with pytest.raises(RecipeError, match="say pyramid: false"):
        build_detector({**config, "pyramid": True}, CLASSES)


def test_alexnet_is_torchvisions_without_the_last_pool():
    torch.manual_seed(0)
    ours, peer = AlexNetBackbone(), torchvision.models.alexnet(weights=None).features
    peer.load_state_dict({k.removeprefix("features."): v for k, v in ours.state_dict().items()})
    image = torch.rand(1, 3, 96, 128)
    with torch.no_grad():
        torch.testing.assert_close(ours(image)["0"], peer[:-1](image))
    frozen = {name for name, p in ours.named_parameters() if not p.requires_grad}
    assert frozen == {"features.0.weight", "features.0.bias"}


@pytest.mark.parametrize(("name", "cells"), [("vgg16", 14), ("alexnet", 13)])
def test_fc6_and_fc7_continue_torchvisions_network(name, cells, monkeypatch):
    """RoI max pooling of a whole 224-pixel image is the network's own last pooling, so all agrees up to fc7."""
    torch.manual_seed(0)
    net = torchvision.models.get_model(name, weights=None).eval()
    state = net.state_dict()
    for module in ("backbones", "pretrained"):
        monkeypatch.setattr(f"workbench.detectors.layers.{module}.named_weights", lambda *_: (state, "a file"))
    config = {"kind": "fast-rcnn", "backbone": {"name": name, "weights": "a file"}, "min_size": None}
    detector = build_detector(config, CLASSES)
    image = torch.rand(3, 224, 224)
    whole = torch.tensor([[0.0, 0, 16 * (cells - 1), 16 * (cells - 1)]])
    with torch.no_grad():
        got = detector.roi_heads.box_head(detector.roi_features([image], [whole]))
        pixels = vision.normalize(image, IMAGENET_MEAN, IMAGENET_STD)[None]
        want = net.classifier[:-1](net.avgpool(net.features(pixels)).flatten(1))
    assert want.std() > 0
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, r"w\.pt: classifier\.0\.weight is missing, but fc6\.weight of the head needs \(16, 25088\)"),
        ({"classifier.0.weight": torch.zeros(4096, 8)}, r"has shape \(4096, 8\).*head\.pretrained: false"),
    ],
)
def test_a_classifier_that_does_not_fit_is_refused(vgg, tmp_path, entry, message):
    torch.save({**vgg.state_dict(), **entry}, tmp_path / "w.pt")
    config = {**VGG, "backbone": {"name": "vgg16", "weights": str(tmp_path / "w.pt")}}
    with pytest.raises(WeightsError, match=message):
        build_detector(config, CLASSES)
    detector = build_detector({**config, "head": {"width": 16, "pretrained": False}}, CLASSES)
    assert torch.equal(detector.backbone.body.features[0].weight, vgg.features[0].weight)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_resnet_bodies_are_torchvisions(name):
    torch.manual_seed(0)
    body, _ = resnet_body(name, norm="batch", frozen_stages=2)
    net = torchvision.models.get_model(name, weights=None)
    net.load_state_dict(body.state_dict(), strict=False)
    net.eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        maps = body.eval()(image)
        x = net.maxpool(net.relu(net.bn1(net.conv1(image))))
        for index, stage in enumerate((net.layer1, net.layer2, net.layer3, net.layer4)):
            x = stage(x)
            torch.testing.assert_close(maps[str(index)], x)
    assert tuple(level.shape[1] for level in maps.values()) == resnet_widths(name)
    frozen = {name.split(".")[0] for name, p in body.named_parameters() if not p.requires_grad}
    assert frozen == {"conv1", "bn1", "layer1"}


@pytest.mark.parametrize("name", RESNEXTS)
def test_resnexts_have_torchvisions_names_and_shapes(name):
    """Without weights; torchvision lacks 32x4d of 101 layers, which has 44.18 million (Xie et al. 2017, Table 1)."""
    with torch.device("meta"):
        ours = whole_resnet(name).state_dict()
        if name in torchvision.models.list_models():
            state = torchvision.models.get_model(name, weights=None).state_dict()
            assert {key: value.shape for key, value in ours.items()} == {k: v.shape for k, v in state.items()}
        body, conv5 = resnet_body(name, stages=3)
    numbers = sum(value.numel() for key, value in ours.items() if "running" not in key and "num_" not in key)
    millions = {"50_32x4d": 25.03, "101_32x4d": 44.18, "101_32x8d": 88.79, "101_64x4d": 83.46}
    assert numbers / 1e6 == pytest.approx(millions[name.removeprefix("resnext")], abs=0.005)
    groups, width = (int(part.strip("d")) for part in name.split("_")[1].split("x"))
    shapes = [module.weight.shape for module in body.modules() if getattr(module, "groups", 1) > 1]
    assert shapes[0] == (groups * width, width, 3, 3)
    assert shapes[-1] == (4 * groups * width, 4 * width, 3, 3)
    assert conv5[0].conv2.groups == groups


def test_a_resnext_detects_as_torchvisions_does(tmp_path):
    """A Faster R-CNN with its state dict, taken by names and shapes: the same detections."""
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(backbone_name="resnext50_32x4d", weights=None, trainable_layers=5)
    head, predictor = TwoMLPHead(256 * 7**2, 16), FastRCNNPredictor(16, 3)
    peer = FasterRCNN(backbone, None, box_head=head, box_predictor=predictor, min_size=96, max_size=128).eval()
    for key, value in peer.state_dict().items():
        if key.endswith("running_var"):
            value.fill_(6.0)
    nn.init.normal_(predictor.cls_score.bias, std=2.0)
    torch.save(peer.state_dict(), tmp_path / "w.pth")
    ours = load_detector(tmp_path / "w.pth", classes=["a", "b"])
    assert ours.config["backbone"]["name"] == "resnext50_32x4d"
    ours.transform.min_size, ours.transform.max_size = (96,), 128
    image = torch.rand(3, 80, 100)
    with torch.no_grad():
        (want,), (got,) = peer([image]), ours.detect([image])
    assert len(got) == len(want["boxes"]) > 3
    torch.testing.assert_close(got.boxes, want["boxes"], atol=1e-3, rtol=0)
    torch.testing.assert_close(got.scores, want["scores"], atol=1e-4, rtol=0)


def test_what_torchvision_has_no_weights_of_is_said():
    with pytest.raises(WeightsError, match=r"no ImageNet weights of resnext101_32x4d; name a local file"):
        imagenet_weights("resnext101_32x4d")


def test_quantised_tensors_are_expanded_as_by_hand(tmp_path):
    """w = (q - zero point) * scale * channel scale."""
    q = torch.tensor([[10, 12], [8, 10]], dtype=torch.uint8).reshape(2, 2, 1, 1)
    packed = {"q": q, "scale": 0.5, "zero_point": 10}
    state = {
        "a": packed,
        "b": {**packed, "channel_scale": [1.0, 3.0]},
        "c": torch.ones(2, dtype=torch.float16),
    }
    torch.save({"state_dict": state}, tmp_path / "w.pt")
    weights = read_weights(tmp_path / "w.pt")
    assert weights["a"].flatten().tolist() == [0.0, 1.0, -1.0, 0.0]
    assert weights["b"].flatten().tolist() == [0.0, 3.0, -1.0, 0.0]
    assert weights["c"].dtype == torch.float32


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": [1, 2]}, "entry 'a' is a list"),
        ([torch.ones(1)], "holds a list"),
        (Path("x"), "not a file of plain tensors"),
    ],
)
def test_files_that_are_no_weights_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=message):
        read_weights(tmp_path / "w.pt")


def test_weights_of_another_network_are_refused(vgg):
    state = vgg.state_dict()
    with pytest.raises(WeightsError, match=r"x\.pt lacks 26 of 26 entries.*torchvision's names"):
        load_trunk(vgg, {}, "x.pt")
    narrow = {**state, "features.0.weight": torch.zeros(32, 3, 3, 3)}
    shapes = re.escape("shape (32, 3, 3, 3), expected (64, 3, 3, 3)")
    with pytest.raises(WeightsError, match=shapes):
        load_trunk(vgg, narrow, "x.pt")
    with pytest.raises(WeightsError, match="no file of weights"):
        VGG16Backbone(weights="nowhere.pt")


def test_without_a_network_the_message_says_what_to_do(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(WeightsError, match=r"vgg16 could not be downloaded.*weights: PATH.*vgg16-397923af\.pth"):
        imagenet_weights("vgg16")


def test_local_resnet50_classifies_photographs(data_root):
    """19 of 20 right, as the file's own description says: the weights are expanded correctly."""
    net = torchvision.models.resnet50(weights=None)
    net.load_state_dict(read_weights(data_root / "weights" / "resnet50_imagenet_uint8.pt"))
    net.eval()
    paths = sorted((data_root / "weights" / "check-images").glob("*.jpg"))
    images = []
    for path in paths:
        image = vision.pil_to_tensor(Image.open(path).convert("RGB"))
        image = vision.center_crop(vision.resize(image, [256], antialias=True), [224, 224])
        images.append(vision.normalize(image.float() / 255, IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        best = net(torch.stack(images)).topk(5, dim=1).indices
    truth = torch.tensor([int(path.name.split("_")[0]) for path in paths])
    assert len(paths) == 20
    assert (best[:, 0] == truth).sum() == 19
    assert (best == truth[:, None]).any(dim=1).sum() == 20


def test_local_resnet18_as_c4(data_root):
    """The partial file fills conv1 to layer3; its folded BatchNorm gives what plain convolutions with biases give."""
    path = data_root / "weights" / "resnet18_c4_imagenet_foldedbn.pt"
    body, _ = resnet_body("resnet18", stages=3, weights=str(path))
    state = read_weights(path)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        got = torch.relu(body.bn1(body.conv1(image)))
        want = torch.conv2d(image, state["conv1.weight"], state["bn1.bias"], stride=2, padding=3).relu()
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)
        assert body(image)["2"].shape == (1, 256, 4, 4)
    for name, module in body.named_modules():
        if isinstance(module, FrozenBatchNorm2d):
            assert torch.equal(module.bias, state[f"{name}.bias"])
    assert torch.equal(body.layer3[1].conv2.weight, state["layer3.1.conv2.weight"])
    with pytest.raises(WeightsError, match=r"lacks .* entries of the backbone, first \['layer4"):
        resnet_body("resnet18", stages=4, weights=str(path))


def test_eps_is_that_of_torchvisions_published_detectors():
    """They were trained when FrozenBatchNorm2d had none; it matters where a channel hardly varies."""
    torch.manual_seed(0)
    peer = torchvision.models.resnet18(norm_layer=FrozenBatchNorm2d)
    overwrite_eps(peer, 0.0)
    bodies = [resnet_body("resnet18", stages=3, **options)[0] for options in ({"eps": 0.0}, {})]
    state = peer.state_dict()
    for name, value in state.items():
        if name.endswith("running_var"):
            value.fill_(1e-5)
    image = torch.rand(1, 3, 32, 32)
    first = peer.relu(peer.bn1(peer.conv1(image)))
    want = peer.layer1(peer.maxpool(first))
    for body in bodies:
        load_trunk(body, state, "torchvision")
    same, other = (body(image)["0"] for body in bodies)
    torch.testing.assert_close(same, want, rtol=1e-4, atol=1e-4 * float(want.detach().abs().max()))
    assert not torch.allclose(other, want, rtol=0.1)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_convolutions_that_carry_their_frozen_norm_are_torchvisions_two_layers(name):
    """Maps and gradients, with statistics that are not 0 and 1; also of a copy, which has norms of its own."""
    torch.manual_seed(0)
    peer = torchvision.models.get_model(name, norm_layer=FrozenBatchNorm2d)
    for key, value in peer.state_dict().items():
        if "bn" in key or "downsample.1" in key:
            value.copy_(torch.rand(value.shape) + 0.5)
    body = resnet_body(name, frozen_stages=2)[0]
    load_trunk(body, peer.state_dict(), "torchvision")
    image = torch.rand(2, 3, 64, 64)
    for ours in (body, copy.deepcopy(body)):
        for part in (peer.conv1, peer.layer1):
            part.requires_grad_(False)
        first = peer.maxpool(peer.relu(peer.bn1(peer.conv1(image))))
        want = peer.layer4(peer.layer3(peer.layer2(peer.layer1(first))))
        found = ours(image)["3"]
        torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-5 * float(want.detach().abs().max()))
        peer.zero_grad()
        want.square().mean().backward()
        found.square().mean().backward()
        other = dict(peer.named_parameters())
        for key, parameter in ours.named_parameters():
            if parameter.requires_grad:
                largest = float(other[key].grad.abs().max())
                torch.testing.assert_close(parameter.grad, other[key].grad, rtol=1e-3, atol=1e-4 * largest)
    assert copy.deepcopy(body).conv1._norm[0] is not body.conv1._norm[0]
