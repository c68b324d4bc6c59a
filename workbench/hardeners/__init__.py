"""Hardeners: what makes the features of a training step harder, one method per file."""

from __future__ import annotations

from workbench.hardeners.asdn import ASDN
from workbench.hardeners.astn import ASTN
from workbench.hardeners.base import Chain, Decision, Hardener, MaskDecision
from workbench.hardeners.dfv import DFVAugmentation
from workbench.hardeners.drop_block import DropBlock
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
    "DropBlock",
    "HardDropout",
    "Hardener",
    "InvertedAttention",
    "MaskDecision",
    "MaskGenerator",
    "OcclusionMasks",
    "RandomDropout",
    "build_hardener",
]


def build_hardener(config: dict | list | str | None, *, place: str = "hardener") -> Hardener | None:
    """The hardener that a recipe describes; a list is a `Chain`; None and an empty list are none.

    Args:
        config: {"kind": ..., "preset": "paper" | "released" where the method has presets, and its options}.
        place: its key in the recipe, for messages; the parts of a list are counted from 0.

    Raises:
        RecipeError: a kind, preset or option that does not exist; the message lists what does.

    Example:
        >>> build_hardener({"kind": "asdn", "preset": "released"}).net_kind
        'convolutional'
        >>> len(build_hardener(["asdn", {"kind": "astn", "limit": 30}]).hardeners)
        2
    """
    if config is None:
        return None
    if isinstance(config, list):
        parts = [build_hardener(part, place=f"{place}.{number}") for number, part in enumerate(config)]
        chained = [part for part in parts if part is not None]
        return Chain(*chained) if chained else None
    return HARDENERS.build(config, place=place)
