"""Occluders over the faces of another data set: exact pixels, nothing else touched, the same again from the seed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from folders import coco_content, voc_object, voc_xml, write_coco, write_voc
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data import check_data, check_loading, load_data
from workbench.data.drawing.layout import MOST_HIDDEN, Cover
from workbench.data.drawing.occluders import COVERS
from workbench.data.drawing.worn import FACE_COVERS
from workbench.data.occluded_faces import OccludedFaces
from workbench.errors import DataError


def scenes(**options) -> dict:
    return {"name": "face-scenes", "options": {"length": 4, **options}}


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Images of 60 x 40 pixels: two faces of 20 x 30 pixels, one too small; and one image without any."""
    two = voc_xml(voc_object("face", 6, 6, 25, 35), voc_object("face", 31, 6, 50, 35), voc_object("face", 1, 1, 8, 8))
    return write_voc(tmp_path / "voc", {"a": two, "b": voc_xml()})


def occluded(root: Path | None = None, split: str = "train", **options) -> OccludedFaces:
    of = {"name": "voc", "root": root if root is None else str(root), "options": {"single_class": "face"}}
    return load_data("occluded-faces", split, **{"of": of, **options})


def bar(x: int, y: int, width: int, height: int) -> Cover:
    outline = COVERS["strip"].draw(np.random.default_rng(0), np.array([0.0, 0, 9, 9]), 0.5, 1)
    return Cover("strip", x, y, np.ones((height, width), bool), outline)


def test_hidden_pixels_counted_by_hand(photographs: Path) -> None:
    data, bare = occluded(photographs, masks=True), load_data("voc", "train", photographs, single_class="face")
    data._latest = 0, [bar(0, 20, 25, 20)]  # the lower half of the first face, and its surroundings
    image, target = data[0]
    y, x = np.mgrid[:40, :60] + 0.5
    ellipses = [((x - middle) / 10) ** 2 + ((y - 20) / 15) ** 2 < 1 for middle in (15, 40)]
    torch.testing.assert_close(target["occlusion"], torch.tensor([0.5, torch.nan, torch.nan]), equal_nan=True)
    assert np.array_equal(target["mask_occluder"].numpy(), ellipses[0] & (y > 20))
    assert np.array_equal(target["masks"][0].numpy(), ellipses[0] & (y < 20))
    assert np.array_equal(target["masks_amodal"][:2].numpy(), ellipses)
    assert target["area"].tolist() == target["masks"].sum((1, 2)).tolist()
    assert torch.equal(target["boxes"], bare.target(0)["boxes"])
    under = torch.from_numpy((y > 20) & (x < 25))
    changed = (image != bare.image(0)).any(0)
    assert changed[under].float().mean() > 0.9
    assert not changed[~under].any()


def test_nothing_is_laid_over_what_is_small_and_none_with_share_zero(photographs: Path) -> None:
    bare = load_data("voc", "train", photographs, single_class="face")
    data = occluded(photographs, share=0.0)
    for (image, target), (own, known) in zip(data, bare, strict=True):
        assert torch.equal(image, own)
        assert target.keys() - known.keys() == {"mask_occluder"}
        assert all(
            torch.equal(target[key].nan_to_num(-1), known[key].nan_to_num(-1)) for key in known if key != "image_id"
        )
        assert not target["mask_occluder"].any()
    all_of_them = occluded(photographs, share=1.0, occluders=["mask", "scarf"])
    assert [cover.kind in ("mask", "scarf") for cover in all_of_them.covers(0)] == [True, True]
    assert all_of_them.covers(1) == []
    assert all_of_them.target(1)["mask_occluder"].shape == (40, 60)
    assert all_of_them.path(0) == bare.path(0)
    assert not check_data(all_of_them.subset([0])).problems


def test_an_image_depends_on_nothing_but_its_index_and_the_seed(photographs: Path) -> None:
    first, again = occluded(photographs, share=1.0), occluded(photographs, share=1.0)
    target = again.target(0)  # the target first, then the image, and the other way round
    assert torch.equal(first.image(0), again.image(0))
    assert torch.equal(first.target(0)["mask_occluder"], target["mask_occluder"])
    assert torch.equal(first.full_image(0), first.image(0))
    other = occluded(photographs, share=1.0, seed=1)
    assert not torch.equal(first.image(0), other.image(0))


@given(st.integers(0, 10_000), st.sampled_from(sorted(FACE_COVERS)), st.floats(0, 1))
@settings(max_examples=12, deadline=None)
def test_truth_follows_from_the_masks(seed: int, kind: str, share: float) -> None:
    of = scenes(length=1, seed=seed, occlusion_rate=0.0)
    data = occluded(split="test", of=of, seed=seed, occluders=kind, share=share)
    target, known = data.target(0), data.whole.target(0)
    under = torch.zeros(128, 128, dtype=torch.bool)
    for cover in data.covers(0):
        assert cover.kind == kind
        under[cover.window] |= torch.from_numpy(cover.mask)
    assert torch.equal(target["masks_amodal"], known["masks_amodal"])
    assert torch.equal(target["masks"], known["masks"] & ~under)
    assert torch.equal(target["mask_occluder"], (target["masks_amodal"] & ~target["masks"]).any(0))
    hidden = 1 - target["masks"].sum((1, 2)) / target["masks_amodal"].sum((1, 2))
    torch.testing.assert_close(target["occlusion"], hidden, atol=1e-6, rtol=0)
    assert target["occlusion"].max() <= MOST_HIDDEN + 0.05  # measured on a sample of the pixels
    assert target["face_type"].tolist() == [1 if part >= 0.05 else 2 for part in hidden.tolist()]
    assert "boxes_visible" not in target


def test_what_the_other_data_hide_already_counts() -> None:
    data = occluded(split="test", of=scenes(occlusion_rate=1.0), share=1.0)
    for index in range(4):
        target, known = data.target(index), data.whole.target(index)
        assert not (known["mask_occluder"] & ~target["mask_occluder"]).any()
        assert (target["occlusion"] >= known["occlusion"] - 1e-6).all()


def test_masks_of_other_data_lose_what_is_hidden(tmp_path: Path) -> None:
    root = write_coco(tmp_path, coco_content())
    of = {"name": "coco", "root": str(root), "options": {"masks": True, "strict": False}}
    data = occluded(of=of, share=1.0)
    for index in range(len(data)):
        target, known = data.target(index), data.whole.target(index)
        assert not (target["masks"] & ~known["masks"]).any()
        assert "masks_amodal" not in target


def test_levels_are_even_or_seldom_high() -> None:
    def hidden(even: bool) -> np.ndarray:
        data = occluded(split="test", of=scenes(length=40, occlusion_rate=0.0), share=1.0, even=even)
        return torch.cat([data.target(index)["occlusion"] for index in range(40)]).numpy()

    even, falling = hidden(True), hidden(False)
    assert 0.35 < (even > 0.4).mean() < 0.65
    assert (falling > 0.4).mean() < (even > 0.4).mean() - 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": {"name": "digits"}}, "digits has no boxes of faces"),
        ({"of": {"name": "vox"}}, r"data set 'vox' does not exist \(did you mean 'voc'"),
        ({"of": {"name": "voc", "options": {"singel_class": "face"}}}, "voc.singel_class does not exist"),
        ({"of": "voc"}, "occluded-faces.of is 'voc'"),
        ({"of": scenes(), "share": 2}, r"occluded-faces.share is 2"),
        ({"of": scenes(), "occluders": ["beard"]}, "occluders 'beard' does not exist"),
        ({"of": scenes(), "seed": -1}, "occluded-faces.seed"),
        ({}, "root"),
    ],
)
def test_wrong_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        occluded(**options)


def test_a_recipe_is_checked_down_to_the_other_data() -> None:
    check_loading("occluded-faces", {"of": scenes(), "share": 0.3})
    with pytest.raises(DataError, match=r"data.options.of.name is missing"):
        check_loading("occluded-faces", {"of": {"root": "faces"}})
    with pytest.raises(DataError, match=r"data.options.of.options.size is 12"):
        check_loading("occluded-faces", {"of": scenes(size=12)})


def test_faces_in_photographs(data_root: Path) -> None:
    data = occluded(data_root / "faces-mini", "test", share=0.6).subset(range(0, 150, 10))
    hidden = torch.cat([data.target(index)["occlusion"] for index in range(len(data))])
    laid = hidden[~hidden.isnan()]
    assert len(laid) > 20
    assert laid.max() <= MOST_HIDDEN + 0.05
    image, target = data[3]
    assert target["mask_occluder"].shape == image.shape[1:]
    assert not check_data(data, limit=5).problems


def test_only_some_images_evenly_spaced():
    scenes = {"name": "face-scenes", "options": {"length": 9}}
    data = load_data("occluded-faces", of=scenes, images=3, share=0.0)
    whole = load_data("face-scenes", length=9)
    assert len(data) == 3
    assert all(data.image(place).equal(whole.image(index)) for place, index in enumerate((0, 4, 8)))
