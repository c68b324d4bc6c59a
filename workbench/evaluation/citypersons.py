"""CityPersons' log-average miss rate by subsets (S. Zhang, R. Benenson and B. Schiele, "CityPersons: A Diverse
Dataset for Pedestrian Detection", CVPR 2017), by the rules of its evaluation program (eval_MR_multisetup.py).

Full bodies are compared as they are annotated, not clipped to the image (`boxes_full`), and detections as they are. A
match needs IoU ≥ 0.5; a detection is ignored with IoA ≥ 0.5 in a region: what is no pedestrian, or a pedestrian
outside of the subset. At most 1,000 detections of an image count, and those whose height is not within the subset's,
divided and multiplied by 1.25, are left out. Heights are those of the full box, visibility its visible share.

The four subsets of the program are `reasonable` (height ≥ 50, visibility ≥ 0.65), `reasonable_small` (height 50–75),
`reasonable_heavy` (height ≥ 50, visibility 0.2–0.65) and `all` (height ≥ 20, visibility ≥ 0.2). Papers since
"Repulsion Loss" (X. Wang et al., CVPR 2018) also give `bare` (visibility ≥ 0.9), `partial` (0.65–0.9) and `heavy`
(≤ 0.65), all of height ≥ 50. Published numbers of both are of the 500 validation images.

Where we depart: at an FPPI that the first false positive exceeds already, all objects are missed, as in Dollár's
program in MATLAB; the one in Python takes the last miss rate there. It happens with fewer than 100 images only. A
miss rate of 0 counts as 1e-10, as in MATLAB.
"""

from __future__ import annotations

from workbench.data import Dataset
from workbench.evaluation.benchmark_result import FoundObjects, gather
from workbench.evaluation.counting.miss_rate import Rules
from workbench.evaluation.miss_rate import MissRateResult, Subset, miss_curves
from workbench.registry import BENCHMARKS

_ANY, _TALL = float("inf"), (50.0, float("inf"))
SUBSETS = {
    "reasonable": Subset(_TALL, (0.65, 1.0)),
    "reasonable_small": Subset((50.0, 75.0), (0.65, 1.0)),
    "reasonable_heavy": Subset(_TALL, (0.2, 0.65)),
    "all": Subset((20.0, _ANY), (0.2, 1.0)),
    "bare": Subset(_TALL, (0.9, 1.0)),
    "partial": Subset(_TALL, (0.65, 0.9)),
    "heavy": Subset(_TALL, (0.0, 0.65)),
}
RULES = Rules(least=0.5, inclusive=True, last_of_equal=True, reaching=False)
STRETCH = 1.25  #: of the range of heights in which detections count
MOST = 1000  #: detections of an image


@BENCHMARKS.register("citypersons")
def evaluate_citypersons(found: FoundObjects, data: Dataset) -> MissRateResult:
    """MR⁻² of each subset on data of CityPersons.

    Args:
        found: what `evaluate` gives for a detector or a file of results, or one `Detections` per image of `data`.
        data: its targets have `boxes_full` [N, 4]; `iscrowd` are ignored regions, and `occlusion` is known of others.

    Raises:
        DataError: targets without this key, or detections of other images.

    Example:
        >>> from workbench.data.face_scenes import FaceScenes
        >>> class LikeCityPersons(FaceScenes):
        ...     def target(self, index):
        ...         target = super().target(index)
        ...         target["boxes_full"] = target["boxes"]
        ...         return target
        >>> data = LikeCityPersons("test", length=4)
        >>> result = evaluate_citypersons(wb.evaluate("face-scenes/faster-rcnn", data, progress=False), data)
        >>> result.counts()["MR_all"] > result.counts()["MR_reasonable"]
        True
    """
    people = gather(found, data, ("boxes_full",), "citypersons", noun="pedestrian")
    boxes = people.columns["boxes_full"].astype(float), people.found.boxes
    curves = miss_curves(people, boxes, SUBSETS, RULES, stretch=STRETCH, most=MOST)
    how = f"CityPersons: full boxes, IoU and IoA ≥ {RULES.least:g}, MR⁻² over FPPI 0.01–1"
    return MissRateResult(people, how, dict(SUBSETS), curves)
