"""Proposals as data: `target["proposals"]`, where a detector such as Fast R-CNN looks for objects.

They are searched for (selective search, Uijlings et al. 2013, by OpenCV), read from a file, or made by a detector;
`workbench.with_proposals` is the entry to all of them. What has to be computed is kept on disk, a file per image.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from workbench.data.dataset import Dataset, Subset
from workbench.data.reading.problems import Problem
from workbench.data.reading.tables import cache_base
from workbench.errors import DataError
from workbench.files import user_path, whole_file, write_json
from workbench.progress import Bar
from workbench.proposals.reading.stored import as_bytes, from_bytes
from workbench.types import Proposals, Target

SMALLEST = 2.0  #: pixels; thinner boxes are left out
TOP = 2000  #: proposals per image, unless another number is given


class Source(Protocol):
    """Where the proposals of a data set come from."""

    problems: tuple[Problem, ...]

    def __call__(self, data: Dataset, index: int, image_id: int) -> Proposals:
        """Those of one image, best first."""
        ...


class WithProposals(Subset):
    """A data set whose targets hold `Proposals` as well, at most `top` of each image.

    They lie inside the image and are at least 2 pixels wide and high.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> source = {"kind": "detector", "name": "digit-scenes/faster-rcnn", "cache": "proposals"}
        >>> data = wb.with_proposals(data, **source, top=20).prepare(progress=False)
        >>> type(data).__name__, len(data.target(1)["proposals"])
        ('WithProposals', 20)
    """

    def __init__(self, whole: Dataset, source: Source, *, top: int = TOP):
        super().__init__(whole, slice(None))
        self.source, self.top = source, top
        self.problems = (*whole.problems, *source.problems)

    def target(self, index: int) -> Target:
        """The target of an image with its `proposals`."""
        target = super().target(index)
        found = Proposals.of(self.source(self.whole, self._position(index), target["image_id"]))
        target["proposals"] = found.inside(self.size(index), smallest=SMALLEST).top(self.top)
        return target

    def prepare(self, *, workers: int = 0, progress: bool = True) -> WithProposals:
        """Compute all proposals that are not on disk yet, in `workers` processes beside this one; returns itself."""
        prepare(self, workers=workers, progress=progress)
        return self


def prepare(
    data: Dataset,
    *,
    workers: int = 0,
    progress: bool = True,
    part: tuple[int, int] = (0, 1),
    proceed: Callable[[int, int], bool] | None = None,
) -> None:
    """Compute the proposals of data, or of a part of such data, that are not on disk yet.

    Images come in an order of this process's own, so that several that need the same share the work.

    Args:
        workers: processes beside this one.
        part: (i, n) computes the i-th of n equal parts only.
        proceed: asked after each image, with how many of how many are done; once it says False no more are computed.

    Raises:
        DataError: an image cannot be read, or the proposals cannot be kept.

    Example:
        >>> from pathlib import Path
        >>> def middle(image):  # [3, H, W]
        ...     return torch.tensor([[32.0, 32, 96, 96]])
        >>> source = Computed(middle, {"kind": "middle"}, cache="proposals")
        >>> data = WithProposals(wb.load_data("digit-scenes", length=2), source)
        >>> prepare(data, progress=False)
        >>> len(list(Path("proposals").rglob("*.safetensors")))
        2
    """
    rows = np.arange(len(data))
    while isinstance(data, Subset) and not isinstance(data, WithProposals):
        rows, data = np.asarray(data.indices, dtype=np.int64)[rows], data.whole
    if not isinstance(data, WithProposals) or not isinstance(data.source, Computed):
        return
    mine = np.random.default_rng(os.getpid()).permutation(rows[part[0] :: part[1]]).tolist()
    workers = workers if data.source.forks else 0
    steps = DataLoader(_Steps(data), batch_size=None, sampler=mine, num_workers=workers)
    bar = Bar(steps, desc=f"proposals of {data.name} {data.split}", disable=not progress)
    for done, _ in enumerate(bar, start=1):
        if proceed is not None and not proceed(done, len(mine)):
            break


class _Steps(torch.utils.data.Dataset):
    """Looking up item i makes the proposals of image i."""

    def __init__(self, data: WithProposals):
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> int:
        return len(self.data.target(index)["proposals"])


class Computed:
    """Proposals that are computed from an image's pixels once, and kept in `cache`.

    A file is found again by the content of the image and by `options`, whatever the data set is called. It appears
    whole or not at all; one that cannot be read is made anew.

    Args:
        propose: an image uint8 [3, H, W] → proposals, or bare boxes [P, 4] in xyxy pixels, best first.
        options: all that decides what `propose` gives, as plain values.
        cache: a folder; None is `occlusion-workbench/proposals` in the user's cache folder.

    Example:
        >>> def middle(image):  # [3, H, W]
        ...     return torch.tensor([[32.0, 32, 96, 96]])
        >>> source = Computed(middle, {"kind": "middle"}, cache="proposals")
        >>> data = WithProposals(wb.load_data("digit-scenes", length=2), source)
        >>> data.target(0)["proposals"].boxes.tolist()
        [[32.0, 32.0, 96.0, 96.0]]
    """

    problems: tuple[Problem, ...] = ()

    def __init__(
        self,
        propose: Callable[[Tensor], Proposals | Tensor],
        options: dict[str, Any],
        *,
        cache: str | Path | None = None,
    ):
        self.propose, self.options = propose, options
        text = json.dumps(options, sort_keys=True)
        self.folder = cache_folder(cache) / hashlib.sha256(text.encode()).hexdigest()[:16]
        self._names: dict[int, str] = {}

    @property
    def forks(self) -> bool:
        """Whether it can run in processes beside this one: a GPU cannot be used in a forked one."""
        return str(getattr(self.propose, "device", "cpu")).startswith("cpu")

    def __call__(self, data: Dataset, index: int, image_id: int) -> Proposals:
        if index not in self._names:
            self._names[index] = _content(data, index)
        name = self._names[index]
        path = self.folder / name[:2] / f"{name}.safetensors"
        try:
            found = from_bytes(path.read_bytes())
        except OSError:
            found = None
        if found is None:
            content = as_bytes(Proposals.of(self.propose(data.image(index).as_subclass(Tensor))))
            found = from_bytes(content)
            if found is None:
                raise DataError(f"{data.where(index)}: a box or score of its proposals is not finite")
            self._write(path, content)
        return found

    def _write(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            options = self.folder / "options.json"
            if not options.is_file():
                write_json(options, self.options, indent=1)
            with whole_file(path) as file:
                file.write(content)
        except OSError as error:
            raise DataError(
                f"{self.folder}: proposals cannot be kept here ({error.strerror or error}); name another folder as "
                "the option `cache`"
            ) from error


def cache_folder(given: str | Path | None) -> Path:
    """Where proposals are kept: `given`, or `occlusion-workbench/proposals` in the user's cache folder."""
    if given is not None:
        return user_path(given, DataError)
    return cache_base() / "proposals"


def _content(data: Dataset, index: int) -> str:
    """A name for what an image shows: of its file where there is one, else of its pixels."""
    path = data.path(index)
    try:
        content = path.read_bytes() if path is not None else data.image(index).numpy().tobytes()
    except OSError as error:
        raise DataError(f"{path}: this image cannot be read ({error.strerror or error})") from error
    return hashlib.blake2b(content, digest_size=16).hexdigest()
