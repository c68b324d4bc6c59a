"""Recipes as text: loadable YAML, marks that say where values come from, lists of names."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import RecipeError
from workbench.training import recipe_listing
from workbench.training.recipe import Recipe
from workbench.training.recipe_files import Layer, load_layers, resolve, shipped_names
from workbench.training.recipe_listing import full_text, listing, matching, origins, own_text

ROOT = """\
name: root
data: {name: digit-scenes, options: {length: 5}}
detector: {kind: faster-rcnn, backbone: {name: small, stem: 8}}
stages: [{steps: 10, lr: 0.02}, {steps: 20, lr: 0.01}]
seed: 1
"""
MIDDLE = """\
name: middle
base: root.yaml
detector: {kind: retinanet, channels: 64}
"""
MINE = """\
name: mine
base: middle.yaml
notes: Short.
detector: {channels: 32}
stages.1.steps: 99
"""
SHOWN = """\
# DIR/mine.yaml on DIR/middle.yaml on DIR/root.yaml
name: mine
notes: Short.
data: {name: digit-scenes, options: {length: 5}}  # from DIR/root.yaml
detector:
  kind: retinanet  # from DIR/middle.yaml
  channels: 32
stages:
  - {steps: 10, lr: 0.02}  # from DIR/root.yaml
  - steps: 99
    lr: 0.01  # from DIR/root.yaml
seed: 1  # from DIR/root.yaml"""


@pytest.fixture
def mine(tmp_path):
    for name, text in {"root": ROOT, "middle": MIDDLE, "mine": MINE}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return str(tmp_path / "mine.yaml")


def test_what_comes_from_a_base_is_marked_with_its_name(mine, tmp_path):
    shown = re.sub(r" +#", "  #", full_text(mine).replace(str(tmp_path), "DIR")).removeprefix("  ")
    assert shown == SHOWN
    assert own_text(mine) == MINE.rstrip("\n")


def test_defaults_are_marked_as_such(mine, tmp_path):
    text = full_text("digit-scenes/faster-rcnn+dropout", defaults=True)
    assert re.search(r"^  momentum: 0\.9 +# default$", text, re.M)
    assert re.search(r"^  grad_clip: 10\.0 +# from digit-scenes/faster-rcnn$", text, re.M)
    assert re.search(r"^name: digit-scenes/faster-rcnn\+dropout$", text, re.M)


@pytest.mark.parametrize("name", shipped_names())
def test_the_text_of_a_recipe_loads_as_the_recipe(name):
    assert yaml.safe_load(full_text(name)) == resolve(load_layers(name))
    whole = yaml.safe_load(full_text(name, defaults=True))
    assert whole == Recipe.load(name, trial=False).to_dict()


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
keys = st.text(max_size=8)  # YAML has another form for keys of more than 128 characters, which no recipe has
trees = st.recursive(scalars, lambda below: st.lists(below) | st.dictionaries(keys, below), max_leaves=8)


@given(
    values=st.dictionaries(st.text("ab", min_size=1), trees, min_size=1),
    changes=st.dictionaries(st.text("ab", min_size=1), trees),
)
def test_any_values_are_loadable_as_they_are(values, changes):
    layers = [Layer("root", values), Layer("mine", changes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe_listing, "load_layers", lambda _: layers)
        assert yaml.safe_load(full_text("mine")) == resolve(layers)


def test_origins_follow_the_layers():
    layers = [
        Layer("root", {"a": {"kind": "x", "b": 1}, "list": [{"c": 1, "d": 2}], "e": None}),
        Layer("mine", {"a": {"b": 2}, "list.0.d": 3, "e": {"f": []}}),
    ]
    known = origins(layers)
    assert known["a", "kind"] == known["list", 0, "c"] == 0
    assert known["a", "b"] == known["list", 0, "d"] == known["e", "f"] == 1


def test_names_are_chosen_by_folder_or_pattern():
    assert matching("*") == shipped_names()
    assert matching("mask-rcnn") == ["mask-rcnn/coco", "mask-rcnn/coco+copy-paste"]
    assert matching("fpn/digits") == ["fpn/digits"]
    assert matching("fpn/digits-c?") == ["fpn/digits-c3", "fpn/digits-c4"]
    assert matching("faster-rcnn") == matching("fpn/digit") == []


def test_a_list_has_the_first_sentences_of_the_notes():
    assert listing(["a-fast-rcnn/digits", "a-fast-rcnn/digits+asdn", "fpn/digits"]).splitlines() == [
        "a-fast-rcnn: 2",
        "  a-fast-rcnn/digits       The baseline: no adversary.",
        "  a-fast-rcnn/digits+asdn  ASDN, pre-trained on the search, then jointly.",
        "",
        "fpn: 1",
        "  fpn/digits  Faster R-CNN on the feature pyramid of the small backbone: "
        "Tables 4.1 and 4.3 (c) of Lin's thesis, small.",
    ]


def test_a_file_that_is_no_recipe_is_not_shown(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: [")
    for show in (own_text, full_text):
        with pytest.raises(RecipeError, match="not readable YAML"):
            show(str(path))
