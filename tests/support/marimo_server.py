"""A notebook of marimo as an app: `marimo run` as a process of its own, in a home of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent

from lab_server import TOKEN, environment, free_port, wait_until_up

HEAD = 'import marimo\n\napp = marimo.App(width="full")\n'
CELL = "\n\n@app.cell\ndef _():\n{code}\n    return\n"


def write_app(path: Path, cells: Sequence[str]) -> None:
    """A notebook of marimo; a name may be given in one cell only, unless it begins with an underscore."""
    path.write_text(HEAD + "".join(CELL.format(code=indent(cell.strip("\n"), "    ")) for cell in cells))


@contextmanager
def running(folder: Path, home: Path) -> Iterator[str]:
    """The address of the app of `folder`/app.py, in the theme of the system, without questions about updates."""
    (home / "config" / "marimo").mkdir(parents=True)
    (home / "config" / "marimo" / "marimo.toml").write_text('[display]\ntheme = "system"\n')
    places = {f"XDG_{name.upper()}_HOME": str(home / name) for name in ("config", "cache", "state", "data")}
    variables = {**environment(home), **places, "MARIMO_SKIP_UPDATE_CHECK": "1"}
    port, log = free_port(), home / "server.log"
    options = ["--headless", "--no-sandbox", "--port", str(port), "--token", "--token-password", TOKEN]
    command = [sys.executable, "-m", "marimo", "run", "app.py", *options]
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, env=variables)
    try:
        wait_until_up(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/?access_token={TOKEN}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
