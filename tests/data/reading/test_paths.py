"""The one rule for links, names that lead out, and names that other systems write otherwise."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from workbench.data.reading.paths import DataRoot, read_json, read_text
from workbench.errors import DataError


def file(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    file(tmp_path / "outside" / "a.jpg")
    file(tmp_path / "set" / "train" / "a.jpg")
    return tmp_path / "set"


@pytest.mark.parametrize(
    "name",
    ["", "../a.jpg", "sub/../../a.jpg", "/etc/hostname", "..\\a.jpg", "C:\\a.jpg", "\\a.jpg", "a\0.jpg", 5, "\ud800"],
)
def test_names_that_lead_out_or_are_none(root: Path, name: object) -> None:
    place = DataRoot(root, "set")
    for look in (place.inside, place.check):
        with pytest.raises(DataError, match=r"leads out|no file name"):
            look(root / "train", name)


@pytest.mark.parametrize("folder", [True, False])
def test_links_out_need_the_option_and_links_within_do_not(root: Path, folder: bool) -> None:
    if folder:
        (root / "train" / "sub").symlink_to(root.parent / "outside")
    else:
        file(root / "pool" / "b.jpg")
        (root / "train" / "sub").mkdir()
        (root / "train" / "sub" / "a.jpg").symlink_to(root.parent / "outside" / "a.jpg")
        (root / "train" / "within.jpg").symlink_to(root / "pool" / "b.jpg")
    strict, free = DataRoot(root, "set"), DataRoot(root, "set", follow_links=True)
    for look in (strict.inside, strict.check):
        with pytest.raises(DataError, match=r"leads out of .*set by a link; follow_links=True follows it"):
            look(root / "train", "sub/a.jpg")
    with pytest.raises(DataError, match="follow_links=True"):
        strict.files(root / "train")
    assert free.inside(root / "train", "sub/a.jpg").read_text() == "x"
    free.check(root / "train", "sub/a.jpg")
    found = {path.relative_to(root).as_posix() for path in free.files(root / "train")}
    assert found == {"train/a.jpg", "train/sub/a.jpg"} | (set() if folder else {"train/within.jpg"})
    if not folder:
        assert strict.inside(root / "train", "within.jpg").read_text() == "x"


@pytest.mark.parametrize("follow", [True, False])
def test_circles_and_pipes_end_with_an_error(root: Path, follow: bool) -> None:
    place = DataRoot(root, "set", follow_links=follow)
    (root / "train" / "loop.jpg").symlink_to("loop.jpg")
    for look in (place.inside, place.check):
        with pytest.raises(DataError, match="circle"):
            look(root / "train", "loop.jpg")
    with pytest.raises(DataError, match="circle"):
        place.files(root / "train")
    (root / "train" / "loop.jpg").unlink()
    (root / "train" / "again").symlink_to(root / "train")
    with pytest.raises(DataError, match="again: a link leads in a circle"):
        place.files(root / "train")
    (root / "train" / "again").unlink()
    os.mkfifo(root / "train" / "pipe.jpg")
    with pytest.raises(DataError, match=r"pipe\.jpg: this is a folder, a pipe or a device"):
        place.files(root / "train")
    for read in (read_text, read_json):
        with pytest.raises(DataError, match="a pipe or a device"):
            read(root / "train" / "pipe.jpg")


def test_files_by_folder_and_name_without_what_others_leave(root: Path) -> None:
    for name in ("b/2.jpg", "b/1.jpg", ".hidden/c.jpg", "b/._1.jpg", "__MACOSX/a.jpg", "Thumbs.db", ".DS_Store"):
        file(root / "train" / name)
    place = DataRoot(root, "set")
    assert [path.name for path in place.files(root / "train")] == ["a.jpg", "1.jpg", "2.jpg"]
    assert [path.name for path in place.folders(root / "train")] == ["b"]


def test_a_name_that_is_no_text_is_said(root: Path) -> None:
    os.mkdir(os.path.join(os.fsencode(root / "train"), b"caf\xe9"))
    with pytest.raises(DataError, match=r"'caf\\udce9' is not UTF-8"):
        DataRoot(root, "set").folders(root / "train")


@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_names_in_another_form_of_unicode_and_with_backslashes(root: Path, written: str) -> None:
    there = file(root / "train" / "sub" / unicodedata.normalize(written, "Bäume grün.jpg"))
    other = unicodedata.normalize("NFD" if written == "NFC" else "NFC", "Bäume grün.jpg")
    place = DataRoot(root, "set")
    for name in (f"sub/{other}", f"sub\\{other}", f"sub\\{there.name}"):
        assert place.inside(root / "train", name) == there
        place.check(root / "train", name)
    exact = file(root / "train" / "sub\\x.jpg")
    file(root / "train" / "sub" / "x.jpg")
    assert place.inside(root / "train", "sub\\x.jpg") == exact, "a name that is there is itself"


def test_text_with_and_without_a_mark_and_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_bytes('["ä"]'.encode("utf-8-sig"))
    assert (read_text(path), read_json(path)) == ('["ä"]', ["ä"])
    path.write_bytes("ä".encode("latin-1"))
    with pytest.raises(DataError, match="not in UTF-8"):
        read_text(path)
    with pytest.raises(DataError, match=r"gone\.txt: this file cannot be read"):
        read_text(tmp_path / "gone.txt")
