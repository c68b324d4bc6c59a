"""The figure of claims shows each step and each verdict."""

from __future__ import annotations

import pandas as pd
from matplotlib.colors import same_color

from workbench.figures.paper_claims import COLOURS, claims_figure

STEPS = {
    "number": [1, 2, 2],
    "claim": ["new helps", "more helps more", "more helps more"],
    "better": ["of/new", "of/more", "of/most"],
    "worse": ["of/old", "of/new", "of/more"],
    "n": [5, 5, 5],
    "difference": [0.02, -0.03, 0.01],
    "low": [0.01, -0.04, -0.01],
    "high": [0.03, -0.02, 0.03],
    "beside_difference": [0.0, float("nan"), 0.0],
    "beside_low": [-0.01, float("nan"), -0.01],
    "beside_high": [0.01, float("nan"), 0.01],
    "verdict": ["holds", "does not hold", "does not hold"],
}


def test_each_step_has_its_interval_and_each_claim_its_verdict():
    figure = claims_figure(pd.DataFrame(STEPS))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    ends = [
        tuple(line.get_xdata())
        for line in axes.lines
        if len(set(line.get_ydata())) == 1 and len(line.get_xdata()) == 2
    ]
    assert [pair for pair in ends if pair in zip(STEPS["low"], STEPS["high"], strict=True)] == [
        (0.01, 0.03), (-0.04, -0.02), (-0.01, 0.03),
    ]  # fmt: skip
    middles = [line for line in axes.lines if line.get_marker() == "o" and line.get_xdata()[0] in STEPS["difference"]]
    said = {float(line.get_xdata()[0]): line.get_color() for line in middles}
    for middle, verdict in {0.02: "holds", -0.03: "does not hold", 0.01: "cannot be told"}.items():
        assert same_color(said[middle], COLOURS[verdict])  # of the step alone
    assert [text.get_text() for text in axes.texts] == ["holds", "does not hold"]


def test_steps_are_named_where_there_are_several():
    labels = [label.get_text() for label in claims_figure(pd.DataFrame(STEPS)).axes[0].get_yticklabels()]
    assert labels == ["1  new helps", "2  more helps more\nmore against new", "most against more"]
