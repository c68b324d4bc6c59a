"""A widget made of ipywidgets as an anywidget, for pages that show only these, as those of marimo.

The page has the models of all widgets, of controls and boxes too, and keeps them in step with Python. What it lacks
is how they look: `mirror.js` draws them as plain HTML, and anywidgets within them by their own code.
"""

from __future__ import annotations

import anywidget
import ipywidgets
import traitlets

from widgets.parts.javascript import script, style

#: What a layout can say: properties of CSS, with underscores.
LAYOUT = sorted(set(ipywidgets.Layout.class_trait_names(sync=True)) - set(ipywidgets.Widget.class_trait_names()))


class Mirror(anywidget.AnyWidget):
    """Shows a widget that is made of boxes, controls and anywidgets; what is changed here is changed there.

    Args:
        shown: the widget.
    """

    _esm = script("mirror.js", LAYOUT=LAYOUT)
    _css = style("shared/panel.css", "mirror.css")

    root = traitlets.Unicode(help="id of the model of what is shown").tag(sync=True)

    def __init__(self, shown: ipywidgets.Widget):
        super().__init__(root=shown.model_id)
        self.on_msg(lambda _, content, buffers: self.send(content))  # what the page sent before is done
