"""Losses: which examples count, and how much."""

from workbench.losses.focal import AnchorLoss, anchor_losses, build_anchor_loss, focal_loss, prior_bias
from workbench.losses.mining import OHEM, AnchorOHEM, build_anchor_mining, build_mining
from workbench.losses.normalisers import build_normaliser

__all__ = [
    "OHEM",
    "AnchorLoss",
    "AnchorOHEM",
    "anchor_losses",
    "build_anchor_loss",
    "build_anchor_mining",
    "build_mining",
    "build_normaliser",
    "focal_loss",
    "prior_bias",
]
