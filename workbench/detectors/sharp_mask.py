"""SharpMask: DeepMask whose masks are refined by the maps on the way down (T.-Y. Lin's thesis, sec. 3.3).

It starts from a trained DeepMask. Trunk, vectors and scores stay as they are, and only the refinement learns
(`workbench.detectors.layers.mask_refinement`), so that one network gives coarse masks (`refine: false`, or
within `coarse()`) and sharp ones of the same windows.

When it does not help: scores are DeepMask's, so it finds the same objects, with better edges; boxes gain less than
masks (Table 3.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from workbench.detectors.deep_mask import DeepMask
from workbench.detectors.layers.found_windows import Found
from workbench.detectors.layers.mask_refinement import RefinementForm, Schedule, TopDown, Variant, Windows
from workbench.options import Count
from workbench.registry import DETECTORS


@DETECTORS.register("sharp-mask")
class SharpMask(DeepMask):
    """Proposes sharp masks; build one with `SharpMask.build`."""

    needs_start = True
    grows = ("refinement",)

    refinement: TopDown
    refines: bool  #: False: coarse masks, as the DeepMask in it gives them

    @classmethod
    def build(
        cls,
        classes: Sequence[str],
        *,
        k: Count = 32,
        schedule: Schedule = "b",
        form: RefinementForm = "thesis",
        variant: Variant = "refine",
        refine: bool = True,
        **options: Any,
    ) -> SharpMask:
        """A SharpMask from plain values; the other options are those of `DeepMask.build`.

        Of these `target_size` and `score_weight` mean nothing here: masks are compared pixel by pixel, and scores do
        not learn.

        Args:
            k: channels of the first encoding and its skip features.
            schedule: "a" keeps them, "b" halves them with every module.
            form: "thesis" or "released", see `mask_refinement`.
            variant: "refine"; "skip" or "deconv", the ablations of sec. 3.5.2.
            refine: False gives coarse masks.

        Raises:
            RecipeError: options that do not exist or do not fit together.
        """
        detector = super().build(classes, **options)
        detector.score_weight, detector.patches["score_share"] = 0.0, 0.0  # patches for masks alone
        detector.requires_grad_(False)
        seen = (detector.head.width, detector.cells, detector.trunk.widths)
        detector.refinement = TopDown(*seen, k=k, schedule=schedule, form=form, variant=variant)
        detector.refines = refine
        return detector.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> SharpMask:
        """Training mode for the refinement; trunk and head keep their statistics and drop nothing."""
        super().train(mode)
        self.trunk.eval()
        self.head.eval()
        return self

    def shared(self, maps: list[Tensor]) -> list[Tensor | None]:
        """The skip features of an image, for all its windows."""
        return self.refinement.skips(maps) if self.refines else []

    def patch_masks(self, vectors: Tensor, maps: list[Tensor], inner: int) -> Tensor:
        """Logits [N, size, size] of N patches, refined."""
        first = torch.full((len(vectors),), inner, device=vectors.device)
        windows = Windows(torch.arange(len(vectors), device=vectors.device), first, first)
        return self.refinement(vectors, self.refinement.skips(maps), windows)

    def window_masks(self, found: Found, cells: Tensor) -> Tensor:
        """Logits [N, s, s] of some windows, refined unless `refines` is False."""
        if not self.refines:
            return super().window_masks(found, cells)
        return self.refinement(found.vectors.flatten(0, 1)[cells], found.shared, found.places(cells))

    @contextmanager
    def coarse(self) -> Iterator[DeepMask]:
        """Within this context it gives the coarse masks of the DeepMask in it."""
        before, self.refines = self.refines, False
        try:
            yield self
        finally:
            self.refines = before
