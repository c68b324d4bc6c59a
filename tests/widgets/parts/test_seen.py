"""What is seen of parts: texts and tables of HTML, boxes beside and below each other, what controls say."""

from __future__ import annotations

import ipywidgets
import matplotlib.pyplot as plt
import pytest

from widgets.parts.messages import hint
from widgets.parts.seen import Drawable, is_seen, pieces_of, settings_of, texts_of
from workbench.figures.still import Table


@pytest.mark.parametrize(
    ("html", "pieces"),
    [
        ("", []),
        ("plain", ["plain"]),
        ("<b>a</b> &amp; &lt;b&gt;", ["a & <b>"]),
        ("<div>one\n  two</div><p>three</p>four<br>five", ["one two", "three", "four", "five"]),
        ("<ul><li>a</li><li>b</li></ul>", ["a", "b"]),
        ("<pre>  a\n    b</pre>", ["  a\n    b"]),
        (
            "above<table><tr><th></th><th>AP</th></tr><tr><td>a\n b</td><td>0.5</td></tr></table>below",
            ["above", Table((("", "AP"), ("a b", "0.5"))), "below"],
        ),
        ("<table></table>", []),
        ("<table><tr><td>never closed", ["never closed"]),
    ],
)
def test_html_is_read_as_paragraphs_and_tables(html, pieces):
    assert texts_of(html) == pieces


class Drawn(Drawable, ipywidgets.HTML):
    """A part with a picture, or with none."""

    picture = None

    def still(self):
        return self.picture


def test_rows_stand_beside_each_other_and_the_rest_below():
    one, two, three = (ipywidgets.HTML(text) for text in ("one", "two", "three"))
    row = ipywidgets.HBox([one, ipywidgets.VBox([two, three])])
    assert pieces_of(ipywidgets.VBox([row, ipywidgets.HTML("four")])) == [(["one"], ["two", "three"]), "four"]
    assert pieces_of(ipywidgets.HBox([])) == []
    assert pieces_of(ipywidgets.Button(description="press")) == []


def test_a_part_with_a_picture_is_the_picture():
    part = Drawn("words that nobody sees")
    assert pieces_of(part) == []
    part.picture = plt.figure()
    plt.close(part.picture)
    assert pieces_of(ipywidgets.VBox([part])) == [part.picture]


def test_what_is_hidden_or_only_for_the_page_is_not_seen():
    shown = ipywidgets.HTML("shown")
    hidden = ipywidgets.HTML("hidden", layout={"display": "none"})
    assert pieces_of(ipywidgets.VBox([hidden, shown, hint("Drag a box.")])) == ["shown"]
    assert pieces_of(ipywidgets.VBox([shown], layout={"display": "none"})) == []
    assert not is_seen(ipywidgets.Layout())


def test_of_parts_in_turn_the_open_one_is_seen():
    log = ipywidgets.Accordion([ipywidgets.HTML("a line"), ipywidgets.HTML("more")], titles=("Log", "More"))
    assert pieces_of(log) == []
    log.selected_index = 1
    assert pieces_of(log) == ["More", "more"]


def test_controls_say_what_they_are_set_to():
    controls = [
        ipywidgets.Dropdown(options=[("plain", 0), ("hard", 1)], value=1, description="Detector"),
        ipywidgets.ToggleButtons(options=["by class", "by kind"]),
        ipywidgets.SelectionSlider(options=["last"], description="Checkpoint"),
        ipywidgets.Checkbox(True, description="Arrows"),
        ipywidgets.Checkbox(False, description="Marks"),
        ipywidgets.IntSlider(12345, min=0, max=99999, description="Image"),
        ipywidgets.FloatSlider(0.256, min=0, max=1, description="β", readout_format=".2f"),
        ipywidgets.FloatSlider(0.256, min=0, max=1, description="γ", readout=False),
        ipywidgets.BoundedIntText(3, description="Top"),
        ipywidgets.Dropdown(options=[], description="Object"),
        ipywidgets.Checkbox(True, description="away", layout={"display": "none"}),
        ipywidgets.Button(description="Stop"),
    ]
    assert settings_of(ipywidgets.VBox([ipywidgets.HBox(controls[:6]), *controls[6:]])) == [
        "Detector: hard",
        "by class",
        "Checkpoint: last",
        "Arrows: yes",
        "Marks: no",
        "Image: 12345",
        "β: 0.26",
        "γ: 0.256",
        "Top: 3",
    ]
    assert settings_of(ipywidgets.VBox(controls, layout={"display": "none"})) == []
