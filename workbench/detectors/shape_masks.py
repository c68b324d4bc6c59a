"""Masks for a detector that finds boxes: the average shape of a class, pasted into each box.

T.-Y. Lin's thesis, sec. 2.7, "Generating segmentations from detections": masks of aligned training objects are
averaged by class and aspect, thresholded, and pasted. There the aspects are the mixtures of a deformable part model,
which begin as groups of equal size by the ratio of width and height; here they are these groups. It is the baseline
that masks of a network must beat: no pixel of the image is looked at.

Where we decide: masks are averaged on `side` x `side` cells (32), as nothing is said; a class that was never seen
gets the average of all classes; `threshold` is 0.5, or "best": for each class what gives the highest mean IoU with
its own training masks. When it does not help: articulated, hollow or partly hidden objects, whose average is a blob.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor

from workbench.data import Dataset
from workbench.detectors.base import Detector, Detects, ScoresBoxes, asked
from workbench.detectors.layers.mask_head import LEARN, Learn, paste
from workbench.detectors.layers.mean_shapes import aligned_masks, best_threshold, mean_shapes, ratios_of
from workbench.detectors.load import DetectorLike, as_detector
from workbench.detectors.reading.own_file import is_as_saved, read_safetensors, write_own
from workbench.errors import DataError, WeightsError
from workbench.files import user_path
from workbench.types import Detections, Proposals

FORMAT = "occlusion-workbench-shape-masks-1"
TENSORS = ("means", "counts", "ratios", "edges", "thresholds", "overall")  #: of a file


@dataclass(frozen=True, eq=False, repr=False)
class ShapeMasks:
    """The average shapes of the objects of a data set, see the module; made by `learn`.

    Shape letters: K classes, A aspects, s cells a side.

    Example:
        >>> shapes = ShapeMasks.learn(wb.load_data("digit-scenes", length=60), progress=False)
        >>> tuple(shapes.means.shape)
        (10, 3, 32, 32)
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> found = shapes.on("digit-scenes/faster-rcnn").detect([data.image(0)])[0]
        >>> found.masks.shape == (len(found), 128, 128)
        True
    """

    classes: tuple[str, ...]
    means: Tensor  #: [K, A, s, s] float32 in 0..1, the share of objects that have a cell
    counts: Tensor  #: [K, A] int64, how many objects each is the mean of
    ratios: Tensor  #: [K, A] float32, width / height of these objects, the geometric mean
    edges: Tensor  #: [K, A - 1] float32, the ratio between one aspect and the next
    thresholds: Tensor  #: [K] float32, from which a cell belongs to the object
    learned: Learn = "visible"
    overall: Tensor = field(default_factory=lambda: torch.zeros(0))  #: [s, s], the mean of all objects

    @classmethod
    def learn(
        cls,
        data: Dataset,
        *,
        aspects: int = 3,
        side: int = 32,
        most: int = 500,
        learn: Learn = "visible",
        threshold: float | Literal["best"] = 0.5,
        progress: bool = True,
    ) -> ShapeMasks:
        """Average the masks of a data set; no picture is decoded.

        Args:
            data: whose targets have masks.
            aspects: groups of each class, of equal size, by the ratio of width and height.
            side: cells of a mean shape.
            most: objects of each class, the first ones.
            learn: "visible" or "amodal" masks.
            threshold: from which mean a cell belongs to the object, 0..1; or "best".
            progress: show a bar.

        Raises:
            DataError: an argument is out of its range, or there are no masks.
        """
        if min(aspects, side, most) < 1 or learn not in LEARN:
            raise DataError(
                f"aspects, side, most, learn are {aspects}, {side}, {most}, {learn!r}; see ShapeMasks.learn"
            )
        if threshold != "best" and not (isinstance(threshold, int | float) and 0 < threshold <= 1):
            raise DataError(f"threshold is {threshold!r}; expected a share above 0, at most 1, or 'best'")
        found = aligned_masks(data, LEARN[learn], side, most, progress=progress)
        if not any(found):
            what = "masks" if learn == "visible" else "amodal masks"
            raise DataError(f"{data.name} {data.split}: no object has {what} to learn a shape from")
        shapes = [mean_shapes(parts, aspects, side) for parts in found]
        overall = torch.cat([mask for parts in found for _, mask in parts]).float().mean(0)
        means, counts, ratios, edges = (torch.stack(column) for column in zip(*shapes, strict=True))
        own = [
            best_threshold(parts, mean, edge) if threshold == "best" else float(threshold)
            for parts, mean, edge in zip(found, means, edges, strict=True)
        ]
        return cls(tuple(data.classes), means, counts, ratios, edges, torch.tensor(own), learn, overall)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write one .safetensors file, whole or not at all; the path.

        Raises:
            OSError: the disk refuses.

        Example:
            >>> shapes = ShapeMasks.learn(wb.load_data("digit-scenes", length=20), progress=False)
            >>> ShapeMasks.load(shapes.save("shapes.safetensors"))
            ShapeMasks(10 classes, 3 aspects, 32 x 32 cells, of 72 visible masks)
        """
        stated = {"format": FORMAT, "classes": json.dumps(self.classes), "learned": self.learned}
        return write_own(path, {name: getattr(self, name).contiguous() for name in TENSORS}, stated)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> ShapeMasks:
        """Read what `save` wrote; nothing in the file is executed.

        Raises:
            WeightsError: it cannot be read, is damaged, or is none of shapes.
        """
        place = user_path(path, WeightsError)
        state, stated = read_safetensors(place)
        if stated.get("format") != FORMAT or state.keys() != set(TENSORS):
            raise WeightsError(f"{place} holds no shapes; expected a file that ShapeMasks.save wrote")
        if not is_as_saved(state, stated):
            raise WeightsError(f"{place} is damaged: it does not hold what was saved. Copy it again, or save it anew")
        return cls(tuple(json.loads(stated["classes"])), learned=cast(Learn, stated["learned"]), **state)

    def shapes(self, labels: Tensor, boxes: Tensor) -> Tensor:
        """The mean shape [N, s, s] of objects by labels [N] in 0..K (0: an unknown class) and boxes [N, 4]."""
        ratio = ratios_of(boxes.cpu())
        place = labels.cpu() - 1
        known = place.clamp(min=0)
        aspect = (ratio[:, None] > self.edges[known]).sum(1)
        own = self.means[known, aspect]
        seen = (place >= 0) & (self.counts[known].sum(1) > 0)
        return torch.where(seen[:, None, None], own, self.overall)

    def paste(
        self, detections: Detections, size: tuple[int, int], classes: Sequence[str] | None = None
    ) -> Detections:
        """The same detections with masks: in each box the shape of its class and aspect.

        Args:
            detections: of one image.
            size: height and width of the image in pixels.
            classes: names of the labels 1..K of the detections; None: those of the shapes.

        Example:
            >>> box = Detections(torch.tensor([[10.0, 10, 30, 40]]), torch.tensor([1]), torch.tensor([0.9]))
            >>> shapes = ShapeMasks.learn(wb.load_data("digit-scenes", length=20), progress=False)
            >>> masks = shapes.paste(box, (50, 50)).masks
            >>> tuple(masks.shape), int(masks.sum()) <= 20 * 30
            ((1, 50, 50), True)
        """
        names = self.classes if classes is None else tuple(classes)
        own = torch.tensor([0, *(self.classes.index(name) + 1 if name in self.classes else 0 for name in names)])
        labels = own[detections.labels.cpu()]
        shapes, boxes = self.shapes(labels, detections.boxes), detections.boxes.detach().cpu().float()
        thresholds = torch.cat([self.thresholds.mean()[None], self.thresholds])[labels]
        masks = torch.zeros(len(labels), *size, dtype=torch.bool)
        for value in thresholds.unique().tolist():
            rows = thresholds == value
            masks[rows] = paste(shapes[rows], boxes[rows], size, threshold=value)
        device = detections.boxes.device
        return Detections(
            detections.boxes, detections.labels, detections.scores, masks.to(device), dict(detections.extras)
        )

    def on(self, detector: DetectorLike) -> ShapeMaskDetector:
        """A detector with these masks; those that it finds itself are replaced.

        Args:
            detector: of boxes, any that can be evaluated. Classes go by name; those without a shape get that of all.

        Raises:
            DataError: it has no class in common with the shapes.
        """
        return ShapeMaskDetector(as_detector(detector), self)

    def __repr__(self) -> str:
        classes, aspects, side, _ = self.means.shape
        return (
            f"ShapeMasks({classes} classes, {aspects} aspects, {side} x {side} cells, of {int(self.counts.sum())} "
            f"{self.learned} masks)"
        )


class ShapeMaskDetector(Detector):
    """A detector of boxes with mean shapes for masks, made by `ShapeMasks.on`.

    It cannot be trained, and is saved in its parts: the detector, and the shapes by `ShapeMasks.save`.

    Args:
        detector: of objects.
        shapes: what is pasted into its boxes.

    Raises:
        DataError: they have no class in common.
    """

    def __init__(self, detector: Detector, shapes: ShapeMasks):
        super().__init__()
        if not set(detector.classes) & set(shapes.classes):
            raise DataError(
                f"the detector knows {', '.join(detector.classes[:5])}, the shapes are of "
                f"{', '.join(shapes.classes[:5])}: no class is the same; relabel(detector, classes) renames its own"
            )
        self.detector, self.shapes, self.classes = detector, shapes, tuple(detector.classes)
        self.needs_proposals = detector.needs_proposals
        if isinstance(detector, ScoresBoxes):  # so that only those have it that can
            self.score_boxes = detector.score_boxes

    @property
    def mask_key(self) -> str:
        """What the shapes were learned from."""
        return LEARN[self.shapes.learned]

    @property
    def notes(self) -> Sequence[str]:
        """The detector's own, and the classes that have no shape."""
        seen = {name for name, count in zip(self.shapes.classes, self.shapes.counts.sum(1), strict=True) if count}
        lacking = [name for name in self.classes if name not in seen]
        if not lacking:
            return self.detector.notes
        return (
            *self.detector.notes,
            f"Without a shape of their own are {', '.join(lacking)}: they have that of all.",
        )

    def detect(
        self, images: Sequence[Tensor], proposals: Sequence[Proposals | Tensor] | None = None
    ) -> list[Detections]:
        """What the detector finds, with masks."""
        finder = asked(self.detector, Detects)
        found = finder.detect(images, proposals) if self.needs_proposals else finder.detect(images)
        sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
        return [self.shapes.paste(one, size, self.classes) for one, size in zip(found, sizes, strict=True)]
