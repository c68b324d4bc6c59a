"""Numbers as sliders say them."""

from __future__ import annotations

import pytest
from javascript import evaluate, needs_node

pytestmark = needs_node

SAID = [
    (0.333, ".0%", "33%"),
    (2, ".2f", "2.00"),
    (1e-6, ".3g", "0.00000100"),
    (7, "d", "7"),
    (100, ".1e", "1.0e+2"),
    (7, "> 5", "7"),  # of which nothing is known
]


def test_the_formats_that_sliders_have(tmp_path):
    asked = ", ".join(f"formatted({value}, '{form}')" for value, form, _ in SAID)
    assert evaluate(f"[{asked}]", {"mirror/readout.js": "formatted"}, tmp_path) == [said for *_, said in SAID]


@pytest.mark.parametrize(("value", "form"), [(0.333, ".0%"), (2.0, ".2f"), (7, "d")])
def test_as_python_says_them(value, form, tmp_path):
    """What a still picture says of a slider is said by Python."""
    assert evaluate(f"formatted({value}, '{form}')", {"mirror/readout.js": "formatted"}, tmp_path) == format(
        value, form
    )
