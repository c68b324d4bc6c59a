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
Without Chromium the tests skip. Pictures go to the folder named by WORKBENCH_SCREENSHOTS, or else to pytest's
temporary one.
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
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
import warm_kernel
from lab_server import TOKEN, environment, free_port, no_news, wait_until_up

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOCAL = ("127.0.0.1", "")  # data: and blob: addresses have no host
IDLE = "Python 3 (ipykernel) | Idle"


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
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{key}={value}" for key, value in options.items())]
    variables = environment(home) | {"JUPYTER_PATH": str(kernels[0])}
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=variables, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(url, process, log)
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


@dataclass
class LabPage:
    """An open notebook; `page` is the Playwright page that shows it."""

    page: object
    folder: Path
    pictures: Path
    requests: list[str] = field(default_factory=list)  #: every address asked for
    failures: list[str] = field(default_factory=list)  #: uncaught JavaScript errors

    def watch(self) -> None:
        """Record all traffic and errors from now on."""
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda web_socket: self.requests.append(web_socket.url))
        self.page.on("pageerror", lambda error: self.failures.append(str(error)))

    def python(self, code: str) -> str:
        """Run code in a new cell and return what it prints."""
        self.command("notebook:insert-cell-below")
        self.page.keyboard.press("Enter")
        self.page.keyboard.insert_text(code)
        self.command("notebook:run-cell")
        self.wait_idle()
        output = self.page.locator(".jp-Cell.jp-mod-active .jp-OutputArea-output pre").last
        output.wait_for()
        return output.inner_text().strip()

    def command(self, name: str, **arguments: object) -> None:
        """Run a command of JupyterLab's palette and wait until it has finished."""
        self.page.evaluate("([n, a]) => window.jupyterapp.commands.execute(n, a).then(() => null)", [name, arguments])

    def wait_idle(self) -> None:
        """Wait until the status bar says that the kernel is idle."""
        self.page.get_by_text(IDLE).wait_for(timeout=30_000)

    def run_all(self, allow_errors: bool = False) -> None:
        """Run every cell and wait; a cell that raises fails the test with its traceback."""
        self.wait_idle()
        self.command("notebook:run-all-cells")
        self.wait_idle()
        errors = self.page.locator(".jp-RenderedText[data-mime-type*='stderr'], .jp-mod-error").all_inner_texts()
        raised = [text for text in errors if "Traceback" in text]
        if raised and not allow_errors:
            pytest.fail("a cell of the notebook raised:\n" + "\n".join(raised))

    def changes(self, action: Callable[[], object], pictures: str = "img.widget-image", place: int = 0) -> None:
        """Do it, and wait until the picture at a place among those of a selector that are shown is another one."""
        shown = f"[...document.querySelectorAll({json.dumps(pictures)})].filter((one) => one.offsetHeight)"
        picture = f"{shown}[{place}]"
        before = self.page.evaluate(f"() => {picture}.src")
        action()
        self.page.wait_for_function(f"was => {picture}.src !== was && {picture}.complete", arg=before)
        self.wait_idle()

    def reload(self) -> None:
        """Save the notebook and load the page anew; the kernel lives on."""
        self.command("docmanager:save")
        self.page.reload()
        self.wait_idle()

    def restart_kernel(self) -> None:
        """Restart the kernel without asking, as after a crash; widgets of the old kernel are dead."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        self.wait_idle()

    def theme(self, name: str) -> None:
        """Switch JupyterLab to "light" or "dark"."""
        self.command("apputils:change-theme", theme=f"JupyterLab {name.title()}")
        light = str(name == "light").lower()
        self.page.wait_for_function(f"document.body.dataset.jpThemeLight === '{light}'")
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")

    def screenshot(self, name: str, selector: str | None = None) -> Path:
        """Save what is seen (or the first element matching `selector`) as `name`.png and return its path."""
        path = self.pictures / f"{name}.png"
        target = self.page.locator(selector).first if selector else self.page
        target.screenshot(path=path)
        return path

    def strangers(self) -> list[str]:
        """The requests that went to another host than 127.0.0.1."""
        return [url for url in self.requests if (urlsplit(url).hostname or "") not in LOCAL]


def _write_notebook(path: Path, cells: list[str]) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook.metadata["kernelspec"] = kernel
    nbformat.write(notebook, path)


@pytest.fixture
def lab_page(jupyter: Server, chromium, tmp_path: Path, request) -> Iterator[Callable[..., LabPage]]:
    """Open a notebook made of the given cells and run it; see the docstring of this file."""
    opened: list[LabPage] = []
    pictures = Path(os.environ.get("WORKBENCH_SCREENSHOTS", tmp_path))
    pictures.mkdir(parents=True, exist_ok=True)

    def open_page(
        cells: list[str],
        *,
        theme: str = "light",
        files: dict[str, bytes] | None = None,
        size: tuple[int, int] = (1400, 1000),
        allow_errors: bool = False,
    ) -> LabPage:
        plain = re.sub(r"\W+", "-", request.node.name)[:40]  # brackets of a parameter mean something in an address
        folder = jupyter.root / f"{plain}-{len(list(jupyter.root.iterdir()))}"
        folder.mkdir()
        for name, content in (files or {}).items():
            (folder / name).write_bytes(content)
        _write_notebook(folder / "test.ipynb", cells)
        page = chromium.new_context(viewport={"width": size[0], "height": size[1]}).new_page()
        lab = LabPage(page, folder, pictures)
        opened.append(lab)
        lab.watch()
        name = json.dumps(folder.name).strip('"')
        page.goto(f"{jupyter.url}/lab/workspaces/{name}/tree/{name}/test.ipynb?token={TOKEN}")
        lab.wait_idle()
        lab.command("application:toggle-left-area")
        lab.theme(theme)
        lab.run_all(allow_errors)
        return lab

    yield open_page
    for lab in opened:
        lab.page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")
        lab.page.context.close()
    strangers = [url for lab in opened for url in lab.strangers()]
    assert not strangers, f"requests that left 127.0.0.1: {strangers[:5]}"
    failures = [text for lab in opened for text in lab.failures]
    assert not failures, f"uncaught JavaScript errors: {failures[:5]}"
