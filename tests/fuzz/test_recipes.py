"""Recipes with strange values, and recipe files with damaged bytes."""

from __future__ import annotations

from pathlib import Path

import yaml
from campaign import cases, changed, damaged, only_own_errors
from hypothesis import given
from hypothesis import strategies as st

from workbench import Recipe
from workbench.registry import DATASETS, DETECTORS, HARDENERS, HIDERS

SHIPPED = {name: Recipe.load(name, trial=False).to_dict() for name in Recipe.shipped()}
KEYS = tuple(
    sorted(
        {
            key
            for kinds in (DATASETS, DETECTORS, HARDENERS, HIDERS)
            for kind in kinds.names()
            for key in kinds.options(kind)
        }
    )
)


@given(st.sampled_from(sorted(SHIPPED)).flatmap(lambda name: changed(SHIPPED[name], KEYS)))
@cases(150)
def test_values(values: object) -> None:
    with only_own_errors():
        Recipe.from_dict(values)


@given(content=st.sampled_from(sorted(SHIPPED)).flatmap(lambda name: damaged(yaml.safe_dump(SHIPPED[name]).encode())))
@cases(75)
def test_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with only_own_errors():
        Recipe.load(path)


@given(levels=st.integers(2, 40), width=st.integers(2, 12))
@cases(5)
def test_aliases_of_aliases_take_no_memory(tmp_path: Path, levels: int, width: int) -> None:
    path = tmp_path / "recipe.yaml"
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels))]
    path.write_text("\n".join(lines))
    with only_own_errors():
        Recipe.load(path)
