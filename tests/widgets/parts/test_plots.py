"""What happens when a point of a plot is pointed at."""

from __future__ import annotations

from types import SimpleNamespace

from widgets.parts.plots import point_handler


def test_the_name_and_the_first_point_are_passed_on():
    seen = []
    handler = point_handler("occluded", lambda name, index: seen.append((name, index)))
    handler(None, SimpleNamespace(point_inds=[7, 8]), None)
    handler(None, SimpleNamespace(point_inds=[]), None)
    assert seen == [("occluded", 7)]
