"""An audit as one HTML file: tables and figures for a light and a dark page, which asks nothing of any other place.

The file holds no script, and its content policy forbids all but its own pictures and its one style. Every name is
escaped.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from html import escape
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from workbench.evaluation import AuditReport
from workbench.figures.audit import audit_figure, figure_names
from workbench.figures.drawing.page import INK, INK_ON_DARK, settings
from workbench.files import whole_file

ON_PAGE = {**settings(dark=False), "svg.fonttype": "path", "svg.hashsalt": "audit"}
_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --faint: #59636e; --ground: #ffffff; --line: #d1d9e0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --faint: #9198a1; --ground: #0d1117; --line: #3d444d; }
}
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 60rem; color: var(--ink); background: var(--ground);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .3rem; }
p { margin: .3rem 0; overflow-wrap: anywhere; }
.note { color: var(--faint); font-size: .9rem; }
.wide { overflow-x: auto; }
.wide img { display: block; max-width: 100%; min-width: 32rem; height: auto; }
table { border-collapse: collapse; font-size: .85rem; margin: .5rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem .2rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--faint); }
th.text, td.text { text-align: left; }
summary { cursor: pointer; color: var(--faint); font-size: .9rem; }
"""
_TITLES = {
    "recall": ("Recall", "The share of objects that are still found. The band is the 95 % interval."),
    "average precision": ("Average precision", "COCO's AP over the same objects; all others are ignored."),
    "fates": ("What objects are lost to", "Found; found with too low a score; taken for another class; box too far "
              "off; suppressed beside a neighbour of the same class; or nothing there."),
    "kinds": ("Kinds of occluders", "Recall under each kind alone."),
    "places": ("Places", "Recall under the first kind of occluder, from each side, at the centre, at random, and at "
               "the worst place found."),
    "halves": ("Which half does it need?", "Above 0, hiding the first side costs more than hiding the second."),
    "sizes": ("Sizes", "Small, medium and large as in COCO."),
    "classes": ("Classes", "The greatest loss first."),
    "first lost": ("Lost first", "Objects found on the clean image, each as it was when first lost. The number "
                   "is its score on the clean image."),
    "calibration": ("Calibration", "On the dotted line a score is the share of detections that are right."),
    "corruptions": ("Corruptions", "Recall under noise, blur, fading and compression."),
    "differences": ("Differences", "Against the first, paired: all see the same images under the same occluders."),
}  # fmt: skip


def write_page(report: AuditReport, path: Path) -> None:
    """Write the page; the file appears whole or not at all."""
    with whole_file(path) as file:
        file.write(audit_page(report).encode())


def audit_page(report: AuditReport) -> str:
    """The page as HTML."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    names = ", ".join(report.detectors)
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Audit of {escape(names)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    )
    parts = [head, f"<h1>Audit of {escape(names)}</h1>", _text(report.what)]
    parts += [_table(report.summary.reset_index()), *(_text(note) for note in report.notes)]
    tables = _tables(report)
    for name in figure_names(report):
        title, text = _TITLES[name]
        parts += [f"<h2>{escape(title)}</h2>", _text(text), _picture(report, name, title)]
        parts += [_folded(tables[name])] if name in tables else []
    return "\n".join([*parts, "</body>\n</html>\n"])


def _tables(report: AuditReport) -> dict[str, pd.DataFrame]:
    """The numbers of each figure."""
    tables = {"calibration": report.calibration()}
    if report.counted.fractions:
        tables |= {"recall": report.recall(), "average precision": report.average_precision()}
        tables |= {"kinds": report.recall("kind"), "places": report.recall("place"), "sizes": report.recall("size")}
        tables |= {"fates": report.fates(), "classes": report.recall("class"), "halves": report.halves()}
        lost = [report.first_lost(name).head(20).assign(detector=name) for name in report.detectors]
        tables["first lost"] = pd.concat(lost)[["detector", *lost[0].columns[:-1]]]
    if report.counted.corruptions:
        tables["corruptions"] = report.corruptions()
    if len(report.detectors) > 1:
        first, *others = report.detectors
        each = [report.differences(first, name).reset_index().assign(detector=name) for name in others]
        tables["differences"] = pd.concat(each)[["detector", *each[0].columns[:-1]]]
    return tables


def _text(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _picture(report: AuditReport, name: str, title: str) -> str:
    """The figure for a light page, and in its place the same with light ink where the page is dark."""
    drawn = _svg(report, name)
    light, dark = (_data(text) for text in (drawn, drawn.replace(INK, INK_ON_DARK)))
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
    return f'<div class="wide"><picture>{source}<img alt="{escape(title)}" src="{light}"></picture></div>'


def _data(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _svg(report: AuditReport, name: str) -> str:
    """A figure as SVG; drawn again it is the same, byte for byte."""
    with matplotlib.rc_context(ON_PAGE):
        file = io.StringIO()
        audit_figure(report, name).savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return text[text.index("<svg") :]  # what is before names a definition elsewhere


def _folded(table: pd.DataFrame) -> str:
    return f"<details><summary>the numbers</summary>{_table(table)}</details>"


def _table(table: pd.DataFrame) -> str:
    """A table; texts on the left, numbers with three digits."""
    kinds = ["" if pd.api.types.is_numeric_dtype(kind) else ' class="text"' for kind in table.dtypes]
    head = "".join(f"<th{kind}>{escape(str(name))}</th>" for name, kind in zip(table.columns, kinds, strict=True))
    body = "".join(f"<tr>{row}</tr>\n" for row in _rows(table, kinds))
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'


def _rows(table: pd.DataFrame, kinds: list[str]) -> Iterator[str]:
    for values in table.itertuples(index=False, name=None):
        yield "".join(f"<td{kind}>{_cell(value)}</td>" for value, kind in zip(values, kinds, strict=True))


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return "–"
        return f"{value:.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.3f}"
    return escape(str(value))
