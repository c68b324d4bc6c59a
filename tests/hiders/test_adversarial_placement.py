"""Adversarial placement: of all places the one that is worst, as many pixels at each, and not more work than said."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench import load_data
from workbench.errors import WorkbenchError
from workbench.hiders import AdversarialPlacement, Scene


class Judge:
    """Finds bad what `badness` says of images and targets, and remembers what it was asked."""

    needs_targets = True

    def __init__(self, badness):
        self.badness, self.asked = badness, []

    def __call__(self, samples, rows):
        self.asked.append((list(samples), rows.tolist()))
        return torch.tensor(
            [[self.badness(sample, row) for row in rows.tolist()] for sample in samples], dtype=torch.double
        )


@pytest.fixture(scope="module")
def samples():
    data = load_data("digit-scenes", split="test", occlusion_rate=0.0)
    return [data[index] for index in range(8)]


def middle(sample, axis: int) -> float:
    """Where the middle of what is hidden lies, in pixels down (0) or across (1)."""
    return float(sample[1]["mask_hidden"].nonzero()[:, axis].float().mean())


@pytest.mark.parametrize(("axis", "sign"), [(0, 1), (0, -1), (1, 1), (1, -1)])
def test_the_worst_of_all_places_is_taken(samples, axis, sign):
    image, target = samples[7]
    judge = Judge(lambda sample, _: sign * middle(sample, axis))
    hider = AdversarialPlacement(occluders="grey", fraction=(0.3, 0.3))
    changed, after = hider.hide(image, target, Scene(np.random.default_rng(0), judge=judge))
    ((tried, (row,)),) = judge.asked
    assert len(tried) == 9
    best = max(range(9), key=lambda place: sign * middle(tried[place], axis))
    assert torch.equal(changed, tried[best][0])
    assert torch.equal(after["masks"], tried[best][1]["masks"])
    own = int(target["masks_amodal"][row].sum())
    hidden = {round(float(one["occlusion"][row]) * own) for _, one in tried}
    assert hidden == {int(0.3 * own + 0.5)}, "only the place differs"
    assert hider.health["placed"] == 1
    worst, mean = (kind([sign * middle(one, axis) for one in tried]) for kind in (max, np.mean))
    assert hider.health["worsened"] == pytest.approx(worst - mean, rel=1e-6)


def test_the_first_of_equally_bad_ones(samples):
    judge = Judge(lambda *_: 0.0)
    changed, _ = AdversarialPlacement().hide(*samples[7], Scene(np.random.default_rng(0), judge=judge))
    assert torch.equal(changed, judge.asked[0][0][0][0])


def test_several_objects_take_their_own_worst_of_the_same_images(samples):
    """One goes up and the other down, and the detector is asked no oftener than for one."""
    image, target = samples[7]
    first: list[int] = []

    def badness(sample, row):
        first.append(row)
        rows = target["masks_amodal"][row].nonzero()[:, 0]
        hidden = (sample[1]["mask_hidden"] & target["masks_amodal"][row]).nonzero()[:, 0].float().mean()
        return float(hidden - rows.float().mean()) * (1 if row == first[0] else -1)

    judge = Judge(badness)
    hider = AdversarialPlacement(occluders="grey", objects=2, fraction=(0.3, 0.3))
    _, after = hider.hide(image, target, Scene(np.random.default_rng(0), judge=judge))
    ((tried, rows),) = judge.asked
    assert (len(tried), len(rows)) == (9, 2)
    for row, sign in zip(rows, (1, -1), strict=True):
        own = target["masks_amodal"][row]
        hidden = (after["mask_hidden"] & own).nonzero()[:, 0].float().mean()
        assert sign * float(hidden - own.nonzero()[:, 0].float().mean()) > 0


@pytest.mark.parametrize(("chance", "counts"), [(0.25, {2}), (0.3, {2, 3}), (1.0, {8}), (0.0, {0}), (0.05, {0, 1})])
def test_a_share_of_the_images_of_a_step_and_never_more(samples, chance, counts):
    asked = []
    for seed in range(12):
        judge = Judge(lambda *_: 0.0)
        hider = AdversarialPlacement(chance=chance, grid=2)
        images = hider.hide_batch(samples, Scene(np.random.default_rng(seed), judge=judge))
        asked.append(len(judge.asked))
        assert sum(a is not b for (a, _), (b, _) in zip(images, samples, strict=True)) == len(judge.asked)
        assert all(len(tried) == 4 for tried, _ in judge.asked)
    assert set(asked) == counts


def test_it_ramps_up(samples):
    judge = Judge(lambda *_: 0.0)
    hider = AdversarialPlacement(chance=1.0, ramp=0.5, grid=1)
    for progress, number in ((0.0, 0), (0.25, 4), (0.5, 8)):
        judge.asked.clear()
        hider.hide_batch(samples, Scene(np.random.default_rng(0), progress=progress, judge=judge))
        assert len(judge.asked) == number


def test_targets_are_made_only_where_they_are_looked_at(samples):
    judge = Judge(lambda *_: 0.0)
    judge.needs_targets = False
    AdversarialPlacement().hide(*samples[7], Scene(np.random.default_rng(0), judge=judge))
    assert all(target is samples[7][1] for _, target in judge.asked[0][0])


def test_places_that_would_hide_too_much_of_another_object_are_none():
    """A small object lies in the left part of a large one; the worst places are there, and are not taken."""
    target = {"boxes": torch.tensor([[10.0, 10, 70, 70], [12, 30, 20, 50]]), "labels": torch.tensor([1, 2])}
    image = torch.zeros(3, 80, 80, dtype=torch.uint8)
    judge = Judge(
        lambda sample, _: -middle(sample, 1) if sample[1]["mask_hidden"][10:70, 10:70].float().mean() > 0.3 else -99
    )
    for seed in range(6):
        scene = Scene(np.random.default_rng(seed), judge=judge)
        _, after = AdversarialPlacement(occluders="grey", fraction=(0.4, 0.4)).hide(image, target, scene)
        assert not after.get("ignored", torch.zeros(2)).any()


def test_without_a_detector_it_says_so(samples):
    with pytest.raises(WorkbenchError, match="asks the detector where it is worst, and there is none here"):
        AdversarialPlacement().hide(*samples[7], Scene(np.random.default_rng(0)))


def test_nothing_to_hide():
    image = torch.zeros(3, 20, 20, dtype=torch.uint8)
    target = {"boxes": torch.tensor([[1.0, 1, 3, 3]]), "labels": torch.tensor([1])}
    judge = Judge(lambda *_: 0.0)
    assert AdversarialPlacement().hide(image, target, Scene(np.random.default_rng(0), judge=judge)) == (image, target)
    assert not judge.asked
