"""Recall of proposals: by hand, and against pycocotools without categories."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from workbench.data import Dataset, load_data
from workbench.data.reading.boxes import xywh
from workbench.detectors import build_detector, save_detector
from workbench.errors import DataError
from workbench.evaluation import evaluate
from workbench.evaluation.proposal_recall import LIMITS, SIZES, proposal_problems, proposal_recall
from workbench.figures.proposal_recall import proposal_recall_figure
from workbench.proposals import with_proposals
from workbench.rle import encode_masks
from workbench.types import Proposals


class Given(Dataset):
    """Targets as they are given, of images of 300 × 400 pixels."""

    name, split, classes = "given", "all", ("a",)

    def __init__(self, targets: list[dict]):
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def target(self, index: int) -> dict:
        return self.targets[index]

    def size(self, index: int) -> tuple[int, int]:
        return 300, 400


def target_of(boxes: list[list[float]], proposals: list[list[float]] | torch.Tensor, **extra: torch.Tensor) -> dict:
    boxes = torch.tensor(boxes).reshape(-1, 4)
    proposals = torch.as_tensor(proposals).reshape(-1, 4).float()
    return {"boxes": boxes, "labels": torch.ones(len(boxes), dtype=torch.long), "proposals": proposals, **extra}


def random_data(images: int) -> Given:
    rng = np.random.default_rng(0)
    targets = []
    for _ in range(images):
        corner, side = rng.uniform(0, 200, (4, 2)), np.exp(rng.uniform(2, 5, (4, 2)))
        boxes = np.concatenate([corner, corner + side], axis=1).astype(np.float32)
        near = np.repeat(boxes, 40, axis=0) + rng.normal(0, 0.15, (160, 4)) * np.tile(np.repeat(side, 40, axis=0), 2)
        near = np.concatenate([np.minimum(near[:, :2], near[:, 2:] - 1), near[:, 2:]], axis=1)
        crowd = torch.tensor([False, False, False, True])
        targets.append(target_of(boxes.tolist(), rng.permutation(near), iscrowd=crowd))
    return Given(targets)


def ellipses(boxes: torch.Tensor) -> torch.Tensor:
    """The pixels [N, 300, 400] of the ellipse in each box [N, 4]."""
    rows, columns = torch.arange(300.0)[:, None] + 0.5, torch.arange(400.0) + 0.5
    x1, y1, x2, y2 = (side[:, None, None] for side in boxes.unbind(1))
    across, down = (2 * columns - x1 - x2) / (x2 - x1), (2 * rows - y1 - y2) / (y2 - y1)
    return across**2 + down**2 <= 1


def with_masks(data: Given) -> Given:
    """Objects and proposals are ellipses; the objects' areas are their pixels."""
    for target in data.targets:
        boxes = target["proposals"]
        target["proposals"] = Proposals(boxes, Proposals.ranked(boxes).scores, encode_masks(ellipses(boxes)))
        target["masks"] = ellipses(target["boxes"])
        target["area"] = target["masks"].flatten(1).sum(1).float()
    return data


def pycocotools_stats(data: Given, iou_type: str = "bbox") -> np.ndarray:
    """Average recall [S, L]."""
    truth, answers = [], []
    for image, target in enumerate(data.targets, 1):
        for row, box in enumerate(xywh(target["boxes"].double().numpy())):
            crowd = int(target["iscrowd"][row])
            truth.append({"id": len(truth) + 1, "image_id": image, "category_id": 1, "bbox": box.tolist(),
                          "area": float(box[2] * box[3]), "iscrowd": crowd})  # fmt: skip
            if iou_type == "segm":
                mask = target["masks"][row : row + 1]
                truth[-1] |= {"segmentation": encode_masks(mask)[0], "area": float(mask.sum())}
        given = Proposals.of(target["proposals"])
        for rank, box in enumerate(xywh(given.boxes.double().numpy())):
            answers.append({"image_id": image, "category_id": 1, "bbox": box.tolist(), "score": 1 / (1 + rank)})
            if iou_type == "segm":
                answers[-1]["segmentation"] = given.masks[rank]
                del answers[-1]["bbox"]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        images = [{"id": i + 1, "height": 300, "width": 400} for i in range(len(data))]
        coco.dataset = {"images": images, "annotations": truth, "categories": [{"id": 1, "name": "a"}]}
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(answers), iou_type)
        run.params.useCats, run.params.maxDets = 0, list(LIMITS)
        run.evaluate()
        run.accumulate()
    return run.eval["recall"][:, 0].mean(axis=0)  # [T, K, S, L] → [S, L]


def test_by_hand():
    """One object is met exactly by the eleventh proposal and by 0.62 before; the other by none; one is a crowd."""
    boxes = [[0.0, 0, 10, 10], [100, 100, 200, 200], [0, 0, 300, 300]]
    far = [[300.0, 200, 310, 210]] * 9
    proposals = [[0.0, 0, 10, 6.2], *far, [0, 0, 10, 10]]
    data = Given([target_of(boxes, proposals, iscrowd=torch.tensor([False, False, True])), target_of([], [])])
    recall = proposal_recall(data)
    assert recall.num_objects.tolist() == [2, 1, 0, 1]
    assert recall.recall[0, :, 0].tolist() == [0.5] * 3 + [0] * 7, "IoU 0.5, 0.55 and 0.6 among the best ten"
    assert recall.recall[0, :, 1].tolist() == [0.5] * 10
    assert recall.num_proposals == 5.5
    table = recall.table()
    assert list(table.index) == list(SIZES)
    assert table.loc["small", "AR@10"] == pytest.approx(0.3)
    assert table.loc["small", "AR@100"] == 1
    assert np.isnan(table.loc["medium", "AR@100"])
    assert table.loc["large", "recall@0.5"] == 0
    assert list(recall.summary) == ["AR100", "AR1k", "AR1k_s", "AR1k_m", "AR1k_l"]
    assert [recall.summary[key] for key in ("AR100", "AR1k", "AR1k_s", "AR1k_l")] == [0.5, 0.5, 1, 0]


def test_sizes_can_be_those_of_smaller_images():
    """Sides 10, 20 and 60: small, small, medium; and small, medium, large where COCO's pixels are halved."""
    data = Given([target_of([[0.0, 0, side, side] for side in (10, 20, 60)], [])])
    assert proposal_recall(data).num_objects.tolist() == [3, 2, 1, 0]
    assert proposal_recall(data, scale=0.5).num_objects.tolist() == [3, 1, 1, 1]


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_equals_pycocotools(iou_type):
    """Without categories, by size, of the best 10, 100 and 1000."""
    data = random_data(12) if iou_type == "bbox" else with_masks(random_data(4))
    got = proposal_recall(data, iou_type=iou_type).recall.mean(axis=1)
    want = pycocotools_stats(data, iou_type)
    assert 0.1 < got[0, 0] < got[0, 1] < 1
    np.testing.assert_allclose(got, np.where(want < 0, np.nan, want), atol=1e-12)


def test_masks_differ_where_boxes_agree():
    """Two triangles share a box: the mask of one overlaps the other's by no pixel off the diagonal."""
    upper = torch.ones(300, 400).triu(1).bool()
    data = Given([target_of([[0.0, 0, 400, 300]], [[0, 0, 400, 300]], masks=upper[None])])
    boxes = data.targets[0]["proposals"]
    for mask, reached in ((upper, 1.0), (~upper, 0.0)):
        data.targets[0]["proposals"] = Proposals(boxes, torch.ones(1), encode_masks(mask[None]))
        assert proposal_recall(data, iou_type="segm").table().loc["large", "AR@10"] == reached
        assert proposal_recall(data).table().loc["large", "AR@10"] == 1
    assert "by their masks" in str(proposal_recall(data, iou_type="segm"))
    data.targets[0]["masks_amodal"] = ~upper[None]
    assert proposal_recall(data, iou_type="segm-amodal").summary["AR1k"] == 1


def test_missing_masks_are_named():
    data = Given([target_of([[0.0, 0, 50, 50]], [[0, 0, 50, 45]])])
    with pytest.raises(DataError, match=r'image 0: there is no target\["masks"\] .* iou_type "bbox"'):
        proposal_recall(data, iou_type="segm")
    data.targets[0]["masks"] = torch.ones(1, 300, 400, dtype=torch.bool)
    with pytest.raises(DataError, match="image 0: its proposals are boxes without masks"):
        proposal_recall(data, iou_type="segm")
    small = encode_masks(torch.ones(1, 30, 40))
    data.targets[0]["proposals"] = Proposals(torch.zeros(1, 4), torch.ones(1), small)
    with pytest.raises(DataError, match=r"masks of proposals are \[30, 40\] pixels .* the image \[300, 400\]"):
        proposal_recall(data, iou_type="segm")
    with pytest.raises(DataError, match=r"iou_type is 'mask'; choose one of \('bbox', 'segm', 'segm-amodal'\)"):
        proposal_recall(data, iou_type="mask")


def test_one_proposal_stands_for_one_object():
    twins = [[0.0, 0, 50, 50], [0, 0, 50, 50]]
    assert proposal_recall(Given([target_of(twins, twins[:1])])).recall[0, 0].tolist() == [0.5] * 3


def test_a_saved_mask_rcnn_proposes_and_is_evaluated_on_what_it_proposed(tmp_path):
    """Its proposals are the region proposal network's, and that targets carry them changes nothing."""
    data = load_data("digit-scenes", split="test", length=2)
    small = {"kind": "mask-rcnn", "backbone": {"name": "small", "widths": [8, 8, 8]}, "channels": 8, "min_size": None,
             "head": {"kind": "two-fc", "width": 8}, "mask": {"layers": [8], "width": 8}}  # fmt: skip
    torch.manual_seed(0)
    detector = build_detector(small, data.classes).eval()
    file = save_detector(detector, tmp_path / "masks.safetensors")
    given = with_proposals(data, kind="detector", name=file, top=1000, cache=tmp_path)
    own = detector.proposals([data.image(0)], 1000)[0].boxes
    kept = own[((own[:, 2:] - own[:, :2]) >= 2).all(dim=1)]
    torch.testing.assert_close(given.target(0)["proposals"].boxes, kept)
    assert proposal_recall(given).num_proposals > 100
    for kind in ("bbox", "segm"):
        one, other = (evaluate(detector, some, iou_type=kind, progress=False).summary for some in (data, given))
        assert one == pytest.approx(other, nan_ok=True)


def test_the_doctor_warns_of_what_is_missed():
    good = Given([target_of([[0.0, 0, 50, 50]], [[0, 0, 50, 45]])])
    bad = Given([target_of([[0.0, 0, 50, 50]], [[0, 0, 50, 20]])])
    assert proposal_problems(good) == []
    assert "only 0% of 1 objects have one of IoU ≥ 0.5" in str(proposal_problems(bad)[0])
    assert proposal_problems(Given([target_of([], [])])) == []


def test_data_without_proposals_are_named():
    with pytest.raises(DataError, match="given/all image 0: there are no proposals; give them by with_proposals"):
        proposal_recall(Given([{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0)}]))


def test_figure_shows_each_number_of_proposals_and_each_name():
    recall = proposal_recall(random_data(3))
    left, right = proposal_recall_figure(recall).axes
    assert len(left.lines) == len(LIMITS)
    assert [text.get_text() for text in left.get_legend().get_texts()] == [f"best {limit}" for limit in LIMITS]
    np.testing.assert_allclose(right.lines[0].get_ydata(), recall.recall[0].mean(axis=0))
    right = proposal_recall_figure({"one": recall, "two": recall}, size="large").axes[1]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["one", "two"]
    masks = proposal_recall(with_masks(random_data(1)), iou_type="segm")
    assert proposal_recall_figure(masks).axes[0].get_xlabel() == "IoU of masks"
    left, right = proposal_recall_figure({"one": recall, "two": masks}).axes
    assert left.get_xlabel() == "IoU of boxes or masks"
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["one (boxes)", "two (masks)"]
    with pytest.raises(DataError, match="'tiny'"):
        proposal_recall_figure(recall, size="tiny")
    with pytest.raises(DataError, match="No recalls"):
        proposal_recall_figure({})
