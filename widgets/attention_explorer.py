"""Look where a detector looks: attention on one object, overall and by channel, before and after its inversion.

The pictures are `workbench.figures.attention`, drawn anew at every change.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import ipywidgets
import traitlets
from torch import tensor

from widgets.parts.controls import WIDE
from widgets.parts.pictures import picture, png
from widgets.parts.region_explorer import SIZE, RegionExplorer
from widgets.parts.sources import COLUMNS, LAST, thinned
from workbench.analysis.attention import STRATEGIES, Inversion, RoIAttention, inversions, roi_attention
from workbench.figures.attention import (
    attention_of_objects,
    attention_on_patch,
    attention_over_training,
    four_strategies,
)
from workbench.hardeners.inverted_attention import INVERSIONS, ORIENTATIONS

OTHERS = 2  # detectors whose attention is shown below that of the chosen one, at most
HEADINGS = (
    "<b>Where the head looks</b>: the most sensitive channels, and all of them (bright: speaks for the class)",
    "<b>What each inversion keeps</b> (dark: dropped), and the score without → with it",
)


class AttentionExplorer(RegionExplorer):
    """What a detector's head looks at in one region, and what it makes of it when that attention is inverted.

    Args:
        detectors: a detector, a `Run`, or the name or path of one, or a list or a dict (name → such).
        data: a `Dataset` to leaf through, or one image uint8 or float (0..1) [3, H, W], or uint8 [H, W, 3] as array
            or PIL image.
        target: what is known of one image.
        classes: names of the target's labels 1..K, where they are not the data's or the first detector's.
        state: any of the traitlets.

    Traitlets, to be set from Python or with the controls: `detector` (name), `step` (of a run's checkpoint; -1: its
    last), `inversion`, `orientation`, `drop_cells` (T_s), `drop_channels` (T_c), `threshold` (of the hard
    inversion), `index` (of the image), `chosen` (position in `objects`, or None), `box` (the region, xyxy pixels) and
    `label` (the class to explain, 0 is background). `show()` sets several at once. `seen` and `inverted` (by
    strategy) are what is shown, `scores` the score before and after each inversion, and `error` says what went wrong
    with the last change.

    Example:
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> explorer = widgets.AttentionExplorer(detector, *wb.load_data("digit-scenes", split="test")[7])
        >>> before, after = explorer.scores["hard"]
        >>> after < before
        True
    """

    OPTIONS = ("inversion", "orientation", "drop_cells", "drop_channels", "threshold")

    inversion = traitlets.Enum(INVERSIONS, "soft")
    orientation = traitlets.Enum(ORIENTATIONS, "both")
    drop_cells = traitlets.Float(0.33, min=0, max=1)
    drop_channels = traitlets.Float(0.8, min=0, max=1)
    threshold = traitlets.Float(0.5, min=0, max=1)
    scores = traitlets.Dict(read_only=True, help="strategy → (before, after), probabilities of `label`")
    seen: RoIAttention | None = None

    def _look(self) -> None:
        self.seen = roi_attention(self._detector, self.image, tensor(self.box), self.label)

    def _guess(self) -> int:
        return roi_attention(self._detector, self.image, tensor(self.box)).label

    def _seen(self, name: str, step: int, box: Sequence[float], label: int) -> RoIAttention:
        return roi_attention(self.sources[name].detector(step), self.image, tensor(box), label)

    def _answer(self) -> None:
        options = {name: getattr(self, name) for name in self.OPTIONS[1:]}
        strategies = tuple(dict.fromkeys([*STRATEGIES, self.inversion]))
        self.inverted: dict[str, Inversion] = inversions(self._detector, self.seen, strategies=strategies, **options)
        scores = {name: (self.seen.score, one.after.score) for name, one in self.inverted.items()}
        self.set_trait("scores", scores)

    # ---- what is shown ---------------------------------------------------------------------------------------

    def _draw(self) -> None:
        self._facts.value = self._sentence()
        names = self._names[1:]
        chosen = self.inverted[self.inversion]
        rows = {
            self.detector: self.seen,
            f"kept by {self.inversion} inversion": chosen,
            "attention on what is kept": chosen.after,
            **self._others(),
        }
        self.on_patch.value = png(attention_on_patch(rows, names, **SIZE))
        self.strategies.value = png(four_strategies(self.inverted, names, **SIZE))
        self._draw_comparison()

    def _others(self) -> dict[str, RoIAttention]:
        """Attention of the other detectors on the same region and class."""
        names = [name for name in self.sources if name != self.detector][:OTHERS]
        found = {name: self._ask(name, LAST) for name in names}
        return {name: seen for name, seen in found.items() if seen is not None}

    def _draw_comparison(self) -> None:
        """Figs. 5 and 2; only while it is open, since every checkpoint must be asked."""
        if self.comparison.selected_index is None:
            return
        runs = {name: source.steps for name, source in self.sources.items() if source.steps}
        if runs:
            rows = {}
            for name, steps in runs.items():
                seen = {step: self._ask(name, step) for step in thinned(steps, self.step)}
                rows[name] = {step: one for step, one in seen.items() if one is not None}
            marked = max(self._source.steps, default=None) if self.step == LAST else self.step
            figure = attention_over_training(rows, marked=marked, **SIZE)
        else:
            things = self.objects[:COLUMNS]
            asked = {name: [self._ask(name, LAST, thing) for thing in things] for name in self.sources}
            rows = {name: row for name, row in asked.items() if row and None not in row}
            figure = attention_of_objects(rows, self._names[1:], **SIZE) if rows else None
        self.compared.value = b"" if figure is None else png(figure)

    def _sentence(self) -> str:
        """What the head says of the region."""
        order = self.seen.probabilities.argsort(descending=True)[:3].tolist()
        says = ", ".join(f"{self._names[one]} {float(self.seen.probabilities[one]):.2f}" for one in order)
        name = html.escape(self._names[self.label])
        before, after = self.scores[self.inversion]
        return (
            f"What speaks for <b>{name}</b>? Score <b>{before:.2f}</b>, after {self.inversion} inversion "
            f"<b>{after:.2f}</b>. The head says: {html.escape(says)}."
        )

    # ---- parts -----------------------------------------------------------------------------------------------

    def _panels(self) -> list[ipywidgets.Widget]:
        self.on_patch, self.strategies = picture(), picture()
        looks, kept = (ipywidgets.HTML(text) for text in HEADINGS)
        return [looks, self.on_patch, kept, self.strategies]

    def _controls_of_options(self) -> dict[str, ipywidgets.Widget]:
        fraction = {"min": 0.0, "max": 1.0, "step": 0.01, "readout_format": ".0%", **WIDE}
        controls = {
            "inversion": ipywidgets.Dropdown(options=INVERSIONS, description="Inversion", **WIDE),
            "orientation": ipywidgets.Dropdown(options=ORIENTATIONS, description="Orientation", **WIDE),
            "drop_cells": ipywidgets.FloatSlider(value=0.33, description="Drop cells", **fraction),
            "drop_channels": ipywidgets.FloatSlider(value=0.8, description="in channels", **fraction),
            "threshold": ipywidgets.FloatSlider(value=0.5, description="Hard from", **fraction),
        }
        tooltips = {
            "drop_cells": "T_s: the share of cells that is dropped, those of the highest attention",
            "drop_channels": "T_c: the share of channels in which they are dropped, the most sensitive ones",
            "threshold": "Hard inversion drops cells above this share of the range of the attention",
        }
        for name, text in tooltips.items():
            controls[name].tooltip = text
        return controls
