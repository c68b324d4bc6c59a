"""The entry to proposals of any kind: searched for, from a file, or made by a detector."""

from __future__ import annotations

import hashlib
import inspect
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from workbench.data.dataset import Dataset
from workbench.data.proposal_files import FileProposals
from workbench.data.proposals import TOP, Computed, SelectiveSearch, Source, WithProposals
from workbench.detectors.base import Detector
from workbench.detectors.find import locate
from workbench.detectors.load import load_detector
from workbench.errors import DataError


class DetectorProposals:
    """What a saved detector proposes: its region proposal network's boxes, or its detections where it has none.

    Args:
        name: as for `load_detector`.
        top: boxes per image, best first.
        device: where it runs; it is loaded when the first image is asked for.
    """

    def __init__(self, name: str | Path, *, top: int, device: str = "cpu"):
        self.path, self.top, self.device = locate(name), top, device

    @property
    def options(self) -> dict[str, Any]:
        """What decides its boxes."""
        weights = hashlib.sha256(self.path.read_bytes()).hexdigest()
        return {"kind": "detector", "weights": weights, "top": self.top, "revision": 1}

    @cached_property
    def detector(self) -> Detector:
        """The detector, on its device."""
        return load_detector(self.path, self.device)

    def __call__(self, image: Tensor) -> Tensor:
        """Boxes [P, 4] of an image uint8 [3, H, W]."""
        return self.detector.proposals([image], self.top)[0].cpu()


def with_proposals(
    data: Dataset, *, kind: str | None = None, top: int = TOP, **options: Any
) -> WithProposals:
    """`data` with `target["proposals"]`, at most `top` boxes per image, best first.

    kind and its options:
        "selective-search": mode ("fast" or "quality"), longest, cache (see `SelectiveSearch`, `Computed`).
        "detector": name (as for `load_detector`), device, cache.
        "file": path, of COCO results (.json; turned into a table in `cache` once) or of the original Fast R-CNN's
            lists (.mat).
    What is computed is computed when it is first asked for, and kept; `.prepare(workers=8)` does it all at once.
    Raises DataError for an unknown kind or option, and for files that cannot be read.
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
