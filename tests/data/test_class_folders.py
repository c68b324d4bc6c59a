"""Readers of the user's folders of labelled photographs, on small folders of their shape; and the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision.transforms.v2 import functional as V

from workbench.data import load_data
from workbench.data.labelled_images import draw_per_class
from workbench.errors import DataError


def picture(path: Path, colour: tuple[int, int, int] = (90, 120, 30), size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def test_image_folder_in_order_of_names(tmp_path) -> None:
    for name, count in (("bee", 3), ("ant", 2)):
        for number in range(count):
            picture(tmp_path / "train" / name / f"{number}.png", (10 * number, 0, 0))
    data = load_data("image-folder", root=tmp_path, size=16)
    assert data.classes == ("ant", "bee")
    assert [data.target(i)["label"] for i in range(5)] == [1, 1, 2, 2, 2]
    image, target = data[4]
    assert image.shape == (3, 16, 16)
    assert int(image[0, 0, 0]) == 20
    assert data.where(4).endswith("bee/2.png")
    assert target["source"] == target["image_id"] == 4
    with pytest.raises(DataError, match="no split 'test'"):
        load_data("image-folder", root=tmp_path, split="test")
    assert len(load_data("image-folder", root=tmp_path, per_class=2)) == 4


def test_both_ways_to_a_square(tmp_path) -> None:
    path = tmp_path / "train" / "a" / "0.png"
    picture(path, size=(60, 40))
    whole = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)
    squashed = load_data("image-folder", root=tmp_path, size=28).image(0)
    assert torch.equal(squashed.as_subclass(torch.Tensor), V.resize(whole, [28, 28], antialias=True))
    cropped = load_data("image-folder", root=tmp_path, size=28, resize="crop").image(0)
    expected = V.center_crop(V.resize(whole, [32], antialias=True), [28, 28])
    assert torch.equal(cropped.as_subclass(torch.Tensor), expected)
    with pytest.raises(DataError, match=r"image-folder\.resize is 'fit'; expected 'squash' or 'crop'"):
        load_data("image-folder", root=tmp_path, resize="fit")


def test_images_are_drawn_per_class_without_overlap() -> None:
    labels = np.repeat([1, 2, 3], [10, 4, 7])
    first, second = draw_per_class(labels, 3, 0), draw_per_class(labels, 5, 0, skip=3)
    assert np.bincount(labels[first]).tolist() == [0, 3, 3, 3]
    assert np.bincount(labels[second]).tolist() == [0, 5, 1, 4]
    assert not set(first) & set(second)
    assert np.array_equal(first, draw_per_class(labels, 3, 0))
    assert not np.array_equal(first, draw_per_class(labels, 3, 1))


def test_caltech101_leaves_the_background_out_and_splits_without_overlap(tmp_path) -> None:
    home = tmp_path / "caltech101"
    (home / "Annotations").mkdir(parents=True)
    for name in ("BACKGROUND_Google", "ant", "watch"):
        for number in range(1, 7):
            picture(home / "101_ObjectCategories" / name / f"image_{number:04d}.jpg")
    options = {"train_per_class": 4, "test_per_class": 50, "size": 8}
    train, test = (load_data("caltech101", root=tmp_path, split=split, **options) for split in ("train", "test"))
    assert train.classes == test.classes == ("ant", "watch")
    assert (len(train), len(test)) == (8, 4)
    assert not {train.path(i) for i in range(8)} & {test.path(i) for i in range(4)}
    assert train.image(0).shape == (3, 8, 8)
    whole = load_data("caltech101", root=tmp_path, size=8, train_per_class=None)
    assert len(whole) == 12, "all images, for the decoder"
    with pytest.raises(DataError, match="leaves no images to test"):
        load_data("caltech101", root=tmp_path, split="test", train_per_class=None)


def test_full_images_are_the_files_at_their_own_size(tmp_path) -> None:
    """Also behind occlusion and in subsets; an occluded image has none but itself."""
    for name in ("ant", "bee"):
        for number in range(2):
            picture(tmp_path / "train" / name / f"{number}.png", size=(40, 60))
    data = load_data(
        "image-folder", root=tmp_path, size=28, resize="crop",
        occlusion={"training_set": "all", "pair_classes": 1, "pair_images": 1},
    )  # fmt: skip
    clean, hidden = (int(np.flatnonzero((data.numbers > 0) == occluded)[-1]) for occluded in (False, True))
    assert data.full_image(clean).shape == data.subset([clean]).full_image(0).shape == (3, 60, 40)
    assert torch.equal(data.full_image(hidden), data.image(hidden))


def test_oxford102_trains_on_what_is_not_in_the_official_test_set(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("torchvision.datasets.flowers102.check_integrity", lambda *_: True)  # it knows the real files
    home = tmp_path / "flowers-102"
    for number in range(1, 13):
        picture(home / "jpg" / f"image_{number:05d}.jpg")
    savemat(home / "imagelabels.mat", {"labels": np.array([[1, 2] * 6])})
    sets = {"trnid": [[1, 2]], "valid": [[3, 4]], "tstid": [list(range(5, 13))]}
    savemat(home / "setid.mat", {key: np.array(value) for key, value in sets.items()})
    train = load_data("oxford102", root=tmp_path)
    test = load_data("oxford102", root=tmp_path, split="test", test_per_class=3)
    assert sorted(path.name for path in train.paths) == [f"image_0000{k}.jpg" for k in (1, 2, 3, 4)]
    assert sorted(train.labels) == [1, 1, 2, 2]
    assert np.bincount(test.labels).tolist() == [0, 3, 3]


def test_cub200_is_cropped_to_its_boxes(tmp_path) -> None:
    home = tmp_path / "CUB_200_2011"
    home.mkdir()
    image = Image.new("RGB", (20, 20))
    image.paste((255, 0, 0), (5, 4, 15, 12))
    for name in ("001.A/a.png", "002.B/b.png"):
        (home / "images" / name).parent.mkdir(parents=True)
        image.save(home / "images" / name)
    for name, text in {
        "images": "1 001.A/a.png\n2 002.B/b.png\n",
        "image_class_labels": "1 1\n2 2\n",
        "train_test_split": "1 1\n2 0\n",
        "bounding_boxes": "1 5.0 4.0 10.0 8.0\n2 5.0 4.0 10.0 8.0\n",
        "classes": "1 001.A\n2 002.B\n",
    }.items():
        (home / f"{name}.txt").write_text(text)
    train, test = (load_data("cub200", root=tmp_path, split=split, size=8) for split in ("train", "test"))
    assert (len(train), len(test)) == (1, 1)
    assert train.classes == test.classes == ("001.A", "002.B")
    assert (train.labels[0], test.labels[0]) == (1, 2)
    assert (train.image(0)[0] == 255).all(), "the box and nothing else"
    (home / "bounding_boxes.txt").write_text("1 5.0 4.0 10.0\n")
    with pytest.raises(DataError, match="line 1: 4 words, expected 5"):
        load_data("cub200", root=tmp_path)


def test_imagenet_tests_on_its_validation_images(tmp_path) -> None:
    for split in ("train", "val"):
        for name in ("n02", "n01"):
            picture(tmp_path / split / name / "x.JPEG")
    test = load_data("imagenet", root=tmp_path, split="test")
    assert test.classes == ("n01", "n02")
    assert test.path(0) == tmp_path / "val" / "n01" / "x.JPEG"
    assert test.image(0).shape == (3, 224, 224)


def test_ar_pairs_each_clean_face_with_each_occluded_one_of_its_subject(tmp_path) -> None:
    for sex in "mw":
        for subject in range(1, 4):
            for number in range(1, 27):
                picture(tmp_path / f"{sex}-{subject:03d}-{number:02d}.png")
    train, test = (
        load_data("ar", root=tmp_path, split=split, pair_subjects=1, size=8) for split in ("train", "test")
    )
    assert len(train) == 6 * 7
    assert len(train.pairs) == 2 * 7 * 6
    assert len(test) == 6 * 6 + 4 * 6, "the second session of all, the first of those without pairs"
    clean, occluded = train.pairs.index.T
    subject = [train.pairs.clean.path(i).name[:5] for i in clean]
    assert subject == [train.pairs.occluded.path(i).name[:5] for i in occluded]
    kinds = {test.path(i).stem[-2:]: test.target(i)["pattern"] for i in range(len(test))}
    assert kinds == {
        "08": 1, "09": 2, "10": 2, "11": 3, "12": 4, "13": 4, "21": 1, "22": 2, "23": 2, "24": 3, "25": 4, "26": 4,
    }  # fmt: skip
    both = load_data("ar", root=tmp_path, pair_subjects=1, training_set="F", size=8)
    assert len(both) == 6 * 7 + 2 * 6
    paired = {path.name[:5] for path in train.pairs.clean.paths}
    leaked = {p for p in test.paths if p.name[:5] in paired and int(p.stem[-2:]) <= 13}
    assert not leaked


@pytest.mark.parametrize("name", ["caltech101", "oxford102", "cub200", "imagenet", "ar", "image-folder"])
def test_empty_folders_say_what_was_expected(name: str, tmp_path) -> None:
    with pytest.raises(DataError, match=str(tmp_path)):
        load_data(name, root=tmp_path)
    with pytest.raises(DataError, match="lies in a folder"):
        load_data(name)


def test_classify_mini(data_root) -> None:
    root = data_root / "classify-mini"
    train, test = (load_data("image-folder", root=root, split=split, size=64) for split in ("train", "test"))
    assert train.classes == test.classes
    assert (len(train.classes), len(train)) == (45, 45 * 32)
    assert len(test) <= 45 * 12
    names = [{f"{path.parent.name}/{path.name}" for path in data.paths} for data in (train, test)]
    assert not names[0] & names[1]
    assert test.image(0).shape == (3, 64, 64)


def test_litter_and_hidden_folders_are_no_classes_and_content_decides(tmp_path) -> None:
    for name in ("ant", "bee"):
        for number, ending in enumerate((".jpg", ".jfif", ".jpe", "", ".x")):
            path = picture(tmp_path / "train" / name / f"{number}.jpg")
            path.rename(path.with_name(f"{number}{ending}"))
    for name in (".ipynb_checkpoints/a.jpg", "__MACOSX/ant/._0.jpg", "ant/.ipynb_checkpoints/0.jpg", "ant/._0.jpg"):
        picture(tmp_path / "train" / name)
    for name in ("@eaDir", "$RECYCLE.BIN", "lost+found"):
        (tmp_path / "train" / name).mkdir()
    for name in ("ant/Thumbs.db", ".DS_Store", "ant/notes.txt"):
        (tmp_path / "train" / name).write_text("no picture")
    data = load_data("image-folder", root=tmp_path, size=8)
    assert data.classes == ("ant", "bee")
    assert [path.name for path in data.paths] == ["0.jpg", "1.jfif", "2.jpe", "3", "4.x"] * 2
    [problem] = data.problems
    assert problem.where == str(tmp_path / "train" / "ant")
    assert "1 files are no pictures and are left out, the first is notes.txt" in problem.what
    assert load_data("image-folder", root=tmp_path, size=8, per_class=2).problems == data.problems


def test_classes_of_choice(tmp_path) -> None:
    for name in ("ant", "bee", "cow"):
        picture(tmp_path / "train" / name / "0.jpg")
    picture(tmp_path / "test" / "cow" / "0.jpg")
    options = {"size": 8, "classes": ["cow", "ant"]}
    train, test = (load_data("image-folder", split, tmp_path, **options) for split in ("train", "test"))
    assert train.classes == test.classes == ("cow", "ant")
    assert (train.labels.tolist(), test.labels.tolist()) == ([1, 2], [1])
    with pytest.raises(DataError, match=r"no folder of the classes owl; it has ant, bee, cow"):
        load_data("image-folder", root=tmp_path, classes=["owl"])


def test_caltech101_without_its_background_and_with_what_a_mac_leaves(tmp_path) -> None:
    home = tmp_path / "caltech101" / "101_ObjectCategories"
    for name in ("ant", "bee", ".ipynb_checkpoints"):
        picture(home / name / "image_0001.jpg")
    picture(home / "ant" / "image_0003.jpg")
    (home / ".DS_Store").write_text("")
    data = load_data("caltech101", root=tmp_path, size=8)
    assert data.classes == ("ant", "bee")
    assert sorted(path.name for path in data.paths) == ["image_0001.jpg", "image_0001.jpg", "image_0003.jpg"]
    with pytest.raises(DataError, match=r"this is not complete; expected .*101_ObjectCategories"):
        load_data("caltech101", root=tmp_path / "caltech101")


@pytest.mark.parametrize("name", ["train", "train/ant", "train/ant/0.jpg"])
def test_links_out_are_followed_on_request(tmp_path, name: str) -> None:
    root = tmp_path / "set"
    picture(root / "train" / "ant" / "0.jpg")
    (root / name).rename(tmp_path / "elsewhere")
    (root / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="by a link; follow_links=True follows it"):
        load_data("image-folder", root=root)
    assert len(load_data("image-folder", root=root, follow_links=True)) == 1
    (root / "train" / "bee").mkdir()
    (root / "train" / "bee" / "circle").symlink_to(root / "train" / "bee")
    with pytest.raises(DataError, match="leads in a circle"):
        load_data("image-folder", root=root, follow_links=True)


def test_ar_without_what_a_mac_leaves_and_each_face_once(tmp_path) -> None:
    for sex in "mw":
        for number in (1, 8):
            picture(tmp_path / f"{sex}-001-{number:02d}.png")
    picture(tmp_path / "._m-001-01.png")
    (tmp_path / "m-001-02.txt").write_text("marks")
    data = load_data("ar", root=tmp_path, pair_subjects=1, size=8)
    assert [path.name for path in data.paths] == ["m-001-01.png", "w-001-01.png"]
    assert len(load_data("ar", root=tmp_path, pair_subjects=0, size=8).pairs) == 0
    with pytest.raises(DataError, match=r"ar\.pair_subjects is -1; expected at least 0"):
        load_data("ar", root=tmp_path, pair_subjects=-1)
    picture(tmp_path / "copy" / "m-001-01.png")
    with pytest.raises(DataError, match=r"m-001-01\.png: this face is also .*copy/m-001-01\.png"):
        load_data("ar", root=tmp_path, pair_subjects=1)
