"""An image to point at: click one of its objects, or drag a region of your own."""

from __future__ import annotations

import anywidget
import traitlets

from widgets.parts.javascript import script, style
from workbench.figures.drawing.colours import CHOSEN, SKY


class RegionPicker(anywidget.AnyWidget):
    """Click an object (or Tab to it and press Enter) to set `chosen`; drag to set `drawn`."""

    _esm = script("region_picker.js", CHOSEN=CHOSEN, SKY=SKY)
    _css = style("region_picker.css")

    picture = traitlets.Bytes(help="PNG or JPEG").tag(sync=True)
    width = traitlets.Int(help="pixels of the image; boxes are in them").tag(sync=True)
    height = traitlets.Int().tag(sync=True)
    objects = traitlets.List(traitlets.Dict(), help="`box` (xyxy) and `text` of each").tag(sync=True)
    chosen = traitlets.Int(None, allow_none=True, help="position in `objects`").tag(sync=True)
    box = traitlets.List(traitlets.Float(), help="xyxy of the region that is marked").tag(sync=True)
    drawn = traitlets.List(traitlets.Float(), help="xyxy of the last one that was dragged").tag(sync=True)
