"""Pictures found by names as lists have them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from workbench.data.reading.paths import DataRoot
from workbench.data.reading.picture_folder import PictureFolder, first_place
from workbench.errors import DataError

FILES = ("a/pig.jpg", "a/two words.JPG", "a/img_130.jpg", "a/B.jpg", "a/b.jpg", "top.png", "a/v1.2.jpg")


@pytest.fixture
def folder(tmp_path: Path) -> PictureFolder:
    (tmp_path / "a").mkdir()
    for name in (*FILES, unicodedata.normalize("NFD", "a/Bäume.jpg")):
        (tmp_path / name).touch()
    return PictureFolder(DataRoot(tmp_path, "test"), tmp_path)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a/pig.jpg", "a/pig.jpg"),
        ("a/pig", "a/pig.jpg"),
        ("a/two words.jpg", "a/two words.JPG"),
        ("a\\img_130", "a/img_130.jpg"),
        ("a/b.jpg", "a/b.jpg"),
        ("top", "top.png"),
        ("a/v1.2", "a/v1.2.jpg"),
        ("a/Bäume", unicodedata.normalize("NFD", "a/Bäume.jpg")),
        ("a/pi", None),
        ("a/pig.jp", None),
        ("b/pig.jpg", None),
    ],
)
def test_names(folder: PictureFolder, name: str, found: str | None) -> None:
    assert folder.find(name) == found
    if found:
        assert folder.file(found).is_file()


def test_names_are_looked_for_in_several_folders(folder: PictureFolder, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/pig.jpg", "b/dog.jpg"):
        (tmp_path / name).touch()
    several = PictureFolder(folder.root, tmp_path, ("a", "b"))
    assert [several.find(name) for name in ("pig", "dog.jpg", "top")] == ["a/pig.jpg", "b/dog.jpg", None]
    with pytest.raises(DataError, match="leads out"):
        several.find("../top.png")


def test_links_in_several_folders_stay_within_the_root(
    folder: PictureFolder, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "x.jpg").touch()
    (tmp_path / "a" / "x.jpg").symlink_to(outside / "x.jpg")
    with pytest.raises(DataError, match=r"leads out of .* by a link"):
        PictureFolder(folder.root, tmp_path, ("b", "a")).find("x.jpg")


@pytest.mark.parametrize("name", ["../x.jpg", "/etc/hostname", "a/../../x", "C:\\x.jpg", ""])
def test_names_cannot_leave(folder: PictureFolder, name: str) -> None:
    with pytest.raises(DataError, match=r"leads out|is no file name"):
        folder.find(name)


def test_links_stay_within_the_root(folder: PictureFolder, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "x.jpg").touch()
    (folder.path / "a" / "x.jpg").symlink_to(outside / "x.jpg")
    (folder.path / "elsewhere").symlink_to(outside)
    with pytest.raises(DataError, match=r"leads out of .* by a link"):
        folder.find("a/x")
    with pytest.raises(DataError, match=r"leads out of .* by a link"):
        folder.find("elsewhere/x")
    with pytest.raises(DataError, match=r"leads out of .* by a link"):
        first_place(folder.root, ["nothing", "elsewhere"])
    assert first_place(folder.root, ["nothing", "a"]) == folder.path / "a"
    assert first_place(folder.root, ["nothing"]) is None
