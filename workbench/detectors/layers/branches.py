"""The seam for what a detector predicts beside classes and boxes, such as masks of objects or a map of occlusion.

A branch has its own losses and its own addition to `Detections`. One on RoIs (`RoIBranch`) is held by the RoI head
and learns from the RoIs that the head has drawn; one on whole images (`ImageBranch`) is held by the detector and sees
the backbone's maps. Who holds branches knows none of them by name: it runs a list.

The modules of a branch belong to its holder, under the names that the branch gives them (`parts`), so that a
state dict reads as if they had always been there: `roi_heads.mask_head.*`, as in torchvision. The branch itself is no
module, and only keeps references to them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from workbench.errors import WorkbenchError
from workbench.types import Detections, Losses


class RoISamples(NamedTuple):
    """The RoIs that a step learns from, each part a list over images."""

    boxes: list[Tensor]  #: [S, 4] xyxy pixels of the network's input
    labels: list[Tensor]  #: [S] int64, 0 = background
    truth: list[Tensor]  #: [S, 4], the boxes that they should become
    owners: list[Tensor]  #: [S] int64, the object of the target that each belongs to

    def take(self, rows: list[Tensor]) -> RoISamples:
        """Only these rows of each image."""
        return RoISamples(*([part[some] for part, some in zip(each, rows, strict=True)] for each in self))

    def objects(self) -> RoISamples:
        """Those that are not background."""
        return self.take([torch.where(label > 0)[0] for label in self.labels])


class Branch(ABC):
    """What every branch says of itself."""

    #: Keys of targets with the pixels to learn from: `masks...` of objects [N, H, W], `mask_...` of the image [H, W].
    #: `losses` is given them as uint8 in the size of the network's input, without crowds and difficult objects.
    learns_from: tuple[str, ...] = ()
    #: False: an image without those keys teaches this branch nothing, and is no error.
    needs_every_image: bool = True
    #: What it adds to `Detections`: "masks", or names of `extras`.
    gives: tuple[str, ...] = ()

    @property
    @abstractmethod
    def parts(self) -> Mapping[str, nn.Module]:
        """Its modules, by the names that they have in the state dict of the holder."""


class RoIBranch(Branch):
    """A branch of the RoI head: it may pool features of its own, which no hardener has touched."""

    @abstractmethod
    def losses(self, features: list[Tensor], rois: RoISamples, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Named scalar losses, already weighted.

        Args:
            features: maps [B, C, h, w] of the backbone, fine to coarse.
            rois: those that the head has drawn, as it has moved and mined them.
            targets: `boxes`, `labels` and what the branch learns from, in pixels of the network's input.
        """

    @abstractmethod
    def extend(
        self,
        found: list[Detections],
        features: list[Tensor],
        boxes: list[Tensor],
        sizes: list[tuple[int, int]],
    ) -> None:
        """Add to the detections of each image, in place: `masks`, or something in `extras`.

        Args:
            found: in pixels of the images as they came.
            features: maps [B, C, h, w] of the backbone, fine to coarse.
            boxes: those of `found` [N, 4] in pixels of the network's input.
            sizes: height and width of the images as they came, in pixels.
        """


class ImageBranch(Branch):
    """A branch of the detector, on the backbone's maps of whole images."""

    @abstractmethod
    def losses(self, batch: ImageList, features: list[Tensor], targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Named scalar losses, already weighted.

        Args:
            batch: the images as the network sees them; each fills the upper left of its place.
            features: maps [B, C, h, w] of the backbone, fine to coarse.
            targets: as for `RoIBranch.losses`.
        """

    @abstractmethod
    def extend(
        self, found: list[Detections], batch: ImageList, features: list[Tensor], sizes: list[tuple[int, int]]
    ) -> None:
        """Add to the detections of each image, in place; arguments as for `losses` and `RoIBranch.extend`."""


Kind = TypeVar("Kind", bound=Branch)


class HoldsBranches(Generic[Kind]):
    """For an RoI head or a detector: a list of branches whose modules are its own."""

    branches: tuple[Kind, ...] = ()

    def add_branch(self, branch: Kind) -> None:
        """Have `branch` from now on.

        Raises:
            WorkbenchError: a name of its `parts` is taken.
        """
        taken = [name for name in branch.parts if hasattr(self, name)]
        if taken:
            what = f"a {type(branch).__name__} has a part {taken[0]!r}"
            raise WorkbenchError(f"{what}, and {type(self).__name__} has that name already; give the part another")
        for name, part in branch.parts.items():
            self.add_module(name, part)  # type: ignore[attr-defined]  # of nn.Module, which all holders are
        self.branches = (*self.branches, branch)

    def add_branch_losses(self, losses: Losses, *seen: Any) -> None:
        """Add those of all branches to `losses`, in place; `seen` is what `Branch.losses` is given.

        All that learns in a branch gets a gradient, be it zero where a batch has no labels for it: processes that
        train together wait for one from each other.

        Raises:
            WorkbenchError: a loss of a name that is taken.
        """
        for branch in self.branches:
            found = dict(branch.losses(*seen))  # type: ignore[attr-defined]  # each kind with its own arguments
            learning = [one for part in branch.parts.values() for one in part.parameters() if one.requires_grad]
            losses.add(found, branch)
            if learning:
                name = next(iter(found or losses))
                losses[name] = losses[name] + 0.0 * torch.stack([one.sum().float() for one in learning]).sum()

    def extend_detections(self, found: list[Detections], *seen: Any) -> None:
        """Let all branches add to the detections of each image; `seen` is what `Branch.extend` is given.

        Raises:
            WorkbenchError: a branch puts its own in the place of what another has added.
        """
        for branch in self.branches:
            before = [_added(one) for one in found]
            branch.extend(found, *seen)  # type: ignore[attr-defined]
            for was, one in zip(before, found, strict=True):
                now = _added(one)
                for name in (name for name, value in was.items() if now.get(name) is not value):
                    what = f"a {type(branch).__name__} replaces {name!r} of the detections"
                    raise WorkbenchError(f"{what}, which another branch has added; give it another name")


def _added(found: Detections) -> dict[str, Tensor]:
    """What branches have added so far, by name."""
    return found.extras | ({} if found.masks is None else {"masks": found.masks})


def branch_prefixes(module: nn.Module) -> tuple[str, ...]:
    """How the names of all that belongs to a branch begin in the state dict of `module`."""
    holders = [(name, part) for name, part in module.named_modules() if isinstance(part, HoldsBranches)]
    parts = [(name, own) for name, holder in holders for branch in holder.branches for own in branch.parts]
    return tuple(f"{name}.{own}." if name else f"{own}." for name, own in parts)


def all_branches(detector: nn.Module) -> list[Branch]:
    """Those of a detector and of all its parts."""
    return [branch for part in detector.modules() if isinstance(part, HoldsBranches) for branch in part.branches]
