"""The rules of the pipeline by hand, each vote of the verification, and all of it from nothing to a file."""

from __future__ import annotations

from itertools import product

import pytest
from listed_data import Listed

from workbench.annotation import (
    Action,
    Grid,
    SimulatedWorker,
    combine,
    covered,
    crosses,
    judged,
    judging_grid,
    missing_jobs,
    present,
    simulate,
    verdict,
    verdicts,
    waiting,
)
from workbench.errors import DataError

DATA = Listed([[(1, 10, 10, 60, 60), (1, 110, 10, 150, 90)], [(3, 20, 20, 90, 90)], []])


def vote(worker: str, name: str, bad: bool, time: float = 0.0) -> Action:
    return Action(worker, time, "verify", 1, item=name, value={"bad": bad})


def segment(name: str, *box: float, **value) -> Action:
    x1, y1, x2, y2 = box
    return Action(
        "d", 0, "segment", 1, item=name, category="cat", value={"bbox": [x1, y1, x2 - x1, y2 - y1], **value}
    )


def spot(worker: str, x: float, y: float) -> Action:
    return Action(worker, 0, "spot", 1, category="cat", value={"point": [x, y]})


@pytest.mark.parametrize(
    ("votes", "state", "missing"),
    [
        ("", "open", 3), ("+", "open", 2), ("++", "open", 1), ("+++", "kept", 0),
        ("-", "open", 4), ("+-", "open", 3), ("--", "open", 3), ("++-", "open", 2), ("---", "open", 2),
        ("++-+", "open", 1), ("++-++", "kept", 0), ("++-+-", "back", 0), ("--+++", "back", 0), ("-++++", "kept", 0),
        ("+++-", "kept", 0), ("+++--", "kept", 0),  # three without a doubt have decided
        ("-++++-", "kept", 0),  # so have five
    ],
)  # fmt: skip
def test_verdicts_by_hand(votes, state, missing):
    assert verdict([one == "-" for one in votes])[:2] == (state, missing)


def test_every_series_of_five_votes():
    for bad in product([False, True], repeat=5):
        kept = sum(bad[:3]) == 0 or sum(bad) <= 1
        assert verdict(bad).state == ("kept" if kept else "back")
        needed = 3 if not any(bad[:3]) else 5
        for number in range(needed):
            assert verdict(bad[:number]).state == "open"


def test_votes_are_counted_in_the_order_of_time_and_the_last_of_a_judge():
    votes = [vote("a", "s", True, 1), vote("b", "s", False, 2), vote("c", "s", False, 3), vote("a", "s", False, 4)]
    assert verdicts(votes)["s"] == verdict([False, False, False])
    assert verdicts(votes[:3])["s"].missing == 2


def test_categories_are_the_union_of_those_who_named_them():
    named = [
        Action("a", 1, "label", 1, category="cat", value={"point": [1, 2]}),
        Action("b", 2, "label", 1, category="cat", value={"point": [3, 4]}),
        Action("b", 3, "label", 1, category="dog"),
        Action("c", 4, "label", 1, category="cup"),
        Action("c", 5, "label", 1, kind="remove", category="cup"),
        Action("c", 6, "label", 2, kind="done"),
    ]
    assert present(named) == {1: {"cat": [(1, 2), (3, 4)], "dog": []}, 2: {}}
    assert present(named, votes=2) == {1: {"cat": [(1, 2), (3, 4)]}, 2: {}}
    assert missing_jobs(named, [(1, None), (2, None), (3, None)]) == {(1, None): 5, (2, None): 7, (3, None): 8}
    assert missing_jobs(named, [(1, None)], workers=3) == {}
    assert missing_jobs(named, [(1, "cat")], "spot") == {(1, "cat"): 8}


def test_crosses_wait_until_a_segment_covers_them():
    spots = [spot("a", 30, 30), spot("b", 35, 35), spot("a", 130, 50)]
    assert waiting(spots, DATA) == {(1, "cat"): spots}
    drawn = [*spots, segment("s", 10, 10, 60, 60)]
    assert waiting(drawn, DATA) == {(1, "cat"): spots[2:]}
    doubted = [*drawn, vote("a", "s", True), vote("b", "s", True), vote("c", "s", False)]
    assert waiting(doubted, DATA) == {(1, "cat"): spots[2:]}  # two more votes are needed
    thrown = [*doubted, vote("d", "s", False), vote("e", "s", False)]
    assert waiting(thrown, DATA) == {(1, "cat"): spots}
    again = [*thrown, segment("t", 10, 10, 60, 60), segment("u", 110, 10, 150, 90)]
    assert waiting(again, DATA) == {}
    other = [
        spot("a", 30, 30),
        Action("d", 0, "segment", 1, item="s", category="dog", value={"bbox": [0, 0, 99, 99]}),
    ]
    assert waiting(other, DATA) == {(1, "cat"): other[:1]}
    with pytest.raises(DataError, match="no image 1 in listed"):
        waiting(spots, DATA.subset([1]))


def test_a_mask_covers_its_pixels_alone():
    triangle = segment("s", 10, 10, 60, 60, segmentation=[[10, 10, 60, 10, 10, 60]])
    assert covered([(20, 20), (50, 50), (199, 99)], [triangle], (100, 200)).tolist() == [True, False, False]
    assert covered([], [triangle], (100, 200)).tolist() == []


def test_grids_hold_known_bad_ones_and_nobody_sees_a_segment_twice():
    names, bad = [f"s{place}" for place in range(130)], ["x0", "x1", "x2", "x3"]
    first = judging_grid([], names, bad, "a")
    assert len(first.segments) == len(set(first.segments)) == 64
    assert first.known_bad == set(bad)
    assert set(first.segments) - set(bad) == set(names[:60])
    assert first.segments != judging_grid([], names, bad, "b").segments  # another order
    assert first == judging_grid([], names, bad, "a")
    votes = judged(first, ["x0", "x1", "x3", "s5"], "a", 1.0)
    assert len(votes) == 60
    assert sum(one.value["bad"] for one in votes) == 1
    second = judging_grid(votes, names, bad, "a")
    assert set(second.segments) - set(bad) == set(names[60:120])
    other = judging_grid(votes, names, bad, "b")
    assert set(other.segments) - set(bad) == set(names[:60])  # begun ones first
    assert judging_grid([vote("a", "s", False)], ["s"], bad, "a") == Grid((), frozenset())
    assert judging_grid([segment("s", 1, 1, 9, 9)], ["s"], bad, "d") == Grid((), frozenset())  # who drew it
    done = [vote(worker, "s", False) for worker in "abc"]
    assert judging_grid(done, ["s"], bad, "d").segments == ()
    assert set(judging_grid(done, ["s", "t"], bad, "d").segments) == {"t", *bad}


def test_three_of_four_known_bad_ones_must_be_found():
    grid = Grid(("s", "x0", "x1", "x2", "x3"), frozenset({"x0", "x1", "x2", "x3"}))
    assert [grid.passes(["x0", "x1", "x2", "x3"][:number]) for number in range(5)] == [False] * 3 + [True] * 2
    assert judged(grid, ["x0", "x1", "s"], "a", 0.0) == []
    (only,) = judged(grid, ["x0", "x1", "x2"], "a", 0.0, images={"s": 7})
    assert (only.item, only.image, only.value) == ("s", 7, {"bad": False})
    with pytest.raises(DataError, match="segment 'y' was called bad, and is not in the grid"):
        judged(grid, ["y"], "a", 0.0)
    with pytest.raises(DataError, match="4 of 3 known bad segments"):
        judging_grid([], ["s"], ["x0", "x1", "x2"], "a")


def test_from_nothing_to_a_file():
    """Good workers, one of whose segments is bad and drawn anew; then the file holds what is there."""
    crowd = [SimulatedWorker(f"w{place}", 0.9, 0.95) for place in range(8)]
    actions = simulate(crowd, DATA, "label")
    assert missing_jobs(actions, [(image, None) for image in (1, 2, 3)]) == {}
    shown = {image: set(names) for image, names in present(actions, votes=2).items()}
    assert shown == {1: {"cat"}, 2: {"cup"}, 3: set()}
    actions += simulate(crowd, DATA, "spot")
    assert set(waiting(actions, DATA)) == {(1, "cat"), (2, "cup")} == set(crosses(actions))
    drawn = [one for one in simulate([SimulatedWorker("d", 1.0, 1.0)], DATA, "segment") if one.kind == "add"]
    poor = segment("poor", 10, 10, 60, 30)
    attempt = [*actions, poor, *drawn[1:]]
    names, known = [poor.item, *(one.item for one in drawn[1:])], ["x0", "x1", "x2", "x3"]
    for place in range(5):
        grid = judging_grid(attempt, names, known, f"j{place}")
        if grid.segments:
            attempt += judged(grid, [*known, *({poor.item} & set(grid.segments))], f"j{place}", 100.0 + place)
    said = verdicts(attempt)
    assert {name: one.state for name, one in said.items()} == {
        name: "back" if name == "poor" else "kept" for name in names
    }
    left = waiting(attempt, DATA)
    assert {one.point[0] < 60 for one in left[1, "cat"]} >= {True}  # the first cat waits again
    kept = [one for one in drawn if said.get(one.item, verdict([])).state != "back"]
    file = combine(kept, DATA, rule="union")
    found = [(one["image_id"], *one["bbox"]) for one in file.annotations.values()]
    assert found == [(1, 10, 10, 50, 50), (1, 110, 10, 40, 80), (2, 20, 20, 70, 70)]
