"""What README.md names is there: files, notebooks, make targets, verbs, recipes, public names; its example runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import ipywidgets
import pytest

import widgets
import workbench
from workbench.__main__ import build_parser
from workbench.detectors.locate import shipped_names
from workbench.training import Recipe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs/results.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def found(pattern: str) -> list[str]:
    names = sorted(set(re.findall(pattern, README)))
    assert names, pattern
    return names


@pytest.mark.parametrize("path", found(r"\]\(([^)#:]+)\)"))
def test_links(path):
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


@pytest.mark.parametrize("name", found(r"widgets\.(?!md\b)(\w+)|`([A-Z]\w+(?:Lab|Explorer|Browser|Monitor))`"))
def test_widgets(name):
    assert hasattr(widgets, next(filter(None, name)))


@pytest.mark.parametrize("name", found(r"\"([a-z0-9-]+/[a-z0-9+-]+)\""))
def test_recipes_and_detectors(name):
    assert name in {*shipped_names(), *Recipe.shipped()}


def test_verbs():
    listed = re.search(r"\.venv/bin/workbench --help` \(([^)]*)\)", README)[1]
    verbs = build_parser()._subparsers._group_actions[0].choices
    assert set(re.findall(r"`(\w+)`", listed)) == set(verbs)


def test_a_page():
    assert len(README.splitlines()) <= 120


def test_numbers_are_those_of_the_results():
    table = README[README.index("| what is changed |") :].partition("\n\n")[0]
    numbers = re.findall(r"(?<=\| )[+−]?0\.\d{3}[^|]*?(?= \|)", table)
    assert len(numbers) == 18
    assert [text for text in numbers if text not in RESULTS] == []


def cell_output(code: str, names: dict) -> object:
    """What a notebook would show of a cell: the value of its last line, if that is an expression."""
    *body, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        exec(compile(code, "README.md", "exec"), names)
        return None
    exec(compile(ast.Module(body, []), "README.md", "exec"), names)
    return eval(compile(ast.Expression(last.value), "README.md", "eval"), names)


def test_the_example_runs(tmp_path, monkeypatch):
    """The cells of the first example, each of which shows what it ends with; the run that it launches is stopped."""
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path))
    names: dict = {}
    try:
        shown = [cell_output(block, names) for block in BLOCKS[:4]]
        assert [type(one).__name__ for one in shown] == ["NoneType", "DataFrame", "OcclusionLab", "RunMonitor"]
        assert names["run"].status in ("starting", "running")
        assert names["result"].by_occlusion["AP"]["< 5 %"] > 0.5
    finally:
        if "run" in names:
            names["run"].stop()
        ipywidgets.Widget.close_all()  # whose threads would go on
