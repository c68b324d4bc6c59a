"""Look where a detector looks: attention on one object, overall and by channel, before and after its inversion.

The pictures are `workbench.figures.attention`, drawn anew at every change. JupyterLab sends the next change of a
slider only when the last is answered, so the newest wins and a slow detector never falls behind.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets
import numpy as np
import traitlets
from PIL import Image
from torch import Tensor, tensor

from widgets.attention_parts import (
    COLUMNS,
    LAST,
    Source,
    controls_for,
    describe,
    largest,
    named,
    png,
    thinned,
)
from widgets.pictures import as_image, encode
from widgets.region_picker import RegionPicker
from workbench.analysis.attention import STRATEGIES, Inversion, RoIAttention, inversions, roi_attention
from workbench.analysis.occlusion_probe import OcclusionProbe, Thing
from workbench.data import Dataset
from workbench.detectors.base import Detector
from workbench.errors import DataError
from workbench.figures.attention import (
    attention_of_objects,
    attention_on_patch,
    attention_over_training,
    four_strategies,
)
from workbench.hardeners.inverted_attention import INVERSIONS, ORIENTATIONS
from workbench.training import Run
from workbench.types import Target

SIZE = {"side": 1.25, "dpi": 100}  # inches of a panel, pixels per inch
OTHERS = 2  # detectors whose attention is shown below that of the chosen one, at most
HEADINGS = (
    "Click an object, or drag a region of your own; it is then outlined in yellow.",
    "<b>Where the head looks</b>: the most sensitive channels, and all of them (bright: speaks for the class)",
    "<b>What each inversion keeps</b> (dark: dropped), and the score without → with it",
)
OPTIONS = ("inversion", "orientation", "drop_cells", "drop_channels", "threshold")
STATE = (
    "detector",
    "step",
    *OPTIONS,
    "index",
    "chosen",
    "box",
    "label",
)  # in the order in which they are set


class AttentionExplorer(ipywidgets.VBox):
    """What a detector's head looks at in one region, and what it makes of it when that attention is inverted.

    detectors: a detector, a `Run`, a list of runs, or a dict of name → detector or run. data: a `Dataset` to leaf
    through; or one image uint8 or float (0..1) [3, H, W], or uint8 [H, W, 3] as array or PIL image, with its
    `target` where that is known. classes: names of the target's labels 1..K, where they are not the data's or the
    first detector's. state: any of the traitlets.

    Traitlets, to be set from Python or with the controls: `detector` (name), `step` (of a run's checkpoint; -1: its
    last), `inversion`, `orientation`, `drop_cells` (T_s), `drop_channels` (T_c), `threshold` (of the hard
    inversion), `index` (of the image), `chosen` (position in `objects`, or None), `box` (the region, xyxy pixels) and
    `label` (the class to explain, 0 is background). `show()` sets several at once. `seen` and `inverted` (by
    strategy) are what is shown, `scores` the score before and after each inversion, and `error` says what went wrong
    with the last change.
    """

    detector = traitlets.Unicode()
    step = traitlets.Int(LAST)
    inversion = traitlets.Enum(INVERSIONS, "soft")
    orientation = traitlets.Enum(ORIENTATIONS, "both")
    drop_cells = traitlets.Float(0.33, min=0, max=1)
    drop_channels = traitlets.Float(0.8, min=0, max=1)
    threshold = traitlets.Float(0.5, min=0, max=1)
    index = traitlets.Int(0)
    chosen = traitlets.Int(None, allow_none=True)
    box = traitlets.List(traitlets.Float())
    label = traitlets.Int(0)
    scores = traitlets.Dict(read_only=True, help="strategy → (before, after), probabilities of `label`")
    error = traitlets.Unicode("", read_only=True)

    def __init__(
        self,
        detectors: Detector | Run | Sequence[Run] | Mapping[str, Detector | Run],
        data: Dataset | Tensor | np.ndarray | Image.Image,
        target: Target | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        **state: Any,
    ):
        self.sources = {name: Source(thing) for name, thing in named(detectors).items()}
        self.data = data if isinstance(data, Dataset) else [(as_image(data), target)]
        if not self.sources or not len(self.data):
            raise DataError("at least one detector and one image are needed")
        self._classes = classes or getattr(data, "classes", None)
        self.objects: list[Thing] = []
        self.seen: RoIAttention | None = None
        self.inverted: dict[str, Inversion] = {}
        self._names: list[str] = ["background"]
        self._silent = True
        super().__init__(layout={"width": "100%"})
        self.detector = next(iter(self.sources))
        self.children = self._parts()
        self.show(**{"detector": self.detector, "index": 0, **state})
        self.observe(self._on_change, list(STATE))
        self._silent = False

    def __repr__(self) -> str:
        return f"AttentionExplorer({', '.join(self.sources)}; {len(self.data)} images)"

    def show(self, **state: Any) -> None:
        """Set several traitlets and draw once; what follows from them (the region from the object) is set too."""
        if unknown := set(state) - set(STATE):
            raise DataError(f"AttentionExplorer has no {sorted(unknown)}; it has {', '.join(STATE)}")
        with self._silently():
            for name in STATE:
                if name in state:
                    setattr(self, name, state[name])
                    self._follow(name, state)
        if set(state) - set(OPTIONS):
            self.seen = roi_attention(self._detector, self.image, tensor(self.box), self.label)
        self._invert()
        self._draw()

    def refresh(self) -> None:
        """Look for checkpoints that came or went since; a run that trains writes new ones."""
        self._compared.clear()
        self._guarded(self.show, detector=self.detector)

    # ---- what follows from what ------------------------------------------------------------------------------

    def _on_change(self, change: dict[str, Any]) -> None:
        if not self._silent:
            self._guarded(self.show, **{change["name"]: change["new"]})

    def _guarded(self, action: Callable[..., None], **state: Any) -> None:
        """Do it and show what went wrong: nobody would see an exception from a slider."""
        try:
            action(**state)
            text = ""
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
        self.set_trait("error", text)
        style = "color:#a40e26;background:#ffebe9;padding:6px 10px;border-radius:4px"
        self._message.value = f'<div role="alert" style="{style}">{html.escape(text)}</div>' if text else ""

    @contextmanager
    def _silently(self) -> Iterator[None]:
        before, self._silent = self._silent, True
        try:
            yield
        finally:
            self._silent = before

    def _follow(self, name: str, state: Mapping[str, Any]) -> None:
        if name == "detector":
            self._take_detector()
        elif name == "index":
            self._take_image()
            self._take_object()
        elif name == "chosen":
            self._take_object()
        elif name == "box":
            self.chosen = state.get("chosen")

    def _take_detector(self) -> None:
        """Its checkpoints and classes; the class that is explained stays the same by name."""
        steps, step = self._source.steps, self.step
        name = self._names[self.label]
        self._controls["step"].options = [*((f"{one:,}", one) for one in steps), ("last", LAST)]
        self.step = step if step in steps else LAST
        self._controls["step"].layout.display = None if steps else "none"
        self._names = ["background", *self._detector.classes]
        self._controls["label"].options = [(text, place) for place, text in enumerate(self._names)]
        self.label = self._names.index(name) if name in self._names else 0

    def _take_image(self) -> None:
        """Its objects: the true ones, and what the first detector finds besides."""
        image, target = self.data[self.index]
        self.image = as_image(image)
        self._compared: dict[tuple, RoIAttention] = {}
        first = next(iter(self.sources.values())).detector()
        self.objects = OcclusionProbe({"": first}, self.image, target, classes=self._classes).objects
        texts = [describe(place, thing, target) for place, thing in enumerate(self.objects)]
        height, width = self.image.shape[-2:]
        with self.picker.hold_sync():
            self.picker.chosen = None
            self.picker.picture, self.picker.width, self.picker.height = encode(self.image), width, height
            boxes = zip(self.objects, texts, strict=True)
            self.picker.objects = [{"box": list(thing.box), "text": text} for thing, text in boxes]
            self._controls["chosen"].options = [(text, place) for place, text in enumerate(texts)]
            self.chosen = largest(self.objects)

    def _take_object(self) -> None:
        """Its box and its class; without an object the whole image."""
        height, width = self.image.shape[-2:]
        thing = None if self.chosen is None else self.objects[self.chosen]
        if thing is not None:
            self.box = list(thing.box)
        elif not self.objects:
            self.box = [0.0, 0.0, width, height]
        if thing is not None and thing.name in self._names:
            self.label = self._names.index(thing.name)
        elif self.label == 0:
            self.label = roi_attention(self._detector, self.image, tensor(self.box)).label

    def _invert(self) -> None:
        options = {name: getattr(self, name) for name in OPTIONS[1:]}
        strategies = tuple(dict.fromkeys([*STRATEGIES, self.inversion]))
        self.inverted = inversions(self._detector, self.seen, strategies=strategies, **options)
        scores = {name: (self.seen.score, one.after.score) for name, one in self.inverted.items()}
        self.set_trait("scores", scores)

    @property
    def _source(self) -> Source:
        return self.sources[self.detector]

    @property
    def _detector(self) -> Detector:
        return self._source.detector(self.step)

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

    def _ask(self, name: str, step: int, thing: Thing | None = None) -> RoIAttention | None:
        """Attention of any source on the region, or on an object; None if it does not know the class."""
        box = self.box if thing is None else list(thing.box)
        wanted = self._names[self.label] if thing is None else thing.name
        key = (name, step, tuple(box), wanted)
        if key not in self._compared:
            detector = self.sources[name].detector(step)
            classes = ["background", *detector.classes]
            if wanted not in classes:
                return None
            self._compared[key] = roi_attention(detector, self.image, tensor(box), classes.index(wanted))
        return self._compared[key]

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

    def _parts(self) -> list[ipywidgets.Widget]:
        self.picker = RegionPicker(layout={"width": "100%"})
        self.picker.observe(self._on_drawn, "drawn")
        self._controls = controls_for(list(self.sources), len(self.data))
        for name, control in [*self._controls.items(), ("chosen", self.picker)]:
            traitlets.link((self, name), (control, name if control is self.picker else "value"))
        traitlets.dlink((self, "box"), (self.picker, "box"))
        self._facts, self._message = ipywidgets.HTML(), ipywidgets.HTML()
        fitting = {"max_width": "100%", "object_fit": "contain"}
        self.on_patch, self.strategies, self.compared = (
            ipywidgets.Image(format="png", layout=fitting) for _ in range(3)
        )
        point, looks, kept = (ipywidgets.HTML(text) for text in HEADINGS)
        left = ipywidgets.VBox([point, self.picker, *self._controls.values()], layout={"flex": "0 0 320px"})
        right = ipywidgets.VBox(
            [self._facts, looks, self.on_patch, kept, self.strategies],
            layout={"flex": "1 1 500px", "min_width": "300px"},
        )
        row = ipywidgets.HBox([left, right], layout={"flex_flow": "row wrap", "grid_gap": "16px"})
        trained = any(source.run for source in self.sources.values())
        title = "This region over training" if trained else "All objects of this image"
        self.comparison = ipywidgets.Accordion([self.compared], titles=(title,), selected_index=None)
        self.comparison.observe(lambda _: self._guarded(self._draw_comparison), "selected_index")
        return [row, self._message, self.comparison]

    def _on_drawn(self, change: dict[str, Any]) -> None:
        self.box = change["new"]

    @traitlets.validate("detector", "step", "index", "chosen", "label")
    def _exists(self, proposal: dict[str, Any]) -> Any:
        """Only what there is, so that nothing is half set when it fails."""
        name, value = proposal["trait"].name, proposal["value"]
        allowed = {
            "detector": self.sources,
            "step": [LAST, *(self._source.steps if name == "step" else ())],
            "index": range(len(self.data)),
            "chosen": [None, *range(len(self.objects))],
            "label": range(len(self._names)),
        }[name]
        if value not in allowed:
            raise traitlets.TraitError(f"{name} is {value!r}; there are {list(allowed)}")
        return value

    @traitlets.validate("box")
    def _four_numbers(self, proposal: dict[str, Any]) -> list[float]:
        if len(proposal["value"]) != 4:
            raise traitlets.TraitError(f"box needs 4 numbers, xyxy pixels, not {proposal['value']}")
        return proposal["value"]
