"""COCO folders: what is read, what is refused, and how that agrees with pycocotools and torchvision."""

import json
from pathlib import Path

import pytest
import torch
from folders import coco_content, write_coco
from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2

from workbench.data import load_data
from workbench.errors import DataError


def load(root: Path, **options):
    return load_data("coco", root=root, split="train", **options)


def broken(tmp_path: Path, place: str, position: int, **changes) -> Path:
    """The tiny data set with some keys of one entry changed; `...` removes a key."""
    content = coco_content()
    entry = content[place][position]
    for key, value in changes.items():
        entry.pop(key) if value is ... else entry.update({key: value})
    return write_coco(tmp_path, content)


def test_a_tiny_set_by_hand(tmp_path: Path) -> None:
    data = load(write_coco(tmp_path, coco_content()))
    assert data.classes == ("person", "dog")  # in the order of ids 1 and 18
    assert data.category_ids == (1, 18)
    assert [data.target(index)["image_id"] for index in range(2)] == [3, 7]
    image, target = data[1]
    assert image.shape == (3, 40, 60)
    assert target["boxes"].tolist() == [[10, 10, 30, 30], [30, 12, 40, 28], [50, 0, 60, 40]]
    assert target["labels"].tolist() == [1, 2, 1]
    assert target["iscrowd"].tolist() == [False, False, True]
    assert target["area"].tolist() == [400, 160, 400]
    assert target["masks"].shape == (3, 40, 60)
    assert target["masks"].sum((1, 2)).tolist() == [400, 160, 400]
    assert target["masks"][2, :, 50:].all()
    assert target["occlusion"][:2].tolist() == [0, 0]  # side by side, none within the other's hull
    assert target["occlusion"][2].isnan()
    assert data.occlusion_is_estimate
    assert type(target["boxes"]).__name__ == "BoundingBoxes"


def test_an_image_without_objects(tmp_path: Path) -> None:
    image, target = load(write_coco(tmp_path, coco_content()))[0]
    assert image.shape == (3, 30, 20)
    shapes = {key: tuple(value.shape) for key, value in target.items() if key != "image_id"}
    assert shapes["boxes"] == (0, 4)
    assert shapes["masks"] == (0, 30, 20)
    assert shapes["labels"] == shapes["occlusion"] == shapes["area"] == (0,)


def test_without_masks(tmp_path: Path) -> None:
    data = load(write_coco(tmp_path, coco_content()), masks=False)
    assert "masks" not in data.target(1)
    assert data.target(1)["occlusion"].isnan().all()
    assert not data.occlusion_is_estimate


def test_an_object_without_a_mask_has_an_empty_one_and_is_told(tmp_path: Path) -> None:
    data = load(broken(tmp_path, "annotations", 0, segmentation=[]))
    target = data.target(1)
    assert target["masks"].sum((1, 2)).tolist() == [0, 160, 400]
    assert target["occlusion"].isnan().tolist() == [True, False, True]
    [problem] = data.problems
    assert "1 of 3 objects have no mask" in problem.what
    assert "annotation 1 of b.png" in problem.what
    assert "segmentation" not in data.export_coco()["annotations"][0]


@pytest.mark.parametrize(
    "polygon",
    [
        [0.1, 0.1, 0.5, 0.1, 0.5, 0.7, 0.1, 0.7],  # fractions of the image
        [40, 10, 58, 10, 58, 30, 40, 30],  # elsewhere
        [10, 10, 15, 10, 15, 16, 10, 16],  # at another scale
    ],
)
def test_polygons_that_do_not_fit_their_box_are_said(tmp_path: Path, polygon: list[float]) -> None:
    data = load(broken(tmp_path, "annotations", 0, segmentation=[polygon]))
    [problem] = data.problems
    assert problem.level == "warning"
    assert "1 of 2 objects have polygons that do not fit their bbox, first annotation 1 of b.png" in problem.what
    assert load(tmp_path, masks=False).problems == ()


@pytest.mark.parametrize(("area", "number"), [(0, 1), (0.17, 1), (1, 1), (2, 0), (400, 0)])
def test_areas_of_no_pixel_are_said(tmp_path: Path, area: float, number: int) -> None:
    data = load(broken(tmp_path, "annotations", 0, area=area))
    assert len(data.problems) == number
    assert all("1 of 3 objects have an area of at most 1 pixel" in problem.what for problem in data.problems)


def test_without_any_segmentation_there_are_no_masks(tmp_path: Path) -> None:
    content = coco_content()
    for annotation in content["annotations"]:
        del annotation["segmentation"]
    data = load(write_coco(tmp_path, content))
    assert ["masks" in data.target(index) for index in (0, 1)] == [False, False]
    assert data.problems == ()


def test_what_hides_objects_of_an_image(tmp_path: Path) -> None:
    """As polygons; [] says that there is nothing, and without the key it is unknown."""
    square = [[10, 5, 20, 5, 20, 9, 10, 9]]
    data = load(broken(tmp_path, "images", 0, mask_occluder=square))
    occluder = data.target(1)["mask_occluder"]
    assert occluder.nonzero().aminmax(dim=0).min.tolist() == [5, 10]
    assert (int(occluder.sum()), tuple(occluder.shape), occluder.dtype) == (40, (40, 60), torch.bool)
    assert "mask_occluder" not in data.target(0)
    assert "mask_occluder" not in load(tmp_path, masks=False).target(1)
    assert not load(broken(tmp_path, "images", 0, mask_occluder=[])).target(1)["mask_occluder"].any()
    with pytest.raises(DataError, match=r"image 7: its mask_occluder cannot be used: RLE of size \[4, 6\]"):
        load(broken(tmp_path, "images", 0, mask_occluder={"size": [4, 6], "counts": "0"}))


def test_given_occlusion_is_taken_as_it_is(tmp_path: Path) -> None:
    data = load(broken(tmp_path, "annotations", 0, occlusion=0.25))
    assert not data.occlusion_is_estimate
    assert data.target(1)["occlusion"][0] == 0.25
    assert data.target(1)["occlusion"][1:].isnan().all()


@pytest.mark.parametrize("split", ["train", "val"])
def test_agrees_with_torchvision_on_real_photographs(data_root: Path, split: str, capsys) -> None:
    root = data_root / "coco-mini"
    data = load_data("coco", root=root, split=split)
    peer = CocoDetection(str(root / split), str(root / "annotations" / f"instances_{split}.json"))
    peer = wrap_dataset_for_transforms_v2(peer, target_keys=["image_id", "boxes", "labels", "masks"])
    capsys.readouterr()  # pycocotools prints
    assert len(data) == len(peer)
    for index in range(0, len(data), 9):
        image, target = data[index]
        _, expected = peer[index]
        assert target["image_id"] == expected["image_id"]
        number = len(target["labels"])
        assert number == len(expected.get("labels", ()))
        if number == 0:
            continue
        categories = torch.tensor(data.category_ids)[target["labels"] - 1]
        assert torch.equal(categories, expected["labels"])
        torch.testing.assert_close(
            target["boxes"].as_subclass(torch.Tensor),
            expected["boxes"].as_subclass(torch.Tensor).float(),
            atol=1.0,  # of clipping
            rtol=0,
        )
        assert torch.equal(target["masks"], expected["masks"].bool())
        assert tuple(image.shape[-2:]) == data.size(index)


def test_occlusion_of_real_photographs_is_a_plausible_estimate(data_root: Path) -> None:
    data = load_data("coco", root=data_root / "coco-mini", split="val").subset(range(30))
    occlusion = torch.cat([data.target(index)["occlusion"] for index in range(30)])
    crowd = torch.cat([data.target(index)["iscrowd"] for index in range(30)])
    known = occlusion[~crowd]
    assert known.isfinite().float().mean() > 0.99
    assert ((known >= 0) & (known < 1))[known.isfinite()].all()
    assert (known == 0).any()
    assert (known > 0.2).any()


@pytest.mark.parametrize(
    ("place", "position", "changes", "words"),
    [
        ("annotations", 1, {"category_id": 99}, "annotation 2: category_id 99 is unknown"),
        ("annotations", 1, {"category_id": "1"}, "annotation 2: category_id is '1'"),
        ("annotations", 1, {"category_id": ...}, "annotation 2: category_id is None"),
        ("annotations", 1, {"image_id": 8}, "annotation 2: image_id 8"),
        ("annotations", 1, {"id": 1}, "annotation 1: this id occurs twice"),
        ("annotations", 1, {"id": ...}, "annotation number 2: id is None"),
        ("annotations", 1, {"bbox": [1, 2, float("nan"), 4]}, "annotation 2: bbox"),
        ("annotations", 1, {"bbox": [1, 2, float("inf"), 4]}, "annotation 2: bbox"),
        ("annotations", 1, {"bbox": [1, 2, 3]}, "annotation 2: bbox"),
        ("annotations", 1, {"bbox": [1, 2, "3", 4]}, "annotation 2: bbox"),
        ("annotations", 1, {"bbox": [1, 2, True, 4]}, "annotation 2: bbox"),
        ("annotations", 1, {"bbox": ...}, "annotation 2: bbox is None"),
        ("annotations", 1, {"area": -3}, "annotation 2: area"),
        ("annotations", 1, {"occlusion": 1.5}, "annotation 2: occlusion"),
        ("annotations", 1, {"segmentation": [[1, 2, 3]]}, "annotation 2: a polygon"),
        ("annotations", 1, {"segmentation": "here"}, "annotation 2: segmentation is neither"),
        (
            "annotations",
            2,
            {"segmentation": {"size": [40, 60], "counts": [5]}},
            "annotation 3: RLE counts add",
        ),
        ("images", 0, {"height": 0}, "image 7: height"),
        ("images", 0, {"width": "60"}, "image 7: width"),
        ("images", 0, {"height": 10**9, "width": 10**9}, "image 7: height"),
        ("images", 0, {"file_name": "../secret.png"}, "image 7: file name '../secret.png' leads out"),
        ("images", 0, {"file_name": "sub/../../x.png"}, "leads out"),
        ("images", 0, {"file_name": "/etc/hostname"}, "leads out"),
        ("images", 0, {"file_name": "C:\\x.png"}, "leads out"),
        ("images", 0, {"file_name": "..\\x.png"}, "leads out"),
        ("images", 0, {"file_name": 5}, "5 is no file name"),
        ("images", 0, {"file_name": "a\0.png"}, "no file name"),
        ("images", 0, {"id": 3}, "image 3: this id occurs twice"),
        ("categories", 0, {"name": 4}, "category 18: name is 4"),
    ],
)
def test_bad_entries_are_named(tmp_path: Path, place: str, position: int, changes: dict, words: str) -> None:
    root = broken(tmp_path, place, position, **changes)
    with pytest.raises(DataError) as caught:
        load(root)
    assert words in str(caught.value)
    assert "instances_train.json" in str(caught.value)
    lenient = load(root, strict=False)  # leaves the entry out and tells the doctor
    assert any(words in str(problem) for problem in lenient.problems)
    for index in range(len(lenient)):
        lenient.target(index)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2", "not JSON"),
        ("[]", "holds a list"),
        ('{"images": []}', "no list 'annotations'"),
        ('{"images": {}, "annotations": [], "categories": []}', "no list 'images'"),
        ("[" * 100_000, "not JSON"),
        ('{"images": [], "annotations": [7], "categories": []}', "annotation number 1: is a int"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        load(write_coco(tmp_path, text))
    assert "instances_train.json" in str(caught.value)


def test_several_errors_are_counted(tmp_path: Path) -> None:
    content = coco_content()
    for annotation in content["annotations"]:
        annotation["category_id"] = 50
    with pytest.raises(DataError, match=r"annotation 1: .* 2 more errors"):
        load(write_coco(tmp_path, content))


def test_corners_in_place_of_extents_are_noticed(tmp_path: Path) -> None:
    content = coco_content()
    for annotation in content["annotations"]:
        x, y, width, height = annotation["bbox"]
        annotation["bbox"] = [x, y, x + width, y + height]
    with pytest.raises(DataError, match=r"look like corners \(x1, y1, x2, y2\)"):
        load(write_coco(tmp_path, content))


@pytest.mark.parametrize("width", [1e-6, 1e-300, 0, 5e-4])
def test_boxes_without_a_width_in_float32_are_left_out(tmp_path: Path, width: float) -> None:
    data = load(broken(tmp_path, "annotations", 0, bbox=[20, 10, width, 20], segmentation=[]))
    assert data.annotation_ids(1) == [2, 3]
    assert any("annotation 1: bbox" in str(problem) for problem in data.problems)
    assert len(load(broken(tmp_path / "wider", "annotations", 0, bbox=[20, 10, 0.01, 0.01])).annotation_ids(1)) == 3


def _content(categories: list[tuple[int, str]], of: list[int]) -> dict:
    """Three objects, of the categories `of`."""
    content = coco_content()
    content["categories"] = [{"id": identity, "name": name} for identity, name in categories]
    for annotation, category in zip(content["annotations"], of, strict=True):
        annotation["category_id"] = category
    return content


CATEGORIES = [(18, "dog"), (1, "person"), (5, "cat")]


@pytest.mark.parametrize(
    ("options", "classes", "category_ids", "labels"),
    [
        ({}, ("person", "cat", "dog"), (1, 5, 18), [1, 3, 2]),
        ({"classes": ["dog", "fox"]}, ("dog", "fox"), (18, 19), [1]),
        ({"merge": {"dog": "pet", "cat": "pet"}}, ("person", "pet"), (1, 5), [1, 2, 2]),
        ({"classes": ["pet"], "merge": {"dog": "pet", "cat": "pet"}}, ("pet",), (5,), [1, 1]),
        ({"single_class": "animal"}, ("animal",), (1,), [1, 1, 1]),
    ],
)
def test_choosing_and_merging_classes(tmp_path: Path, options, classes, category_ids, labels) -> None:
    data = load(write_coco(tmp_path, _content(CATEGORIES, [1, 18, 5])), **options)
    assert (data.classes, data.category_ids) == (classes, category_ids)
    assert data.target(1)["labels"].tolist() == labels
    assert data.class_counts().tolist() == [labels.count(label + 1) for label in range(len(classes))]
    ids = {3: [1, 2, 3], 2: [2, 3], 1: [2]}[len(labels)]
    assert data.annotation_ids(1) == ids
    whole = load(tmp_path)
    rows = [identity - 1 for identity in ids]
    for key in ("boxes", "area", "masks", "occlusion", "iscrowd"):
        assert torch.equal(data.target(1)[key].nan_to_num(-1), whole.target(1)[key][rows].nan_to_num(-1)), key


def test_what_is_left_out_still_hides(tmp_path: Path) -> None:
    content = _content(CATEGORIES, [1, 18, 5])
    content["annotations"][1]["segmentation"] = [[15, 15, 25, 15, 25, 25, 15, 25]]  # in the middle of the first
    content["annotations"][0]["segmentation"] = [[10, 10, 30, 10, 30, 15, 15, 15, 15, 30, 10, 30]]
    whole = load(write_coco(tmp_path, content)).target(1)["occlusion"]
    assert whole[0] > 0.1
    assert load(tmp_path, classes=["person"]).target(1)["occlusion"].tolist() == [whole[0]]


def test_categories_of_one_name_are_one_class(tmp_path: Path) -> None:
    data = load(write_coco(tmp_path, _content([(1, "cup"), (2, "cup"), (3, "box")], [1, 2, 3])))
    assert (data.classes, data.category_ids) == (("cup", "box"), (1, 3))
    assert data.target(1)["labels"].tolist() == [1, 1, 2]
    assert data.category_labels == {1: 1, 2: 1, 3: 2}
    assert any("categories 1, 2 have the same name 'cup'" in problem.what for problem in data.problems)


def test_huge_ids(tmp_path: Path) -> None:
    data = load(write_coco(tmp_path, _content([(2**63, "x"), (10**25, "y"), (3, "z")], [2**63, 10**25, 3])))
    assert (data.classes, data.category_ids) == (("z", "x", "y"), (3, 2**63, 10**25))
    assert data.target(1)["labels"].tolist() == [2, 3, 1]
    assert data.export_coco()["annotations"][1]["category_id"] == 10**25
    for value, words in ((2**64 - 7, "184467440"), ("0000001_02999_d", "'0000001"), ("17", "'17'"), (3.0, "3.0")):
        content = coco_content()
        content["images"][0]["id"] = value
        with pytest.raises(DataError, match=f"image number 1: id is {words}"):
            load(write_coco(tmp_path, content))


@pytest.mark.parametrize(
    ("place", "changes", "words"),
    [
        ("categories", {"name": "\ud800"}, "category 18: name is"),
        ("categories", {"name": " "}, "category 18: name is ' '"),
        ("images", {"file_name": "\ud800.png"}, "is no file name"),
        ("images", {"height": "40"}, "image 7: height is '40'"),
        ("annotations", {"area": "400"}, "annotation 1: area is '400'"),
        ("annotations", {"iscrowd": "0"}, "annotation 1: iscrowd is '0'"),
        ("annotations", {"bbox": ["1", "2", "3", "4"]}, r"annotation 1: bbox is \['1', '2', '3', '4'\]"),
    ],
)
def test_texts_that_are_none_and_numbers_as_text(tmp_path: Path, place: str, changes: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(broken(tmp_path, place, 0, **changes))


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ([[20, 10] * 4], "covers no pixel"),
        ([[20, 10, 50, 10, 55, 10]], "covers no pixel"),
        ([[10, 10, 30, 30, 10, 10]], "covers no pixel"),
        ([[70, 10, 80, 10, 80, 30]], "covers no pixel"),
        ([[20.1, 10.1, 20.4, 10.1, 20.4, 10.4]], "covers no pixel"),
        ({"size": [40, 60], "counts": [2400]}, "covers no pixel"),
        ([[10, 10, 20, 20]], "no polygon of three points"),
        ([[]], "no polygon of three points"),
    ],
)
def test_segmentations_without_a_pixel_are_no_masks(tmp_path: Path, segmentation, words: str) -> None:
    data = load(broken(tmp_path, "annotations", 0, segmentation=segmentation))
    assert data.target(1)["masks"].sum((1, 2)).tolist() == [0, 160, 400]
    assert any("annotation 1: " in str(one) and words in one.what for one in data.problems)


def test_no_polygon_takes_gigabytes(tmp_path: Path) -> None:
    zigzag = [float(value) for number in range(13_000) for value in ((-59, 0), (119, 39))[number % 2]]
    with pytest.raises(DataError, match=r"annotation 1: its polygons are 2,314,000 px long; expected at most"):
        load(broken(tmp_path, "annotations", 0, segmentation=[zigzag]))
    content = coco_content()
    content["images"][0] |= {"height": 9000, "width": 9000}
    content["annotations"] = [dict(content["annotations"][0], id=number) for number in range(1, 40)]
    with pytest.raises(DataError, match=r"b\.png: the masks of its 39 objects of 9000 × 9000 pixels do not fit"):
        load(write_coco(tmp_path, content)).target(1)["masks"]


def test_images_in_a_folder_of_another_name(tmp_path: Path) -> None:
    write_coco(tmp_path, coco_content())
    (tmp_path / "train").rename(tmp_path / "photos")
    with pytest.raises(DataError, match="images=NAME"):
        load(tmp_path)
    assert load(tmp_path, images="photos").image(1).shape == (3, 40, 60)
    with pytest.raises(DataError, match="leads out"):
        load(tmp_path, images="../photos")


def test_a_byte_order_mark(tmp_path: Path) -> None:
    root = write_coco(tmp_path, coco_content())
    file = root / "annotations" / "instances_train.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(load(root)) == 2


@pytest.mark.parametrize("name", ["b.png", "train", "annotations"])
def test_links_out_are_followed_on_request(tmp_path: Path, name: str) -> None:
    root = write_coco(tmp_path / "set", coco_content())
    place = root / "train" / name if name == "b.png" else root / name
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="by a link; follow_links=True follows it"):
        load(root)
    assert load(root, follow_links=True)[1][0].shape == (3, 40, 60)


def test_boxes_at_the_edge(tmp_path: Path) -> None:
    content = coco_content()
    boxes = [[-0.5, 10, 20, 20], [45, 12, 20, 10], [5, 5, 0, 3], [70, 5, 5, 5]]
    content["annotations"] = [
        {"id": number, "image_id": 7, "category_id": 1, "bbox": box} for number, box in enumerate(boxes, 1)
    ]
    data = load(write_coco(tmp_path, content))
    assert data.target(1)["boxes"].tolist() == [[0, 10, 19.5, 30], [45, 12, 60, 22]]
    told = [str(problem) for problem in data.problems]
    assert len(told) == 3  # half a pixel outside is not told
    assert "annotation 2: bbox [45.0, 12.0, 20.0, 10.0] reaches 5 px outside" in told[0]
    assert "annotation 3" in told[1]
    assert "is empty" in told[1]
    assert "annotation 4" in told[2]
    assert "lies outside" in told[2]


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "set", coco_content())
    secret = tmp_path / "secret.png"
    (root / "train" / "b.png").rename(secret)
    (root / "train" / "b.png").symlink_to(secret)
    with pytest.raises(DataError, match="by a link"):
        load(root)
    (root / "train" / "b.png").unlink()
    (root / "train" / "b.png").symlink_to("b.png")
    with pytest.raises(DataError, match=r"b\.png"):
        load(root)


def test_a_link_to_the_whole_set_is_fine(tmp_path: Path) -> None:
    write_coco(tmp_path / "set", coco_content())
    (tmp_path / "link").symlink_to(tmp_path / "set")
    assert load(tmp_path / "link").image(1).shape == (3, 40, 60)


def test_missing_and_wrong_images(tmp_path: Path) -> None:
    data = load(write_coco(tmp_path, coco_content()))
    (tmp_path / "train" / "b.png").unlink()
    with pytest.raises(DataError, match=r"b\.png: this image does not exist"):
        data[1]
    content = coco_content()
    content["images"][0]["file_name"] = "x" * 5000
    with pytest.raises(DataError, match="this image cannot be read"):
        load(write_coco(tmp_path / "long", content)).image(1)
    content = coco_content() | {"annotations": []}
    content["images"][0]["height"] = 41
    other = load(write_coco(tmp_path, content))
    with pytest.raises(DataError, match=r"b\.png: the image is 40 × 60 pixels, but .*json says 41 × 60"):
        other.image(1)


def test_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="root=FOLDER"):
        load_data("coco")
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "nowhere")
    (write_coco(tmp_path, coco_content()) / "val").mkdir()
    with pytest.raises(DataError, match=r"instances_val\.json"):
        load_data("coco", "val", tmp_path)
    with pytest.raises(DataError, match="leads out"):
        load_data("coco", "../train", tmp_path)
    with pytest.raises(
        DataError,
        match=r"coco\.colour does not exist; choose from images, classes, merge, ",
    ):
        load(tmp_path, colour=1)


def test_export_of_an_export_changes_nothing(tmp_path: Path) -> None:
    data = load(write_coco(tmp_path, coco_content()))
    first = data.export_coco(tmp_path / "annotations" / "instances_train.json")
    again = load(tmp_path)
    assert json.loads(json.dumps(again.export_coco())) == first
    assert again.occlusion_is_estimate  # still, though it is now read from the file
    assert all(torch.equal(again.target(1)[key], data.target(1)[key]) for key in ("boxes", "labels", "masks", "area"))


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    root = write_coco(tmp_path, coco_content(), split="train2017")
    with pytest.raises(DataError, match=r"no split 'train'; did you mean 'train2017'\? \(known: train2017\)"):
        load_data("coco", root=root, split="train")
