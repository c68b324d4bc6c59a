"""Score detectors: COCO's figures, AP by class and by occlusion, intervals and paired differences."""

from workbench.evaluation.audit import audit
from workbench.evaluation.audit_report import AuditReport
from workbench.evaluation.by_class import difference_by_class
from workbench.evaluation.citypersons import evaluate_citypersons
from workbench.evaluation.classification import ImageResult, accuracy_difference
from workbench.evaluation.crowdhuman import evaluate_crowdhuman
from workbench.evaluation.data_detections import DataDetections
from workbench.evaluation.detect_all import detect_all
from workbench.evaluation.evaluate import evaluate, evaluate_detections
from workbench.evaluation.face_files import read_face_results, write_fddb_results, write_wider_results
from workbench.evaluation.false_positives import recall_at_false_positives
from workbench.evaluation.fddb import evaluate_fddb
from workbench.evaluation.generalisation import Generalisation, generalisation
from workbench.evaluation.load import as_result, load_result
from workbench.evaluation.mafa import evaluate_mafa
from workbench.evaluation.mask_overlap import MaskOverlap, mask_overlap
from workbench.evaluation.occluded_coco import evaluate_occluded_coco
from workbench.evaluation.occluded_pascal3d import evaluate_occluded_pascal3d
from workbench.evaluation.occlusion_map import evaluate_occlusion_maps
from workbench.evaluation.proposal_recall import proposal_recall
from workbench.evaluation.published import published_generalisation, published_statistics
from workbench.evaluation.region_report import RegionReport
from workbench.evaluation.regions import score_regions
from workbench.evaluation.result import Result, difference
from workbench.evaluation.side_by_side import side_by_side
from workbench.evaluation.statistics import DataStatistics, statistics
from workbench.evaluation.voc_files import read_voc_results, write_voc_results
from workbench.evaluation.wider_face import evaluate_wider_face

__all__ = [
    "AuditReport",
    "DataDetections",
    "DataStatistics",
    "Generalisation",
    "ImageResult",
    "MaskOverlap",
    "RegionReport",
    "Result",
    "accuracy_difference",
    "as_result",
    "audit",
    "detect_all",
    "difference",
    "difference_by_class",
    "evaluate",
    "evaluate_citypersons",
    "evaluate_crowdhuman",
    "evaluate_detections",
    "evaluate_fddb",
    "evaluate_mafa",
    "evaluate_occluded_coco",
    "evaluate_occluded_pascal3d",
    "evaluate_occlusion_maps",
    "evaluate_wider_face",
    "generalisation",
    "load_result",
    "mask_overlap",
    "proposal_recall",
    "published_generalisation",
    "published_statistics",
    "read_face_results",
    "read_voc_results",
    "recall_at_false_positives",
    "score_regions",
    "side_by_side",
    "statistics",
    "write_fddb_results",
    "write_voc_results",
    "write_wider_results",
]
