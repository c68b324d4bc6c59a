"""Paths as users and recipes write them."""

from __future__ import annotations

import os
import re
from os import PathLike
from pathlib import Path

from workbench.errors import WorkbenchError


def user_path(path: str | PathLike[str], error: type[WorkbenchError]) -> Path:
    """`path` with ~ and ${VARIABLES} replaced, so that recipes need not name a machine's folders.

    Raises:
        error: a variable is not set.
    """
    text = os.path.expandvars(os.fspath(path))
    unset = re.search(r"\$\{?(\w+)\}?", text)
    if unset and unset[1] not in os.environ:
        raise error(f"{os.fspath(path)}: the variable {unset[1]} is not set; set it or write the path itself")
    return Path(text).expanduser()
