"""How good workers are: precision, recall and agreement, and what several together find.

T.-Y. Lin's thesis, sec. 2.4.4 and Fig. 2.4. Three truths can be held against a worker's answers: data in which all
objects are known ("gold"); the majority of some experts (Fig. 2.4 a); and, where neither is there, the union of all
other workers (Fig. 2.4 b), by which precision comes out higher, as anybody's word counts, and recall lower, as
anybody's error does.

The union of n workers is the mean over all choices of n of those who looked at an image, exactly: an item that k of m
workers claim is missed by a choice with the chance C(m − k, n) / C(m, n). Precision and recall are ratios of such
means. Beside them stands the recall that there would be if workers missed items independently of each other,
1 − (1 − r)^n; where the real one is lower, some items are hard for everybody.

Intervals of single workers are Wilson's, which take answers as independent; those of unions are from a bootstrap over
units (images, or an image and a category).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import gammaln

from workbench.annotation.actions import Action, Stage, jobs
from workbench.annotation.counting.claims import Claims, gather_claims
from workbench.cards import notes_and_tables
from workbench.data import Dataset
from workbench.errors import DataError, did_you_mean
from workbench.evaluation.counting import bootstrap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 10  #: workers of a union, as in Fig. 2.4 a
ENOUGH = 0.5  #: of the units must have been looked at by so many, for their union to be shown
RESAMPLES, _AT_ONCE = 1000, 100  # of the bootstrap; whose weights are in memory
_Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True, eq=False, repr=False)
class WorkerQuality:
    """How good the workers of a stage are, see the module; made by `worker_quality`.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=20)
        >>> crowd = [SimulatedWorker(f"w{i}", recall=0.6) for i in range(8)]
        >>> quality = worker_quality(simulate(crowd, data, "label"), data, stage="label")
        >>> one, eight = quality.union["recall"][1], quality.union["recall"][8]
        >>> bool(one < 0.7 < 0.98 < eight)
        True
        >>> quality.figure("workers").axes[0].get_xlabel()
        'recall'
    """

    stage: Stage
    truth: str  #: in words
    workers: pd.DataFrame  #: see `worker_quality`
    union: pd.DataFrame
    agreement: pd.DataFrame
    items: pd.DataFrame
    num_units: int

    def rejected(self, *, precision: float = 0.0, recall: float = 0.0) -> list[str]:
        """Names of workers below a line: their precision or recall against the union of all others is less.

        In Lin's thesis all jobs of such workers were rejected; it does not say where the line was.

        Args:
            precision, recall: the least, in 0..1.
        """
        own = self.workers
        low = (own["loo_precision"] < precision) | (own["loo_recall"] < recall)
        return own.index[low].tolist()

    def grid(self, step: float = 0.1) -> pd.DataFrame:
        """Fig. 2.4 b as a table: how many workers, and with how many jobs on average, in each range of both.

        Columns: recall and precision (lower ends of a range), workers, jobs.

        Args:
            step: width of a range, in 0..1.
        """
        known = self.workers[["loo_recall", "loo_precision", "jobs"]].dropna()
        cells = np.minimum(np.floor(known[["loo_recall", "loo_precision"]] / step + 1e-9), round(1 / step) - 1) * step
        table = known["jobs"].groupby([cells["loo_recall"].round(9), cells["loo_precision"].round(9)])
        table = table.agg(["count", "mean"]).reset_index()
        return table.set_axis(["recall", "precision", "workers", "jobs"], axis=1)

    @property
    def figure_names(self) -> tuple[str, ...]:
        """What `figure` can draw."""
        from workbench.figures.annotation import figure_names

        return figure_names(self)

    def figure(self, name: str) -> Figure:
        """A matplotlib figure.

        Args:
            name: one of `figure_names`.

        Raises:
            DataError: there is no such figure of these workers.
        """
        from workbench.figures.annotation import quality_figure

        return quality_figure(self, name)

    @property
    def what(self) -> str:
        """Who did what, in words."""
        units = {"label": "images", "segment": "images", "spot": "images and categories", "verify": "segments"}
        done = int(self.workers["jobs"].sum())
        return (
            f"{self.stage}: {len(self.workers)} workers, {done:,} jobs on {self.num_units:,} {units[self.stage]}; "
            f"truth: {self.truth}"
        )

    def __repr__(self) -> str:
        return f"WorkerQuality({self.what})\n{self._shown().to_string(float_format='{:.3f}'.format, na_rep='–')}"

    def _repr_html_(self) -> str:
        return notes_and_tables([self.what], *(table for table in (self._shown(), self.union) if len(table)))

    def _shown(self) -> pd.DataFrame:
        return self.workers.dropna(axis=1, how="all").head(40)


def worker_quality(
    actions: Iterable[Action],
    truth: Dataset | Collection[str] | None = None,
    *,
    stage: Stage = "label",
    experts: Collection[str] = (),
    most: int = MOST,
    iou: float = 0.5,
    near: float = 16.0,
) -> WorkerQuality:
    """Count how good workers are.

    Args:
        actions: what they did, of any stages.
        truth: data with all objects, whose images the actions name by id or file name; of "verify" the names of the
            segments that are bad. None: the majority of the experts, or if there are none, nothing.
        stage: whose answers are looked at: "label", "spot", "segment" or "verify".
        experts: names of workers who are no part of unions, and whose majority is the truth where there is no other.
        most: workers of the largest union.
        iou: from which overlap on two outlines are of one object.
        near: pixels within which crosses are of one object, where no true object says so.

    Returns:
        A report. `workers` has a row for each: jobs, answers, precision and recall with intervals (precision_low …),
        loo_precision and loo_recall (against the union of all others who looked at the same), agreement (mean with
        all others), seconds (median of a job), and expert. Of "segment" also overlap (mean IoU with the object),
        looseness (root mean square by which the sides of a box are off, as a share of its width or height) and
        wrong_class (share of the objects found). `union` has a row for 1 … `most` workers, as long as so many looked
        at half of the units: precision, recall, their intervals, recall_if_independent, units (that so many looked
        at). `agreement` [W, W] is the share of what either of two claims that both do, where both looked. `items` has
        what was claimed: image, category (that most say), votes, looked (how many could) and true.

    Raises:
        DataError: no such stage or action, experts who are no workers, or data that do not fit.

    Example:
        >>> cup = Action("a", 1, "label", image=1, category="cup")
        >>> nothing = Action("b", 2, "label", image=1, kind="done")
        >>> worker_quality([cup, nothing]).workers["loo_precision"].tolist()  # nobody else saw the cup
        [0.0, nan]
    """
    actions = list(actions)
    if most < 1:
        raise DataError(f"most is {most}; a union is of at least one worker")
    claims = gather_claims(actions, stage, truth, iou=iou, near=near)
    for name in experts:
        if name not in claims.workers:
            raise DataError(f"there is no worker {name!r} among the experts{did_you_mean(name, claims.workers)}")
    is_expert = np.isin(claims.workers, list(experts))
    known = claims.true
    said = "the data" if isinstance(truth, Dataset) else "what is known to be bad"
    if known is None and is_expert.any():
        known, said = _majority(claims, is_expert), f"the majority of {is_expert.sum()} experts"
    together = _agreement(claims)
    return WorkerQuality(
        stage=stage,
        truth="nobody knows" if known is None else said,
        workers=_workers(claims, known, is_expert, together, jobs(actions, stage)),
        union=_unions(claims, known, ~is_expert, most),
        agreement=pd.DataFrame(together, index=claims.workers, columns=claims.workers),
        items=item_table(claims, known),
        num_units=len(claims.units),
    )


def item_table(claims: Claims, known: np.ndarray | None) -> pd.DataFrame:
    """What was claimed, and what is there and nobody claimed: a row for each item, see `worker_quality`."""
    votes = np.asarray(claims.votes.sum(axis=0)).ravel()
    looked = np.asarray(claims.looked.sum(axis=0)).ravel()
    categories = []
    for members, unit in zip(claims.by_item(), claims.item_units.tolist(), strict=True):
        names = [one.action.category for one in members if one.action.category is not None]
        usual = max(dict.fromkeys(names), key=names.count) if names else claims.units[unit][1]
        categories.append(usual)
    columns = {
        "image": [claims.units[unit][0] for unit in claims.item_units.tolist()],
        "category": categories,
        "votes": votes,
        "looked": looked,
        "true": [None] * claims.num_items if known is None else known,
    }
    return pd.DataFrame(columns)


def _majority(claims: Claims, chosen: np.ndarray) -> np.ndarray:
    """[M] bool: what more than half of the chosen workers [W] who looked claim."""
    votes, looked = (
        np.asarray(one[np.flatnonzero(chosen)].sum(axis=0)).ravel() for one in (claims.votes, claims.looked)
    )
    return votes * 2 > looked


def _workers(
    claims: Claims, known: np.ndarray | None, is_expert: np.ndarray, together: np.ndarray, done: pd.DataFrame
) -> pd.DataFrame:
    votes, looked = claims.votes, claims.looked
    own = np.asarray(votes.sum(axis=1)).ravel()
    table: dict[str, object] = {
        "jobs": np.asarray(claims.done.sum(axis=1)).ravel(),
        "answers": own,
    }
    blank = np.full(len(own), np.nan)
    right, there = (blank, blank) if known is None else (votes @ known, looked @ known)
    table |= _ratio("precision", right, own) | _ratio("recall", right, there)
    total = np.asarray(votes.sum(axis=0)).ravel()
    backed = votes @ (total > 1)  # by somebody else, as one vote is the worker's own
    # Of the items where a worker looked: those of others are all that have a vote beside the worker's own.
    others = looked @ (total > 0) - (own - backed)
    table |= {"loo_precision": _share(backed, own), "loo_recall": _share(backed, others)}
    apart = together.copy()
    np.fill_diagonal(apart, np.nan)
    table["agreement"] = _means(apart)
    seconds = done.groupby("worker")["seconds"].median()
    table["seconds"] = seconds.reindex(claims.workers).to_numpy()
    if claims.stage == "segment":
        table |= _drawing(claims)
    table["expert"] = is_expert
    return pd.DataFrame(table, index=pd.Index(claims.workers, name="worker"))


def _drawing(claims: Claims) -> dict[str, list[float]]:
    """How workers draw what they find."""
    found: list[list] = [[] for _ in claims.workers]
    for one in claims.claims:
        if not np.isnan(one.overlap):
            found[one.worker].append(one)
    overlap, looseness, wrong = [], [], []
    for own in found:
        off = np.array([side for one in own for side in one.stretch])
        overlap.append(float(np.mean([one.overlap for one in own])) if own else np.nan)
        looseness.append(float(np.sqrt((off**2).mean())) if len(off) else np.nan)
        wrong.append(float(np.mean([one.wrong_class for one in own])) if own else np.nan)
    return {"overlap": overlap, "looseness": looseness, "wrong_class": wrong}


def _unions(claims: Claims, known: np.ndarray | None, chosen: np.ndarray, most: int) -> pd.DataFrame:
    """Precision and recall of the union of 1 … `most` of the chosen workers [W]."""
    columns = [
        "precision", "precision_low", "precision_high", "recall", "recall_low", "recall_high",
        "recall_if_independent", "units",
    ]  # fmt: skip
    index = pd.Index([], name="workers", dtype=np.int64)
    if known is None or not chosen.any():
        return pd.DataFrame(columns=columns, index=index, dtype=float)
    rows = np.flatnonzero(chosen)
    votes, there = (np.asarray(one[rows].sum(axis=0)).ravel() for one in (claims.votes, claims.done))
    looked = there[claims.item_units]
    found: dict[int, tuple[float, ...]] = {}
    for number in range(1, most + 1):
        units = int((there >= number).sum())
        if units < ENOUGH * len(there) or not units:
            break
        fits = looked >= number
        chance = np.where(fits, 1 - _missed(votes, looked, number), 0.0)
        sums = [  # by unit: what is right, what is said, what is there
            np.bincount(claims.item_units, values, minlength=len(claims.units))
            for values in (chance * known, chance, (fits & known).astype(float))
        ]
        right, said, true = (float(one.sum()) for one in sums)
        precision, recall = _ratio_of(right, said), _ratio_of(right, true)
        spans = _spans(precision, recall, *sums)
        first = found[1][3] if found else recall
        alone = 1 - (1 - first) ** number
        found[number] = (precision, *spans[0], recall, *spans[1], alone, units)
    table = pd.DataFrame.from_dict(found, orient="index", columns=columns)
    return table.astype({"units": int}).rename_axis("workers")


def _missed(votes: np.ndarray, looked: np.ndarray, number: int) -> np.ndarray:
    """The chance [M] that a choice of so many of those who looked has none of those who claim an item."""
    left = np.maximum(looked - votes, 0)
    possible = left >= number
    safe = np.where(possible, left, number), np.maximum(looked, number)
    counts = [gammaln(total + 1) - gammaln(total - number + 1) for total in safe]
    return np.where(possible, np.exp(counts[0] - counts[1]), 0.0)


def _spans(
    precision: float, recall: float, right: np.ndarray, said: np.ndarray, true: np.ndarray
) -> list[tuple[float, float]]:
    """Intervals of both, from sums by unit [U]."""
    rng, parts = np.random.default_rng(0), []
    table = np.stack([right, said, true], axis=1)  # [U, 3]
    for _ in range(RESAMPLES // _AT_ONCE):
        parts.append(bootstrap.resample_images(len(right), _AT_ONCE, rng) @ table)
    samples = np.concatenate(parts)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_precision, of_recall = samples[:, 0] / samples[:, 1], samples[:, 0] / samples[:, 2]
    pairs = ((precision, of_precision), (recall, of_recall))
    return [tuple(np.clip(bootstrap.interval(*pair), 0.0, 1.0).tolist()) for pair in pairs]


def _agreement(claims: Claims) -> np.ndarray:
    """[W, W]: the share of what either claims, where both looked, that both do; NaN where nobody claims anything."""
    votes, looked = claims.votes, claims.looked
    both = (votes @ votes.T).toarray().astype(float)
    own = (votes @ looked.T).toarray().astype(float)  # what the first claims, where the second looked
    either = own + own.T - both
    return np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)


def _ratio(name: str, part: np.ndarray, whole: np.ndarray) -> dict[str, np.ndarray]:
    """A share with Wilson's interval."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    share = _share(part, whole)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = (share + _Z**2 / (2 * whole)) / (1 + _Z**2 / whole)
        half = _Z * np.sqrt(share * (1 - share) / whole + _Z**2 / (4 * whole**2)) / (1 + _Z**2 / whole)
    return {name: share, f"{name}_low": (middle - half).clip(0), f"{name}_high": (middle + half).clip(max=1)}


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _ratio_of(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def _means(values: np.ndarray) -> np.ndarray:
    """The mean of each row without NaN."""
    known = ~np.isnan(values)
    return _share(np.where(known, values, 0).sum(axis=1), known.sum(axis=1))
