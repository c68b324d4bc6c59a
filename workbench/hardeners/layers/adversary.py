"""What the adversaries of A-Fast-RCNN share: a network built for the head that they play against.

The paper begins two fully connected layers of each adversary with the weights of the detector's fc6 and fc7 and adds
an output layer ("its own separate fully connected layers", sec. 4.2). A hardener knows no detector, so the detector
hands its `HeadLayout` to `bind_head` when it is built. The weights are copied when the adversary first learns, not
when it is built: with ImageNet weights that makes little difference, but a head that began at random (feature
pyramids) is worth copying only after the stage that trained it. A flag among the weights says that it was done, so
that a run that is resumed goes on with what it has learned.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.errors import WorkbenchError
from workbench.hardeners.base import Hardener
from workbench.types import HeadLayout, RoIBatch, TrainingStage

LARGEST_MAP = 7  #: cells per side that fully connected layers see where the head has none to copy


class FullyConnected(nn.Module):
    """fc6 and fc7 like the head's, and an output layer: [R, C, h, w] → [R, outputs].

    Where the head begins with no linear layers, the two are new ones of `width`, on features averaged to at most
    7 x 7 cells. The output layer begins small (normal, standard deviation 0.01), as Fast R-CNN's new layers do.
    """

    def __init__(self, head: HeadLayout, outputs: int, *, width: int = 1024):
        super().__init__()
        self._layers = head.layers[:2]  # in a tuple, so that the head's own parameters stay the head's
        if len(self._layers) == 2:
            inputs, first, second = head.channels * head.size**2, *(fc.out_features for fc in self._layers)
            self.pool: nn.Module = nn.Identity()
        else:
            side = min(head.size, LARGEST_MAP)
            inputs, first, second = head.channels * side**2, width, width
            self.pool = nn.AdaptiveAvgPool2d(side)
        self.fc6 = nn.Linear(inputs, first)
        self.fc7 = nn.Linear(first, second)
        self.out = nn.Linear(second, outputs)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("begun", torch.tensor(False))

    @torch.no_grad()
    def begin(self) -> None:
        """Copy the head's present fc6 and fc7, once."""
        if len(self._layers) == 2 and not self.begun:
            self.fc6.load_state_dict(self._layers[0].state_dict())
            self.fc7.load_state_dict(self._layers[1].state_dict())
        self.begun.fill_(True)

    def forward(self, features: Tensor) -> Tensor:
        """[R, C, h, w] → [R, outputs]."""
        hidden = F.relu(self.fc6(self.pool(features).flatten(1)))
        return self.out(F.relu(self.fc7(hidden)))


@runtime_checkable
class DropsCells(Protocol):
    """A hardener that drops cells by a heat map of its own, such as ASDN."""

    fall: float  #: it learns from a mask that lowers the probability of the true class by more than this
    drop: float  #: share of the cells that are dropped
    pool: float  #: share of the cells that they are drawn from

    def heat(self, features: Tensor) -> Tensor:
        """How much each cell would be missed, [R, h, w] in 0..1, of features [R, C, h, w]."""
        ...

    def sample(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """A mask [R, 1, h, w] for each of features [R, C, h, w], 1 = kept."""
        ...


@runtime_checkable
class TurnsBlocks(Protocol):
    """A hardener that rotates blocks of channels, such as ASTN."""

    limit: float  #: degrees either way
    blocks: int

    def angles(self, features: Tensor) -> Tensor:
        """Angles [R, blocks] in radians for features [R, C, h, w]."""
        ...

    def turn(self, features: Tensor, angles: Tensor) -> Tensor:
        """Features [R, C, h, w] with each block rotated by its angle [R, blocks]."""
        ...


class Adversary(Hardener, ABC):
    """A hardener with a network; methods implement `build` and `decide`."""

    #: About what `health["mask_entropy"]` is if its map is the same for all objects; None: it makes no such masks.
    fixed_mask_entropy: float | None = None

    def __init__(self) -> None:
        super().__init__()
        self.net: nn.Module | None = None
        self.learning = "both"  #: who learns in the present stage
        self._figures: dict[str, Tensor] = {}

    @abstractmethod
    def build(self, head: HeadLayout) -> nn.Module:
        """The network for a head."""

    def bind_head(self, layout: HeadLayout) -> None:
        """Build the network.

        Raises:
            RecipeError: the method does not fit the head.
        """
        self.net = self.build(layout)

    def begin_stage(self, stage: TrainingStage) -> None:
        """Remember who learns, and begin with the head's weights where that was not done."""
        super().begin_stage(stage)
        self.learning = stage.train
        if stage.train != "detector" and isinstance(self.net, FullyConnected):
            self.net.begin()

    @property
    def health(self) -> dict[str, float]:
        """Figures of the last step; see the method."""
        return {name: float(value) for name, value in self._figures.items()}

    def run(self, features: Tensor) -> Tensor:
        """The network's outputs in float32."""
        if self.net is None:
            raise WorkbenchError(
                f"{type(self).__name__} has no network yet: give it to build_detector, or call bind_head with the "
                "layout of a head"
            )
        return self.net(features).float()

    def idle_loss(self) -> Tensor | None:
        """Zero with gradients of zero where nobody else learns, so that such a step can be taken."""
        return 0.0 * sum(parameter.sum() for parameter in self.parameters()) if self.learning == "hardener" else None

    def note(self, batch: RoIBatch, rows: Tensor, **figures: Tensor) -> None:
        """Keep figures of this step, and the share of foreground RoIs that are hardened."""
        foreground = (batch.labels > 0).sum().clamp(min=1)
        hardened = (batch.labels[rows] > 0).sum()
        self._figures = {"hardened": hardened / foreground, **{n: v.detach() for n, v in figures.items()}}
