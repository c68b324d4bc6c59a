"""Recipes: what they accept, how they say no, and that YAML goes both ways."""

from __future__ import annotations

import os

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import RecipeError
from workbench.hardeners import Hardener, build_hardener
from workbench.registry import HARDENERS
from workbench.training.recipe import Recipe

PLAIN = {
    "name": "plain",
    "data": {"name": "digit-scenes"},
    "detector": {"kind": "faster-rcnn", "backbone": {"name": "small"}, "min_size": None},
    "stages": [{"steps": 10, "lr": 0.02}],
}


def plain(overrides: dict | None = None) -> Recipe:
    return Recipe.from_dict(PLAIN).replace(overrides)


@pytest.mark.parametrize("name", Recipe.shipped())
def test_shipped_recipes_load_and_go_through_yaml_unchanged(name, tmp_path):
    recipe = Recipe.load(name)
    assert recipe.name == name
    assert Recipe.load(recipe.save(tmp_path / "recipe.yaml")) == recipe


def test_there_are_recipes():
    assert "digit-scenes/faster-rcnn+ia" in Recipe.shipped()


@given(
    lr=st.floats(1e-8, 10, exclude_min=True),
    steps=st.integers(1, 10**7),
    batch=st.integers(1, 512),
    ema=st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True),
    milestones=st.lists(st.floats(0, 1e6, exclude_min=True), max_size=3),
    options=st.fixed_dictionaries(
        {}, optional={"occlusion_rate": st.none() | st.floats(0, 1), "cache": st.booleans()}
    ),
    notes=st.none() | st.text(),
)
@settings(max_examples=25, deadline=None)
def test_any_recipe_survives_yaml(lr, steps, batch, ema, milestones, options, notes):
    recipe = plain(
        {"stages.0": {"steps": steps, "lr": lr}, "batch_size": batch, "ema": ema, "data.options": options,
         "schedule": {"kind": "step", "milestones": milestones}, "notes": notes}
    )  # fmt: skip
    again = Recipe.from_dict(yaml.safe_load(recipe.to_yaml()))
    assert again == recipe
    assert again.fingerprint() == recipe.fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimiser": {}}, r"optimiser: unknown key; did you mean 'optimizer'\? \(known: name, data,"),
        ({"optimizer": {"weigth_decay": 0}}, r"optimizer\.weigth_decay: unknown key; did you mean 'weight_decay'"),
        ({"stages": [{"steps": 5, "lr": 1, "trian": "both"}]}, r"stages\.0\.trian: unknown key; .* 'train'"),
        ({"stages": [{"steps": 0, "lr": 1}]}, r"stages\.0\.steps: .*greater than or equal to 1, got 0"),
        ({"stages": [{"steps": 5, "lr": "fast"}]}, r"stages\.0\.lr: .*valid number.*, got 'fast'"),
        ({"stages": []}, r"stages: .*at least 1 item"),
        ({"optimizer": {"kind": "adam"}}, r"optimizer\.kind: .*'adamw' or 'sgd', got 'adam'"),
        ({"stages": [{"lr": 1.0}]}, r"stages\.0\.steps: missing"),
        ({"seed": -1}, r"seed: .*greater than or equal to 0, got -1"),
        ({"detector": {"backbone": {}}}, r"detector\.kind None does not exist; choose one of \["),
        ({"detector": {"kind": "faster-rcn"}}, r"detector\.kind 'faster-rcn' does not exist"),
        ({"detector": {"kind": "faster-rcnn", "bakbone": {}}}, r"detector\.bakbone is not an option"),
        ({"detector": {"kind": "faster-rcnn", "backbone": {"name": "large"}}}, r"backbone\.name 'large' does not"),
        ({"hardener": {"kind": "inverted-atention"}}, r"hardener\.kind 'inverted-atention' does not exist"),
        ({"hardener": {"kind": "random-dropout", "speed": 1}}, r"hardener\.speed is not an option of random-dropout"),
        ({"batch_size": 5, "processes": 2}, r"batch_size: 5 images cannot be divided over 2 processes"),
        ({"stages": [{"steps": 1, "lr": 1, "train": "hardener"}]}, r"trains the hardener, but there is none"),
    ],
)  # fmt: skip
def test_a_wrong_recipe_is_refused_with_key_and_reason(change, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict(PLAIN | change, source="mine.yaml")


def test_all_errors_are_told_at_once_with_the_source():
    with pytest.raises(RecipeError) as error:
        Recipe.from_dict(PLAIN | {"seed": "x", "batch_size": 0}, source="mine.yaml")
    assert "mine.yaml is not a valid recipe" in str(error.value)
    assert "seed" in str(error.value)
    assert "batch_size" in str(error.value)


def test_what_a_plug_in_cannot_build_is_the_recipes_fault(monkeypatch):
    monkeypatch.setattr(HARDENERS, "_made", dict(HARDENERS._made))  # forgotten afterwards

    @HARDENERS.register("two-or-more")
    class TwoOrMore(Hardener):
        def __init__(self, *, number: int = 2):
            super().__init__()
            if number < 2:
                raise ValueError("number is less than two")

    with pytest.raises(RecipeError, match=r"hardener cannot be built \(ValueError: number is less than two\)"):
        Recipe.from_dict(PLAIN | {"hardener": {"kind": "two-or-more", "number": 1}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks": 10**9}, "backbone.blocks is 1000000000; expected at most 1000"),
        ({"widths": [10**9, 10**9]}, "detector cannot be built"),
        ({"stage": "x"}, "backbone.stage"),
    ],
)
def test_sizes_that_no_machine_can_hold_are_refused_at_once(change, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict(PLAIN | {"detector": {"kind": "faster-rcnn", "backbone": {"name": "small"} | change}})


def test_a_file_without_a_name_is_called_as_the_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: digit-scenes/faster-rcnn\nseed: 3\n")
    assert Recipe.load(tmp_path / "mine.yaml").name == "mine"


def test_a_roi_hardener_on_a_detector_without_rois_is_refused():
    change = {"detector": {"kind": "retinanet"}, "hardener": {"kind": "random-dropout"}}
    with pytest.raises(RecipeError, match="between RoI pooling and the head, and retinanet has no RoIs"):
        Recipe.from_dict(PLAIN | change)


def test_an_adversary_stage_needs_a_hardener_with_parameters():
    change = {"hardener": {"kind": "random-dropout"}, "stages.0.train": "hardener"}
    with pytest.raises(RecipeError, match="it has no parameters"):
        plain(change)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit-scenes/faster-rcn", r"no recipe 'digit-scenes/faster-rcn'; did you mean 'digit-scenes/faster-rcnn'"),
        ("nowhere/at-all.yaml", r"no recipe file nowhere/at-all\.yaml"),
    ],
)
def test_a_recipe_that_does_not_exist(name, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.load(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not readable YAML"),
        ("- 1", "expected keys and values, got list"),
        ("", "expected keys and values, got NoneType"),
        ("!!python/object/apply:os.getcwd []", "not readable YAML"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        Recipe.load(path)


def test_replace_takes_dotted_keys_nested_values_and_sections():
    recipe = plain({"optimizer.weight_decay": 0.5, "stages.0.steps": 7, "data.options.size": 64})
    assert (recipe.optimizer.weight_decay, recipe.steps, recipe.data.options) == (0.5, 7, {"size": 64})
    recipe = recipe.replace(seed=3, validation={"name": "digit-scenes"}, optimizer=plain().optimizer)
    assert (recipe.seed, recipe.validation.split, recipe.optimizer.weight_decay) == (3, "val", 1e-4)
    assert plain().replace({"validation.name": "digit-scenes"}).validation.split == "val"
    for wrong, reason in {
        "stages.1.steps": "stages has entries 0 to 0, not '1'",
        "stages.x.steps": "stages has entries 0 to 0, not 'x'",
        "stages.x": "stages has entries 0 to 0, not 'x'",
        "seed.x": "seed is 0, which has no parts",
    }.items():
        with pytest.raises(RecipeError, match=f"{wrong}' leads nowhere: {reason}"):
            plain({wrong: 1})
    with pytest.raises(RecipeError, match=r"optimizer\.speed: unknown key"):
        plain({"optimizer.speed": 1})


def test_replace_leaves_what_it_is_given_alone():
    backbone = {"name": "small", "blocks": 1}
    changed = plain({"detector.backbone": backbone, "detector.backbone.blocks": 2})
    assert changed.detector["backbone"]["blocks"] == 2
    assert backbone["blocks"] == 1


def test_replace_leaves_the_original_alone():
    recipe = plain()
    recipe.replace({"detector.backbone.name": "resnet18", "data.options.size": 96})
    assert recipe == plain()


def test_learning_rate_is_scaled_linearly():
    recipe = plain({"batch_size": 4, "lr_batch_size": 16})
    assert recipe.scaled_lr(recipe.stages[0]) == pytest.approx(0.02 / 4)


def test_fingerprint_holds_what_decides_the_result_and_nothing_else():
    base = plain().fingerprint()
    for key, value in {"name": "x", "notes": "y", "device": "cpu", "threads": 2, "workers": 1, "keep": 9}.items():
        assert plain({key: value}).fingerprint() == base, key
    decisive = {"seed": 1, "processes": 2, "stages.0.lr": 0.03, "detector.backbone.name": "resnet18", "ema": 0.9}
    decisive |= {"data.options.size": 64, "hardener": {"kind": "random-dropout"}, "augment.flip": True}
    others = [plain({key: value}).fingerprint() for key, value in decisive.items()]
    assert len({base, *others}) == 1 + len(others)


def test_fingerprint_is_the_same_tomorrow():
    assert plain().fingerprint() == "5747001b42d668c1"
    tested = plain({"test": {"name": "digit-scenes"}})
    assert tested.fingerprint() == "fabdeaec736c95e4", "as before tests could ask for audits"
    assert tested.replace({"test.audit": {}}).fingerprint() != tested.fingerprint()


def test_a_test_can_ask_for_an_audit_and_for_regions():
    recipe = plain({"test": {"name": "digit-scenes"}})
    asked = recipe.replace({"test.audit": {"limit": 20}, "test.regions": {"kinds": ["grey"], "fractions": [0.36]}})
    assert Recipe.from_dict(yaml.safe_load(asked.to_yaml())) == asked
    assert asked.test.audit == {"limit": 20}
    with pytest.raises(RecipeError, match=r"test\.audit\.fraction does not exist \(did you mean 'fractions'"):
        recipe.replace({"test.audit": {"fraction": [0.5]}})
    with pytest.raises(RecipeError, match=r"test: occluder 'gray' does not exist"):
        recipe.replace({"test.regions": {"kinds": ["gray"]}})
    masks = Recipe.load("deep-mask/digits")
    with pytest.raises(RecipeError, match=r"test\.audit: deep-mask gives no detections; leave it out"):
        masks.replace({"test.audit": {}})
    with pytest.raises(RecipeError, match=r"test\.regions: deep-mask gives no scores of boxes; leave it out"):
        masks.replace({"test.regions": {}})


def test_saving_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = plain().save(tmp_path / "recipe.yaml")
    before = path.read_text()

    def fail(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(RecipeError, match="cannot be written: Read-only"):
        plain({"seed": 9}).save(path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_list_of_hardeners_is_none():
    """So that a recipe can leave out what its base has."""
    bare = plain({"hardener": []})
    assert bare.hardener is None
    assert bare.fingerprint() == plain({"hardener": None}).fingerprint()
    assert plain({"hardener": [{"kind": "random-dropout"}]}).hardener == [{"kind": "random-dropout"}]
    assert build_hardener([]) is None
