"""Hardeners: what makes the features of a training step harder, one method per file."""

from __future__ import annotations

from workbench.hardeners.asdn import ASDN
from workbench.hardeners.astn import ASTN
from workbench.hardeners.base import Chain, Decision, Hardener, MaskDecision
from workbench.hardeners.dfv import DFVAugmentation
from workbench.hardeners.hard_dropout import HardDropout
from workbench.hardeners.inverted_attention import InvertedAttention
from workbench.hardeners.mask_generator import MaskGenerator
from workbench.hardeners.occlusion_masks import OcclusionMasks
from workbench.hardeners.random_dropout import RandomDropout
from workbench.registry import HARDENERS

__all__ = [
    "ASDN",
    "ASTN",
    "Chain",
    "DFVAugmentation",
    "Decision",
    "HardDropout",
    "Hardener",
    "InvertedAttention",
    "MaskDecision",
    "MaskGenerator",
    "OcclusionMasks",
    "RandomDropout",
    "build_hardener",
]


def build_hardener(config: dict | list | str | None) -> Hardener | None:
    """The hardener that a recipe describes; a list is a `Chain`; None and an empty list are none.

    Args:
        config: {"kind": ..., "preset": "paper" | "released" where the method has presets, and its options}.

    Raises:
        RecipeError: a kind, preset or option that does not exist; the message lists what does.
    """
    if config is None:
        return None
    if isinstance(config, list):
        parts = [hardener for part in config if (hardener := build_hardener(part)) is not None]
        return Chain(*parts) if parts else None
    return HARDENERS.build(config)
