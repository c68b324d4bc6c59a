"""Actions: what stands after some were taken back, who did which job, and files that come back as they were."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.annotation import Action, jobs, read_actions, standing, write_actions
from workbench.errors import DataError


def spot(worker: str, time: float, item: str = "", x: float = 1.0, kind: str = "add") -> Action:
    value = {"point": [x, 2]} if kind == "add" else {}
    return Action(worker, time, "spot", image=7, kind=kind, item=item, category="cup", value=value)


def test_the_last_of_a_name_stands_and_what_is_taken_back_does_not():
    actions = [
        spot("a", 1, "1", 10),
        spot("a", 2, "2", 20),
        spot("b", 3, "1", 30),  # another worker's, of the same name
        spot("a", 4, "1", 40),  # moved
        spot("a", 5, "2", kind="remove"),
        spot("a", 6, x=50),
        spot("a", 7, x=50),  # without a name nothing is replaced
    ]
    assert [(one.worker, one.point[0]) for one in standing(reversed(actions), "spot")] == [
        ("b", 30), ("a", 40), ("a", 50), ("a", 50),
    ]  # fmt: skip
    assert standing(actions, "label") == []


def test_a_category_is_its_own_name():
    named = [Action("a", t, "label", 7, kind, category=name) for t, kind, name in (
        (1, "add", "cup"), (2, "add", "dog"), (3, "remove", "cup"), (4, "add", "cup"), (5, "add", "cup"),
    )]  # fmt: skip
    assert [one.category for one in standing(named, "label")] == ["dog", "cup"]


def test_jobs_and_their_seconds_by_hand():
    actions = [
        Action("a", 10, "label", 1, category="cup"),
        Action("a", 13, "label", 1, category="dog"),
        Action("a", 14, "label", 1, kind="done"),
        Action("b", 15, "label", 1, kind="done"),
        Action("a", 20, "spot", 1, kind="done", category="cup"),
        Action("a", 29, "label", 2, kind="done"),
    ]
    table = jobs(actions, "label").set_index(["worker", "image"])
    assert table["answers"].to_dict() == {("a", 1): 2, ("b", 1): 0, ("a", 2): 0}
    assert math.isnan(table.loc[("a", 1), "seconds"])
    assert table.loc[("a", 2), "seconds"] == 9  # since the spotting before it
    assert jobs(actions, "spot")[["image", "category"]].values.tolist() == [[1, "cup"]]
    assert len(jobs(actions, "segment")) == 0


TEXT = st.text(min_size=1, max_size=5)
VALUES = st.fixed_dictionaries({"point": st.lists(st.floats(-9, 9), min_size=2, max_size=2), "more": st.integers()})


@settings(max_examples=25)
@given(TEXT, st.floats(0, 1e9), st.integers() | TEXT, TEXT, TEXT, VALUES)
def test_json_gives_the_same_action(worker, time, image, item, category, value):
    action = Action(worker, time, "spot", image, item=item, category=category, value=value)
    line = action.to_json()
    assert "\n" not in line
    assert Action.from_json(line) == action


def test_a_file_of_actions(tmp_path):
    actions = [spot("ä", 1, "1"), Action("b", 2.5, "verify", "", item="s", value={"bad": True})]
    path = write_actions(tmp_path / "new/actions.jsonl", actions)
    assert read_actions(path) == actions
    path.write_text(path.read_text() + '\n{"worker": "c"}\n')
    with pytest.raises(DataError, match=r"actions\.jsonl, line 4: an action has no time"):
        read_actions(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_actions(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stage": "spotting"}, r"the stage 'spotting'; did you mean 'spot'\?"),
        ({"kind": "undo"}, "the kind 'undo'"),
        ({"worker": ""}, "its worker is ''; expected a name"),
        ({"time": float("nan")}, "its time is nan; expected seconds"),
        ({"time": True}, "its time is True"),
        ({"image": 1.5}, "its image is 1.5"),
        ({"category": None}, "has no category"),
        ({"category": 3}, "expected texts"),
        ({"value": {}}, "has no point"),
        ({"value": {"point": [1]}}, r"its point is \[1\]; expected x, y"),
        ({"value": {"point": [1, float("inf")]}}, "its point"),
        ({"value": [1]}, "its value is"),
        ({"kind": "remove"}, "takes back something without a name"),
        ({"stage": "segment", "value": {"bbox": [1, 2, 3, 0]}}, r"its bbox is \[1, 2, 3, 0\]"),
        ({"stage": "segment", "value": {}}, "has no bbox"),
        ({"stage": "verify", "item": "s", "value": {"bad": 1}}, "bad is 1; expected true or false"),
        ({"stage": "verify", "value": {"bad": True}}, "has no item"),
        ({"stage": "crowd", "value": {}}, "has no segmentation"),
    ],
)
def test_what_is_wrong_is_named(wrong, message):
    right = {"worker": "a", "time": 1, "stage": "spot", "image": 7, "category": "cup", "value": {"point": [1, 2]}}
    Action(**right)
    with pytest.raises(DataError, match=message):
        Action(**{**right, **wrong})


@pytest.mark.parametrize("line", ["", "[1]", "{", '{"worker": "a", "when": 3}', "[" * 100_000])
def test_a_line_that_is_no_action(line):
    with pytest.raises(DataError, match="action"):
        Action.from_json(line)
