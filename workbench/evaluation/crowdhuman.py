"""CrowdHuman's figures (S. Shao et al., "CrowdHuman: A Benchmark for Detecting Human in a Crowd", 2018) by the rules
of the program with which papers since "Detection in Crowded Scenes" (X. Chu et al., CVPR 2020, CrowdDet) give them:
log-average miss rate (MR⁻²), AP and the Jaccard index (JI), for the boxes that the data set is loaded with.

All boxes are clipped to the image, their left and upper sides to its last pixel. A match needs IoU > 0.5, and a
detection is ignored with IoA > 0.5 in a region to be ignored (`iscrowd`). The miss rate at an FPPI is that of the
first detection with which FPPI reaches it; AP is the area between the points of the curve, without what lies left of
the first. No height is asked for, and any number of detections counts.

CrowdHuman defines no subsets. Those by visibility here are CityPersons' `bare`, `partial` and `heavy` (visibility ≥
0.9, 0.65–0.9, ≤ 0.65) without its limits of height; people outside of one are regions to be ignored.

Where we depart: a miss rate of 0 counts as 1e-10, so that its logarithm exists; people without area, or outside of
their image, are left out by the loader and are missed there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from workbench.data import Dataset
from workbench.evaluation.benchmark_result import FoundObjects, Gathered, gather
from workbench.evaluation.counting.jaccard import SCORES, Jaccard, image_indices
from workbench.evaluation.counting.miss_rate import Rules
from workbench.evaluation.miss_rate import MissRateResult, Subset, miss_curves
from workbench.registry import BENCHMARKS

SUBSETS = {
    "all": Subset(),
    "bare": Subset(visible=(0.9, 1.0)),
    "partial": Subset(visible=(0.65, 0.9)),
    "heavy": Subset(visible=(0.0, 0.65)),
}
RULES = Rules(least=0.5, inclusive=False, last_of_equal=False, reaching=True, extra=1e-6)
_AP, _JI = f"AP@{RULES.least:g}", f"JI@{RULES.least:g}"


@dataclass(frozen=True, eq=False, repr=False)
class CrowdHumanResult(MissRateResult):
    """Miss rates, AP and Jaccard index of one detector on CrowdHuman; lower miss rates are better."""

    jaccard: Jaccard = field(kw_only=True)

    def figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """`MR_all`, `AP@0.5`, `JI@0.5`, and `MR_bare`, `MR_partial` and `MR_heavy`."""
        rates = super().figures(weights)
        all_people = {_AP: self.curves["all"].average_precision(weights), _JI: self.jaccard.best(weights)}
        return {"MR_all": rates.pop("MR_all")} | all_people | rates

    def counts(self) -> dict[str, int]:
        """The people to be found behind each figure."""
        counts = super().counts()
        return {name: counts.get(name, counts["MR_all"]) for name in self.summary}


@BENCHMARKS.register("crowdhuman")
def evaluate_crowdhuman(found: FoundObjects, data: Dataset) -> CrowdHumanResult:
    """MR⁻² of all people and by visibility, AP and Jaccard index on data of CrowdHuman.

    Args:
        found: what `evaluate` gives for a detector or a file of results, or one `Detections` per image of `data`.
        data: of one class; `iscrowd` are ignored regions, and the subsets need `occlusion`.

    Raises:
        DataError: several classes, or detections of other images.

    Example:
        >>> data = wb.load_data("face-scenes", split="test", length=4)
        >>> result = evaluate_crowdhuman(wb.evaluate("face-scenes/faster-rcnn", data, progress=False), data)
        >>> list(result.summary)
        ['MR_all', 'AP@0.5', 'JI@0.5', 'MR_bare', 'MR_partial', 'MR_heavy']
        >>> result.summary["AP@0.5"] > result.summary["MR_all"]
        True
    """
    people = gather(found, data, (), "crowdhuman", noun="person")
    theirs = clipped(people.objects.boxes, people.objects.sizes[people.objects.images])
    ours = clipped(people.found.boxes, people.objects.sizes[people.found.images])
    curves = miss_curves(people, (theirs, ours), SUBSETS, RULES)
    how = f"CrowdHuman: boxes clipped to the image, IoU and IoA > {RULES.least:g}, MR⁻² over FPPI 0.01–1"
    return CrowdHumanResult(people, how, dict(SUBSETS), curves, jaccard=_jaccard(people, theirs, ours))


def clipped(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] (xyxy pixels) in images of `sizes` [N, 2] (height, width), as CrowdDet's program clips them."""
    most = sizes[:, ::-1]
    return np.concatenate([boxes[:, :2].clip(0, most - 1), boxes[:, 2:].clip(0, most)], axis=1)


def _jaccard(people: Gathered, theirs: np.ndarray, ours: np.ndarray) -> Jaccard:
    number, ignored = people.num_images, people.objects.ignored
    places = [np.searchsorted(table.images, np.arange(number + 1)) for table in (people.objects, people.found)]
    values, counted = np.zeros((number, len(SCORES))), np.zeros((number, len(SCORES)), bool)
    for image in range(number):
        there, here = (slice(*ends[image : image + 2]) for ends in places)
        values[image], counted[image] = image_indices(
            ours[here], people.found.scores[here], theirs[there], ignored[there], RULES.least
        )
    return Jaccard(values, counted)
