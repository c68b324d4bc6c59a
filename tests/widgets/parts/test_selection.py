"""Tables of what is chosen: the same types with and without rows, and announced only when another one is chosen."""

from __future__ import annotations

import pandas as pd
import torch
from hypothesis import given
from hypothesis import strategies as st
from listed_data import Listed

from widgets.parts.selection import TYPES, WHICH, Selects, object_rows, table

HOSTILE = "<script>alert(1)</script>"
VALUES = {
    "int64": st.integers(-(2**62), 2**62),
    "Int64": st.none() | st.integers(-(2**62), 2**62),
    "float64": st.floats(),
    "object": st.text(),
}
COLUMNS = st.lists(st.sampled_from(list(TYPES)), unique=True, min_size=1)


class Chosen(Selects):
    COLUMNS = (*WHICH, "score")

    def __init__(self):
        super().__init__()
        self.rows, self.made = [], 0

    def choose(self, *rows):
        self.rows = rows
        self._announce()

    def _chosen_rows(self):
        self.made += 1
        return self.rows


@given(data=st.data(), columns=COLUMNS)
def test_types_do_not_depend_on_the_rows(data, columns):
    rows = data.draw(st.lists(st.fixed_dictionaries({name: VALUES[TYPES[name]] for name in columns}), max_size=4))
    made, empty = table(rows, columns), table([], columns)
    assert len(empty) == 0
    assert (
        made.dtypes.to_dict()
        == empty.dtypes.to_dict()
        == {name: pd.api.types.pandas_dtype(TYPES[name]) for name in columns}
    )
    for name in columns:
        assert [None if pd.isna(one) else one for one in made[name]] == [
            None if pd.isna(row[name]) else row[name] for row in rows
        ]


def test_what_a_row_leaves_out_is_missing_or_unknown():
    row = table([{"image": 3, "image_id": 8}], (*WHICH, "score")).iloc[0]
    assert (row["image"], row["image_id"], row["class"]) == (3, 8, "")
    assert row["object"] is pd.NA
    assert pd.isna(row["score"])


def test_it_is_made_when_it_is_read_and_each_reader_has_a_copy():
    one = Chosen()
    one.choose({"image": 1, "image_id": 1})
    one.choose({"image": 2, "image_id": 2})
    assert one.made == 0
    mine = one.selection
    mine["image"] = 7
    assert one.selection["image"].tolist() == [2]
    assert one.made == 1
    one.choose()
    assert len(one.selection) == 0


def test_observers_hear_of_another_selection_alone():
    one, seen = Chosen(), []
    one.observe(lambda change: seen.append((len(change["old"]), change["new"]["image"].tolist())), "selection")
    one.choose()
    one.choose({"image": 1, "image_id": 1})
    one.choose({"image": 1, "image_id": 1})
    one.choose({"image": 1, "image_id": 1}, {"image": 2, "image_id": 2})
    assert seen == [(0, [1]), (1, [1, 2])]


def test_objects_of_a_target_and_an_image_without_any():
    data = Listed([[(1, 10, 20, 30, 60, 0.25, 0), (3, 0, 0, 5, 5)], []])
    data.classes = (HOSTILE, "dog", "cup")
    first, second = object_rows(data, 0, data.target(0))
    assert first == {"image": 0, "image_id": 1, "object": 0, "class": HOSTILE, "x1": 10, "y1": 20, "x2": 30, "y2": 60,
                     "area": 800, "occlusion": 0.25}  # fmt: skip
    assert (second["object"], second["class"]) == (1, "cup")
    assert object_rows(data, 0, data.target(0), [1])[0]["object"] == 1
    assert object_rows(data, 1, data.target(1)) == [{"image": 1, "image_id": 2}]
    assert object_rows(data, 0, {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0)})[0]["image_id"] == 1
