"""A table for spreadsheets: `metrics.csv` in the run's folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from workbench.registry import LOGGERS
from workbench.training.loggers.base import Logger
from workbench.training.recording.disk import open_to_append, write_atomically
from workbench.training.recording.rows import read_rows


@LOGGERS.register("csv")
class CsvLogger(Logger):
    """One line per row of metrics, one column per figure; empty where a row has none.

    It is made of `metrics.jsonl`, so that it holds each step once, also after a resume; anew where a row has a figure
    that none had before.

    Example:
        >>> import json
        >>> from pathlib import Path
        >>> from workbench.training.loggers.csv import CsvLogger
        >>> row = {"step": 10, "time": 2.0, "kind": "train", "loss": 0.5}
        >>> _ = Path("metrics.jsonl").write_text(json.dumps(row))
        >>> CsvLogger(Path("."), {}, 0, 0).write(row)
        >>> Path("metrics.csv").read_text().split()
        ['step,time,kind,loss', '10,2.0,train,0.5']
    """

    def __init__(self, folder: Path, recipe: Mapping[str, Any], after_step: int, logged_step: int):
        super().__init__(folder, recipe, after_step, logged_step)
        self.path = folder / "metrics.csv"
        self._write_anew(read_rows(folder / "metrics.jsonl"))

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a line."""
        if row.keys() - set(self.columns):
            self._write_anew([*read_rows(self.folder / "metrics.jsonl"), row])
            return
        with open_to_append(self.path) as file:
            file.write(self._lines([row]))

    def _write_anew(self, rows: Iterable[Mapping[str, Any]]) -> None:
        kept = {(row["kind"], row["step"]): row for row in rows}.values()
        self.columns = list(dict.fromkeys(name for row in kept for name in row))
        header = self._lines([dict(zip(self.columns, self.columns, strict=True))]) if self.columns else b""
        write_atomically(self.path, lambda file: file.write(header + self._lines(kept)))

    def _lines(self, rows: Iterable[Mapping[str, Any]]) -> bytes:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self.columns, lineterminator="\n").writerows(rows)
        return text.getvalue().encode()
