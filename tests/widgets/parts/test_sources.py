"""Detectors by name, and which checkpoints of a run are compared."""

from __future__ import annotations

from pathlib import Path

from adversary_run import adversary_run
from colour_detector import ColourDetector
from hypothesis import given
from hypothesis import strategies as st

from widgets.parts.sources import COLUMNS, LAST, Source, named, thinned


def test_few_of_many_steps():
    some = thinned(list(range(0, 1000, 10)), 30)
    assert {0, 30, 990} <= set(some)
    assert len(some) == COLUMNS + 1
    assert thinned([5, 6], LAST) == [5, 6]


@given(st.lists(st.integers(0, 10_000), unique=True, min_size=1, max_size=60).map(sorted), st.data())
def test_the_first_the_last_and_the_wanted_step_stay(steps, data):
    wanted = data.draw(st.sampled_from(steps))
    some = thinned(steps, wanted)
    assert {steps[0] if len(steps) > 1 else wanted, steps[-1], wanted} <= set(some) <= set(steps)
    assert some == sorted(some)
    assert len(some) <= COLUMNS + 1


def test_a_plain_detector_has_no_checkpoints():
    detector = ColourDetector()
    source = Source(detector)
    assert source.steps == []
    assert source.learned_steps() is None
    assert source.detector() is detector


def test_names_are_those_given_or_counted():
    one, two = ColourDetector(), ColourDetector()
    assert list(named(one)) == ["detector"]
    assert named([one, two]) == {"detector": one, "detector (2)": two}
    assert named({"a": one, 1: two}) == {"a": one, "1": two}


def test_a_name_or_a_path_stands_for_a_detector():
    assert list(named("digit-scenes/faster-rcnn")) == ["faster-rcnn"]
    assert named(["a/one", Path("b/one")]) == {"one": "a/one", "one (2)": Path("b/one")}
    assert Source("digit-scenes/faster-rcnn").detector().classes[0] == "0"


def test_the_folder_of_a_run_is_its_run(tmp_path):
    run = adversary_run(tmp_path / "run")
    learned = [Source(run).learned_steps(step) for step in (0, 2, 3, 4, 6, LAST)]
    assert learned == [0, 0, 1, 2, 4, 4], "two steps of the detector, two of the adversaries, two of both"
    assert Source(tmp_path / "run").steps == Source(str(tmp_path / "run")).steps == Source(run).steps != []
