"""What every detector offers, whatever its architecture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from workbench.errors import DataError, WorkbenchError
from workbench.types import Detections, Losses, Score, Target, learnable

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
    """

    classes: tuple[str, ...]  #: names of labels 1..K
    hardener: nn.Module | None  #: acts in `losses`
    config: dict  #: rebuilds the detector: build_detector(config, classes)
    about: dict = {}  # noqa: RUF012, replaced and never changed; what its file says, such as the recipe
    task: str = "detection"  #: or "classification", "reconstruction": how it is evaluated
    needs_proposals: bool = False  #: whether `detect` and `losses` work only on proposals that they are given
    mask_key: str | None = None  #: where targets have the masks that `losses` learns from, if it does

    def losses(
        self, images: Sequence[Tensor], targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> Losses:
        """Training losses of a batch; `generator` is the only source of sampling (default: torch's own)."""
        raise self._lacks("losses")

    def take_hardener(self, hardener: nn.Module | None) -> None:
        """Let `hardener` act in `losses` from now on; None: none."""
        self.hardener = hardener

    def detect(self, images: Sequence[Tensor], proposals: Sequence[Tensor] | None = None) -> list[Detections]:
        """Detections of each image, without gradients.

        proposals: [P, 4] xyxy pixels of each image; only detectors that need them look at them.
        """
        raise self._lacks("detections: it is no detector of objects")

    def proposals(self, images: Sequence[Tensor], top: int) -> list[Tensor]:
        """At most `top` boxes [P, 4] of each image where objects may be, best first; here its detections."""
        return [found.boxes[:top] for found in self.detect(images)]

    def score_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Class probabilities [N, K+1] of given boxes [N, 4] of each image, without gradients."""
        raise self._lacks("scores of boxes")

    def roi_features(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Pooled features [R, C, h, w] of given boxes of all images, in order: what a hardener would see."""
        raise self._lacks("pooled features of boxes; Faster, Fast and Mask R-CNN have")

    def head_score(self) -> Score:
        """The head as a function of pooled features, parameters frozen."""
        raise self._lacks("head on pooled features; Faster, Fast and Mask R-CNN have")

    def differences(self, pairs: PairSet) -> Tensor:
        """What occlusion adds to the features of pairs of images [M, C, h, w], in evaluation mode, no gradients."""
        raise self._lacks("deep feature vectors; a Classifier has")

    def beginning(self) -> nn.Module:
        """The module that a saved detector's weights can be the beginning of."""
        return self

    def anchors_for(self, height: int, width: int) -> Tensor:
        """Anchors [A, 4] in pixels of an image of this size, for checking data against the detector."""
        raise self._lacks("anchors")

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> Losses:
        """The same as `losses`, so that wrappers such as DistributedDataParallel work."""
        return self.losses(images, targets, generator)

    def _lacks(self, what: str) -> WorkbenchError:
        return WorkbenchError(f"{type(self).__name__} has no {what}")

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device


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
    masks: str | None = None,
) -> list[dict[str, Tensor]]:
    """Boxes and labels to learn from, on `device`; crowds and difficult objects are left out.

    masks: the key of the masks to learn from as well, given as `masks` [N, H, W] uint8.

    Raises:
        DataError: boxes that are not [N, 4], empty or not finite, labels outside 1..K, a missing target or mask.
    """
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
        if masks is not None:
            out[-1]["masks"] = _masks(target, masks, images[index], index)[keep.cpu()].to(device)
    return out


def _masks(target: Target, key: str, image: Tensor, index: int) -> Tensor:
    """Masks [N, H, W] uint8 of one image, or an error that says what is missing."""
    expected = (len(target["labels"]), *image.shape[-2:])
    if key not in target:
        raise DataError(
            f'image {target.get("image_id", index)} has no target["{key}"], and the detector learns masks; use data '
            "with masks (coco: options.masks true), or a detector of boxes"
        )
    if tuple(target[key].shape) != expected:
        shape = tuple(target[key].shape)
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


def choose(options: dict[str, object], kind: object, what: str, error: type[WorkbenchError]) -> object:
    """The option called `kind`, or an error that lists all."""
    if kind not in options:
        raise error(f"{what} {kind!r} does not exist; choose one of {sorted(options)}")
    return options[kind]
