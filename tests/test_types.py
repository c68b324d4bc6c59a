"""The values that cross the seams."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.types import Target, learnable


def test_crowds_and_difficult_objects_are_not_learned():
    target = Target(
        boxes=torch.zeros(4, 4),
        labels=torch.tensor([1, 2, 1, 3]),
        iscrowd=torch.tensor([True, False, False, True]),
        difficult=torch.tensor([0, 1, 0, 1]),  # some files write numbers
    )
    assert learnable(target).tolist() == [False, False, True, False]


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=6), st.sets(st.sampled_from(["iscrowd", "difficult"]))
)
def test_a_flag_that_is_absent_leaves_no_object_out(flags, known):
    columns = dict(zip(("iscrowd", "difficult"), zip(*flags, strict=True) if flags else ((), ()), strict=True))
    target = Target(labels=torch.ones(len(flags), dtype=torch.int64))
    target.update({name: torch.tensor(columns[name], dtype=torch.bool) for name in known})
    wanted = [not any(columns[name][row] for name in known) for row in range(len(flags))]
    assert learnable(target).tolist() == wanted
