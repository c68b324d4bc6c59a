"""Own methods: modules that register kinds of their own (`workbench.registry`): hardeners, detectors, data sets ...

A run is trained by a process of its own, which must know them, too: their names go there in the variable
WORKBENCH_PLUGINS. A recipe cannot name code to be run, since recipes come from others; who starts the process can.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from workbench.errors import RecipeError, did_you_mean
from workbench.files import user_path
from workbench.registry import all_or_none, forget

VARIABLE = "WORKBENCH_PLUGINS"
_loaded: dict[str, Path] = {}  # what was given → its file


def plug_in(*names: str | Path) -> None:
    """Import modules here and in every process that is launched from here; a second call imports them anew.

    Args:
        names: of modules that can be imported, or paths of .py files. What they register can be named in recipes, by
            `load_data` and on the command line.

    Raises:
        RecipeError: a module cannot be imported, or registers a kind that exists already.

    Example:
        >>> from pathlib import Path
        >>> code = '''
        ... from workbench.hardeners import RandomDropout
        ... from workbench.registry import HARDENERS
        ...
        ... @HARDENERS.register("half-dropout")
        ... class HalfDropout(RandomDropout):
        ...     def __init__(self, *, drop: float = 0.5):
        ...         super().__init__(drop=drop)
        ... '''
        >>> characters = Path("my_methods.py").write_text(code)
        >>> wb.plug_in("my_methods.py")
        >>> wb.Recipe.load("digit-scenes/faster-rcnn").replace(hardener={"kind": "half-dropout"}).hardener
        {'kind': 'half-dropout'}
    """
    given = [_resolved(name) for name in names]
    for name in given:
        _load(name)
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*named_plug_ins(os.environ.get(VARIABLE, "")), *given]))


def load_plug_ins() -> None:
    """Import what WORKBENCH_PLUGINS names, once.

    Raises:
        RecipeError: something cannot be imported.
    """
    names = [_resolved(name) for name in named_plug_ins(os.environ.get(VARIABLE, ""))]
    for name in names:
        if name not in _loaded:
            _load(name)
    if names:
        os.environ[VARIABLE] = os.pathsep.join(names)  # processes that are started from here may be elsewhere


def named_plug_ins(text: str) -> list[str]:
    """The names in a value of WORKBENCH_PLUGINS."""
    return [name for name in text.split(os.pathsep) if name]


def plugged_in() -> dict[str, dict[str, str]]:
    """What is plugged in, by name: its "file" and the "sha256" of its source, packages whole."""
    return {name: {"file": str(path), "sha256": source_hash(path)} for name, path in _loaded.items()}


def is_source(name: str, file: str) -> bool:
    """Whether `file` is what would be executed for a name: itself, or what a module of the name is found in now."""
    if name.endswith(".py"):
        return os.path.realpath(name) == os.path.realpath(file)
    first, *inner = name.split(".")
    try:
        found = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return False
    for part in inner:  # find_spec would execute the packages around it
        first += f".{part}"
        found = found and PathFinder.find_spec(first, found.submodule_search_locations or [])
    return found is not None and os.path.realpath(found.origin or "") == os.path.realpath(file)


def value_in(file: str | Path, name: str) -> Any:
    """The value that a variable has after a Python file was executed, which is not kept as a plug-in.

    Args:
        file: a .py file of the user's own.
        name: of the variable.

    Raises:
        RecipeError: there is no such file or variable, or the file fails.
    """
    path = user_path(file, RecipeError)
    if not path.is_file():
        raise RecipeError(f"there is no file {path}")
    try:
        module = _execute(path.resolve())
    except Exception as error:  # whatever the user's code raises
        raise RecipeError(f"{path} fails ({type(error).__name__}: {error})") from error
    if not hasattr(module, name):
        known = [one for one in vars(module) if not one.startswith("_")]
        raise RecipeError(f"{path} has no {name!r}{did_you_mean(name, known)}; say which by {path}:NAME")
    return getattr(module, name)


def source_hash(path: Path) -> str:
    """SHA-256 of a plug-in's source as it is now; of a package, all its files. Empty where it cannot be read."""
    digest, files = hashlib.sha256(), _sources(path)
    if not all(file.is_file() for file in files):  # a pipe would be waited for
        return ""
    try:
        for file in files:
            with open(file, "rb") as source:
                hashlib.file_digest(source, lambda: digest)
    except OSError:
        return ""
    return digest.hexdigest()


def plug_in_files() -> list[Path]:
    """Source files of what is plugged in, packages whole: they decide what comes out of a run."""
    return sorted({file for path in _loaded.values() for file in _sources(path) if file.is_file()})


def _sources(path: Path) -> list[Path]:
    return sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]


def _resolved(name: str | Path) -> str:
    return str(user_path(name, RecipeError).resolve()) if str(name).endswith(".py") else str(name)


def _load(name: str) -> None:
    try:
        with all_or_none():
            module = _execute(Path(name)) if name.endswith(".py") else _import(name)
            if module.__file__ is None:
                raise ImportError("it has no file")
        _loaded[name] = Path(module.__file__)
    except Exception as error:  # whatever the user's code raises; built-in modules and bare folders have no file
        raise RecipeError(f"plug-in {name} cannot be imported ({type(error).__name__}: {error})") from error


def _import(name: str) -> ModuleType:
    if name not in _loaded:
        return importlib.import_module(name)
    forget(name)
    return importlib.reload(sys.modules[name])


def _execute(path: Path) -> ModuleType:
    place = hashlib.sha256(str(path).encode()).hexdigest()[:8]  # files of one name in several folders
    spec = importlib.util.spec_from_file_location(f"workbench_plugin_{path.stem}_{place}", path)
    if spec is None:
        raise ImportError(f"{path} is no file of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses and pickle look for it
    forget(spec.name)
    exec(compile(path.read_bytes(), path, "exec"), module.__dict__)  # always as it is now, and no cache beside it
    return module
