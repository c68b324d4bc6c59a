"""VOC's average precision against the code of py-faster-rcnn, for any input, and the quirks of published figures."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from workbench.data.voc import Voc
from workbench.evaluation import evaluate_detections
from workbench.evaluation.counting.matching import IGNORED, RIGHT, WRONG
from workbench.evaluation.counting.tables import Found, Objects
from workbench.evaluation.voc import match_voc, voc_ap

BOX = (0, 0, 10, 10)
FAR = (50, 50, 60, 60)


def voc_eval(objects, found, label, *, eleven_points):
    """What `voc_eval` in lib/datasets/voc_eval.py of github.com/rbgirshick/py-faster-rcnn does (MIT, B. Hariharan).

    Restated for boxes in memory, with the devkit's 1-based inclusive pixels; one loop per detection, as there,
    and the devkit's IoU ≥ 0.5 for its > 0.5.
    """
    inclusive = np.array([1, 1, 0, 0])
    taken = np.zeros(len(objects), dtype=bool)
    rows = np.flatnonzero(found.labels == label)
    rows = rows[np.argsort(-found.scores[rows])]
    tp, fp = np.zeros(len(rows)), np.zeros(len(rows))
    for d, row in enumerate(rows):
        x1, y1, x2, y2 = found.boxes[row] + inclusive
        best, chosen = -np.inf, None
        for j in np.flatnonzero((objects.images == found.images[row]) & (objects.labels == label)):
            a1, b1, a2, b2 = objects.boxes[j] + inclusive
            width, height = min(x2, a2) - max(x1, a1) + 1.0, min(y2, b2) - max(y1, b1) + 1.0
            shared = max(width, 0.0) * max(height, 0.0)
            union = (x2 - x1 + 1.0) * (y2 - y1 + 1.0) + (a2 - a1 + 1.0) * (b2 - b1 + 1.0) - shared
            if shared / union > best:
                best, chosen = shared / union, j
        if best >= 0.5:
            if not objects.difficult[chosen]:
                tp[d], fp[d] = not taken[chosen], taken[chosen]
                taken[chosen] = True
        else:
            fp[d] = 1
    number = np.sum((objects.labels == label) & ~objects.difficult)
    if number == 0:
        return np.nan
    recall = tp.cumsum() / number
    with np.errstate(invalid="ignore"):
        precision = np.nan_to_num(tp.cumsum() / (tp.cumsum() + fp.cumsum()))
    if eleven_points:
        reached = [precision[recall >= t] for t in np.arange(0.0, 1.1, 0.1)]
        return sum(part.max() / 11.0 if len(part) else 0.0 for part in reached)
    recall = np.concatenate(([0.0], recall, [1.0]))
    precision = np.concatenate(([0.0], precision, [0.0]))
    for i in range(precision.size - 1, 0, -1):
        precision[i - 1] = max(precision[i - 1], precision[i])
    steps = np.where(recall[1:] != recall[:-1])[0]
    return np.sum((recall[steps + 1] - recall[steps]) * precision[steps + 1])


def table(rows, *, difficult=(), num_images=1):
    """Objects from rows (image, label, x1, y1, x2, y2)."""
    rows = np.array(rows, dtype=float).reshape(-1, 6)
    flags = np.isin(np.arange(len(rows)), difficult)
    nothing = np.zeros(len(rows))
    sizes = np.full((num_images, 2), 100)
    images, labels = rows[:, 0].astype(int), rows[:, 1].astype(int)
    crowd = np.zeros(len(rows), dtype=bool)
    return Objects(num_images, sizes, images, labels, rows[:, 2:], nothing + 100.0, crowd, flags, nothing)


def answers(rows):
    """Detections from rows (image, label, score, x1, y1, x2, y2)."""
    rows = np.array(rows, dtype=float).reshape(-1, 7)
    return Found(rows[:, 0].astype(int), rows[:, 1].astype(int), rows[:, 3:], rows[:, 2])


@st.composite
def scenes(draw):
    """Small boxes on a coarse grid, so that they overlap, tie and hit thresholds; scores without ties."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n, d = draw(st.integers(0, 14)), draw(st.integers(0, 30))
    corners = rng.integers(0, 8, (n + d, 2))
    boxes = np.concatenate([corners, corners + rng.integers(1, 9, (n + d, 2))], axis=1)
    head = np.stack([rng.integers(0, 3, n + d), rng.integers(1, 3, n + d)], axis=1)
    scores = (rng.permutation(d) + 1) / (d + 1)
    hard = np.flatnonzero(rng.random(n) < 0.2)
    objects = table(np.concatenate([head[:n], boxes[:n]], axis=1), difficult=hard, num_images=3)
    return objects, answers(np.concatenate([head[n:], scores[:, None], boxes[n:]], axis=1))


@settings(max_examples=200, deadline=None)
@given(scenes())
def test_the_same_as_py_faster_rcnn(scene):
    matches = match_voc(*scene, 2)
    for year, eleven_points in ((2007, True), (2012, False)):
        theirs = [voc_eval(*scene, label, eleven_points=eleven_points) for label in (1, 2)]
        assert voc_ap(matches, year)[0] == pytest.approx(theirs, nan_ok=True, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(scenes())
def test_properties(scene):
    objects, found = scene
    matches = match_voc(objects, found, 2)
    right = matches.nearest[matches.status == RIGHT]
    assert len(np.unique(right)) == len(right)  # an object is found once
    assert not objects.difficult[right].any()
    assert (matches.overlap[matches.status != WRONG] >= 0.5).all()
    ap = voc_ap(matches, 2012)[0]
    known = ~np.isnan(ap)
    assert (known == (matches.counts.sum(axis=0) > 0)).all()
    assert ((ap[known] >= 0) & (ap[known] <= 1)).all()
    curve = dataclasses.replace(found, scores=found.scores**3 + 5)  # only the order of the scores counts
    assert np.array_equal(voc_ap(match_voc(objects, curve, 2), 2012)[0], ap, equal_nan=True)
    twice = np.full((1, 3), 2.0)  # every image twice: the same precision at the same recall
    assert voc_ap(matches, 2012, twice)[0] == pytest.approx(ap, nan_ok=True)


def test_crowds_are_difficult_objects():
    objects = dataclasses.replace(table([(0, 1, *BOX), (0, 1, *FAR)]), crowd=np.array([True, False]))
    matches = match_voc(objects, answers([(0, 1, 0.9, *BOX)]), 1)
    assert matches.status.tolist() == [IGNORED]
    assert matches.counts.tolist() == [[1]]


def test_three_of_ten_do_not_reach_the_fourth_point():
    """0.1 · 3 is more than 0.3 in floating point; published figures have this."""
    objects = table([(i, 1, *BOX) for i in range(10)], num_images=10)
    found = answers([(i, 1, 0.9 - i / 100, *BOX) for i in range(3)])
    assert voc_ap(match_voc(objects, found, 1), 2007)[0, 0] == pytest.approx(3 / 11)


def test_equal_scores_keep_the_order_of_images_and_detections():
    objects = table([(0, 1, *BOX), (1, 1, *BOX)], num_images=2)
    found = answers([(0, 1, 0.5, *FAR), (0, 1, 0.5, *BOX), (1, 1, 0.5, *BOX)])
    matches = match_voc(objects, found, 1)
    assert matches.order.tolist() == [0, 1, 2]
    assert voc_ap(matches, 2012)[0, 0] == pytest.approx(2 / 3)


def test_many_detections_of_one_image_all_count(in_memory, target, found):
    """COCO looks at 100 per image and class only."""
    rows = [(*FAR, 1, 0.9)] * 150 + [(*BOX, 1, 0.5)]
    result = evaluate_detections([found(rows)], in_memory([target([(*BOX, 1)])]))
    assert result.summary["AP50"] == 0
    assert result.voc(2012).loc["mean", "AP"] == pytest.approx(1 / 151)


def test_boxes_are_those_that_a_voc_file_means(tmp_path):
    """A detection that the devkit would call exact is exact here: xmin..xmax, both included, from 1."""
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "ImageSets/Main/test.txt").write_text("a\n")
    thing = "<object><name>cat</name><difficult>0</difficult><bndbox>{}</bndbox></object>".format(
        "<xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>10</ymax>"
    )
    size = "<size><width>100</width><height>100</height><depth>3</depth></size>"
    (tmp_path / "Annotations/a.xml").write_text(f"<annotation>{size}{thing}</annotation>")
    Image.new("RGB", (100, 100)).save(tmp_path / "JPEGImages/a.jpg")
    boxes = Voc(tmp_path, "test", classes=["cat"]).target(0)["boxes"]
    assert torch.equal(boxes.as_subclass(torch.Tensor), torch.tensor([[0.0, 0, 10, 10]]))
    # By the devkit: pixels 1..10 against 1..5 in x share 50 of 100 pixels.
    objects = table([(0, 1, *boxes[0].tolist())])
    matches = match_voc(objects, answers([(0, 1, 0.9, 0, 0, 5, 10)]), 1)
    assert matches.overlap.tolist() == [0.5]
