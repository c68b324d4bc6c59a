"""Under what a run ran: versions, device, threads, and which code."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import torchvision

import workbench
from workbench.training.processes.world import World
from workbench.training.recording.fingerprint import code_fingerprint

PACKAGE = Path(workbench.__file__).resolve().parent


def describe_environment(world: World, precision: torch.dtype) -> dict[str, Any]:
    """Plain data for `environment.json`."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "platform": platform.platform(),
        "device": str(world.device),
        "device_name": device_name(world.device),
        "processes": world.size,
        "threads": world.threads,
        "precision": str(precision).removeprefix("torch."),
        "workbench": package_version(),
        "commit": commit(),
        "code": code_fingerprint(),
    }


def device_name(device: torch.device) -> str:
    """What the maker calls it."""
    if device.type in ("cuda", "xpu"):
        return torch.get_device_module(device).get_device_name(device)
    return _processor()


def package_version() -> str | None:
    """Version of the installed workbench."""
    try:
        return metadata.version("occlusion-workbench")
    except metadata.PackageNotFoundError:
        return None


@cache
def commit() -> str | None:
    """The git commit of the sources, with `+changes` if they differ from it; None outside a checkout."""
    if not (PACKAGE.parent / ".git").exists():
        return None
    try:
        revision = _git("rev-parse", "HEAD")
        return revision + ("+changes" if _git("status", "--porcelain", "--", "workbench") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
