"""An image to point at: click one of its objects, or drag a region of your own."""

from __future__ import annotations

import anywidget
import traitlets
from matplotlib.figure import Figure

from widgets.parts.javascript import script, style
from widgets.parts.pictures import decoded
from widgets.parts.seen import Drawable
from workbench.figures.drawing.colours import CHOSEN, SKY
from workbench.figures.marked_images import Mark, MarkedImage, marked_images

SIDE = 2.8  #: inches of a still picture


class RegionPicker(Drawable, anywidget.AnyWidget):
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

    def still(self) -> Figure:
        """The image, its objects by their numbers, and the region."""
        image = decoded(self.picture)
        scale = image.shape[-1] / self.width  # large images are shrunk
        marks = [
            Mark.box([value * scale for value in thing["box"]], SKY, str(place))
            for place, thing in enumerate(self.objects, start=1)
        ]
        marks += [Mark.box([value * scale for value in self.box], CHOSEN)] if self.box else []
        return marked_images([MarkedImage(image, marks)], side=SIDE)
