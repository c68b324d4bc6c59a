"""What stands in a list of objects, and which one a widget begins with."""

from __future__ import annotations

import torch

from widgets.parts.objects import describe, largest
from workbench.analysis.occlusion_probe import Thing
from workbench.types import Target

SMALL, LARGE = (0, 0, 2, 2), (0, 0, 9, 9)


def test_true_objects_come_before_larger_ones_that_were_found():
    assert largest([Thing("a", LARGE, "detector"), Thing("b", SMALL, None)]) == 1
    assert largest([Thing("a", SMALL, None), Thing("b", LARGE, None)]) == 1
    assert largest([Thing("a", SMALL, "detector"), Thing("b", LARGE, "detector")]) == 1
    assert largest([]) is None


def test_names_say_what_is_hidden_or_that_it_was_found():
    target = Target(occlusion=torch.tensor([0.25, 0.0, torch.nan]))
    true, found = Thing("cup", LARGE, None), Thing("cup", LARGE, "detector")
    assert [describe(place, true, target) for place in range(3)] == ["1: cup, 25% hidden", "2: cup", "3: cup"]
    assert describe(0, found, None) == "1: cup, found"
    assert describe(0, true, Target()) == "1: cup"
