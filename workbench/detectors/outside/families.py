"""What `wrap` must know of a family of detectors: what belongs to it, what its labels mean, and how it is asked."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from workbench.detectors.layers.inputs import as_bytes
from workbench.detectors.outside.box_forms import BoxForm
from workbench.errors import DataError

LOWEST = 0.05  #: the score from which torchvision, detectron2 and RetinaNet keep detections when AP is measured


class Family(ABC):
    """One detector of a family, and how it is asked. Subclasses take the options of their family by name.

    Args:
        thing: the detector, as its own framework has it.
    """

    called: ClassVar[str]  #: the family, in messages
    takes: ClassVar[str]  #: what is to be given, in messages

    module: nn.Module | None = None  #: what goes to a device with the detector that wraps it
    names: Mapping[int, str] | None = None  #: its own label → class, where it knows them
    num_labels: int | None = None  #: of its own, background among them, where that is known without names
    first_label: int = 0  #: where labels count from into names that are given
    background: str | None = None  #: "first" or "last": where the scores of all classes have the one of none
    boxes: BoxForm = "xyxy"
    relative: bool = False  #: boxes are fractions of the image
    gives_masks: bool = False
    scores_boxes: bool = False  #: whether it has `score_boxes`

    def __init__(self, thing: Any):
        self.thing = thing
        self.notes: list[str] = []  #: what to know when figures of it are read

    @property
    def name(self) -> str:
        """Of the detector, for messages."""
        return getattr(self.thing, "__name__", None) or type(self.thing).__name__

    @classmethod
    @abstractmethod
    def recognises(cls, thing: Any) -> bool:
        """Whether a thing belongs to the family; what is not installed is not imported."""

    @abstractmethod
    def ask(self, images: Sequence[Tensor], device: torch.device) -> Sequence[Any]:
        """An answer for each image [3, H, W], uint8 or float, in a form that `read_answer` knows."""

    def score_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor], device: torch.device) -> list[Tensor]:
        """Scores [N, C] of given boxes [N, 4] of each image, for all of its own classes."""
        raise DataError(f"{self.name}: {self.called} cannot score given boxes")

    def check_threshold(self, kept: float | None, given: float | None) -> None:
        """Note that a score from which detections are kept lowers AP, unless it was asked for."""
        if given is None and kept is not None and kept > LOWEST:
            what = f"it leaves out detections that score below {kept:g}, which lowers AP"
            self.notes.append(f"{self.name}: {what}; wrap(..., score_threshold={LOWEST:g}) keeps them")


def made_by(thing: Any, package: str, names: str) -> bool:
    """Whether the class of a thing, or one that it is made from, is of a package and has a name of the pattern."""
    kinds = [] if isinstance(thing, type) else type(thing).__mro__
    return any(one.__module__.partition(".")[0] == package and re.fullmatch(names, one.__name__) for one in kinds)


def arrays_of(images: Sequence[Tensor], *, bgr: bool = False) -> list[np.ndarray]:
    """Images as arrays uint8 [H, W, 3] of their own memory, red first, or blue first.

    Raises:
        DataError: something is no image.
    """
    arrays = [image.permute(1, 2, 0).numpy() for image in as_bytes(images)]
    return [np.ascontiguousarray(array[..., ::-1]) if bgr else array.copy() for array in arrays]
