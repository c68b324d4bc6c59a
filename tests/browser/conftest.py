"""JupyterLab in headless Chromium, for tests of what a user really sees.

How to use it in another test file of this folder::

    pytestmark = pytest.mark.browser

    def test_my_widget(lab_page):
        lab = lab_page(["from widgets import RunMonitor", "RunMonitor('runs/a')"])   # notebook cells
        lab.page.locator(".run-monitor").wait_for()       # a Playwright page: click, type, read ...
        lab.screenshot("run-monitor")                      # a PNG, see below
        lab.theme("dark")                                  # JupyterLab's own dark theme

`lab_page(cells, theme="light", files={name: bytes})` writes the cells to a new notebook, opens it, waits for
the kernel, runs every cell, fails if a cell raises (`allow_errors=True` does not) and gives a `LabPage`.
`lab.restart_kernel()`, `lab.run_all()` and `lab.reload()` repeat that in the open page; `lab.changes(action)` waits
for another picture. The kernel starts in the notebook's folder, `lab.folder`. Every request and web socket of the
page is recorded: when the test ends, one that left 127.0.0.1 fails the test, and so does an uncaught JavaScript
error. The server starts once per session, the browser once per file, a page and its kernel once per call (about 2 s
each, as kernels are forks that have imported PyTorch already); keep each test below 40 s.
`notebook_page(cells)` does the same in Notebook 7, and `marimo_page(cells, folder)` opens a notebook of marimo.
No name of another host is found. Without Chromium, Notebook 7 or marimo the tests of it skip. Pictures go to the
folder named by WORKBENCH_SCREENSHOTS, or else to pytest's temporary one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
import warm_kernel
from lab_server import TOKEN, environment, free_port, no_news, wait_until_up
from marimo_server import running, write_app
from pages import LabPage, MarimoPage, NotebookPage, check

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@dataclass(frozen=True)
class Server:
    """A running JupyterLab: its address and the folder it serves."""

    url: str
    root: Path


@pytest.fixture(scope="session")
def executable() -> str:
    """Of Chromium."""
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    path = next(filter(None, found), None)
    return path or pytest.skip("no Chromium found: install the package chromium to run the browser tests")


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory, executable: str) -> Iterator[tuple[Path, Path]]:
    """A folder for JUPYTER_PATH, whose kernel "python3" starts at once, and what is there as soon as it can."""
    folder = tmp_path_factory.mktemp("kernels")
    with tempfile.TemporaryDirectory() as place:  # of a short name, as that of a socket must be
        command = [sys.executable, warm_kernel.__file__]
        argv = [*command, "ask", f"{place}/socket", "{connection_file}"]
        spec = {"argv": argv, "display_name": "Python 3 (ipykernel)", "language": "python"}
        (folder / "kernels" / "python3").mkdir(parents=True)
        (folder / "kernels" / "python3" / "kernel.json").write_text(json.dumps(spec))
        process = subprocess.Popen([*command, "serve", f"{place}/socket"], env=environment(folder))
        yield folder, Path(place) / "socket"
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: pytest.TempPathFactory, kernels: tuple[Path, Path]) -> Iterator[Server]:
    """A JupyterLab at 127.0.0.1 with a token, in a temporary folder; stopped with its kernels at the end."""
    home = tmp_path_factory.mktemp("jupyter")
    root, log, port = home / "notebooks", home / "server.log", free_port()
    root.mkdir()
    no_news(home)
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.root_dir": root,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": TOKEN,
        "LabApp.check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
        "LabApp.expose_app_in_browser": True,
        "JupyterNotebookApp.expose_app_in_browser": True,
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{key}={value}" for key, value in options.items())]
    variables = environment(home) | {"JUPYTER_PATH": str(kernels[0])}
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=variables, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(f"{url}/api?token={TOKEN}", process, log)
        deadline = time.monotonic() + 60
        while not kernels[1].exists():
            assert time.monotonic() < deadline, "the process whose forks are the kernels has not started"
            time.sleep(0.05)
        yield Server(url, root)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def chromium(executable: str) -> Iterator:
    """The browser, a Playwright `Browser`.

    Not for the whole session: while it lives, Playwright's event loop keeps other tests from `asyncio.run`.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


def _write_notebook(path: Path, cells: list[str]) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook.metadata["kernelspec"] = kernel
    nbformat.write(notebook, path)


@contextmanager
def _notebooks(kind: type[LabPage], server: Server, chromium, pictures: Path, name: str) -> Iterator[Callable]:
    """What opens notebooks as pages of a kind; at the end no page may have asked others, or have failed."""
    opened: list[LabPage] = []

    def open_page(
        cells: list[str],
        *,
        theme: str = "light",
        files: dict[str, bytes] | None = None,
        size: tuple[int, int] = (1400, 1000),
        allow_errors: bool = False,
    ) -> LabPage:
        plain = re.sub(r"\W+", "-", name)[:40]  # brackets of a parameter mean something in an address
        folder = server.root / f"{plain}-{len(list(server.root.iterdir()))}"
        folder.mkdir()
        for file, content in (files or {}).items():
            (folder / file).write_bytes(content)
        _write_notebook(folder / "test.ipynb", cells)
        page = chromium.new_context(viewport={"width": size[0], "height": size[1]}).new_page()
        lab = kind(page, folder, pictures)
        opened.append(lab)
        lab.watch()
        lab.open(server.url, TOKEN)
        lab.theme(theme)
        lab.run_all(allow_errors)
        return lab

    yield open_page
    for lab in opened:
        lab.page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")
        lab.page.context.close()
    check(opened)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The folder of screenshots."""
    folder = Path(os.environ.get("WORKBENCH_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def lab_page(jupyter: Server, chromium, pictures: Path, request) -> Iterator[Callable[..., LabPage]]:
    """Open a notebook made of the given cells in JupyterLab and run it; see the docstring of this file."""
    with _notebooks(LabPage, jupyter, chromium, pictures, request.node.name) as open_page:
        yield open_page


@pytest.fixture
def notebook_page(jupyter: Server, chromium, pictures: Path, request) -> Iterator[Callable[..., NotebookPage]]:
    """The same in Notebook 7, which the server of JupyterLab has, too."""
    pytest.importorskip("notebook", reason="Notebook 7 is not installed")
    with _notebooks(NotebookPage, jupyter, chromium, pictures, request.node.name) as open_page:
        yield open_page


@pytest.fixture
def marimo_page(chromium, pictures: Path, tmp_path: Path) -> Iterator[Callable[..., MarimoPage]]:
    """Open a notebook of marimo made of the given cells as an app."""
    pytest.importorskip("marimo", reason="marimo is not installed")
    opened: list[MarimoPage] = []
    with ExitStack() as stack:

        def open_page(cells: list[str], folder: Path, *, size: tuple[int, int] = (1400, 1000)) -> MarimoPage:
            write_app(folder / "app.py", cells)
            url = stack.enter_context(running(folder, tmp_path / "marimo"))
            page = chromium.new_context(viewport={"width": size[0], "height": size[1]}).new_page()
            marimo = MarimoPage(page, folder, pictures)
            opened.append(marimo)
            marimo.watch()
            page.goto(url)
            return marimo

        yield open_page
        for marimo in opened:
            marimo.page.context.close()
    check(opened)
