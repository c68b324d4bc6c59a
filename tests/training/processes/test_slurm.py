"""Jobs on a real Slurm: what they end with is what a run here ends with, to the bit, whatever befalls them."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slurm_cluster

from workbench.errors import RunError
from workbench.training import Recipe, Run, launch, sweep
from workbench.training.processes import queue
from workbench.training.processes.slurm import Turn

SUPPORT = Path(__file__).parents[2] / "support"
PATIENCE = 600.0  #: seconds; jobs start slowly on a machine that does other things as well
SLOW = {"place": "slurm", "environment": {"TINY_SECONDS": "0.1", "GLOO_SOCKET_IFNAME": "lo"}}
#: Jobs with a stand-in for the trainer, two of an array side by side.
PRETENDED = {"environment": {"PYTHONPATH": str(SUPPORT / "stand_in"), "WORKBENCH_PLUGINS": ""}, "at_once": 2}


class Impatient(queue.Queue):
    """Is asked each second."""

    def look_up(self, job: str, *, submitted: float, age: float = 1.0) -> queue.JobState | None:
        return super().look_up(job, submitted=submitted, age=min(age, 1.0))


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if not slurm_cluster.is_installed():
        pytest.skip("needs Slurm: apt-get install slurmctld slurmd slurm-client munge")
    pytest.importorskip("submitit")
    with slurm_cluster.cluster(tmp_path_factory.mktemp("slurm")) as conf:
        yield conf


@pytest.fixture
def on_slurm(configuration: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This process, and the jobs that it submits, know the cluster and the tiny detector."""
    monkeypatch.setenv("SLURM_CONF", str(configuration))
    monkeypatch.setenv("WORKBENCH_PLUGINS", str(SUPPORT / "tiny_detector.py"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setattr("workbench.training.places.JOBS", Impatient())


def until(condition: Callable[[], bool], run: Run | None = None) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, run and f"{run!r} {run.job}\n{run.log(50)}"
        time.sleep(0.05)


def asked(*command: str) -> list[str]:
    """What a program of Slurm prints, by lines."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def bits(folder: Path) -> dict[str, bytes]:
    from safetensors.torch import load_file

    return {name: value.numpy().tobytes() for name, value in load_file(folder / "detector.safetensors").items()}


def losses(folder: Path) -> list[tuple[int, float]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(row["step"], row["loss"]) for row in rows]


def job_of(run: Run) -> str:
    return json.loads((run.folder / "proc.json").read_text())["job"]


def turns(run: Run) -> int:
    """How often the stand-in for the trainer was started."""
    return run.log(100).count("rank 0")


def steps_of(run: Run) -> list[int]:
    return [json.loads(line)["step"] for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


def test_a_job_waits_is_requeued_stopped_and_resumed_without_a_step_lost_or_repeated(on_slurm, tmp_path):
    """With a stand-in for the trainer, so that a turn of the queue costs little."""
    parts = {"data": {"name": "digit-scenes"}, "detector": {"kind": "faster-rcnn"}, "notes": {"step": 0.25}}
    recipe = Recipe.from_dict({**parts, "stages": [{"steps": 4_000, "lr": 1e-3}]})
    [filler] = asked("sbatch", "--parsable", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap", "sleep 600")
    run = launch(recipe, tmp_path / "run", on=PRETENDED)
    until(lambda: "Resources" in str(run.job), run)
    assert run.status == "queued"
    with pytest.raises(RunError, match="alive"):
        run.resume(on="here")
    asked("scancel", filler)

    until(lambda: run.status == "running", run)
    number = job_of(run)
    asked("scontrol", "requeue", number)  # what preemption does
    until(lambda: turns(run) == 2, run)
    asked("scancel", "--signal=USR2", number)  # what Slurm does before the time limit
    until(lambda: turns(run) == 3, run)
    assert job_of(run) == number

    again = Run.open(run.folder)  # in another notebook
    assert again.stop(grace=PATIENCE) == "stopped"
    assert again.log(1) == "stopped in an orderly way\n"
    (run.folder / "hurry").touch()
    assert run.resume().wait(PATIENCE) == "done"
    assert job_of(run) != number
    assert steps_of(run) == list(range(1, 4_001))


def test_a_node_that_dies_changes_no_bit(on_slurm, configuration, tmp_path):
    from tiny_detector import tiny_recipe

    from workbench.training.trainer import train

    recipe = tiny_recipe(log_every=1, checkpoint_every=3)
    train(recipe, tmp_path / "whole")
    run = launch(recipe, tmp_path / "run", on=SLOW)
    until(lambda: run.progress().step >= 7, run)
    [node] = {line.split()[0] for line in asked("squeue", "--noheader", "--states=RUNNING", "--format=%N")}
    slurm_cluster.kill_node(configuration, node)
    killed = run.progress().step
    assert run.status == "running", "nobody has missed the node yet"
    slurm_cluster.miss_node(configuration, node)
    until(lambda: run.status == "queued", run)
    assert run.job.state == "PENDING"
    slurm_cluster.mend_node(configuration, node)
    assert run.wait(PATIENCE) == "done", run.error
    assert killed < 20
    assert "resumed at step 6" in run.log(200)
    assert run.log(200).count("steps 0 to 20 train") == 1, "it was begun once"
    assert bits(run.folder) == bits(tmp_path / "whole")
    assert losses(run.folder) == losses(tmp_path / "whole")


def test_a_sweep_is_an_array_whose_tasks_are_runs_of_their_own(on_slurm, tmp_path):
    """Six runs, two side by side; one is cancelled, one is requeued, and the same call takes up what is left."""
    from made_up_result import save_result

    result = save_result(tmp_path / "result.json")
    notes = {"step": 0.2, "result": str(result), "ap": 0.5}
    parts = {"name": "try", "data": {"name": "digit-scenes"}, "detector": {"kind": "faster-rcnn"}, "notes": notes}
    recipe = Recipe.from_dict({**parts, "stages": [{"steps": 4_000, "lr": 1}], "test": {"name": "digit-scenes"}})
    root, tried = tmp_path / "runs", []

    def work() -> None:
        found = sweep(recipe, {"stages.0.lr": [0.1, 0.2, 0.3]}, seeds=2, folder=root, on=PRETENDED, progress=False)
        tried.append(found)

    first = threading.Thread(target=work, daemon=True)
    first.start()
    until(lambda: len([*root.glob("*/proc.json")]) == 6)
    runs = sorted((Run.open(path.parent) for path in root.glob("*/proc.json")), key=job_of)
    array = job_of(runs[0]).partition("_")[0]
    assert [job_of(run) for run in runs] == [f"{array}_{task}" for task in range(6)]
    until(lambda: [run.status for run in runs] == ["running"] * 2 + ["queued"] * 4)
    assert str(runs[5].job) == "PENDING (JobArrayTaskLimit)"
    lines = asked("squeue", "--noheader", "--format=%i|%T|%r")  # as users see it
    assert f"{array}_[2-5%2]|PENDING|JobArrayTaskLimit" in lines
    assert {number for number in queue.parse("\n".join(lines)) if number.startswith(array)} == set(map(job_of, runs))

    asked("scancel", f"{array}_5")
    until(lambda: runs[5].status == "failed")
    assert f"job {array}_5, which Slurm knows no more" in runs[5].error
    asked("scontrol", "requeue", f"{array}_0")
    until(lambda: runs[0].status == "queued")  # the next task has its place
    for run in runs:
        (run.folder / "hurry").touch()
    first.join(PATIENCE)
    assert [run.status for run in runs] == ["done"] * 5 + ["failed"]
    assert (turns(runs[0]), job_of(runs[0])) == (2, f"{array}_0")
    work()
    assert runs[5].status == "done"
    assert "_" not in job_of(runs[5]), "what was left went into the queue by itself"
    for run in runs:
        assert steps_of(run) == list(range(1, 4_001))
    assert [len(found.comparison.failures) for found in tried] == [1, 0]
    assert len([*root.glob("*/proc.json")]) == 6


def test_two_nodes_end_with_the_bits_of_two_processes_here(on_slurm, tmp_path):
    from tiny_detector import tiny_recipe

    recipe = tiny_recipe(processes=2, log_every=1)
    here = launch(recipe, tmp_path / "here")
    there = launch(recipe, tmp_path / "there", on={**SLOW, "nodes": 2})
    assert [here.wait(PATIENCE), there.wait(PATIENCE)] == ["done", "done"], there.log(50)
    assert bits(here.folder) == bits(there.folder)
    assert losses(here.folder) == losses(there.folder)


def test_a_turn_is_known_by_slurms_variables(tmp_path):
    alone = Turn.here({"SLURM_JOB_ID": "17"})
    assert (alone.job, alone.node, alone.nodes) == ("17", 0, 1)
    assert alone.command(tmp_path, 1)[-2:] == ["workbench.training.trainer", str(tmp_path)]
    of_array = {"SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "3", "SLURM_JOB_ID": "20"}
    nodes = {"SLURM_JOB_NUM_NODES": "2", "SLURM_NODEID": "1", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7"}
    second = Turn.here({**of_array, **nodes})
    assert second.job == "17_3"
    text = " ".join(second.command(tmp_path, 4))
    assert "--nnodes 2 --node-rank 1 --nproc-per-node 4 --master-addr 10.0.0.7 --master-port 20173" in text
