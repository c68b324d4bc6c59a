"""Pages of the headless browser that show a notebook: what a test does in them, and what all of them record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

LOCAL = ("127.0.0.1", "")  # data: and blob: addresses have no host
IDLE = "Python 3 (ipykernel) | Idle"


@dataclass
class HostPage:
    """An open notebook; `page` is the Playwright page that shows it."""

    NOT_OURS = ()  #: parts of errors that do not count

    page: object
    folder: Path
    pictures: Path
    requests: list[str] = field(default_factory=list)  #: every address asked for
    failures: list[str] = field(default_factory=list)  #: uncaught JavaScript errors

    def watch(self) -> None:
        """Record all traffic and errors from now on."""
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda web_socket: self.requests.append(web_socket.url))
        self.page.on("pageerror", lambda error: self.fail(str(error)))

    def fail(self, text: str) -> None:
        """Record an error."""
        if not any(part in text for part in self.NOT_OURS):
            self.failures.append(text)

    def screenshot(self, name: str, selector: str | None = None) -> Path:
        """Save what is seen (or the first element matching `selector`) as `name`.png and return its path."""
        path = self.pictures / f"{name}.png"
        target = self.page.locator(selector).first if selector else self.page
        target.screenshot(path=path)
        return path

    def strangers(self) -> list[str]:
        """The requests that went to another host than 127.0.0.1."""
        return [url for url in self.requests if (urlsplit(url).hostname or "") not in LOCAL]


def check(pages: list[HostPage]) -> None:
    """Fail if a page has asked another host, or had an error that nothing caught."""
    strangers = [url for page in pages for url in page.strangers()]
    assert not strangers, f"requests that left 127.0.0.1: {strangers[:5]}"
    failures = [text for page in pages for text in page.failures]
    assert not failures, f"uncaught JavaScript errors: {failures[:5]}"


class LabPage(HostPage):
    """A notebook in JupyterLab."""

    def open(self, url: str, token: str) -> None:
        """Show the notebook of the folder, alone."""
        name = json.dumps(self.folder.name).strip('"')
        self.page.goto(f"{url}/lab/workspaces/{name}/tree/{name}/test.ipynb?token={token}")
        self.wait_idle()
        self.command("application:toggle-left-area")

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


class NotebookPage(LabPage):
    """A notebook in Notebook 7, which is made of JupyterLab's parts, but without its status bar."""

    #: Notebook 7.6 fails so while it starts, whatever it shows: at its settings and at commands that come later.
    NOT_OURS = ("(reading 'schema')", "Command 'filebrowser:open-path' not registered")

    def open(self, url: str, token: str) -> None:
        """Show the notebook of the folder."""
        self.page.goto(f"{url}/notebooks/{self.folder.name}/test.ipynb?token={token}")
        self.wait_idle()

    def wait_idle(self) -> None:
        """Wait until the kernel is there and idle."""
        session = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session"
        self.page.wait_for_function(f"() => {session}?.kernel?.status === 'idle'", timeout=30_000)


class MarimoPage(HostPage):
    """A notebook in marimo."""

    def watch(self) -> None:
        """Record all traffic and errors from now on, also those of widgets, which marimo writes to the console."""
        super().watch()
        self.page.on("console", lambda said: self.fail(said.text) if said.type == "error" else None)
