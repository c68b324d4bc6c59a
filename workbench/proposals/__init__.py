"""Where objects may be: proposals from a search, a file or a detector, as `target["proposals"]`."""

from __future__ import annotations

import inspect
from typing import Any

from workbench.data.dataset import Dataset
from workbench.errors import DataError
from workbench.proposals.base import TOP, Computed, Source, WithProposals, prepare
from workbench.proposals.detector import DetectorProposals
from workbench.proposals.file import FileProposals
from workbench.proposals.selective_search import SelectiveSearch, searched

__all__ = [
    "TOP",
    "Computed",
    "DetectorProposals",
    "FileProposals",
    "SelectiveSearch",
    "Source",
    "WithProposals",
    "prepare",
    "searched",
    "with_proposals",
]


def with_proposals(data: Dataset, *, kind: str | None = None, top: int = TOP, **options: Any) -> WithProposals:
    """`data` with `target["proposals"]`, at most `top` boxes per image, best first.

    kind and its options:
        "selective-search": mode ("fast" or "quality"), longest, cache (see `SelectiveSearch`, `Computed`).
        "detector": name (as for `load_detector`), device, cache.
        "file": path, of COCO results (.json; turned into a table in `cache` once) or of the original Fast R-CNN's
            lists (.mat).
    What is computed is computed when it is first asked for, and kept; `.prepare(workers=8)` does it all at once.
    Raises DataError for an unknown kind or option, and for files that cannot be read.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> source = {"kind": "detector", "name": "digit-scenes/faster-rcnn", "cache": "proposals"}
        >>> data = wb.with_proposals(data, **source, top=50)
        >>> len(data.target(0)["proposals"])
        50
    """
    kinds = {"selective-search": _selective_search, "detector": _detector, "file": _file}
    if not isinstance(top, int) or top < 1:
        raise DataError(f"proposals: top is {top!r}; expected a number of boxes of at least 1")
    if kind not in kinds:
        raise DataError(f"there are no proposals of kind {kind!r}; choose one of {sorted(kinds)}")
    known = [name for name in inspect.signature(kinds[kind]).parameters if name not in ("data", "top")]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise DataError(f"{kind} proposals have no option {', '.join(unknown)}; they have {', '.join(known)}")
    try:
        source = kinds[kind](data, top, **options)
    except TypeError as error:
        raise DataError(f"{kind} proposals: {error}") from error
    return WithProposals(data, source, top=top)


def _selective_search(
    data: Dataset, top: int, mode: str = "fast", longest: int = 500, cache: str | None = None
) -> Source:
    search = SelectiveSearch(mode=mode, longest=longest)
    return Computed(search, search.options, cache=cache)


def _detector(data: Dataset, top: int, name: str, device: str = "cpu", cache: str | None = None) -> Source:
    propose = DetectorProposals(name, top=top, device=device)
    return Computed(propose, propose.options, cache=cache)


def _file(data: Dataset, top: int, path: str, cache: str | None = None) -> Source:
    return FileProposals(path, data, cache=cache)
