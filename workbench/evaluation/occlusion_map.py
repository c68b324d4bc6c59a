"""How well a detector knows where something hides objects: its occlusion map against the truth.

The map of an image is the union of what its detections have in `extras["masks_occluder"]`, which the occlusion branch
of AOFD keeps inside the predicted boxes (Chen et al. 2018, sec. 3.4). So a face that is missed is an occluder that is
missed. The paper gives pictures of these maps and no figures; here they are compared by intersection over union.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from workbench.detectors.branches.occlusion import FOUND, KEY
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.evaluation.counting import bootstrap
from workbench.evaluation.evaluate import detect_batch
from workbench.evaluation.result import RESAMPLES
from workbench.progress import Bar

if TYPE_CHECKING:
    from workbench.data import Dataset


@dataclass(frozen=True, eq=False)
class OcclusionMapScore:
    """Pixels of the I images with known occluders."""

    data: str
    both: np.ndarray  #: [I] int64, occluded and found so
    found: np.ndarray  #: [I] int64
    true: np.ndarray  #: [I] int64

    @property
    def summary(self) -> dict[str, float]:
        """`IoU`, `precision` and `recall` of all pixels together; NaN where there are none."""
        return {name: float(values[0]) for name, values in self._figures(np.ones((1, len(self.both)))).items()}

    def interval(self, name: str = "IoU") -> tuple[float, float]:
        """The 95 % interval (low, high) of a figure of the summary, by resampling images."""
        samples = self._figures(bootstrap.resample_images(len(self.both), RESAMPLES))[name]
        return bootstrap.interval(self.summary[name], samples)

    def _figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Each figure [B] for image weights [B, I]."""
        both, found, true = (weights @ one.astype(float) for one in (self.both, self.found, self.true))
        with np.errstate(invalid="ignore", divide="ignore"):
            return {"IoU": both / (found + true - both), "precision": both / found, "recall": both / true}

    def __str__(self) -> str:
        low, high = self.interval()
        figures = self.summary
        return (
            f"{self.data}: occlusion maps of {len(self.both)} images: IoU {figures['IoU']:.3f} ({low:.3f} to "
            f"{high:.3f}), precision {figures['precision']:.3f}, recall {figures['recall']:.3f}"
        )


def evaluate_occlusion_maps(
    detector: DetectorLike, data: Dataset, *, score: float = 0.5, batch_size: int = 16, progress: bool = True
) -> OcclusionMapScore:
    """Compare the occlusion maps of a detector with `target["mask_occluder"]`; images without it are left out.

    Args:
        detector: one with an occlusion branch, such as `aofd`.
        score: least score of the detections whose masks count, 0..1.
        batch_size: images at a time.
        progress: show a bar.

    Raises:
        DataError: no image says where its occluders are, or the detector gives no masks of them.

    Example:
        >>> data = wb.load_data("face-scenes", split="test", length=2)
        >>> score = evaluate_occlusion_maps("aofd/face-scenes+aofd", data, progress=False)
        >>> score.summary["IoU"] > 0.4
        True
    """
    detector = as_detector(detector)
    counts: list[tuple[int, int, int]] = []
    for start in Bar(range(0, len(data), batch_size), desc=f"{data.name} {data.split}", disable=not progress):
        indices = range(start, min(start + batch_size, len(data)))
        batch = [(data.image(index), target) for index in indices if KEY in (target := data.target(index))]
        detections = detect_batch(detector, batch) if batch else []
        for found, (_, target) in zip(detections, batch, strict=True):
            if FOUND not in found.extras:
                raise DataError(
                    f"the detector gives no {FOUND}; choose one with an occlusion branch, in its recipe "
                    "detector.branches: [{kind: occlusion}]"
                )
            hidden = found.above(score).extras[FOUND].any(dim=0).cpu()
            truth = target[KEY].as_subclass(Tensor).bool()
            counts.append(tuple(int(torch.count_nonzero(one)) for one in (hidden & truth, hidden, truth)))  # type: ignore[arg-type]
    if not counts:
        raise DataError(f'{data.name} {data.split}: no image has target["{KEY}"], such as face-scenes have')
    both, found_, true = np.array(counts, dtype=np.int64).T
    return OcclusionMapScore(f"{data.name} {data.split}", both, found_, true)
