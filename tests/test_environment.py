"""environment.yml and pyproject.toml must name the same packages and versions."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
#: conda-forge's names where they differ from the package index's.
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}


def requirement(text: str) -> tuple[str, str]:
    """('torch', '>=2.11') of 'torch>=2.11'."""
    name, version = re.fullmatch(r"([A-Za-z0-9_.-]+?)([<>=!~].*)?", text).groups()
    return CONDA_NAMES.get(name, name), version or ""


def test_conda_environment_equals_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {requirement(r) for r in project["dependencies"] + project["optional-dependencies"]["test"]}
    wanted.add(("python", project["requires-python"]))
    found = set()
    for entry in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]:
        names = entry["pip"] if isinstance(entry, dict) else [entry]
        found |= {requirement(name) for name in names if name not in ("pip", "-e .")}
    assert found == wanted


def test_no_address_of_a_package_index():
    for name in ("pyproject.toml", "environment.yml", "Makefile", ".ci/run"):
        assert "http" not in (ROOT / name).read_text(), name
