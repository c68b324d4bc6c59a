"""Who may import whom: read from the source, so that the seams stay where they are."""

from __future__ import annotations

import ast
import json
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from workbench import registry

ROOT = Path(__file__).parents[1]
#: For each room of `workbench`, the rooms that it may import from (its own is always allowed).
BASE = {"cards", "errors", "lazy", "progress", "rle", "types", "files", "options", "registry"}
ALLOWED = {
    "cards": set(),
    "errors": set(),
    "lazy": set(),
    "progress": set(),
    "rle": set(),
    "types": {"cards", "errors", "rle"},
    "files": {"errors"},
    "options": {"errors"},
    "registry": {"errors", "options"},
    "plugins": {"errors", "files", "registry"},
    "data": BASE,
    "losses": BASE,
    "hardeners": BASE,
    "hiders": BASE | {"data"},
    "detectors": BASE | {"data", "losses", "hardeners"},
    "proposals": BASE | {"data", "detectors"},
    "evaluation": BASE | {"data", "detectors", "proposals"},
    "analysis": BASE | {"data", "losses", "hardeners", "detectors", "proposals"},
    "annotation": BASE | {"data", "evaluation"},
    "training": BASE | {"plugins", "data", "hardeners", "hiders", "detectors", "proposals", "evaluation"},
    "reporting": BASE,
    "figures": BASE
    | {"data", "losses", "hardeners", "hiders", "detectors", "evaluation", "analysis"}
    | {"annotation", "training"},
}


#: A result that shows itself, when asked to: figures are made of results, so it reaches up for them, late.
SHOWS = {
    "evaluation/audit_report.py": {"workbench.figures.audit", "workbench.figures.audit_page"},
    "evaluation/statistics.py": {"workbench.figures.data_statistics"},
    "evaluation/mask_overlap.py": {"workbench.figures.shape_masks"},
    "annotation/quality.py": {"workbench.figures.annotation"},
    "training/sweep.py": {"workbench.figures.sweep"},
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
    shows = SHOWS.get(path.relative_to(ROOT / "workbench").as_posix(), set())
    for name in imported(path):
        if name.startswith("workbench.") and not any(f"{name}.".startswith(f"{one}.") for one in shows):
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


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.name)
def test_formulas_in_notebooks_can_be_read_without_the_network(path):
    """What stands between dollars is drawn by MathJax, which an HTML report loads from elsewhere."""
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "markdown":
            assert not re.search(r"\$[^$]+\$", "".join(cell["source"]))


def modules() -> dict[str, Path]:
    """Full name → file of every module of `workbench`; packages by their own name."""
    named = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "workbench").rglob("*.py")
    }
    return {name.removesuffix(".__init__"): path for name, path in named.items()}


def at_once(name: str, path: Path, homes: dict[str, dict[str, str]]) -> set[str]:
    """Modules of `workbench` that are imported when `name` is: at its top level; names on demand are followed."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workbench"):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in homes else homes.get(node.module, {}).get(alias.name, node.module))
    return found - {name}


def test_no_module_imports_itself_in_a_circle():
    known = modules()
    homes: dict[str, dict[str, str]] = {name: {} for name in known}
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "on_demand":
                homes[name] = ast.literal_eval(node.args[1])
    order = TopologicalSorter({name: at_once(name, path, homes) for name, path in known.items()})
    assert len(list(order.static_order())) >= len(known)  # a CycleError names the circle


def strings(node: ast.AST) -> set[str]:
    """The texts in a list, tuple, set or the keys of a dict that is written out."""
    parts = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def test_kinds_are_listed_nowhere_but_in_the_registry():
    all_kinds = {name: set(one.names()) for name, one in vars(registry).items() if isinstance(one, registry.Registry)}
    words = all_kinds.pop("NORMALISERS")  # "image" and "batch" are words of much else
    assert {"image", "batch"} <= words
    for path in [*(ROOT / "workbench").rglob("*.py"), *(ROOT / "widgets").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if found := strings(node):
                listed = [found & kinds for kinds in all_kinds.values() if len(found & kinds) > 1]
                assert not listed, f"{path}:{node.lineno} lists {listed}"


def test_no_code_asks_for_a_kind_by_its_name():
    """Such as `name == "mixed"`: what a kind can do stands on its class."""
    sorts = (
        "DETECTORS",
        "HARDENERS",
        "HIDERS",
        "DATASETS",
        "BENCHMARKS",
        "PROPOSALS",
        "LOSSES",
        "MINING",
        "ANCHOR_MINING",
    )
    kinds = {kind for name in sorts for kind in getattr(registry, name).names()} - {"detector", "digits", "imagenet"}
    for path in [*(ROOT / "workbench").rglob("*.py"), *(ROOT / "widgets").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            for one in [node.left, *node.comparators] if isinstance(node, ast.Compare) else ():
                assert not (isinstance(one, ast.Constant) and one.value in kinds), (
                    f"{path}:{one.lineno} asks for a kind"
                )


@pytest.mark.parametrize("sort", [name for name, one in vars(registry).items() if isinstance(one, registry.Registry)])
def test_what_can_be_named_lies_on_top_of_its_room(sort):
    kinds: registry.Registry = getattr(registry, sort)
    folder = ROOT.joinpath(*kinds.room.split("."))
    below = [path for path in folder.rglob("*.py") if path.parent != folder]
    assert not [path for path in below if f"@{sort}.register(" in path.read_text()]
    for kind in kinds.names():
        assert kinds[kind].kind == kind  # its file registers it under the name that is read from the file


def test_parts_know_none_of_the_kinds_that_are_made_of_them():
    """A sub-room never imports a kind of its own room, at the top of a file or within a function."""
    kinds = {
        home for one in vars(registry).values() if isinstance(one, registry.Registry) for home in one.homes.values()
    }
    for path in (ROOT / "workbench").rglob("*.py"):
        parts = path.relative_to(ROOT).parts
        if len(parts) > 3:
            own = {home for home in kinds if home.startswith(f"workbench.{parts[1]}.")}
            assert not imported(path) & own, f"{path} imports {imported(path) & own}"


ASIDE = ("browser", "benchmarks", "fuzz", "widgets")  #: folders of tests that mirror no room of `workbench`


@pytest.mark.parametrize(("home", "tests"), [("workbench", "tests"), ("widgets", "tests/widgets")])
def test_tests_mirror_the_source(home, tests):
    """The name of a test begins with that of a file in the folder that its own folder mirrors."""
    for path in sorted((ROOT / tests).rglob("test_*.py")):
        place = path.relative_to(ROOT / tests)
        if home == "workbench" and (len(place.parts) == 1 or place.parts[0] in ASIDE):
            continue
        folder = ROOT / home / place.parent
        names = {one.stem.strip("_") for suffix in ("py", "js") for one in folder.glob(f"*.{suffix}")}
        words = path.stem.removeprefix("test_").split("_")
        starts = {"_".join(words[:number]) for number in range(1, len(words) + 1)}
        assert starts & names, f"{path} is about no file of {home}/{place.parent}"
