"""The arithmetic of the benchmarks, on a clock that is set by hand."""

from __future__ import annotations

import json

import measure
import pytest
import torch


@pytest.fixture
def clock(monkeypatch):
    """A CPU clock that only the jobs move."""
    now = [0.0]
    monkeypatch.setattr(measure.time, "process_time", lambda: now[0])

    def job(*seconds: float):
        turns = iter(seconds * 100)
        return lambda: now.__setitem__(0, now[0] + next(turns))

    return job


def test_ratio_of_medians(clock):
    row = measure.ratio("a", clock(1.0), clock(4.0), peer="b", aim=0.3, rounds=5)
    assert (row.value, row.low, row.high, row.met) == (0.25, 0.25, 0.25, True)
    assert (row.ours_ms, row.peer_ms) == (1000, 4000)


def test_interval_holds_the_spread_of_the_rounds(clock):
    row = measure.ratio("a", clock(1.0, 2.0, 3.0), clock(2.0), peer="b", aim=0.9, rounds=9)
    assert row.value == 1.0
    assert row.low < 1.0 < row.high
    assert row.met is False


def test_added_part_by_hand(clock):
    row = measure.added("a", clock(0.5), clock(0.25), clock(5.0), peer="b", aim=1.05, rounds=3)
    assert row.value == pytest.approx(1.05)
    assert row.ours_ms == pytest.approx(5250)


def test_milliseconds_per_unit(clock):
    assert measure.milliseconds("a", clock(0.2), aim=10, rounds=4, inner=20).value == pytest.approx(10)


def test_different_results_stop_the_benchmark():
    with pytest.raises(SystemExit, match="times mean nothing"):
        measure.must_agree("boxes", torch.ones(2), torch.tensor([1.0, 1.1]), atol=1e-3)


def test_table_and_file_tell_what_was_missed_and_skipped(clock, tmp_path):
    slow = measure.ratio("slow", clock(2.0), clock(1.0), peer="b", aim=0.5, rounds=3)
    rows = [slow, measure.skipped("tiles", "b", 0.35, "no AMX")]
    text = measure.table(rows)
    assert "2.000 ×" in text
    assert "NO" in text
    assert "no AMX" in text
    measure.save(rows, tmp_path / "rows.json")
    saved = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["met"] for row in saved] == [False, None]
    assert saved[1]["value"] is None
