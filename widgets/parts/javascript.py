"""One JavaScript module for the browser out of a widget's file and the modules that it imports.

A widget's file in `js/` may import functions of other files, and values of Python::

    import { make } from "./shared/elements.js";
    import { BRIGHT } from "python";

Each module stands once in what comes out, after those that it imports and in a scope of its own, so that names of two
modules never clash. Of the language's own modules this is all that is understood: names in braces are imported,
`export` stands before a function, class or constant, and the widget's file ends in `export default`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError

FOLDER = Path(__file__).parents[1] / "js"
PYTHON = "python"  #: what values of Python are imported from

_IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"\n]+)";[^\S\n]*\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const|let) (\w+))", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b(?! default\b).*", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_$][\w$]*")


@dataclass(frozen=True)
class Module:
    """A file, without its imports and exports."""

    path: Path
    imports: tuple[tuple[str, tuple[str, ...]], ...]  #: where from, and which names
    exports: tuple[str, ...]
    code: str


def script(name: str, **values: Any) -> str:
    """The module of a widget's file in `js/`, complete.

    Args:
        name: of the file.
        values: what it and its modules import from "python"; they are written as JSON.

    Raises:
        WorkbenchError: a file, name or value that does not exist, a circle of imports, or other syntax of modules.
    """
    path = FOLDER / name
    modules: dict[Path, Module] = {}
    _gather(path, modules, ())
    scopes = {each: f"module{number}" for number, each in enumerate(modules)}
    unused = set(values)
    parts = []
    for module in modules.values():
        head = []
        for source, names in module.imports:
            if source == PYTHON:
                head += [f"const {each} = {_json(each, values, module)};" for each in names]
                unused -= set(names)
            else:
                head.append(_taken(names, modules[_target(module.path, source)], scopes, module))
        text = "\n".join([*head, module.code])
        offered = f"return {{ {', '.join(module.exports)} }};"
        parts.append(
            text if module.path == path else f"const {scopes[module.path]} = (() => {{\n{text}{offered}\n}})();"
        )
    if unused:
        raise WorkbenchError(f"{name}: no module imports {', '.join(sorted(unused))} from {PYTHON!r}; leave them out")
    return "\n".join(parts)


def style(*names: str) -> str:
    """Style sheets in `js/` as one; later rules win."""
    return "\n".join(_text(FOLDER / name) for name in names)


def read_module(path: Path) -> Module:
    """A file's imports, exports and the rest.

    Raises:
        WorkbenchError: the file has something that is not understood.
    """
    text = _text(path)
    imports = tuple((source, _names(inside, path)) for inside, source in _IMPORT.findall(text))
    names = [each for _, some in imports for each in some]
    if twice := sorted({each for each in names if names.count(each) > 1}):
        raise WorkbenchError(f"{path}: {', '.join(twice)} is imported twice; each name can be imported once")
    code = _EXPORT.sub("", _IMPORT.sub("", text))
    if other := _OTHER.search(code):
        expected = 'import { name } from "./file.js"; or export before a function, class or constant'
        raise WorkbenchError(f"{path}: {other[0]!r} is not understood; expected {expected}")
    return Module(path, imports, tuple(_EXPORT.findall(text)), code)


def _gather(path: Path, modules: dict[Path, Module], above: tuple[Path, ...]) -> None:
    """Put a file into `modules`, after those that it imports; `above` are the files that import it."""
    if path in above:
        circle = " → ".join(each.name for each in (*above[above.index(path) :], path))
        raise WorkbenchError(
            f"{path}: modules import each other in a circle ({circle}); move what they share into one"
        )
    if path in modules:
        return
    module = read_module(path)
    for source, _ in module.imports:
        if source != PYTHON:
            _gather(_target(path, source), modules, (*above, path))
    modules[path] = module


def _target(path: Path, source: str) -> Path:
    """The file that `source` means in the file at `path`."""
    if not source.startswith("."):
        raise WorkbenchError(
            f"{path} imports from {source!r}; expected {PYTHON!r} or a path from here, as './file.js'"
        )
    return (path.parent / source).resolve()


def _taken(names: tuple[str, ...], source: Module, scopes: Mapping[Path, str], module: Module) -> str:
    """The line that takes names out of another module's scope."""
    if unknown := [each for each in names if each not in source.exports]:
        offered = ", ".join(source.exports) or "no name"
        raise WorkbenchError(f"{module.path} imports {', '.join(unknown)}; {source.path.name} exports {offered}")
    return f"const {{ {', '.join(names)} }} = {scopes[source.path]};"


def _json(name: str, values: Mapping[str, Any], module: Module) -> str:
    if name not in values:
        given = ", ".join(values) or "no value"
        raise WorkbenchError(f"{module.path} imports {name} from {PYTHON!r}; the widget gives {given}")
    return json.dumps(values[name])


def _names(inside: str, path: Path) -> tuple[str, ...]:
    """The names between the braces of an import."""
    names = tuple(each.strip() for each in inside.split(",") if each.strip())
    if wrong := [each for each in names if not _NAME.fullmatch(each)]:
        raise WorkbenchError(f"{path} imports {wrong[0]!r}; expected names as they are, parted by commas")
    return names


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise WorkbenchError(f"{path} cannot be read ({error}); every import needs its file") from error
