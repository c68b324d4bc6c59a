"""Pasted occluders: exactly as much is hidden as was drawn, of what, and by what."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from workbench import load_data
from workbench.hiders import Paste, Scene


@pytest.fixture(scope="module")
def sample():
    return load_data("digit-scenes", split="test", occlusion_rate=0.0)[7]


def scene(seed: int) -> Scene:
    return Scene(np.random.default_rng(seed))


@pytest.mark.parametrize("occluders", ["grey", "texture", "fence", ["cup", "wheel"]])
def test_each_object_is_hidden_by_the_share_that_was_drawn(sample, occluders):
    _, after = Paste(occluders=occluders, share=1.0, fraction=(0.4, 0.4), most=1).hide(*sample, scene(1))
    own = sample[1]["masks_amodal"].flatten(1).sum(1)
    hidden = (after["occlusion"] * own).round()
    chosen = int(hidden.argmax())
    assert int(hidden[chosen]) == int(0.4 * own[chosen] + 0.5)


def test_what_is_hidden_already_counts():
    """Scenes with occluders: afterwards 60 % of every object are hidden, or what was before, if that was more."""
    for seed in range(4):
        image, target = load_data("digit-scenes", split="test")[20 + seed]
        after = Paste(occluders="grey", share=1.0, fraction=(0.6, 0.6), spare=True).hide(image, target, scene(seed))[
            1
        ]
        own = target["masks_amodal"].flatten(1).sum(1)
        wanted = torch.maximum((0.6 * own + 0.5).floor() / own, target["occlusion"])
        torch.testing.assert_close(after["occlusion"], wanted)


def test_share_and_most(sample):
    counts = [int((Paste(share=0.5).hide(*sample, scene(seed))[1].get("occlusion", sample[1]["occlusion"]) > 0).sum())
              for seed in range(12)]  # fmt: skip
    assert 1 < np.mean(counts) < 4, "of five, and some that lie beside"
    assert len(set(counts)) > 1
    only = Paste(occluders="grey", share=1.0, most=2, spare=True).hide(*sample, scene(0))[1]
    assert int((only["occlusion"] > 0).sum()) == 2


def test_spared_objects_lie_in_front():
    """Two objects side by side: what covers half of the one would reach into the other."""
    whole = torch.zeros(2, 20, 40, dtype=torch.bool)
    whole[0, 5:15, 5:20], whole[1, 5:15, 20:35] = True, True
    target = {"boxes": torch.tensor([[5.0, 5, 20, 15], [20, 5, 35, 15]]), "labels": torch.tensor([1, 1]),
              "difficult": torch.tensor([False, True]), "masks": whole, "masks_amodal": whole,
              "occlusion": torch.zeros(2)}  # fmt: skip
    image, options = (
        torch.zeros(3, 20, 40, dtype=torch.uint8),
        {"occluders": "grey", "share": 1.0, "fraction": (0.5, 0.5)},
    )
    reaching, sparing = (
        Paste(place="right", spare=spare, **options).hide(image, target, scene(0)) for spare in (False, True)
    )
    assert reaching[1]["occlusion"][0] == sparing[1]["occlusion"][0] == pytest.approx(75 / 150, abs=0.01)
    assert reaching[1]["occlusion"][1] > 0
    assert sparing[1]["occlusion"][1] == 0
    assert not (sparing[0][:, whole[1]] > 0).any()


def test_decoys_lie_anywhere_and_are_as_large():
    """One object in a large image: most decoys hide nothing of it."""
    target = {"boxes": torch.tensor([[10.0, 10, 40, 40]]), "labels": torch.tensor([1])}
    image = torch.zeros(3, 200, 200, dtype=torch.uint8)
    hider = Paste(occluders="grey", share=0.0, decoys=3, fraction=(0.5, 0.5))
    hidden = [hider.hide(image, target, scene(seed))[1]["mask_hidden"] for seed in range(10)]
    sizes = [int(mask.sum()) for mask in hidden]
    assert all(450 <= size <= 3 * 1.5 * 450 for size in sizes), "each half of 900 pixels, and a margin"
    assert np.mean([float(mask[10:40, 10:40].float().mean()) for mask in hidden]) < 0.2


def test_pictures_of_ones_own(tmp_path, sample):
    """A green disc, as a file and as the one file of a folder."""
    y, x = np.mgrid[:40, :40] - 19.5
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[..., 1], pixels[..., 3] = 255, 255 * (x**2 + y**2 < 300)
    Image.fromarray(pixels).save(tmp_path / "disc.png")
    for name in (tmp_path / "disc.png", tmp_path):
        hider = Paste(occluders=str(name), share=1.0, fraction=(0.3, 0.3))
        assert list(hider.obstacles(None)) == []
        image, after = hider.hide(*sample, scene(0))
        assert (image[1, after["mask_hidden"].as_subclass(torch.Tensor)] > 250).all()


def test_files_that_cannot_be_had_are_named(tmp_path):
    """When the doctor looks, not when the recipe is read: it may be of another machine."""
    Image.new("RGB", (9, 9)).save(tmp_path / "flat.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for name, why in {"flat.png": "has no alpha", "broken.png": "broken.png", "missing.png": "missing.png"}.items():
        (said,) = Paste(occluders=["cup", str(tmp_path / name)]).obstacles(None)
        assert why in said
