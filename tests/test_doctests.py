"""The examples of the public names run as they are written."""

from __future__ import annotations

import doctest

import pytest

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


@pytest.mark.parametrize("name", workbench.__all__)
def test_examples_run(name, folder):
    thing = getattr(workbench, name)
    finder = doctest.DocTestFinder(recurse=False)
    tests = [test for test in finder.find(thing, name, globs={"wb": workbench}) if test.examples]
    assert len(tests) == 1, f"wb.{name} has no example"
    said: list[str] = []
    found = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(tests[0], out=said.append)
    assert found.failed == 0, "".join(said)
