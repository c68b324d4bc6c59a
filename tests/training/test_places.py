"""Places: how they are named and checked, and runs that are sent to them, with stand-ins for Slurm and ssh."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from pathlib import Path

import pytest

from workbench.errors import RunError
from workbench.training import Recipe, Run, compare, launch
from workbench.training.launch import start_new
from workbench.training.places import SlurmPlace, SshPlace, find_place, place_of
from workbench.training.processes import detached, queue, remote, slurm
from workbench.training.processes.record import Record

STAND_IN = Path(__file__).parents[1] / "support" / "stand_in"
PLACES = """
slurm: {kind: slurm, partition: gpu, account: vision}
big: {kind: slurm, nodes: 2, gpus: 4, hours: 24, options: {qos: long}}
box: {kind: ssh, host: me@gpu-box, python: /opt/it/bin/python}
"""


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of settings, with named places."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    folder = tmp_path / "settings" / "occlusion-workbench"
    folder.mkdir(parents=True)
    (folder / "places.yaml").write_text(PLACES)
    return folder


def recipe_of(steps: int = 3, **values: object) -> Recipe:
    plain = {"name": "try", "data": {"name": "digit-scenes"}, "detector": {"kind": "faster-rcnn"}}
    return Recipe.from_dict({**plain, "stages": [{"steps": steps, "lr": 1e-3}], **values})


def test_places_are_named_and_changed_by_a_call(settings):
    assert find_place(None) is find_place("here") is None
    assert find_place("slurm") == SlurmPlace(partition="gpu", account="vision")
    assert find_place({"nodes": 3}) == SlurmPlace(partition="gpu", account="vision", nodes=3)
    assert find_place({"place": "big", "hours": 2}) == SlurmPlace(nodes=2, gpus=4, hours=2, options={"qos": "long"})
    assert find_place("box") == SshPlace(host="me@gpu-box", python="/opt/it/bin/python")
    assert find_place("ssh:gpu-box") == SshPlace(host="gpu-box")
    (settings / "places.yaml").unlink()
    assert find_place("slurm") == SlurmPlace()


@pytest.mark.parametrize(
    ("on", "said"),
    [
        (3, "on is 3; expected 'slurm', 'ssh:HOST', the name of a place, or a dict"),
        (["slurm"], r"on is \['slurm'\]; expected"),
        ("bigg", r"there is no place 'bigg'; did you mean 'big'\?.*places.yaml names places"),
        ({"place": "slurm", "node": 2}, r"the place slurm: unknown key 'node'; did you mean 'nodes'"),
        ({"place": "slurm", "nodes": 0}, r"nodes: .*greater than or equal to 1, got 0"),
        ({"place": "here", "nodes": 2}, "there is no place 'here'"),
        ({"place": "slurm", "account": "x\nrm -rf ~"}, "account: String should match"),
        ({"place": "slurm", "options": {"qos; rm": "x"}}, "options"),
        ({"place": "slurm", "environment": {"A=1; rm": "x"}}, "environment"),
        ("ssh:-oProxyCommand=rm", "host: String should match"),
        ("ssh:", "host: String should match"),
        ({"place": "ssh:box", "options": {"ProxyCommand=x y": "z"}}, "options"),
        ({"place": "ssh:box", "port": 0}, "port: .*greater than or equal to 1"),
    ],
)
def test_what_is_no_place_is_refused(on, said):
    with pytest.raises(RunError, match=said):
        find_place(on)


def test_a_file_of_places_that_says_too_little_is_named(settings):
    (settings / "places.yaml").write_text("big: 3\n")
    with pytest.raises(RunError, match=r"places.yaml: big: expected kind: slurm or ssh"):
        find_place("slurm")
    (settings / "places.yaml").write_text("big: {kind: pbs}\n")
    with pytest.raises(RunError, match="the place big: "):
        find_place("big")


def test_processes_must_fit_nodes_and_gpus():
    two = SlurmPlace(nodes=2, gpus=4)
    two.check(recipe_of(processes=8, batch_size=8))
    with pytest.raises(
        RunError, match="4 GPUs a node are for as many processes, and there would be 2; give processes=8"
    ):
        two.check(recipe_of(processes=4, batch_size=8))
    with pytest.raises(RunError, match="3 processes cannot be divided over 2 nodes"):
        SlurmPlace(nodes=2).check(recipe_of(processes=3, batch_size=3))
    with pytest.raises(RunError, match="1 processes cannot be divided over 2 nodes"):
        SlurmPlace(nodes=2).check(recipe_of())


def test_what_slurm_is_asked_for(tmp_path):
    recipe_of(workers=3).save(tmp_path / "recipe.yaml")
    job = slurm.Job(str(tmp_path), 2, 4, "/", {})
    place = SlurmPlace(partition="gpu", nodes=2, gpus=2, memory=1.5, hours=0.51, options={"qos": "long"})
    assert place._parameters(job) == {
        "partition": "gpu", "nodes": 2, "ntasks_per_node": 1, "gpus_per_node": 2,
        "cpus_per_task": 2 * (4 + 3), "mem_gb": 1.5, "time": 31, "signal_delay_s": 120,
        "additional_parameters": {"requeue": True, "qos": "long"},
    }  # fmt: skip


class AtOnce(queue.Queue):
    """Is asked each time."""

    def look_up(self, job: str, *, submitted: float, age: float = 0.0) -> queue.JobState | None:
        return super().look_up(job, submitted=submitted, age=0.0)


class Cluster:
    """Stands in for Slurm's programs: a queue whose jobs only wait, and what was asked of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.states: dict[str, str] = {}
        self.cancelled: list[tuple[str, ...]] = []
        self.jobs: list[slurm.Job] = []
        self.parameters: list[dict] = []
        monkeypatch.setattr(slurm, "submit", self.submit)
        monkeypatch.setattr(slurm, "cancel", self.cancel)
        monkeypatch.setattr("workbench.training.places.JOBS", AtOnce(self.squeue))

    def submit(self, jobs: list[slurm.Job], *, parameters: dict, **_: object) -> list[str]:
        first = str(101 + len(self.jobs))
        self.jobs += jobs
        self.parameters.append(parameters)
        numbers = [first] if len(jobs) == 1 else [f"{first}_{task}" for task in range(len(jobs))]
        self.states |= dict.fromkeys(numbers, "PENDING|Resources")
        return numbers

    def cancel(self, job: str, *options: str) -> None:
        self.cancelled.append((job, *options))
        if "--state=PENDING" in options and self.states[job].startswith("PENDING"):
            self.states[job] = "CANCELLED|None"

    def squeue(self) -> str:
        return "\n".join(f"{job}|{state}" for job, state in self.states.items())


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


def test_a_run_in_a_queue_is_followed_refused_twice_stopped_and_resumed(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_PLUGINS", "")
    run = launch(recipe_of(), tmp_path / "run", on={"place": "slurm", "environment": {"A": "b"}}, threads=3)
    time.sleep(0.01)
    assert run.status == "queued"
    assert str(run.job) == "PENDING (Resources)"
    assert "queued, PENDING (Resources)" in run._repr_html_()
    assert cluster.jobs[0].environment == {"A": "b", "WORKBENCH_PLUGINS": ""}
    assert cluster.jobs[0].threads == 3
    for again in (lambda: run.resume(), lambda: launch(recipe_of(), tmp_path / "run", threads=3, resume=True)):
        with pytest.raises(RunError, match="alive"):
            again()
    assert run.stop() == "stopped"
    assert run.job is None
    assert cluster.cancelled[0] == ("101", "--state=PENDING")
    assert run.resume().status == "queued"
    assert [job.threads for job in cluster.jobs] == [3, 3]
    assert place_of(Record.read(run.folder)).environment == {"A": "b"}

    cluster.states["102"] = "RUNNING|None"
    assert run.status == "starting"
    cluster.states["102"] = "NODE_FAIL|None"
    assert run.status == "failed"
    assert str(run.folder / "slurm") in run.error
    assert run.error.startswith("the process (job 102, NODE_FAIL) ended before it could say why. Its last lines")
    (run.folder / "done.json").write_text('{"seconds": 1.0}')
    cluster.states["102"] = "COMPLETING|None"
    assert run.status == "done"


def test_a_job_that_runs_is_asked_to_end_and_ended_if_it_does_not(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "PATIENCE", 0.0)
    run = launch(recipe_of(), tmp_path / "run", on="slurm")
    cluster.states["101"] = "RUNNING|None"
    with pytest.raises(RunError, match="cannot be ended from here"):
        run.stop(grace=0.1)
    assert cluster.cancelled == [("101", "--state=PENDING"), ("101", "--signal=USR2"), ("101",)]


def test_many_runs_go_into_the_queue_as_arrays_of_what_is_alike(cluster, tmp_path):
    place = find_place("slurm")
    recipes = [recipe_of(seed=seed, workers=seed // 3, threads=1) for seed in range(4)]
    with place.together(2) as start:
        runs = [start_new(tmp_path / f"run-{one.seed}", one, start=start) for one in recipes]
        assert cluster.jobs == [], "at the end of the block"
    assert [Record.read(run.folder).job for run in runs] == ["101_0", "101_1", "101_2", "104"]
    assert [Path(job.folder).name for job in cluster.jobs] == ["run-0", "run-1", "run-2", "run-3"]
    assert [asked["array_parallelism"] for asked in cluster.parameters] == [2, 2]
    assert [asked["cpus_per_task"] for asked in cluster.parameters] == [1, 2]
    assert str(runs[1].job) == "PENDING (Resources)"
    assert runs[1].stop() == "stopped"
    assert cluster.cancelled[0] == ("101_1", "--state=PENDING")
    assert runs[2].status == "queued"
    cluster.states["101_2"] = "NODE_FAIL|None"
    assert str(tmp_path / "slurm") in runs[2].error, "what Slurm prints of an array lies beside its runs"
    assert runs[2].resume().status == "queued"
    assert Record.read(runs[2].folder).job == "105"


def test_an_array_has_250_tasks_at_most(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.training.places.MOST_TASKS", 2)
    with find_place("slurm").together(7) as start:
        for seed in range(5):
            start_new(tmp_path / f"run-{seed}", recipe_of(seed=seed), start=start)
    assert list(cluster.states) == ["101_0", "101_1", "103_0", "103_1", "105"]


def test_an_array_that_cannot_be_recorded_as_a_whole_is_cancelled_from_there_on(cluster, tmp_path, monkeypatch):
    write = Record.write

    def fail(record: Record, folder: Path) -> None:
        if folder.name != "run-0":
            raise RunError("the disk is full")
        write(record, folder)

    monkeypatch.setattr(Record, "write", fail)
    together = find_place("slurm").together(None)
    start = together.__enter__()
    for seed in range(3):
        start_new(tmp_path / f"run-{seed}", recipe_of(seed=seed), start=start)
    with pytest.raises(RunError, match="disk is full"):
        together.__exit__(None, None, None)
    assert cluster.cancelled == [("101_1",), ("101_2",)]


def test_a_comparison_queues_all_its_runs_at_once_and_leaves_nothing_where_slurm_refuses(
    cluster, tmp_path, monkeypatch
):
    recipes = [recipe_of(name=name, test={"name": "digit-scenes"}) for name in ("a", "b")]

    def submit(jobs: list[slurm.Job], **how: object) -> list[str]:
        numbers = cluster.submit(jobs, **how)
        cluster.states |= dict.fromkeys(numbers, "FAILED|NonZeroExitCode")
        return numbers

    monkeypatch.setattr(slurm, "submit", submit)
    table = compare(recipes, seeds=2, folder=tmp_path / "runs", on="slurm", workers=3, progress=False).frame()
    assert list(cluster.states) == ["101_0", "101_1", "101_2", "101_3"]
    assert cluster.parameters[0]["array_parallelism"] == 3
    assert table["status"].tolist() == ["failed"] * 4

    def refuse(jobs: list[slurm.Job], **_: object) -> list[str]:
        raise RunError("Slurm does not take it: invalid account")

    monkeypatch.setattr(slurm, "submit", refuse)
    table = compare(recipes, seeds=[5, 6], folder=tmp_path / "new", on="slurm", progress=False).frame()
    assert table["error"].tolist() == ["Slurm does not take it: invalid account"] * 4
    assert list((tmp_path / "new").iterdir()) == []


def test_a_copy_of_the_folder_and_another_users_record_have_no_job(cluster, tmp_path, settings):
    run = launch(recipe_of(), tmp_path / "run", on="slurm")
    (tmp_path / "copy").mkdir()
    for name in ("recipe.yaml", "proc.json"):
        (tmp_path / "copy" / name).write_bytes((run.folder / name).read_bytes())
    assert Run.open(tmp_path / "copy").status == "failed"
    (settings / "key").unlink()  # now it is another user's
    assert run.job is None
    assert cluster.cancelled == []


def test_a_job_that_cannot_be_recorded_is_not_left_in_the_queue(cluster, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise RunError("the disk is full")

    monkeypatch.setattr("workbench.training.processes.record.write_record", fail)
    with pytest.raises(RunError, match="disk is full"):
        launch(recipe_of(), tmp_path / "run", on="slurm")
    assert cluster.cancelled == [("101",)]
    assert not (tmp_path / "run").exists()


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for ssh: like sshd it gives one text to a shell, at home; what it was called with is kept."""
    program, calls = tmp_path / "bin" / "ssh", tmp_path / "calls"
    program.parent.mkdir()
    (tmp_path / "home").mkdir()
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >> {calls}\necho Welcome\n'
        f'while [ "$1" != -- ]; do shift; done\nshift 2\ncd {tmp_path}/home && exec sh -c "$*"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return calls


def test_a_run_on_another_machine_is_started_followed_stopped_and_resumed(ssh, tmp_path, monkeypatch):
    code = "import sys; from workbench.training.processes import detached, remote; from pathlib import Path; "
    code += f"detached.SOURCES = Path({str(STAND_IN)!r}); remote.main()"
    python = tmp_path / "a python"  # a path that a shell would cut
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -c {json.dumps(code)}\n")
    python.chmod(0o755)
    there = {"place": "ssh:gpu-box", "python": str(python)}
    run = launch(recipe_of(400, notes={"step": 0.05}), tmp_path / "a run; touch oops", on=there, threads=2)
    deadline = time.monotonic() + 60
    while run.status != "running":
        assert time.monotonic() < deadline, run.log()
        time.sleep(0.05)
    assert "2 threads" in run.log()
    assert str(Path.cwd()) in run.log(), "relative paths start where it was launched"
    assert str(run.job) == "RUNNING"
    assert run.stop() == "stopped"
    assert "stopped in an orderly way" in run.log()
    (run.folder / "hurry").touch()
    assert run.resume().wait(60) == "done"
    assert place_of(Record.read(run.folder)).host == "gpu-box"
    assert not list(tmp_path.rglob("oops"))
    called = ssh.read_text().splitlines()
    assert all(line.startswith("-T -o BatchMode=yes -- gpu-box '") for line in called)
    assert len(called) < 12, "asked seldom"


def test_a_machine_that_does_not_answer_or_refuses_says_why(ssh, tmp_path, monkeypatch):
    with pytest.raises(RunError, match=r"gpu-box does not answer through ssh \(exit status 3\): no such key"):
        remote.ask("gpu-box", ["sh", "-c", "echo no such key >&2; exit 3", "x"], {})
    with pytest.raises(RunError, match=r"gpu-box: .*elsewhere holds no run here; the machines must share"):
        remote.ask(
            "gpu-box",
            ["env", f"PYTHONPATH={detached.SOURCES}", sys.executable],
            {"do": "look", "folder": str(tmp_path / "elsewhere")},
        )
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RunError, match="gpu-box cannot be asked through ssh: No such file"):
        remote.ask("gpu-box", ["python"], {})
