"""Any data set as COCO JSON, read back by pycocotools and by our own loader."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import torch
from folders import voc_object, voc_xml, write_voc
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from workbench.data import Dataset, load_data


def read_by_pycocotools(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def compare(data: Dataset, coco: COCO) -> None:
    assert [coco.cats[identity]["name"] for identity in data.category_ids] == list(data.classes)
    for index in range(len(data)):
        target = data.target(index)
        height, width = data.size(index)
        info = coco.imgs[target["image_id"]]
        assert (info["height"], info["width"], info["file_name"]) == (height, width, data.file_name(index))
        annotations = coco.imgToAnns[target["image_id"]]
        assert [a["category_id"] for a in annotations] == [
            data.category_ids[k - 1] for k in target["labels"].tolist()
        ]
        known = data.annotation_ids(index)
        assert [a["id"] for a in annotations] == known or known is None
        boxes = np.array([a["bbox"] for a in annotations]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        np.testing.assert_allclose(boxes, target["boxes"].numpy(), atol=1e-4)
        np.testing.assert_allclose([a["area"] for a in annotations], target["area"].numpy(), rtol=1e-6)
        assert [a["difficult"] for a in annotations] == target["difficult"].int().tolist()
        given = [np.nan if a["occlusion"] is None else a["occlusion"] for a in annotations]
        np.testing.assert_allclose(given, target["occlusion"].numpy())
        if "masks" in target:
            masks = np.array([coco.annToMask(a) for a in annotations], bool)
            assert np.array_equal(masks, target["masks"].numpy())


def test_digit_scenes(tmp_path: Path) -> None:
    data = load_data("digit-scenes", split="test", length=6)
    content = data.export_coco(tmp_path / "scenes.json")
    assert content == json.loads((tmp_path / "scenes.json").read_text())
    compare(data, read_by_pycocotools(tmp_path / "scenes.json"))
    assert "segmentation" not in data.export_coco(masks=False)["annotations"][0]


def test_exported_scenes_load_as_coco(tmp_path: Path) -> None:
    data = load_data("face-scenes", split="test", length=4)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "test").mkdir()
    data.export_coco(tmp_path / "annotations" / "instances_test.json")
    for index in range(4):
        picture = Image.fromarray(data.image(index).permute(1, 2, 0).numpy())
        picture.save(tmp_path / "test" / data.file_name(index))
    again = load_data("coco", split="test", root=tmp_path)
    assert again.classes == data.classes
    assert not again.occlusion_is_estimate  # the file holds it exactly
    for index in range(4):
        (image, target), (expected_image, expected) = again[index], data[index]
        assert torch.equal(image, expected_image)
        for key in ("boxes", "labels", "masks", "area", "iscrowd", "difficult"):
            assert torch.equal(target[key], expected[key])
        assert torch.equal(target["mask_occluder"], expected["mask_occluder"])
        torch.testing.assert_close(target["occlusion"], expected["occlusion"])


def test_all_that_targets_know_is_written(tmp_path: Path) -> None:
    data = load_data("face-scenes", split="test", length=2)
    data.export_coco(tmp_path / "scenes.json")
    coco, number = read_by_pycocotools(tmp_path / "scenes.json"), 0
    for index in range(2):
        target = data.target(index)
        of_objects = coco.imgToAnns[target["image_id"]]
        assert [a["face_type"] for a in of_objects] == target["face_type"].tolist()
        boxes = np.array([a["bbox_visible"] for a in of_objects])
        boxes[:, 2:] += boxes[:, :2]
        np.testing.assert_allclose(boxes, target["boxes_visible"].numpy())
        whole = np.array([coco_mask.decode(a["segmentation_amodal"]) for a in of_objects], bool)
        assert np.array_equal(whole, target["masks_amodal"].numpy())
        occluder = coco_mask.decode(coco.imgs[target["image_id"]]["mask_occluder"]).astype(bool)
        assert np.array_equal(occluder, target["mask_occluder"].numpy())
        number += occluder.any()
    assert number > 0
    without = data.export_coco(masks=False)
    assert "mask_occluder" not in without["images"][0]
    assert "segmentation_amodal" not in without["annotations"][0]
    assert "face_type" in without["annotations"][0]


def test_voc_and_subsets(tmp_path: Path) -> None:
    files = {name: voc_xml(voc_object("cat", 3, 4, 30, 20, difficult=1)) for name in "abc"}
    data = load_data("voc", root=write_voc(tmp_path, files)).subset([2, 0])
    data.export_coco(tmp_path / "voc.json")
    coco = read_by_pycocotools(tmp_path / "voc.json")
    assert min(coco.anns) == 1
    assert sorted(coco.imgs) == [1, 3]
    compare(data, coco)


def test_real_coco(tmp_path: Path, data_root: Path) -> None:
    data = load_data("coco", root=data_root / "coco-mini", split="val").subset(range(0, 75, 5))
    content = data.export_coco(tmp_path / "coco.json")
    assert content["info"]["occlusion_is_estimate"]
    compare(data, read_by_pycocotools(tmp_path / "coco.json"))
    original = read_by_pycocotools(data_root / "coco-mini" / "annotations" / "instances_val.json")
    for annotation in content["annotations"]:
        ours = [annotation[key] for key in ("image_id", "category_id", "iscrowd")]
        assert ours == [original.anns[annotation["id"]][key] for key in ("image_id", "category_id", "iscrowd")]
    twice = data.subset([0, 0, 1]).export_coco()["annotations"]
    assert [annotation["id"] for annotation in twice] == list(range(1, len(twice) + 1))
