"""`make lab` as a user meets it: on the quickstart, without a pop-up, and with settings of the user's own."""

import subprocess
import sys

import pytest
from lab_server import ROOT, TOKEN, environment, free_port, wait_until_up

pytestmark = pytest.mark.browser


@pytest.fixture
def made_lab(tmp_path):
    """Start what `make lab` starts, with flags, in a home of its own; gives its address."""
    started = []

    def start(*flags: str) -> str:
        port = free_port()
        given = " ".join((f"--IdentityProvider.token={TOKEN}", "--no-browser", *flags))
        options = [f"PORT={port}", f"LAB_FLAGS={given}"]
        printed = subprocess.run(
            ["make", "-n", "lab", *options], cwd=ROOT, capture_output=True, text=True, check=True
        )
        command = "JUPYTER_CONFIG_PATH" + printed.stdout.rpartition("JUPYTER_CONFIG_PATH")[2]
        command = command.replace(".venv/bin/jupyter", f"exec {sys.executable} -m jupyter")
        log = tmp_path / "server.log"
        with log.open("w") as out:
            own = {"cwd": ROOT, "env": environment(tmp_path), "stdout": out, "stderr": out}
            started.append(subprocess.Popen(["sh", "-c", command], **own))
        wait_until_up(f"http://127.0.0.1:{port}/api?token={TOKEN}", started[-1], log)
        return f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        process.terminate()
        process.wait(20)


def test_it_opens_the_quickstart_and_asks_nothing(made_lab, chromium):
    page = chromium.new_context().new_page()
    page.goto(f"{made_lab()}/?token={TOKEN}")
    page.locator(".jp-Notebook").wait_for(timeout=60_000)
    assert "00_quickstart" in page.url
    page.wait_for_timeout(3000)  # the pop-up came within two
    assert page.get_by_text("official Jupyter news").count() == 0
    page.context.close()


def test_flags_of_the_user_win(made_lab, chromium, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("mine")
    address = made_lab(f"--ServerApp.root_dir={tmp_path / 'mine'}", "--LabApp.default_url=/lab")
    page = chromium.new_context().new_page()
    page.goto(f"{address}/?token={TOKEN}")
    page.get_by_text("note.txt").first.wait_for(timeout=60_000)
    page.context.close()
