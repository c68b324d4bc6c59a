"""Losses: which examples count, and how much."""

from workbench.losses.mining import OHEM, build_mining

__all__ = ["OHEM", "build_mining"]
