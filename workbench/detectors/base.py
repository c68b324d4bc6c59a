"""What every detector offers, whatever its architecture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.image_list import ImageList

from workbench.detectors.layers.branches import all_branches
from workbench.detectors.layers.stages import begin_stage_of_parts
from workbench.errors import RecipeError, WorkbenchError
from workbench.registry import DETECTORS, HARDENERS
from workbench.types import Detections, HeadLayout, Losses, Proposals, Score, Target, TrainingStage

if TYPE_CHECKING:
    from workbench.data.dataset import Dataset
    from workbench.data.pairs import PairSet
    from workbench.detectors.layers.dense_anchors import AnchorScores
    from workbench.detectors.layers.roi_pool import PyramidPool
    from workbench.hardeners import Hardener


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put `module` in evaluation mode without gradients; restore every submodule's own mode afterwards.

    Example:
        >>> layer = torch.nn.Dropout()
        >>> with evaluating(layer):
        ...     print(layer(torch.ones(3)), torch.is_grad_enabled())
        tensor([1., 1., 1.]) False
        >>> layer.training
        True
    """
    learning = [part for part in module.modules() if part.training]  # mostly none, and to set them all takes long
    for part in learning:
        part.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for part in learning:
            part.training = True


class Detector(nn.Module):
    """A module that learns by `losses` and looks by `detect`, whose results do not depend on `self.training`.

    Images are lists of uint8 or float (0..1) tensors [3, H, W] of any sizes; boxes are xyxy pixels of the image
    as given. `hardener` acts in `losses` only.

    What a kind can do stands on its class, and is asked there by recipes, doctor, command line and notebooks: by
    attributes, or by the methods that the protocols of this module name. `asked` says what a detector lacks.

    Example:
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> detector.kind, detector.hardens, detector.needs_proposals
        ('faster-rcnn', 'maps', False)
        >>> images, targets = zip(*wb.load_data("digit-scenes", length=2))
        >>> sorted(detector.losses(images, targets))
        ['box', 'classifier', 'objectness', 'rpn_box']
    """

    kind: ClassVar[str] = ""  #: its name in recipes
    task: ClassVar[str] = "detection"  #: or "classification", "reconstruction": what it learns from, how it is judged
    hardens: ClassVar[str | None] = None  #: what hardeners may act on: "maps" of RoIs, or "vectors"; None: nothing
    needs_start: ClassVar[bool] = False  #: whether it must start from a trained detector
    learns_from_patches: ClassVar[bool] = False  #: whether `samples` are parts of images, each about one object
    proposes: ClassVar[bool] = False  #: whether `proposals` are its own, and not its detections
    grows: ClassVar[tuple[str, ...]] = ()  #: names of parts that the detector it starts from need not have

    classes: tuple[str, ...]  #: names of labels 1..K
    hardener: nn.Module | None  #: acts in `losses`
    config: dict  #: rebuilds the detector: build_detector(config, classes)
    about: dict = {}  # noqa: RUF012, replaced and never changed; what its file says, such as the recipe
    needs_proposals: bool = False  #: whether `detect` and `losses` work only on proposals that they are given

    def __init__(self) -> None:
        super().__init__()
        self.hardener, self.config = None, {}

    @property
    def needs_labels(self) -> tuple[str, ...]:
        """Keys of the pixels that every target must have for `losses`, beside boxes and labels."""
        needed = [branch for branch in all_branches(self) if branch.needs_every_image]
        return tuple(dict.fromkeys(key for branch in needed for key in branch.learns_from))

    @property
    def mask_key(self) -> str | None:
        """Where targets have the masks that those of its detections or proposals should be; None: it gives none."""
        giving = [branch for branch in all_branches(self) if "masks" in branch.gives]
        return next((key for branch in giving for key in branch.learns_from if key.startswith("masks")), None)

    def take_hardener(self, hardener: Hardener | None) -> None:
        """Let `hardener` act in `losses` from now on; None: none. Adversaries learn of the head they play against.

        Raises:
            RecipeError: it does not fit; the detector keeps the one that it has.
        """
        if hardener is not None:
            check_hardener(type(self), hardener.acts_on)
            if isinstance(self, HasHead):
                hardener.bind_head(self.head_layout())
        self.hardener = hardener

    def begin_stage(self, stage: TrainingStage) -> None:
        """Take up a stage of the training; while only the hardener learns, BatchNorm keeps its statistics."""
        begin_stage_of_parts(self, stage)
        self.train(stage.train != "hardener")
        if self.hardener is not None:
            self.hardener.train()

    def proposals(self, images: Sequence[Tensor], top: int) -> list[Proposals]:
        """At most `top` of each image where objects may be, best first; here its detections, with their masks."""
        return [Proposals.of(found[:top]) for found in asked(self, Detects).detect(images)]

    def samples(self, data: Dataset) -> Dataset:
        """What training shows it of `data`, item by item; here the images themselves."""
        return data

    def start_module(self) -> nn.Module:
        """The module that training can start from a saved detector's weights in: all of it, or a part."""
        return self

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> Losses:
        """The same as `losses`, so that wrappers such as DistributedDataParallel work."""
        return asked(self, Learns).losses(images, targets, generator)

    @property
    def notes(self) -> Sequence[str]:
        """What to know when its figures are read, such as a score below which it keeps nothing; mostly nothing."""
        return ()

    @property
    def device(self) -> torch.device:
        """Where the parameters are; without any, the CPU."""
        parameter = next(self.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device


@runtime_checkable
class Learns(Protocol):
    """A detector that can be trained."""

    def losses(
        self, images: Sequence[Tensor], targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> Losses:
        """Training losses of a batch, scalars by name.

        Args:
            images: [3, H, W] each, uint8 or float in 0..1.
            targets: what is known of each image; boxes [N, 4] are xyxy pixels.
            generator: the only source of sampling (default: torch's own).

        Raises:
            DataError: an image or a target is not what it should be.
        """
        ...


@runtime_checkable
class Detects(Protocol):
    """A detector of objects, with classes and boxes."""

    def detect(
        self, images: Sequence[Tensor], proposals: Sequence[Proposals | Tensor] | None = None
    ) -> list[Detections]:
        """Detections of each image, without gradients.

        Args:
            images: [3, H, W] each, uint8 or float in 0..1.
            proposals: of each image, or boxes [P, 4] in xyxy pixels; only detectors that need them look at them.
        """
        ...


@runtime_checkable
class ScoresBoxes(Protocol):
    """A detector that can say what it thinks of given boxes."""

    def score_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Class probabilities [N, K+1] of given boxes [N, 4] of each image, without gradients."""
        ...


@runtime_checkable
class HasBoxLogits(Protocol):
    """A detector whose scores of given boxes can be led back to what is inside its network, by gradients."""

    def box_logits(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Class logits [N, K+1] of given boxes [N, 4] of each image, in the order of labels, with their graph.

        They are what `score_boxes` makes its probabilities of, in whatever mode the detector is.
        """
        ...


@runtime_checkable
class HasHead(Protocol):
    """A detector with a head that adversaries can play against."""

    def head_layout(self) -> HeadLayout:
        """What an adversary must know of the head."""
        ...


@runtime_checkable
class HasRoIs(Protocol):
    """A detector that pools features of boxes and classifies them by a head: what hardeners of maps act on."""

    def roi_features(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Pooled features [R, C, h, w] of given boxes of all images, in order: what a hardener would see."""
        ...

    def head_score(self) -> Score:
        """The head as a function of pooled features, parameters frozen."""
        ...


@runtime_checkable
class HasRoILevels(Protocol):
    """A detector that pools each box from one of several maps."""

    def roi_pool(self) -> PyramidPool:
        """What pools them."""
        ...


@runtime_checkable
class HasAnchors(Protocol):
    """A detector that looks for objects at anchors."""

    def anchors_for(self, height: int, width: int) -> Tensor:
        """Anchors [A, 4] in pixels of an image of this size, for checking data against the detector."""
        ...


@runtime_checkable
class HasLevels(Protocol):
    """A detector with anchors on maps of its network, level by level."""

    def prepare(self, images: Sequence[Tensor]) -> ImageList:
        """Images as the network sees them."""
        ...

    def maps(self, batch: ImageList) -> list[Tensor]:
        """Maps [B, C, h, w] of prepared images, fine to coarse."""
        ...

    def level_anchors(self, batch: ImageList, maps: list[Tensor]) -> list[Tensor]:
        """Anchors [n, 4] of each level in pixels of the network's input, which all images share."""
        ...

    def anchor_matcher(self) -> Matcher:
        """What says which anchors are objects and which are background."""
        ...


@runtime_checkable
class ScoresAnchors(Protocol):
    """A detector that classifies every anchor."""

    def anchor_scores(self, images: Sequence[Tensor], targets: Sequence[Target]) -> list[AnchorScores]:
        """Logits of all anchors of each image, with the labels that training would give them; without gradients."""
        ...


@runtime_checkable
class HasDifferences(Protocol):
    """A detector with deep feature vectors, so that those of pairs can be distinguished."""

    def differences(self, pairs: PairSet) -> Tensor:
        """What occlusion adds to the features of pairs of images [M, C, h, w], in evaluation mode, no gradients."""
        ...


LACKS = {
    Learns: "has no losses",
    Detects: "gives no detections",
    ScoresBoxes: "cannot score given boxes",
    HasBoxLogits: "gives no logits of boxes with gradients",
    HasRoIs: "has no pooled features of boxes",
    HasAnchors: "has no anchors",
    HasLevels: "has no anchors on maps",
    ScoresAnchors: "has no dense anchors",
    HasDifferences: "has no deep feature vectors",
}
Ability = TypeVar("Ability")


def asked(detector: object, ability: type[Ability]) -> Ability:
    """`detector`, if it can do what the protocol `ability` says.

    Raises:
        WorkbenchError: it cannot; says what it lacks, and which kinds have that.
    """
    if not isinstance(detector, ability):
        able = [kind for kind in DETECTORS.names() if issubclass(DETECTORS.class_of(kind), ability)]
        raise WorkbenchError(f"{type(detector).__name__} {LACKS[ability]}; choose one of {', '.join(able)}")
    return detector


def check_hardener(kind: type[Detector], acts_on: str) -> None:
    """Raise a RecipeError unless a hardener that acts on `acts_on` ("maps", "vectors") fits detectors of a kind."""
    if kind.hardens == acts_on:
        return
    name = kind.kind or kind.__name__
    if kind.hardens == "vectors":
        what = f"it hides cells of the maps of RoIs, and a {name} has one vector per image"
        fitting = [one for one in HARDENERS.names() if HARDENERS.class_of(one).acts_on == kind.hardens]
        raise RecipeError(f"hardener: {what}; use kind: {' or '.join(fitting)}, or augment.erase and augment.paste")
    if kind.hardens == "maps":
        what = f"it changes {acts_on} of whole images, and a {name} has maps of RoIs"
        fitting = [one for one in DETECTORS.names() if DETECTORS.class_of(one).hardens == acts_on]
        raise RecipeError(f"hardener: {what}; use detector.kind: {' or '.join(fitting)}")
    if kind.task == "detection":
        raise RecipeError(f"hardener: it acts between RoI pooling and the head, and {name} has no RoIs; leave it out")
    raise RecipeError(f"hardener: nothing of a {name} can be hardened; leave it out")
