"""What README.md names is there: files, notebooks, make targets, verbs, recipes and public names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import widgets
import workbench
from workbench.__main__ import build_parser
from workbench.detectors.locate import shipped_names
from workbench.training import Recipe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def found(pattern: str) -> list[str]:
    names = sorted(set(re.findall(pattern, README)))
    assert names, pattern
    return names


@pytest.mark.parametrize("path", found(r"\]\(([^)#:]+)\)"))
def test_links(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", found(r"`((?:workbench|widgets|tests|notebooks)/[\w./-]*)`"))
def test_paths(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", found(r"`(\d\d_\w+)`"))
def test_notebooks(name):
    assert (ROOT / "notebooks" / f"{name}.ipynb").is_file()


@pytest.mark.parametrize("target", found(r"(?:^ {4}|`)make (\w+)"))
def test_make_targets(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", found(r"wb\.(\w+)"))
def test_public_names(name):
    assert hasattr(workbench, name)


@pytest.mark.parametrize("name", found(r"widgets\.(\w+)"))
def test_widgets(name):
    assert hasattr(widgets, name)


@pytest.mark.parametrize("name", found(r"\"([a-z0-9-]+/[a-z0-9+-]+)\""))
def test_recipes_and_detectors(name):
    assert name in {*shipped_names(), *Recipe.shipped()}


def test_verbs():
    listed = re.search(r"python -m workbench --help` \(([^)]*)\)", README)[1]
    verbs = build_parser()._subparsers._group_actions[0].choices
    assert set(re.findall(r"`(\w+)`", listed)) == set(verbs)
