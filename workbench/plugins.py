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
from pathlib import Path
from types import ModuleType

from workbench.errors import RecipeError
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
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*_named(), *given]))


def load_plug_ins() -> None:
    """Import what WORKBENCH_PLUGINS names, once.

    Raises:
        RecipeError: something cannot be imported.
    """
    for name in _named():
        if name not in _loaded:
            _load(name)


def plug_in_files() -> list[Path]:
    """Source files of what is plugged in, packages whole: they decide what comes out of a run."""
    files = [path.parent.rglob("*.py") if path.name == "__init__.py" else [path] for path in _loaded.values()]
    return sorted({path for found in files for path in found if path.is_file()})


def _named() -> list[str]:
    return [name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


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
