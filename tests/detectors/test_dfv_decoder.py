"""The DFV decoder: the paper's shapes, what learns, what it begins from, files and figures."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from workbench.data import load_data
from workbench.detectors import build_detector, load_detector, save_detector, start_from
from workbench.detectors.dfv_decoder import DFVDecoder, Generator, generator_channels
from workbench.errors import RecipeError, WeightsError
from workbench.evaluation import evaluate
from workbench.hardeners import DFVAugmentation

CLASSES = tuple("0123456789")
CLASSIFIER = {"kind": "classifier", "backbone": {"name": "small", "widths": [8, 12], "stem": 8}}
DECODER = {"kind": "dfv-decoder", "classifier": CLASSIFIER, "size": 32, "width": 32}


def decoder(config: dict = DECODER) -> DFVDecoder:
    torch.manual_seed(0)
    return build_detector(config, CLASSES)


def test_the_papers_decoder_is_dcgans_with_two_more_and_a_last_convolution() -> None:
    sides = []
    with torch.device("meta"):
        generator = Generator(512, size=256, width=512)
        for layer in generator:
            if isinstance(layer, nn.ConvTranspose2d):
                layer.register_forward_hook(lambda layer, given, made: sides.append(made.shape[-1]))
        assert generator(torch.empty(2, 512, 1, 1)).shape == (2, 3, 256, 256)
    assert sides == [4, 8, 16, 32, 64, 128, 256]
    transposed = [layer for layer in generator if isinstance(layer, nn.ConvTranspose2d)]
    assert len(transposed) == 5 + 2
    assert transposed[0].in_channels == 512
    assert [layer.out_channels for layer in transposed] == generator_channels(256, 512)
    assert isinstance(generator[-2], nn.Conv2d)


@pytest.mark.parametrize("size", [0, 4, 33, 100])
def test_sides_are_powers_of_two(size: int) -> None:
    with pytest.raises(RecipeError, match=f"detector.size is {size}"):
        generator_channels(size, 64)


def test_only_the_generator_learns_and_the_loss_is_the_squared_error() -> None:
    model = decoder()
    model.train()
    data = load_data("digits", split="val")
    images, targets = zip(*(data[i] for i in range(6)), strict=True)
    before = {name: value.clone() for name, value in model.classifier.state_dict().items()}
    loss = model.losses(images, targets)["mse"]
    loss.backward()
    assert all(parameter.grad is None for parameter in model.classifier.parameters())
    assert all(parameter.grad is not None for parameter in model.generator.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.classifier.state_dict().items())
    model.eval()
    expected = (model.decode(model.classifier.features(images)) - torch.stack(images) / 255).square().mean()
    torch.testing.assert_close(model.losses(images, targets)["mse"].detach(), expected)
    torch.testing.assert_close(model.errors(images).mean(), expected)


def test_it_begins_from_a_classifier_and_is_loaded_without_it(tmp_path) -> None:
    torch.manual_seed(7)
    classifier = build_detector(CLASSIFIER, CLASSES)
    file = save_detector(classifier, tmp_path / "classifier.safetensors")
    model = decoder()
    start_from(model, file)
    images = [load_data("digits", split="val").image(i) for i in range(3)]
    torch.testing.assert_close(model.classifier.features(images), classifier.features(images))
    saved = save_detector(model, tmp_path / "decoder.safetensors")
    file.unlink()
    again = load_detector(saved)
    vectors = again.classifier.features(images)
    torch.testing.assert_close(again.decode(vectors), model.decode(vectors))
    assert again.decode(vectors + 1).shape == (3, 3, 32, 32)
    with pytest.raises(WeightsError, match="no counterpart"):
        start_from(model, saved)


def test_pictures_are_learned_and_evaluated_by_column() -> None:
    data = load_data("digits", split="val", occlusion={"pair_classes": 2, "random_places": 1}).subset(range(65))
    model = decoder()
    before = evaluate(model, data, progress=False).summary
    optimizer = torch.optim.Adam(model.generator.parameters(), 0.01)
    batch = [data[i] for i in range(65)]
    for _ in range(12):
        optimizer.zero_grad()
        model.losses(*zip(*batch, strict=True))["mse"].backward()
        optimizer.step()
    after = evaluate(model, data, progress=False, losses=True)
    assert set(after.summary) == {
        "mse_clean",
        "mse_20_centre",
        "mse_20_random",
        "mse_10_centre",
        "mse_10_random",
        "mse_occluded",
    }
    assert after.summary["mse_occluded"] < before["mse_occluded"]
    assert after.losses["mse"] == pytest.approx(
        (after.summary["mse_clean"] + 12 * after.summary["mse_occluded"]) / 13, rel=1e-3
    )


def test_a_hardener_is_refused() -> None:
    with pytest.raises(RecipeError, match="nothing of a dfv-decoder can be hardened"):
        build_detector(DECODER, CLASSES, DFVAugmentation())
