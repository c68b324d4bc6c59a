"""Health of an adversary: the columns that are drawn, and a warning for each illness and for no health."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from workbench.figures.adversary_health import (
    ANGLES,
    adversary_health,
    angle_histogram,
    fixed_mask_entropy,
    hardener_warnings,
    watches_adversary,
)
from workbench.hardeners.asdn import mask_entropy
from workbench.hardeners.astn import BINS
from workbench.training import Recipe

STAGES = [
    {"train": "hardener", "steps": 100, "lr": 1e-3},
    {"train": "both", "steps": 200, "lr": 1e-3},
    {"train": "detector", "steps": 100, "lr": 1e-3},
]


def recipe(stages=STAGES, hardener=({"kind": "asdn"}, {"kind": "astn"})) -> Recipe:
    plain = {"data": {"name": "digit-scenes"}, "detector": {"kind": "faster-rcnn"}, "stages": list(stages)}
    return Recipe.from_dict({**plain, "hardener": list(hardener)}, trial=False)


def metrics(stage: int = 1, rows: int = 8, **columns: object) -> pd.DataFrame:
    """Rows of one stage; a healthy adversary unless `columns` (of `hardener/...`, or `adversary`) say otherwise."""
    health = {"hardened": 0.5, "masks_passed": 0.4, "mask_entropy": 0.9, "angles_at_limit": 0.2}
    health |= {name: value for name, value in columns.items() if name != "adversary"}
    frame = {f"hardener/{name}": value for name, value in health.items()}
    steps = np.arange(rows) * 10 + 10
    return pd.DataFrame(
        {
            "step": steps,
            "kind": "train",
            "stage": stage,
            "loss/adversary": columns.get("adversary", 3.0),
            **frame,
        }
    )


def test_a_healthy_adversary_needs_no_warning():
    for stage in range(3):
        assert hardener_warnings(metrics(stage), recipe()) == []


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"hardened": 0.0}, "Never masked: in none of the last 8 logged steps"),
        ({"hardened": np.nan}, "Never masked"),
        ({"masks_passed": 0.0}, "Loss 0: in the last 8 logged steps none of ASDN's masks was hard enough"),
        ({"adversary": 0.0}, "Loss 0: the adversary's loss was 0 in all of the last 8"),
        ({"mask_entropy": 0.48}, r"Collapse: .*entropy 0\.48; 0\.47 is one fixed mask"),
        ({"angles_at_limit": 0.98}, "At the limit: 98% of ASTN's angles"),
    ],
)
def test_each_illness_has_its_warning(columns, text):
    (found,) = hardener_warnings(metrics(**columns), recipe())
    assert pd.Series([found]).str.contains(text).all(), found


def test_once_is_chance():
    """A single step without objects, without hard masks or with all angles at the limit is none of these."""
    once = [0.0] * 7 + [0.5]
    assert hardener_warnings(metrics(hardened=once, masks_passed=once, adversary=once), recipe()) == []
    assert hardener_warnings(metrics(mask_entropy=[0.47] * 3 + [0.9] * 5), recipe()) == []
    assert hardener_warnings(metrics(rows=4, hardened=0.0), recipe()) == [], "too early to tell"


def test_only_the_present_stage_counts():
    """In its own stage the adversary hardens nothing, and in one of the detector it learns nothing."""
    before = metrics(0, hardened=0.0, masks_passed=np.nan, mask_entropy=np.nan)
    assert hardener_warnings(before, recipe()) == []
    later = pd.concat([before, metrics(1).assign(step=lambda rows: rows["step"] + 100)])
    assert hardener_warnings(later, recipe()) == []
    assert hardener_warnings(metrics(2, adversary=0.0, masks_passed=np.nan), recipe()) == []
    aside = [STAGES[0], {**STAGES[1], "harden": False}]
    assert hardener_warnings(metrics(1, hardened=0.0, adversary=0.0), recipe(aside)) == []


def test_runs_without_an_adversary_are_left_alone():
    plain = metrics().filter(["step", "kind", "stage"])
    assert not watches_adversary(plain)
    assert watches_adversary(metrics())
    assert hardener_warnings(plain, recipe()) == []
    empty = pd.DataFrame({"step": [], "time": [], "kind": []})
    assert hardener_warnings(empty, recipe()) == []
    assert len(adversary_health(empty, recipe()).data) == 0


def test_the_entropy_of_a_fixed_mask_is_that_of_its_samples():
    """Many draws of 13 of the same 21 cells of 36."""
    draws = torch.rand(4000, 21, generator=torch.Generator().manual_seed(0)).topk(13).indices
    dropped = torch.zeros(4000, 36).scatter_(1, draws, 1.0)
    assert fixed_mask_entropy(recipe()) == pytest.approx(float(mask_entropy(dropped)), abs=1e-3)
    assert fixed_mask_entropy(recipe(hardener=[{"kind": "astn"}])) is None
    assert fixed_mask_entropy(recipe(hardener=[{"kind": "mask-generator"}])) == 0


def test_a_mask_generator_is_watched_as_well():
    table = metrics(mask_entropy=0.03, edges=0.4, hardened=1.0, adversary=-0.5)
    generator = recipe(hardener=[{"kind": "mask-generator"}])
    assert "edges of masks (1: scattered)" in [line.name for line in adversary_health(table, generator).data]
    (text,) = hardener_warnings(table, generator)
    assert text.startswith("Collapse: the adversary hides nearly the same cells")


def test_what_is_drawn():
    table = metrics(0, 3, window_found=0.1, mask_entropy=np.nan, masks_passed=np.nan)
    table = pd.concat([table, metrics(1, 2).assign(step=[40, 50])])
    figure = adversary_health(table, recipe())
    lines = {line.name: line for line in figure.data}
    assert list(lines) == [
        "adversary", "objects hardened", "masks hard enough", "mask entropy (1: random)", "angles at their limit",
        "worst window found", "entropy of one fixed mask",
    ]  # fmt: skip
    assert lines["adversary"].xaxis == "x"
    assert {line.xaxis for name, line in lines.items() if name != "adversary"} == {"x2"}
    assert list(lines["masks hard enough"].x) == [40, 50]
    assert list(lines["worst window found"].y) == [0.1] * 3
    assert [shape.x0 for shape in figure.layout.shapes] == [0, 0, 100, 100, 300, 300]
    texts = [note.text for note in figure.layout.annotations][::2]
    assert texts == ["hardener learns", "both learn", "detector learns"]
    assert len(adversary_health(table).layout.shapes) == 0


def test_difference_vectors_that_grow_without_end_are_told():
    """As with frozen BatchNorm and a high learning rate; a DFV run has no adversary to watch."""
    lengths = np.array([90.0, 95, 100, 150, 300, 700, 1500, 1600])
    frame = pd.DataFrame({"step": np.arange(8) * 10 + 10, "kind": "train", "stage": 1, "hardener/dv_length": lengths})
    dfv = recipe(hardener=[{"kind": "dfv"}])
    assert not watches_adversary(frame)
    assert hardener_warnings(frame.assign(**{"hardener/dv_length": lengths[:3].repeat(3)[:8]}), dfv) == []
    (found,) = hardener_warnings(frame.assign(**{"hardener/dv_length": 10 * lengths}).tail(5), dfv)
    assert "Run away: the difference vectors are 5 times as long" in found


def angles(shares: list[float]) -> dict[str, float]:
    return {f"angle_{number}": share for number, share in enumerate(shares, start=1)}


def test_the_histogram_of_angles_is_that_of_the_last_steps():
    assert len(ANGLES) == BINS, "what ASTN logs"
    assert angle_histogram(metrics()) is None
    frame = metrics(rows=30, **angles([0.0, 0, 0, 0, 1.0, 0, 0, 0, 0.0]))
    frame.loc[frame.index[-10:], "hardener/angle_5"] = 0.5
    frame.loc[frame.index[-10:], "hardener/angle_9"] = 0.5
    frame.loc[frame.index[-1], "hardener/angle_1"] = np.nan  # a step without objects
    (bars,) = angle_histogram(frame).data
    assert bars.x[0] == pytest.approx(-8 / 9)
    np.testing.assert_allclose(bars.y, [0, 0, 0, 0, 0.55, 0, 0, 0, 0.45])


def test_a_network_that_hardly_turns_is_told_once_it_had_time():
    small, large = angles([0, 0, 0, 0.4, 0.3, 0.2, 0.1, 0, 0]), angles([0.3, 0, 0, 0.1, 0.1, 0.1, 0.1, 0, 0.3])
    (found,) = hardener_warnings(metrics(rows=20, **small), recipe())
    assert found.startswith("Hardly turns: 90% of ASTN's angles are within a third")
    assert hardener_warnings(metrics(rows=19, **small), recipe()) == [], "too early to tell"
    assert hardener_warnings(metrics(rows=20, **large), recipe()) == []
    back = metrics(rows=20, **small)
    back["hardener/angles_at_limit"] = [0.0] * 5 + [0.4] + [0.0] * 14
    (found,) = hardener_warnings(back, recipe())
    assert found.startswith("Turns no more: 90% of ASTN's angles are within a third")
    assert "up to 40% were at the limit before" in found
