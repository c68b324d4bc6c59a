"""What every detector offers, whatever its architecture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from workbench.detectors.layers.branches import Branch
from workbench.errors import DataError, RecipeError, WorkbenchError
from workbench.types import Detections, Losses, Proposals, Score, Target, TrainingStage, learnable

if TYPE_CHECKING:
    from workbench.data.pairs import PairSet


SLACK = 0.25  #: by which float images may overshoot 0..1, as after resizing


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put `module` in evaluation mode without gradients; restore every submodule's own mode afterwards."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode


class Detector(nn.Module):
    """A module with two doors, `losses` and `detect`, whose results do not depend on `self.training`.

    Images are lists of uint8 or float (0..1) tensors [3, H, W] of any sizes; boxes are xyxy pixels of the image
    as given. `hardener` acts in `losses` only.

    What a kind can do stands on its class, and is asked there by recipes, doctor, command line and notebooks. What
    only some can do beyond it are the protocols of this module; `asked` says what a detector lacks.
    """

    kind: ClassVar[str] = ""  #: its name in recipes
    task: ClassVar[str] = "detection"  #: or "classification", "reconstruction": what it learns from, how it is judged
    hardens: ClassVar[str | None] = None  #: what hardeners may act on: "maps" of RoIs, or "vectors"; None: nothing
    gives_detections: ClassVar[bool] = True
    gives_masks: ClassVar[bool] = False
    needs_start: ClassVar[bool] = False  #: whether it must start from a trained detector

    classes: tuple[str, ...]  #: names of labels 1..K
    hardener: nn.Module | None  #: acts in `losses`
    config: dict  #: rebuilds the detector: build_detector(config, classes)
    about: dict = {}  # noqa: RUF012, replaced and never changed; what its file says, such as the recipe
    needs_proposals: bool = False  #: whether `detect` and `losses` work only on proposals that they are given
    mask_key: str | None = None  #: where targets have the masks that `losses` learns from, if it does

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
        raise WorkbenchError(f"{type(self).__name__} has no losses")

    def take_hardener(self, hardener: nn.Module | None) -> None:
        """Let `hardener` act in `losses` from now on; None: none.

        Raises:
            RecipeError: it does not fit.
        """
        if hardener is not None:
            check_hardener(type(self), hardener.acts_on)
        self.hardener = hardener

    def begin_stage(self, stage: TrainingStage) -> None:
        """Take up a stage of the training; while only the hardener learns, BatchNorm keeps its statistics."""
        self.train(stage.train != "hardener")
        if self.hardener is not None:
            self.hardener.train()
            self.hardener.begin_stage(stage)

    def detect(
        self, images: Sequence[Tensor], proposals: Sequence[Proposals | Tensor] | None = None
    ) -> list[Detections]:
        """Detections of each image, without gradients.

        Args:
            images: [3, H, W] each, uint8 or float in 0..1.
            proposals: of each image, or boxes [P, 4] in xyxy pixels; only detectors that need them look at them.
        """
        raise WorkbenchError(f"{type(self).__name__} gives no detections: it is no detector of objects")

    def proposals(self, images: Sequence[Tensor], top: int) -> list[Proposals]:
        """At most `top` of each image where objects may be, best first; here its detections, with their masks."""
        return [Proposals.of(found[:top]) for found in self.detect(images)]

    def start_module(self) -> nn.Module:
        """The module that training can start from a saved detector's weights in: all of it, or a part."""
        return self

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> Losses:
        """The same as `losses`, so that wrappers such as DistributedDataParallel work."""
        return self.losses(images, targets, generator)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device


@runtime_checkable
class ScoresBoxes(Protocol):
    """A detector that can say what it thinks of given boxes."""

    def score_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Class probabilities [N, K+1] of given boxes [N, 4] of each image, without gradients."""
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
class HasAnchors(Protocol):
    """A detector that looks for objects at anchors."""

    def anchors_for(self, height: int, width: int) -> Tensor:
        """Anchors [A, 4] in pixels of an image of this size, for checking data against the detector."""
        ...


@runtime_checkable
class HasDifferences(Protocol):
    """A detector with deep feature vectors, so that those of pairs can be distinguished."""

    def differences(self, pairs: PairSet) -> Tensor:
        """What occlusion adds to the features of pairs of images [M, C, h, w], in evaluation mode, no gradients."""
        ...


LACKS = {
    ScoresBoxes: "cannot score given boxes",
    HasRoIs: "has no pooled features of boxes; Faster, Fast and Mask R-CNN have",
    HasAnchors: "has no anchors",
    HasDifferences: "has no deep feature vectors; a Classifier has",
}
Ability = TypeVar("Ability")


def asked(detector: object, ability: type[Ability]) -> Ability:
    """`detector`, if it can do what the protocol `ability` says.

    Raises:
        WorkbenchError: it cannot; the message says what it lacks.
    """
    if not isinstance(detector, ability):
        raise WorkbenchError(f"{type(detector).__name__} {LACKS[ability]}")
    return detector


def check_hardener(kind: type[Detector], acts_on: str) -> None:
    """Raise a RecipeError unless a hardener that acts on `acts_on` ("maps", "vectors") fits detectors of a kind."""
    if kind.hardens == acts_on:
        return
    name = kind.kind or kind.__name__
    if kind.hardens == "vectors":
        what = f"it hides cells of the maps of RoIs, and a {name} has one vector per image"
        raise RecipeError(f"hardener: {what}; use kind: dfv, or augment.erase and augment.paste")
    if kind.hardens == "maps":
        what = f"it changes {acts_on} of whole images, and a {name} has maps of RoIs"
        raise RecipeError(f"hardener: {what}; use detector.kind: classifier")
    if kind.task == "detection":
        raise RecipeError(f"hardener: it acts between RoI pooling and the head, and {name} has no RoIs; leave it out")
    raise RecipeError(f"hardener: nothing of a {name} can be hardened; leave it out")


def as_float(images: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Images as float32 in 0..1 on `device`.

    Raises:
        DataError: an image that is not [3, H, W] with pixels, or not uint8 or float in 0..1.
    """
    out = []
    for index, image in enumerate(images):
        if not isinstance(image, Tensor):
            what = f"image {index} of the batch is a {type(image).__name__}; expected a tensor [3, H, W]"
            raise DataError(f"{what}: workbench.read_image(path) gives one of a file")
        if image.ndim != 3 or image.shape[0] != 3 or image.numel() == 0:
            raise DataError(f"image {index} of the batch has shape {tuple(image.shape)}; expected [3, H, W]")
        plain = image.as_subclass(Tensor).to(device, non_blocking=True)
        if plain.dtype == torch.uint8:
            plain = plain.float() / 255
        elif not plain.is_floating_point():
            raise DataError(f"image {index} of the batch has dtype {image.dtype}; expected uint8 or float")
        else:
            low, high = torch.stack(torch.aminmax(plain.detach())).tolist()
            if not -SLACK <= low <= high <= 1 + SLACK:  # also not a number
                what = f"image {index} of the batch has float values from {low:.3g} to {high:.3g}"
                raise DataError(f"{what}; expected 0 to 1, or uint8")
        out.append(plain.float())
    return out


def training_targets(
    targets: Sequence[Target],
    images: Sequence[Tensor],
    num_classes: int,
    device: torch.device,
    *,
    branches: Iterable[Branch] = (),
) -> list[dict[str, Tensor]]:
    """Boxes and labels to learn from, on `device`; crowds and difficult objects are left out.

    Args:
        num_classes: K.
        branches: what they learn from comes along, as uint8: `masks...` [N, H, W], anything else [H, W].

    Raises:
        DataError: boxes that are not [N, 4], empty or not finite, labels outside 1..K, a missing target or mask.
    """
    wanted = [(key, branch.needs_every_image) for branch in branches for key in branch.learns_from]
    if len(targets) != len(images):
        raise DataError(f"{len(images)} images came with {len(targets)} targets; expected one target per image")
    out = []
    for index, target in enumerate(targets):
        boxes = target["boxes"].as_subclass(Tensor).to(device).float().reshape(-1, 4)
        labels = target["labels"].to(device).long()
        keep = learnable(target).to(device)
        boxes, labels = boxes[keep], labels[keep]
        _check_target(boxes, labels, num_classes, target.get("image_id", index))
        out.append({"boxes": boxes, "labels": labels})
        for key, needed in wanted:
            if needed or key in target:
                pixels = _pixels(target, key, images[index], index)
                out[-1][key] = (pixels[keep.cpu()] if pixels.ndim == 3 else pixels).to(device)
    return out


def _pixels(target: Target, key: str, image: Tensor, index: int) -> Tensor:
    """uint8 [N, H, W] of each object or [H, W] of one image, or an error that says what is missing."""
    if key not in target:
        what, advice = key, "such labels"
        if key.startswith("masks"):
            what, advice = "masks", "masks (coco: options.masks true), or a detector of boxes"
        where = f'image {target.get("image_id", index)} has no target["{key}"]'
        raise DataError(f"{where}, and the detector learns {what}; use data with {advice}")
    shape, size = tuple(target[key].shape), tuple(image.shape[-2:])
    expected = (len(target["labels"]), *size) if key.startswith("masks") else size
    if shape != expected:
        raise DataError(f"image {target.get('image_id', index)}: {key} have shape {shape}, expected {expected}")
    return target[key].as_subclass(Tensor).to(torch.uint8)


def _check_target(boxes: Tensor, labels: Tensor, num_classes: int, image_id: object) -> None:
    if len(boxes) == 0:
        return
    bad = ~torch.isfinite(boxes).all(dim=1) | (boxes[:, 2:] <= boxes[:, :2]).any(dim=1)
    if bad.any():
        row = int(torch.where(bad)[0][0])
        raise DataError(
            f"image {image_id}, object {row}: box {boxes[row].tolist()} is empty or not finite; expected "
            "x1 < x2 and y1 < y2 in pixels. Were the boxes given as x, y, width, height?"
        )
    if int(labels.min()) < 1 or int(labels.max()) > num_classes:
        wrong = [int(v) for v in labels.unique() if v < 1 or v > num_classes]
        raise DataError(
            f"image {image_id}: labels {wrong} are outside 1..{num_classes} (0 is background); does the "
            "detector have the classes of this data set?"
        )
