"""Hardeners: what makes the features of a training step harder, one method per file."""

from __future__ import annotations

from collections.abc import Callable

from workbench.errors import RecipeError
from workbench.hardeners.asdn import ASDN
from workbench.hardeners.astn import ASTN
from workbench.hardeners.base import Chain, Decision, Hardener, MaskDecision
from workbench.hardeners.dfv import DFVAugmentation
from workbench.hardeners.hard_dropout import HardDropout
from workbench.hardeners.inverted_attention import InvertedAttention
from workbench.hardeners.random_dropout import RandomDropout
from workbench.options import check_options

KINDS: dict[str, Callable[..., Hardener]] = {
    "asdn": ASDN,
    "astn": ASTN,
    "dfv": DFVAugmentation,
    "hard-dropout": HardDropout,
    "inverted-attention": InvertedAttention,
    "random-dropout": RandomDropout,
}

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
    "RandomDropout",
    "build_hardener",
]


def build_hardener(config: dict | list | None) -> Hardener | None:
    """The hardener that a recipe describes; a list is a `Chain`, None is none.

    Args:
        config: {"kind": ..., "preset": "paper" | "released" where the method has presets, and its options}.

    Raises:
        RecipeError: a kind, preset or option that does not exist; the message lists what does.
    """
    if config is None:
        return None
    if isinstance(config, list):
        return Chain(*[build_hardener(part) for part in config])
    options = dict(config) if isinstance(config, dict) else {"kind": config}
    kind = options.pop("kind", None)
    if kind not in KINDS:
        raise RecipeError(f"hardener.kind {kind!r} does not exist; choose one of {sorted(KINDS)}")
    method = KINDS[kind]
    preset = options.pop("preset", None)
    check_options("hardener", method, options)
    if preset is None:
        return method(**options)
    if preset not in ("paper", "released") or not hasattr(method, preset):
        raise RecipeError(f"hardener.preset {preset!r} does not exist for {kind}; choose 'paper' or 'released'")
    return getattr(method, preset)(**options)
