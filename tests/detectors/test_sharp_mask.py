"""SharpMask: what stays of the DeepMask it starts from, and what refinement adds."""

from __future__ import annotations

import pytest
import torch
from small_detectors import DEEP_MASK, SHARP_MASK

import workbench as wb
from workbench.detectors import build_detector, load_detector, save_detector, start_from
from workbench.errors import RecipeError

CLASSES = tuple("0123456789")


@pytest.fixture(scope="module")
def data():
    return wb.load_data("digit-scenes", length=12)


@pytest.fixture
def pair(tmp_path):
    torch.manual_seed(0)
    coarse = build_detector(DEEP_MASK, CLASSES)
    path = save_detector(coarse, tmp_path / "coarse.safetensors")
    sharp = build_detector(SHARP_MASK, CLASSES)
    kept = start_from(sharp, path)
    return coarse, sharp, kept


def test_only_the_refinement_begins_anew(pair):
    coarse, sharp, kept = pair
    assert kept
    assert all(name.startswith("refinement.") for name in kept)
    own = sharp.state_dict()
    assert all(own[name].equal(value) for name, value in coarse.state_dict().items())


def test_one_network_gives_coarse_and_sharp_masks(pair, data):
    coarse, sharp, _ = pair
    image = data.image(0)
    expected = coarse.proposals([image], 30)[0]
    with sharp.coarse():
        found = sharp.proposals([image], 30)[0]
    assert found.scores.equal(expected.scores)
    assert found.masks == expected.masks
    refined = sharp.proposals([image], 30)[0]
    assert torch.isin(refined.scores, expected.scores).all()  # of the same windows, but for masks without a pixel
    assert sharp.refines


def test_only_the_refinement_learns(pair, data):
    _, sharp, _ = pair
    some = sharp.samples(data)
    assert all("objectness" not in some.target(index) for index in range(len(some)))
    before = {name: value.clone() for name, value in sharp.state_dict().items()}
    learning = [parameter for parameter in sharp.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.1)
    sharp.train()
    losses = sharp.losses(*zip(*[some[index] for index in range(8)], strict=True))
    assert list(losses) == ["mask"]
    losses.total.backward()
    optimizer.step()
    for name, value in sharp.state_dict().items():  # running statistics as well
        assert value.equal(before[name]) == (not name.startswith("refinement.")), name


@pytest.mark.parametrize("variant", ["refine", "skip", "deconv"])
@pytest.mark.parametrize("form", ["thesis", "released"])
def test_a_window_of_an_image_is_a_patch(variant, form):
    torch.manual_seed(0)
    sharp = build_detector(SHARP_MASK | {"variant": variant, "form": form, "scales": [0.0, 0.0]}, CLASSES).eval()
    image = torch.rand(3, 256, 256)
    with torch.no_grad():
        (found,) = sharp.scales(image)
        place = int(found.boxes.sub(torch.tensor([96.0, 96, 160, 160])).abs().sum(dim=1).argmin())
        left, top, right, bottom = found.boxes[place].int().tolist()
        part = (image[None, :, top - 64 : bottom + 64, left - 64 : right + 64] - sharp.mean) / sharp.std
        maps = sharp.trunk(part)
        vector, _ = sharp.head(maps[0][..., 8:16, 8:16])
        alone = sharp.patch_masks(vector[:, :, 0, 0], maps, 8)
        masks = sharp.window_masks(found, torch.tensor([place]))
    assert masks.shape == (1, 64, 64)
    torch.testing.assert_close(masks, alone, atol=1e-4, rtol=1e-4)


def test_refinement_sharpens(data, tmp_path):
    """Refined masks of new patches fit better than the coarse ones that they start from."""
    torch.manual_seed(0)
    coarse = build_detector(DEEP_MASK, CLASSES)
    some = coarse.samples(data)
    optimizer = torch.optim.AdamW(coarse.parameters(), lr=3e-3)
    for step in range(60):
        batch = [some.drawn(0, step)[index] for index in range(12)]
        optimizer.zero_grad()
        coarse.losses(*zip(*batch, strict=True)).total.backward()
        optimizer.step()
    sharp = build_detector(SHARP_MASK | {"k": 16}, CLASSES)
    start_from(sharp, save_detector(coarse, tmp_path / "coarse.safetensors"))
    some = sharp.samples(data)
    held_out = list(zip(*[some.drawn(1, 0)[index] for index in range(12)], strict=True))
    learning = [parameter for parameter in sharp.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=3e-3)
    for step in range(60):
        batch = [some.drawn(2, step)[index] for index in range(12)]
        optimizer.zero_grad()
        sharp.losses(*zip(*batch, strict=True)).total.backward()
        optimizer.step()
    with torch.no_grad():
        assert sharp.eval().losses(*held_out)["mask"] < coarse.eval().losses(*held_out)["mask"]


def test_saved_and_loaded(pair, data, tmp_path):
    _, sharp, _ = pair
    again = load_detector(save_detector(sharp, tmp_path / "sharp.safetensors"))
    image = data.image(1)
    assert again.proposals([image], 10)[0].masks == sharp.proposals([image], 10)[0].masks


def test_options_that_do_not_fit():
    with pytest.raises(RecipeError, match=r"detector\.schedule"):
        build_detector(SHARP_MASK | {"schedule": "c"}, CLASSES)
    with pytest.raises(RecipeError, match=r"detector\.size"):
        build_detector(SHARP_MASK | {"size": 60}, CLASSES)
