"""How the loss is spread over windows: shares and curves by hand, and gathering from a detector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_detectors import RETINANET

from workbench.analysis.anchor_losses import (
    LossWindows,
    Ranking,
    Windows,
    gather_windows,
    hardest_share,
    hardest_windows,
    loss_distribution,
)
from workbench.data import load_data
from workbench.detectors import build_detector
from workbench.errors import DataError, WorkbenchError
from workbench.losses import anchor_losses
from workbench.losses.focal import CrossEntropy, Focal

LOSSES = torch.tensor([4.0, 1, 1, 1, 1, 0, 0, 0, 2, 0])


@pytest.fixture(scope="module")
def data():
    return load_data("digit-scenes", split="test", length=5)


@pytest.fixture(scope="module")
def detector(data):
    torch.manual_seed(0)
    return build_detector(RETINANET, data.classes)


@pytest.fixture(scope="module")
def windows(detector, data):
    return gather_windows(detector, data, batch_size=2)


def test_share_of_the_hardest_by_hand():
    assert hardest_share(LOSSES, 0.1) == pytest.approx(0.4)
    assert hardest_share(LOSSES, 0.2) == pytest.approx(0.6)
    assert hardest_share(LOSSES, 0.001) == pytest.approx(0.4), "at least one window"
    assert hardest_share(LOSSES, 1) == 1


def test_distribution_by_hand():
    found = loss_distribution(LOSSES, points=11)
    assert found.windows.tolist() == pytest.approx([i / 10 for i in range(11)])
    assert found.loss.tolist() == pytest.approx([0, 0, 0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.6, 1])


def test_few_points_keep_the_steep_end():
    """One window of a million has half of the loss: the curve must show it."""
    losses = torch.ones(10**6)
    losses[123] = 10**6
    found = loss_distribution(losses, points=50)
    assert len(found.windows) <= 100
    assert found.loss[-2] < 0.51
    assert (np.diff(found.loss) >= 0).all()


@pytest.mark.parametrize("losses", [torch.zeros(3), torch.zeros(0)])
def test_windows_without_loss_are_told(losses):
    with pytest.raises(DataError, match="without any loss"):
        loss_distribution(losses)
    with pytest.raises(DataError, match="no fraction"):
        hardest_share(LOSSES, 0)


def test_every_window_is_gathered_with_its_image_and_box(detector, data, windows):
    per_image = len(detector.anchors_for(128, 128))
    own = [detector.anchor_scores([data[i][0]], [data[i][1]])[0] for i in range(len(data))]
    ignored = sum(int((scores.labels < 0).sum()) for scores in own)
    assert len(windows.positives) + len(windows.negatives) + ignored == per_image * len(data)
    assert windows.positives.seen == len(windows.positives) > 0
    assert set(windows.negatives.labels.tolist()) == {0}
    for index, scores in enumerate(own):
        mine = windows.positives[windows.positives.images == index]
        assert torch.equal(mine.labels, scores.labels[scores.labels > 0])
        assert torch.equal(mine.boxes, scores.boxes[scores.labels > 0])
        torch.testing.assert_close(mine.logits, scores.logits[scores.labels > 0], atol=1e-4, rtol=1e-4)


def test_losses_are_those_of_training(detector, data, windows):
    """Summed and divided as in training they are the detector's own loss."""
    images, targets = zip(*(data[i] for i in range(len(data))), strict=True)
    with torch.no_grad():
        expected = detector.eval().losses(images, targets)["classifier"]
    counts = torch.bincount(windows.positives.images, minlength=len(data))
    total = sum((part.losses() / counts[part.images]).sum() for part in (windows.positives, windows.negatives))
    torch.testing.assert_close(total / len(data), expected, atol=0, rtol=1e-4)


def test_a_sample_is_uniform_and_bounded(detector, data, windows):
    seen = torch.zeros(len(data))
    for seed in range(8):
        some = gather_windows(detector, data, most=300, generator=torch.Generator().manual_seed(seed))
        assert len(some.negatives) == 300
        assert some.negatives.seen == windows.negatives.seen
        assert len(some.positives) == min(300, windows.positives.seen)
        seen += torch.bincount(some.negatives.images, minlength=len(data))
    assert (seen - seen.mean()).abs().max() < 5 * seen.mean().sqrt(), "the first images have no better chance"


def test_the_hardest_windows_say_where_they_are(windows):
    each = windows.negatives.losses(CrossEntropy())
    table = hardest_windows(windows.negatives, each, number=7)
    assert len(table) == 7
    assert table["loss"].is_monotonic_decreasing
    assert table["loss"][0] == pytest.approx(float(each.max()))
    box = torch.tensor(table.loc[0, ["x1", "y1", "x2", "y2"]].tolist())
    there = (windows.negatives.images == table["image"][0]) & (windows.negatives.boxes == box).all(dim=1)
    assert there.sum() == 1
    assert each[there] == each.max()
    assert table["score"][0] == pytest.approx(float(windows.negatives.logits[there].sigmoid().max()))


def test_shares_concentrate_as_gamma_grows():
    """Sec. 5.5.1: for the negatives of a detector whose scores differ, gamma moves the loss to the hardest."""
    logits = 2 * torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0)) - 5
    labels = torch.zeros(20_000, dtype=torch.long)
    negatives = Windows(logits, labels, labels, torch.zeros(20_000, 4), seen=20_000)
    few = torch.arange(500)
    positives = Windows(logits[few] + 4, labels[few] + 1, labels[few], negatives.boxes[few], seen=500)
    table = LossWindows(positives, negatives, "toy", 1).shares([Focal(gamma=gamma) for gamma in (0, 0.5, 1, 2)])
    shares = table[table["windows"] == "negative"]["hardest 1%"].tolist()
    assert shares == sorted(shares)
    assert shares[-1] > 2 * shares[0]
    mean = anchor_losses(positives.logits, positives.labels, Focal(gamma=0)).mean()
    assert table["mean loss"][0] == pytest.approx(mean.item())


def test_other_detectors_and_other_classes_are_refused(detector, data):
    faster = build_detector(RETINANET | {"kind": "faster-rcnn"}, data.classes)
    with pytest.raises(WorkbenchError, match="FasterRCNN has no dense anchors; choose one of retinanet"):
        gather_windows(faster, data)
    with pytest.raises(DataError, match="different classes"):
        gather_windows(build_detector(RETINANET, ("one",)), data)


def test_a_ranking_says_the_same_as_the_functions(windows):
    negatives, loss = windows.negatives, Focal(gamma=0.5)
    ranking, each = Ranking.of(negatives, loss), negatives.losses(loss)
    for fraction in (0.01, 0.2, 1):
        assert ranking.hardest(fraction) == pytest.approx(hardest_share(each, fraction))
    ours, theirs = ranking.distribution(50), loss_distribution(each, 50)
    assert np.array_equal(ours.windows, theirs.windows)
    assert np.array_equal(ours.loss, theirs.loss)
    assert ranking.around(1.0, 7)["loss"].tolist() == hardest_windows(negatives, each, 7)["loss"].tolist()


def test_windows_around_a_place(windows):
    ranking = Ranking.of(windows.negatives)
    number, ordered = len(ranking), ranking.losses.sort().values
    middle = ranking.around(0.5, 5)
    assert middle["loss"].tolist() == ordered[(number - 1) // 2 - 2 :][:5].flip(0).tolist()
    assert middle["place"].tolist()[2] == pytest.approx(0.5, abs=1 / number)
    assert ranking.around(0.0, 3)["loss"].tolist() == ordered[:3].flip(0).tolist()
    few = Ranking.of(windows.negatives[torch.arange(4)])
    assert len(few.around(0.3, 9)) == 4, "all that there are"


def test_gathering_tells_how_far_it_is(detector, data):
    shares = []
    gather_windows(detector, data, batch_size=2, watch=shares.append)
    assert shares == [0.4, 0.8, 1.0]
