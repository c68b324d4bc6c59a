"""Which code made a result: 16 hex digits that change when the code does, not when a comment or docstring does."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

from workbench.plugins import plug_in_files

PACKAGE = Path(__file__).resolve().parents[2]
TRAINING = (
    "types.py",
    "rle.py",
    "registry.py",
    "options.py",
    "data",
    "losses",
    "hardeners",
    "hiders",
    "detectors",
    "proposals",
    "training",
)
EVALUATION = ("types.py", "rle.py", "registry.py", "options.py", "data", "detectors", "proposals", "evaluation")
#: Files of `training` that start, watch, list and compare runs: they do not change what comes out of one.
NOT_DECISIVE = (
    "__init__", "carry", "compare", "comparison", "launch", "listing", "paper_claims", "places", "preflight",
    "loggers/__init__", "loggers/base", "loggers/csv", "loggers/tensorboard", "loggers/trackers",
    "preflight_images", "recipe_listing", "run", "scoring", "search", "space", "sweep", "training_images",
    "processes/__init__", "processes/detached", "processes/group", "processes/lock", "processes/queue",
    "processes/record", "processes/remote", "processes/slurm", "processes/starting", "processes/worker",
    "recording/__init__", "recording/disk", "recording/fingerprint", "recording/keeping", "recording/notes",
    "recording/rows", "recording/watch", "stepping/obstacles",
)  # fmt: skip


def code_fingerprint(parts: tuple[str, ...] = TRAINING) -> str:
    """Fingerprint of the files and folders `parts` of the package, and of what is plugged in."""
    digest = hashlib.sha256()
    for path in _sources(parts):
        digest.update(f"{path.relative_to(PACKAGE).as_posix()} {_essence(path, path.stat().st_mtime_ns)}\n".encode())
    for path in plug_in_files():
        digest.update(f"{path.name} {_essence(path, path.stat().st_mtime_ns)}\n".encode())
    return digest.hexdigest()[:16]


def _sources(parts: tuple[str, ...]) -> list[Path]:
    found: list[Path] = []
    for part in parts:
        root = PACKAGE / part
        found += [root] if root.is_file() else root.rglob("*.py")
    plumbing = {PACKAGE / "training" / f"{name}.py" for name in NOT_DECISIVE}
    return sorted(set(found) - plumbing)


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def _essence(path: Path, changed: int) -> str:
    """Digest of the syntax tree without comments, layout and docstrings; `changed` makes the cache notice."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
