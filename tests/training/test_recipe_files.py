"""Recipe files: how one changes its base, where bases are found, and what the shipped ones hold to."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import RecipeError
from workbench.training.recipe import Recipe
from workbench.training.recipe_files import (
    MOST_BASES,
    RECIPES,
    Layer,
    find_recipe,
    load_layers,
    merge,
    read_recipe,
    recipe_layers,
    resolve,
    shipped_name,
    shipped_names,
)

PLAIN = {
    "name": "plain",
    "notes": "of plain",
    "published": {"AP": 1},
    "data": {"name": "digit-scenes", "options": {"length": 5, "occlusion_rate": 0.5}},
    "detector": {"kind": "faster-rcnn", "backbone": {"name": "small", "stem": 8}, "min_size": None},
    "hardener": {"kind": "random-dropout", "share": 0.5},
    "stages": [{"steps": 10, "lr": 0.02}, {"steps": 20, "lr": 0.01}],
}

ROOT = PLAIN | {"data": {"name": "digit-scenes", "options": {"length": 5}}}  #: builds

keys = st.sampled_from(["a", "b", "c", "kind", "name"])
leaves = st.none() | st.integers(0, 3) | st.text("xy", max_size=2)
trees = st.recursive(leaves, lambda below: st.dictionaries(keys, below) | st.lists(below, max_size=2), max_leaves=12)
mappings = st.dictionaries(keys, trees)


def changed(changes: dict) -> dict:
    """PLAIN with the changes of a file that has it as its base."""
    return resolve([Layer("plain.yaml", deepcopy(PLAIN)), Layer("mine.yaml", changes)])


def write(path: Path, **values) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


# ------------------------------------------------------------------------------------------------- merging


@given(mappings)
def test_no_changes_change_nothing(tree):
    assert merge(tree, {}) == tree
    assert merge({}, tree) == tree
    assert merge(tree, tree) == tree


@given(mappings, mappings)
def test_changes_win_and_what_they_leave_stays(base, changes):
    def holds(merged, before, said):
        for key, value in said.items():
            if isinstance(value, dict) and isinstance(before.get(key), dict):
                of_another_kind = merged[key] == value
                of_another_kind or holds(merged[key], before[key], value)
            else:
                assert merged[key] == value
        assert all(merged[key] == before[key] for key in before.keys() - said.keys())
        assert merged.keys() == before.keys() | said.keys()

    before = deepcopy((base, changes))
    holds(merge(base, changes), base, changes)
    assert (base, changes) == before


@given(mappings, mappings)
def test_saying_it_twice_is_saying_it_once(base, changes):
    once = merge(base, changes)
    assert merge(once, changes) == once


@pytest.mark.parametrize(
    ("changes", "data"),
    [
        (
            {"data": {"options": {"length": 7}}},
            {"name": "digit-scenes", "options": {"length": 7, "occlusion_rate": 0.5}},
        ),
        (
            {"data": {"options": {"occlusion_rate": None}}},
            {"name": "digit-scenes", "options": {"length": 5, "occlusion_rate": None}},
        ),
        ({"data": {"options": None}}, {"name": "digit-scenes", "options": None}),
        ({"data": {"options": {}}}, PLAIN["data"]),
        ({"data.options": {}}, {"name": "digit-scenes", "options": {}}),
        ({"data.options.length": 7}, {"name": "digit-scenes", "options": {"length": 7, "occlusion_rate": 0.5}}),
        ({"data": {"name": "coco"}}, {"name": "coco"}),
        ({"data": {"name": "digit-scenes", "split": "val"}}, {**PLAIN["data"], "split": "val"}),
        ({"data.name": "coco"}, {**PLAIN["data"], "name": "coco"}),
        ({"data.options": {}, "data": {"split": "val"}}, {"name": "digit-scenes", "split": "val", "options": {}}),
    ],
)
def test_how_a_mapping_is_changed(changes, data):
    assert changed(changes) == {key: PLAIN[key] for key in ("detector", "hardener", "stages")} | {"data": data}


def test_another_kind_does_not_get_the_options_of_the_first():
    assert changed({"hardener": {"kind": "hard-dropout"}})["hardener"] == {"kind": "hard-dropout"}
    assert changed({"hardener": {"drop": 0.1}})["hardener"] == {"kind": "random-dropout", "share": 0.5, "drop": 0.1}
    assert changed({"detector": {"kind": "retinanet"}})["detector"] == {"kind": "retinanet"}
    assert changed({"detector.kind": "mask-rcnn"})["detector"] == {**PLAIN["detector"], "kind": "mask-rcnn"}
    backbone = changed({"detector": {"backbone": {"name": "resnet18"}}})["detector"]["backbone"]
    assert backbone == {"name": "resnet18"}
    with_proposals = {"proposals": {"kind": "detector", "name": "a", "top": 5}}
    assert merge(with_proposals, {"proposals": {"name": "b"}}) == {
        "proposals": {"kind": "detector", "name": "b", "top": 5}
    }
    assert merge({"schedule": {"warmup": 5}}, {"schedule": {"kind": "step"}}) == {"schedule": {"kind": "step"}}


def test_lists_and_plain_values_replace_and_null_is_a_value():
    assert changed({"stages": [{"steps": 1}]})["stages"] == [{"steps": 1}]
    assert changed({"hardener": None})["hardener"] is None
    assert changed({"hardener": [{"kind": "asdn"}]})["hardener"] == [{"kind": "asdn"}]
    assert changed({"stages": [{"steps": 1}], "stages.0.lr": 3})["stages"] == [{"steps": 1, "lr": 3}]
    assert changed({"stages.1.steps": 99})["stages"] == [PLAIN["stages"][0], {"steps": 99, "lr": 0.01}]
    with pytest.raises(RecipeError, match=r"mine\.yaml: 'stages\.2\.steps' leads nowhere: stages has entries 0 to 1"):
        changed({"stages.2.steps": 99})


def test_name_notes_and_published_are_not_inherited():
    assert {"name", "notes", "published"}.isdisjoint(changed({}))
    assert changed({"notes": "mine"})["notes"] == "mine"


def test_the_base_is_left_as_it_was():
    layers = [Layer("a", deepcopy(PLAIN)), Layer("b", {"stages.0.steps": 1, "data.options.length": 1})]
    resolve(layers)["stages"][1]["lr"] = 5
    assert layers[0].values == PLAIN


# ------------------------------------------------------------------------------------------- finding bases


def test_a_base_is_a_shipped_name_or_a_file_beside_the_one_that_names_it(tmp_path, monkeypatch):
    write(tmp_path / "a" / "root.yaml", **ROOT)
    write(tmp_path / "a" / "b" / "middle.yml", base="../root.yaml", seed=3, name="middle")
    mine = write(tmp_path / "mine.yaml", base="a/b/middle.yml", **{"stages.0.steps": 7})
    recipe = Recipe.load(mine)
    assert (recipe.name, recipe.seed, recipe.stages[0].steps, recipe.notes) == ("mine", 3, 7, None)
    assert recipe.replace(name="plain", seed=0).to_dict() | {"notes": "of plain", "published": {"AP": 1}} == (
        Recipe.from_dict(ROOT).replace({"stages.0.steps": 7}).to_dict()
    )

    elsewhere = write(tmp_path / "shipped.yaml", base="digit-scenes/faster-rcnn", name="mine", seed=5)
    shipped = Recipe.load("digit-scenes/faster-rcnn")
    assert Recipe.load(elsewhere) == shipped.replace(name="mine", seed=5, notes=None)
    monkeypatch.chdir(tmp_path)
    assert Recipe.load("mine.yaml") == recipe
    assert Recipe.from_dict({"base": "a/root.yaml", "name": "x"}).steps == 30


def test_plain_data_may_have_a_base():
    recipe = Recipe.from_dict({"base": "digit-scenes/faster-rcnn", "name": "mine", "optimizer": {"grad_clip": 5}})
    expected = Recipe.load("digit-scenes/faster-rcnn").replace({"optimizer.grad_clip": 5}, name="mine", notes=None)
    assert recipe == expected


def test_a_saved_recipe_needs_no_base(tmp_path):
    recipe = Recipe.load(write(tmp_path / "mine.yaml", base="retinanet/digits+ohem", name="mine"))
    saved = recipe.save(tmp_path / "recipe.yaml")
    said = yaml.safe_load(saved.read_text())
    assert "base" not in said
    assert said == recipe.to_dict()
    assert Recipe.load(saved) == recipe


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"base": "digit-scenes/faster-rcn"}, r"mine\.yaml: base: there is .*mean 'digit-scenes/faster-rcnn'"),
        ({"base": "othr.yaml"}, r"mine\.yaml: base: there is no recipe file .*othr\.yaml; did .* 'other\.yaml'"),
        ({"base": "../../pyproject"}, r"mine\.yaml: base: there is no recipe '\.\./\.\./pyproject'"),
        ({"base": 3}, r"mine\.yaml: base: expected the name of a recipe or a YAML file, got 3"),
        ({"base": None}, r"mine\.yaml: base: expected the name of a recipe or a YAML file, got None"),
        ({"base": "list.yaml"}, r"mine\.yaml: base: .*list\.yaml: expected keys and values, got list"),
        ({"base": "broken.yaml"}, r"mine\.yaml: base: .*broken\.yaml is not readable YAML"),
        ({"base": "mine.yaml"}, r"mine\.yaml: base: it leads back to itself"),
        ({"base": "there.yaml"}, r"(there|back)\.yaml: base: it leads back to itself, through there and back"),
        ({"base": "other.yaml", "seeed": 1}, r"mine\.yaml is not a valid recipe:\n  seeed: unknown key; .* 'seed'"),
    ],
)  # fmt: skip
def test_a_base_that_cannot_be_had(tmp_path, values, message):
    write(tmp_path / "other.yaml", **PLAIN)
    write(tmp_path / "there.yaml", base="back.yaml")
    write(tmp_path / "back.yaml", base="there.yaml")
    (tmp_path / "list.yaml").write_text("[1]")
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(RecipeError, match=message):
        Recipe.load(write(tmp_path / "mine.yaml", **values))


def test_there_is_a_limit_to_the_bases_of_bases(tmp_path):
    write(tmp_path / "0.yaml", **PLAIN)
    for number in range(1, MOST_BASES + 2):
        write(tmp_path / f"{number}.yaml", base=f"{number - 1}.yaml", seed=number)
    assert Recipe.load(tmp_path / f"{MOST_BASES}.yaml").seed == MOST_BASES
    with pytest.raises(RecipeError, match=rf"1\.yaml: base: more than {MOST_BASES} bases"):
        Recipe.load(tmp_path / f"{MOST_BASES + 1}.yaml")


BOMB = "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefgh"))


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x]\n" + BOMB,
        "a: &a\n  b: *a\n",
        "a: " + "[" * 3000 + "]" * 3000,
    ],
    ids=["bomb", "circle", "depth"],
)  # fmt: skip
def test_a_small_file_that_stands_for_more_than_memory_holds_is_refused(tmp_path, text):
    path = tmp_path / "bomb.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"bomb\.yaml (has more than 100,000 values|is not readable YAML)"):
        Recipe.load(path)


@pytest.mark.parametrize("text", ["x: " + "9" * 5000, "x: !!bool y", "x: !!timestamp y"])
def test_values_that_yaml_itself_does_not_make_are_refused(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"mine\.yaml is not readable YAML"):
        Recipe.load(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("On", "On"), ("y", "y"), ("1:30", "1:30"), ("017", "017"), ("2020-01-01", "2020-01-01"),
        ("=", "="),
        ("1e-3", "1e-3"), ("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("-7", -7),
        ("1_000", 1000), ("0x1F", 31), ("0", 0), ("0.5", 0.5), (".5", 0.5), ("1.0e-3", 0.001),
        ("-.inf", float("-inf")),
    ],
)  # fmt: skip
def test_what_plain_words_are(tmp_path, text, value):
    """Those that older YAML takes for truth values, sexagesimal and octal numbers or dates are text."""
    path = tmp_path / "mine.yaml"
    path.write_text(f"x: {text}\n")
    assert read_recipe(path) == {"x": value}


def test_a_split_called_no_is_a_name(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: digit-scenes/faster-rcnn\nname: on\ndata: {name: coco, split: no, root: /x}\n")
    recipe = Recipe.load(path)
    assert (recipe.name, recipe.data.split) == ("on", "no")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nname: x\nseed: 2\n", r"the key 'seed' stands twice, in lines 1 and 3"),
        ("data: {name: coco, root: a, name: voc}\n", r"the key 'name' stands twice, in lines 1 and 1"),
        ("stages:\n- {lr: 1}\n- lr: 1\n  steps: 2\n  lr: 2\n", r"the key 'lr' stands twice, in lines 3 and 5"),
    ],
)
def test_a_key_stands_once(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_recipe(path)


def test_aliases_in_reason_are_read(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: &a {x: 1}\nb: *a\nc: {<<: *a, x: 2}\n")
    assert read_recipe(path) == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 2}}


# ------------------------------------------------------------------------------------- the shipped recipes


def _leaves(values: dict, place: tuple = ()):
    for key, value in values.items():
        yield from _leaves(value, (*place, key)) if isinstance(value, dict) and value else [(*place, key)]


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_recipe_has_its_own_name_and_notes_and_says_only_what_differs(name):
    path = find_recipe(name)
    own = read_recipe(path)
    assert own["name"] == name == shipped_name(str(path))
    assert own["notes"]
    layers = load_layers(name)
    assert len(layers) <= 4, "three bases at most: more are hard to follow"
    if len(layers) == 1:
        return
    whole = resolve(layers)
    for place in _leaves({key: value for key, value in own.items() if key != "base"}):
        fewer = deepcopy(layers[-1].values)
        node = fewer
        for key in place[:-1]:
            node = node[key]
        del node[place[-1]]
        assert resolve([*layers[:-1], Layer("fewer", fewer)]) != whole, f"{place} is what its base says"


def test_bases_of_shipped_recipes_are_shipped():
    bases = {read_recipe(path).get("base") for path in RECIPES.rglob("*.yaml")} - {None}
    assert bases <= set(shipped_names())


@given(st.sampled_from(shipped_names()))
@settings(max_examples=10, deadline=None)
def test_a_recipe_of_a_base_goes_through_yaml_unchanged(name):
    recipe = Recipe.load(name, trial=False)
    assert Recipe.from_dict(yaml.safe_load(recipe.to_yaml()), trial=False) == recipe


def test_layers_come_with_the_furthest_base_first():
    layers = recipe_layers({"base": "a-fast-rcnn/digits+ohem", "seed": 1}, "mine")
    expected = ["digit-scenes/faster-rcnn", "a-fast-rcnn/digits", "a-fast-rcnn/digits+ohem", "mine"]
    assert [shipped_name(layer.source) for layer in layers] == expected
    assert layers[-1].values == {"seed": 1}
