"""Our matching and counting, faster-coco-eval and pycocotools agree; difficult and crowded objects are ignored."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.data.reading.boxes import xywh
from workbench.evaluation.coco import FIGURES, coco_figures
from workbench.evaluation.counting.bootstrap import RECALLS, average_precision, mean_over_classes, precision_at_recall
from workbench.evaluation.counting.matching import ELSEWHERE, WRONG, match_all
from workbench.evaluation.counting.tables import Found, Objects, gather_found, gather_objects
from workbench.evaluation.occlusion import SUBSETS, members

NUM_CLASSES = 3
# A coarse grid and few scores, so that equal overlaps and equal scores are common.
CORNER = st.integers(0, 6)
BOX = st.tuples(CORNER, CORNER, st.integers(1, 4), st.integers(1, 4))
LABEL = st.integers(1, NUM_CLASSES)
HIDDEN = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.6, 0.75, float("nan")])
OBJECT = st.tuples(BOX, LABEL, HIDDEN, st.sampled_from(["plain"] * 4 + ["crowd", "difficult"]))
DETECTION = st.tuples(BOX, LABEL, st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
IMAGE = st.tuples(st.lists(OBJECT, max_size=6), st.lists(DETECTION, max_size=10))
SCENES = st.lists(IMAGE, min_size=1, max_size=5)


def tables(scenes) -> tuple[Objects, Found]:
    """The drawn scenes as flat tables; one grid step is 12 pixels, so small, medium and large all occur."""
    objects = [(i, *item) for i, (items, _) in enumerate(scenes) for item in items]
    found = [(i, *item) for i, (_, items) in enumerate(scenes) for item in items]
    boxes = pixel_boxes([item[1] for item in objects])
    truth = Objects(
        num_images=len(scenes),
        sizes=np.full((len(scenes), 2), 200),
        images=np.array([item[0] for item in objects], dtype=np.int64),
        labels=np.array([item[2] for item in objects], dtype=np.int64),
        boxes=boxes,
        area=xywh(boxes)[:, 2:].prod(axis=1),
        crowd=np.array([item[4] == "crowd" for item in objects], dtype=bool),
        difficult=np.array([item[4] == "difficult" for item in objects], dtype=bool),
        occlusion=np.array([item[3] for item in objects], dtype=np.float64),
    )
    answers = Found(
        images=np.array([item[0] for item in found], dtype=np.int64),
        labels=np.array([item[2] for item in found], dtype=np.int64),
        boxes=pixel_boxes([item[1] for item in found]),
        scores=np.array([item[3] for item in found], dtype=np.float64),
    )
    return truth, answers


def pixel_boxes(boxes) -> np.ndarray:
    table = np.array(boxes, dtype=np.float64).reshape(-1, 4) * 12
    return np.concatenate([table[:, :2], table[:, :2] + table[:, 2:] * 2], axis=1)


def ours(truth: Objects, answers: Found) -> np.ndarray:
    """AP of each subset [A]."""
    return mean_over_classes(average_precision(match_all(truth, answers, NUM_CLASSES))[0].mean(axis=2))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCENES)
def test_ours_and_both_libraries_agree(scenes):
    truth, answers = tables(scenes)
    reference = coco_figures(truth, answers, NUM_CLASSES, backend="pycocotools")
    fast = coco_figures(truth, answers, NUM_CLASSES, backend="faster-coco-eval")
    np.testing.assert_allclose(list(fast.values()), list(reference.values()), rtol=0, atol=1e-12)

    ap = average_precision(match_all(truth, answers, NUM_CLASSES))[0, 0]  # [K, T]
    mine = [mean_over_classes(ap.mean(axis=1)), mean_over_classes(ap[:, 0]), mean_over_classes(ap[:, 5])]
    np.testing.assert_allclose(mine, [reference[name] for name in ("AP", "AP50", "AP75")], rtol=0, atol=1e-9)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCENES)
def test_every_strict_level_of_occlusion_agrees_with_pycocotools(scenes):
    truth, answers = tables(scenes)
    wanted = members(truth.occlusion, truth.ignored)
    strict = average_precision(match_all(truth, answers, NUM_CLASSES).strict())[0].mean(axis=2)
    for subset, value in enumerate(mean_over_classes(strict)):
        only = replace(truth, difficult=~wanted[subset] & ~truth.crowd)  # the others are ignored
        reference = coco_figures(only, answers, NUM_CLASSES, backend="pycocotools")["AP"]
        np.testing.assert_allclose(value, reference, rtol=0, atol=1e-9, err_msg=list(SUBSETS)[subset])


def sorted_as_matches(answers: Found) -> Found:
    """In the order of `Matches`, where no image has too many of a class."""
    order = np.lexsort((-answers.scores, answers.labels))
    return Found(**{name: getattr(answers, name)[order] for name in ("images", "labels", "boxes", "scores")})


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCENES)
def test_a_level_of_occlusion_is_pycocotools_without_what_is_elsewhere(scenes):
    truth, answers = tables(scenes)
    matches, answers = match_all(truth, answers, NUM_CLASSES), sorted_as_matches(answers)
    wanted = members(truth.occlusion, truth.ignored)
    mine = mean_over_classes(np.moveaxis(average_precision(matches)[0], 1, -1))  # [A, T]
    for subset in range(len(SUBSETS)):
        only = replace(truth, difficult=~wanted[subset] & ~truth.crowd)
        for threshold, name in ((0, "AP50"), (5, "AP75")):
            kept = matches.status[subset, threshold] != ELSEWHERE
            some = Found(**{key: value[kept] for key, value in vars(answers).items() if value is not None})
            reference = coco_figures(only, some, NUM_CLASSES, backend="pycocotools")[name]
            np.testing.assert_allclose(mine[subset, threshold], reference, rtol=0, atol=1e-9)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCENES)
def test_a_wrong_detection_is_wrong_in_one_level_or_in_all(scenes):
    truth, answers = tables(scenes)
    matches = match_all(truth, answers, NUM_CLASSES)
    levels, strict = matches.status[1:-1], matches.strict().status  # without all objects and "occluded"
    wrong, aside = (levels == WRONG).sum(axis=0), (levels == ELSEWHERE).sum(axis=0)
    assert set(np.unique(wrong[aside > 0])) <= {0, 1}, "none: of unknown occlusion, or right there"
    assert (matches.status[0] != ELSEWHERE).all(), "all objects: nothing is elsewhere"
    assert (strict == np.where(matches.status == ELSEWHERE, WRONG, matches.status)).all()
    ours_now, before = average_precision(matches)[0], average_precision(matches.strict())[0]
    np.testing.assert_array_equal(ours_now[0], before[0])
    assert (np.nan_to_num(ours_now - before) >= -1e-12).all(), "fewer wrong ones, never a lower AP"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCENES, st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.75]))
def test_where_all_objects_are_of_one_level_its_ap_is_that_of_all(scenes, hidden):
    truth, answers = tables(scenes)
    truth = replace(truth, occlusion=np.full(len(truth), hidden))
    matches = match_all(truth, answers, NUM_CLASSES)
    ap = average_precision(matches)[0]
    level = int(np.flatnonzero(members(np.array([hidden]), np.array([False]))[1:-1, 0])[0]) + 1
    np.testing.assert_array_equal(ap[level], ap[0])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCENES)
def test_the_curve_has_the_area_ap(scenes):
    matches = match_all(*tables(scenes), NUM_CLASSES)
    for subset in range(len(SUBSETS)):
        curves = precision_at_recall(matches, subset)
        assert curves.shape[2] == len(RECALLS)
        np.testing.assert_allclose(curves.mean(axis=2), average_precision(matches)[0, subset], rtol=0, atol=1e-12)


def test_a_larger_random_data_set_agrees():
    generator = np.random.default_rng(0)
    scenes = []
    for _ in range(60):
        n, d = generator.integers(0, 8), generator.integers(0, 130)
        kinds = generator.choice(["plain", "plain", "crowd", "difficult"], n)
        objects = [
            (tuple(generator.uniform(0, 4, 4) + 0.2), int(label), 0.0, str(kind))
            for label, kind in zip(generator.integers(1, 4, n), kinds, strict=True)
        ]
        near = [
            (tuple(np.array(box) + generator.normal(0, 0.1, 4)), label, round(generator.random(), 1))
            for box, label, _, _ in objects
        ]
        far = [
            (tuple(generator.uniform(0, 4, 4)), int(generator.integers(1, 4)), float(generator.random() / 2))
            for _ in range(d)
        ]
        scenes.append((objects, near + far))
    truth, answers = tables(scenes)
    reference = coco_figures(truth, answers, NUM_CLASSES, backend="pycocotools")
    fast = coco_figures(truth, answers, NUM_CLASSES, backend="faster-coco-eval")
    assert 0.1 < reference["AP"] < 0.9
    assert fast == pytest.approx(reference, abs=1e-12, nan_ok=True)
    assert ours(truth, answers)[0] == pytest.approx(reference["AP"], abs=1e-9)


@pytest.mark.parametrize("backend", ["faster-coco-eval", "pycocotools"])
class TestEdges:
    def test_a_perfect_detector_scores_one_and_prints_nothing(self, backend, target, found, capfd):
        truth = gather_objects([target([(10, 10, 30, 30, 1), (40, 40, 90, 90, 2)])], [(100, 100)])
        answers = gather_found([found([(10, 10, 30, 30, 1, 0.9), (40, 40, 90, 90, 2, 0.8)])])
        figures = coco_figures(truth, answers, 2, backend=backend)
        assert tuple(figures) == FIGURES
        present = [figures[name] for name in FIGURES if not name.endswith("l")]
        assert present == pytest.approx([1.0] * 10)
        assert np.isnan([figures["APl"], figures["ARl"]]).all()  # there are no large objects
        assert capfd.readouterr() == ("", "")

    def test_no_detections_score_zero(self, backend, target, found):
        truth = gather_objects([target([(10, 10, 30, 30, 1)])], [(100, 100)])
        figures = coco_figures(truth, gather_found([found([])]), 2, backend=backend)
        assert (figures["AP"], figures["AR100"], figures["APs"]) == (0.0, 0.0, 0.0)

    def test_no_objects_measure_nothing(self, backend, target, found):
        truth = gather_objects([target([])], [(100, 100)])
        figures = coco_figures(truth, gather_found([found([(10, 10, 30, 30, 1, 0.9)])]), 2, backend=backend)
        assert np.isnan(list(figures.values())).all()

    @pytest.mark.parametrize("flag", ["iscrowd", "difficult"])
    def test_an_ignored_object_is_neither_found_nor_missed(self, backend, flag, target, found):
        plain = (10, 10, 30, 30, 1)
        truth = gather_objects([target([plain, (50, 50, 90, 90, 1)], **{flag: [False, True]})], [(100, 100)])
        both = gather_found([found([(50, 50, 90, 90, 1, 0.9), (*plain, 0.8)])])
        one = gather_found([found([(*plain, 0.8)])])
        assert coco_figures(truth, both, 1, backend=backend)["AP"] == pytest.approx(1.0)
        assert coco_figures(truth, one, 1, backend=backend)["AP"] == pytest.approx(1.0)

    def test_a_box_turned_inside_out_is_wrong(self, backend, target, found):
        truth = gather_objects([target([(10, 10, 30, 30, 1)])], [(100, 100)])
        answers = gather_found([found([(30, 30, 10, 10, 1, 0.9), (10, 10, 30, 30, 1, 0.8)])])
        assert coco_figures(truth, answers, 1, backend=backend)["AP50"] == pytest.approx(0.5)


def test_worked_by_hand(target, found):
    """Three objects; right, wrong, right: precision 1 up to recall 1/3, then 2/3 up to recall 2/3, then 0."""
    truth = gather_objects(
        [target([(0, 0, 10, 10, 1), (50, 50, 60, 60, 1)]), target([(0, 0, 10, 10, 1)])], [(99, 99)] * 2
    )
    answers = gather_found(
        [found([(0, 0, 10, 10, 1, 0.9), (20, 20, 30, 30, 1, 0.8)]), found([(0, 0, 10, 10, 1, 0.7)])]
    )
    expected = (34 * 1 + 33 * 2 / 3) / 101  # recall points 0 … 0.33 and 0.34 … 0.66
    ap = average_precision(match_all(truth, answers, 2))
    assert ap[0, 0, 0] == pytest.approx([expected] * 10)
    assert np.isnan(ap[0, 0, 1]).all()
    assert coco_figures(truth, answers, 2)["AP"] == pytest.approx(expected)


def test_pycocotools_is_used_where_the_fast_one_is_missing(monkeypatch, target, found):
    import workbench.evaluation.coco as module

    truth = gather_objects([target([(10, 10, 30, 30, 1)])], [(100, 100)])
    answers = gather_found([found([(12, 10, 30, 30, 1, 0.9)])])
    expected = coco_figures(truth, answers, 1)
    calls = []
    reference = module._reference
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(module, "_reference", lambda *content: calls.append(1) or reference(*content))
    assert coco_figures(truth, answers, 1) == pytest.approx(expected, nan_ok=True)
    assert calls == [1]
