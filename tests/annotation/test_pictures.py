"""Pictures of folders and data sets, and names that lead elsewhere."""

from __future__ import annotations

import pytest
from PIL import Image

from workbench import load_data
from workbench.annotation.pictures import Pictures
from workbench.errors import DataError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name in ("b.png", "more/a.jpg"):
        Image.new("RGB", (20, 10), "red").save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    return tmp_path / "photos"


def test_a_folder_and_what_a_file_lists_beside(folder):
    listed = {1: {"file_name": "more/a.jpg"}, 2: {"file_name": "gone.jpg"}, 3: {"file_name": "../secret.png"}, 4: {}}
    pictures = Pictures(folder, listed)
    assert pictures.names == ["b.png", "more/a.jpg", "gone.jpg", "../secret.png"]
    assert pictures.size("b.png") == (10, 20)
    assert tuple(pictures.image("more/a.jpg").shape) == (3, 10, 20)
    with pytest.raises(DataError, match="no picture"):
        pictures.image("gone.jpg")
    with pytest.raises(DataError, match="leads out"):
        pictures.image("../secret.png")


@pytest.mark.parametrize("name", ["a.jpg", "more\\a.jpg", "More/A.JPG", "photos/more/a.jpg", "./more/a.jpg"])
def test_a_picture_by_the_name_that_a_file_gives_it(folder, name):
    pictures = Pictures(folder, {1: {"file_name": name}})
    assert pictures.names == ["b.png", name]
    assert pictures.size(name) == (10, 20)


def test_a_name_that_may_mean_two_pictures_means_none(folder):
    Image.new("RGB", (5, 5)).save(folder / "a.jpg")
    both = {1: {"file_name": "x/a.jpg"}, 2: {"file_name": "y/a.jpg"}}  # one picture, called by two names
    assert Pictures(folder, both).names == ["a.jpg", "b.png", "more/a.jpg", "x/a.jpg", "y/a.jpg"]
    assert Pictures(folder, {1: {"file_name": "A.jpg"}}).names == ["a.jpg", "b.png", "more/a.jpg", "A.jpg"]
    listed = {1: {"file_name": "a.jpg"}, 2: {"file_name": "A.jpg"}}  # the first is taken
    assert Pictures(folder, listed).names == ["a.jpg", "b.png", "A.jpg"]


def test_links_out_of_the_folder_are_not_followed(folder):
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    with pytest.raises(DataError, match="leads out"):
        Pictures(folder, {})


def test_a_data_set():
    data = load_data("digit-scenes", "test", length=3)
    pictures = Pictures(data, {9: {"file_name": "000001.png"}})
    assert len(pictures) == 3
    assert pictures.size("000002.png") == (128, 128)
    with pytest.raises(DataError, match="no picture"):
        pictures.image("odd.png")


def test_no_folder(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        Pictures(tmp_path / "none", {})
