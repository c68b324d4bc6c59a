"""The XML files of a VOC split: kept as a table while none of them changes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from folders import picture, voc_object, voc_xml, write_voc

from workbench.data.reading import tables, voc_files
from workbench.data.reading.voc_files import VocImage, VocObject, names_of_all, read_split
from workbench.data.reading.voc_folder import VocFolder

CAT, DOG = voc_object("cat", 11, 21, 40, 50), voc_object("dog", 2, 2, 9, 9, difficult=1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three files that changed long ago, and a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(voc_files, "FEW", 0)
    clock = SimpleNamespace(time=lambda: 4e9)
    monkeypatch.setattr(tables, "time", clock)
    return write_voc(tmp_path / "voc", {"a": voc_xml(CAT, DOG, height=60), "b": voc_xml(), "c": voc_xml(DOG)})


@pytest.fixture
def parsed(monkeypatch):
    """Names of the XML files that are parsed from now on."""
    names, parse = [], voc_files.parse
    monkeypatch.setattr(voc_files, "parse", lambda file: names.append(file.stem) or parse(file))
    return names


def test_files_are_parsed_once(folder, parsed):
    first = read_split(VocFolder.at(folder), "train")
    assert first.images == [
        VocImage((60, 60), [VocObject("cat", (10, 20, 40, 50), False), VocObject("dog", (1, 1, 9, 9), True)]),
        VocImage((40, 60), []),
        VocImage((40, 60), [VocObject("dog", (1, 1, 9, 9), True)]),
    ]
    assert parsed == ["a", "b", "c"]
    assert read_split(VocFolder.at(folder), "train") == first
    assert parsed == ["a", "b", "c"]


def test_a_change_of_a_file_or_the_list_is_seen(folder, parsed):
    read_split(VocFolder.at(folder), "train")
    (folder / "Annotations" / "b.xml").write_text(voc_xml(CAT, height=60))
    assert read_split(VocFolder.at(folder), "train").images[1].objects[0].name == "cat"
    (folder / "ImageSets" / "Main" / "train.txt").write_text("c\na\n")
    assert [image.size for image in read_split(VocFolder.at(folder), "train").images] == [(40, 60), (60, 60)]
    assert parsed == [*"abc", *"abc", *"ca"]


def test_what_is_wrong_is_said_each_time_and_not_kept(folder, parsed):
    (folder / "Annotations" / "b.xml").write_text("<annotation>")
    for _ in range(2):
        split = read_split(VocFolder.at(folder), "train")
        assert split.images[1] is None
        assert [(one.level, one.where) for one in split.problems] == [("error", f"{folder}/Annotations/b.xml")]
    assert parsed == [*"abc", *"abc"]


def test_warnings_are_kept_with_the_table(folder, parsed):
    (folder / "Annotations" / "b.xml").write_text(voc_xml(voc_object("cat", 11, 21, 90, 50)))
    first, second = read_split(VocFolder.at(folder), "train"), read_split(VocFolder.at(folder), "train")
    assert [one.level for one in first.problems] == ["warning"]
    assert second == first
    assert parsed == ["a", "b", "c"]


def test_sizes_that_only_the_images_know_are_looked_up_each_time(folder):
    (folder / "Annotations" / "b.xml").write_text(voc_xml(size=False))
    assert read_split(VocFolder.at(folder), "train").images[1].size == (40, 60)
    picture(folder / "JPEGImages" / "b.jpg", 50, 70)
    assert read_split(VocFolder.at(folder), "train").images[1].size == (50, 70)


def test_a_damaged_table_is_made_anew(folder, parsed):
    first = read_split(VocFolder.at(folder), "train")
    [column] = (folder.parent / "cache").rglob("box.npy")
    column.write_bytes(column.read_bytes()[:-1] + b"\xff")
    assert read_split(VocFolder.at(folder), "train") == first
    assert parsed == [*"abc", *"abc"]


def test_names_of_all_files_are_read_once(folder, parsed):
    assert names_of_all(VocFolder.at(folder)) == names_of_all(VocFolder.at(folder)) == {"cat", "dog"}
    assert parsed == ["a", "b", "c"]
    (folder / "Annotations" / "d.xml").write_text(voc_xml(voc_object("owl", 1, 1, 9, 9)))
    assert names_of_all(VocFolder.at(folder)) == {"cat", "dog", "owl"}
    (folder / "Annotations" / "a.xml").write_text("<annotation>")
    assert names_of_all(VocFolder.at(folder)) == {"dog", "owl"}
