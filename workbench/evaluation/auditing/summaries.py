"""Tables of an audit for readers: recall and AP by what is hidden, halves, errors, calibration, differences."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from workbench.evaluation.auditing import counting
from workbench.evaluation.auditing.conditions import WORST
from workbench.evaluation.auditing.counted import FATES, Counted
from workbench.evaluation.auditing.grouping import group_table, span

HALVES = {"top": "bottom", "left": "right"}  #: sides that stand against each other


def recall_table(counted: Counted, detectors: Sequence[str], classes: Sequence[str], by: str | None) -> pd.DataFrame:
    """Recall by detector, group and hidden fraction; `AuditReport.recall` explains it.

    Raises:
        DataError: `by` is none of `BY`.
    """
    figures = partial(_recall, counted)
    return group_table(counted, detectors, classes, by, figures, ["recall", "low", "high"])


def _recall(counted: Counted, rows: np.ndarray) -> dict[str, float]:
    return span("recall", counted.recall(rows))


def precision_table(counted: Counted, detectors: Sequence[str], by_kind: bool) -> pd.DataFrame:
    """AP and AP50 by detector, kind and hidden fraction; `AuditReport.average_precision` explains it."""
    rows = []
    for number, detector in enumerate(detectors):
        for kind in counted.kinds if by_kind else (None,):
            for fraction, conditions in counted.curve(kind):
                group = {"kind": kind} if by_kind else {}
                ap = counted.mean_ap(number, conditions)
                rows.append({"detector": detector, **group, "hidden": fraction, **_precision(ap)})
    columns = ["detector", *(["kind"] if by_kind else []), "hidden"]
    return pd.DataFrame(rows, columns=[*columns, "AP", "low", "high", "AP50", "AP50_low", "AP50_high"])


def _precision(ap: np.ndarray) -> dict[str, float]:
    """AP and AP50 of AP [1 + B, T], with their intervals."""
    return span("AP", ap.mean(axis=1)) | span("AP50", ap[:, 0], "AP50_")


def corruption_table(counted: Counted, detectors: Sequence[str]) -> pd.DataFrame:
    """Recall and AP by detector, corruption and severity; 0 is the clean image."""
    rows = []
    for number, detector in enumerate(detectors):
        for kind in counted.corruptions:
            for place, one in enumerate(counted.conditions):
                if one.kind == kind or place == counted.clean:
                    ap = _precision(counted.average_precision(number, place))
                    chosen = counted.rows(number, [place])
                    recall = {"n": len(chosen), **_recall(counted, chosen)}
                    figures = {"AP": ap["AP"], "AP_low": ap["low"], "AP_high": ap["high"]}
                    rows.append({"detector": detector, "kind": kind, "severity": one.severity, **recall, **figures})
    columns = ["detector", "kind", "severity", "n", "recall", "low", "high", "AP", "AP_low", "AP_high"]
    return pd.DataFrame(rows, columns=columns)


def halves_table(counted: Counted, detectors: Sequence[str], classes: Sequence[str], by_class: bool) -> pd.DataFrame:
    """Which half is needed; `AuditReport.halves` explains it."""
    rows = []
    groups = counted.groups(classes, "class" if by_class else None)
    for (number, detector), (name, _, members), (half, other) in product(
        enumerate(detectors), groups, HALVES.items()
    ):
        if half not in counted.places or other not in counted.places:
            continue
        first, second = (dict(counted.curve(counted.placed, side)) for side in (half, other))
        for fraction in counted.fractions:
            pair = [counted.rows(number, curve[fraction], members) for curve in (first, second)]
            if len(pair[0]) and len(pair[1]):
                group = {"class": name} if by_class else {}
                sides = {"half": half, "other": other, "hidden": fraction, "n": len(pair[0])}
                without = [counted.recall(one) for one in pair]
                figures = difference(without[0], without[1], ("without", "without_other"))
                rows.append({"detector": detector, **group, **sides, **figures})
    columns = ["detector", *(["class"] if by_class else []), "half", "other", "hidden", "n"]
    return pd.DataFrame(rows, columns=[*columns, "without", "without_other", "difference", "low", "high"])


def difference(a: np.ndarray, b: np.ndarray, names: tuple[str, str] = ("a", "b")) -> dict[str, float]:
    """b - a of values with their samples [1 + B], and its interval."""
    gain = b - a
    low, high = counting.differences(gain[0], gain[1:])
    figures = {names[0]: a[0], names[1]: b[0], "difference": gain[0], "low": low, "high": high}
    return {name: float(value) for name, value in figures.items()}


def fates_table(counted: Counted, detectors: Sequence[str]) -> pd.DataFrame:
    """The share of objects of each fate, by detector and hidden fraction, all kinds of occluders together."""
    rows = []
    for number, detector in enumerate(detectors):
        for fraction, conditions in counted.curve():
            chosen = counted.rows(number, conditions)
            shares = np.bincount(counted.fates[chosen], minlength=len(FATES)) / max(1, len(chosen))
            named = dict(zip(FATES, shares.tolist(), strict=True))
            rows.append({"detector": detector, "hidden": fraction, "n": len(chosen), **named})
    return pd.DataFrame(rows, columns=["detector", "hidden", "n", *FATES])


def reliability_table(counted: Counted, detectors: Sequence[str]) -> pd.DataFrame:
    """How often detections of a score are right, by detector, hidden fraction and bin of scores."""
    rows = []
    for number, detector in enumerate(detectors):
        for fraction, conditions in counted.curve():
            total, score, right = _reliability(counted, number, conditions, counted.weights[:1])
            for place in range(counting.BINS):
                bins = {"from": place / counting.BINS, "to": (place + 1) / counting.BINS}
                figures = {"n": total[0, place], "score": score[0, place], "right": right[0, place]}
                rows.append({"detector": detector, "hidden": fraction, **bins, **figures})
    return pd.DataFrame(rows, columns=["detector", "hidden", "from", "to", "n", "score", "right"])


def calibration_table(counted: Counted, detectors: Sequence[str]) -> pd.DataFrame:
    """Mean score, share of right detections and calibration error, by detector and hidden fraction."""
    rows = []
    for number, detector in enumerate(detectors):
        for fraction, conditions in counted.curve():
            total, score, right = _reliability(counted, number, conditions, counted.weights)
            error = counting.calibration_error(total, score, right)
            low, high = counting.spans(error[0], error[1:])
            with np.errstate(invalid="ignore"):
                means = [np.nansum(total[0] * one[0]) / total[0].sum() for one in (score, right)]
            figures = {"n": total[0].sum(), "score": means[0], "right": means[1], "ECE": error[0]}
            rows.append({"detector": detector, "hidden": fraction, **figures, "low": low, "high": high})
    return pd.DataFrame(rows, columns=["detector", "hidden", "n", "score", "right", "ECE", "low", "high"])


def _reliability(
    counted: Counted, detector: int, conditions: Sequence[int], weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `counting.reliability`, of several conditions together."""
    parts = [
        counting.reliability(counted.answers_of(detector, one), counted.threshold, weights) for one in conditions
    ]
    total = np.sum([one[0] for one in parts], axis=0)
    with np.errstate(invalid="ignore"):
        means = [np.sum([one[0] * np.nan_to_num(one[i]) for one in parts], axis=0) / total for i in (1, 2)]
    return total, means[0], means[1]


def _calibration(counted: Counted, detector: int, conditions: Sequence[int], weights: np.ndarray) -> np.ndarray:
    return counting.calibration_error(*_reliability(counted, detector, conditions, weights))


def lost_table(counted: Counted, detector: int, classes: Sequence[str]) -> pd.DataFrame:
    """From which hidden fraction on each object is lost; `AuditReport.first_lost` explains it."""
    audited, number = counted.audited, len(counted.audited)
    at = np.full((len(counted.kinds), number), np.nan)
    for place, kind in enumerate(counted.kinds):
        for fraction, conditions in reversed(counted.curve(kind)[1:]):
            rows = counted.rows(detector, conditions)
            gone = counted.outcomes.object[rows[~counted.found[rows]]]
            at[place, gone] = fraction
    clean = counted.rows(detector, [counted.clean])
    score = np.full(number, np.nan)
    score[counted.outcomes.object[clean]] = np.where(counted.found[clean], counted.outcomes.score[clean], np.nan)
    table: dict[str, Any] = {
        "image": audited.image, "image_id": audited.image_id, "object": audited.row,
        "class": np.array(["", *classes], dtype=object)[audited.label], "area": audited.area,
        "score": score, "lost_at": np.where(np.isnan(at), 1.0, at).mean(axis=0) if len(at) else np.ones(number),
        "lost_to": (~np.isnan(at)).sum(axis=0),
    }  # fmt: skip
    frame = pd.DataFrame(table)[~np.isnan(score)]
    return frame.sort_values(["lost_at", "score"], ascending=[True, False], kind="stable").reset_index(drop=True)


def difference_table(counted: Counted, a: int, b: int) -> pd.DataFrame:
    """How much better detector b is than a, by a paired bootstrap; `AuditReport.differences` explains it."""
    rows: dict[str, dict[str, float]] = {}

    def add(name: str, conditions: Sequence[int]) -> None:
        recall = [counted.recall(counted.rows(number, conditions)) for number in (a, b)]
        rows[f"recall, {name}"] = difference(recall[0], recall[1])

    for fraction, conditions in counted.curve():
        add(hidden_text(fraction), conditions)
    for place in counted.places:
        if place != counted.place:
            for fraction, conditions in counted.curve(counted.placed, place)[1:]:
                add(f"{hidden_text(fraction)}, {place}", conditions)
    for kind in counted.corruptions:
        add(kind, [number for number, one in enumerate(counted.conditions) if one.kind == kind])
    for fraction, conditions in counted.curve():
        ap = [counted.mean_ap(number, conditions).mean(axis=1) for number in (a, b)]
        rows[f"AP, {hidden_text(fraction)}"] = difference(ap[0], ap[1])
    columns = ["a", "b", "difference", "low", "high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("figure")


def hidden_text(fraction: float) -> str:
    """Such as "30 % hidden"."""
    return f"{100 * fraction:g} % hidden" if fraction else "clean"


def summary_table(counted: Counted, detectors: Sequence[str]) -> pd.DataFrame:
    """One row for each detector; `AuditReport.summary` explains it."""
    rows = {}
    for number, detector in enumerate(detectors):
        curve = counted.curve()
        recalls = [float(counted.recall(counted.rows(number, conditions))[0]) for _, conditions in curve]
        row: dict[str, float] = {"score": float(counted.scores[number]), "recall": recalls[0]}
        middle = min(counted.fractions, key=lambda one: abs(one - 0.5), default=None)
        name = None if middle is None else f"{100 * middle:g}"
        if middle is not None:
            row[f"recall_{name}"] = recalls[[fraction for fraction, _ in curve].index(middle)]
            row["half_at"] = half_at([fraction for fraction, _ in curve], recalls)
        worst = counted.numbers(place=WORST)
        if worst:
            label = f"recall_worst_{100 * counted.conditions[worst[-1]].fraction:g}"
            row[label] = float(counted.recall(counted.rows(number, worst[-1:]))[0])
        row["AP"] = float(counted.average_precision(number, counted.clean)[0].mean())
        if middle is not None:
            row[f"AP_{name}"] = float(counted.mean_ap(number, dict(curve)[middle])[0].mean())
        if counted.corruptions:
            corrupted = [place for place, one in enumerate(counted.conditions) if one.severity]
            row["AP_corrupted"] = float(counted.mean_ap(number, corrupted)[0].mean())
        ends = {"": [counted.clean]} | ({f"_{name}": dict(curve)[middle]} if middle is not None else {})
        for end, conditions in ends.items():
            row[f"ECE{end}"] = float(_calibration(counted, number, conditions, counted.weights[:1])[0])
        rows[detector] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("detector")


def half_at(fractions: Sequence[float], recalls: Sequence[float]) -> float:
    """The hidden fraction at which half of what was found first is lost, between the points; NaN if it never is."""
    goal = recalls[0] / 2
    for i in range(1, len(recalls)):
        if recalls[i] <= goal < recalls[i - 1]:
            part = (recalls[i - 1] - goal) / (recalls[i - 1] - recalls[i])
            return float(fractions[i - 1] + part * (fractions[i] - fractions[i - 1]))
    return float("nan")
