"""Who may import whom: read from the source, so that the seams stay where they are."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: For each room of `workbench`, the rooms that it may import from (its own is always allowed).
BASE = {"errors", "lazy", "rle", "types", "files", "options", "registry"}
ALLOWED = {
    "errors": set(),
    "lazy": set(),
    "rle": set(),
    "types": {"errors", "rle"},
    "files": {"errors"},
    "options": {"errors"},
    "registry": {"errors", "options"},
    "plugins": {"errors", "files"},
    "data": BASE,
    "losses": BASE,
    "hardeners": BASE,
    "detectors": BASE | {"data", "losses", "hardeners"},
    "proposals": BASE | {"data", "detectors"},
    "evaluation": BASE | {"data", "detectors", "proposals"},
    "analysis": BASE | {"data", "losses", "hardeners", "detectors", "proposals"},
    "training": BASE | {"plugins", "data", "hardeners", "detectors", "proposals", "evaluation"},
    "figures": BASE | {"data", "losses", "hardeners", "detectors", "evaluation", "analysis", "training"},
}


def imported(path: Path) -> set[str]:
    """Full names of all modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(path: Path) -> str:
    """The first folder or module under workbench/."""
    return path.relative_to(ROOT / "workbench").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted((ROOT / "workbench").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_rooms_import_only_what_they_may(path):
    here = room(path)
    if here in ("__init__", "__main__"):
        return
    for name in imported(path):
        if name.startswith("workbench."):
            there = name.split(".")[1]
            assert there == here or there in ALLOWED[here], f"{here} may not import {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "workbench").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_library_knows_nothing_of_notebooks(path):
    for name in imported(path):
        assert name.split(".")[0] not in ("widgets", "ipywidgets", "IPython", "anywidget"), name


def test_every_room_is_known():
    rooms = {room(path) for path in (ROOT / "workbench").rglob("*.py")} - {"__init__", "__main__"}
    assert rooms <= set(ALLOWED)


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.name)
def test_notebooks_define_no_classes_and_have_short_cells(path):
    for cell in json.loads(path.read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            assert not any(isinstance(node, ast.ClassDef) for node in ast.walk(ast.parse(source)))
            assert len([line for line in source.splitlines() if line.strip()]) <= 12, source
