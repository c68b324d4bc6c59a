"""State dicts of torchvision's detectors, by names and shapes: ours has the same weights and gives the same."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import FrozenBatchNorm2d

from workbench import load_detector
from workbench.detectors import build_detector, start_from
from workbench.detectors.reading.torchvision_weights import described
from workbench.errors import WeightsError

PLAIN = {"weights": None, "weights_backbone": None}
BUILT = {
    "fasterrcnn_resnet50_fpn": "faster-rcnn",
    "fasterrcnn_resnet50_fpn_v2": "faster-rcnn",
    "maskrcnn_resnet50_fpn": "mask-rcnn",
    "maskrcnn_resnet50_fpn_v2": "mask-rcnn",
    "retinanet_resnet50_fpn": "retinanet",
    "retinanet_resnet50_fpn_v2": "retinanet",
}


@pytest.mark.parametrize("name", BUILT)
def test_the_kind_is_found_by_names_and_shapes(name):
    """Without weights, so that six detectors cost little: ours has the same names and shapes."""
    with torch.device("meta"):
        state = getattr(detection, name)(**PLAIN).state_dict()
        config, classes = described(state, None, "w.pth")
        ours = build_detector(config, classes, pretrained=False).state_dict()
    assert config["kind"] == BUILT[name]
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in state.items()}
    assert len(classes) == 90
    assert (classes[0], classes[11], classes[89]) == ("person", "N/A 12", "toothbrush")


@pytest.fixture(scope="module")
def peer():
    torch.manual_seed(0)
    name, norm = "resnet18", nn.BatchNorm2d
    backbone = resnet_fpn_backbone(backbone_name=name, weights=None, norm_layer=norm, trainable_layers=5)
    head, predictor = TwoMLPHead(256 * 7**2, 32), FastRCNNPredictor(32, 4)
    model = detection.FasterRCNN(backbone, None, box_head=head, box_predictor=predictor)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(8.0)
    nn.init.normal_(model.roi_heads.box_predictor.cls_score.bias, std=2.0)
    return model.eval()


@pytest.mark.parametrize("form", ["bare", "of a training", "spread over devices", "safetensors"])
def test_a_state_dict_in_a_file_gives_the_same_detector(peer, tmp_path, form):
    state = {key: value.clone() for key, value in peer.state_dict().items()}
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(state, path)
    else:
        state = {f"module.{key}": value for key, value in state.items()} if form == "spread over devices" else state
        torch.save({"model": state, "optimizer": {"step": 3}} if form == "of a training" else state, path)
    ours = load_detector(path, classes=["__background__", "a", "b", "c"])
    assert ours.classes == ("a", "b", "c")
    assert all(torch.equal(value, peer.state_dict()[key]) for key, value in ours.state_dict().items())
    if form != "bare":
        return
    for one in (ours, peer):
        one.transform.min_size, one.transform.max_size = (96,), 128
    image = torch.rand(3, 80, 100, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        (want,) = peer([image])
    (got,) = ours.detect([image])
    assert len(got) == len(want["boxes"]) > 3
    torch.testing.assert_close(got.boxes, want["boxes"], atol=1e-3, rtol=0)
    torch.testing.assert_close(got.scores, want["scores"], atol=1e-4, rtol=0)


def test_frozen_statistics_and_old_names_are_those_of_published_files(peer, tmp_path):
    """Published ones of the first version have no eps; old ones have fewer numbers in names of RPN and pyramid."""
    state = {key: value for key, value in peer.state_dict().items() if not key.endswith("num_batches_tracked")}
    old = {key.replace("rpn.head.conv.0.0.", "rpn.head.conv."): value for key, value in state.items()}
    for part in ("inner_blocks", "layer_blocks"):
        for level in range(4):
            new = f"fpn.{part}.{level}.0."
            old = {key.replace(new, f"fpn.{part}.{level}."): value for key, value in old.items()}
    assert len(old.keys() & state.keys()) < len(state)
    torch.save(old, tmp_path / "old.pth")
    ours = load_detector(tmp_path / "old.pth", classes=["a", "b", "c"])
    norms = [one for one in ours.backbone.modules() if isinstance(one, FrozenBatchNorm2d)]
    assert {one.eps for one in norms} == {0.0}
    assert torch.equal(ours.state_dict()["rpn.head.conv.0.0.weight"], state["rpn.head.conv.0.0.weight"])


def test_training_can_start_from_one(peer, tmp_path):
    torch.save(peer.state_dict(), tmp_path / "w.pth")
    with pytest.raises(
        WeightsError, match=r"has 3 classes, whose names a state dict does not hold; give them: load_de"
    ):
        start_from(peer, tmp_path / "w.pth")


def other(build, **options):
    with torch.device("meta"):
        return build(**PLAIN, **options).state_dict()


@pytest.mark.parametrize(
    ("state", "classes", "message"),
    [
        (lambda: other(detection.ssdlite320_mobilenet_v3_large), None, r"weights of an SSD.*wb\.wrap\(model\)"),
        (lambda: other(detection.fcos_resnet50_fpn), None, "weights of an FCOS, which has no counterpart"),
        (lambda: other(detection.keypointrcnn_resnet50_fpn), None, "weights of a Keypoint R-CNN"),
        (
            lambda: other(detection.retinanet_resnet50_fpn, num_classes=3),
            ["a"],
            "has 2 classes, and 1 names were given",
        ),
        (lambda: {"a.weight": torch.zeros(1)}, None, r"are of no detector known here, by their names \(a.weight"),
    ],
)
def test_what_is_not_known_is_said(state, classes, message):
    with pytest.raises(WeightsError, match=f"w.pth.*{message}"):
        described(state(), classes, "w.pth")


def test_what_does_not_fit_is_listed(peer, tmp_path):
    state = dict(peer.state_dict())
    state["extra.weight"] = torch.zeros(2)
    state["roi_heads.box_predictor.bbox_pred.bias"] = torch.zeros(5)
    del state["roi_heads.box_predictor.cls_score.bias"]
    torch.save(state, tmp_path / "w.pth")
    message = (
        r"w\.pth does not fit a faster-rcnn of 3 classes: 1 missing, first roi_heads.box_predictor.cls_score.bias; "
        r"1 unknown, first extra.weight; 1 of another shape, first roi_heads.*bbox_pred.bias \(5,\) for \(16,\)"
    )
    with pytest.raises(WeightsError, match=message):
        load_detector(tmp_path / "w.pth", classes=["a", "b", "c"])


class Harmful:
    def __reduce__(self):
        return print, ("executed",)


def test_nothing_in_a_file_is_executed(tmp_path, capsys):
    torch.save({"model": Harmful()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds other objects, which are not unpickled since they could run code"):
        load_detector(tmp_path / "w.pth")
    assert capsys.readouterr().out == ""
