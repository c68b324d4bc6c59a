"""Classifiers: torchvision's numbers, whose gradients, vectors, difference vectors, files."""

from __future__ import annotations

import re

import pytest
import torch
import torchvision
from torch import Tensor
from torch.nn import functional as F

from workbench.data import load_data
from workbench.detectors import build_detector, load_detector, save_detector
from workbench.detectors.classifier import Classifier
from workbench.detectors.layers.trunk import IMAGENET_MEAN, IMAGENET_STD
from workbench.errors import DataError, RecipeError
from workbench.hardeners import DFVAugmentation, RandomDropout

CLASSES = ("ant", "bee", "cow")
SMALL = {"kind": "classifier", "backbone": {"name": "small", "widths": [8, 12], "stem": 8}}


def classifier(config: dict = SMALL, hardener=None) -> Classifier:
    torch.manual_seed(0)
    return build_detector(config, CLASSES, hardener)


def images_of(count: int = 4, size: int = 32, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 256, (3, size, size), generator=generator, dtype=torch.uint8) for _ in range(count)]


def targets_of(count: int = 4) -> list[dict]:
    return [{"image_id": i, "label": 1 + i % 3, "pattern": 0, "source": i} for i in range(count)]


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "mobilenet_v3_small", "squeezenet1_0"])
def test_logits_are_torchvisions_for_the_same_state_dict(name: str) -> None:
    config = {"kind": "classifier", "backbone": {"name": name}, "size": 64}
    if name == "squeezenet1_0":  # its last layer is a convolution
        with pytest.raises(RecipeError, match="is no linear layer"):
            classifier(config)
        return
    torch.manual_seed(1)
    peer = torchvision.models.get_model(name, num_classes=3).eval()
    ours = classifier(config)
    ours.network.load_state_dict(peer.state_dict())
    images = images_of(2, 64)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    batch = torch.stack([(image.float() / 255 - mean) / std for image in images])
    with torch.no_grad():
        expected = peer(batch)
    torch.testing.assert_close(ours.logits(images), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.logits_of(ours.features(images)), expected, atol=1e-4, rtol=1e-4)
    assert ours.features(images).shape == (2, ours.num_features)


def test_the_small_network_keeps_apart_what_its_last_map_shows_where() -> None:
    """A map of 4 x 4 cells in 2 x 2 parts: channel by channel, the means of the quarters."""
    model = classifier({**SMALL, "backbone": {**SMALL["backbone"], "pool": 2}})
    assert model.num_features == 12 * 4
    images = images_of(2)
    with torch.no_grad():
        cells = list(model.eval().network.body(model.prepare(images)).values())[-1]
    assert cells.shape == (2, 12, 4, 4)
    quarters = [cells[..., y : y + 2, x : x + 2].mean(dim=(2, 3)) for y in (0, 2) for x in (0, 2)]
    torch.testing.assert_close(model.features(images), torch.stack(quarters, dim=2).flatten(1))


def test_losses_are_the_cross_entropy_of_labels_from_1() -> None:
    model = classifier()
    model.eval()
    images, targets = images_of(), targets_of()
    expected = F.cross_entropy(model.logits(images), torch.tensor([0, 1, 2, 0]))
    torch.testing.assert_close(model.losses(images, targets)["classifier"], expected)


def test_the_mode_changes_nothing_of_features_and_is_restored() -> None:
    model = classifier()
    model.train()
    first = model.features(images_of())
    assert model.training
    torch.testing.assert_close(first, model.eval().features(images_of()))
    torch.testing.assert_close(first[1:2], model.features(images_of()[1:2]))


def test_images_of_other_sizes_are_resized() -> None:
    found = classifier().detect([images_of(1, 50)[0], images_of(1)[0][:, :20]])
    assert [one.boxes.tolist() for one in found] == [[[0, 0, 50, 50]], [[0, 0, 32, 20]]]
    assert all(1 <= int(one.labels) <= 3 for one in found)
    assert classifier().detect([]) == []


def test_the_hardener_sees_vectors_and_its_differences_reach_the_loss_as_constants() -> None:
    hardener = DFVAugmentation(alpha=1.0, beta=1.0)
    model = classifier(hardener=hardener)
    model.eval()
    shift = torch.linspace(-3, 3, model.num_features)
    hardener.begin_epoch(lambda: shift[None, :, None, None])
    images, targets = images_of(), targets_of()
    loss = model.losses(images, targets, torch.Generator().manual_seed(0))["classifier"]
    logits = model.logits_of(model.features(images) + shift)
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.tensor([0, 1, 2, 0])))
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.network.parameters())


def test_the_score_has_no_background() -> None:
    model = classifier()
    vectors = model.features(images_of())[:, :, None, None].requires_grad_()
    logits = model.head_score()(vectors)
    assert logits.shape == (4, 4)
    assert (logits[:, 0] == -torch.inf).all()
    logits[:, 1:].sum().backward()
    assert vectors.grad.isfinite().all()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_difference_vectors_are_of_the_pairs_in_order() -> None:
    data = load_data("digits", split="val", occlusion={"pair_classes": 2, "pair_images": 2})
    assert data.pairs is None, "only training data have pairs"
    pairs = load_data("digits", occlusion={"pair_classes": 2, "pair_images": 2, "random_places": 1}).pairs
    model = build_detector(SMALL, tuple("0123456789"))
    found = model.differences(pairs)
    assert found.shape == (2 * 2 * 12, model.num_features, 1, 1)
    for row in (0, 13, 47):
        clean, occluded = pairs.index[row]
        both = model.features([pairs.clean.image(clean), pairs.occluded.image(occluded)])
        torch.testing.assert_close(found[row, :, 0, 0], both[1] - both[0], atol=1e-5, rtol=1e-4)


def test_saved_and_loaded_it_says_the_same(tmp_path) -> None:
    model = classifier(hardener=DFVAugmentation())
    again = load_detector(save_detector(model, tmp_path / "c.safetensors"))
    assert isinstance(again, Classifier)
    assert again.hardener is None
    torch.testing.assert_close(again.logits(images_of()), model.logits(images_of()))


def test_frozen_norm_and_named_parameters_stay() -> None:
    config = {
        "kind": "classifier",
        "size": 64,
        "backbone": {"name": "resnet18", "norm": "frozen", "learns": ["layer4.*"]},
    }
    model = classifier(config)
    model.train()
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert all(name.startswith(("network.layer4.", "network.fc.")) and "bn" not in name for name in learning)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.losses(images_of(2, 64), targets_of(2))["classifier"].backward()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_batch_norm_learns_where_the_layers_do() -> None:
    config = {"kind": "classifier", "size": 64, "backbone": {"name": "resnet18", "learns": ["layer4.*"]}}
    model = classifier(config)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.losses(images_of(2, 64), targets_of(2))["classifier"].backward()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    counters = {name for name in before if "layer4" in name and name.endswith(("mean", "var", "tracked"))}
    assert moved == counters


@pytest.mark.parametrize("norm", ["frozen", "batch"])
@pytest.mark.parametrize("learns", [["layer4.*"], []])
def test_remembered_maps_change_nothing_and_are_found_again(learns: list[str], norm: str) -> None:
    backbone = {"name": "resnet18", "norm": norm, "learns": learns}
    plain = classifier({"kind": "classifier", "size": 64, "backbone": backbone})
    cached = classifier({"kind": "classifier", "size": 64, "backbone": {**backbone, "cache": True}})
    cached.load_state_dict(plain.state_dict())
    images, targets = images_of(3, 64), targets_of(3)
    for _ in range(2):
        one, two = (model.losses(images, targets)["classifier"] for model in (plain, cached))
        torch.testing.assert_close(one, two)
    assert len(cached.cache) == 3
    cached.features(images_of(2, 64, seed=5))
    assert len(cached.cache) == 3, "evaluation must not fill the memory"


@pytest.mark.parametrize(("learns", "size", "stride"), [(["layer4.*"], 72, 16), ([], 112, 32)])
def test_remembered_maps_need_a_size_of_whole_cells(learns: list[str], size: int, stride: int) -> None:
    backbone = {"name": "resnet18", "norm": "frozen", "learns": learns}
    classifier({"kind": "classifier", "size": size, "backbone": backbone})
    message = f"detector.size is {size}; expected a multiple of {stride}, the stride"
    with pytest.raises(RecipeError, match=message):
        classifier({"kind": "classifier", "size": size, "backbone": {**backbone, "cache": True}})


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({}, "name is missing"),
        ({"name": "resnet19"}, "did you mean 'resnet1"),
        ({"name": "resnet18", "widths": [3]}, "widths is not an option of resnet18"),
        ({"name": "small", "width": 3}, "backbone.width does not exist (did you mean 'widths'?)"),
        ({"name": "small", "pool": 0}, "backbone.pool is 0; expected at least 1"),
        ({"name": "resnet18", "last": "layer1"}, "last 'layer1' is no linear layer"),
        ({"name": "resnet18", "norm": "group"}, "norm 'group'"),
        ({"name": "resnet18", "learns": ["layer5.*"]}, "no parameter is named 'layer5.*'"),
        ({"name": "vgg11", "cache": True, "norm": "frozen"}, "only the maps of resnet18"),
        ({"name": "resnet18", "cache": True, "norm": "frozen"}, "learn; name"),
    ],
)
def test_bad_backbones_say_what_exists(backbone: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        classifier({"kind": "classifier", "backbone": backbone})


def test_a_network_without_vectors_before_its_layer_is_told() -> None:
    model = classifier({"kind": "classifier", "size": 64, "backbone": {"name": "vgg11", "last": "classifier.3"}})
    with pytest.raises(RecipeError, match=r"classifier\.3 takes 4096 numbers, but the network ends in 1000"):
        model.losses(images_of(2), targets_of(2))
    with pytest.raises(RecipeError, match="name its last linear layer"):
        model.features(images_of(2))


def test_hardeners_of_maps_and_vectors_are_told_apart() -> None:
    with pytest.raises(RecipeError, match="a classifier has one vector per image"):
        classifier(hardener=RandomDropout())
    with pytest.raises(RecipeError, match="a faster-rcnn has maps of RoIs"):
        build_detector({"kind": "faster-rcnn", "backbone": {"name": "small"}}, CLASSES, DFVAugmentation())


def test_targets_without_label_and_labels_outside_are_named() -> None:
    model = classifier()
    with pytest.raises(DataError, match='image 0 has no target\\["label"\\]'):
        model.losses(images_of(1), [{"image_id": 0}])
    with pytest.raises(DataError, match=r"label 4 is outside 1\.\.3"):
        model.losses(images_of(1), [{"image_id": 0, "label": 4}])
    with pytest.raises(DataError, match="1 images came with 2 targets"):
        model.losses(images_of(1), targets_of(2))


def test_imagenet_resnet50_in_8_bits_knows_its_images(data_root) -> None:
    weights = str(data_root / "weights" / "resnet50_imagenet_uint8.pt")
    config = {"kind": "classifier", "backbone": {"name": "resnet50", "weights": weights, "norm": "frozen"}}
    folder = data_root / "weights" / "check-images"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    from workbench.data.labelled_images import Photographs

    paths = sorted(folder.glob("*.jpg"))
    labels = [int(path.name.split("_")[0]) + 1 for path in paths]
    data = Photographs("check", "test", [str(k) for k in range(1000)], paths, labels, resize="crop")
    model = build_detector(config, data.classes)
    found = model.logits([data.image(i) for i in range(len(data))]).argmax(1) + 1
    assert (found == torch.tensor(labels)).sum() >= 18
