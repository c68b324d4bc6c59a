"""Time per image beside AP: what is timed, in which order, and at which size."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from workbench.errors import DataError, RecipeError
from workbench.evaluation import speed
from workbench.evaluation.speed import at_size, speed_and_accuracy, time_detection


@pytest.fixture(scope="module")
def detector():
    return wb.load_detector("digit-scenes/faster-rcnn")


@pytest.fixture(scope="module")
def data():
    return wb.load_data("digit-scenes", split="test", length=6)


class Slow:
    """Takes as many seconds per image as `costs` says, round after round, on a clock of its own."""

    device = torch.device("cpu")

    def __init__(self, name, costs, clock):
        self.name, self.costs, self.clock = name, list(costs), clock

    def detect(self, images):
        self.clock["seen"].append((self.name, len(images), torch.get_num_threads()))
        self.clock["now"] += self.costs.pop(0)
        return []


@pytest.fixture
def clock(monkeypatch):
    clock = {"now": 0.0, "seen": []}
    monkeypatch.setattr(speed.time, "process_time", lambda: clock["now"])
    return clock


def test_the_median_of_the_rounds_counts_and_detectors_take_turns(clock):
    images = [torch.zeros(3, 8, 8)] * 2
    warm_up = [9.0] * len(images)
    a = Slow("a", [*warm_up, 1, 1, 2, 2, 3, 3, 3, 3, 50, 50], clock)
    b = Slow("b", [*warm_up, *[0.5] * 10], clock)
    table = time_detection({"a": a, "b": b}, images, rounds=5)
    assert table["ms"].tolist() == [3000, 500]
    assert table.loc["a", ["ms_low", "ms_high"]].tolist() == [2000, 3000]
    order = [name for name, _, _ in clock["seen"][4:]]
    assert order == list("aabb" "bbaa" "aabb" "bbaa" "aabb")
    assert {number for _, number, _ in clock["seen"]} == {1}  # one image at a time


def test_threads_are_set_and_set_back_also_after_an_error(clock):
    before = torch.get_num_threads()
    other = before + 1
    with pytest.raises(IndexError):
        time_detection({"a": Slow("a", [1.0], clock)}, [torch.zeros(3, 8, 8)], rounds=2, threads=other)
    assert torch.get_num_threads() == before
    assert {threads for _, _, threads in clock["seen"]} == {other}


@pytest.mark.parametrize("given", [{"detectors": {}}, {"images": []}, {"rounds": 0}])
def test_nothing_to_time_is_told(clock, given):
    asked = {"detectors": {"a": Slow("a", [], clock)}, "images": [torch.zeros(3, 8, 8)], "rounds": 1} | given
    with pytest.raises(DataError, match="at least one of each"):
        time_detection(**asked)


def test_at_its_own_size_a_detector_answers_the_same(detector, data):
    image = data[0][0]
    assert detector.config["min_size"] is None
    own, same, larger = (one.detect([image])[0] for one in (detector, at_size(detector, 128), at_size(detector, 160)))
    torch.testing.assert_close(same.boxes, own.boxes)
    torch.testing.assert_close(same.scores, own.scores)
    assert not torch.equal(larger.scores[:3], own.scores[:3])
    assert larger.boxes.max() <= 128  # in pixels of the image as given
    assert detector.config["min_size"] is None
    assert at_size(detector, 160).config["min_size"] == 160


def test_a_detector_that_nothing_can_be_built_from_is_told(detector):
    unknown = at_size(detector, 128)
    unknown.config = {}
    with pytest.raises(RecipeError, match="kind"):
        at_size(unknown, 96)


def test_one_row_for_each_detector_and_size(detector, data):
    table = speed_and_accuracy(
        {"first": detector, "second": detector}, data, sizes=(None, 64), timed=2, rounds=2, progress=False
    )
    assert table["detector"].tolist() == ["first", "first", "second", "second"]
    assert table["size"].tolist()[1::2] == [64, 64]
    assert table["size"].isna().tolist() == [True, False] * 2
    expected = wb.evaluate(detector, data, progress=False).table().loc["AP"]
    assert table.loc[0, ["AP", "low", "high"]].tolist() == pytest.approx(expected.tolist())
    assert table.loc[[0, 1], "AP"].tolist() == table.loc[[2, 3], "AP"].tolist()
    assert table.loc[0, "AP"] != table.loc[1, "AP"]
    assert (table["ms_low"] <= table["ms"]).all()
    assert (table["ms"] <= table["ms_high"]).all()
    assert table.loc[1, "ms"] < table.loc[0, "ms"]  # a quarter of the pixels
