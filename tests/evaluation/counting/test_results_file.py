"""Files of detections: what is written scores the same here and by pycocotools, and wrong entries are named."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from folders import coco_content, write_coco
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from workbench.data import load_data
from workbench.errors import DataError
from workbench.evaluation import evaluate
from workbench.evaluation.coco import FIGURES
from workbench.evaluation.evaluate import evaluate_detections
from workbench.types import Detections


def answers(data, seed: int = 0, *, masks: bool) -> list[Detections]:
    """The objects of each image, moved a little, in any order, and some that are not there."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for index in range(len(data)):
        target = data.target(index)
        boxes = target["boxes"].as_subclass(torch.Tensor).repeat(2, 1)
        number = len(boxes)
        scores, order = torch.rand(number, generator=generator).sort(descending=True)
        boxes = (boxes + 3 * torch.randn(number, 4, generator=generator))[order]
        labels = target["labels"].repeat(2)[order]
        shapes = target["masks"].as_subclass(torch.Tensor).repeat(2, 1, 1)[order].roll(2, -1) if masks else None
        found.append(Detections(boxes, labels, scores, shapes))
    return found


def by_pycocotools(truth: Path, results: Path, kind: str, image_ids: list[int]) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth))
        scorer = COCOeval(coco, coco.loadRes(str(results)), iouType=kind)
        scorer.params.imgIds = image_ids
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    return dict(zip(FIGURES, scorer.stats.tolist(), strict=True))


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_same_figures_from_the_file_and_by_pycocotools(data_root: Path, tmp_path: Path, kind) -> None:
    whole = load_data("coco", root=data_root / "coco-mini", split="val")
    data = whole.subset(range(0, 75, 3))
    result = evaluate_detections(answers(data, masks=kind == "segm"), data, iou_type=kind)
    path = result.save_coco(tmp_path / "results.json")
    again = evaluate(str(path), data, iou_type=kind, progress=False)
    assert 0.05 < result.summary["AP"] < 0.95
    for name, value in result.summary.items():
        assert again.summary[name] == pytest.approx(value, abs=1e-9, nan_ok=True)
    assert again.fingerprint == result.fingerprint
    ids = [data.image_id(index) for index in range(len(data))]
    for name, value in by_pycocotools(whole.file, path, kind, ids).items():
        mine = result.summary[name]
        # COCO leaves boxes at the edge unclipped, which moves a few of them by fractions of a pixel
        assert (np.isnan(mine) and value == -1) or mine == pytest.approx(value, abs=2e-3)
    exported = tmp_path / "truth.json"
    data.export_coco(exported)
    for name, value in by_pycocotools(exported, path, kind, ids).items():
        mine = result.summary[name]
        assert (np.isnan(mine) and value == -1) or mine == pytest.approx(value, abs=1e-9)


def test_own_ids_are_written(tmp_path: Path) -> None:
    data = load_data("coco", root=write_coco(tmp_path, coco_content()), split="train")
    found = [
        Detections(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0)),
        Detections(torch.tensor([[30.0, 12, 40, 28]]), torch.tensor([2]), torch.tensor([0.5])),
    ]
    path = evaluate_detections(found, data).save_coco(tmp_path / "new" / "results.json")
    expected = [{"image_id": 7, "category_id": 18, "bbox": [30, 12, 10, 16], "score": 0.5}]
    assert json.loads(path.read_text()) == expected


def test_masks_alone_have_boxes_too(tmp_path: Path) -> None:
    data = load_data("coco", root=write_coco(tmp_path, coco_content()), split="train")
    polygon = [[10, 10, 30, 10, 30, 30, 10, 30]]
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{"image_id": 7, "category_id": 1, "segmentation": polygon, "score": 1}]))
    result = evaluate(path, data, progress=False)
    assert result.found.boxes.tolist() == [[10, 10, 30, 30]]
    assert result.summary["mask_AP"] == result.summary["AP"] == 0.5  # the dog is missed


def test_objects_without_a_mask_are_ignored_where_masks_are_compared(tmp_path: Path) -> None:
    content = coco_content()
    content["annotations"].append(
        {"id": 9, "image_id": 7, "category_id": 18, "bbox": [2, 2, 10, 6], "area": 60, "segmentation": []}
    )
    data = load_data("coco", root=write_coco(tmp_path, content), split="train")
    whole = [one for one in content["annotations"] if one["id"] in (1, 2)]
    found = [
        {"image_id": 7, "score": 0.9} | {key: one[key] for key in ("category_id", "segmentation")} for one in whole
    ]
    square = [[2, 2, 12, 2, 12, 8, 2, 8]]  # of the object without a mask: neither right nor wrong
    found.append({"image_id": 7, "category_id": 18, "score": 0.95, "segmentation": square})
    path = tmp_path / "results.json"
    path.write_text(json.dumps(found))
    result = evaluate(path, data, progress=False)
    assert result.summary["AP"] == result.summary["mask_AP"] == 1
    assert "1 objects have no mask: there, masks are not compared." in result.warnings
    path.write_text(json.dumps(found[:2]))
    result = evaluate(path, data, progress=False)
    assert result.summary["mask_AP"] == 1
    assert result.summary["AP"] < 1
    assert evaluate(path, data, iou_type="segm", progress=False).summary["AP"] == 1


def test_results_of_classes_that_are_left_out_are_passed_over(tmp_path: Path) -> None:
    root = write_coco(tmp_path, coco_content())
    path = tmp_path / "results.json"
    path.write_text(json.dumps([GOOD, GOOD | {"category_id": 18, "bbox": [30, 12, 10, 16]}]))
    one = evaluate(path, load_data("coco", root=root, classes=["dog"]), progress=False)
    assert (len(one.found), one.summary["AP"], one.category_ids) == (1, 1, [18])
    both = evaluate(path, load_data("coco", root=root, merge={"dog": "person"}), progress=False)
    assert (len(both.found), both.summary["AP"], both.category_ids) == (2, 1, [1])


GOOD = {"image_id": 7, "category_id": 1, "bbox": [10, 10, 20, 20], "score": 0.5}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_id": 8}, "entry 1: image_id 8 is not in coco train"),
        ({"image_id": "7"}, "entry 1: image_id is '7', expected a whole number"),
        ({"category_id": 2}, "entry 1: category_id 2 is unknown; coco train has [1, 18]"),
        ({"category_id": None}, "entry 1: category_id is None"),
        ({"score": float("nan")}, "entry 1: score is nan, expected a finite number"),
        ({"score": "high"}, "entry 1: score is 'high'"),
        ({"bbox": [1, 2, 3]}, "entry 1: bbox is [1, 2, 3], expected four finite numbers"),
        ({"bbox": [1, 2, -3, 4]}, "entry 1: bbox is [1, 2, -3, 4]"),
        ({"bbox": [1, 2, float("inf"), 4]}, "entry 1: bbox"),
        ({"bbox": None}, "entry 1: bbox is None"),
        ({"segmentation": [[1, 2, 3]]}, "entry 1: a polygon is no list"),
        ({"segmentation": {"size": [4, 4], "counts": [16]}}, "entry 1: RLE of size [4, 4]"),
    ],
)
def test_wrong_entries_are_named(tmp_path: Path, changes: dict, words: str) -> None:
    data = load_data("coco", root=write_coco(tmp_path, coco_content()), split="train")
    path = tmp_path / "results.json"
    path.write_text(json.dumps([GOOD, GOOD | changes]))
    with pytest.raises(DataError) as caught:
        evaluate(path, data, progress=False)
    assert words in str(caught.value)
    assert "results.json" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"), [("{}", "a list of results was expected"), ("[1", "not JSON"), ("[1]", "entry 0 is a int")]
)
def test_wrong_files_are_named(tmp_path: Path, text: str, words: str) -> None:
    data = load_data("coco", root=write_coco(tmp_path, coco_content()), split="train")
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(DataError, match=rf"results\.json: ?.*{words}"):
        evaluate(tmp_path / "results.json", data, progress=False)
    with pytest.raises(DataError, match="cannot be read"):
        evaluate(tmp_path / "missing.json", data, progress=False)


def test_what_a_file_cannot_give(tmp_path: Path) -> None:
    data = load_data("coco", root=write_coco(tmp_path, coco_content()), split="train")
    path = tmp_path / "results.json"
    path.write_text(json.dumps([GOOD]))
    with pytest.raises(DataError, match="no losses"):
        evaluate(path, data, losses=True)
    with pytest.raises(DataError, match="not every result has a segmentation"):
        evaluate(path, data, iou_type="segm")


def test_a_file_about_some_of_the_images_says_so(tmp_path: Path) -> None:
    """Many programs leave out images without detections, but few of them leave out four of five."""
    data = load_data("digit-scenes", "test", length=5)
    path = tmp_path / "results.json"
    entry = {"category_id": data.category_ids[0], "bbox": [1, 1, 9, 9], "score": 0.5}
    for covered, said in ((1, True), (4, False), (5, False)):
        path.write_text(json.dumps([entry | {"image_id": data.image_id(index)} for index in range(covered)]))
        warnings = evaluate(path, data, progress=False).warnings
        assert any("results for 1 of 5 images; in all others every" in text for text in warnings) == said
