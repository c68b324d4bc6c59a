"""How good workers are, counted by hand and by brute force; and what was put into simulated ones comes out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listed_data import Listed

from workbench.annotation import Action, SimulatedWorker, simulate, simulate_votes, worker_quality
from workbench.annotation.stages import Grid, judged
from workbench.errors import DataError

#: Image 1 shows a cat and a dog, image 2 a cup.
DATA = Listed([[(1, 0, 0, 50, 50), (2, 60, 0, 90, 50)], [(3, 0, 0, 50, 50)]])


def label(worker: str, image: int, *names: str) -> list[Action]:
    named = [Action(worker, place, "label", image, category=name) for place, name in enumerate(names)]
    return [*named, Action(worker, 9, "label", image, kind="done")]


#: c has not looked at image 2.
ACTIONS = [
    *label("a", 1, "cat", "dog"), *label("a", 2),
    *label("b", 1, "cat", "cup"), *label("b", 2, "cup"),
    *label("c", 1),
]  # fmt: skip


def test_precision_and_recall_by_hand():
    table = worker_quality(ACTIONS, DATA).workers
    assert table["jobs"].tolist() == [2, 2, 1]
    assert table["answers"].tolist() == [2, 3, 0]
    assert table["precision"].tolist() == pytest.approx([1, 2 / 3, np.nan], nan_ok=True)
    assert table["recall"].tolist() == pytest.approx([2 / 3, 2 / 3, 0])
    # Wilson's interval of 2 of 3, from its formula: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n)
    assert table.loc["b", ["precision_low", "precision_high"]].tolist() == pytest.approx([0.2077, 0.9385], abs=1e-4)


def test_leave_one_out_and_agreement_by_hand():
    quality = worker_quality(ACTIONS)
    table = quality.workers
    assert quality.truth == "nobody knows"
    assert len(quality.union) == 0
    assert table["loo_precision"].tolist() == pytest.approx([1 / 2, 1 / 3, np.nan], nan_ok=True)
    assert table["loo_recall"].tolist() == pytest.approx([1 / 3, 1 / 2, 0])
    assert quality.agreement.loc["a", "b"] == pytest.approx(1 / 4)
    assert quality.agreement.loc["a", "c"] == 0
    assert table["agreement"].tolist() == pytest.approx([1 / 8, 1 / 8, 0])
    assert quality.rejected(precision=0.4) == ["b"]
    assert quality.rejected(recall=0.4) == ["a", "c"]
    assert sorted(quality.items[["image", "category", "votes", "looked"]].values.tolist()) == [
        [1, "cat", 2, 3], [1, "cup", 1, 3], [1, "dog", 1, 3], [2, "cup", 1, 2],
    ]  # fmt: skip


def test_unions_by_hand():
    union = worker_quality(ACTIONS, DATA).union
    assert union.index.tolist() == [1, 2, 3]
    assert union["precision"].tolist() == pytest.approx([9 / 11, 4 / 5, 2 / 3])
    assert union["recall"].tolist() == pytest.approx([1 / 2, 8 / 9, 1])
    assert union["recall_if_independent"].tolist() == pytest.approx([1 / 2, 3 / 4, 7 / 8])
    assert union["units"].tolist() == [2, 2, 1]
    assert (union["recall_low"] <= union["recall"] + 1e-9).all()
    assert worker_quality(ACTIONS, DATA, most=2).union.index.tolist() == [1, 2]


def test_experts_are_the_truth_by_majority_and_no_part_of_unions():
    experts = [
        *label("x", 1, "cat", "dog"),
        *label("y", 1, "cat"),
        *label("z", 1, "cat", "dog", "cup"),
        *label("x", 2),
    ]
    quality = worker_quality([*ACTIONS, *experts], experts=["x", "y", "z"])
    assert quality.truth == "the majority of 3 experts"
    true = quality.items[quality.items["true"].astype(bool)]
    assert true[["image", "category"]].values.tolist() == [[1, "cat"], [1, "dog"]]
    assert quality.workers.loc[["x", "y", "z"], "recall"].tolist() == [1, 0.5, 1]
    assert quality.workers.loc["z", "precision"] == pytest.approx(2 / 3)
    assert quality.union.index.tolist() == [1, 2, 3]
    assert quality.union.loc[3, "recall"] == 1
    with pytest.raises(DataError, match=r"no worker 'w' among the experts"):
        worker_quality(ACTIONS, experts=["w"])


CLAIMED = st.lists(
    st.lists(st.sets(st.sampled_from(DATA.classes)) | st.none(), min_size=2, max_size=2), min_size=1, max_size=5
)


@given(CLAIMED)
@settings(max_examples=20)
def test_unions_are_the_mean_over_all_choices(claimed):
    """By brute force; None: the worker has not looked at the image."""
    actions = []
    for place, images in enumerate(claimed):
        for image, names in enumerate(images, start=1):
            if names is not None:
                actions += label(f"w{place}", image, *sorted(names))
    if not actions:
        return
    quality = worker_quality(actions, DATA)
    truth = {1: {"cat", "dog"}, 2: {"cup"}}
    for number, row in quality.union.iterrows():
        right = said = there = 0.0
        for image in (1, 2):
            looked = [images[image - 1] for images in claimed if images[image - 1] is not None]
            choices = [set().union(*some) for some in combinations(looked, number)]
            if choices:
                right += np.mean([len(one & truth[image]) for one in choices])
                said += np.mean([len(one) for one in choices])
                there += len(truth[image])
        assert row["precision"] == pytest.approx(right / said if said else np.nan, nan_ok=True)
        assert row["recall"] == pytest.approx(right / there if there else np.nan, nan_ok=True)


def crowd_scene(rng: np.random.Generator) -> list[tuple]:
    """Up to four objects that do not touch."""
    corners = [(x, y) for x in (5, 105) for y in (5, 55)]
    chosen = rng.permutation(4)[: rng.integers(1, 5)]
    return [(int(rng.integers(1, 4)), x, y, x + 40, y + 30) for x, y in (corners[one] for one in chosen)]


MANY = Listed([crowd_scene(np.random.default_rng(seed)) for seed in range(150)])
SKILLS = st.tuples(st.floats(0.2, 1.0), st.floats(0.7, 1.0), st.floats(0.0, 0.06), st.floats(0.0, 0.5))


def close(found: float, true: float, number: float) -> bool:
    """Within five standard errors of a share of so many."""
    return abs(found - true) <= 5 * np.sqrt(max(true * (1 - true), 0.01) / max(number, 1)) + 1e-9


@given(SKILLS, st.sampled_from(["label", "spot", "segment"]))
@settings(max_examples=8, derandomize=True)
def test_skills_that_were_put_in_come_out(skills, stage):
    recall, precision, looseness, wrong_class = skills
    worker = SimulatedWorker("w", recall, precision, looseness=looseness, wrong_class=wrong_class)
    quality = worker_quality(simulate([worker], MANY, stage), MANY, stage=stage)
    found, things = quality.workers.loc["w"], quality.items["true"].sum()
    assert close(found["recall"], recall, things)
    assert close(found["precision"], precision, found["answers"])
    if stage == "segment":
        hits = found["answers"] * found["precision"]
        assert close(found["wrong_class"], wrong_class, hits)
        assert found["looseness"] == pytest.approx(looseness, rel=5 / np.sqrt(8 * hits), abs=1e-4)
        assert (found["overlap"] == pytest.approx(1, abs=1e-3)) == (looseness < 1e-4)


def test_the_union_of_eight_misses_less_than_a_hundredth():
    """As Lin's thesis estimates: of what one in two sees, all eight miss 0.5^8."""
    crowd = [SimulatedWorker(f"w{place}", recall=0.5, precision=1.0) for place in range(10)]
    union = worker_quality(simulate(crowd, MANY, "label"), MANY).union
    assert union.index.tolist() == list(range(1, 11))
    assert union.loc[1, "recall"] == pytest.approx(0.5, abs=0.04)
    assert union.loc[8, "recall"] == pytest.approx(1 - 0.5**8, abs=0.005)
    assert union["recall"].tolist() == pytest.approx(union["recall_if_independent"].tolist(), abs=0.03)
    assert (union["precision"] == 1).all()


def test_judges_of_known_skill():
    names = [f"s{place}" for place in range(400)]
    bad = {name: place % 4 == 0 for place, name in enumerate(names)}
    judges = [SimulatedWorker("careful", 0.95, 0.9), SimulatedWorker("quick", 0.5, 0.8)]
    grid, actions = Grid(tuple(names), frozenset()), []
    for judge, said in simulate_votes(judges, bad).items():
        actions += judged(grid, [name for name, one in said.items() if one], judge, 0.0)
    quality = worker_quality(actions, [name for name, one in bad.items() if one], stage="verify")
    for judge in judges:
        own = quality.workers.loc[judge.name]
        assert close(own["recall"], judge.recall, 100)
        assert close(own["precision"], judge.precision, own["answers"])
    assert "what is known to be bad" in repr(quality)


def test_the_grid_of_workers_counts_them_all():
    crowd = [SimulatedWorker(f"w{n}", 0.3 + 0.03 * n, 0.9, jobs=20 + 5 * n) for n in range(20)]
    quality = worker_quality(simulate(crowd, MANY, "label"), MANY)
    grid = quality.grid(0.1)
    assert grid["workers"].sum() == 20
    assert (grid["workers"] * grid["jobs"]).sum() == quality.workers["jobs"].sum() == sum(one.jobs for one in crowd)
    assert grid[["recall", "precision"]].max().max() <= 0.9 + 1e-9
    assert "20 workers" in quality._repr_html_()


def test_most_is_at_least_one():
    with pytest.raises(DataError, match="a union is of at least one"):
        worker_quality(ACTIONS, most=0)
