"""Timing of detection: slower detectors take longer, and what cannot be timed is refused."""

from __future__ import annotations

import time

import pytest
import torch

from workbench.detectors.base import Detector
from workbench.errors import DataError
from workbench.evaluation.speed import detection_times
from workbench.types import Detections


class Busy(Detector):
    """Needs so many seconds of the processor for an image, and in its first call many more."""

    def __init__(self, seconds):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seconds, self.threads, self.calls = seconds, set(), 0

    def detect(self, images, proposals=None):
        assert len(images) == 1
        self.threads.add(torch.get_num_threads())
        until = time.process_time() + (self.seconds if self.calls else 0.2)
        self.calls += 1
        while time.process_time() < until:
            pass
        return [Detections(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0))]


IMAGES = [torch.zeros(3, 8, 8)] * 2


def test_medians_over_rounds_without_the_first():
    before = torch.get_num_threads()
    quick, slow = Busy(0.002), Busy(0.02)
    table = detection_times({"quick": quick, "slow": slow}, IMAGES, rounds=3)
    assert table.index.tolist() == ["quick", "slow"]
    assert 2 <= table.loc["quick", "milliseconds"] < 20 <= table.loc["slow", "milliseconds"] < 80
    assert (table["fastest"] <= table["milliseconds"]).all()
    assert (table["milliseconds"] <= table["slowest"]).all()
    assert slow.calls == 4 * len(IMAGES)
    assert quick.threads == {1}
    assert torch.get_num_threads() == before


def test_what_cannot_be_timed_is_refused():
    needy = Busy(0)
    needy.needs_proposals = True
    with pytest.raises(DataError, match="needy needs proposals"):
        detection_times({"needy": needy}, IMAGES)
    for detectors, images, rounds in (({}, IMAGES, 1), ({"a": Busy(0)}, [], 1), ({"a": Busy(0)}, IMAGES, 0)):
        with pytest.raises(DataError, match="at least one"):
            detection_times(detectors, images, rounds=rounds)
