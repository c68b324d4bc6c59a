"""VOC's average precision, on cases worked by hand and against a plain loop over the devkit's rules."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.evaluation import Result, evaluate_detections
from workbench.evaluation.counting.matching import IGNORED, RIGHT, WRONG
from workbench.evaluation.counting.tables import gather_found, gather_objects
from workbench.evaluation.voc import match_voc, voc_ap

SIZE = (100, 100)
HERE, FAR = (0, 0, 20, 20), (50, 50, 70, 70)


def matched(targets, answers, classes=1):
    return match_voc(gather_objects(targets, [SIZE] * len(targets)), gather_found(answers), classes)


def test_ap_of_right_wrong_right_by_hand(target, found):
    """Precision 1 at recall 1/2, then 2/3 at recall 1."""
    targets = [target([(*HERE, 1), (*FAR, 1)])]
    answers = [found([(*HERE, 1, 0.9), (30, 0, 40, 10, 1, 0.8), (*FAR, 1, 0.7)])]
    matches = matched(targets, answers)
    assert voc_ap(matches, 2007)[0, 0] == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert voc_ap(matches, 2012)[0, 0] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_a_duplicate_is_wrong_even_where_a_free_object_overlaps_it_nearly_as_much(target, found):
    """COCO would give the second detection the second object."""
    targets = [target([(0, 0, 20, 20, 1), (2, 0, 22, 20, 1)])]
    answers = [found([(0, 0, 20, 20, 1, 0.9), (0.5, 0, 20.5, 20, 1, 0.8)])]
    matches = matched(targets, answers)
    assert matches.status.tolist() == [RIGHT, WRONG]
    assert matches.nearest.tolist() == [0, 0]


def test_difficult_objects_are_neither_missed_nor_found_and_may_be_hit_twice(target, found):
    targets = [target([(*HERE, 1), (*FAR, 1)], difficult=[False, True])]
    answers = [found([(*FAR, 1, 0.9), (*FAR, 1, 0.8), (*HERE, 1, 0.7)])]
    matches = matched(targets, answers)
    assert matches.status.tolist() == [IGNORED, IGNORED, RIGHT]
    assert voc_ap(matches, 2012)[0, 0] == 1


def test_an_overlap_of_exactly_a_half_is_enough(target, found):
    matches = matched([target([(0, 0, 20, 10, 1)])], [found([(0, 0, 10, 10, 1, 0.9)])])
    assert matches.overlap.tolist() == [0.5]
    assert matches.status.tolist() == [RIGHT]


def test_a_class_without_objects_has_no_ap(target, found):
    ap = voc_ap(matched([target([(*HERE, 1)])], [found([(*FAR, 2, 0.9)])], classes=2))[0]
    assert ap[0] == 0
    assert np.isnan(ap[1])


def test_weights_are_repeated_images(target, found):
    targets = [target([(*HERE, 1)]), target([(*FAR, 1)]), target([(*HERE, 1)])]
    answers = [found([(*HERE, 1, 0.5)]), found([(*HERE, 1, 0.9)]), found([(*FAR, 1, 0.2)])]
    weighted = voc_ap(matched(targets, answers), 2012, np.array([[2, 1, 0]]))
    again = [0, 0, 1]
    repeated = voc_ap(matched([targets[i] for i in again], [answers[i] for i in again]), 2012)
    assert weighted == pytest.approx(repeated)


@pytest.mark.parametrize("year", [2006, 2013])
def test_a_year_without_voc_is_refused(target, found, year):
    with pytest.raises(DataError, match=f"no VOC {year}"):
        voc_ap(matched([target([(*HERE, 1)])], [found([])]), year)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), year=st.sampled_from([2007, 2012]))
def test_as_by_the_devkits_rules_on_pixel_counted_boxes(target, found, seed, year):
    generator = np.random.default_rng(seed)
    truth, answers = random_pixels(generator, scored=False), random_pixels(generator, scored=True)
    targets = [target([(*ours(row[:4]), 1) for row in rows], difficult=[row[4] for row in rows]) for rows in truth]
    detections = [found([(*ours(row[:4]), 1, row[4]) for row in rows]) for rows in answers]
    expected = by_the_rules(truth, answers, year)
    assert voc_ap(matched(targets, detections), year)[0, 0] == pytest.approx(expected, nan_ok=True)


def random_pixels(generator, *, scored):
    """Three images of rows (xmin, ymin, xmax, ymax, score or difficult), whole pixels that count from 1."""
    images = []
    for _ in range(3):
        low = generator.integers(1, 12, (generator.integers(0, 6), 2))
        high = low + generator.integers(0, 12, low.shape)
        last = generator.integers(1, 9, len(low)) / 8 if scored else generator.random(len(low)) < 0.25
        images.append([(*a.tolist(), *b.tolist(), c) for a, b, c in zip(low, high, last.tolist(), strict=True)])
    return images


def ours(box):
    xmin, ymin, xmax, ymax = box
    return xmin - 1, ymin - 1, xmax, ymax


def pixels_shared(a, b):
    wide, high = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + 1 for i in (0, 1))
    return max(wide, 0) * max(high, 0)


def by_the_rules(truth, answers, year):
    """AP of one class by the rules of VOCevaldet.m and VOCap.m (VOC devkit), pixels counted as there."""
    wanted = sum(not row[4] for rows in truth for row in rows)
    if not wanted:
        return np.nan
    queue = [(image, row) for image, rows in enumerate(answers) for row in rows]
    taken, right, wrong, curve = set(), 0, 0, [(0.0, 0.0)]
    for image, box in sorted(queue, key=lambda entry: -entry[1][4]):
        best, place = 0.0, None
        for number, thing in enumerate(truth[image]):
            shared = pixels_shared(box, thing)
            overlap = shared / (pixels_shared(box, box) + pixels_shared(thing, thing) - shared)
            if overlap > best:
                best, place = overlap, (image, number)
        hit = best >= 0.5
        if hit and truth[image][place[1]][4]:
            continue
        right += hit and place not in taken
        wrong += not hit or place in taken
        taken |= {place} if hit else set()
        curve.append((right / wanted, right / (right + wrong)))
    best_from = [max(precision for _, precision in curve[i:]) for i in range(len(curve))]
    if year == 2007:
        reached = [[p for r, p in curve if r >= point] for point in np.arange(0, 1.1, 0.1)]
        return sum(max(some, default=0.0) for some in reached) / 11
    return sum((curve[i][0] - curve[i - 1][0]) * best_from[i] for i in range(1, len(curve)))


def test_a_result_gives_vocs_ap_by_class_and_mean_and_so_does_its_file(in_memory, target, found, tmp_path):
    data = in_memory([target([(*HERE, 1), (*FAR, 2)])] * 4)
    result = evaluate_detections([found([(*HERE, 1, 0.9), (*HERE, 2, 0.8)])] * 4, data)
    table = result.voc(2012)
    assert table.index.tolist() == ["one", "two", "mean"]
    assert table["n"].tolist() == [4, 4, 8]
    assert table["AP"].tolist() == [1.0, 0.0, 0.5]
    assert (table["low"] <= table["AP"]).all()
    assert (table["high"] >= table["AP"]).all()
    assert Result.load(result.save(tmp_path / "result.json")).voc(2012).equals(table)


def test_a_result_of_an_earlier_version_still_loads_but_has_no_boxes(in_memory, target, found, tmp_path):
    result = evaluate_detections([found([(*HERE, 1, 0.9)])], in_memory([target([(*HERE, 1)])]))
    path = result.save(tmp_path / "result.json")
    text = path.read_text()
    content = {key: value for key, value in json.loads(text).items() if key not in ("objects", "found")}
    path.write_text(json.dumps(content))
    old = Result.load(path)
    assert old.by_class.equals(result.by_class)
    with pytest.raises(DataError, match="saved by an earlier version"):
        old.voc()
    with pytest.raises(DataError, match="saved by an earlier version"):
        old.diagnosis()
