"""Counting with image weights is counting repeated images; intervals are what a bootstrap says."""

import numpy as np
import pytest

from workbench.data.reading.boxes import xywh
from workbench.evaluation.counting.bootstrap import (
    average_precision,
    interval,
    mean_over_classes,
    resample_images,
)
from workbench.evaluation.counting.matching import match_all
from workbench.evaluation.counting.tables import Found, Objects


def random_tables(num_images, num_classes, seed, *, answers=10, crowds=0.0):
    """Two to five objects per image, found with some error, among wrong detections; no two scores are equal."""
    generator = np.random.default_rng(seed)
    per_image = generator.integers(2, 6, num_images)
    images = np.repeat(np.arange(num_images), per_image)
    n = len(images)
    boxes = random_boxes(generator, n)
    labels = generator.integers(1, num_classes + 1, n)
    truth = Objects(
        num_images=num_images,
        sizes=np.full((num_images, 2), 128),
        images=images,
        labels=labels,
        boxes=boxes,
        area=xywh(boxes)[:, 2:].prod(axis=1),
        crowd=generator.random(n) < crowds,
        difficult=np.zeros(n, bool),
        occlusion=generator.uniform(0, 0.75, n) * (generator.random(n) < 0.6),
    )
    far = num_images * answers - n
    found_images = np.concatenate([images, generator.integers(0, num_images, far)])
    order = np.argsort(found_images, kind="stable")
    found_boxes = np.concatenate([boxes + generator.normal(0, 3, boxes.shape), random_boxes(generator, far)])
    found_labels = np.concatenate([labels, generator.integers(1, num_classes + 1, far)])
    scores = generator.permutation(n + far) / (n + far)
    scores[:n] = scores[:n] ** 0.5
    return truth, Found(found_images[order], found_labels[order], found_boxes[order], scores[order])


def random_boxes(generator, number):
    corner, side = generator.uniform(0, 90, (number, 2)), generator.uniform(15, 40, (number, 2))
    return np.concatenate([corner, corner + side], axis=1)


def repeat(truth: Objects, found: Found, times: np.ndarray) -> tuple[Objects, Found]:
    """The data set with image i written `times[i]` times."""
    source = np.repeat(np.arange(len(times)), times)

    def rows(images):
        places = [np.flatnonzero(images == i) for i in source]
        number = np.repeat(np.arange(len(source)), [len(place) for place in places])
        return np.concatenate(places), number

    theirs, images = rows(truth.images)
    columns = ("labels", "boxes", "area", "crowd", "difficult", "occlusion")
    objects = Objects(
        num_images=len(source),
        sizes=truth.sizes[source],
        images=images,
        **{name: getattr(truth, name)[theirs] for name in columns},
    )
    ours, images = rows(found.images)
    return objects, Found(images, found.labels[ours], found.boxes[ours], found.scores[ours])


@pytest.mark.parametrize("seed", range(5))
def test_a_weight_is_a_repeated_image(seed):
    truth, found = random_tables(12, 3, seed, crowds=0.1)
    times = np.random.default_rng(seed).integers(0, 4, 12)
    weighted = average_precision(match_all(truth, found, 3), times[None].astype(float))
    repeated = average_precision(match_all(*repeat(truth, found, times), 3))
    np.testing.assert_allclose(weighted, repeated, rtol=0, atol=1e-9)
    assert 0 < np.nanmean(weighted[0, 0]) < 1


def test_many_resamples_equal_one_at_a_time(monkeypatch):
    matches = match_all(*random_tables(30, 2, 7), 2)
    weights = resample_images(30, 20, 3)
    together = average_precision(matches, weights)
    one_by_one = np.concatenate([average_precision(matches, row[None]) for row in weights])
    monkeypatch.setattr("workbench.evaluation.counting.bootstrap._CHUNK", 1)
    np.testing.assert_allclose(together, one_by_one, rtol=0, atol=1e-6)  # weights are float32
    np.testing.assert_allclose(together, average_precision(matches, weights), rtol=0, atol=1e-6)


def test_resamples_draw_every_image_equally_and_follow_the_seed():
    weights = resample_images(40, 2000, 5)
    assert (weights.sum(axis=1) == 40).all()
    assert np.abs(weights.mean(axis=0) - 1).max() < 0.12
    assert weights.var() == pytest.approx(1 - 1 / 40, rel=0.03)  # binomial(40, 1/40)
    np.testing.assert_array_equal(weights, resample_images(40, 2000, 5))
    np.testing.assert_array_equal(weights, resample_images(40, 2000, np.random.default_rng(5)))
    assert (weights != resample_images(40, 2000, 6)).any()


def test_a_class_without_objects_is_left_out():
    truth, found = random_tables(6, 2, 0)
    ap = average_precision(match_all(truth, found, 4))
    assert np.isnan(ap[0, :, 2:]).all()
    assert not np.isnan(ap[0, 0, :2]).any()
    assert mean_over_classes(ap[0, 0].mean(axis=1)) == pytest.approx(ap[0, 0, :2].mean())
    assert np.isnan(mean_over_classes(np.full(3, np.nan)))


def test_interval_is_the_middle_95_percent_reflected():
    # Samples 0 … 1000 have their middle 95 % in 25 … 975; about a value of 400 that is -175 … 775.
    assert interval(400.0, np.arange(1001.0)) == pytest.approx((-175.0, 775.0))
    assert interval(2.0, np.array([np.nan, 2.0, 2.0])) == (2.0, 2.0)
    assert np.isnan(interval(0.5, np.array([np.nan]))).all()
    assert np.isnan(interval(np.nan, np.ones(3))).all()


def test_a_thousand_resamples():
    """500 images, 10 classes, 10 thresholds, 7 subsets: about 1.5 s on an idle core."""
    matches = match_all(*random_tables(500, 10, 1, answers=20), 10)
    weights = resample_images(500, 1000)
    ap = average_precision(matches, weights)
    assert ap.shape == (1000, 7, 10, 10)
