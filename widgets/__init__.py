"""Widgets for JupyterLab, one file each; what they share is in `parts`.

The class of a file has the file's name: `dfv_explorer.py` defines DFVExplorer. Each is imported when it is first
asked for, so that one costs no other's imports. `link` lets them follow each other.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

_CLASS = re.compile(r"^class ([A-Za-z]\w*)", re.MULTILINE)


def _found(folder: Path) -> dict[str, str]:
    """Class → file, without the suffix, of the widgets in a folder; their files are read, but not imported."""
    found = {}
    for path in sorted(folder.glob("[!_]*.py")):
        for name in _CLASS.findall(path.read_text(encoding="utf-8")):
            if name.lower() == path.stem.replace("_", ""):
                found[name] = path.stem
    return found


_HOMES = {**_found(Path(__file__).parent), "link": "parts.linking"}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"widgets has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"widgets.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
