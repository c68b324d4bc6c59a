"""Detections of a whole data set: the same as those that are scored, and of data that nobody here can score."""

from __future__ import annotations

import json

import pytest
import torch
from folders import coco_content, picture, voc_object, voc_xml, write_coco, write_voc
from small_detectors import FASTER_RCNN, FPN_MASK

import workbench as wb
from workbench.data import load_data
from workbench.detectors import build_detector
from workbench.errors import DataError, WorkbenchError
from workbench.evaluation import detect_all, evaluate, read_voc_results
from workbench.training.stepping.obstacles import obstacles


def test_they_are_those_that_are_scored(in_memory, target, found, oracle, tmp_path):
    answers = [found([(0, 0, 9, 9, 1, 0.5), (1, 1, 5, 5, 2, 0.25)]), found([]), found([(2, 2, 9, 9, 2, 0.75)])]
    data, detector = in_memory([target([(0, 0, 9, 9, 1)])] * 3), oracle(answers)
    detector.train()
    all_found = detect_all(detector, data, batch_size=2, progress=False)
    assert detector.batches == [2, 1]
    assert detector.training
    assert repr(all_found) == "DataDetections(3 detections in the 3 images of toy test)"
    for one, answer in zip((all_found[0], all_found[1], all_found[-1]), answers, strict=True):
        assert torch.equal(one.boxes, answer.boxes)
        assert torch.equal(one.labels, answer.labels)
        assert torch.equal(one.scores, answer.scores)
    result = evaluate(detector, data, progress=False)
    same = result.save_coco(tmp_path / "scored.json")
    assert all_found.save_coco(tmp_path / "new" / "found.json").read_bytes() == same.read_bytes()
    files = all_found.save_voc(tmp_path / "voc")
    assert [len(one) for one in read_voc_results(files, data)] == [2, 0, 1]
    assert [len(all_found.above(0.5)[index]) for index in range(3)] == [1, 0, 1]
    with pytest.raises(IndexError):
        all_found[3]


def test_masks_are_kept(in_memory, target, found, oracle, tmp_path):
    one = found([(0, 0, 9, 9, 1, 0.5)])
    one.masks = torch.zeros(1, 20, 30, dtype=torch.bool)
    one.masks[0, 2:5, 3:9] = True
    data = in_memory([target([(0, 0, 9, 9, 1)])], size=(20, 30))
    all_found = detect_all(oracle([one]), data, progress=False)
    assert torch.equal(all_found[0].masks, one.masks)
    (entry,) = json.loads(all_found.save_coco(tmp_path / "with.json").read_text())
    assert entry.keys() == {"image_id", "category_id", "score", "bbox", "segmentation"}
    (entry,) = json.loads(all_found.save_coco(tmp_path / "without.json", boxes=False).read_text())
    assert "bbox" not in entry
    assert len(all_found.above(0.6).found.masks) == 0


def test_cocos_test_images_without_annotations(tmp_path):
    """image_info_test-dev2017.json has images and categories; their images are those of test2017."""
    content = coco_content()
    del content["annotations"]
    root = write_coco(tmp_path, coco_content(), split="val2017")
    (root / "annotations" / "image_info_test-dev2017.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"test2017: this folder does not exist"):
        load_data("coco", root=root, split="test-dev2017")
    picture(root / "test2017" / "b.png", 40, 60)
    picture(root / "test2017" / "a.png", 30, 20)
    data = load_data("coco", root=root, split="test-dev2017")
    assert not data.annotated
    assert not data.subset([1]).annotated
    assert (len(data), data.classes, data.category_ids) == (2, ("person", "dog"), (1, 18))
    assert [len(data.target(index)["labels"]) for index in range(2)] == [0, 0]
    assert load_data("coco", root=root, split="val2017").annotated

    def find(images):
        return [{"boxes": [[1, 2, 11, 22]], "labels": [2], "scores": [0.5]} for _ in images]

    detector = wb.wrap(find, classes=["person", "dog"], first_label=1)
    path = wb.detect_all(detector, data, progress=False).save_coco(tmp_path / "results.json")
    expected = {"category_id": 18, "bbox": [1, 2, 10, 20], "score": 0.5}
    assert json.loads(path.read_text()) == [{"image_id": image, **expected} for image in (3, 7)]
    with pytest.raises(DataError, match=r"coco test-dev2017 has no annotations, so .*\.save_coco\(FILE\)"):
        evaluate(detector, data)
    report = wb.doctor(data)
    assert report.ok
    assert "the split has no annotations" in str(report)
    (problem, *_) = obstacles(build_detector(FASTER_RCNN, data.classes), {"data": data})
    assert problem.what == "coco test-dev2017 has no annotations"
    with pytest.raises(DataError, match=r"no split 'test-dev201'.*did you mean 'test-dev2017'"):
        load_data("coco", root=root, split="test-dev201")


def test_a_file_of_annotations_comes_first(tmp_path):
    root = write_coco(tmp_path, coco_content())
    (root / "annotations" / "image_info_train.json").write_text("{}")
    assert load_data("coco", root=root, split="train").annotated


def test_vocs_test_images_without_annotations(tmp_path):
    """The XML files that are there, some of them of other tasks, are not read."""
    xml = {"2008_000001": voc_xml(voc_object("dog", 1, 1, 60, 40)), "2008_000002": "<broken"}
    root = write_voc(tmp_path / "VOC2012", xml, split="test")
    (root / "Annotations" / "2008_000002.xml").unlink()
    data = load_data("voc", root=root, split="test", annotated=False)
    assert (len(data), data.size(1), data.voc_year, len(data.classes)) == (2, (40, 60), 2012, 20)
    assert data[0][0].shape == (3, 40, 60)
    assert len(data.target(0)["boxes"]) == 0
    assert data.image_name(1) == "2008_000002"

    def find(images):
        return [{"boxes": [[0, 0, 60, 40]], "labels": [12], "scores": [0.5]} for _ in images]

    folder = detect_all(wb.wrap(find, classes=data.classes, first_label=1), data).save_voc(tmp_path / "Main")
    assert len(list(folder.iterdir())) == 20
    text = (folder / "comp4_det_test_dog.txt").read_text()
    assert text == "2008_000001 0.5 1.0 1.0 60.0 40.0\n2008_000002 0.5 1.0 1.0 60.0 40.0\n"
    with pytest.raises(DataError, match="voc test has no annotations"):
        evaluate("digit-scenes/faster-rcnn", data)
    (root / "JPEGImages" / "2008_000002.jpg").unlink()
    with pytest.raises(DataError, match=r"2008_000002\.jpg"):
        load_data("voc", root=root, split="test", annotated=False)
    assert len(load_data("voc", root=root, split="test", annotated=False, strict=False)) == 1


def test_what_cannot_be_asked_for(in_memory, target):
    data = in_memory([target([])])
    with pytest.raises(WorkbenchError, match="FPNMask gives no detections"):
        detect_all(build_detector(FPN_MASK, data.classes), data)
    with pytest.raises(DataError, match="no images to detect in"):
        detect_all("digit-scenes/faster-rcnn", data.subset([]))
    with pytest.raises(DataError, match="expected a data set"):
        detect_all("digit-scenes/faster-rcnn", [1])
