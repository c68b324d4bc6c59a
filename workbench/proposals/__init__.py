"""Where objects may be: proposals from a search, a file or a detector, as `target["proposals"]`."""

from __future__ import annotations

import inspect
from typing import Any

from workbench.data.dataset import Dataset
from workbench.errors import DataError
from workbench.proposals import detector, file, selective_search
from workbench.proposals.base import TOP, Computed, Source, WithProposals, prepare
from workbench.proposals.detector import DetectorProposals
from workbench.proposals.file import FileProposals, save_proposals
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
    "save_proposals",
    "searched",
    "with_proposals",
]


def with_proposals(data: Dataset, *, kind: str | None = None, top: int = TOP, **options: Any) -> WithProposals:
    """`data` with `Proposals` as `target["proposals"]`, at most `top` per image, best first.

    kind and its options:
        "selective-search": mode ("fast" or "quality"), longest, cache (see `SelectiveSearch`, `Computed`).
        "detector": name (as for `load_detector`), device, cache.
        "file": path, of COCO results (.json, with masks where it has some; turned into a table in `cache` once) or of
            the original Fast R-CNN's lists (.mat).
    What is computed is computed when it is first asked for, and kept; `.prepare(workers=8)` does it all at once.
    Raises DataError for an unknown kind or option, and for files that cannot be read.
    """
    kinds = {"selective-search": selective_search.make, "detector": detector.make, "file": file.make}
    if not isinstance(top, int) or top < 1:
        raise DataError(f"proposals: top is {top!r}; expected a number of proposals of at least 1")
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
