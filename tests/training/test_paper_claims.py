"""Claims are judged by the intervals of their steps."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import pandas as pd
import pytest

from workbench.errors import RunError
from workbench.training.comparison import Comparison, Interval
from workbench.training.paper_claims import Claim, judge, load_claims, verdict

RESULTS = Path(__file__).parents[2] / "notebooks/results"


@pytest.fixture
def folder(tmp_path):
    """Two seeds and a third of one recipe alone: differences new − old are 0.02 and 0.04, old − odd 0.1 and −0.12."""
    rows = [("old", 0, 0.40, 0.7), ("old", 1, 0.40, 0.7), ("old", 2, 0.90, 0.7)]
    rows += [("new", 0, 0.42, 0.6), ("new", 1, 0.44, 0.6), ("odd", 0, 0.30, 0.7), ("odd", 1, 0.52, 0.7)]
    runs = pd.DataFrame(rows, columns=["recipe", "seed", "AP", "clean"]).assign(folder="")
    Comparison(runs).save(tmp_path / "few.json")
    return tmp_path


def claim(*steps, **changes):
    fields = {"claim": "it helps", "paper": "ours", "published": "1 → 2", "runs": "few", "decides": "AP"}
    return Claim(**fields | {"steps": steps} | changes)


def test_a_step_is_the_difference_paired_by_seed(folder):
    row = judge([claim(("new", "old"), beside="clean")], folder).iloc[0]
    half = 12.7062 * sqrt(0.0002) / sqrt(2)  # Student's t(0.975, 1) times the deviation of 0.02 and 0.04, over √n
    assert (row["n"], row["metric"], row["beside"]) == (2, "AP", "clean")
    assert [row["difference"], row["low"], row["high"]] == pytest.approx([0.03, 0.03 - half, 0.03 + half], abs=1e-5)
    assert row["beside_difference"] == pytest.approx(-0.1)
    assert (row["sign"], row["verdict"]) == (True, "cannot be told")


def test_a_claim_of_several_steps_has_a_row_each_and_one_verdict(folder):
    table = judge([claim(("new", "old")), claim(("new", "old"), ("old", "odd"))], folder)
    assert table["number"].tolist() == [1, 2, 2]
    assert table["sign"].tolist() == [True, False, False]  # the mean of 0.1 and −0.12 is below zero
    assert table["beside"].tolist() == ["", "", ""]
    assert table["beside_difference"].isna().all()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(0.01, 0.03)], "holds"),
        ([(0.01, 0.03), (0.001, 0.2)], "holds"),
        ([(0.01, 0.03), (-0.001, 0.2)], "cannot be told"),
        ([(0.01, 0.03), (-0.2, -0.001)], "does not hold"),
        ([(float("nan"), float("nan"))], "cannot be told"),  # one seed
    ],
)
def test_verdicts(steps, expected):
    assert verdict([Interval(3, (low + high) / 2, low, high) for low, high in steps]) == expected


def test_unknown_recipes_metrics_and_files_are_named(folder):
    for wrong, name in ((claim(("new", "odl")), "odl"), (claim(("new", "old"), decides="PA"), "PA")):
        with pytest.raises(RunError, match=name):
            judge([wrong], folder)
    with pytest.raises(RunError, match=r"many\.json"):
        judge([claim(("new", "old"), runs="many")], folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {claim: it helps}", r"0\.paper"),
        ("- {claim: '', paper: a, published: b, runs: c, decides: d, steps: [[a, b]]}", r"0\.claim"),
        ("- {claim: x, paper: a, published: b, runs: c, decides: d, steps: [[a]]}", r"0\.steps"),
        ("- {claim: x, paper: a, published: b, runs: c, decides: d, steps: [[a, b]], metric: AP}", r"0\.metric"),
        ("claims", "the whole"),
        ("[", "cannot be read"),
        ("!!python/object/apply:os.getcwd []", "cannot be read"),
    ],
)
def test_files_that_hold_no_claims(tmp_path, text, said):
    (tmp_path / "claims.yaml").write_text(text)
    with pytest.raises(RunError, match=rf"claims\.yaml.*{said}"):
        load_claims(tmp_path / "claims.yaml")
    with pytest.raises(RunError, match=r"no\.yaml cannot be read"):
        load_claims(tmp_path / "no.yaml")


def test_those_of_the_papers_can_be_judged():
    claims = load_claims(RESULTS / "claims.yaml")
    table = judge(claims, RESULTS)
    assert table["number"].nunique() == len(claims) == 17
    assert table["n"].min() >= 2
    assert {"holds", "cannot be told"} <= set(table["verdict"])
