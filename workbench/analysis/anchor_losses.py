"""How a dense detector's loss is spread over its windows ("Analysis of the Focal Loss").

After sec. 5.5.1 and Fig. 5.3 of T.-Y. Lin's thesis ("Detecting Common Objects in Context", 2017).

The logits of all anchors of a data set are gathered once; the loss of every window then follows for any loss, such as
the focal loss of any gamma. Windows of objects (positives) and of background (negatives) are looked at apart: their
losses are scaled to sum 1, sorted, and added up.

Where the thesis is silent: the loss of a window is the sum over its K classes, as in training. Ignored windows are
left out. Of a large data set a uniform random sample is kept, so that memory does not grow with it; shares and curves
are then those of the sample. The thesis had about 10^7 negatives and 10^5 positives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.data import Dataset
from workbench.detectors.base import ScoresAnchors, asked
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.losses import AnchorLoss, anchor_losses
from workbench.progress import Bar

HARDEST = (0.01, 0.05, 0.2)  #: fractions of the windows whose share of the loss is given


@dataclass(frozen=True)
class Windows:
    """Windows of one kind, positive or negative, with what the detector says of them; all on the CPU."""

    logits: Tensor  #: [N, K] float32
    labels: Tensor  #: [N] int64 in 1..K, or all 0
    images: Tensor  #: [N] int64, positions in the data set
    boxes: Tensor  #: [N, 4] float32, the anchors, xyxy pixels of their image; they may reach outside
    seen: int  #: windows of this kind in the data, of which these are all or a sample

    def __len__(self) -> int:
        return len(self.labels)

    def losses(self, loss: AnchorLoss | None = None) -> Tensor:
        """Loss [N] of each window, float32; None: focal loss with gamma 2 and alpha 0.25."""
        return anchor_losses(self.logits, self.labels, loss)

    def __getitem__(self, rows: Tensor) -> Windows:
        return Windows(self.logits[rows], self.labels[rows], self.images[rows], self.boxes[rows], self.seen)


@dataclass(frozen=True)
class LossWindows:
    """The windows of a data set as a detector sees them."""

    positives: Windows
    negatives: Windows
    data: str  #: name and split
    num_images: int

    def shares(self, losses: Sequence[AnchorLoss], fractions: Sequence[float] = HARDEST) -> pd.DataFrame:
        """Share of the loss that the hardest windows carry, one row per loss and kind of window.

        Columns: loss, windows ("positive" or "negative"), one per fraction, and the mean loss of a window.
        """
        rows = []
        for loss in losses:
            for kind, windows in (("positive", self.positives), ("negative", self.negatives)):
                each = windows.losses(loss)
                parts = {f"hardest {fraction:.0%}": hardest_share(each, fraction) for fraction in fractions}
                rows.append({"loss": str(loss), "windows": kind, **parts, "mean loss": float(each.double().mean())})
        return pd.DataFrame(rows)


@dataclass(frozen=True)
class Ranking:
    """Windows in the order of their losses, easiest first: sorted once, asked many times."""

    windows: Windows
    losses: Tensor  #: [N] float32
    order: np.ndarray  #: [N] rows of the windows
    total: np.ndarray  #: [N] sums of the losses in that order

    @classmethod
    def of(cls, windows: Windows, loss: AnchorLoss | None = None) -> Ranking:
        """The windows by their losses.

        Args:
            loss: None: focal loss with gamma 2 and alpha 0.25.

        Raises:
            DataError: there are no windows, or none of them has any loss.
        """
        losses = windows.losses(loss)
        order = np.argsort(losses.numpy())
        return cls(windows, losses, order, _summed(losses.numpy()[order]))

    def __len__(self) -> int:
        return len(self.order)

    def distribution(self, points: int = 400) -> LossDistribution:
        """As `loss_distribution`."""
        return _distribution(self.total, points)

    def hardest(self, fraction: float) -> float:
        """As `hardest_share`."""
        return _share(self.total, fraction)

    def around(self, place: float, number: int) -> pd.DataFrame:
        """The `number` windows around a place, 0 (the easiest) to 1 (the hardest), hardest first.

        Columns: those of `hardest_windows`, and place.
        """
        middle = place * (len(self) - 1)
        first = min(max(0, round(middle - (number - 1) / 2)), max(0, len(self) - number))
        ranks = np.arange(first, min(first + number, len(self)))[::-1]
        table = _table(self.windows, self.losses, torch.from_numpy(self.order[ranks]))
        return table.assign(place=ranks / max(1, len(self) - 1))


@dataclass(frozen=True)
class LossDistribution:
    """A cumulative distribution: the easiest `windows` of all windows carry `loss` of all loss."""

    windows: np.ndarray  #: [P] fractions, 0..1, ascending
    loss: np.ndarray  #: [P] fractions, 0..1, ascending


def loss_distribution(losses: Tensor, points: int = 400) -> LossDistribution:
    """The cumulative distribution of the normalised losses [N], at so many places; more of them where it is steep.

    Raises:
        DataError: no windows, or windows without any loss.
    """
    return _distribution(_cumulative(losses), points)


def _distribution(total: np.ndarray, points: int) -> LossDistribution:
    number = len(total)
    even = np.linspace(0, number, points)
    steep = number - np.geomspace(1, number, points)  # a curve that is flat nearly everywhere rises at the very end
    places = np.unique(np.round(np.concatenate([even, steep])).astype(np.int64))
    carried = np.concatenate([[0.0], total / total[-1]])
    return LossDistribution(places / number, carried[places])


def hardest_share(losses: Tensor, fraction: float) -> float:
    """Share of the summed losses [N] that the hardest `fraction` of them carry, at least one of them.

    Raises:
        DataError: no losses, losses without any sum, or a fraction outside 0..1.
    """
    return _share(_cumulative(losses), fraction)


def _share(total: np.ndarray, fraction: float) -> float:
    if not 0 < fraction <= 1:
        raise DataError(f"the hardest {fraction} of the windows is no fraction in 0..1")
    count = max(1, round(fraction * len(total)))
    rest = total[-count - 1] if count < len(total) else 0.0
    return float(1 - rest / total[-1])


def hardest_windows(windows: Windows, losses: Tensor, number: int = 100) -> pd.DataFrame:
    """The windows of highest loss, hardest first: where they are, and what the detector takes them for.

    Args:
        losses: [N], of each window.
        number: how many rows.

    Returns:
        Columns: image (position in the data), x1, y1, x2, y2 (pixels), label (0: background), loss, guess (the class
        1..K with the highest score), score (its probability).
    """
    return _table(windows, losses, losses.topk(min(number, len(losses))).indices)


def _table(windows: Windows, losses: Tensor, rows: Tensor) -> pd.DataFrame:
    some = windows[rows]
    score, guess = torch.sigmoid(some.logits).max(dim=1)
    corners = dict(zip(("x1", "y1", "x2", "y2"), some.boxes.T.numpy(), strict=True))
    about = {"label": some.labels.numpy(), "loss": losses[rows].numpy(), "guess": (guess + 1).numpy()}
    return pd.DataFrame({"image": some.images.numpy(), **corners, **about, "score": score.numpy()})


def gather_windows(
    detector: DetectorLike,
    data: Dataset,
    indices: Iterable[int] | None = None,
    *,
    batch_size: int = 8,
    most: int = 2_000_000,
    generator: torch.Generator | None = None,
    progress: bool = False,
    watch: Callable[[float], None] | None = None,
) -> LossWindows:
    """The logits of all windows of a data set, or of a random sample of them.

    Args:
        detector: one with dense anchors.
        indices: positions of the images in `data`; None: all.
        batch_size: images at once; they should be of similar sizes, since padding has windows, too, as in training.
        most: windows of each kind that are kept; each takes 4 (K + 9) bytes, and half as many again while gathering.
        generator: of the sample; None: the same one every time.
        progress: show a bar.
        watch: called after every batch with the share of the images that is done.

    Raises:
        WorkbenchError: a detector without dense anchors.
        DataError: one that does not know the classes of `data`.
    """
    detector = as_detector(detector)
    dense = asked(detector, ScoresAnchors)
    if tuple(detector.classes) != tuple(data.classes):
        raise DataError("detector and data know different classes; choose data with the detector's classes")
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    places = list(range(len(data)) if indices is None else indices)
    positives, negatives = _Sample(most, generator), _Sample(most, generator)
    for start in Bar(range(0, len(places), batch_size), desc="windows", disable=not progress):
        some = places[start : start + batch_size]
        images, targets = zip(*(data[index] for index in some), strict=True)
        for index, (boxes, labels, logits) in zip(some, dense.anchor_scores(images, targets), strict=True):
            for sample, kind in ((positives, labels > 0), (negatives, labels == 0)):
                parts = (part[kind].cpu() for part in (logits, labels, boxes))
                sample.add(*parts, torch.full((int(kind.sum()),), index))
        if watch is not None:
            watch((start + len(some)) / len(places))
    return LossWindows(positives.windows(), negatives.windows(), f"{data.name} {data.split}", len(places))


class _Sample:
    """At most so many rows of all that come, each with the same chance: those of the smallest random keys."""

    def __init__(self, most: int, generator: torch.Generator):
        self.most, self.generator, self.seen = most, generator, 0
        self.limit = 1.0  #: larger keys are out already
        self.parts: list[tuple[Tensor, ...]] = []
        self.kept = 0

    def add(self, *part: Tensor) -> None:
        """Offer rows: tensors of the same length."""
        self.seen += len(part[0])
        keys = torch.rand(len(part[0]), generator=self.generator, dtype=torch.double)
        rows = torch.where(keys < self.limit)[0]
        self.parts.append((keys[rows], *(values[rows] for values in part)))
        self.kept += len(rows)
        if self.kept > 1.5 * self.most:
            self._thin()

    def windows(self) -> Windows:
        """What was kept."""
        if not self.parts:
            raise DataError("there are no images to take windows from")
        self._thin()
        _, logits, labels, boxes, images = self.parts[0]
        return Windows(logits, labels, images, boxes, self.seen)

    def _thin(self) -> None:
        joined = tuple(torch.cat(columns) for columns in zip(*self.parts, strict=True))
        if self.kept > self.most:
            rows = joined[0].topk(self.most, largest=False).indices.sort().values
            joined = tuple(values[rows] for values in joined)
            self.limit = float(joined[0].max())
        self.parts, self.kept = [joined], len(joined[0])


def _cumulative(losses: Tensor) -> np.ndarray:
    """Sums [N] of the losses [N], easiest first, in double precision."""
    return _summed(np.sort(losses.numpy()))


def _summed(losses: np.ndarray) -> np.ndarray:
    total = np.cumsum(losses, dtype=np.float64)
    if len(total) == 0 or total[-1] <= 0:
        raise DataError(f"{len(losses)} windows without any loss have no distribution")
    return total
