"""Hard dropout: the window that hurts most is hidden in every step (A-Fast-RCNN, Wang et al. 2017, Table 2).

The control that ASDN must beat: the exhaustive search of `layers.window_search`, without a network that learns it.

Where it does not help: the search knows one size of window and always takes the worst, so the detector soon learns
those (57.7 against 58.5 mAP for ASDN in the paper).
"""

from __future__ import annotations

from workbench.hardeners.base import Decision, Hardener, MaskDecision, candidates
from workbench.hardeners.layers.window_search import hardest_windows
from workbench.options import Count, Number
from workbench.registry import HARDENERS
from workbench.types import RoIBatch


@HARDENERS.register("hard-dropout")
class HardDropout(Hardener):
    """Drop the window that hurts most from every foreground RoI.

    Args:
        stride: cells between the windows that are tried.
        clean_images: leave the RoIs of so many images of the batch alone.

    Example:
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> images, targets = zip(*wb.load_data("digit-scenes", length=2))
        >>> plain = detector.losses(images, targets, torch.Generator().manual_seed(0))
        >>> detector.take_hardener(HardDropout())
        >>> hardened = detector.losses(images, targets, torch.Generator().manual_seed(0))
        >>> bool(hardened["classifier"] > plain["classifier"])
        True
    """

    mixed = True

    def __init__(self, *, stride: Count = 1, clean_images: Number = 1):
        super().__init__()
        self.stride = stride
        self.clean_images = clean_images

    def decide(self, batch: RoIBatch) -> Decision:
        """Masks [r, 1, h, w]; see the class."""
        rows = candidates(batch, clean_images=self.clean_images)
        if len(rows) == 0:
            return Decision()
        hidden = hardest_windows(batch.score, batch.features[rows], batch.labels[rows], stride=self.stride)
        return MaskDecision((~hidden).float()[:, None], rows)
