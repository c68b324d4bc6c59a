"""Lists of ids as people write them, and where the files of an id lie."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from workbench.data.reading.voc_folder import VocFolder
from workbench.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> VocFolder:
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (tmp_path / name).mkdir(parents=True)
    return VocFolder.at(tmp_path)


def listed(folder: VocFolder, text: str, *xml: str, encoding: str = "utf-8") -> tuple[list[str], list[str]]:
    for identity in xml:
        place = folder.path / "Annotations" / f"{identity}.xml"
        place.parent.mkdir(exist_ok=True)
        place.write_text("<annotation/>")
    (folder.path / "ImageSets/Main/train.txt").write_bytes(text.encode(encoding))
    ids, problems = folder.ids("train")
    return ids, [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a 1\nb -1\n", ["a", "b"]),  # VOC's lists of one class
        ("a  1\nb\t-1\n", ["a", "b"]),
        ("  a \r\nb\r\n\n", ["a", "b"]),
        ("leaf 1\nleaf 2\nred cup 0", ["leaf 1", "leaf 2", "red cup 0"]),
        ("leaf 1 1\nleaf 2 -1", ["leaf 1", "leaf 2"]),
        ("a.jpg\nb.xml\nc.JPEG", ["a", "b", "c"]),
        ("d.png\n", ["d.png"]),  # whose file is d.png.xml
        ("sub/e\nsub\\e2", ["sub/e", "sub\\e2"]),
        ("gone.jpg\ngone 2\n", ["gone.jpg", "gone 2"]),
    ],
)
def test_lines(folder: VocFolder, text: str, ids: list[str]) -> None:
    xml = ("a", "b", "c", "leaf 1", "leaf 2", "red cup 0", "d.png", "sub/e", "sub/e2")
    assert listed(folder, text, *xml) == (ids, [])


def test_a_byte_order_mark_and_another_form_of_unicode(folder: VocFolder) -> None:
    name = unicodedata.normalize("NFD", "Bäume 图")
    [identity], _ = listed(folder, unicodedata.normalize("NFC", name), name, encoding="utf-8-sig")
    (folder.path / "JPEGImages" / f"{name}.png").write_bytes(b"")
    assert folder.xml(identity).stem == folder.image(identity).stem == name


def test_what_is_wrong_with_a_list_names_the_line(folder: VocFolder) -> None:
    ids, problems = listed(folder, "a\n/home/me/a.jpg\nC:\\b.jpg\na\n../c\n", "a")
    assert ids == ["a"]
    assert [line for line in (2, 3, 5) if any(f"train.txt: line {line}: file name" in one for one in problems)] == [
        2,
        3,
        5,
    ]
    assert "1 ids are listed twice" in problems[-1]
    with pytest.raises(DataError, match="not in UTF-8"):
        listed(folder, "ä", encoding="latin-1")
    with pytest.raises(DataError, match=r"no split 'trian'; did you mean 'train'"):
        folder.ids("trian")
    (folder.path / "ImageSets/Main/train.txt").unlink()
    os.mkfifo(folder.path / "ImageSets/Main/train.txt")
    with pytest.raises(DataError, match="a pipe or a device"):
        folder.ids("train")


@pytest.mark.parametrize("ending", [".jpg", ".jpeg", ".PNG", ".jfif", ".JPE", ".bmp", ".webp", ""])
def test_images_of_any_ending(folder: VocFolder, ending: str) -> None:
    (folder.path / "JPEGImages" / f"a{ending}").write_bytes(b"")
    assert folder.image("a").name == f"a{ending}"
    assert folder.image("b").name == "b.jpg"


def test_a_line_that_is_no_name_is_said_with_its_list(tmp_path: Path) -> None:
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_bytes(b"a\nb\0\n")
    ids, [problem] = VocFolder.at(tmp_path).ids("train")
    assert (ids, problem.where) == (["a"], f"{lists / 'train.txt'}: line 2")
