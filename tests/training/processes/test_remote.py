"""Runs on another machine through a real sshd, which listens on this one's loopback with keys of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench import plugins
from workbench.errors import RunError
from workbench.training import launch
from workbench.training.places import place_of
from workbench.training.processes.record import Record

SUPPORT = Path(__file__).parents[2] / "support"
SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
PasswordAuthentication no
SetEnv XDG_CONFIG_HOME={folder}/settings TINY_SECONDS=0.1
"""
CLIENT = """
Host box
    HostName 127.0.0.1
    IdentityFile {folder}/user
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known
    StrictHostKeyChecking yes
"""


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """A place that is reached through sshd; it ends with the test."""
    server = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if server is None or shutil.which("ssh") is None:
        pytest.skip("needs sshd and ssh: apt-get install openssh-server openssh-client")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd gives up its rights there
    folder = tmp_path / "ssh"
    folder.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "server").write_text(SERVER.format(folder=folder, port=port))
    (folder / "client").write_text(CLIENT.format(folder=folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "settings"))
    with open(folder / "log", "w") as log:
        daemon = subprocess.Popen([server, "-D", "-e", "-f", str(folder / "server")], stderr=log)
    try:
        _await(port, daemon, folder / "log")
        options = {"User": getpass.getuser(), "ConnectTimeout": "20"}
        yield {"place": "ssh:box", "port": port, "config": str(folder / "client"), "options": options}
    finally:
        daemon.terminate()
        daemon.wait(10)


def _await(port: int, daemon: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert daemon.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


def test_a_run_is_started_stopped_and_resumed_and_ends_as_one_here(box, tmp_path, monkeypatch):
    from tiny_detector import tiny_recipe

    from workbench.training.trainer import train

    recipe = tiny_recipe({"stages.0.steps": 40, "log_every": 1})
    train(recipe, tmp_path / "here")
    plug_in = SUPPORT / "tiny_detector.py"
    monkeypatch.setenv("WORKBENCH_PLUGINS", str(plug_in))
    monkeypatch.setitem(
        plugins._loaded, str(plug_in), plug_in
    )  # imported above; another copy would stay for all tests
    run = launch(recipe, tmp_path / "a run", on=box)
    deadline = time.monotonic() + 300
    while run.progress().step < 3:
        assert time.monotonic() < deadline, run.log()
        time.sleep(0.05)
    assert str(run.job) == "RUNNING"
    assert run.stop(grace=300) == "stopped"
    step, _ = run.checkpoints[-1]
    assert 3 <= step < 40
    assert run.resume().wait(300) == "done", run.log()
    assert f"resumed at step {step}" in run.log(200)
    assert place_of(Record.read(run.folder)).port == box["port"]
    assert (run.folder / "detector.safetensors").read_bytes() == (tmp_path / "here/detector.safetensors").read_bytes()


def test_a_machine_that_lets_nobody_in_is_named(box, tmp_path):
    from tiny_detector import tiny_recipe

    (tmp_path / "ssh" / "user.pub").write_text("")
    with pytest.raises(RunError, match=r"box does not answer through ssh \(exit status 255\): .*Permission denied"):
        launch(tiny_recipe(), tmp_path / "run", on=box)
    assert not (tmp_path / "run").exists()
