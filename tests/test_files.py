"""Paths with variables in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.data import load_data
from workbench.errors import DataError, WeightsError
from workbench.files import user_path


def test_variables_and_home_are_replaced(monkeypatch):
    monkeypatch.setenv("PLACE", "/somewhere")
    assert user_path("${PLACE}/a", DataError) == Path("/somewhere/a")
    assert user_path("$PLACE/a", DataError) == Path("/somewhere/a")
    assert user_path("~/a", DataError) == Path.home() / "a"


def test_a_dollar_in_a_real_name_stays(monkeypatch):
    monkeypatch.setenv("PLACE", "/price in $PLACE")
    assert user_path("${PLACE}", DataError) == Path("/price in $PLACE")


def test_unset_variables_are_named(monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(WeightsError, match="NOWHERE is not set"):
        user_path("${NOWHERE}/a", WeightsError)
    with pytest.raises(DataError, match="NOWHERE is not set"):
        load_data("voc", root="$NOWHERE")
