"""A cluster of two nodes on this machine: a real Slurm under one folder, without systemd and with free ports.

Its nodes have two cores each. Jobs in the partition `high` push those in `low`, the usual one, back into the queue.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
NODES = ("n1", "n2")
CONFIGURATION = """
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
KillWait=5
FirstJobId={first}
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1,defer_batch
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=1000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=low Nodes=n[1-2] Default=YES MaxTime=60 DefaultTime=10 PriorityTier=1 PreemptMode=REQUEUE State=UP
PartitionName=high Nodes=n[1-2] MaxTime=60 DefaultTime=10 PriorityTier=10 PreemptMode=OFF State=UP
"""


def is_installed() -> bool:
    """Whether this machine has Slurm and munge."""
    return all(shutil.which(program, path=search_path()) for program in PROGRAMS)


def search_path() -> str:
    """Daemons lie where users do not look."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


@contextmanager
def cluster(folder: Path) -> Iterator[Path]:
    """A Slurm under `folder`, whose name is short and may be read by all; its configuration."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    host = socket.gethostname().partition(".")[0]
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    first = random.randrange(1000, 1_000_000)  # of two clusters on one machine, jobs have different ports
    conf = folder / "slurm.conf"
    conf.write_text(CONFIGURATION.format(folder=folder, host=host, user=user, ports=_free_ports(3), first=first))
    paths = {"key-file": "munge.key", "socket": "munge.sock", "pid-file": "munged.pid", "seed-file": "munge.seed"}
    munge = [f"--{name}={folder / file}" for name, file in {**paths, "log-file": "munged.log"}.items()]
    daemons = [["munged", "--force", *munge], ["slurmctld", "-f", str(conf)]]
    daemons += [["slurmd", "-f", str(conf), "-N", node] for node in NODES]
    own = surroundings(conf)
    try:
        for command in daemons:
            subprocess.run(command, env=own, check=True, cwd=folder, timeout=20)
        ready = ["sinfo", "--noheader", "--partition=low", "--states=idle", "--format=%D"]
        deadline = time.monotonic() + 30
        while subprocess.run(ready, env=own, capture_output=True, text=True).stdout.strip() != "2":
            assert time.monotonic() < deadline, (folder / "slurmctld.log").read_text()[-2000:]
            time.sleep(0.1)
        yield conf
    finally:
        subprocess.run(["scancel", "--me"], env=own, capture_output=True, timeout=20)
        _end([process for process, _ in _processes(conf)])


def _processes(conf: Path) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """All that belong to the cluster, daemons, steps and jobs, with their variables."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            own = process.environ()
            if own.get("SLURM_CONF") == str(conf) and process.pid != os.getpid():
                yield process, own


def _end(processes: list[psutil.Process]) -> None:
    """In order where they can, else at once."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                end(process)
        _, processes = psutil.wait_procs(processes, timeout=5)


def surroundings(conf: Path) -> dict[str, str]:
    """Variables of a process that knows the cluster."""
    return {**os.environ, "PATH": search_path(), "SLURM_CONF": str(conf)}


def kill_node(conf: Path, node: str) -> None:
    """A node dies: its daemon, and all that runs on it, at the same moment."""
    doomed = [psutil.Process(int((conf.parent / f"slurmd.{node}.pid").read_text()))]
    for process, own in _processes(conf):
        if own.get("SLURMD_NODENAME") == node:
            doomed += [*(one for one in process.parents() if one.name().startswith("slurmstepd")), process]
    for process in doomed:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def miss_node(conf: Path, node: str) -> None:
    """The controller gives a node up, as it does by itself after some minutes without an answer."""
    command = ["scontrol", "update", f"nodename={node}", "state=down", "reason=dead"]
    subprocess.run(command, env=surroundings(conf), check=True, timeout=20)


def mend_node(conf: Path, node: str) -> None:
    """It is there again."""
    subprocess.run(["slurmd", "-f", str(conf), "-N", node], env=surroundings(conf), check=True, timeout=20)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
