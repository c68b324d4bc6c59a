"""Leaf through a data set: thumbnails with boxes, one image large with its masks, and what is in it all.

Only what is seen is made: a page decodes its own images, and a filter reads targets just as far as it must.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import anywidget
import numpy as np
import traitlets

from widgets.parts.browser_still import detail_pieces, page_pieces
from widgets.parts.javascript import script, style
from widgets.parts.looking import Looks, Place
from widgets.parts.panel import Whole
from widgets.parts.pictures import as_image, encode, encode_pixels, on_page
from widgets.parts.selection import BOX, WHICH, object_rows
from workbench.analysis.reading.data_index import DataIndex, Wanted
from workbench.data import Dataset
from workbench.errors import DataError, WorkbenchError
from workbench.figures.data_statistics import statistics_figure
from workbench.figures.drawing.canvas import target_layer
from workbench.figures.drawing.colours import BRIGHT
from workbench.figures.drawing.sheet import as_bytes
from workbench.figures.still import Piece

THUMBNAIL = 192  # pixels, longer side
MASKED = 2 / 3  # opacity of masks
DPI = 110  # pixels per inch of the statistics


class DatasetBrowser(Looks, Whole, anywidget.AnyWidget):
    """Leaf through a data set, page by page.

    Args:
        data: what to leaf through.
        page_size: images on a page.
        state: any of the traitlets that can be set.

    `page` (from 0), `class_name` (or None), `occlusion` (lowest and highest hidden fraction, or None), `selected`
    (position of the image shown large, or None), `object` (row of its target, or None) and `marked` (positions of
    further images, those of Ctrl + click and Shift + click) are traitlets that may be set from Python or in the
    browser. A page shows images with at least one object of that class in that range. `shown` are the positions
    on the page; `more` says whether another page follows. `count_all()` completes the statistics. `selection` are
    the objects of the image that is shown large (or the chosen one) and of those that are marked, or else of all on
    the page; an image without objects has a row of its own.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=20)
        >>> browser = widgets.DatasetBrowser(data, page_size=6, class_name="7")
        >>> all(data.classes.index("7") + 1 in data.target(place)["labels"] for place in browser.shown)
        True
        >>> browser.marked = browser.shown[:2]
        >>> browser.selection["image"].unique().tolist() == browser.shown[:2]
        True
    """

    _esm = script("dataset_browser.js", BRIGHT=BRIGHT)
    _css = style("shared/panel.css", "dataset_browser.css")

    STATE = ("class_name", "occlusion", "page", "selected", "object", "marked")
    COLUMNS = (*WHICH, *BOX, "area", "occlusion")

    page = traitlets.Int(0, min=0)
    class_name = traitlets.Unicode(None, allow_none=True)
    occlusion = traitlets.Tuple(traitlets.Float(), traitlets.Float(), default_value=None, allow_none=True)
    selected = traitlets.Int(None, allow_none=True)
    object = traitlets.Int(None, allow_none=True)
    marked = traitlets.List(traitlets.Int())
    shown = traitlets.List(traitlets.Int(), read_only=True)
    more = traitlets.Bool(False, read_only=True)

    def __init__(self, data: Dataset, *, page_size: int = 24, **state: Any):
        super().__init__()
        if page_size < 1:
            raise DataError(f"page_size is {page_size}; at least one image must be on a page")
        self._check_names(state)
        self.data, self.page_size = data, page_size
        self.index = DataIndex(data)
        self._counting: asyncio.Task | None = None
        self._dark = False  # the page
        self._detail: tuple[dict[str, Any], list[bytes]] | None = None  # as it was sent
        self.on_msg(self._on_message)
        self._when_changed(self._on_filter, "class_name", "occlusion")
        self._when_changed(lambda _: self._turn(), "page")
        self._when_changed(self._on_selected, "selected")
        self._when_changed(lambda _: self._choose(), "object", "marked")
        self._apply(state)
        self._turn()

    def __repr__(self) -> str:
        return f"DatasetBrowser({self.data.name} {self.data.split}, {len(self.data)} images)"

    @traitlets.validate("class_name")
    def _known_class(self, proposal: dict[str, Any]) -> str | None:
        if proposal["value"] is not None and proposal["value"] not in self.data.classes:
            raise traitlets.TraitError(f"{self.data.name} has no class {proposal['value']!r}")
        return proposal["value"]

    @traitlets.validate("selected")
    def _exists(self, proposal: dict[str, Any]) -> int | None:
        if proposal["value"] is not None and not 0 <= proposal["value"] < len(self.data):
            raise traitlets.TraitError(f"image {proposal['value']} of {len(self.data)} does not exist")
        return proposal["value"]

    @traitlets.validate("marked")
    def _all_exist(self, proposal: dict[str, Any]) -> list[int]:
        if outside := [place for place in proposal["value"] if not 0 <= place < len(self.data)]:
            raise traitlets.TraitError(f"image {outside[0]} of {len(self.data)} does not exist")
        return sorted(set(proposal["value"]))

    @traitlets.validate("object")
    def _is_in_the_image(self, proposal: dict[str, Any]) -> int | None:
        row = proposal["value"]
        if row is not None and self.selected is None:
            raise traitlets.TraitError(f"object is {row}, but no image is selected; set selected first")
        if row is not None and not 0 <= row < (number := len(self.data.target(self.selected)["labels"])):
            raise traitlets.TraitError(f"object is {row}; image {self.selected} has {number} objects, from 0 on")
        return row

    @property
    def wanted(self) -> Wanted:
        """The present filter."""
        label = None if self.class_name is None else self.data.classes.index(self.class_name) + 1
        return Wanted(label, self.occlusion)

    def statistics(self) -> dict[str, Any]:
        """What is known so far: images, scanned images, objects, objects per class, and a sentence of it."""
        counts, hidden = self.index.counts(), self.index.all_occlusion()
        objects, known = sum(counts.values()), hidden[~np.isnan(hidden)]
        scanned, total = self.index.scanned, len(self.data)
        of = f"{total:,} images" if self.index.complete else f"the first {scanned:,} of {total:,} images"
        text = f"{objects:,} objects in {of}, {objects / max(1, scanned):.1f} per image"
        if len(known):
            shares = (known < 0.05).mean(), (known >= 0.2).mean()
            text += "; {:.0%} of them hidden by less than 5%, {:.0%} by 20% or more".format(*shares)
            text += " (estimated)" if self.data.occlusion_is_estimate else ""
        return {"images": total, "scanned": scanned, "objects": objects, "counts": counts, "text": text}

    def figure(self):
        """The statistics as a matplotlib figure."""
        return statistics_figure(self.index.counts(), self.index.all_occlusion())

    def count_all(self) -> dict[str, Any]:
        """Read the targets that have not been read yet; returns `statistics()`."""
        self.index.scan(len(self.data))
        self._send_statistics()
        return self.statistics()

    # ---- what changes what -----------------------------------------------------------------------------------

    def _remembered(self) -> dict[str, Any]:
        return {**super()._remembered(), "shown": self.shown, "more": self.more}

    def _go_back(self, kept: Mapping[str, Any]) -> None:
        self._apply({name: kept[name] for name in self.STATE})
        for name in ("shown", "more"):
            self.set_trait(name, kept[name])
        self._send_page()
        self._announce()

    def _on_filter(self, _: object) -> None:
        with self._silently():
            self.page = 0
        self._turn()

    def _turn(self) -> None:
        """Find the images of the present page (or of the last one there is) and send them."""
        found = self.index.find(self.wanted, (self.page + 1) * self.page_size + 1)
        last = max(0, math.ceil(len(found) / self.page_size) - 1)
        with self._silently():
            self.page = min(self.page, last)
        first = self.page * self.page_size
        self.set_trait("shown", found[first : first + self.page_size])
        self.set_trait("more", len(found) > first + self.page_size)
        if not self.index.scanned:
            self.index.scan(200)
        self._send_page()
        self._send_statistics()
        self._announce()

    # ---- what is chosen --------------------------------------------------------------------------------------

    def _on_selected(self, _: Any) -> None:
        with self._silently():
            self.object = None
        self._send_detail()
        self._announce()

    def _choose(self) -> None:
        self.send({"kind": "choice", "object": self.object, "marked": self.marked})
        self._announce()

    def _chosen_rows(self) -> list[dict[str, Any]]:
        chosen = {*self.marked} | ({self.selected} - {None})
        rows: list[dict[str, Any]] = []
        for place in sorted(chosen) or self.shown:
            some = [self.object] if place == self.selected and self.object is not None else None
            with suppress(WorkbenchError, OSError):  # what cannot be read has no rows
                rows += object_rows(self.data, place, self.data.target(place), some)
        return rows

    def _looked_at(self) -> Place | None:
        return None if self.selected is None else Place(self.data, self.selected, self.object)

    def _go_to(self, place: Place) -> None:
        self._apply({"selected": place.index, "object": place.object})
        self._send_detail()
        self._announce()

    def _show_notice(self) -> None:
        self.send({"kind": "notice", "text": self.notice})

    # ---- messages --------------------------------------------------------------------------------------------

    def _on_message(self, _: object, content: dict[str, Any], buffers: list[bytes]) -> None:
        try:
            if content["kind"] == "hello":
                self._send_page()
                self._send_statistics()
                self._send_detail()
                if self.notice:
                    self._show_notice()
            elif content["kind"] == "set":
                with self._all_or_nothing():
                    for name in self.STATE:
                        if name in content["state"]:
                            value = content["state"][name]
                            setattr(self, name, tuple(value) if isinstance(value, list) else value)
            elif content["kind"] == "count":
                self._start_counting()
            elif content["kind"] == "theme":
                self._dark = bool(content["dark"])
                self._send_statistics()
        except Exception as error:  # a page that fails must not leave the browser waiting
            self.send({"kind": "error", "text": f"{type(error).__name__}: {error}"})
        if content.get("kind") == "set":
            self.send({"kind": "done"})

    def _start_counting(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no kernel around us, as in a test
            self.count_all()
        else:
            if self._counting is None or self._counting.done():
                self._counting = loop.create_task(self._count_in_turns())

    async def _count_in_turns(self) -> None:
        """Count between other messages, so that leafing goes on."""
        try:
            while not self.index.complete:
                self.index.scan(40)
                self.send({"kind": "counting", "done": self.index.scanned / len(self.data)})
                await asyncio.sleep(0.001)
            self._send_statistics()
        except Exception as error:
            self.send({"kind": "error", "text": f"{type(error).__name__}: {error}"})

    def _send_page(self) -> None:
        items, pictures = [], []
        for position in self.shown:
            item, picture = self._item(position)
            items.append(item)
            pictures.append(picture)
        self._sent = items, pictures
        state = {name: getattr(self, name) for name in self.STATE}
        whole = {"classes": self.data.classes, "total": len(self.data)}
        title = f"{self.data.name}, split {self.data.split}"
        place = {"first": self.page * self.page_size, "more": self.more, "title": title}
        self.send({"kind": "page", "items": items, **state, **whole, **place}, pictures)

    def _item(self, position: int) -> tuple[dict[str, Any], bytes]:
        """What a thumbnail needs; an image that cannot be read is shown as its error."""
        try:
            image, target = self.data[position]
            height, width = image.shape[-2:]
            return {"position": position, "width": width, "height": height, **self._objects(target)}, encode(
                as_image(image), THUMBNAIL
            )
        except (WorkbenchError, OSError) as error:
            return {"position": position, "error": str(error)}, b""

    def _objects(self, target: dict[str, Any]) -> dict[str, Any]:
        labels = target["labels"].tolist()
        hidden = target["occlusion"].tolist() if "occlusion" in target else [math.nan] * len(labels)
        return {
            "boxes": [[round(value, 1) for value in box] for box in target["boxes"].tolist()],
            "labels": labels,
            "occlusion": [None if math.isnan(value) else round(value, 3) for value in hidden],
        }

    def _send_detail(self) -> None:
        """The selected image large, with its masks as a picture of their own, and its objects."""
        self._detail = None
        if self.selected is None:
            self.send({"kind": "detail", "item": None})
            return
        item, _ = self._item(self.selected)
        if "error" in item:
            self._detail = item, []
            self.send({"kind": "detail", "item": item})
            return
        image, target = self.data[self.selected]
        buffers, layer = [encode(as_image(image))], target_layer(target, opacity=MASKED)
        item |= {
            "object": self.object,
            "masked": layer is not None,
            "image_id": target.get("image_id", self.selected),
            "area": target["area"].tolist() if "area" in target else None,
            "flags": [_flags(target, row) for row in range(len(item["labels"]))],
        }
        if layer is not None:
            buffers.append(encode_pixels(as_bytes(layer)))
        self._detail = item, buffers
        self.send({"kind": "detail", "item": item}, buffers)

    def _send_statistics(self) -> None:
        content = {"text": self.statistics()["text"], "complete": self.index.complete}
        self.send({"kind": "statistics", **content}, [on_page(self.figure, dark=self._dark, dpi=DPI)])

    # ---- as a still picture ----------------------------------------------------------------------------------

    def _pieces(self) -> list[Piece]:
        if self.selected is not None and (self._detail is None or self._detail[0]["position"] != self.selected):
            self._send_detail()  # set when it was made
        detail = [] if self.selected is None else detail_pieces(*self._detail, self.data.classes)
        page = page_pieces(*self._sent, self.data.classes)
        return [*detail, *page, self.statistics()["text"], self.figure()]

    def _settings(self) -> list[str]:
        first, last = self.page * self.page_size, self.page * self.page_size + len(self.shown)
        low, high = self.occlusion or (None, None)
        return [
            f"images {first + 1} to {last}" + (" and more" if self.more else "") if self.shown else "no image",
            "any class" if self.class_name is None else f"with {self.class_name}",
            *([] if low is None else [f"hidden by {low:.0%} to {high:.0%}"]),
            *([] if self.selected is None else [f"image {self.selected} open"]),
        ]


def _flags(target: dict[str, Any], row: int) -> str:
    names = {"iscrowd": "crowd", "difficult": "difficult", "ignored": "ignored"}
    return ", ".join(text for key, text in names.items() if key in target and bool(target[key][row]))
