"""What the doctor found: problems, each with its place and its cure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from workbench.cards import notes_and_tables
from workbench.errors import DataError

MOST_OF_A_KIND = 20  #: how many problems of one kind a report lists before it only counts them

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Example:
        >>> print(Problem("warning", "b.jpg", "the image has no objects", "Fine if it is meant as background."))
        warning: b.jpg: the image has no objects. Fine if it is meant as background.
    """

    level: Level  #: an error spoils results or stops a run, a warning may be meant
    where: str  #: file and object, or key of the recipe
    what: str
    fix: str  #: what to do about it; the same text for all problems of a kind

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.what}. {self.fix}"


@dataclass
class Report:
    """All problems of a data set or a recipe, errors first.

    Example:
        >>> report = check_data(wb.load_data("digit-scenes", split="test", length=4))
        >>> report.ok, report.frame()["what"].tolist()
        (True, ['3 of 10 classes have no objects: 2, 5, 8'])
    """

    subject: str  #: what was examined
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.problems = _shorten(self.problems)

    @property
    def ok(self) -> bool:
        """True if there is no error; warnings are allowed."""
        return all(problem.level != "error" for problem in self.problems)

    def frame(self) -> pd.DataFrame:
        """One row per problem: level, where, what, fix."""
        rows = [(problem.level, problem.where, problem.what, problem.fix) for problem in self.problems]
        return pd.DataFrame(rows, columns=["level", "where", "what", "fix"])

    def __str__(self) -> str:
        if not self.problems:
            return f"{self.subject}: nothing wrong was found"
        count = Counter(problem.level for problem in self.problems)
        head = ", ".join(_counted(count[level], level) for level in ("error", "warning") if count[level])
        return "\n".join([f"{self.subject}: {head}", *(f"  {problem}" for problem in self.problems)])

    def _repr_html_(self) -> str:
        if not self.problems:
            return notes_and_tables([str(self)])
        with pd.option_context("display.max_colwidth", None):  # else the ends are cut off
            return notes_and_tables([str(self).splitlines()[0]], self.frame(), index=False)


def raise_first(problems: Iterable[Problem], *, hint: str) -> None:
    """Raise the first error as a DataError that also says how many more there are, and `hint`."""
    errors = [problem for problem in problems if problem.level == "error"]
    if errors:
        more = f" There are {len(errors) - 1} more errors; {hint}" if len(errors) > 1 else ""
        first = errors[0]
        raise DataError(f"{first.where}: {first.what}. {first.fix}{more}")


def _shorten(problems: list[Problem]) -> list[Problem]:
    seen: Counter[tuple[Level, str]] = Counter()
    kept = []
    for problem in sorted(problems, key=lambda problem: problem.level):
        kind = problem.level, problem.fix
        seen[kind] += 1
        if seen[kind] <= MOST_OF_A_KIND:
            kept.append(problem)
    for (level, fix), number in seen.items():
        if number > MOST_OF_A_KIND:
            kept.append(Problem(level, "elsewhere", f"{number - MOST_OF_A_KIND} more of this kind", fix))
    return sorted(kept, key=lambda problem: problem.level)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
