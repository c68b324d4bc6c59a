"""Where a run trains that does not train here: a cluster with Slurm, or another machine by ssh.

A place is plain data. Named ones stand in `~/.config/occlusion-workbench/places.yaml`; each has a `kind`, and what a
call says beside the name changes it for that run:

    slurm: {kind: slurm, partition: gpu, account: vision}        # what on="slurm" means
    big: {kind: slurm, partition: gpu, nodes: 2, gpus: 8, cpus: 64, memory: 400, hours: 24}
    box: {kind: ssh, host: me@gpu-box, python: /opt/workbench/bin/python}

The run folder must be one that the place sees under the same path.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, TypeAdapter, ValidationError

from workbench.errors import RunError, did_you_mean
from workbench.files import settings_folder
from workbench.options import Count, Number, Size
from workbench.plugins import VARIABLE
from workbench.training.processes import detached, remote, slurm
from workbench.training.processes.lock import hold
from workbench.training.processes.queue import INTERVAL, JOBS, UNKNOWN, JobState
from workbench.training.processes.record import Record
from workbench.training.processes.starting import Start
from workbench.training.recipe import Recipe
from workbench.training.recipe_files import read_recipe
from workbench.training.recipe_sections import Section

FILE = "places.yaml"  #: in the user's folder of settings
MOST_TASKS = 250  #: of an array; clusters take up to 1,000 by default, and the folder of each is held meanwhile
HERE = "here"  #: the place that is none: this machine
Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$")]  #: one line: what ends a line ends a comment of sbatch
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]  #: of a variable
Option = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]  #: of sbatch, without its dashes
Keyword = Annotated[str, Field(pattern=r"^[A-Za-z]+$")]  #: of ssh's configuration
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@:%-]*$")]  #: never an option of ssh


class Place(Section):
    """What all places can do. `start` has the arguments of `detached.start`."""

    at_once: Count | None = Field(default=None, description="most runs of a sweep that train side by side")

    def check(self, recipe: Recipe) -> None:
        """Raise RunError where a recipe cannot be trained there."""

    def threads(self, processes: int) -> int | None:
        """Of each process, where the recipe says nothing; None: as many as this machine has cores for."""
        return None

    def start(self, folder: Path, processes: int, **how: Any) -> None:
        """Train the run in `folder` there, and record it."""
        raise NotImplementedError

    def together(self, at_once: int | None) -> AbstractContextManager[Start] | None:
        """What starts many runs when its block ends, so many of them `at_once`; None: each is to start by itself."""
        return None

    def state(self, record: Record, *, age: float = INTERVAL) -> JobState | None:
        """How a run that was sent there stands; None when it has ended. The answer may be `age` seconds old."""
        raise NotImplementedError

    def ending(self, record: Record) -> str:
        """What is said there of how a run ended, such as NODE_FAIL; empty where that is not known."""
        return ""

    def stop(self, record: Record, *, grace: float) -> None:
        """Let it write a checkpoint and end; end it after `grace` seconds."""
        raise NotImplementedError


class SlurmPlace(Place):
    """A cluster's queue. Runs longer than `hours` go on in another turn, and so do those that are preempted."""

    kind: Literal["slurm"] = "slurm"
    partition: Text | None = None
    account: Text | None = None
    nodes: Count = 1
    gpus: Number = Field(default=0, description="of each node")
    cpus: Count | None = Field(default=None, description="cores of each node; None: one for each thread and loader")
    memory: Size | None = Field(default=None, description="GB of each node")
    hours: Size = Field(default=1.0, description="time limit of a turn")
    notice: Count = Field(default=120, description="seconds before the limit in which a checkpoint is written")
    environment: dict[Name, str] = Field(default_factory=dict, description="variables to set")
    options: dict[Option, Text] = Field(
        default_factory=dict, description="further ones of sbatch: qos, constraint ..."
    )
    python: Text | None = Field(default=None, description="that runs on the nodes; None: the one that runs here")

    def check(self, recipe: Recipe) -> None:
        each, rest = divmod(recipe.processes, self.nodes)
        if rest or not each:
            raise RunError(f"{recipe.processes} processes cannot be divided over {self.nodes} nodes")
        if self.gpus and each != self.gpus:
            raise RunError(
                f"{self.gpus} GPUs a node are for as many processes, and there would be {each}; "
                f"give processes={self.nodes * self.gpus}, or gpus: {each}"
            )

    def threads(self, processes: int) -> int:
        return max(1, (self.cpus or 1) * self.nodes // processes)

    def start(self, folder: Path, processes: int, **how: Any) -> None:
        self._submit([(self._job(folder, processes, how), how)], at_once=None)

    @contextmanager
    def together(self, at_once: int | None) -> Iterator[Start]:
        """Runs that ask for the same go into the queue as an array."""
        asked: dict[str, list[tuple[slurm.Job, dict[str, Any]]]] = {}

        def start(folder: Path, processes: int, **how: Any) -> None:
            job = self._job(folder, processes, how)
            asked.setdefault(json.dumps(self._parameters(job)), []).append((job, how))

        yield start
        for alike in asked.values():
            for first in range(0, len(alike), MOST_TASKS):
                self._submit(alike[first : first + MOST_TASKS], at_once=at_once)

    def _job(self, folder: Path, processes: int, how: Mapping[str, Any]) -> slurm.Job:
        variables = {**self.environment, **_with_plug_ins(how["environment"])}
        return slurm.Job(str(folder), processes // self.nodes, how["threads"], str(how["cwd"]), variables)

    def _submit(self, asked: Sequence[tuple[slurm.Job, dict[str, Any]]], *, at_once: int | None) -> None:
        """Put jobs into the queue, several as an array, and record them."""
        jobs = [job for job, _ in asked]
        with ExitStack() as held:
            for job in jobs:
                held.enter_context(hold(Path(job.folder), make=False))
                last = Record.read(Path(job.folder))
                if last is not None and last.job and self.state(last) is not None:  # another notebook was quicker
                    raise RunError(f"{job.folder} is in the queue as job {last.job}; stop it first")
            parameters = {**self._parameters(jobs[0]), **({} if at_once is None else {"array_parallelism": at_once})}
            numbers = slurm.submit(jobs, python=self.python or sys.executable, parameters=parameters)
            for place, ((job, how), number) in enumerate(zip(asked, numbers, strict=True)):
                try:
                    self._record(Path(job.folder), number, how)
                except RunError:
                    for unrecorded in numbers[place:]:  # nobody could ever find or stop them
                        slurm.cancel(unrecorded)
                    raise

    def _record(self, folder: Path, number: str, how: Mapping[str, Any]) -> None:
        Record(
            folder=os.path.realpath(folder),
            pid=0,
            create_time=0.0,
            cmd=[],
            started=time.time(),
            token="",
            place=self.model_dump(mode="json"),
            job=number,
            **{**how, "cwd": str(how["cwd"])},
        ).write(folder)

    def _parameters(self, job: slurm.Job) -> dict[str, Any]:
        """Of submitit's executor."""
        loaders = Recipe.load(Path(job.folder, "recipe.yaml"), trial=False).workers
        asked = {
            "nodes": self.nodes,
            "ntasks_per_node": 1,
            "cpus_per_task": self.cpus or job.processes * (job.threads + loaders),
            "gpus_per_node": self.gpus or None,
            "mem_gb": self.memory,
            "time": math.ceil(60 * self.hours),
            "signal_delay_s": self.notice,
            "partition": self.partition,
            "account": self.account,
            "additional_parameters": {"requeue": True, **self.options},
        }
        return {name: value for name, value in asked.items() if value is not None}

    def state(self, record: Record, *, age: float = INTERVAL) -> JobState | None:
        found = JOBS.look_up(record.job, submitted=record.started, age=age)
        return found if found is not None and found.alive else None

    def ending(self, record: Record) -> str:
        found = JOBS.look_up(record.job, submitted=record.started)
        return f"job {record.job}, {'which Slurm knows no more' if found is None else found}"

    def stop(self, record: Record, *, grace: float) -> None:
        slurm.stop(record.job, grace=grace, ended=lambda: self.state(record, age=1.0) is None)


class SshPlace(Place):
    """Another machine, which shares the run folders and what `python` is, and lets the user in without a password."""

    kind: Literal["ssh"] = "ssh"
    host: Host
    port: Annotated[int, Field(ge=1, lt=2**16)] | None = None
    config: Text | None = Field(default=None, description="file of ssh's configuration; None: the user's own")
    options: dict[Keyword, Text] = Field(default_factory=dict, description="of ssh's configuration: {User: me}")
    python: Text | None = Field(default=None, description="that has the workbench; None: this one, in the same place")

    _seen: ClassVar[dict[tuple[str, float], tuple[float, bool]]] = {}  #: run → when asked, and whether it was alive

    def start(self, folder: Path, processes: int, **how: Any) -> None:
        own = {"cwd": str(how["cwd"]), "environment": _with_plug_ins(how["environment"])}
        given = {**how, **own, "processes": processes, "place": self.model_dump(mode="json")}
        self._ask({"do": "start", "folder": str(folder), "with": given})

    def state(self, record: Record, *, age: float = INTERVAL) -> JobState | None:
        run, now = (record.folder, record.started), time.monotonic()
        asked, alive = self._seen.get(run, (-math.inf, True))
        if alive and now - asked >= age:
            self._seen[run] = (now, alive)  # so that other threads do not ask meanwhile
            try:
                alive = self._ask({"do": "look", "folder": record.folder})
            except RunError as error:
                return JobState(UNKNOWN, str(error))
            self._seen[run] = (now, alive)
        return JobState("RUNNING") if alive else None

    def stop(self, record: Record, *, grace: float) -> None:
        most = min(grace, 86_400.0)  # JSON knows no infinity
        self._ask({"do": "stop", "folder": record.folder, "grace": most}, patience=most + remote.PATIENCE)
        self.state(record, age=0.0)

    def _ask(self, request: dict[str, Any], *, patience: float = remote.PATIENCE) -> Any:
        here = ["env", f"PYTHONPATH={detached.SOURCES}", sys.executable]
        options = [f"-o{name}={value}" for name, value in self.options.items()]
        options += [f"-p{self.port}"] if self.port else []
        options += [f"-F{Path(self.config).expanduser()}"] if self.config else []
        python = [self.python] if self.python else here
        return remote.ask(self.host, python, request, options=options, patience=patience)


_KINDS: TypeAdapter[SlurmPlace | SshPlace] = TypeAdapter(
    Annotated[SlurmPlace | SshPlace, Field(discriminator="kind")]
)


def find_place(on: str | Mapping[str, Any] | None) -> Place | None:
    """The place that a call names; None for this machine.

    Args:
        on: "slurm", "ssh:HOST", a name in the file of places, or "here". As a mapping: `place` is one of these
            (default: "slurm"), everything else changes it.

    Raises:
        RunError: there is no such place, or it is described wrongly.
    """
    if not isinstance(on, str | Mapping | None):
        raise RunError(f"on is {on!r:.60}; expected 'slurm', 'ssh:HOST', the name of a place, or a dict with it")
    given = {"place": on} if isinstance(on, str) else dict(on or {"place": HERE})
    name, changes = given.pop("place", "slurm"), {key: value for key, value in given.items() if key != "place"}
    named = _named()
    if name == HERE and not changes:
        return None
    kind, colon, host = str(name).partition(":")
    if name in named:
        values = named[name]
    elif name == "slurm":
        values = {"kind": "slurm"}
    elif kind == "ssh" and colon:
        values = {"kind": "ssh", "host": host}
    else:
        known = [*dict.fromkeys([*named, "slurm", "ssh:HOST", HERE])]
        raise RunError(
            f"there is no place {name!r}{did_you_mean(name, known)}; {settings_folder() / FILE} names places"
        )
    return _place({**values, **changes}, str(name))


def place_of(record: Record | None) -> Place | None:
    """Where a run was sent to by the user; None for this machine, and for what another user or version wrote."""
    if record is not None and record.place and record.own:
        with suppress(RunError):
            return _place(record.place, record.folder)
    return None


def starter(place: Place | None, recipe: Recipe) -> Start:
    """What starts a run of a recipe at a place, or here.

    Raises:
        RunError: it cannot be trained there.
    """
    if place is None:
        return detached.start
    place.check(recipe)
    return place.start


def _with_plug_ins(environment: Mapping[str, str]) -> dict[str, str]:
    """What to set so that the process there plugs in what is plugged in here."""
    return {**environment, VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else dict(environment)


def _named() -> dict[str, dict[str, Any]]:
    path = settings_folder() / FILE
    named = read_recipe(path) if path.is_file() else {}
    for name, values in named.items():
        if not isinstance(values, dict) or "kind" not in values:
            raise RunError(f"{path}: {name}: expected kind: slurm or ssh and what else it needs, got {values!r}")
    return named


def _place(values: Mapping[str, Any], source: str) -> Place:
    try:
        return _KINDS.validate_python(values)
    except ValidationError as error:
        raise RunError(f"the place {source}: {_why(error)}") from None


def _why(error: ValidationError) -> str:
    first: dict[str, Any] = dict(error.errors(include_url=False)[0])
    if first["type"] == "unknown_key":
        key, known = first["ctx"]["key"], first["ctx"]["known"]
        return f"unknown key {key!r}{did_you_mean(key, known)}"
    key = ".".join(str(part) for part in first["loc"][1:]) or "kind"
    return f"{key}: {first['msg']}, got {first['input']!r}"
