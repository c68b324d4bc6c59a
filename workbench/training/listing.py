"""All runs in a folder at a glance: how they stand, what they reached, and what sets their recipes apart.

Of each run only the recipe and small files are read, and what many recipes say alike is parsed once, so that a
thousand of them take half a second.
"""

from __future__ import annotations

import operator
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from workbench.errors import RecipeError, RunError, did_you_mean
from workbench.training.launch import runs_folder
from workbench.training.recipe import Recipe
from workbench.training.recipe_files import read_recipe, read_value
from workbench.training.recording.disk import read_bytes
from workbench.training.recording.notes import DONE, read_note
from workbench.training.recording.rows import last_rows
from workbench.training.run import Run
from workbench.training.space import AT

if TYPE_CHECKING:
    import pandas as pd

OWN = ("name", "seed", "notes", "published")  #: keys of a recipe that set it apart from no other
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "!=": operator.ne, "=": operator.eq, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_CONDITION = re.compile(r"([^<>=!]+)(<=|>=|!=|=|<|>)(.*)")
_SECTION = re.compile(r"^(?=\w+:\s)", re.MULTILINE)  #: where a key of the recipe begins
Values = Sequence[tuple[str, Any]]  #: dotted key of a recipe, value


class Reached(BaseModel):
    """Of `done.json`: what the final detector was worth on the recipe's test data."""

    result: dict[str, float | None] | None = None


@dataclass(frozen=True)
class Listed:
    """One run of a list."""

    run: Run
    status: str
    recipe: str
    seed: int | None
    step: int
    steps: int
    metrics: dict[str, float]  #: of the test where it is done, else of the last validation
    values: dict[str, Any]  #: dotted key of its recipe → value
    overrides: dict[str, Any] = field(default_factory=dict)  #: those that differ, see `read_runs`

    def value(self, key: str) -> Any:
        """What the list can be sorted and filtered by; None where this run has no such thing."""
        about = {"name": self.run.name, "status": self.status, "recipe": self.recipe, "step": self.step}
        for part in ({**about, "seed": self.seed}, self.metrics, self.values):
            if key in part:
                return part[key]
        return None


def list_runs(
    folder: str | Path | None = None,
    *,
    where: str | Iterable[str] = (),
    sort: str | None = None,
    reverse: bool = False,
) -> pd.DataFrame:
    """All runs in a folder, one a row, with what they reached and how their recipes differ from the shipped ones.

    Args:
        folder: by default the one that `launch` uses.
        where: conditions such as "status=done", "stages.0.lr<=0.01" or "AP>0.3", on name, status, recipe, seed, step,
            a metric or a key of the recipe. Runs without such a figure are left out.
        sort: by one of these; those without it come last. By default the newest first.
        reverse: the largest first.

    Returns:
        Columns name, status, recipe, seed, step, steps, overrides, then the metrics; NaN where a run has none.

    Raises:
        RunError: a condition is none, or no run has what it or `sort` asks for.

    Example:
        >>> from pathlib import Path
        >>> brief = wb.Recipe.load("digit-scenes/faster-rcnn").replace({"stages.0.steps": 2})
        >>> Path("runs/brief").mkdir(parents=True)
        >>> brief.save("runs/brief/recipe.yaml").name  # as `wb.launch(brief, "runs/brief")` begins
        'recipe.yaml'
        >>> runs = wb.list_runs("runs", where="stages.0.steps<=10", sort="step", reverse=True)
        >>> runs["name"][0], runs["status"][0], runs["overrides"][0]
        ('brief', 'failed', {'stages.0.steps': 2})
    """
    import pandas as pd

    found = select(read_runs(folder), where=[where] if isinstance(where, str) else where, sort=sort, reverse=reverse)
    about = ("status", "recipe", "seed", "step", "steps", "overrides")
    rows = [{"name": one.run.name, **{key: getattr(one, key) for key in about}, **one.metrics} for one in found]
    return pd.DataFrame(rows, columns=None if rows else ["name", *about])


def read_runs(folder: str | Path | None = None) -> list[Listed]:
    """All runs in a folder, the newest first.

    What a run overrides is held against the shipped recipe of its name, else against the oldest run of that name;
    the name of a sweep's setting is that of its recipe.
    """
    root = runs_folder() if folder is None else Path(folder)
    parsed: dict[str, Values | None] = {}
    folders = sorted(_run_folders(root)) if root.is_dir() else []
    listed = [_read(folder, parsed) for _, folder in folders]
    references: dict[str, Mapping[str, Any]] = {}
    complete = []
    for one in listed:
        name = one.recipe.partition(AT)[0]
        if name not in references:
            references[name] = _shipped(name) or one.values
        complete.append(Listed(**{**vars(one), "overrides": _differing(one.values, references[name])}))
    return complete[::-1]


def select(
    runs: list[Listed], *, where: Iterable[str] = (), sort: str | None = None, reverse: bool = False
) -> list[Listed]:
    """Some of the runs, in an order, as `list_runs` says.

    Raises:
        RunError: a condition is none, or no run has what it or `sort` asks for.
    """
    everything = runs
    for condition in where:
        parts = _CONDITION.fullmatch(condition)
        if parts is None:
            raise RunError(f"expected a condition such as status=done or AP>0.3, got {condition!r}")
        key, compare, wanted = parts[1].strip(), COMPARE[parts[2]], read_value(parts[3].strip())
        _check_key(key, everything)
        runs = [one for one in runs if _holds(compare, one.value(key), wanted)]
    if sort is None:
        return runs[::-1] if reverse else runs
    _check_key(sort, everything)
    having = [one for one in runs if one.value(sort) is not None]
    numbers = all(isinstance(one.value(sort), int | float) for one in having)
    having.sort(key=lambda one: one.value(sort) if numbers else str(one.value(sort)), reverse=reverse)
    return having + [one for one in runs if one.value(sort) is None]


def _check_key(key: str, runs: list[Listed]) -> None:
    if runs and all(one.value(key) is None for one in runs):
        known = ["name", "status", "recipe", "seed", "step", *dict.fromkeys(m for one in runs for m in one.metrics)]
        raise RunError(f"no run has {key!r}{did_you_mean(key, known)}, or a key of the recipe")


def _holds(compare: Callable[[Any, Any], bool], value: Any, wanted: Any) -> bool:
    if value is None and wanted is not None:
        return False
    try:
        return compare(value, wanted)
    except TypeError:  # a word against a number
        return False


def _run_folders(root: Path) -> Iterator[tuple[int, Path]]:
    """When the recipe of each run was written, in nanoseconds, and its folder."""
    for entry in os.scandir(root):
        with suppress(OSError):
            state = os.stat(os.path.join(entry.path, "recipe.yaml"))
            if stat.S_ISREG(state.st_mode):
                yield state.st_mtime_ns, Path(entry.path)


def _read(folder: Path, parsed: dict[str, Values | None]) -> Listed:
    run, values = Run(folder.absolute()), dict(_recipe_values(folder / "recipe.yaml", parsed))
    status, steps, number = run.status, 0, 0
    while isinstance(size := values.get(f"stages.{number}.steps"), int):
        steps, number = steps + size, number + 1
    reached = read_note(folder / DONE, Reached) if status == "done" else None
    metrics = reached.result if reached else None
    last = {} if metrics else last_rows(folder / "metrics.jsonl")
    return Listed(
        run=run,
        status=status,
        recipe=str(values.get("name", folder.name)),
        seed=values.get("seed"),
        step=steps if status == "done" else last.get("train", {}).get("step", 0),
        steps=steps,
        metrics=_numbers(metrics or last.get("val", {})),
        values=values,
    )


def _recipe_values(path: Path, parsed: dict[str, Values | None]) -> Values:
    """What a recipe says, by dotted keys; nothing where it cannot be read.

    Recipes of one folder are much alike, so that their keys are parsed one by one, each text once.

    Args:
        path: of the recipe.
        parsed: text → what it says; grows.
    """
    try:
        before, *sections = _SECTION.split(read_bytes(path).decode())
        for text in sections:
            if text not in parsed:
                parsed[text] = _section_values(text)
        known = [values for text in sections if (values := parsed[text])]
        if len({values[0][0].partition(".")[0] for values in known}) == len(sections) and not before:
            return [pair for values in known for pair in values]
        return list(_flat(read_recipe(path)))
    except (OSError, UnicodeDecodeError, RecipeError):
        return []


def _section_values(text: str) -> Values | None:
    """What one key of a recipe says; None where that needs the rest of the file."""
    try:
        value = None if "&" in text else read_value(text)
    except ValueError:
        return None
    return list(_flat(value)) if isinstance(value, dict) and len(value) == 1 else None


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    about = ("step", "time", "kind")
    return {name: value for name, value in row.items() if isinstance(value, int | float) and name not in about}


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key → value of what has no parts; lists of plain values are kept whole."""
    parts = value if isinstance(value, dict) else None
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        parts = dict(enumerate(value))
    if parts:
        for name, part in parts.items():
            yield from _flat(part, f"{key}.{name}" if key else str(name))
    elif key:
        yield key, value


def _shipped(name: str) -> dict[str, Any]:
    if name not in Recipe.shipped():
        return {}
    return dict(_flat(Recipe.load(name, trial=False).to_dict()))


def _differing(values: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    keys = [key for key in {**values, **reference} if key.partition(".")[0] not in OWN]
    return {key: values.get(key) for key in keys if (values.get(key) or None) != (reference.get(key) or None)}
