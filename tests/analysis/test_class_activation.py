"""LayerCAM and HiResCAM: by hand, complete where the network is linear, and of the detection that is asked about."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from small_detectors import FASTER_RCNN, RETINANET
from torch import nn
from torch.nn import functional as F
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.ops import box_iou

from workbench.analysis.class_activation import METHODS, class_activation, enlarged
from workbench.analysis.explain import methods_of
from workbench.data import load_data
from workbench.detectors import Detector, build_detector, load_detector
from workbench.detectors.base import evaluating
from workbench.errors import DataError
from workbench.types import Detections

IMAGE = torch.randint(0, 256, (3, 6, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
WHOLE = Detections(torch.tensor([[0.0, 0, 8, 6]]), torch.tensor([1]), torch.tensor([0.5]))


class Levels(nn.Module):
    """Two maps that do not depend on the image: 2 × 2 cells and one cell; scores are linear in them."""

    def __init__(self, fine, coarse):
        super().__init__()
        self.fine, self.coarse = fine, coarse
        self.body = nn.Identity()

    def scores(self):
        fine, coarse = self.body((self.fine[None], self.coarse[None]))
        weights = torch.tensor([[[1.0, -1], [2, 0]], [[1, 1], [0, 0]]])
        return ((fine[0] * weights).sum() + 3 * coarse.sum())[None]


@pytest.fixture
def levels():
    fine = torch.tensor([[[4.0, 2], [-1, 5]], [[-6, 1], [7, 7]]])
    return Levels(fine, torch.tensor([[[2.0]]]))


def test_by_hand(levels):
    """g A: 4 - 6, -2 + 1, -2 + 0 and 0 + 0 of fine cells, 6 of the coarse one; LayerCAM takes positive g alone."""
    hires, layer = (
        class_activation(levels, IMAGE, WHOLE, method=name, layers=["body"], scores=levels.scores)[0]
        for name in ("hires-cam", "layer-cam")
    )
    assert [one.map.tolist() for one in hires.levels] == [[[-2, -1], [-2, 0]], [[6]]]
    assert [one.map.tolist() for one in layer.levels] == [[[0, 1], [0, 0]], [[6]]]
    assert [(one.name, one.stride) for one in layer.levels] == [("body.0", 3), ("body.1", 6)]
    assert [one.share for one in hires.levels] == [0, 1]
    assert [one.share for one in layer.levels] == pytest.approx([1 / 7, 6 / 7])
    assert (layer.method, layer.settings) == (
        "layer-cam",
        {"layers": ("body",), "target": pytest.approx(4 - 2 - 2 - 5 + 6)},
    )


def test_levels_of_a_layer_are_summed_per_pixel(levels):
    """The coarse cell has four times the area of a fine one, so each of its pixels has a quarter of its value."""
    one = class_activation(levels, IMAGE, WHOLE, method="hires-cam", layers=["body"], scores=levels.scores)[0]
    fine = F.interpolate(one.levels[0].map[None, None], size=(6, 8), mode="bilinear")[0, 0]
    torch.testing.assert_close(one.map, fine + 6 / 4)


class Net(nn.Module):
    """Linear behind its maps."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, padding=1, stride=2)
        self.last = nn.Linear(5, 2, bias=False)

    def forward(self, image):
        x = image.float()[None] / 255
        return self.last(self.two(F.relu(self.one(x))).sum(dim=(2, 3)))[0]


@pytest.mark.parametrize("layer", ["one", "two"])
def test_hires_cam_is_complete_where_what_follows_is_linear(layer):
    """The sum over all cells is the score, as there is no bias behind the layer; ReLU is made of linear pieces."""
    net = Net()
    nn.init.zeros_(net.two.bias)
    found = Detections(WHOLE.boxes.repeat(2, 1), torch.tensor([1, 2]), torch.ones(2))
    maps = class_activation(net, IMAGE, found, method="hires-cam", layers=[layer], scores=lambda: net(IMAGE))
    for one, score in zip(maps, net(IMAGE).tolist(), strict=True):
        assert float(one.levels[0].map.sum()) == pytest.approx(score, abs=1e-4)
        assert one.settings["target"] == pytest.approx(score)


def test_of_several_layers_the_highest_of_each_scaled_to_one():
    net = Net()
    options = {"method": "layer-cam", "scores": lambda: net(IMAGE)[:1]}
    one, two, both = (
        class_activation(net, IMAGE, WHOLE, layers=layers, **options)[0]
        for layers in (["one"], ["two"], ["one", "two"])
    )
    torch.testing.assert_close(both.map, torch.maximum(one.map / one.map.max(), two.map / two.map.max()))
    assert [level.name for level in both.levels] == ["one", "two"]


def test_enlarging():
    """Like interpolate where the map covers the image; where it covers more, the rest is cut off."""
    cells = torch.rand(4, 5, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(cells[None, None], size=(32, 40), mode="bilinear")[0, 0]
    torch.testing.assert_close(enlarged(cells, (32, 40), (32, 40)), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(enlarged(cells, (32, 40), (30, 33)), whole[:30, :33], atol=1e-5, rtol=0)


@pytest.mark.parametrize("config", [FASTER_RCNN, RETINANET], ids=["faster-rcnn", "retinanet"])
def test_the_target_is_the_logit_of_the_box(config):
    torch.manual_seed(0)
    detector = build_detector(config, ("a", "b", "c")).train()
    image = torch.randint(0, 256, (3, 60, 90), dtype=torch.uint8)
    boxes, labels = torch.tensor([[4.0, 4, 40, 40], [50, 10, 80, 50]]), torch.tensor([2, 3])
    maps = class_activation(detector, image, Detections(boxes, labels, torch.ones(2)))
    scores = detector.score_boxes([image], [boxes])[0].gather(1, labels[:, None])[:, 0]
    logits = [one.settings["target"] for one in maps]
    if config is RETINANET:
        assert torch.sigmoid(torch.tensor(logits)).tolist() == pytest.approx(scores.tolist(), abs=1e-5)
    with torch.no_grad():
        given = detector.eval().box_logits([image], [boxes])[0].gather(1, labels[:, None])[:, 0]
    assert logits == pytest.approx(given.tolist(), abs=1e-4)
    assert [one.map.shape for one in maps] == [(60, 90)] * 2


def test_ours_go_on_as_they_were():
    torch.manual_seed(0)
    detector = build_detector(FASTER_RCNN, ("a", "b")).train()
    detector.roi_heads.eval()
    asked = Detections(torch.tensor([[4.0, 4, 40, 40]]), torch.tensor([2]), torch.ones(1))
    class_activation(detector, torch.zeros(3, 64, 64, dtype=torch.uint8), asked)
    assert detector.training
    assert not detector.roi_heads.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in detector.parameters())
    assert not any(part._forward_hooks for part in detector.modules())


@pytest.fixture(scope="module")
def two_digits():
    """A scene of digits, and what a detector finds for sure."""
    return load_data("digit-scenes", split="test")[7][0].as_subclass(torch.Tensor)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("name", "layer"), [("faster-rcnn", "backbone"), ("faster-rcnn", "backbone.body"),
                                             ("retinanet", "backbone.body")])  # fmt: skip
def test_the_map_follows_the_target(two_digits, name, layer, method):
    """Each of the objects, of three classes, has more of its own map than any other has, and than by chance."""
    detector = load_detector(f"digit-scenes/{name}")
    found = detector.detect([two_digits])[0].above(0.7)
    assert len(found.labels.unique()) >= 3
    maps = class_activation(detector, two_digits, found, method=method, layers=[layer])
    inside = torch.tensor([[one.energy(box) for box in found.boxes] for one in maps])
    chance = torch.tensor([maps[0].chance(box) for box in found.boxes])
    lift = inside / chance
    assert (lift.diagonal() > 4).all()
    others = lift[~torch.eye(len(found), dtype=torch.bool)]
    assert others.max() < lift.diagonal().min()
    assert sum(one.points_at(tolerance=8) for one in maps) >= len(found) - 1


def test_the_map_follows_the_class(two_digits):
    """At one box, what speaks for another class is another map."""
    detector = load_detector("digit-scenes/faster-rcnn")
    box = detector.detect([two_digits])[0].boxes[0]
    asked = Detections(box.expand(10, 4), torch.arange(1, 11), torch.ones(10))
    maps = torch.stack(
        [one.map.flatten() for one in class_activation(detector, two_digits, asked, method="hires-cam")]
    )
    assert torch.corrcoef(maps).fill_diagonal_(0).amax() < 0.99
    assert torch.corrcoef(maps).amin() < 0.2


def found_by(module, image):
    with torch.no_grad():
        out = module.eval()([image.float() / 255])[0]
    found = Detections(out["boxes"], out["labels"], out["scores"])
    return found[((found.boxes[:, 2:] - found.boxes[:, :2]) > 8).all(dim=1)]


@pytest.fixture(scope="module")
def ssd():
    torch.manual_seed(0)
    return ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4, score_thresh=0.0)


def test_a_detector_of_torchvision(ssd):
    """Random weights: the target is the score of the detection itself, and its graph ends in the named layer."""
    image = torch.randint(0, 256, (3, 90, 120), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    found = found_by(ssd, image)[:2]
    ssd.train()
    maps = class_activation(ssd, image, found, layers=["backbone"], method="hires-cam")
    assert ssd.training
    assert [one.settings["target"] for one in maps] == pytest.approx(found.scores.tolist(), abs=1e-5)
    assert maps[0].map.shape == (90, 120)
    assert maps[0].map.abs().max() > 0
    assert len(maps[0].levels) == 6
    far = Detections(torch.tensor([[0.0, 0, 2, 2]]), found.labels[:1], torch.ones(1))
    assert box_iou(far.boxes, found_by(ssd, image).boxes).max() < 0.5
    with pytest.raises(DataError, match=r"does not find detection 0 \(label \d, box \[0\.0, 0\.0, 2\.0, 2\.0\]\)"):
        class_activation(ssd, image, far)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "grad-cam"}, "method 'grad-cam' does not exist; choose from layer-cam, hires-cam"),
        ({"layers": ["three"]}, r"Net has no layer 'three'.*on top it has one, two, last"),
        ({"layers": ["last"], "scores": True}, r"layer last gave no maps \[1, C, h, w\]"),
        ({"layers": ["one"], "scores": "several"}, r"scores gave \(2,\); expected \[1\]"),
        ({"layers": ["one"], "scores": "apart"}, "layer one has no part in the scores"),
        ({"layers": ["one"], "scores": "batch"}, r"maps of shape \(2, 4, 6, 8\); expected one image"),
        ({"layers": ["one"]}, "Net gives no list of boxes, labels and scores"),
    ],
)
def test_what_cannot_be_asked(options, message):
    net = Net()
    net.forward = lambda images: net.last(net.one(images[0][None]).sum((2, 3)).repeat(1, 2)[:, :5])
    ways = {
        True: lambda: Net.forward(net, IMAGE)[:1],
        "several": lambda: Net.forward(net, IMAGE),
        "apart": lambda: (net.one(IMAGE[None].float()), torch.ones(1))[1],
        "batch": lambda: net.one(IMAGE[None].float().repeat(2, 1, 1, 1)).sum()[None],
    }
    given = {**options, "scores": ways[options["scores"]]} if "scores" in options else options
    with pytest.raises(DataError, match=message):
        class_activation(net, IMAGE, WHOLE, **given)


def test_what_has_no_layers():
    class Outside:
        classes, needs_proposals = ("one",), False

        def detect(self, images):
            return [WHOLE for _ in images]

    with pytest.raises(DataError, match=r"Outside.* is no torch module.*d_rise explains any detector"):
        class_activation(Outside(), IMAGE, WHOLE)
    assert class_activation(Net(), IMAGE, WHOLE[:0]) == []


class Around(Detector):
    """As `wb.wrap` puts a detector around a module of torchvision: its labels are other numbers."""

    def __init__(self, module):
        super().__init__()
        self.module, self.classes = module, ("three", "two", "one")
        self.family = SimpleNamespace(ask=self.ask)

    def ask(self, images, device):
        return self.module([image.float() / 255 for image in images])

    def detect(self, images):
        with evaluating(self):
            found = [Detections(one["boxes"], 4 - one["labels"], one["scores"]) for one in self.ask(images, "cpu")]
        return found


def test_a_detector_that_wraps_a_module(ssd):
    """The same maps as of the module itself, though it counts its classes otherwise."""
    image = torch.randint(0, 256, (3, 90, 120), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    found = found_by(ssd, image)[:2]
    renamed = Detections(found.boxes + 0.25, 4 - found.labels, found.scores)
    maps = class_activation(Around(ssd), image, renamed, layers=["backbone"])
    itself = class_activation(ssd, image, found, layers=["backbone"])
    for one, other in zip(maps, itself, strict=True):
        assert one.settings["target"] == pytest.approx(other.settings["target"])
        torch.testing.assert_close(one.map, other.map)
    empty = Around(ssd)
    empty.module = None
    assert methods_of(Around(ssd)) == ("layer-cam", "hires-cam", "d-rise")
    assert methods_of(empty) == ("d-rise",)
    with pytest.raises(DataError, match="is no torch module"):
        class_activation(empty, image, renamed)
