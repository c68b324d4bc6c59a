"""Widgets are found by their files: one class each, imported when it is asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import ipywidgets
import pytest

import widgets

FOLDER = Path(widgets.__file__).parent
FILES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
UNSEEN = """
import sys
import widgets
print(dir(widgets), [name for name in sys.modules if name.startswith("widgets.") or name == "torch"])
"""


def test_twelve_widgets_by_name_and_what_links_them():
    expected = (
        "AdversaryExplorer Annotator AttentionExplorer DFVExplorer DatasetBrowser ErrorBrowser FaceExplorer "
        "FocalLossExplorer OcclusionLab ProposalExplorer PyramidExplorer RunMonitor"
    )
    assert widgets.__all__ == [*expected.split(), "link"]


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_one_widget(file):
    """A class whose name is the file's, and no other public class."""
    tree = ast.parse((FOLDER / f"{file}.py").read_text(encoding="utf-8"))
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    assert [name.lower() for name in classes] == [file.replace("_", "")]
    assert issubclass(getattr(widgets, classes[0]), ipywidgets.DOMWidget)


def test_names_are_known_without_an_import():
    done = subprocess.run(
        [sys.executable, "-c", UNSEEN], capture_output=True, text=True, check=True, cwd=FOLDER.parent
    )
    assert done.stdout.strip() == f"{widgets.__all__} []"


def test_a_new_file_is_a_new_widget(tmp_path):
    (tmp_path / "gaze_map.py").write_text("class Part:\n    pass\n\n\nclass GazeMap(Part):\n    pass\n")
    (tmp_path / "_private.py").write_text("class Private:\n    pass\n")
    assert widgets._found(tmp_path) == {"GazeMap": "gaze_map"}


def test_what_there_is_not_is_named():
    with pytest.raises(AttributeError, match="widgets has no 'Explorer'; it has AdversaryExplorer, "):
        widgets.Explorer  # noqa: B018
