"""Notebooks that report can be run with other numbers and other stored results, as papermill does it."""

from __future__ import annotations

import ast
from pathlib import Path

import papermill
import pytest

ROOT = Path(__file__).parents[1]
REPORTS = sorted(path for path in (ROOT / "notebooks").glob("*.ipynb") if path.name != "00_quickstart.ipynb")


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_parameters_are_found_and_used(path, tmp_path):
    found = papermill.inspect_notebook(path)
    assert found, "no cell is tagged parameters"
    given = {name: 7 if name.endswith(("measured", "audited")) else "elsewhere" for name in found}
    prepared = papermill.execute_notebook(path, tmp_path / "out.ipynb", given, prepare_only=True)
    tags = [cell.metadata.get("tags", []) for cell in prepared.cells]
    place = tags.index(["parameters"])
    assert tags[place + 1] == ["injected-parameters"]
    injected = ast.parse(prepared.cells[place + 1].source).body
    assert {line.targets[0].id: line.value.value for line in injected} == given
    after = [ast.parse(cell.source) for cell in prepared.cells[place + 2 :] if cell.cell_type == "code"]
    names = [node for cell in after for node in ast.walk(cell) if isinstance(node, ast.Name)]
    assert set(given) <= {node.id for node in names}
    assert not set(given) & {node.id for node in names if isinstance(node.ctx, ast.Store)}


def test_a_notebook_runs_with_other_numbers(tmp_path):
    path = ROOT / "notebooks" / "10_the_claims.ipynb"
    given = {"scenes_measured": 12, "stored": str(ROOT / "notebooks" / "results")}
    done = papermill.execute_notebook(path, tmp_path / "out.ipynb", given, cwd=tmp_path, progress_bar=False)
    cell = next(cell for cell in done.cells if "score_regions" in cell.source)
    (printed,) = (output.text for output in cell.outputs)
    assert {line.split()[-4] for line in printed.splitlines()[1:]} == {"96"}  # 8 regions in each of 12 scenes
