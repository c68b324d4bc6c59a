"""Where saved detectors lie. Apart from `load`, so that a misspelt name is reported before torch is imported."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import WeightsError, did_you_mean
from workbench.files import user_path

SHIPPED = Path(__file__).parents[1] / "weights"


def shipped_names() -> list[str]:
    """Names that `load_detector` knows without a path."""
    return sorted(str(path.relative_to(SHIPPED))[: -len(path.suffix)] for path in SHIPPED.rglob("*.safetensors"))


def locate(name: str | Path) -> Path:
    """The weights file meant by a shipped name, a file or a run's folder.

    Raises:
        WeightsError: none of them exists; the message lists the shipped names.
    """
    path = user_path(name, WeightsError)
    if path.is_dir():
        final = path / "detector.safetensors"
        if not final.is_file():
            raise WeightsError(
                f"{path} has no detector.safetensors; of a run that has not finished, give the Run: Run.open(path)"
            )
        return final
    if path.is_file():
        return path
    shipped = SHIPPED / f"{name}.safetensors"
    if shipped.is_file() and SHIPPED in shipped.resolve().parents:
        return shipped
    hint = did_you_mean(str(name), shipped_names())
    raise WeightsError(f"there is no detector {str(name)!r}: give a name, a file or a finished run{hint}")
