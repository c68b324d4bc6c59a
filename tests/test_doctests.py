"""The examples of the public names, and all others in docstrings, run as they are written.

Those of a room know the names that it exports, `wb` and `torch`; those of `wb` and of `widgets` only these two. All
others know what their module knows.
"""

from __future__ import annotations

import ast
import doctest
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType

import pytest
import torch

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


ROOT = Path(workbench.__file__).parents[1]
FILES = sorted(path for room in (workbench, widgets) for path in Path(room.__file__).parent.rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def public() -> list[tuple[ModuleType, str]]:
    """Every class and function that a room exports, where it is met first, but for protocols: nobody calls them."""
    rooms = [workbench, widgets]
    rooms += [import_module(module_of(path)) for path in FILES if path.name == "__init__.py"]
    met: dict[int, tuple[ModuleType, str]] = {}
    for room in rooms:
        for name in getattr(room, "__all__", ()):
            thing = getattr(room, name)
            if isinstance(thing, type | FunctionType) and not getattr(thing, "_is_protocol", False):
                met.setdefault(id(thing), (room, name))
    return list(met.values())


PUBLIC = public()
HOMES = {(getattr(room, name).__module__, name) for room, name in PUBLIC}
OTHERS = [
    (module_of(path), node.name)
    for path in FILES
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and ">>>" in (ast.get_docstring(node) or "")
    if (module_of(path), node.name) not in HOMES
]
METHODS = [
    (module_of(path), node.name, method.name)
    for path in FILES
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.ClassDef)
    for method in node.body
    if isinstance(method, ast.FunctionDef) and ">>>" in (ast.get_docstring(method) or "")
]


def test_rooms_are_found():
    """A room whose names are not looked at would need no examples."""
    assert {room.__name__.removeprefix("workbench.") for room, _ in PUBLIC} == {
        *(
            "workbench",
            "widgets",
            "annotation",
            "data",
            "detectors",
            "evaluation",
            "hardeners",
            "hiders",
            "losses",
            "proposals",
            "reporting",
            "training",
            "training.loggers",
        )
    }


@pytest.mark.parametrize(("room", "name"), PUBLIC, ids=[name for _, name in PUBLIC])
def test_examples_run(room, name, folder):
    known = {} if room in (workbench, widgets) else {one: getattr(room, one) for one in room.__all__}
    run(getattr(room, name), name, known | {"torch": torch})


@pytest.mark.parametrize(("module", "name"), OTHERS, ids=[name for _, name in OTHERS])
def test_other_examples_run(module, name, folder):
    home = import_module(module)
    run(getattr(home, name), name, vars(home))


@pytest.mark.parametrize(("module", "name", "method"), METHODS, ids=[f"{name}.{one}" for _, name, one in METHODS])
def test_examples_of_methods_run(module, name, method, folder):
    home = import_module(module)
    run(vars(getattr(home, name))[method], f"{name}.{method}", vars(home))


def run(thing: object, name: str, known: dict[str, object]) -> None:
    names = known | {"wb": workbench, "widgets": widgets}
    tests = [test for test in doctest.DocTestFinder(recurse=False).find(thing, name, globs=names) if test.examples]
    assert len(tests) == 1, f"{name} has no example"
    assert not any(example.options.get(doctest.SKIP) for example in tests[0].examples), f"{name} skips its example"
    said: list[str] = []
    found = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(tests[0], out=said.append)
    assert found.failed == 0, "".join(said)
