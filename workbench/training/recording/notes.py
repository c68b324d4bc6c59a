"""What the small files of a run folder may say; what says something else is damaged, and passed over."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workbench.training.recording.disk import read_bytes

DONE, ERROR, STOP, EXIT = "done.json", "error.json", "stop.json", "exit.json"
Finite = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Done(BaseModel):
    """`done.json`: the run has come to its end."""

    seconds: Finite = 0.0  #: of training, in all


class Failure(BaseModel):
    """`error.json`: why it failed, as the trainer wrote it down; more than this may stand there."""

    model_config = ConfigDict(extra="allow")

    message: str
    kind: str = ""


class Stop(BaseModel):
    """`stop.json`: the user asked it to stop, or the trainer got a signal to."""

    signal: str = ""  #: its name, from the trainer


class Exit(BaseModel):
    """`exit.json`: how the process ended, if who started it was there to see it."""

    pid: int
    status: Annotated[int, Field(ge=-255, le=255)]


Note = TypeVar("Note", bound=BaseModel)


def read_note(path: Path, kind: type[Note]) -> Note | None:
    """What a file says; None if it is not there or damaged."""
    try:
        return kind.model_validate_json(read_bytes(path), strict=True)
    except (OSError, ValidationError):
        return None


def read_row(line: str | bytes) -> dict[str, Any] | None:
    """A line of `metrics.jsonl`: step, time, kind, and figures or None by name; None for a line that is damaged."""
    try:
        row = json.loads(line)
        good = isinstance(row, dict) and type(row["step"]) is int and 0 <= row["step"] < 2**53
        good = good and _is_figure(row["time"]) and math.isfinite(row["time"]) and isinstance(row["kind"], str)
    except (ValueError, KeyError, RecursionError):
        return None
    if not good:
        return None
    return {name: value for name, value in row.items() if name == "kind" or value is None or _is_figure(value)}


def _is_figure(value: Any) -> bool:
    return isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63)
