"""Widgets for JupyterLab. Each is imported when it is first asked for, so that one costs no other's imports."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AdversaryExplorer": "adversary_explorer",
    "AttentionExplorer": "attention_explorer",
    "DFVExplorer": "dfv_explorer",
    "DatasetBrowser": "dataset_browser",
    "ErrorBrowser": "error_browser",
    "FocalLossExplorer": "focal_loss_explorer",
    "OcclusionLab": "occlusion_lab",
    "PyramidExplorer": "pyramid_explorer",
    "RunMonitor": "run_monitor",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"widgets has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"widgets.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
