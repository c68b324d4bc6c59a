"""Recall of proposals: by hand, and against pycocotools without categories; what detectors that propose are worth."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from workbench.data import Dataset, load_data
from workbench.data.reading.boxes import xywh
from workbench.detectors import build_detector, save_detector
from workbench.detectors.base import Detector
from workbench.errors import DataError
from workbench.evaluation import evaluate, load_result
from workbench.evaluation.counting.reach import GROUPS
from workbench.evaluation.occlusion import BINS
from workbench.evaluation.proposal_recall import LIMITS, SIZES, ProposalRecall, proposal_problems, proposal_recall
from workbench.proposals import with_proposals
from workbench.rle import encode_masks
from workbench.types import Losses, Proposals


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


def random_data(images: int, near: int = 40) -> Given:
    """Four objects in each image, the last one a crowd, and so many proposals near each."""
    rng = np.random.default_rng(0)
    targets = []
    for _ in range(images):
        corner, side = rng.uniform(0, 200, (4, 2)), np.exp(rng.uniform(2, 5, (4, 2)))
        boxes = np.concatenate([corner, corner + side], axis=1).astype(np.float32)
        noise = rng.normal(0, 0.15, (4 * near, 4)) * np.tile(np.repeat(side, near, axis=0), 2)
        moved = np.repeat(boxes, near, axis=0) + noise
        moved = np.concatenate([np.minimum(moved[:, :2], moved[:, 2:] - 1), moved[:, 2:]], axis=1)
        crowd = torch.tensor([False, False, False, True])
        targets.append(target_of(boxes.tolist(), rng.permutation(moved), iscrowd=crowd))
    return Given(targets)


def ellipses(boxes: torch.Tensor) -> torch.Tensor:
    """The pixels [N, 300, 400] of the ellipse in each box [N, 4]."""
    masks = torch.zeros(len(boxes), 300, 400, dtype=torch.bool)
    rows, columns = torch.arange(300.0)[:, None] + 0.5, torch.arange(400.0) + 0.5
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.tolist(), strict=True):
        there = slice(max(0, int(y1)), max(0, int(y2) + 1)), slice(max(0, int(x1)), max(0, int(x2) + 1))
        across = (2 * columns[there[1]] - x1 - x2) / (x2 - x1)
        mask[there] = across**2 + ((2 * rows[there[0]] - y1 - y2) / (y2 - y1)) ** 2 <= 1
    return masks


def with_masks(data: Given) -> Given:
    """Objects and proposals are ellipses; the objects' areas are their pixels."""
    for target in data.targets:
        boxes = target["proposals"]
        codes = [code for part in boxes.split(100) for code in encode_masks(ellipses(part))]
        target["proposals"] = Proposals(boxes, Proposals.ranked(boxes).scores, codes)
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
    assert dict(zip(GROUPS, recall.num_objects.tolist(), strict=True)) == {
        **dict.fromkeys(GROUPS, 0), "all": 2, "small": 1, "large": 1,
    }  # fmt: skip
    assert recall.against_iou(10)["all"].tolist() == [0.5] * 3 + [0] * 7, "IoU 0.5, 0.55 and 0.6 among the best ten"
    assert recall.against_iou(100)["all"].tolist() == [0.5] * 10
    assert recall.recall.shape == (len(GROUPS), 10, 1000)
    assert recall.against_number()["all"].iloc[[0, 9, 10, 999]].tolist() == pytest.approx([0.15, 0.15, 0.5, 0.5])
    assert recall.num_proposals == 5.5
    table = recall.table()
    assert list(table.index) == list(SIZES)
    assert table.loc["small", "AR@10"] == pytest.approx(0.3)
    assert table.loc["small", "AR@100"] == 1
    assert np.isnan(table.loc["medium", "AR@100"])
    assert table.loc["large", "recall@0.5"] == 0
    sizes = ("", "_s", "_m", "_l")
    hidden = ("AR100_unoccluded", "AR100_occluded")
    assert list(recall.summary) == [
        "AR10",
        "AR100",
        *(f"{key}{s}" for key in ("AR1k", "AUC") for s in sizes),
        *hidden,
    ]
    assert [recall.summary[key] for key in ("AR100", "AR1k", "AR1k_s", "AR1k_l")] == [0.5, 0.5, 1, 0]
    assert "AR10 0.150, AR100 0.500, AR1k 0.500" in repr(recall)
    assert "given all, 2 images, 2 objects, 6 proposals per image" in repr(recall)


def test_auc_by_hand():
    """On the logarithmic axis the first proposal counts 1, the tenth 2/3, the hundredth 1/3 and the last 0."""
    far, near = [[300.0, 200, 310, 210]], [0.0, 0, 100, 100]
    for rank, worth in ((1, 1), (10, 2 / 3), (100, 1 / 3), (1000, 0), (1001, 0)):
        data = Given([target_of([near], [*far * (rank - 1), near])])
        assert proposal_recall(data).summary["AUC"] == pytest.approx(worth)
    both = Given([target_of([near, [200.0, 0, 220, 20]], [*far * 9, near, *far * 89, [200.0, 0, 220, 20]])])
    summary = proposal_recall(both).summary
    assert [summary[f"AUC{s}"] for s in ("", "_s", "_l")] == pytest.approx([1 / 2, 1 / 3, 2 / 3])
    missed = Given([target_of([near], far)])
    assert proposal_recall(missed).summary["AUC"] == 0


def test_auc_is_the_area_below_the_curve():
    """AR of 1, 2 … 999 proposals, each as wide as it is on the logarithmic axis."""
    recall = proposal_recall(random_data(6, near=300))
    curve, widths = recall.against_number(), np.diff(np.log(np.arange(1, 1001))) / np.log(1000)
    for size, name in zip(SIZES, ("AUC", "AUC_s", "AUC_m", "AUC_l"), strict=True):
        want = (curve[size].to_numpy()[:999] * widths).sum()
        assert recall.summary[name] == pytest.approx(want, nan_ok=True)
    assert 0 < recall.summary["AUC"] < 1


def test_all_windows_are_the_upper_bound():
    """An object that only the 1500th proposal reaches: AR@all has it, AR1k and AUC do not."""
    box = [0.0, 0, 100, 100]
    data = Given([target_of([box], [[300.0, 200, 310, 210]] * 1499 + [box])])
    assert "AR@all" not in proposal_recall(data).table()
    recall = proposal_recall(data, most=20_000)
    assert recall.table().loc["all", ["AR@1000", "AR@all", "AUC"]].tolist() == [0, 1, 0]
    assert recall.against_iou(1500).loc[0.95, "all"] == 1
    with pytest.raises(DataError, match="best 1001 proposals is not known; choose 1 to 1000"):
        proposal_recall(data).against_iou(1001)
    with pytest.raises(DataError, match="most is 100; AR1k and AUC need at least 1000"):
        proposal_recall(data, most=100)


def test_by_occlusion_by_hand():
    """Objects hidden by 0, 0.1, 0.3 and an unknown part; the second and the last are not reached."""
    boxes = [[50.0 * k, 0, 50 * k + 40, 40] for k in range(4)]
    hidden = torch.tensor([0.0, 0.1, 0.3, float("nan")])
    recall = proposal_recall(Given([target_of(boxes, [boxes[0], boxes[2]], occlusion=hidden)]))
    table = recall.by_occlusion
    assert list(table.index) == list(BINS)
    assert table["objects"].tolist() == [1, 1, 1, 0, 0]
    assert table["AR@100"].tolist()[:3] == [1, 0, 1]
    assert (recall.summary["AR100_unoccluded"], recall.summary["AR100_occluded"]) == (1, 1)
    assert list(recall.table().index) == [*SIZES, *BINS]
    assert "The occlusion of 1 of 4 objects is unknown; they are ignored in recall by occlusion" in repr(recall)
    assert table.attrs["note"] in repr(recall)
    unknown = proposal_recall(Given([target_of(boxes, boxes)]))
    assert "recall by occlusion cannot be given" in unknown.by_occlusion.attrs["note"]


def test_intervals_are_of_the_images():
    """All of one image's objects are reached, and half of the other's: AR lies between, and so does its interval."""
    pair = [[0.0, 0, 50, 50], [100, 0, 150, 50]]
    row = proposal_recall(Given([target_of(pair, pair), target_of(pair, pair[:1])])).table().loc["all"]
    assert row[["low", "AR@100", "high"]].tolist() == [0.5, 0.75, 1]
    row = proposal_recall(Given([target_of(pair, pair[:1])] * 5)).table().loc["all"]
    assert row[["low", "AR@100", "high"]].tolist() == [0.5, 0.5, 0.5], "equal images leave nothing to chance"


def test_sizes_can_be_those_of_smaller_images():
    """Sides 10, 20 and 60: small, small, medium; and small, medium, large where COCO's pixels are halved."""
    data = Given([target_of([[0.0, 0, side, side] for side in (10, 20, 60)], [])])
    assert proposal_recall(data).table()["objects"].tolist() == [3, 2, 1, 0]
    assert proposal_recall(data, scale=0.5).table()["objects"].tolist() == [3, 1, 1, 1]


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_equals_pycocotools(iou_type):
    """Without categories, by size, of the best 10, 100 and 1000."""
    data = random_data(12, near=300) if iou_type == "bbox" else with_masks(random_data(2, near=280))
    got = proposal_recall(data, iou_type=iou_type).against_number().loc[list(LIMITS), list(SIZES)].to_numpy().T
    want = pycocotools_stats(data, iou_type)
    assert 0.1 < got[0, 0] < got[0, 1] < got[0, 2] < 1
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
    assert "by their masks" in repr(proposal_recall(data, iou_type="segm"))
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
    assert set(proposal_recall(Given([target_of(twins, twins[:1])])).recall[0, 0]) == {0.5}


BOXES = st.lists(st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 30)] * 2), max_size=12)


@settings(max_examples=60, deadline=None)
@given(objects=BOXES, proposals=BOXES)
def test_more_proposals_reach_no_fewer_objects_and_masks_that_fill_their_boxes_are_boxes(objects, proposals):
    targets = []
    for rows in (objects, proposals):
        corners = torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
        boxes = torch.cat([corners[:, :2], corners[:, :2] + corners[:, 2:]], dim=1)
        masks = torch.zeros(len(boxes), 300, 400, dtype=torch.bool)
        for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist(), strict=True):
            mask[top:bottom, left:right] = True
        targets.append((boxes, masks))
    (boxes, masks), (proposed, filled) = targets
    target = target_of(boxes.tolist(), proposed, masks=masks, occlusion=torch.linspace(0, 1, len(boxes)))
    target["proposals"] = Proposals(proposed, Proposals.ranked(proposed).scores, encode_masks(filled))
    by_boxes, by_masks = (proposal_recall(Given([target]), iou_type=kind) for kind in ("bbox", "segm"))
    np.testing.assert_array_equal(by_boxes.recall, by_masks.recall)
    assert by_boxes.summary == pytest.approx(by_masks.summary, nan_ok=True)
    known = by_boxes.recall[by_boxes.num_objects > 0]
    assert (np.diff(known, axis=2) >= 0).all()
    assert (np.diff(known, axis=1) <= 0).all(), "nor does a stricter overlap reach more"
    assert ((known >= 0) & (known <= 1)).all()


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


class Proposer(Detector):
    """Proposes each image's own proposals, which it is told; its loss is the number of objects."""

    proposes, mask_key = True, "masks"

    def __init__(self, data: Given):
        super().__init__()
        self.classes, self.scale = ("other",), torch.nn.Parameter(torch.ones(()))
        self.known = [target["proposals"] for target in data.targets]

    def proposals(self, images: list[torch.Tensor], top: int) -> list[Proposals]:
        return [Proposals.of(self.known[int(image[0, 0, 0])]).top(top) for image in images]

    def losses(self, images, targets, generator=None) -> Losses:
        return Losses(number=self.scale * sum(len(target["boxes"]) for target in targets) / len(targets))


class Pictured(Given):
    """The same with images that hold their number."""

    def image(self, index: int) -> torch.Tensor:
        return torch.full((3, 300, 400), index, dtype=torch.uint8)


@pytest.fixture(scope="module")
def pictured() -> Pictured:
    """Three images whose boxes reach out of them, with masks; all proposals are small enough to be kept."""
    return Pictured(with_masks(random_data(3)).targets)


def test_what_a_detector_proposes_is_evaluated_by_boxes_and_masks(pictured, tmp_path):
    """As the same proposals are, clipped to the image; whatever the detector's classes."""
    result = evaluate(Proposer(pictured), pictured, batch_size=2, losses=True, progress=False)
    assert isinstance(result, ProposalRecall)
    assert result.losses == {"number": 4}
    clipped = [dict(one, proposals=one["proposals"].inside((300, 400), smallest=2)) for one in pictured.targets]
    boxes, masks = (proposal_recall(Given(clipped), iou_type=kind).summary for kind in ("bbox", "segm"))
    assert boxes["AR100"] != masks["AR100"]
    want = boxes | {f"mask_{name}": value for name, value in masks.items()}
    assert result.summary == pytest.approx(want, nan_ok=True)
    assert list(result.summary) == list(want)
    alone = evaluate(Proposer(pictured), pictured, iou_type="segm", progress=False)
    assert alone.masks is None
    assert alone.summary == pytest.approx(masks, nan_ok=True)


def test_a_detector_that_proposes_boxes_has_no_masks_to_compare(pictured):
    proposer = Proposer(pictured)
    proposer.known = [proposals.boxes for proposals in proposer.known]
    proposer.mask_key = None
    assert evaluate(proposer, pictured, progress=False).masks is None
    with pytest.raises(DataError, match="its proposals are boxes without masks"):
        evaluate(proposer, pictured, iou_type="segm", progress=False)


def test_a_saved_one_comes_back_as_it_was(pictured, tmp_path):
    result = evaluate(Proposer(pictured), pictured, losses=True, progress=False)
    again = load_result(result.save(tmp_path / "folder" / "result.json"))
    assert isinstance(again, ProposalRecall)
    assert again.summary == pytest.approx(result.summary, nan_ok=True)
    assert (repr(again), again.losses, again.most) == (repr(result), result.losses, 1000)
    np.testing.assert_array_equal(again.recall, result.recall)
    np.testing.assert_array_equal(again.masks.reached.ranks, result.masks.reached.ranks)
    assert again.table().equals(result.table())
    assert again._repr_html_().count("by their masks") == 1, "the table of boxes comes first"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"most": 3}, r"reached\.ranks has values from 0 to \d+; expected 0 to 3"),
        ({"most": 0}, "most"),
        ({"reached": None}, "NoneType"),
        ({"reached": {"num_images": -1}}, "proposals of -1 images"),
        ({"iou_type": "outline"}, "iou_type"),
        ({"more": 1}, "more"),
        ({"masks": {}}, "reached"),
        ({"format": "occlusion-workbench result 1"}, r"Result\.save"),
    ],
)
def test_a_damaged_file_is_named(pictured, tmp_path, change, message):
    path = proposal_recall(pictured).save(tmp_path / "result.json")
    Path(path).write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=f"(?s)result.json: not a result written by .*{message}"):
        load_result(path)
