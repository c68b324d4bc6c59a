"""Move the focal loss's gamma and alpha, and see which windows of a detector its loss is about (Lin's thesis, ch. 5).

The pictures are `workbench.figures.focal_panels` and `loss_windows`, of what `workbench.analysis.anchor_losses`
finds. The logits of all windows are gathered once per detector; the rest follows from them, at every change.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import ipywidgets
import pandas as pd
import traitlets

from widgets.parts.controls import FREE, ROW, TABLE
from widgets.parts.explorer import Explorer
from widgets.parts.messages import hint
from widgets.parts.pictures import Picture
from widgets.parts.plots import Plot
from widgets.parts.selection import BOX, box_of
from widgets.parts.sources import Source, named
from workbench.analysis.anchor_losses import HARDEST, LossWindows, Ranking, gather_windows
from workbench.data import Dataset
from workbench.detectors.load import DetectorLike
from workbench.figures.focal_panels import POINTS, WINDOW_KINDS, focal_panels
from workbench.figures.loss_windows import windows_grid
from workbench.losses.focal import Focal

SHOWN = 6  #: windows in the picture
MOST_GAMMA = 5.0
FINEST = -6  #: power of ten of the hardest fraction that the slider reaches
POINT = (
    "Point at one of the right two curves, or move the slider: these windows lie there (yellow; objects are dashed)."
)


class FocalLossExplorer(Explorer):
    """The focal loss's curve, how it is spread over a detector's windows on `data`, and those windows.

    Args:
        detectors: a RetinaNet, a `Run` of one, or the name or path of one, or a dict of name → such.
        data: images with the detectors' classes.
        images: the first so many are looked at; None: all.
        most: windows of each kind that are kept, a uniform sample; more windows, slower answers.
        progress: show a bar while the first detector looks.
        state: any of the traitlets.

    Traitlets, to be set from Python or with the controls: `detector` (name), `gamma`, `alpha` (weight of a class that
    is present), `kind` (of the windows shown: "objects" or "background"), `place` (of them, 0: the easiest, 1: the
    hardest window) and `magnified` (the axis of windows is logarithmic). `shares` (a table), `table` (the windows
    shown) and `windows` follow; `error` says what went wrong with the last change. `selection` are the windows shown,
    with the class of windows of objects, and the highest score that the detector gives them.

    Raises:
        DataError: a detector without dense anchors, other classes, no detector, or a state that does not exist.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=6)
        >>> detector = wb.load_detector("digit-scenes/retinanet")
        >>> explorer = widgets.FocalLossExplorer(detector, data, gamma=0.0, progress=False)
        >>> before = explorer.shares.loc["background", "hardest 1%"]
        >>> explorer.gamma = 2.0  # the hardest windows have a larger share of the loss
        >>> bool(explorer.shares.loc["background", "hardest 1%"] > before)
        True
    """

    COLUMNS = ("image", "image_id", "class", *BOX, "score", "loss", "kind", "detector")
    STATE = ("detector", "gamma", "alpha", "kind", "place", "magnified")

    detector = traitlets.Unicode()
    gamma = traitlets.Float(2.0, min=0, max=MOST_GAMMA)
    alpha = traitlets.Float(0.25, min=0.01, max=0.99)
    kind = traitlets.Enum(WINDOW_KINDS, WINDOW_KINDS[1])
    place = traitlets.Float(1.0, min=0, max=1)
    magnified = traitlets.Bool(False)

    def __init__(
        self,
        detectors: DetectorLike | Mapping[str, DetectorLike],
        data: Dataset,
        *,
        images: int | None = 100,
        most: int = 200_000,
        progress: bool = True,
        **state: Any,
    ):
        self.sources = {name: Source(thing) for name, thing in named(detectors).items()}
        self.data, self.most = data, most
        self.images = len(data) if images is None else min(images, len(data))
        self._gathered: dict[str, LossWindows] = {}
        self._ranked = lru_cache(maxsize=8)(self._rank)
        self.shares, self.table = pd.DataFrame(), pd.DataFrame()
        super().__init__()
        self._bar = ipywidgets.FloatProgress(max=1, description="windows", layout={"display": "none"})
        self.detector = state.get("detector", next(iter(self.sources)))
        self._gather(progress=progress)
        self.add_class("focal-loss-explorer")
        self._begin(self._parts(), **{"detector": self.detector, **state})

    def __repr__(self) -> str:
        return f"FocalLossExplorer({', '.join(self.sources)}; {self.images} images)"

    @property
    def windows(self) -> LossWindows:
        """Those of the chosen detector."""
        return self._gather()

    @property
    def loss(self) -> Focal:
        """The loss that the sliders describe."""
        return Focal(gamma=self.gamma, alpha=self.alpha)

    def _show(self, **state: Any) -> None:
        self._apply(state)
        with self._silently():
            self._controls["hardest"].value = max(1 - self.place, 10**FINEST)
        self._draw(losses=set(state) & {"detector", "gamma", "alpha"} != set())

    # ---- what follows from what ------------------------------------------------------------------------------

    @traitlets.validate("detector")
    def _exists(self, proposal: dict[str, Any]) -> str:
        if proposal["value"] not in self.sources:
            raise traitlets.TraitError(f"detector is {proposal['value']!r}; there are {list(self.sources)}")
        return proposal["value"]

    def _gather(self, *, progress: bool = False) -> LossWindows:
        """The windows of the chosen detector; the first time with a bar that fills."""
        if self.detector not in self._gathered:
            model = self.sources[self.detector].detector()
            options = {"most": self.most, "progress": progress, "watch": self._watch}
            try:
                self._gathered[self.detector] = gather_windows(model, self.data, range(self.images), **options)
            finally:
                self._bar.layout.display = "none"
        return self._gathered[self.detector]

    def _watch(self, done: float) -> None:
        self._bar.value, self._bar.layout.display = done, None

    def _rank(self, detector: str, kind: str, loss: Focal) -> Ranking:
        gathered = self._gathered[detector]
        return Ranking.of(gathered.positives if kind == "objects" else gathered.negatives, loss)

    def rankings(self, gamma: float | None = None) -> dict[str, Ranking]:
        """Kind → the chosen detector's windows ranked by the loss, or by that of another gamma."""
        self._gather()
        loss = self.loss if gamma is None else Focal(gamma=gamma, alpha=self.alpha)
        return {kind: self._ranked(self.detector, kind, loss) for kind in WINDOW_KINDS}

    def _on_slider(self, change: dict[str, Any]) -> None:
        self.place = 1 - change["new"]

    def _on_point(self, event: str, line: Any, point: int) -> None:
        """A place of a distribution was pointed at; its last one is the hardest window."""
        if line.text is None or event != "hover":
            return
        kind = WINDOW_KINDS[0] if line.xaxis == "x2" else WINDOW_KINDS[1]
        place = float(self.rankings()[kind].distribution(POINTS).windows[point])
        self._guarded(lambda: self.show(kind=kind, place=place))

    def _chosen_rows(self) -> list[dict[str, Any]]:
        """The windows that are shown."""
        rows = []
        for row in self.table.to_dict("records"):
            image, label = int(row["image"]), int(row["label"])
            name = self.data.classes[label - 1] if label else ""
            which = {"image": image, "image_id": self.data.image_id(image), "class": name}
            about = {"score": row["score"], "loss": row["loss"], "kind": self.kind, "detector": self.detector}
            rows.append({**which, **box_of([row[side] for side in BOX]), **about})
        return rows

    # ---- what is shown ---------------------------------------------------------------------------------------

    def _draw(self, *, losses: bool) -> None:
        """Draw the figures anew.

        Args:
            losses: whether the loss of each window has changed, and not only what is shown of them.
        """
        rankings, plain = self.rankings(), self.rankings(0.0)
        view = {"kind": self.kind, "place": self.place, "magnified": self.magnified}
        self.panels.draw(focal_panels(self.loss, rankings, plain, **view))
        if losses or self.shares.empty:
            self.shares = self._shares(rankings)
            self._table.value = self._as_html()
        self.table = table = rankings[self.kind].around(self.place, SHOWN)
        self._picture.draw(lambda: windows_grid(table, self.data))
        self._facts.value = self._sentence(rankings[self.kind])

    def _shares(self, rankings: Mapping[str, Ranking]) -> pd.DataFrame:
        """A row for each kind: windows, what the hardest carry, and its share of the loss of all windows seen."""
        gathered = self._gather()
        seen = {"objects": gathered.positives.seen, "background": gathered.negatives.seen}
        sums = {kind: float(ranking.total[-1]) / len(ranking) * seen[kind] for kind, ranking in rankings.items()}
        rows = {
            kind: {
                "windows": seen[kind],
                **{f"hardest {part:.0%}": ranking.hardest(part) for part in HARDEST},
                "of all loss": sums[kind] / sum(sums.values()),
            }
            for kind, ranking in rankings.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index").astype({"windows": int})

    def _as_html(self) -> str:
        shares = {name: "{:.1%}".format for name in self.shares.columns if name != "windows"}
        formats = {"windows": "{:,}".format, **shares}
        table = self.shares.to_html(formatters=formats, border=0, justify="left", col_space=92)
        return f"<div>What the hardest windows of each kind carry of its loss, γ = {self.gamma:g}:</div>{table}"

    def _sentence(self, ranking: Ranking) -> str:
        """Where the windows shown are, and what is beyond them."""
        rank = round(self.place * (len(ranking) - 1))
        harder, beyond = len(ranking) - 1 - rank, 1 - ranking.total[rank] / ranking.total[-1]
        where = "the hardest ones" if harder < SHOWN else f"around number {harder + 1:,} from the hardest"
        sample = "" if len(ranking) == ranking.windows.seen else f" (a sample of {ranking.windows.seen:,})"
        which = "windows of objects" if self.kind == "objects" else "windows of background"
        return (
            f"Of {len(ranking):,} {which}{sample}, <b>{where}</b>: {harder / len(ranking):.3%} of them are harder "
            f"still and carry {beyond:.1%} of the loss."
        )

    # ---- parts -----------------------------------------------------------------------------------------------

    def _parts(self) -> list[ipywidgets.Widget]:
        self._controls = controls = self._make_controls()
        self._table, self._facts = ipywidgets.HTML(layout=TABLE), ipywidgets.HTML()
        self.panels = Plot(pointed_at=self._on_point)
        self._picture = Picture()
        top = [controls[name] for name in ("detector", "gamma", "alpha", "magnified")]
        places = [controls[name] for name in ("kind", "hardest")]
        return [
            ipywidgets.HBox(top, layout=ROW),
            self._bar,
            self._message,
            self.panels,
            self._table,
            hint(POINT),
            ipywidgets.HBox(places, layout=ROW),
            self._facts,
            self._picture,
        ]

    def _make_controls(self) -> dict[str, ipywidgets.Widget]:
        wide = {"style": FREE, "layout": {"width": "270px", "margin": "0 12px 0 0"}}
        number = {"readout_format": ".2f", **wide}
        log = {"base": 10, "min": FINEST, "max": 0, "step": 0.05, "readout": False}
        narrow = {"layout": {"width": "max-content"}}
        tight = {"style": {**FREE, "button_width": "104px"}, "layout": {"width": "312px"}}
        controls = {
            "detector": ipywidgets.Dropdown(options=list(self.sources), description="Detector", **wide),
            "gamma": ipywidgets.FloatSlider(max=MOST_GAMMA, step=0.1, description="γ", **number),
            "alpha": ipywidgets.FloatSlider(min=0.01, max=0.99, step=0.01, description="α", **number),
            "magnified": ipywidgets.Checkbox(description="magnify the hardest", indent=False, **narrow),
            "kind": ipywidgets.ToggleButtons(options=WINDOW_KINDS, description="Windows of", **tight),
            "hardest": ipywidgets.FloatLogSlider(value=1e-6, description="from the hardest on", **log, **wide),
        }
        controls["hardest"].tooltip = "Which fraction of the windows is harder than those that are shown"
        for name in self.STATE:
            if name in controls:
                traitlets.link((self, name), (controls[name], "value"))
        if len(self.sources) == 1:
            controls["detector"].layout.display = "none"
        controls["hardest"].observe(self._unless_silent(self._on_slider), "value")
        return controls
