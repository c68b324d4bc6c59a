"""Who found whom, worked by hand. Status is asked for two subsets: all objects, and one with some ignored."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.evaluation.counting.matching import ELSEWHERE, IGNORED, RIGHT, WRONG, match, match_all, with_elsewhere
from workbench.evaluation.counting.tables import gather_found, gather_objects


def status(ious, crowd=None, ignored=None, threshold=0):
    ious = np.array(ious, dtype=np.float64)
    number = ious.shape[1]
    crowd = np.zeros(number, bool) if crowd is None else np.array(crowd, bool)
    ignored = np.zeros((1, number), bool) if ignored is None else np.array([ignored], bool)
    return match(ious, crowd, ignored)[0, threshold].tolist()


def test_an_object_is_found_once_by_the_first():
    assert status([[0.6], [0.9]]) == [RIGHT, WRONG]


def test_the_best_free_object_is_taken():
    # The first takes object 1 (0.8 > 0.7); the second would like it too and must take object 0.
    assert status([[0.7, 0.8], [0.6, 0.9]]) == [RIGHT, RIGHT]
    # With object 0 out of reach nothing is left for the second.
    assert status([[0.7, 0.8], [0.4, 0.9]]) == [RIGHT, WRONG]


def test_of_equal_overlaps_the_last_object_is_taken():
    # Were the first to take object 0, the second (object 0 only) would be wrong.
    assert status([[0.7, 0.7], [0.7, 0.0]]) == [RIGHT, RIGHT]
    assert status([[0.7, 0.7], [0.0, 0.7]]) == [RIGHT, WRONG]


def test_thresholds_are_inclusive():
    ious = [[0.75]]
    assert [status(ious, threshold=t)[0] for t in range(10)] == [RIGHT] * 6 + [WRONG] * 4
    assert status([[1.0]], threshold=9) == [RIGHT]


def test_an_ignored_object_comes_last_and_makes_its_finder_ignored():
    assert status([[0.9, 0.6]], ignored=[True, False]) == [RIGHT]  # the wanted one, though it overlaps less
    assert status([[0.9, 0.4]], ignored=[True, False]) == [IGNORED]
    assert status([[0.9], [0.8]], ignored=[True]) == [IGNORED, WRONG]  # found once, like any object


def test_a_crowd_is_found_any_number_of_times():
    assert status([[0.9], [0.8]], crowd=[True], ignored=[True]) == [IGNORED, IGNORED]


def test_a_crowd_counts_the_share_of_the_detection_inside(target, found):
    objects = gather_objects([target([(0, 0, 100, 100, 1)], iscrowd=[True])], [(100, 100)])
    answers = gather_found([found([(10, 10, 20, 20, 1, 0.9), (95, 95, 105, 105, 1, 0.8)])])
    matches = match_all(objects, answers, 1)
    assert matches.status[0, 0].tolist() == [IGNORED, WRONG]  # a quarter of the second lies inside


def test_classes_and_images_do_not_mix(target, found):
    objects = gather_objects([target([(0, 0, 10, 10, 1)]), target([(0, 0, 10, 10, 2)])], [(100, 100)] * 2)
    answers = gather_found([found([(0, 0, 10, 10, 2, 0.9)]), found([(0, 0, 10, 10, 2, 0.8)])])
    matches = match_all(objects, answers, 2)
    assert matches.images.tolist() == [0, 1]
    assert matches.status[0, 0].tolist() == [WRONG, RIGHT]


def test_detections_are_sorted_by_class_then_score_and_ties_keep_their_order(target, found):
    objects = gather_objects([target([]), target([])], [(100, 100)] * 2)
    first = found([(0, 0, 1, 1, 2, 0.5), (0, 0, 2, 2, 1, 0.5), (0, 0, 3, 3, 1, 0.7)])
    second = found([(0, 0, 4, 4, 1, 0.5), (0, 0, 5, 5, 1, 0.9)])
    matches = match_all(objects, gather_found([first, second]), 2)
    assert matches.labels.tolist() == [1, 1, 1, 1, 2]
    assert matches.scores.round(1).tolist() == [0.9, 0.7, 0.5, 0.5, 0.5]
    assert matches.images.tolist() == [1, 0, 0, 1, 0]
    assert [matches.rows(1), matches.rows(2)] == [slice(0, 4), slice(4, 5)]


def test_only_the_hundred_best_of_an_image_and_class_count(target, found):
    rows = [(0, 0, 10, 10, 1, 0.5 + i / 1000) for i in range(150)] + [(0, 0, 9, 9, 2, 0.1)]
    objects = gather_objects([target([(0, 0, 10, 10, 1)])], [(100, 100)])
    matches = match_all(objects, gather_found([found(rows)]), 2)
    assert (matches.labels == 1).sum() == 100
    assert (matches.labels == 2).sum() == 1
    assert matches.scores[:100].min() == pytest.approx(0.55)


def test_counts_by_level_of_occlusion(target, found):
    rows = [(0, 0, 10, 10, 1)] * 7
    hidden = [0.0, 0.04, 0.05, 0.2, 0.4, 0.75, float("nan")]
    image = target(rows, occlusion=hidden, difficult=[False] * 7)
    crowd = target([(0, 0, 10, 10, 2)], occlusion=[0.0], iscrowd=[True])
    objects = gather_objects([image, crowd], [(100, 100)] * 2)
    counts = match_all(objects, gather_found([found([]), found([])]), 2).counts()
    assert counts[:, 0, 0].tolist() == [7, 2, 1, 1, 1, 1, 3]  # all, five levels, occluded
    assert counts[:, 1].sum() == 0  # a crowd cannot be missed


#: A free cat, a half hidden dog, and one of unknown occlusion; far from each other.
OBJECTS = [(0, 0, 20, 20, 1), (40, 0, 60, 20, 2), (0, 60, 20, 80, 2)]
KNOWN = [0.0, 0.5, float("nan")]
ALL, FREE, HALF, OCCLUDED = 0, 1, 4, 6  # places in SUBSETS


def levels(answers, target, found, *, threshold=0, objects=OBJECTS, **extra):
    """Status of each detection among all objects, in the level of free ones and in that of half hidden ones."""
    truth = gather_objects([target(objects, **{"occlusion": KNOWN} | extra)], [(100, 100)])
    matches = match_all(truth, gather_found([found(answers)]), 2)
    return [matches.status[subset, threshold].tolist() for subset in (ALL, FREE, HALF, OCCLUDED)]


def test_what_is_wrong_at_an_object_is_wrong_in_its_level_alone(target, found):
    cat_on_dog = [(40, 0, 60, 20, 1, 0.9)]
    assert levels(cat_on_dog, target, found) == [[WRONG], [ELSEWHERE], [WRONG], [WRONG]]
    dog_on_cat = [(0, 0, 20, 20, 2, 0.9)]
    assert levels(dog_on_cat, target, found) == [[WRONG], [WRONG], [ELSEWHERE], [ELSEWHERE]]
    on_the_unknown_one = [(0, 60, 20, 80, 1, 0.9)]
    assert levels(on_the_unknown_one, target, found) == [[WRONG], [ELSEWHERE], [ELSEWHERE], [ELSEWHERE]]
    on_nothing = [(70, 70, 90, 90, 1, 0.9)]
    assert levels(on_nothing, target, found) == [[WRONG]] * 4


def test_so_is_a_second_and_a_badly_placed_one(target, found):
    twice = [(40, 0, 60, 20, 2, 0.9), (40, 0, 60, 20, 2, 0.8)]
    assert levels(twice, target, found) == [[RIGHT, WRONG], [IGNORED, ELSEWHERE], [RIGHT, WRONG], [RIGHT, WRONG]]
    # 4 of 20 columns of the dog: IoU 80 / (400 + 160 - 80) = 1/6, enough to be about it
    near = [(36, 0, 44, 20, 2, 0.9)]
    assert levels(near, target, found) == [[WRONG], [ELSEWHERE], [WRONG], [WRONG]]
    # 2 of 20 columns: 40 / (400 + 160 - 40) = 1/13, too little
    assert levels([(34, 0, 42, 20, 2, 0.9)], target, found) == [[WRONG]] * 4
    # Right up to IoU 0.75, and from there on wrong of the dog and of nothing else.
    loose = [(40, 0, 60, 15, 2, 0.9)]
    assert levels(loose, target, found, threshold=5) == [[RIGHT], [IGNORED], [RIGHT], [RIGHT]]
    assert levels(loose, target, found, threshold=6) == [[WRONG], [ELSEWHERE], [WRONG], [WRONG]]


def test_between_two_objects_the_nearer_one_has_it(target, found):
    side_by_side = [(0, 0, 20, 20, 1), (20, 0, 40, 20, 1), (0, 60, 20, 80, 2)]
    for x, free, half in ((7, WRONG, ELSEWHERE), (13, ELSEWHERE, WRONG)):
        status = levels([(x, 0, x + 20, 20, 2, 0.9)], target, found, objects=side_by_side)
        assert status == [[WRONG], [free], [half], [half]], x


def test_crowds_and_difficult_objects_take_nothing_away(target, found):
    """They do not in AP of all objects: a cat in a crowd of dogs is wrong."""
    cats = [(0, 0, 20, 20, 1, 0.9), (40, 0, 60, 20, 1, 0.8), (0, 60, 20, 80, 1, 0.7)]
    for kind in ("iscrowd", "difficult"):
        status = levels(cats, target, found, **{kind: [False, True, True]})
        assert status[0] == status[1] == [RIGHT, WRONG, WRONG], kind


def test_masks_say_which_object_is_nearer_where_masks_are_compared(target, found):
    """The boxes of both objects are the same; a cat over the pixels of the dog is wrong of the dog."""
    masks = np.zeros((2, 100, 100), bool)
    masks[0, :20, :10], masks[1, :20, 10:20] = True, True
    rows = [(0, 0, 20, 20, 1), (0, 0, 20, 20, 2)]
    truth = gather_objects([target(rows, occlusion=[0.0, 0.5], masks=masks)], [(100, 100)], masks="masks")
    answers = found([(0, 0, 20, 20, 1, 0.9)])
    answers.masks = torch.from_numpy(masks[1:])
    matches = match_all(truth, gather_found([answers], masks=True), 2)
    assert matches.status[[ALL, FREE, HALF], 0, 0].tolist() == [WRONG, ELSEWHERE, WRONG]


def test_strict_levels_and_back(target, found):
    truth = gather_objects([target(OBJECTS, occlusion=KNOWN)], [(100, 100)])
    rows = [(40, 0, 60, 20, 1, 0.9), (0, 0, 20, 20, 1, 0.8), (70, 70, 90, 90, 2, 0.3), (40, 0, 60, 16, 2, 0.2)]
    answers = gather_found([found(rows)])
    matches = match_all(truth, answers, 2)
    strict = matches.strict()
    assert (matches.status == ELSEWHERE).any()
    assert not (strict.status == ELSEWHERE).any()
    np.testing.assert_array_equal(with_elsewhere(strict, truth, answers).status, matches.status)
    assert strict.strict().status.tolist() == strict.status.tolist()
    with pytest.raises(ValueError, match="other detections"):
        with_elsewhere(replace(strict, images=strict.images[:1]), truth, answers)


def test_no_objects_and_no_detections(target, found):
    for rows, answers in (([], [(0, 0, 9, 9, 1, 0.5)]), (OBJECTS, []), ([], [])):
        known = KNOWN[: len(rows)]
        status = levels(answers, target, found, objects=rows, occlusion=known)
        assert status == [[WRONG] * len(answers)] * 4
