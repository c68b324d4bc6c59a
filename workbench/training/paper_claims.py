"""What papers say of their methods, held against trainings: it holds, it does not, or these runs cannot decide.

A claim is one or more steps, each of which says that one recipe is better than another in a metric. A step's interval
is that of the differences paired by seed (see `comparison`). The claim holds if the intervals of all steps lie above
zero; it does not hold if one lies below; else these runs leave it open, whatever the sign of the mean.

Claims come from a YAML file, which also says why: so the judgement is this module's, and the text is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from workbench.errors import RunError
from workbench.training.comparison import Comparison, Interval

Verdict = Literal["holds", "does not hold", "cannot be told"]


class Step(NamedTuple):
    """One recipe is better than another."""

    better: str
    worse: str


class Claim(BaseModel):
    """What a paper says, and by which runs it is judged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str = Field(min_length=1)
    paper: str
    published: str  #: the paper's own figures
    runs: str  #: name of a saved comparison
    decides: str  #: the metric that decides
    beside: str | None = None  #: a metric that is shown beside it
    steps: tuple[Step, ...] = Field(min_length=1)
    why: str = ""  #: where it does not hold, or its setting matters


def load_claims(path: str | Path) -> list[Claim]:
    """Claims of a YAML file: a list, each with the fields of `Claim`.

    Raises:
        RunError: the file cannot be read, or is no list of claims; it says which field of which claim.

    Example:
        >>> from pathlib import Path
        >>> text = "[{claim: new helps, paper: ours, published: 1 → 2, runs: few, decides: AP, steps: [[new, old]]}]"
        >>> _ = Path("claims.yaml").write_text(text)
        >>> load_claims("claims.yaml")[0].steps
        (Step(better='new', worse='old'),)
    """
    try:
        return TypeAdapter(list[Claim]).validate_python(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise RunError(f"{path}: {place}: {first['msg']}") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def verdict(steps: Sequence[Interval]) -> Verdict:
    """Whether a claim holds, by the intervals of its steps.

    Example:
        >>> verdict([Interval(5, 0.02, 0.01, 0.03), Interval(5, 0.01, -0.01, 0.03)])
        'cannot be told'
    """
    if all(step.low > 0 for step in steps):
        return "holds"
    return "does not hold" if any(step.high < 0 for step in steps) else "cannot be told"


def judge(claims: Sequence[Claim], folder: str | Path) -> pd.DataFrame:
    """Hold claims against the saved comparisons in a folder.

    Returns:
        One row a step: number (of the claim, from 1), claim, paper, published, better, worse, metric, n (seeds that
        both have), difference, low, high; beside, beside_difference, beside_low, beside_high; sign (whether all
        means of the claim are above zero) and verdict (the claim's).

    Raises:
        RunError: a comparison is not there, or lacks a recipe or a metric.

    Example:
        >>> import pandas as pd
        >>> runs = {"recipe": ["old", "old", "new", "new"], "seed": [0, 1, 0, 1], "AP": [0.40, 0.42, 0.43, 0.45]}
        >>> _ = Comparison(pd.DataFrame(runs).assign(folder="")).save("few.json")
        >>> said = {"claim": "new helps", "paper": "ours", "published": "", "runs": "few", "decides": "AP"}
        >>> table = judge([Claim(**said, steps=[("new", "old")])], ".")
        >>> int(table.loc[0, "n"]), float(table.loc[0, "difference"].round(3)), table.loc[0, "verdict"]
        (2, 0.03, 'holds')
    """
    rows = []
    for number, claim in enumerate(claims, start=1):
        runs = Comparison.load(Path(folder) / f"{claim.runs}.json")
        found = [runs.difference(claim.decides, *step) for step in claim.steps]
        about = {"number": number, "claim": claim.claim, "paper": claim.paper, "published": claim.published}
        judged = {"sign": all(step.mean > 0 for step in found), "verdict": verdict(found)}
        for step, interval in zip(claim.steps, found, strict=True):
            rows.append(about | step._asdict() | _row(runs, claim, step, interval) | judged)
    return pd.DataFrame(rows)


def _row(runs: Comparison, claim: Claim, step: Step, interval: Interval) -> dict[str, object]:
    nothing = Interval(0, float("nan"), float("nan"), float("nan"))
    beside = runs.difference(claim.beside, *step) if claim.beside else nothing
    row = {"metric": claim.decides, "n": interval.n, "difference": interval.mean}
    row |= {"low": interval.low, "high": interval.high, "beside": claim.beside or ""}
    return row | {"beside_difference": beside.mean, "beside_low": beside.low, "beside_high": beside.high}
