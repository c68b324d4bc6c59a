"""LResNet-E-IR: sizes as they are published, names as published state dicts have them, the classifier around it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from workbench.detectors import build_detector, load_detector, save_detector
from workbench.detectors.layers.face_network import UNITS, FaceNetwork, ImprovedUnit
from workbench.errors import RecipeError, WeightsError
from workbench.training.recipe import Recipe

#: Intel's Open Model Zoo of LResNet34E-IR, 50 and 100: parameters, and two operations per multiplication, in units of
#: 1e6 and 1e9. Norms behind convolutions are folded into them there; of the others scale and shift are counted.
PUBLISHED = {"lresnet34e-ir": (34.129, 8.934), "lresnet50e-ir": (43.576, 12.637), "lresnet100e-ir": (65.131, 24.209)}
CONFIG = {"kind": "classifier", "backbone": {"name": "lresnet50e-ir"}}


@pytest.fixture
def short():
    """One unit a stage, so that building and learning take no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(UNITS, "lresnet50e-ir", (1, 1, 1, 1))
        yield


@pytest.fixture
def faces(short):
    torch.manual_seed(0)
    return build_detector(CONFIG, ("anna", "ben"))


def bare(name):
    with torch.device("meta"):
        return FaceNetwork(UNITS[name]).eval()


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_those_that_are_published(name):
    net = bare(name)
    units = [part for part in net.modules() if isinstance(part, ImprovedUnit)]
    weights = [part.weight for part in net.modules() if isinstance(part, nn.Conv2d | nn.PReLU)]
    shifts = [net.bn1, *(norm for unit in units for norm in (unit.bn2, unit.bn3))]
    shifts += [unit.downsample[1] for unit in units if unit.downsample is not None]
    number = sum(weight.numel() for weight in weights) + sum(norm.bias.numel() for norm in shifts)
    number += 2 * sum(unit.bn1.bias.numel() for unit in units)
    number += net.fc.weight.numel() + net.fc.bias.numel()
    millions, billions = PUBLISHED[name]
    assert number / 1e6 == pytest.approx(millions, abs=0.0005)
    multiplications = []
    for part in net.modules():
        if isinstance(part, nn.Conv2d) or part is net.fc:
            part.register_forward_hook(
                lambda own, _, out: multiplications.append(out.numel() * own.weight[0].numel())
            )
    net(torch.empty(1, 3, 112, 112, device="meta"))
    assert 2 * sum(multiplications) / 1e9 == pytest.approx(billions, rel=0.002), "the rest is norms and sums"


def test_maps_and_names():
    """50 layers: 24 units of two convolutions, the first one and fc; a face of 112 px becomes 7 x 7 cells."""
    net = bare("lresnet50e-ir")
    sizes = {}
    for name, part in net.named_children():
        part.register_forward_hook(lambda own, _, out, name=name: sizes.update({name: tuple(out.shape[1:])}))
    net(torch.empty(2, 3, 112, 112, device="meta"))
    assert sizes["conv1"] == (64, 112, 112)
    shapes = [(64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]
    assert [sizes[f"layer{number}"] for number in (1, 2, 3, 4)] == shapes
    assert sizes["fc"] == sizes["features"] == (512,)
    state = {key: tuple(value.shape) for key, value in net.state_dict().items() if not key.endswith("tracked")}
    norm = ("weight", "bias", "running_mean", "running_var")
    expected = {"conv1.weight": (64, 3, 3, 3), "prelu.weight": (64,), "fc.weight": (512, 25088), "fc.bias": (512,)}
    expected |= {
        f"{name}.{key}": (width,) for name, width in (("bn1", 64), ("bn2", 512), ("features", 512)) for key in norm
    }
    inputs = 64
    for number, (width, count) in enumerate(((64, 3), (128, 4), (256, 14), (512, 3)), start=1):
        for unit in range(count):
            place = f"layer{number}.{unit}"
            expected |= {
                f"{place}.conv1.weight": (width, inputs, 3, 3),
                f"{place}.conv2.weight": (width, width, 3, 3),
            }
            expected |= {f"{place}.prelu.weight": (width,)} | {f"{place}.bn1.{key}": (inputs,) for key in norm}
            expected |= {f"{place}.bn{n}.{key}": (width,) for n in (2, 3) for key in norm}
            if unit == 0:
                expected |= {f"{place}.downsample.0.weight": (width, inputs, 1, 1)}
                expected |= {f"{place}.downsample.1.{key}": (width,) for key in norm}
            inputs = width
    assert state == expected | {"logits.weight": (1, 512), "logits.bias": (1,)}


def test_a_unit_by_hand():
    """Of one channel and identity convolutions, with statistics that are not 0 and 1."""
    unit = ImprovedUnit(1, 1, 1).eval()
    with torch.no_grad():
        for conv in (unit.conv1, unit.conv2):
            conv.weight.zero_()[0, 0, 1, 1] = 1.0
        unit.bn1.running_mean.fill_(2.0)
        unit.bn2.weight.fill_(3.0)
        unit.bn3.bias.fill_(10.0)
        unit.prelu.weight.fill_(0.5)
        found = unit(torch.tensor([[[[1.0, 4.0]]]])).flatten().tolist()
    assert found == pytest.approx([1 + 0.5 * -3 + 10, 4 + 3 * 2 + 10], rel=1e-4)


def test_a_classifier_of_faces_takes_published_weights(faces, tmp_path):
    """Those of InsightFace have no layer for classes; what is seen is (p - 127.5) / 128; vectors have no scale."""
    state = {key: value for key, value in faces.network.state_dict().items() if not key.startswith("logits.")}
    torch.save(state, tmp_path / "backbone.pth")
    backbone = CONFIG["backbone"] | {"weights": str(tmp_path / "backbone.pth")}
    ours = build_detector(CONFIG | {"backbone": backbone}, ("a", "b", "c"))
    assert all(torch.equal(value, ours.network.state_dict()[key]) for key, value in state.items())
    assert (ours.size, ours.num_features, ours.last.out_features) == (112, 512, 3)
    image = torch.randint(0, 256, (3, 112, 112), dtype=torch.uint8)
    torch.testing.assert_close(ours.prepare([image])[0], (image.float() - 127.5) / 128)
    assert "network.features.weight" not in dict(ours.named_parameters())
    first = ours.features([image])
    assert first.shape == (1, 512)
    assert torch.equal(first, ours.features([image])), "nothing is dropped"
    again = load_detector(save_detector(ours, tmp_path / "faces.safetensors"))
    assert torch.equal(again.logits([image]), ours.logits([image]))
    missing = {key: value for key, value in state.items() if not key.startswith("layer4.")}
    torch.save(missing, tmp_path / "backbone.pth")
    with pytest.raises(WeightsError, match=r"lacks .* first \['layer4"):
        build_detector(CONFIG | {"backbone": backbone}, ("a", "b"))


def test_it_learns_and_drops(faces):
    images = [torch.rand(3, 112, 112) for _ in range(2)]
    faces.train()
    assert any(part.training for part in faces.network.modules() if isinstance(part, nn.BatchNorm1d))
    losses = faces.losses(images, [{"label": 1}, {"label": 2}], torch.Generator().manual_seed(0))
    losses.total.backward()
    assert all(each.grad is not None for each in faces.parameters())
    vectors = faces.network(faces.prepare(images))
    assert not torch.equal(vectors, faces.network(faces.prepare(images)))
    assert F.linear(vectors, faces.last.weight).shape == (2, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 224}, r"detector\.size is 224; lresnet50e-ir sees 112 px and no other size"),
        ({"backbone": {"name": "lresnet50e-ir", "cache": True}}, r"only the maps of resnet18"),
        ({"backbone": {"name": "lresnet50e-ir", "widths": [3]}}, r"detector\.backbone\.widths is not an option"),
        ({"backbone": {"name": "lresnet50-ir"}}, r"did you mean 'lresnet50e-ir'"),
    ],
)
def test_what_it_cannot_do(change, message):
    with torch.device("meta"), pytest.raises(RecipeError, match=message):
        build_detector(CONFIG | change, ("a", "b"))


def test_torchvision_has_no_weights_of_it():
    with (
        torch.device("meta"),
        pytest.raises(WeightsError, match="no ImageNet weights of lresnet50e-ir; name a local"),
    ):
        build_detector(CONFIG | {"backbone": {"name": "lresnet50e-ir", "weights": "imagenet"}}, ("a", "b"))


@pytest.mark.parametrize("name", ["dfv/ar-c-full", "dfv/ar-f"])
def test_the_recipes_of_ar_faces_have_the_papers_network(name):
    recipe = Recipe.load(name, trial=False)
    assert recipe.detector["backbone"]["name"] == "lresnet50e-ir"
    assert recipe.detector["backbone"]["weights"].endswith(".pth")
