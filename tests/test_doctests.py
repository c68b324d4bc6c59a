"""The examples of the public names, and all others in docstrings, run as they are written."""

from __future__ import annotations

import ast
import doctest
from importlib import import_module
from pathlib import Path

import pytest

import widgets
import workbench
from workbench import plugins, registry


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder; what an example plugs in is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(plugins, "_loaded", {})
    yield tmp_path
    registry.HARDENERS._made.pop("half-dropout", None)


PUBLIC = [(room, name) for room in (workbench, widgets) for name in room.__all__]
ROOT = Path(workbench.__file__).parents[1]
FILES = sorted(path for room in (workbench, widgets) for path in Path(room.__file__).parent.rglob("*.py"))
OTHERS = [
    (".".join(path.relative_to(ROOT).with_suffix("").parts), node.name)
    for path in FILES
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and ">>>" in (ast.get_docstring(node) or "")
    if node.name not in [name for _, name in PUBLIC]
]


@pytest.mark.parametrize(("room", "name"), PUBLIC, ids=[name for _, name in PUBLIC])
def test_examples_run(room, name, folder):
    run(getattr(room, name), name, {})


@pytest.mark.parametrize(("module", "name"), OTHERS, ids=[name for _, name in OTHERS])
def test_other_examples_run(module, name, folder):
    home = import_module(module)
    run(getattr(home, name), name, vars(home))


def run(thing: object, name: str, known: dict[str, object]) -> None:
    names = known | {"wb": workbench, "widgets": widgets}
    tests = [test for test in doctest.DocTestFinder(recurse=False).find(thing, name, globs=names) if test.examples]
    assert len(tests) == 1, f"{name} has no example"
    said: list[str] = []
    found = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(tests[0], out=said.append)
    assert found.failed == 0, "".join(said)
