"""Which objects of an image proposals reach, and how SharpMask makes a mask (T.-Y. Lin's thesis, ch. 3).

| Lin's thesis | here |
|---|---|
| the proposal of highest IoU with each object, objects that are missed (Figs. 3.2, 3.4, 3.8) | `best_of_objects` |
| the encodings M^1, M^2, ... of one proposal and its mask (Fig. 3.1c, sec. 3.3.1) | `top_down_path` |
| the coarse mask and the sharp one of the same window (Fig. 3.2) | `TopDownPath.coarse_mask`, `.mask` |

Each object has the best of all proposals here, and two objects may have the same one; average recall
(`workbench.evaluation.proposal_recall`) lets each proposal stand for one object.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pandas as pd
import torch
from pycocotools import mask as coco_mask
from torch import Tensor
from torchvision.ops import box_iou

from workbench.detectors.base import evaluating
from workbench.detectors.deep_mask import DeepMask
from workbench.detectors.layers.found_windows import Ranked
from workbench.detectors.layers.inputs import as_float
from workbench.detectors.layers.window_masks import enlarge
from workbench.detectors.load import DetectorLike, as_detector
from workbench.detectors.sharp_mask import SharpMask
from workbench.errors import DataError
from workbench.rle import encode_masks
from workbench.types import Proposals, Target, learnable

REACHED = 0.5  #: IoU from which a proposal reaches an object
TOP = 1000  #: windows that are ranked, unless another number is given
Channels = Literal["mean", "strongest"]  #: what one map shows of an encoding with many channels


@dataclass(frozen=True)
class BestProposals:
    """The proposal of highest IoU with each of N objects of an image."""

    proposals: Proposals  #: all P
    index: Tensor  #: [N] int64, places in `proposals`; -1 where none overlaps the object
    iou: Tensor  #: [N] float32; 0 where none overlaps the object
    by_mask: Tensor  #: [N] bool: whether masks overlap, or boxes
    counted: Tensor  #: [N] bool: False for crowds and difficult objects, which nothing misses

    @property
    def missed(self) -> Tensor:
        """[N] bool: objects that count and that no proposal reaches."""
        return self.counted & (self.iou < REACHED)

    @property
    def summary(self) -> dict[str, float]:
        """Of the objects that count: how many there are (`objects`), `found`, and the `mean IoU` (NaN of none)."""
        number = int(self.counted.sum())
        mean = float(self.iou[self.counted].mean()) if number else math.nan
        return {"objects": number, "found": number - int(self.missed.sum()), "mean IoU": mean}

    def overlapping(self, row: int | None = None) -> str:
        """What overlaps, "masks" or "boxes": of an object, or of all of them, which may be both."""
        some = self.by_mask if row is None else self.by_mask[row : row + 1]
        kinds = ["boxes" if not masks else "masks" for masks in sorted(set(some.tolist()), reverse=True)]
        return " and ".join(kinds)

    def of(self, row: int) -> Proposals:
        """The best one of an object; none where none overlaps it."""
        place = int(self.index[row])
        return self.proposals[place : place + 1] if place >= 0 else self.proposals[:0]


def best_of_objects(proposals: Proposals, target: Target, *, masks: str | None = "masks") -> BestProposals:
    """The proposal of highest IoU with each object of an image; the first of equals.

    Masks are compared where both the proposals and the object have one, and boxes elsewhere.

    Args:
        masks: where the target has the masks to compare with: "masks", the visible pixels, or "masks_amodal"; None
            compares boxes.

    Raises:
        DataError: masks of proposals and objects are of images of other sizes.
    """
    proposals = proposals.to("cpu")
    objects = target["boxes"].as_subclass(Tensor).cpu().float().reshape(-1, 4)
    overlap = box_iou(proposals.boxes.float(), objects)  # [P, N]
    by_mask = torch.zeros(len(objects), dtype=torch.bool)
    if masks in target and proposals.masks is not None and len(proposals):
        given = target[masks].as_subclass(Tensor).cpu().bool()
        by_mask = given.flatten(1).any(dim=1)  # a mask without a pixel is unknown
        overlap[:, by_mask] = _mask_iou(proposals, given[by_mask])
    if not len(proposals):
        overlap = overlap.new_zeros(1, len(objects))
    best = overlap.max(dim=0)
    index = torch.where(best.values > 0, best.indices, -1)
    return BestProposals(proposals, index, best.values, by_mask, learnable(target).cpu())


def _mask_iou(proposals: Proposals, masks: Tensor) -> Tensor:
    """IoU [P, N] of the masks of proposals with masks [N, H, W]."""
    size = list(masks.shape[-2:])
    other = next((code["size"] for code in proposals.masks or [] if list(code["size"]) != size), None)
    if other is not None:
        raise DataError(
            f"masks of proposals are {list(other)} pixels (height, width), those of objects {size}; expected masks "
            "of one image"
        )
    found = coco_mask.iou(proposals.masks, encode_masks(masks), [0] * len(masks))
    return torch.as_tensor(found, dtype=torch.float32).reshape(len(proposals), len(masks))


def object_table(best: Mapping[str, BestProposals], names: Sequence[str]) -> pd.DataFrame:
    """One row per object: its class, and for each proposer the IoU and the rank of the best, NA where none overlaps.

    Args:
        best: of the same objects, by the name of the proposer.
        names: of the classes of the objects.
    """
    columns: dict[str, Any] = {"class": list(names)}
    for name, one in best.items():
        columns[f"{name} IoU"] = one.iou.tolist()
        columns[f"{name} rank"] = pd.array(
            [place + 1 if place >= 0 else None for place in one.index.tolist()], "Int64"
        )
    return pd.DataFrame(columns, index=pd.RangeIndex(1, len(names) + 1, name="object"))


@dataclass(frozen=True)
class TopDownPath:
    """How SharpMask makes the mask of one proposal; all on the CPU."""

    rank: int  #: of the proposal, 1 is the best
    score: float
    window: Tensor  #: [4] xyxy pixels of the image; it may reach outside
    encodings: tuple[Tensor, ...]  #: M^1, M^2, ...: [k, s, s], each of twice the resolution of the last
    logits: Tensor  #: [S, S] of the sharp mask within the window
    coarse: Tensor  #: [m, m] logits of the coarse mask, as DeepMask predicts it
    threshold: float  #: of a pixel's probability, from which it belongs to the object
    image_size: tuple[int, int]  #: height and width

    @property
    def mask(self) -> Tensor:
        """The sharp mask, bool [H, W]."""
        return self._whole(self.logits)

    @property
    def coarse_mask(self) -> Tensor:
        """The coarse mask, bool [H, W]."""
        return self._whole(self.coarse)

    def _whole(self, logits: Tensor) -> Tensor:
        cut = math.log(self.threshold / (1 - self.threshold))
        return enlarge(logits[None], self.window[None], self.image_size)[0] > cut


def ranked_windows(detector: DetectorLike, image: Tensor, top: int = TOP) -> Ranked:
    """What `detector.proposals([image], top)` gives, with the windows that the proposals are from.

    Args:
        detector: a DeepMask or a SharpMask.
        image: [3, H, W], uint8 or float in 0..1.

    Raises:
        DataError: another detector, which has no windows.
    """
    detector = as_detector(detector)
    if not isinstance(detector, DeepMask):
        raise DataError(f"{type(detector).__name__} has no windows; expected a DeepMask or a SharpMask")
    with evaluating(detector):
        return detector.ranked(as_float([image], detector.device)[0], top)


def top_down_path(
    detector: DetectorLike, image: Tensor, rank: int = 1, *, found: Ranked | None = None
) -> TopDownPath:
    """The encodings and masks of one proposal of an image.

    Args:
        detector: a SharpMask.
        image: [3, H, W], uint8 or float in 0..1.
        rank: of the proposal by score, from 1 on.
        found: what `ranked_windows` gave for the image, so that it is not asked again.

    Raises:
        DataError: another detector, one that does not refine, or fewer proposals than `rank`.
    """
    detector = as_detector(detector)
    if not isinstance(detector, SharpMask) or not detector.refines:
        what = "gives coarse masks (refine: false)" if isinstance(detector, SharpMask) else "has no top-down path"
        raise DataError(f"{type(detector).__name__} {what}; expected a SharpMask that refines")
    found = ranked_windows(detector, image, max(rank, TOP)) if found is None else found
    if not 1 <= rank <= len(found.proposals):
        raise DataError(f"rank is {rank}; expected 1 to {len(found.proposals)}, as there are so many proposals")
    scale, cell = found.window(rank - 1)
    with evaluating(detector):
        vector = scale.vectors.flatten(0, 1)[cell]
        *encodings, logits = detector.refinement.steps(vector, scale.shared, scale.places(cell))
        with detector.coarse():
            coarse = detector.window_masks(scale, cell)
    return TopDownPath(
        rank,
        float(found.proposals.scores[rank - 1]),
        scale.boxes[int(cell)].float().cpu(),
        tuple(one[0].float().cpu() for one in encodings),
        logits[0].float().cpu(),
        coarse[0].float().cpu(),
        detector.threshold,
        (image.shape[-2], image.shape[-1]),
    )


def encoding_map(encoding: Tensor, channels: Channels = "mean") -> tuple[Tensor, int | None]:
    """One map [s, s] of an encoding [k, s, s], and which channel it is; None: of all.

    Args:
        channels: "mean" of all channels, or "strongest", the one whose values differ most over the window.

    Raises:
        DataError: `channels` is something else.
    """
    if channels not in get_args(Channels):
        raise DataError(f"channels is {channels!r}; choose one of {get_args(Channels)}")
    if channels == "mean":
        return encoding.mean(dim=0), None
    strongest = int(encoding.flatten(1).std(dim=1, correction=0).argmax())
    return encoding[strongest], strongest


def mask_overlap(one: Tensor, other: Tensor) -> float:
    """IoU of two masks bool [H, W]; 0 where neither has a pixel."""
    return float((one & other).sum() / (one | other).sum().clamp(min=1))
