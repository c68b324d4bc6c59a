"""Runs the widgets' JavaScript outside a browser, in Node, where that is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from widgets.parts.javascript import FOLDER, script

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(
    NODE is None, reason="Node is not installed: JavaScript is checked in the browser only"
)


def check_syntax(text: str, folder: Path) -> str:
    """What Node says against a module; empty if it is one."""
    path = folder / "checked.mjs"
    path.write_text(text, encoding="utf-8")
    return subprocess.run([NODE, "--check", path], capture_output=True, text=True, timeout=60).stderr


def evaluate(expression: str, imports: dict[str, str], folder: Path, **values: Any) -> Any:
    """The value of a JavaScript expression, through JSON.

    imports: file below the widgets' `js/` → the names taken from it. values: what it can import from "python".
    """
    above = os.path.relpath(FOLDER, folder)
    lines = [f'import {{ {names} }} from "./{above}/{file}";' for file, names in imports.items()]
    if values:
        lines.append(f'import {{ {", ".join(values)} }} from "python";')
    (folder / "asked.js").write_text("\n".join([*lines, f"console.log(JSON.stringify({expression}));\n"]))
    path = folder / "asked.mjs"
    path.write_text(script(str(folder / "asked.js"), **values), encoding="utf-8")
    done = subprocess.run([NODE, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
