"""The examples of the public names run as they are written."""

from __future__ import annotations

import doctest

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


@pytest.mark.parametrize(("room", "name"), PUBLIC, ids=[name for _, name in PUBLIC])
def test_examples_run(room, name, folder):
    finder = doctest.DocTestFinder(recurse=False)
    found = finder.find(getattr(room, name), name, globs={"wb": workbench, "widgets": widgets})
    tests = [test for test in found if test.examples]
    assert len(tests) == 1, f"{room.__name__}.{name} has no example"
    said: list[str] = []
    found = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(tests[0], out=said.append)
    assert found.failed == 0, "".join(said)
