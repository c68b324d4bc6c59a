"""Annotation by several workers: what they did, how good they are, and the rules of COCO's pipeline."""

from workbench.annotation.actions import Action, jobs, read_actions, standing, write_actions
from workbench.annotation.combining import combine
from workbench.annotation.quality import WorkerQuality, worker_quality
from workbench.annotation.simulation import SimulatedWorker, simulate, simulate_votes
from workbench.annotation.stages import (
    Grid,
    Verdict,
    covered,
    crosses,
    judged,
    judging_grid,
    may_add_cross,
    missing_jobs,
    present,
    verdict,
    verdicts,
    waiting,
)

__all__ = [
    "Action",
    "Grid",
    "SimulatedWorker",
    "Verdict",
    "WorkerQuality",
    "combine",
    "covered",
    "crosses",
    "jobs",
    "judged",
    "judging_grid",
    "may_add_cross",
    "missing_jobs",
    "present",
    "read_actions",
    "simulate",
    "simulate_votes",
    "standing",
    "verdict",
    "verdicts",
    "waiting",
    "worker_quality",
    "write_actions",
]
