"""The contract of the seam, held for every hider: what it does to images and to targets of all kinds."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from workbench import load_data, plug_in, plugins
from workbench.data.drawing.pixels import texture_image
from workbench.errors import RecipeError
from workbench.hiders import Scene, build_hiders
from workbench.registry import HIDERS
from workbench.types import learnable

#: Further settings of kinds; each kind is tried as it is by itself, too.
SETTINGS = {
    "random-erasing image": {"where": "image", "fill": "mean"},
    "random-erasing objects": {"where": "objects", "fill": "black"},
    "hide-and-seek few": {"cells": [3], "share": 0.2, "fill": "grey"},
    "grid-mask turned": {"degrees": 180.0, "keep": 0.4, "fill": "noise"},
    "paste all": {
        "occluders": ["grey", "texture", "fence", "leaves", "cup"],
        "share": 1.0,
        "decoys": 2,
        "spare": True,
    },
    "paste visible boxes": {"share": 1.0, "boxes": "visible", "place": "left"},
    "copy-paste anywhere": {"place": "anywhere", "share": 1.0},
    "copy-paste occluders": {"targets": False, "most": 1},
    "copy-paste over objects": {"place": "objects", "share": 1.0, "fraction": [0.3, 0.5]},
    "adversarial-placement two": {"objects": 2, "grid": 2, "occluders": ["noise", "coin"]},
}
CASES = {
    **{kind: {"kind": kind} for kind in HIDERS.homes},
    **{k: {"kind": k.split()[0], **v} for k, v in SETTINGS.items()},
}


class Judge:
    """Bad is what is dark in the middle of the image."""

    needs_targets = True

    def __call__(self, samples, rows):
        return torch.stack([-image[:, 30:100, 30:100].float().mean() for image, _ in samples])[:, None].expand(
            -1, len(rows)
        )


def made(name: str):
    return build_hiders(CASES[name] | {"chance": 1.0})[0]


def scene(seed: int, others=(), progress: float = 1.0) -> Scene:
    return Scene(np.random.default_rng(seed), progress, torch.tensor([9, 8, 7], dtype=torch.uint8), others, Judge())


@pytest.fixture(scope="module")
def samples():
    """Scenes of digits, some of them hidden; with masks, visible ones alone, boxes alone, and without objects."""
    data = load_data("digit-scenes", split="test")
    found = [data[index] for index in (7, 8, 9)]
    image, target = data[10]
    visible = {key: value for key, value in target.items() if key not in ("masks_amodal", "mask_occluder")}
    boxes = {key: target[key] for key in ("image_id", "boxes", "labels", "iscrowd", "difficult", "area")}
    empty = data.target(11)
    empty = {key: value[:0] if isinstance(value, torch.Tensor) and len(value) == len(empty["labels"]) else value
             for key, value in empty.items()}  # fmt: skip
    return [*found, (image, visible), (image, boxes), (image, empty)]


@pytest.mark.parametrize("name", CASES)
def test_images_and_targets_stay_true(samples, name):
    hider = made(name)
    for place, (image, target) in enumerate(samples):
        kept = copy.deepcopy((image, dict(target)))
        changed, after = hider.hide(image, target, scene(place, [samples[0]]))
        assert torch.equal(image, kept[0]), "the image that was given stays"
        assert target.keys() == kept[1].keys()
        for key, value in kept[1].items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(target[key])), key
        assert changed.dtype == torch.uint8
        assert changed.shape == image.shape
        if "mask_hidden" not in after:
            assert torch.equal(changed, image)
            continue
        hidden, number = after["mask_hidden"].as_subclass(torch.Tensor), len(after["labels"])
        assert torch.equal(changed[:, ~hidden], image[:, ~hidden]), "what is not hidden is as it was"
        for key, value in after.items():
            if isinstance(value, torch.Tensor) and not key.startswith("mask_"):
                assert len(value) == number, key
        if "masks" in after and "masks_amodal" in after:
            own, seen = (after[key].flatten(1).sum(1) for key in ("masks_amodal", "masks"))
            torch.testing.assert_close(after["occlusion"], (own - seen) / own)
            assert torch.equal(after["area"].long(), seen)
        old = len(target["labels"])
        assert after["labels"][:old].tolist() == target["labels"].tolist()
        if getattr(hider, "boxes", "whole") == "whole":
            assert torch.equal(after["boxes"][:old], target["boxes"])


@pytest.mark.parametrize("name", CASES)
def test_the_generator_decides(samples, name):
    image, target = samples[0]
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first, again, other = (made(name).hide(image, target, scene(seed, [samples[1]])) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before), "torch's own generator is not touched"
    assert torch.equal(first[0], again[0])
    assert first[1].keys() == again[1].keys()
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0], image)


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("adversarial")])
def test_without_a_chance_nothing_happens(samples, name):
    hider = build_hiders(CASES[name] | {"chance": 0.0})[0]
    image, target = samples[0]
    for seed in range(3):
        assert hider.hide(image, target, scene(seed, [samples[1]]))[0] is image
    ramped = build_hiders(CASES[name] | {"chance": 1.0, "ramp": 0.5})[0]
    assert ramped.hide(image, target, scene(0, [samples[1]], progress=0.0))[0] is image


@pytest.mark.parametrize(
    "name", [name for name in CASES if name.startswith(("paste", "copy-paste over", "adversarial"))]
)
def test_what_lies_over_objects_leaves_enough_of_all(samples, name):
    """So no object is ever lost to an occluder that was meant for another."""
    for seed in range(8):
        image, target = samples[seed % 3]
        after = made(name).hide(image, target, scene(seed, [samples[1]]))[1]
        assert learnable(after).all()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kind": "random-erasng"}, r"augment\.hide\.kind 'random-erasng' does not exist .did you mean"),
        ({"kind": "paste", "shar": 1}, r"augment\.hide\.shar is not an option of paste .did you mean 'share'"),
        ({"kind": "paste", "chance": 2}, r"augment\.hide\.chance is 2; expected at most 1"),
        ({"kind": "paste", "fraction": [0.5, 0.2]}, r"fraction is \[0\.5, 0\.2\]; expected the lower value first"),
        ({"kind": "paste", "fraction": [0.1, 0.9]}, r"fraction goes up to 0\.9.*at most 0\.75, or a lower"),
        ({"kind": "paste", "occluders": ["cupp"]}, r"occluders: occluder 'cupp' does not exist .did you mean 'cup'"),
        ({"kind": "paste", "occluders": []}, r"occluders is empty; name at least one of"),
        ({"kind": "paste", "place": "middle"}, r"place 'middle' does not exist.*choose one of \['random', 'centre'"),
        ({"kind": "copy-paste", "place": "objects", "targets": True}, r"targets is true, and place objects"),
        ({"kind": "adversarial-placement", "occluders": "fence"}, r"occluder 'fence' does not exist"),
        ({"kind": "adversarial-placement", "grid": 0}, r"augment\.hide\.grid is 0; expected at least 1"),
        ({"kind": "grid-mask", "keep": 1.0}, r"augment\.hide\.keep is 1\.0; expected less than 1"),
        ({"kind": "hide-and-seek", "cells": []}, r"augment\.hide\.cells is \[\]"),
        ({"kind": "random-erasing", "fill": "red"}, r"augment\.hide\.fill is 'red'"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused_with_key_and_reason(config, message):
    with pytest.raises(RecipeError, match=message):
        build_hiders(config)
    with pytest.raises(RecipeError, match=message.replace(r"augment\.hide\.", r"augment\.hide(\.1)?\.")):
        build_hiders([{"kind": "grid-mask"}, config])


def test_a_plug_in_is_a_full_citizen(tmp_path, monkeypatch):
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(plugins, "_loaded", {})
    path = tmp_path / "mine.py"
    path.write_text(
        "import torch\n"
        "from workbench.hiders import Hider\n"
        "from workbench.options import Count\n"
        "from workbench.registry import HIDERS\n\n\n"
        '@HIDERS.register("left-strip")\n'
        "class LeftStrip(Hider):\n"
        '    """Hide the left of the image."""\n\n'
        "    def __init__(self, *, width: Count = 3, **options):\n"
        "        super().__init__(**options)\n"
        "        self.width = width\n\n"
        "    def hide(self, image, target, scene):\n"
        "        hidden = torch.zeros(image.shape[-2:], dtype=torch.bool)\n"
        "        hidden[:, : self.width] = True\n"
        "        return image.masked_fill(hidden, 0), self.still_true(target, hidden)\n"
    )
    try:
        plug_in(path)
        hider = build_hiders({"kind": "left-strip", "width": 5, "least_visible": 0.4})[0]
        assert (hider.width, hider.least_visible) == (5, 0.4)
        with pytest.raises(RecipeError, match="width is 0; expected at least 1"):
            build_hiders({"kind": "left-strip", "width": 0})
    finally:
        HIDERS._made.pop("left-strip", None)


def test_textures_are_there():
    """Which occluders are made of: embedded, nothing is downloaded."""
    assert texture_image("brick").size == (512, 512)
