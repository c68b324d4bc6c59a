"""Where objects may be: proposals from a search, a file or a detector, as `target["proposals"]`."""

from __future__ import annotations

from typing import Any

from workbench.data.dataset import Dataset
from workbench.proposals.base import TOP, Computed, Source, WithProposals, prepare
from workbench.proposals.file import save_proposals
from workbench.proposals.selective_search import SelectiveSearch, searched
from workbench.registry import PROPOSALS

__all__ = [
    "TOP",
    "Computed",
    "SelectiveSearch",
    "Source",
    "WithProposals",
    "prepare",
    "save_proposals",
    "searched",
    "with_proposals",
]


def with_proposals(data: Dataset, *, kind: str | None = None, top: int = TOP, **options: Any) -> WithProposals:
    """`data` with `Proposals` as `target["proposals"]`.

    Proposals that have to be computed are computed when they are first asked for, and kept;
    `.prepare(workers=8)` computes all of them at once.

    Args:
        kind: "selective-search", "detector", "file", or one that is plugged in.
        top: proposals per image at most, best first.
        options: of the kind:
            "selective-search": mode ("fast" or "quality"), longest, cache (see `SelectiveSearch`, `Computed`).
            "detector": name (as for `load_detector`), device, cache.
            "file": path, of COCO results (.json, with masks where it has some; turned into a table in `cache` once)
                or of the original Fast R-CNN's lists (.mat).

    Raises:
        DataError: an unknown kind or option, or a file that cannot be read.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> source = {"kind": "detector", "name": "digit-scenes/faster-rcnn", "cache": "proposals"}
        >>> data = wb.with_proposals(data, **source, top=50)
        >>> len(data.target(0)["proposals"])
        50
    """
    source = PROPOSALS.build({**options, "kind": kind, "top": top}, data)
    return WithProposals(data, source, top=top)
