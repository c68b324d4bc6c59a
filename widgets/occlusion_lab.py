"""An occluder to drag over an image while detectors answer live, side by side.

The browser draws (occlusion_lab.js) and asks; this file answers. At most one request is in flight, and the newest
position wins, so a slow detector makes the answers rarer but never late. Pictures travel as PNG or JPEG bytes,
boxes as JSON, so lines and text stay crisp at any zoom.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import asdict
from operator import eq
from typing import Any

import anywidget
import numpy as np
import traitlets
from PIL import Image
from torch import Tensor

from widgets.parts.javascript import script, style
from widgets.parts.lab_saliency import ASKED, ExplainsObject
from widgets.parts.lab_still import answer_pieces, check_region, explained_pieces
from widgets.parts.looking import Looks, OneImage, Place, find, true_row
from widgets.parts.objects import largest
from widgets.parts.panel import Whole
from widgets.parts.pictures import as_image, decoded, encode, encode_pixels
from widgets.parts.selection import BOX, WHICH, box_of, id_of
from widgets.parts.sources import Source, named
from workbench.analysis.occlusion_probe import OWN, OcclusionProbe, PlacedOccluder
from workbench.analysis.occlusion_response import OcclusionResponse
from workbench.data.drawing.occluders import FILLS, OUTLINES
from workbench.detectors.branches.occlusion import FOUND
from workbench.detectors.load import DetectorLike
from workbench.errors import DataError
from workbench.figures.drawing.colours import CHOSEN, SCORES, colour
from workbench.figures.occlusion_response import response_figure
from workbench.figures.still import Piece
from workbench.types import Target

REST = 0.4  # seconds after a change in which a growing map makes way for dragging
SMALLEST = 4  # pixels, side of an occluder
GRIDS = {"coarse": 12, "medium": 20, "fine": 32}  # cells of a response map along the longer side
_SCORES = (255 * SCORES).round().astype(int).tolist()  # red, green, blue, opacity
#: What follows from the image that is shown, beside traitlets.
OF_IMAGE = ("image", "_shown", "_probe", "_first_objects", "_maps", "_frame", "_layers")


class OcclusionLab(Looks, ExplainsObject, Whole, anywidget.AnyWidget):
    """Drag, resize and re-texture an occluder over an image; every detector answers at once.

    Args:
        detectors: a detector, a `Run`, or the name or path of one, or a list or a dict (name → detector) of them.
        image: uint8 or float (0..1) [3, H, W], or uint8 [H, W, 3] as array or PIL image.
        target: what is known of it; then objects can be chosen by their true boxes, and the hidden fraction is exact
            where it has masks.
        classes: names of the target's labels 1..K, where they are not the first detector's.
        state: any of the traitlets that can be set.

    A change that fails leaves everything as it was. `box` (xyxy pixels of the occluder), `texture`, `outline`,
    `chosen` (position in `objects`, or None) and `min_score` are traitlets, to be set from Python or in the browser;
    `result` (see `OcclusionProbe.answer`), `scores` and `hidden` follow. Of a detector that cannot score boxes (most
    of those of `wb.wrap`), the best detection that matches the object is followed, which its panel says. `region()`
    makes an object of a region of your own, `response_map()` gives the maps that the button draws, and `saliency()`
    and `judge_saliency()` what the score rests on now. What the occlusion branch of a detector finds to hide its
    detections is hatched. `selection` has a row for each detector: the chosen object, its score before and now, and
    how much of it was hidden (`occlusion`) and is now (`hidden`). Linked, it takes any image of the others.

    Example:
        >>> image, target = wb.load_data("digit-scenes", split="test")[7]
        >>> lab = widgets.OcclusionLab({"plain": wb.load_detector("digit-scenes/faster-rcnn")}, image, target)
        >>> lab.box = tuple(target["boxes"][lab.chosen].tolist())  # hide all of it
        >>> before, now = lab.scores["plain"]
        >>> lab.hidden, before > 0.9 > 0.1 > now
        (1.0, True)
        >>> lab.selection[["object", "class", "hidden", "detector"]].values.tolist()
        [[0, '0', 1.0, 'plain']]
    """

    _esm = script("occlusion_lab.js", CHOSEN=CHOSEN, OWN=OWN, SCORES=_SCORES)
    _css = style("shared/panel.css", "occlusion_lab.css")

    COLUMNS = (*WHICH, *BOX, "occlusion", "hidden", "before", "score", "detector")
    STATE = ("chosen", "box", "texture", "outline", "min_score")

    box = traitlets.List(traitlets.Int(), help="occluder, xyxy pixels")
    texture = traitlets.Enum(FILLS, "brick")
    outline = traitlets.Enum(OUTLINES, "rectangle")
    chosen = traitlets.Int(None, allow_none=True, help="position in `objects`")
    min_score = traitlets.Float(0.5, min=0, max=1, help="detections below it are not drawn, nor count as found")
    objects = traitlets.List(traitlets.Dict(), read_only=True)
    result = traitlets.Dict(read_only=True)
    scores = traitlets.Dict(read_only=True, help="detector → (before, now)")
    hidden = traitlets.Float(None, allow_none=True, read_only=True, help="fraction of the chosen object, 0..1")

    def __init__(
        self,
        detectors: DetectorLike | Sequence[DetectorLike] | Mapping[str, DetectorLike],
        image: Tensor | np.ndarray | Image.Image,
        target: Target | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        **state: Any,
    ):
        super().__init__()
        self.detectors = {name: Source(one).detector() for name, one in named(detectors).items()}
        self._classes = classes
        self._map_run: asyncio.Task | None = None
        self._changed = 0.0  # when the browser last asked for a change
        self.on_msg(self._on_message)
        self._when_changed(self._on_change)
        self.show(image, target, **state)

    def __repr__(self) -> str:
        return f"OcclusionLab({', '.join(self.detectors)})"

    def show(self, image: Tensor | np.ndarray | Image.Image, target: Target | None = None, **state: Any) -> None:
        """Put another picture under the occluder; `state` may set the traitlets that the user can set."""
        self._check_names(state)
        self._show_place(Place(OneImage(as_image(image), target, self._classes or ()), 0), **state)

    def _show_place(self, place: Place, **state: Any) -> None:
        self.stop_map()
        self.stop_saliency()
        with self._all_or_nothing():
            self._take(place)
            self._apply({"box": self._first_box(), **state})
            self._find()
        self._send_setup()
        self._send_answer(None)

    def region(self, box: Sequence[float], name: str | None = None) -> None:
        """Choose a region of your own (xyxy pixels), in place of the one before.

        Args:
            name: the class whose score is asked for; None: what the first detector takes it for.

        Raises:
            DataError: no box within the image, or a class that no detector knows.
        """
        with self._all_or_nothing():
            self._draw({"box": box, "name": name})
            self._find()
        self._send_answer(None)

    def _take(self, place: Place) -> None:
        """Look at another image."""
        image, target = place.data[place.index]
        with self._silently():
            self.image, self._shown = as_image(image), place
            classes = place.data.classes or None
            self._probe = OcclusionProbe(self.detectors, self.image, target or None, classes=classes)
            self._maps: dict[tuple, dict[str, OcclusionResponse]] = {}
            self.chosen = None
            self._first_objects = len(self._probe.objects)
            self.set_trait("objects", [asdict(thing) for thing in self._probe.objects])
            self.chosen = largest(self._probe.objects) if place.object is None else place.object

    # ---- what is chosen --------------------------------------------------------------------------------------

    def _chosen_rows(self) -> list[dict[str, Any]]:
        if self.chosen is None:
            return []
        (data, index, row), target, thing = self._looked_at(), self._probe.target, self._probe.objects[self.chosen]
        which = {"image": index, "image_id": id_of(data, index, target), "object": row, "class": thing.name}
        known = {"hidden": self.hidden, **box_of(thing.box)}
        if row is not None and "occlusion" in target:
            known["occlusion"] = float(target["occlusion"][row])
        scores = self.scores.items()
        return [{**which, **known, "detector": name, "before": old, "score": now} for name, (old, now) in scores]

    def _looked_at(self) -> Place:
        return self._shown._replace(object=true_row(self.chosen, self._probe.objects))

    def _same_here(self, place: Place) -> Place:
        """The image that is here already, or another one."""
        return find(place, self._shown.data) or place

    def _go_to(self, place: Place) -> None:
        if place[:2] == self._shown[:2]:
            self.chosen = place.object
        else:
            self._show_place(place)

    def _show_notice(self) -> None:
        self.send({"kind": "notice", "text": self.notice})

    def _draw(self, region: Mapping[str, Any]) -> None:
        """Choose a region: a box of the user's own, or a detection, which has a source."""
        source, before = region.get("source"), self._probe.objects
        with self._silently():
            self._probe = copy(self._probe)  # the one before has the objects before
            if source is None:
                chosen = self._probe.draw(region["box"], region["name"])
            else:
                chosen = self._probe.pick(region["box"], region["name"], source)
            self.set_trait("objects", [asdict(thing) for thing in self._probe.objects])
            same = [place for place, both in enumerate(zip(before, self._probe.objects, strict=False)) if eq(*both)]
            self._maps = {key: maps for key, maps in self._maps.items() if key[0] in same}
            self.chosen = chosen

    def _remembered(self) -> dict[str, Any]:
        kept = (*OF_IMAGE, "objects", "result", "scores", "hidden")
        return {**super()._remembered(), **{name: getattr(self, name, None) for name in kept}}

    def _go_back(self, kept: Mapping[str, Any]) -> None:
        for name in OF_IMAGE:
            setattr(self, name, kept[name])
        for name in ("objects", "result", "scores", "hidden"):
            self.set_trait(name, kept[name])
        self._apply({name: kept[name] for name in self.STATE})

    def _first_box(self) -> list[int]:
        """Over the lower right quarter of the chosen object, so that the first answer says something."""
        height, width = self.image.shape[-2:]
        x1, y1, x2, y2 = (0, 0, width, height) if self.chosen is None else self.objects[self.chosen]["box"]
        return [round(value) for value in ((x1 + x2) / 2, (y1 + y2) / 2, x2, y2)]

    @traitlets.validate("box")
    def _inside(self, proposal: dict[str, Any]) -> list[int]:
        """At least 4 × 4 pixels, and moved back where it would leave the image."""
        if len(proposal["value"]) != 4:
            raise traitlets.TraitError(f"box needs 4 numbers, xyxy pixels, not {proposal['value']}")
        x1, y1, x2, y2 = proposal["value"]
        height, width = self.image.shape[-2:]
        (x1, x2), (y1, y2) = _fit(x1, x2, width), _fit(y1, y2, height)
        return [x1, y1, x2, y2]

    @traitlets.validate("chosen")
    def _exists(self, proposal: dict[str, Any]) -> int | None:
        if proposal["value"] is not None and not 0 <= proposal["value"] < len(self.objects):
            raise traitlets.TraitError(f"chosen is {proposal['value']}; there are {len(self.objects)} objects")
        return proposal["value"]

    @property
    def _occluder(self) -> PlacedOccluder:
        return PlacedOccluder(tuple(self.box), self.texture, self.outline)

    def _on_change(self, change: dict[str, Any]) -> None:
        with self._all_or_nothing(**{change["name"]: change["old"]}):
            self._find()
        self._send_answer(None)

    def _find(self) -> None:
        """Compute everything for the present state."""
        start = time.perf_counter()
        answer, occluded = self._probe.answer(self._occluder, self.chosen)
        seconds = time.perf_counter() - start
        state = {name: getattr(self, name) for name in self.STATE}
        self.set_trait("result", {**state, **answer, "milliseconds": seconds * 1000})
        self._layers = {name: self._layer(one) for name, one in answer["detectors"].items() if FOUND in one}
        scores = {name: (one["before"], one["now"]) for name, one in answer["detectors"].items()}
        self.set_trait("scores", scores)
        self.set_trait("hidden", answer["hidden"])
        self._frame = encode(occluded)

    def _layer(self, answer: dict[str, Any]) -> bytes:
        """PNG of what a detector finds to hide the detections that are drawn: opaque there, clear elsewhere."""
        shown = [score >= self.min_score for score in answer["scores"]]
        hidden = answer.pop(FOUND)[shown].any(dim=0)
        return encode_pixels((255 * hidden[..., None].expand(-1, -1, 4)).byte().numpy())

    # ---- as a still picture, and in a file -------------------------------------------------------------------

    BESIDE = ("region",)

    def _pieces(self) -> list[Piece]:
        pieces = answer_pieces(decoded(self._frame), self.result, self._probe.names, self._layers)
        if self._explained and self._explained_key == self._key_of_saliency():
            pieces += explained_pieces(self._explained_picture, self._explained_method, self._explained)
        key = (self.chosen, *self._occluder.size, self.texture, self.outline)
        return pieces + [response_figure(self.image, maps) for known, maps in self._maps.items() if known[:-1] == key]

    def _settings(self) -> list[str]:
        facts = [f"{self.texture} {self.outline} over {', '.join(map(str, self.box))}"]
        if self.chosen is not None:
            facts.append(f"object {self.chosen + 1}: {self.objects[self.chosen]['name']}")
        if self.hidden is not None:
            facts.append(f"{self.hidden:.0%} of it hidden")
        return [*facts, f"detections from {self.min_score:g}"]

    def view_state(self) -> dict[str, Any]:
        """The traitlets of `STATE`, and `region` where the chosen object is none of those that were there first."""
        thing = None if self.chosen is None else self.objects[self.chosen]
        is_own = thing is not None and self.chosen >= self._first_objects
        region = {"box": [*thing["box"]], "name": thing["name"], "source": thing["source"]} if is_own else None
        if region is not None and region["source"] == OWN:
            region["source"] = None
        return {**super().view_state(), **({} if region is None else {"region": region})}

    def _restore(self, state: Mapping[str, Any]) -> None:
        region = state.get("region")
        known = {name: value for name, value in state.items() if name != "region"}
        if region is not None:
            check_region(region)
            known.pop("chosen", None)  # it is the region, wherever that lies in the list
        self._change(region, **known)
        self._send_answer(None)

    # ---- response maps ---------------------------------------------------------------------------------------

    def response_map(self, grid: str = "medium") -> dict[str, OcclusionResponse]:
        """The chosen object's response map of every detector, for the present occluder; cached and shown.

        Args:
            grid: "coarse", "medium" or "fine", which is 12, 20 or 32 cells along the longer side of the image.
        """
        self.stop_map()
        for maps in self._map_steps(grid):  # noqa: B007  the last one is complete
            pass
        return maps

    def stop_map(self) -> None:
        """Stop the map that is being computed for the browser, if any."""
        if self._map_run is not None:
            self._map_run.cancel()
        self._map_run = None

    def _map_steps(self, grid: str) -> Iterator[dict[str, OcclusionResponse]]:
        """Compute the maps, or take those that are known; send them as they grow."""
        if self.chosen is None:
            raise DataError("choose an object first: its score is what the map shows")
        if grid not in GRIDS:
            raise DataError(f"grid {grid!r} does not exist; there are {', '.join(GRIDS)}")
        key = (self.chosen, *self._occluder.size, self.texture, self.outline, grid)
        stride = max(1, round(max(self.image.shape[-2:]) / GRIDS[grid]))
        count = len(self._probe.able(self.chosen))
        if count == 0:
            name = self.objects[self.chosen]["name"]
            raise DataError(f"no detector knows the class {name!r}, so there is no score to map")
        steps = self._probe.response_steps(self._occluder, self.chosen, stride)
        for maps in [self._maps[key]] if key in self._maps else steps:
            done = sum(one.done for one in maps.values()) / count
            self._send_maps(maps, key, done)
            yield maps
        self._maps[key] = maps

    async def _map_in_turns(self, grid: str) -> None:
        """The same between other messages, so that dragging goes on while the map grows."""
        try:
            for _ in self._map_steps(grid):
                await asyncio.sleep(0.001)
                while time.monotonic() - self._changed < REST:
                    await asyncio.sleep(0.05)
        except Exception as error:
            self._send_error(error, None)

    # ---- messages --------------------------------------------------------------------------------------------

    def _on_message(self, _: object, content: dict[str, Any], buffers: list[bytes]) -> None:
        seq = content.get("seq")
        try:
            if content["kind"] == "hello":
                self._send_setup()
                self._send_answer(None)
                if self.notice:
                    self._show_notice()
            elif content["kind"] == "change":
                self._changed = time.monotonic()
                self._change(**content["state"])
                self._send_answer(seq)
            elif content["kind"] == "map":
                self._start_map(content["grid"])
            elif content["kind"] == "stop-map":
                self.stop_map()
            elif content["kind"] in ASKED:
                self._on_saliency(content)
        except Exception as error:  # whatever a detector raises, the browser's request must be freed
            self._send_error(error, seq)

    def _change(self, region: dict[str, Any] | None = None, **state: Any) -> None:
        with self._all_or_nothing():
            if region is not None:
                self._draw(region)
            self._apply(state)
            self._find()

    def _start_map(self, grid: str) -> None:
        self.stop_map()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no kernel around us, as in a test
            self.response_map(grid)
        else:
            self._map_run = loop.create_task(self._map_in_turns(grid))

    def _send_setup(self) -> None:
        height, width = self.image.shape[-2:]
        choices = {"textures": FILLS, "outlines": OUTLINES, "grids": list(GRIDS), "smallest": SMALLEST}
        choices["methods"] = self._saliency_methods()
        colours = {name: colour(place) for place, name in enumerate(self._probe.names, start=1)}
        content = {"width": width, "height": height, "detectors": list(self.detectors), "colours": colours, **choices}
        self.send({"kind": "setup", **content}, [encode(self.image)])

    def _send_answer(self, seq: int | None) -> None:
        content = {"objects": self.objects, "result": self.result, "layers": list(self._layers)}
        self.send({"kind": "answer", "seq": seq, **content}, [self._frame, *self._layers.values()])
        self._announce()

    def _send_maps(self, maps: dict[str, OcclusionResponse], key: tuple, done: float) -> None:
        first = next(iter(maps.values()))
        rows, columns = first.scores.shape
        grid = {"names": list(maps), "rows": rows, "columns": columns, "stride": first.stride}
        grid["before"] = [one.baseline for one in maps.values()]
        values = [one.scores.numpy().astype("<f4").tobytes() for one in maps.values()]
        self.send({"kind": "map", "key": list(key[:-1]), "done": done, **grid}, values)

    def _send_error(self, error: Exception, seq: int | None) -> None:
        self.send({"kind": "error", "seq": seq, "text": f"{type(error).__name__}: {error}"})


def _fit(low: int, high: int, limit: int) -> tuple[int, int]:
    """An interval of at least SMALLEST pixels, or `limit` if that is less, shifted into 0..limit."""
    low, high = min(low, high), max(low, high)
    size = min(limit, max(SMALLEST, high - low))
    low = max(0, min(low, limit - size))
    return low, low + size
