"""The doctor for data: each illness is found, healthy sets are left alone."""

from pathlib import Path

import pytest
import torch
from folders import coco_content, picture, voc_object, voc_xml, write_coco, write_voc
from torchvision import tv_tensors

from workbench.data import Dataset, check_anchors, check_data, load_data
from workbench.data.dataset import make_target
from workbench.data.reading.problems import MOST_OF_A_KIND, Problem, Report
from workbench.errors import DataError
from workbench.training import doctor


class Given(Dataset):
    """A data set in memory."""

    name, split, classes = "given", "train", ("cat", "dog")

    def __init__(self, boxes: list, labels: list[int] | None = None, ids: list[int] | None = None):
        self.boxes, self.labels, self.ids = boxes, labels, ids or list(range(len(boxes)))

    def __len__(self) -> int:
        return len(self.boxes)

    def size(self, index: int) -> tuple[int, int]:
        return 40, 60

    def image(self, index: int) -> tv_tensors.Image:
        return tv_tensors.Image(torch.zeros(3, 40, 60, dtype=torch.uint8))

    def target(self, index: int):
        boxes = torch.tensor(self.boxes[index], dtype=torch.float32).reshape(-1, 4)
        labels = torch.tensor(self.labels or [1] * len(boxes))
        area = torch.ones(len(boxes))
        return make_target(image_id=self.ids[index], size=(40, 60), boxes=boxes, labels=labels, area=area)


def lines(report: Report) -> list[str]:
    return [str(problem) for problem in report.problems]


def test_healthy_sets(tmp_path: Path) -> None:
    scenes = check_data(load_data("digit-scenes", split="val"), limit=20)
    assert scenes.ok
    assert scenes.problems == []
    assert str(scenes).endswith("nothing wrong was found")
    voc = write_voc(tmp_path, {"a": voc_xml(voc_object("cat", 3, 4, 30, 20))})
    assert check_data(load_data("voc", root=voc, classes=["cat"])).problems == []


@pytest.mark.parametrize(
    ("name", "split"), [("coco-mini", "train"), ("voc2007-mini", "test"), ("faces-mini", "test")]
)
def test_real_sets_are_healthy(data_root: Path, name: str, split: str) -> None:
    kind = "coco" if name == "coco-mini" else "voc"
    options = {"masks": False} if kind == "coco" else {}
    report = check_data(load_data(kind, root=data_root / name, split=split, **options), limit=80)
    assert report.ok
    assert all("no objects" in line for line in lines(report))


def test_images_are_opened(tmp_path: Path) -> None:
    files = {name: voc_xml(voc_object("cat", 3, 4, 30, 20)) for name in ("cut", "gone", "grown", "text", "fine")}
    data = load_data("voc", root=write_voc(tmp_path, files), classes=["cat"])
    images = tmp_path / "JPEGImages"
    whole = (images / "cut.jpg").read_bytes()
    (images / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "gone.jpg").unlink()
    picture(images / "grown.jpg", 80, 120)
    (images / "text.jpg").write_text("hello")
    report = check_data(data)
    reported = lines(report)
    assert not report.ok
    assert len(reported) == 4
    assert "cut.jpg: this image cannot be read (image file is truncated" in reported[0]
    assert "gone.jpg: this image does not exist" in reported[1]
    assert "grown.jpg: the image is 80 × 120 pixels, its annotation says 40 × 60" in reported[2]
    assert "text.jpg: this image cannot be read" in reported[3]
    assert check_data(data, images=False).problems == []
    assert len(check_data(data, limit=2).problems) == 2


def test_what_the_reader_found_is_reported(tmp_path: Path) -> None:
    content = coco_content()
    content["annotations"][0]["category_id"] = 5
    content["annotations"][1]["id"] = 3
    content["annotations"].append(dict(content["annotations"][1], id=9, bbox=[50, 30, 20, 5]))
    report = check_data(load_data("coco", root=write_coco(tmp_path, content), strict=False))
    text = str(report)
    assert "annotation 1: category_id 5 is unknown" in text
    assert "annotation 3: this id occurs twice" in text
    assert "annotation 9: bbox [50.0, 30.0, 20.0, 5.0] reaches 10 px outside" in text
    assert "1 of 2 images have no objects" in text
    assert "1 of 2 objects have polygons that do not fit their bbox, first annotation 9" in text
    assert text.splitlines()[0].endswith("2 errors, 4 warnings")
    assert list(report.frame()["level"]) == ["error"] * 2 + ["warning"] * 4


def test_mixed_up_files_are_reported_with_the_cure(tmp_path: Path) -> None:
    boxes = [(30, 20, 12, 10), (10, 4, 20, 20), (40, 25, 15, 15), (35, 2, 11, 30)]
    root = write_voc(tmp_path, {"a": voc_xml(*(voc_object("dog", *box) for box in boxes))})
    report = check_data(load_data("voc", root=root, strict=False))
    assert not report.ok
    assert "look like x, y, width, height" in report.problems[0].what
    assert report.problems[0].fix == "Convert the boxes."


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([10, 10, 10, 20], "is empty"),
        ([10, 10, 5, 20], "is empty"),
        ([10, 10, 62, 20], "lies outside"),
        ([-3, 10, 20, 20], "lies outside"),
        ([1, 10, float("nan"), 20], "is not finite"),
    ],
)
def test_bad_boxes_of_any_data_set(boxes: list, words: str) -> None:
    problem, never = check_data(Given([[0, 0, 60, 40], boxes])).problems
    assert "1 of 2 classes have no objects: dog" in never.what
    assert words in problem.what
    assert problem.level == "error"
    assert problem.where == "given/train image 1"


def test_labels_ids_and_nothing_at_all() -> None:
    reported = lines(check_data(Given([[0, 0, 9, 9], [0, 0, 9, 9]], labels=[3], ids=[4, 4])))
    assert ["label 3" in line for line in reported] == [True, True, False]
    assert "image_id 4 occurs 2 times" in reported[2]
    assert "label 0" in str(check_data(Given([[0, 0, 9, 9]], labels=[0])))
    assert "1 boxes, but 2 labels" in str(check_data(Given([[0, 0, 9, 9]], labels=[1, 1])))
    assert "there are no images" in str(check_data(Given([])))
    assert check_data(Given([[], [0, 0, 9, 9]])).ok  # a warning only


def test_no_object_anywhere_is_an_error() -> None:
    """Images without objects may be background, but not all of them."""
    assert "error: Given('given', split='train': 2 images, 2 classes): none of the 2 images has an object" in str(
        check_data(Given([[], []]))
    )
    assert check_data(Given([[], [[2, 2, 9, 9]]])).ok


def test_extents_given_as_corners() -> None:
    data = Given([[30, 20, 12, 10], [10, 4, 20, 20], [40, 25, 15, 15]])
    assert any("look like x, y, width, height" in line for line in lines(check_data(data)))
    small = Given([[0.1, 0.1, 0.9, 0.5]] * 4)
    assert any("fractions" in line for line in lines(check_data(small)))


def test_names_and_paths_are_escaped_in_html() -> None:
    nasty = "<script>alert(1)</script>"
    long = nasty + "x" * 200 + "the end"
    report = Report(nasty, [Problem("error", nasty, long, "Rename it.")])
    page = report._repr_html_()
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") == 3
    assert "the end" in page  # long texts are not cut
    assert "<script>" not in Report(nasty)._repr_html_()


def test_many_problems_of_a_kind_are_counted() -> None:
    report = Report("x", [Problem("warning", str(i), "is odd", "Look.") for i in range(50)])
    assert len(report.problems) == MOST_OF_A_KIND + 1
    assert f"{50 - MOST_OF_A_KIND} more" in report.problems[-1].what
    assert report.ok


def test_anchors() -> None:
    square = torch.tensor([[-16.0, -16, 16, 16]])
    fitting = torch.tensor([[-16.0, -16, 16, 16]] * 19 + [[-2.0, -2, 2, 2]])
    assert check_anchors(fitting, square) == []  # one of twenty may be missed
    small = torch.tensor([[-4.0, -4, 4, 4]] * 3 + [[-16.0, -16, 16, 16]])
    (problem,) = check_anchors(small, square)
    assert problem.level == "error"
    assert "75% of 4 objects have no anchor of IoU ≥ 0.3 (their median side is 8 px)" in problem.what
    (problem,) = check_anchors(torch.tensor([[-10.0, -10, 10, 10]]), square)  # IoU 400 / 1024 = 0.39
    assert problem.level == "warning"
    assert check_anchors(torch.tensor([[-10.0, -10, 10, 10]]), square, threshold=0.35) == []
    assert check_anchors(torch.zeros(0, 4), square) == []
    assert check_anchors(small, torch.zeros(0, 4))[0].what == "there are no anchors"


def test_all_flaws_of_a_set_are_found_at_once(tmp_path: Path) -> None:
    content = coco_content()
    content["images"] += [
        {"id": 8, "file_name": "../outside.png", "height": 40, "width": 60},
        {"id": 9, "file_name": "link.png", "height": 40, "width": 60},
        {"id": 10, "file_name": "cut.png", "height": 40, "width": 60},
        {"id": 11, "file_name": "cut.jpg", "height": 40, "width": 60},
        {"id": 12, "file_name": "absent.png", "height": 40, "width": 60},
        {"id": 7, "file_name": "a.png", "height": 40, "width": 60},
    ]
    person = content["annotations"][0]
    corners = [[x, y, x + 14, y + 11] for x in (10, 20, 30, 40) for y in (5, 15, 25)]
    content["annotations"] = [
        *({**person, "id": 100 + i, "bbox": box} for i, box in enumerate(corners)),
        {**person, "id": 201, "bbox": [55, 30, 400, 500]},
        {**person, "id": 202, "bbox": [20, 20, 0, 5]},
        {**person, "id": 203, "category_id": 99},
        {**person, "id": 100},
        {**person, "id": 204, "image_id": 1234},
        {**person, "id": 205, "bbox": [1, 2, None, 4]},
    ]
    root = write_coco(tmp_path / "set", content)
    for name in ("cut.png", "cut.jpg"):
        picture(root / "train" / name, 40, 60)
        whole = (root / "train" / name).read_bytes()
        (root / "train" / name).write_bytes(whole[: len(whole) - 50])
    picture(tmp_path / "elsewhere.png", 40, 60)
    (root / "train" / "link.png").symlink_to(tmp_path / "elsewhere.png")
    data = load_data("coco", root=root, split="train", strict=False)
    found = lines(doctor(data))
    file = root / "annotations" / "instances_train.json"
    for level, where, what in (
        ("error", f"{file}", "look like corners (x1, y1, x2, y2), not like x, y, width, height"),
        ("warning", f"{file}: annotation 201", "reaches 490 px outside its image"),
        ("warning", f"{file}: annotation 202", "is empty"),
        ("error", f"{file}: annotation 203", "category_id 99 is unknown"),
        ("error", f"{file}: annotation 100", "this id occurs twice"),
        ("error", f"{file}: annotation 204", "image_id 1234 is not in the file"),
        ("error", f"{file}: annotation 205", "bbox is [1, 2, None, 4]"),
        ("error", f"{file}: image 7", "this id occurs twice"),
        ("error", f"{file}: image 8", "'../outside.png' leads out of"),
        ("error", f"{file}: image 9", "'link.png' leads out of"),
        ("error", f"{root / 'train' / 'cut.png'}", "cannot be read"),
        ("error", f"{root / 'train' / 'cut.jpg'}", "cannot be read"),
        ("error", f"{root / 'train' / 'absent.png'}", "does not exist"),
        ("warning", str(data), "4 of 5 images have no objects"),
    ):
        assert any(line.startswith(f"{level}: {where}: ") and what in line for line in found), (where, what, found)
    with pytest.raises(DataError, match=r"look like corners .* There are 7 more errors; load_data\(…, strict=False"):
        load_data("coco", root=root, split="train")
