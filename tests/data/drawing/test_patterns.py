"""Occlusion patterns, and the occluders they are made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from workbench.data.dataset import Dataset, make_target
from workbench.data.drawing.cut_outs import SHIPPED, Occluder, cut_out, load_occluders, read_occluder, shipped
from workbench.data.drawing.patterns import Pattern, columns_of, fitted, make_patterns, paste_pattern
from workbench.data.labelled_images import LabelledImages
from workbench.errors import DataError


def square(side: int = 4, name: str = "square") -> Occluder:
    """An opaque red square."""
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[..., 0], rgba[..., 3] = 200, 255
    return Occluder(name, rgba)


def test_a_square_at_the_centre_by_hand() -> None:
    image = torch.zeros(3, 10, 10, dtype=torch.uint8)
    occluded, hidden = paste_pattern(image, Pattern(square(), 0.16, "centre"))
    expected = torch.zeros(10, 10, dtype=torch.bool)
    expected[3:7, 3:7] = True
    assert torch.equal(hidden, expected)
    assert (occluded[0][hidden] == 200).all()
    assert (occluded[:, ~hidden] == 0).all()
    assert (image == 0).all(), "the image given stays as it is"


@given(
    name=st.sampled_from(SHIPPED),
    ratio=st.sampled_from([0.1, 0.2]),
    height=st.integers(32, 224),
    aspect=st.floats(0.8, 1.25),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_the_hidden_area_is_the_ratio_to_1_percent_wherever_it_lies(name, ratio, height, aspect, seed) -> None:
    width = round(height * aspect)
    image = torch.full((3, height, width), 7, dtype=torch.uint8)
    for pattern in make_patterns([shipped(name)], ratios=[ratio], seed=seed):
        occluded, hidden = paste_pattern(image, pattern)
        assert int(hidden.sum()) / (height * width) == pytest.approx(ratio, rel=0.01)
        assert (occluded[:, ~hidden] == 7).all()


def test_the_papers_24_patterns() -> None:
    patterns = make_patterns(load_occluders(SHIPPED[:3]))
    assert len(patterns) == 24
    assert len({pattern.name for pattern in patterns}) == 24
    columns = columns_of(patterns)
    assert [(name, len(numbers)) for name, numbers in columns.items()] == [
        ("clean", 1), ("20_centre", 3), ("20_random", 9), ("10_centre", 3), ("10_random", 9), ("occluded", 24),
    ]  # fmt: skip
    assert make_patterns(load_occluders(SHIPPED[:3])) == patterns, "positions are fixed"
    random = [pattern.position for pattern in patterns if pattern.place == "random"]
    assert len(set(random)) == 18, "each occluder and ratio has positions of its own"
    assert all(pattern.position == (0.5, 0.5) for pattern in patterns if pattern.place == "centre")


def test_transparent_pixels_lend_no_colour() -> None:
    rgba = np.zeros((20, 20, 4), np.uint8)
    rgba[..., 1] = 255  # green, but transparent
    rgba[5:15, 5:15] = (200, 0, 0, 255)
    patch = fitted(Occluder("red", rgba), 25)
    assert int(patch.mask.sum()) == 25
    assert int(patch.pixels[1][patch.mask].max()) <= 1


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_occluders_are_compact_and_of_one_piece(name: str) -> None:
    from scipy import ndimage

    occluder = shipped(name)
    alpha = occluder.rgba[..., 3] > 0
    assert ndimage.label(alpha)[1] == 1
    assert 0.5 < alpha.mean() < 0.95
    assert occluder.rgba[..., :3][alpha].std() > 10, "a photograph, not a flat colour"


def test_a_long_occluder_does_not_fit() -> None:
    rgba = np.full((2, 60, 4), 255, np.uint8)
    with pytest.raises(DataError, match="use one that is less long"):
        paste_pattern(torch.zeros(3, 20, 20, dtype=torch.uint8), Pattern(Occluder("stick", rgba), 0.2, "centre"))


def test_png_there_and_back(tmp_path) -> None:
    shipped("coin").save(tmp_path / "b.png")
    square().save(tmp_path / "a.png")
    again = read_occluder(tmp_path / "b.png")
    assert np.array_equal(again.rgba, shipped("coin").rgba)
    assert [occluder.name for occluder in load_occluders(str(tmp_path))] == ["a", "b"]


def test_a_text_that_swells_is_told_with_its_file(tmp_path) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("note", "x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
    Image.fromarray(square().rgba, "RGBA").save(tmp_path / "a.png", pnginfo=notes)
    with pytest.raises(DataError, match=r"a\.png: this image cannot be read"):
        read_occluder(tmp_path / "a.png")


def test_bad_occluders_say_what_to_do(tmp_path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "flat.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty").mkdir()
    for name, message in {
        str(tmp_path / "flat.png"): "has no alpha",
        str(tmp_path / "text.png"): "cannot be read",
        str(tmp_path / "none.png"): "does not exist",
        str(tmp_path / "empty"): "holds no occluders",
        "cap": "did you mean 'cup'",
    }.items():
        with pytest.raises(DataError, match=message):
            load_occluders([name])
    with pytest.raises(DataError, match="transparent everywhere"):
        Occluder("glass", np.zeros((3, 3, 4), np.uint8))


class OneObject(Dataset):
    """A white object on black, with its mask."""

    name, split, classes = "one", "train", ("thing",)

    def __len__(self) -> int:
        return 1

    def image(self, index: int) -> torch.Tensor:
        image = torch.zeros(3, 8, 9, dtype=torch.uint8)
        image[:, 2:5, 3:7] = 255
        return image

    def target(self, index: int) -> dict:
        mask = torch.zeros(1, 8, 9, dtype=torch.bool)
        mask[0, 2:5, 3:7] = True
        box, one = torch.tensor([[3.0, 2, 7, 5]]), torch.tensor([1])
        return make_target(image_id=5, size=(8, 9), boxes=box, labels=one, area=torch.tensor([12.0]), masks=mask)


def test_an_object_is_cut_out_by_its_mask() -> None:
    occluder = cut_out(OneObject(), 0, 0)
    assert occluder.rgba.shape == (3, 4, 4)
    assert (occluder.rgba == 255).all()
    assert occluder.name == "thing 5-0"
    with pytest.raises(DataError, match="1 masks"):
        cut_out(OneObject(), 0, 1)


def test_an_object_of_coco_becomes_an_occluder(data_root) -> None:
    from workbench.data import load_data

    data = load_data("coco", root=data_root / "coco-mini", split="val")
    index = next(i for i in range(len(data)) if len(data.target(i)["labels"]))
    largest = int(data.target(index)["masks"].sum((1, 2)).argmax())
    occluder = cut_out(data, index, largest)
    assert occluder.area == int(data.target(index)["masks"][largest].sum())


def test_clean_labelled_images_have_one_column() -> None:
    assert LabelledImages.columns == {"clean": (0,)}
