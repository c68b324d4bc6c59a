"""The whole way from a COCO folder to figures, against pycocotools reading the same file by itself."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from workbench.data import load_data
from workbench.errors import DataError
from workbench.evaluation import difference, evaluate_detections
from workbench.evaluation.coco import FIGURES
from workbench.rle import encode_masks, for_json
from workbench.types import Detections


def shaken(target, generator, num_classes):
    """The objects of an image, moved a little, some missed, some misnamed, with their masks moved alike."""
    n = len(target["labels"])
    keep = torch.rand(n, generator=generator) < 0.8
    wrong = torch.rand(n, generator=generator) < 0.1
    labels = torch.where(wrong, torch.randint(1, num_classes + 1, (n,), generator=generator), target["labels"])
    size = (target["boxes"][:, 2:] - target["boxes"][:, :2]).repeat(1, 2)
    boxes = torch.as_tensor(target["boxes"]) + 0.05 * size * torch.randn(n, 4, generator=generator)
    masks = torch.as_tensor(target["masks"]).roll((2, 1), dims=(1, 2))
    return Detections(boxes, labels, torch.rand(n, generator=generator), masks)[keep]


def reference(file, detections, image_ids, category_ids, kind):
    rows = []
    for image_id, found in zip(image_ids, detections, strict=True):
        for i in range(len(found)):
            row = {"image_id": image_id, "category_id": category_ids[int(found.labels[i]) - 1]}
            row["score"] = float(found.scores[i])
            if kind == "bbox":
                x1, y1, x2, y2 = found.boxes[i].double().tolist()
                row["bbox"] = [x1, y1, x2 - x1, y2 - y1]
            else:
                row["segmentation"] = coco_mask.encode(np.asfortranarray(found.masks[i].numpy().astype(np.uint8)))
            rows.append(row)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        scorer = COCOeval(truth, truth.loadRes(rows), kind)
        scorer.params.imgIds = image_ids
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    return scorer.stats


def test_figures_are_those_of_pycocotools_on_the_same_file(data_root):
    whole = load_data("coco", split="val", root=data_root / "coco-mini")
    data = whole.subset(range(30))
    file = data_root / "coco-mini" / "annotations" / "instances_val.json"
    generator = torch.Generator().manual_seed(0)
    detections = [shaken(data.target(i), generator, len(data.classes)) for i in range(len(data))]
    image_ids = sorted(image["id"] for image in json.loads(file.read_text())["images"])[: len(data)]
    for kind in ("bbox", "segm"):
        result = evaluate_detections(detections, data, iou_type=kind)
        expected = reference(file, detections, image_ids, whole.category_ids, kind)
        figures = [result.summary[name] for name in FIGURES]
        # 1e-4: the data set keeps boxes as float32 and clips them to the image.
        np.testing.assert_allclose(figures, expected, rtol=0, atol=1e-4, err_msg=kind)
        assert 0.1 < result.summary["AP"] < 0.9
        ap = result.by_class["AP"].mean()
        assert ap == pytest.approx(result.summary["AP"], abs=1e-9)
        assert result.by_occlusion["n"].sum() == (~np.isnan(result.matches.object_occlusion)).sum()
        assert "estimate" in result.occlusion_note


@pytest.mark.parametrize("kind", ["segm", "segm-amodal"])
def test_mask_figures_are_those_of_pycocotools_on_the_exported_file(kind, tmp_path):
    """All 12 figures to 1e-9, of visible masks and of whole objects; by class, by occlusion, and differences."""
    data = load_data("digit-scenes", split="test", length=24)
    generator = torch.Generator().manual_seed(0)
    detections = [shaken(data.target(i), generator, len(data.classes)) for i in range(len(data))]
    data.export_coco(tmp_path / "truth.json")
    truth = json.loads((tmp_path / "truth.json").read_text())
    if kind == "segm-amodal":
        codes = [for_json(code) for i in range(len(data)) for code in encode_masks(data.target(i)["masks_amodal"])]
        for entry, code in zip(truth["annotations"], codes, strict=True):
            entry["segmentation"] = code
        (tmp_path / "truth.json").write_text(json.dumps(truth))
    result = evaluate_detections(detections, data, iou_type=kind)
    image_ids = [image["id"] for image in truth["images"]]
    category_ids = [category["id"] for category in truth["categories"]]
    expected = reference(tmp_path / "truth.json", detections, image_ids, category_ids, "segm")
    figures = np.nan_to_num([result.summary[name] for name in FIGURES], nan=-1.0)  # there are no large objects
    np.testing.assert_allclose(figures, expected, rtol=0, atol=1e-9)
    assert 0.05 < result.summary["AP"] < 0.9
    assert result.by_class["AP"].mean() == pytest.approx(result.summary["AP"], abs=1e-9)
    assert result.by_occlusion["n"].sum() == result.num_objects
    better = [Detections(t["boxes"], t["labels"], torch.ones(len(t["labels"])), t["masks"]) for _, t in data]
    gain = difference(result, evaluate_detections(better, data, iou_type=kind))
    assert gain.loc["AP", "difference"] > 0
    assert gain.loc["AP", "b"] == pytest.approx(1.0) or kind == "segm-amodal"
    with pytest.raises(DataError, match="differ in iou_type"):
        difference(result, evaluate_detections(better, data))
