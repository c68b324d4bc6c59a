"""docs/results.md: every table that training gave is computed anew from the stored numbers; its commands hold."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from unittest.mock import Mock, create_autospec

import numpy as np
import pytest

import workbench
from workbench.__main__ import build_parser
from workbench.detectors.locate import shipped_names
from workbench.training import Recipe
from workbench.training.comparison import Comparison

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/results.md").read_text(encoding="utf-8")
FOLDER = ROOT / "notebooks/results"
BLOCK = re.compile(r"```(python|sh)\n(.*?)```", re.DOTALL)
COLUMNS = {
    "AP": "AP",
    "AP50": "AP50",
    "AP75": "AP75",
    "AP50, open": "AP50_open",
    "AP50, cluttered": "AP50_cluttered",
    "open − cluttered": "AP50_drop",
    "AR1": "AR1",
    "AP, < 5 % hidden": "AP_unoccluded",
    "AP, ≥ 20 % hidden": "AP_occluded",
    "recall": "recall",
    "recall, ≥ 20 % hidden": "recall_occluded",
    "IoU of the map": "occlusion_IoU",
    "AR100": "proposals_AR100",
    "AR1k": "proposals_AR1k",
    "clean": "accuracy_clean",
    "occluded": "accuracy_occluded",
    "AP50, masked": "AP50_masked",
    "class known": "regions_accuracy_clean",
    "class known, half hidden": "regions_accuracy_50",
    "p(object) beside objects": "regions_p_object_0.3-0.5",
    "p(object) on objects": "regions_p_object_0.5-1",
    "AR10 of masks": "mask_AR10",
    "AR100 of masks": "mask_AR100",
    "AR1k of masks": "mask_AR1k",
    "AUC of masks": "mask_AUC",
    "AR100, < 5 % hidden": "mask_AR100_unoccluded",
    "AR100, ≥ 20 % hidden": "mask_AR100_occluded",
}


def number(value: float, sign: str = "") -> str:
    """Three digits, with the minus of typography; what rounds to 0 has no sign."""
    return "0.000" if f"{abs(value):.3f}" == "0.000" else f"{value:{sign}.3f}".replace("-", "−")


def mean_cell(row) -> str:
    if not row["n"]:
        return ""
    half = "" if np.isnan(row["low"]) else f" ± {number((row['high'] - row['low']) / 2)}"
    return number(row["mean"]) + half


def difference_cell(row) -> str:
    if np.isnan(row["difference"]):
        return ""
    low, high = row["difference_low"], row["difference_high"]
    return number(row["difference"], "+") + ("" if np.isnan(low) else f" ({number(low)} to {number(high)})")


def stored_tables() -> list[tuple[str, list[list[str]]]]:
    """Name of the file that the block before a table saves, and the table's cells."""
    files = [(match.start(), re.findall(r"results/(\w+)\.json", match[2])) for match in BLOCK.finditer(TEXT)]
    out = []
    for table in re.finditer(r"(?:^\|.*\n)+", TEXT, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table[0].splitlines()]
        if rows[0][0] == "recipe":
            before = [names for start, names in files if start < table.start() and names]
            out.append((before[-1][0], [rows[0], *rows[2:]]))
    return out


TABLES = stored_tables()


@pytest.mark.parametrize(("file", "rows"), TABLES, ids=[f"{file}-{place}" for place, (file, _) in enumerate(TABLES)])
def test_tables_say_what_training_gave(file, rows):
    head, *rows = rows
    names = [row[0].strip("`") for row in rows]
    table = Comparison.load(FOLDER / f"{file}.json").only(*names).table(sorted({*COLUMNS.values()} & columns(file)))
    for name, row in zip(names, rows, strict=True):
        metric = next(COLUMNS[title] for title in head if title in COLUMNS)
        assert row[1] == str(int(table.loc[(metric, name), "n"]))
        for title, cell in zip(head[2:], row[2:], strict=True):
            if title == "minus the first":
                assert cell == difference_cell(table.loc[(metric, name)]), (name, metric)
            elif title in COLUMNS:
                metric = COLUMNS[title]
                assert cell == mean_cell(table.loc[(metric, name)]), (name, metric)


def columns(file: str) -> set[str]:
    return set(Comparison.load(FOLDER / f"{file}.json").metrics)


def test_every_comparison_has_its_table():
    stored = {path.stem for path in FOLDER.glob("*.json") if "schema" in json.loads(path.read_text())}
    assert {file for file, _ in TABLES} == stored


@pytest.fixture
def compared(monkeypatch, tmp_path) -> list:
    """What blocks ask `compare` to train: recipes with their seeds and the file that the answer goes to."""
    jobs = []

    class Asked(Comparison):
        def with_proposal_recall(self, data, *, scale):
            assert len(data) == 500
            return self

        def with_measures(self, measure):
            return self

        def save(self, path):
            jobs.append((Path(path).stem, self.runs))

    def compare(recipes, *, seeds, test=None):
        loaded = [one if isinstance(one, Recipe) else Recipe.load(one) for one in recipes]
        loaded = [one if test is None else one.replace(test=test) for one in loaded]
        seeds = range(seeds) if isinstance(seeds, int) else seeds
        import pandas as pd

        return Asked(
            pd.DataFrame([{"recipe": one.name, "seed": seed, "folder": one.name} for one in loaded for seed in seeds])
        )

    class Finished:
        def wait(self):
            return "done"

    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    monkeypatch.setattr(workbench, "compare", compare, raising=False)
    monkeypatch.setattr(workbench, "launch", lambda recipe, folder: Finished(), raising=False)
    monkeypatch.setattr(Comparison, "save", Asked.save)
    load_data = workbench.load_data
    photographs = Mock(classes=("person",))
    monkeypatch.setattr(
        workbench,
        "load_data",
        lambda name, **options: photographs if "root" in options else load_data(name, **options),
        raising=False,
    )
    for costly in ("wrap", "evaluate", "audit"):
        monkeypatch.setattr(workbench, costly, create_autospec(getattr(workbench, costly)), raising=False)
    return jobs


def test_blocks_of_python_train_what_is_stored(compared):
    """Nothing is trained here: the recipes that the blocks build are held against those of the stored runs."""
    names: dict = {}
    for kind, code in BLOCK.findall(TEXT):
        if kind == "python":
            exec(compile(code, "docs/results.md", "exec"), names)
    assert len(compared) == 28
    for file, runs in compared:
        stored = Comparison.load(FOLDER / f"{file}.json").runs
        asked = set(runs[["recipe", "seed"]].itertuples(index=False, name=None))
        assert asked == set(stored[["recipe", "seed"]].itertuples(index=False, name=None)), file


def commands(text: str = TEXT) -> list[list[str]]:
    """Lines for a terminal, as words."""
    blocks = [code.replace("\\\n", " ") for kind, code in BLOCK.findall(text) if kind == "sh"]
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("command", commands(), ids=lambda command: "-".join(command[1:3]))
def test_commands_of_the_terminal_name_what_exists(command):
    if command[0] == "make":
        assert f"\n{command[1]}: " in (ROOT / "Makefile").read_text()
        return
    if command[0] == "python":
        assert (ROOT / (command[-1] if command[1] == "-m" else command[1])).is_file()
        return
    assert command[0] == "workbench"
    options = build_parser().parse_args(command[1:])
    named = options.recipes if command[1] == "compare" else [getattr(options, "recipe", None) or options.detector]
    assert set(named) <= {*Recipe.shipped(), *shipped_names()}
    if getattr(options, "save", None):
        stored = Comparison.load(ROOT / options.save)
        assert stored.recipes == named
        assert set(stored.runs["seed"]) == set(range(options.seeds))


def measured() -> list[tuple[str, str]]:
    """Each table but the contents and what papers say, and the text before it from the last table or heading on."""
    parts = re.split(r"((?:^\|.*\n)+|^## .*\n)", TEXT, flags=re.MULTILINE)
    tables = [(parts[place - 1], part) for place, part in enumerate(parts) if part.startswith("|")]
    return [(before, table) for before, table in tables if not table.startswith(("| section |", "| paper |"))]


@pytest.mark.parametrize(("before", "table"), measured(), ids=range(len(measured())))
def test_each_table_has_its_command_before_it(before, table):
    assert BLOCK.search(before), table
    compared = [command for command in commands(before) if command[:2] == ["workbench", "compare"]]
    if compared and table.startswith("| recipe |"):
        rows = re.findall(r"^\| `([^`]+)` \| (\d+) ", table, re.MULTILINE)
        asked = build_parser().parse_args(compared[-1][1:])
        assert {name for name, _ in rows} <= set(asked.recipes)
        assert rows[0] == (asked.recipes[0], str(asked.seeds))


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#:]+)\)", TEXT))))
def test_links(path):
    assert (ROOT / "docs" / path).exists()


def test_anchors_of_the_contents():
    titles = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    linked = re.findall(r"\]\(#([^)]+)\)", TEXT)
    assert linked
    assert set(linked) <= anchors
