"""Loggers: what each is given, none stops a training or changes a bit, and no step is repeated after a kill."""

from __future__ import annotations

import csv
import json
import sys
import types
from pathlib import Path

import pytest
from tiny_detector import tiny_recipe

from workbench.errors import RecipeError
from workbench.registry import LOGGERS
from workbench.training.loggers import Logger
from workbench.training.recording.records import Journal
from workbench.training.trainer import train

BRIEF = {"stages.0.steps": 8, "log_every": 1, "checkpoint_every": 3}


@pytest.fixture
def own():
    """A logger of a plug-in, and what it was given; forgotten afterwards."""
    seen: list = []

    @LOGGERS.register("own-logger")
    class OwnLogger(Logger):
        def __init__(self, folder, recipe, after_step, logged_step, *, fails_at: int = 10**9, word: str = ""):
            super().__init__(folder, recipe, after_step, logged_step)
            self.fails_at = fails_at
            seen.append((word, after_step, logged_step))

        def write(self, row):
            if row["step"] >= self.fails_at:
                raise OSError("the line is dead")
            seen.append(row["step"])

        def close(self):
            seen.append("closed")

    yield seen
    LOGGERS._made.pop("own-logger")


def bits(folder: Path) -> bytes:
    return (folder / "detector.safetensors").read_bytes()


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def train_with_a_break(recipe, folder: Path) -> list[dict]:
    """Six steps are logged and three are in a checkpoint, as after a kill; then the rest. The rows at the end."""
    with pytest.raises(RuntimeError, match="killed"):
        train(recipe, folder, progress=lambda row: killed(row["step"]))
    (folder / "checkpoints" / "step-00000006.pt").unlink(missing_ok=True)
    assert train(recipe, folder)
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def killed(step: int) -> None:
    if step == 6:
        raise RuntimeError("killed")


def test_loggers_change_neither_the_weights_nor_what_the_recipe_is(own, tmp_path):
    plain = tiny_recipe(BRIEF)
    logged = plain.replace(loggers=["csv", {"kind": "own-logger", "word": "hello"}])
    assert logged.fingerprint() == plain.fingerprint()
    train(plain, tmp_path / "plain")
    train(logged, tmp_path / "logged")
    assert bits(tmp_path / "plain") == bits(tmp_path / "logged")
    assert own == [("hello", 0, 0), *range(1, 9), "closed"]


def test_a_logger_that_fails_is_heard_of_once_and_the_others_go_on(own, tmp_path):
    broken = {"kind": "own-logger", "fails_at": 3}
    recipe = tiny_recipe({**BRIEF, "loggers": [broken, "csv"]})
    assert train(recipe, tmp_path)
    assert (tmp_path / "log.txt").read_text().count(
        "the logger own-logger gets no further metrics: the line is dead"
    ) == 1
    assert own[1:] == [1, 2]
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 9


def test_a_resumed_logger_learns_where_it_goes_on(own, tmp_path):
    train_with_a_break(tiny_recipe({**BRIEF, "loggers": ["own-logger"]}), tmp_path)
    assert own == [("", 0, 0), *range(1, 7), "closed", ("", 3, 6), *range(4, 9), "closed"]


@pytest.mark.parametrize(
    ("loggers", "said"),
    [
        (["csvv"], r"loggers.0.kind 'csvv' does not exist \(did you mean 'csv'"),
        (["csv", {"kind": "wandb", "projekt": "x"}], r"loggers.1.projekt is not an option of wandb"),
        ([{"kind": "wandb", "project": 3}], r"loggers.0.project"),
    ],
)
def test_what_is_no_logger_is_refused(loggers, said):
    with pytest.raises(RecipeError, match=said):
        tiny_recipe({"loggers": loggers})


def test_csv_has_each_step_once_and_a_column_for_each_figure(tmp_path):
    rows = train_with_a_break(
        tiny_recipe({**BRIEF, "loggers": ["csv"], "validation": {"name": "tiny", "every": 4}}), tmp_path
    )
    with open(tmp_path / "metrics.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [(line["kind"], int(line["step"])) for line in table] == [(row["kind"], row["step"]) for row in rows]
    assert sum(line["kind"] == "val" for line in table) == 2
    for line, row in zip(table, rows, strict=True):
        assert {name: text for name, text in line.items() if text} == {
            name: str(value) for name, value in row.items() if value is not None
        }


def test_tensorboard_shows_each_step_once_as_it_was_made_last(tmp_path):
    pytest.importorskip("tensorboard")
    rows = train_with_a_break(tiny_recipe({**BRIEF, "loggers": ["tensorboard"]}), tmp_path)
    found = scalars(tmp_path)
    assert [step for step, _ in found["train/loss"]] == list(range(1, 9))
    assert [value for _, value in found["train/loss"]] == pytest.approx([row["loss"] for row in rows])
    assert "train/step" not in found


class Service(types.ModuleType):
    """Stands in for wandb and trackio: keeps what it is called with."""

    def __init__(self, name: str):
        super().__init__(name)
        self.calls: list = []

    def init(self, **how):
        self.calls.append(("init", how))

    def log(self, figures, *, step):
        self.calls.append((step, figures))

    def finish(self):
        self.calls.append("finish")


@pytest.mark.parametrize("kind", ["wandb", "trackio"])
def test_trackers_get_each_step_once(kind, tmp_path, monkeypatch):
    service = Service(kind)
    monkeypatch.setitem(sys.modules, kind, service)
    train_with_a_break(tiny_recipe({**BRIEF, "loggers": [{"kind": kind, "project": "mine"}]}), tmp_path / "run")
    first, second = (how for what, how in (call for call in service.calls if call != "finish") if what == "init")
    assert first == second, "it is the same run there"
    assert (first["project"], first["name"], first["resume"]) == ("mine", "run", "allow")
    assert first["config"]["batch_size"] == 4
    sent = [call for call in service.calls if call != "finish" and call[0] != "init"]
    assert [step for step, _ in sent] == list(range(1, 9))
    assert {"train/loss", "train/lr"} <= set(sent[0][1])
    assert service.calls.count("finish") == 2


@pytest.mark.parametrize(("kind", "package"), [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")])
def test_what_is_not_installed_is_named_in_the_log(kind, package, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, package, None)
    journal = Journal(tmp_path, after_step=0, recipe=tiny_recipe({"loggers": [kind]}))
    journal.write(1, "train", {"loss": 1.0})
    journal.close()
    assert f"the logger {kind} gets no further metrics: it needs {kind}: pip install" in caplog.text
