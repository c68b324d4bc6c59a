"""The values that cross the seams: what data sets give, what detectors return, what hardeners see.

Shape letters: N objects, R RoIs, C channels, K foreground classes, h and w the pooled size, H and W the image.
Label 0 is background. Masks are 1 where something is kept (or visible) and 0 where it is dropped.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.cards import clip, never_raises, notes_and_tables, table
from workbench.errors import DataError, WorkbenchError
from workbench.rle import RLE, decode_masks, encode_masks, flip

CHUNK_BYTES = 2**26  #: of the largest tensor that a search over many variants of features makes at once
CLASS_SCORES = "class_scores"  #: in `Detections.extras`: scores of all classes [N, K+1], background first
MASK_BYTES = 2**28  #: of masks that `Proposals.decode_masks` makes at once
MOST_LABELS, MOST_SHOWN = 12, 10  #: rows of the tables in which detections show themselves
OBJECTNESS = "objectness"  #: in `Detections.extras`: whether there is anything at all [N], 0..1


class Target(TypedDict, total=False):
    """What is known of one image. Plain tensors or torchvision's tv_tensors; absent keys are unknown.

    What data sets of one's own add follows the same names: `masks...` are pixels of objects [N, H, W], `mask_...` of
    the whole image [H, W], `boxes...` are in xyxy pixels. So they are mirrored and resized with the image.
    """

    image_id: int  #: unique in its data set
    boxes: Tensor  #: [N, 4] float32, xyxy pixels; the whole object where that is known (amodal)
    labels: Tensor  #: [N] int64 in 1..K
    masks: Tensor  #: [N, H, W] bool, the visible pixels; without one where the mask of an object is unknown
    iscrowd: Tensor  #: [N] bool, a group of objects in one box: ignored in training and evaluation
    difficult: Tensor  #: [N] bool, PASCAL VOC's flag
    ignored: Tensor  #: [N] bool, hidden too much to be learned: in training neither an object nor background
    area: Tensor  #: [N] float32, pixels of the mask where known, else of the box
    occlusion: Tensor  #: [N] float32 in 0..1, the hidden fraction of the object's pixels; NaN if unknown
    boxes_visible: Tensor  #: [N, 4] float32, xyxy pixels around the visible part; without area where unknown
    boxes_full: Tensor  #: [N, 4] float32, xyxy pixels of the whole object, where `boxes` are clipped to the image
    masks_amodal: Tensor  #: [N, H, W] bool, all pixels of the object, hidden ones too
    mask_occluder: Tensor  #: [H, W] bool, where something hides an object: another object does as well
    mask_hidden: Tensor  #: [H, W] bool, what `augment.hide` laid over a training image
    proposals: Proposals  #: where a Fast R-CNN looks
    objectness: int  #: 1 if a patch shows an object in its centre at its scale, 0 if not; of patches, see `patches`
    label: int  #: in 1..K, the class of the whole image, which then is also the one object of `labels` and `boxes`
    pattern: int  #: 0 = clean, k = hidden by the k-th pattern or kind of occlusion of the data set
    source: int  #: `image_id` of the clean image that an occluded one is made from, else its own
    face_type: Tensor  #: [N] int64: 1 masked (occluded), 2 unmasked, 3 ignored; of faces
    easy: Tensor  #: [N] bool, faces that WIDER FACE counts at this level; the same for `medium` and `hard`
    medium: Tensor
    hard: Tensor
    ellipses: Tensor  #: [N, 5] float32: radii (the longer first), angle in radians, centre x and y; see `fddb`
    fold: int  #: in 1..10, of FDDB
    boxes_head: Tensor  #: [N, 4] float32, xyxy pixels around the head, without area where unknown; of CrowdHuman
    person_type: Tensor  #: [N] int64, of CityPersons: 1 a pedestrian; see `citypersons`
    occluded: Tensor  #: [N] bool, listed in Occluded COCO; `separated` in Separated COCO
    separated: Tensor
    foreground_level: int  #: in 0..3, how much of the object is hidden, of OccludedPASCAL3D+; of all else likewise
    background_level: int


def learnable(target: Target) -> Tensor:
    """[N] bool, on the device of the labels: which objects are neither crowd, difficult nor ignored.

    Training learns from these; absent flags are False. `Objects.ignored` is the same for tables of evaluation.
    """
    keep = torch.ones(len(target["labels"]), dtype=torch.bool, device=target["labels"].device)
    for flag in ("iscrowd", "difficult", "ignored"):
        if flag in target:
            keep &= ~target[flag].to(keep.device).bool()
    return keep


def check_label(label: Any, number: int, *, least: int = 1) -> None:
    """Refuse what is no label of a class.

    Args:
        number: K, of classes.
        least: 1, or 0 where background is one, too.

    Raises:
        DataError: it is no whole number in `least`..K.

    Example:
        >>> check_label("cat", 20)
        Traceback (most recent call last):
        workbench.errors.DataError: label 'cat' is no whole number; expected one in 1..20, the classes
    """
    what = f"{least}..{number}, {'the classes' if least else 'the classes and background'}"
    try:
        known = least <= operator.index(label) <= number
    except TypeError:
        raise DataError(f"label {label!r:.60} is no whole number; expected one in {what}") from None
    if not known:
        raise DataError(f"label {label} is outside {what}")


@dataclass(repr=False)
class Detections:
    """The objects found in one image, highest score first.

    A notebook shows how many there are of each label, and the best; names of classes are those of the detector.

    Example:
        >>> boxes = torch.tensor([[10.0, 10, 40, 60], [50.0, 12, 80, 64]])
        >>> Detections(boxes, torch.tensor([2, 1]), torch.tensor([0.9, 0.25]))
        Detections(2 objects, scores 0.25 to 0.90, 2 labels)
    """

    boxes: Tensor  #: [N, 4] float32, xyxy pixels of the image given to the detector
    labels: Tensor  #: [N] int64 in 1..K
    scores: Tensor  #: [N] float32 in 0..1
    masks: Tensor | None = None  #: [N, H, W] bool
    extras: dict[str, Tensor] = field(default_factory=dict)  #: what branches add by name, each [N, ...]

    def __len__(self) -> int:
        return len(self.boxes)

    @never_raises
    def __repr__(self) -> str:
        return f"Detections({', '.join(self._words())})"

    @never_raises
    def _repr_html_(self) -> str:
        said = notes_and_tables([f"Detections: {', '.join(self._words())}"])
        if not len(self):
            return said
        boxes, labels, scores = (part.detach().cpu() for part in (self.boxes, self.labels, self.scores))
        kinds, counts = labels.unique(return_counts=True)
        most = counts.argsort(descending=True, stable=True)[:MOST_LABELS].tolist()
        rows = [(kinds[k].item(), counts[k].item(), scores[labels == kinds[k]].max().item()) for k in most]
        by_label: list[Sequence[object]] = [*rows]
        if len(kinds) > MOST_LABELS:
            by_label.append((f"{len(kinds) - MOST_LABELS} more", len(self) - int(counts[most].sum()), ""))
        best = [
            (int(labels[row]), scores[row].item(), ", ".join(f"{value:.0f}" for value in boxes[row].tolist()))
            for row in scores.argsort(descending=True, stable=True)[:MOST_SHOWN].tolist()
        ]
        title = f"the best {MOST_SHOWN} of {len(self):,}" if len(self) > MOST_SHOWN else "all of them"
        labelled = table("by label", ("label", "objects", "best score"), by_label)
        return said + labelled + table(title, ("label", "score", "box"), best)

    def _words(self) -> Iterator[str]:
        """What there is."""
        yield f"{len(self):,} object{'s' * (len(self) != 1)}"
        if len(self):
            low, high = (value.item() for value in self.scores.detach().float().aminmax())
            kinds = len(self.labels.unique())
            yield f"scores {low:.2f} to {high:.2f}"
            yield f"{kinds} label{'s' * (kinds != 1)}"
        if self.masks is not None:
            yield f"masks of {' × '.join(map(str, self.masks.shape[1:]))} pixels"
        if self.extras:
            yield f"with {', '.join(clip(name, 40) for name in self.extras)}"
        if self.boxes.device.type != "cpu":
            yield f"on {self.boxes.device}"

    def above(self, threshold: float) -> Detections:
        """Only the detections that score at least `threshold`."""
        return self[self.scores >= threshold]

    def __getitem__(self, keep: Tensor | slice) -> Detections:
        return self._each(lambda rows: rows[keep])

    def to(self, device: torch.device | str) -> Detections:
        """The same detections on another device."""
        return self._each(lambda rows: rows.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Detections:
        """`change` done to every part."""
        masks = None if self.masks is None else change(self.masks)
        extras = {name: change(value) for name, value in self.extras.items()}
        return Detections(change(self.boxes), change(self.labels), change(self.scores), masks, extras)


@dataclass(eq=False)
class Proposals:
    """Where objects of one image may be, whatever their class, best first.

    Masks stay run-length codes, as a thousand of them would be 300 MB of pixels. Code that knows bare boxes alone may
    use them as such: numpy and `as_subclass(Tensor)` take the boxes [P, 4].
    """

    boxes: Tensor  #: [P, 4] float32, xyxy pixels of the image
    scores: Tensor  #: [P] float32, falling; 1 / rank (1, 1/2, 1/3 …) where the source has only an order, see `ranked`
    masks: list[RLE] | None = field(default=None, repr=False)  #: P codes of masks [H, W] of the whole image

    def __post_init__(self) -> None:
        lengths = [len(part) for part in (self.boxes, self.scores, self.masks) if part is not None]
        if self.boxes.ndim != 2 or self.boxes.shape[1] != 4 or self.scores.ndim != 1 or len(set(lengths)) > 1:
            shapes = f"boxes {tuple(self.boxes.shape)}, scores {tuple(self.scores.shape)}"
            masks = "" if self.masks is None else f" and {len(self.masks)} masks"
            raise DataError(f"proposals of {shapes}{masks} do not fit together; expected [P, 4], [P] and P")

    @classmethod
    def ranked(cls, boxes: Tensor) -> Proposals:
        """Boxes [P, 4] of a source that gives an order, best first, and no scores."""
        return cls(boxes, 1 / torch.arange(1, len(boxes) + 1, dtype=torch.float32, device=boxes.device))

    @classmethod
    def of(cls, given: Proposals | Detections | Tensor) -> Proposals:
        """Proposals as they are, detections without their classes, or bare boxes [P, 4] in the order of rank."""
        if isinstance(given, Detections):
            return cls(given.boxes, given.scores, None if given.masks is None else encode_masks(given.masks))
        if isinstance(given, Proposals):
            return given
        return cls.ranked(torch.as_tensor(given).as_subclass(Tensor).float())

    def __len__(self) -> int:
        return len(self.boxes)

    def as_subclass(self, kind: type[Tensor]) -> Tensor:
        """The boxes [P, 4] alone."""
        return self.boxes.as_subclass(kind)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.boxes.numpy() if dtype is None else self.boxes.numpy().astype(dtype)

    def __getitem__(self, keep: Tensor | slice) -> Proposals:
        masks = self.masks
        if masks is not None:
            where = keep if isinstance(keep, slice) else keep.cpu()
            masks = [masks[row] for row in torch.arange(len(self))[where].tolist()]
        return Proposals(self.boxes[keep], self.scores[keep], masks)

    def top(self, number: int) -> Proposals:
        """The best `number`."""
        return self[:number]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Proposals:
        """The same proposals with boxes and scores on another device."""
        boxes, scores = (part.to(device, non_blocking=non_blocking) for part in (self.boxes, self.scores))
        return Proposals(boxes, scores, self.masks)

    def inside(self, size: tuple[int, int], *, smallest: float = 0.0) -> Proposals:
        """Boxes clipped to an image of `size` (height, width); those below `smallest` pixels a side are left out."""
        height, width = size
        boxes = torch.minimum(self.boxes.clamp(min=0), self.boxes.new_tensor([width, height, width, height]))
        large = (boxes[:, 2:] - boxes[:, :2] >= smallest).all(dim=1)
        return Proposals(boxes, self.scores, self.masks)[large]

    def flip_horizontally(self, width: int) -> Proposals:
        """Mirrored left to right in an image of this width in pixels."""
        left, top, right, bottom = self.boxes.unbind(dim=1)
        boxes = torch.stack([width - right, top, width - left, bottom], dim=1)
        return Proposals(boxes, self.scores, None if self.masks is None else [flip(code) for code in self.masks])

    def resized(self, before: tuple[int, int], size: tuple[int, int]) -> Proposals:
        """In an image of `size` (height, width) in place of one of `before`; without masks."""
        down, across = (after / side for side, after in zip(before, size, strict=True))
        return Proposals(self.boxes * self.boxes.new_tensor([across, down, across, down]), self.scores)

    def moved(self, down: int, across: int, size: tuple[int, int]) -> Proposals:
        """Moved by pixels into an image of `size` (height, width), what lies outside cut off; without masks."""
        boxes = self.boxes + self.boxes.new_tensor([across, down, across, down])
        return Proposals(boxes, self.scores).inside(size, smallest=1.0)

    def decode_masks(self) -> Tensor:
        """The masks as pixels, bool [P, H, W].

        Raises:
            DataError: there are none, or too many to be wanted at once (`MASK_BYTES`); take some, as `top(20)`.
        """
        if self.masks is None:
            raise DataError("these proposals are boxes without masks")
        height, width = self.masks[0]["size"] if self.masks else (0, 0)
        if len(self) * height * width > MASK_BYTES:
            raise DataError(
                f"{len(self)} masks of {height} x {width} pixels are {len(self) * height * width / 2**20:.0f} MB; "
                "decode some at a time, as proposals.top(20).decode_masks()"
            )
        return decode_masks(self.masks, (height, width))


class Losses(dict[str, Tensor]):
    """Named scalar losses of one batch, each already weighted; `total` is what is minimised."""

    @property
    def total(self) -> Tensor:
        """Sum of all parts, a scalar with its graph."""
        return torch.stack([value.float() for value in self.values()]).sum()

    def add(self, parts: Mapping[str, Tensor], source: object) -> None:
        """Take further parts, which `source` has made.

        Raises:
            WorkbenchError: a name that another part has already, whose loss would be lost, or "total".
        """
        for name in parts:
            if name in self or name == "total":
                what = f"a {type(source).__name__} has a loss {name!r}, and there is one of that name already"
                raise WorkbenchError(f"{what}; give it another name")
        self.update(parts)

    def scaled(self, factors: Mapping[str, float]) -> Losses:
        """The same with some parts multiplied by factors, by name; names that are not there are left out."""
        return Losses({name: value * factors.get(name, 1.0) for name, value in self.items()}) if factors else self

    def floats(self) -> dict[str, float]:
        """The parts and their `total` as Python numbers."""
        parts = {name: float(value.detach()) for name, value in self.items()}
        return {**parts, "total": float(sum(parts.values()))}


class TrainingStage(Protocol):
    """What detectors and hardeners may ask of a stage of the training; a recipe's `Stage` is one."""

    @property
    def train(self) -> Literal["detector", "hardener", "both"]:
        """Who learns."""

    @property
    def harden(self) -> bool:
        """False: plain training, in which hardener, mining and jitter sit out."""

    @property
    def positive_fraction(self) -> float | None:
        """The largest share of objects among the RoIs, in place of the RoI head's own; None: the head's."""


@dataclass(frozen=True)
class HeadLayout:
    """What an adversary must know of the head that it plays against, to build its own network."""

    channels: int  #: C of the pooled features
    size: int  #: h = w of the pooled features
    layers: tuple[nn.Linear, ...] = ()  #: the linear layers (fc6, fc7) that the head begins with, if it does


class Score:
    """The head of a detector as a function of RoI features only; its parameters are frozen.

    A subclass may know a cheaper way to the pooled gradient of its own head, or to features without some cells.
    """

    def __init__(self, logits: Callable[[Tensor], Tensor]):
        self._logits = logits

    def __call__(self, features: Tensor) -> Tensor:
        """Class logits [R, K+1] of features [R, C, h, w], differentiable with respect to the features."""
        return self._logits(features)

    def true_class(self, features: Tensor, labels: Tensor) -> Tensor:
        """Softmax probability [R] of each RoI's own label [R]."""
        return F.softmax(self(features).float(), dim=1).gather(1, labels[:, None])[:, 0]

    def gradient(self, features: Tensor, labels: Tensor) -> Tensor:
        """Gradient [R, C, h, w] of each RoI's own class logit with respect to its features."""
        with torch.enable_grad():
            leaf = features.detach().requires_grad_()
            own = self(leaf).gather(1, labels[:, None]).sum()
            return torch.autograd.grad(own, leaf)[0]

    def pooled_gradient(self, features: Tensor, labels: Tensor) -> Tensor:
        """The same gradient averaged over h and w, [R, C] (Grad-CAM's channel weights)."""
        return self.gradient(features, labels).mean(dim=(2, 3))

    @torch.no_grad()
    def without_cells(self, features: Tensor, cells: Tensor) -> Tensor:
        """Class logits [R, W, K+1] of features [R, C, h, w] with each of W sets of cells zeroed.

        Args:
            cells: [W, h, w] bool, True where a set has all channels zeroed.
        """
        kept = (~cells)[None, :, None].to(features.dtype)  # [1, W, 1, h, w]
        logits = []
        for part in features.split(rows_at_once(features[0].numel() * len(cells))):
            variants = (part[:, None] * kept).flatten(0, 1)
            logits.append(self(variants).unflatten(0, (len(part), len(cells))))
        return torch.cat(logits)


def rows_at_once(values_per_row: int) -> int:
    """How many rows of so many float32 values fit into `CHUNK_BYTES`, at least one."""
    return max(1, CHUNK_BYTES // (4 * values_per_row))


@dataclass(frozen=True)
class RoIBatch:
    """What a hardener sees: pooled features just before the head."""

    features: Tensor  #: [R, C, h, w]; h = w = 1 for deep feature vectors
    labels: Tensor  #: [R] int64, 0 = background
    image_index: Tensor  #: [R] int64, which image of the batch each RoI is from
    score: Score
    generator: torch.Generator  #: the only source of randomness


@dataclass(frozen=True)
class Hardened:
    """What a hardener returns."""

    features: Tensor  #: [R, C, h, w], what the head is trained on
    adversary_loss: Tensor | None = None  #: scalar; trains the hardener and nothing else
    _mask: Callable[[], Tensor | None] = lambda: None

    @property
    def mask(self) -> Tensor | None:
        """[R, 1 or C, h, w] with 1 = kept, for replay and for pictures; made when asked for, as training is not."""
        return self._mask()
