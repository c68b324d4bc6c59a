"""Whether changes of images fit a recipe: what is refused when it is read, with the key and the reason."""

from __future__ import annotations

import pytest

from workbench.errors import RecipeError
from workbench.training.recipe import Recipe

DETECTOR = "digit-scenes/faster-rcnn"
CLASSIFIER = "dfv/digits-c"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": {}}, r"augment\.crop: boxes would not follow.*there is augment\.fixed_size"),
        ({"erase": 0.5}, r"augment\.erase: boxes would not follow.*there is augment\.hide"),
        ({"paste": 0.5}, r"augment\.paste: boxes would not follow"),
        ({"hide": {"kind": "gridmask"}}, r"augment\.hide\.kind 'gridmask' does not exist .did you mean 'grid-mask'"),
        ({"hide": [{"kind": "paste", "fraction": [0.1, 0.99]}]}, r"fraction goes up to 0\.99"),
        ({"hide": {"kind": "grid-mask", "keep": "much"}}, r"augment\.hide\.keep is 'much'; expected a valid number"),
        ({"scale_jitter": {}}, r"augment\.scale_jitter\.size: missing"),
        (
            {"scale_jitter": {"size": [9, 9], "range": [2, 1]}},
            r"scale_jitter: range is \[2\.0, 1\.0\]; expected the lower",
        ),
        ({"photometric": {"hue": [-0.7, 0.1]}}, r"augment\.photometric\.hue\.0: .*greater than or equal to -0\.5"),
        ({"fixed_size": {"size": [9, 9], "fill": [0, 0, 256]}}, r"augment\.fixed_size\.fill\.2"),
        ({"scale_jitter": {"size": [9, 9]}, "shortest_size": {"sizes": [9]}}, "changes the scale already"),
        ({"shortest_size": {"sizes": []}}, r"augment\.shortest_size\.sizes"),
    ],
)
def test_what_does_not_fit_a_detector_is_refused(change, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.load(DETECTOR).replace({f"augment.{key}": value for key, value in change.items()})


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        (CLASSIFIER, "fixed_size", {"size": [9, 9]}, r"a classifier sees images of one size.*augment\.crop"),
        (CLASSIFIER, "hide", {"kind": "copy-paste"}, "copy-paste is for detection, and a classifier is for class"),
        ("deep-mask/digits", "hide", {"kind": "grid-mask"}, r"augment\.hide: a deep-mask learns from patches"),
        ("deep-mask/digits", "shortest_size", {"sizes": [9]}, "a deep-mask sees patches of one size"),
        ("dfv/digits-decoder", "hide", {"kind": "grid-mask"}, "grid-mask is for detection and classification"),
    ],
)
def test_what_does_not_fit_other_kinds_is_refused(name, key, value, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.load(name).replace({f"augment.{key}": value})


def test_a_batch_of_one_has_no_other_image():
    for change in ({"batch_size": 1}, {"batch_size": 2, "processes": 2}):
        with pytest.raises(RecipeError, match=r"copy-paste takes objects from other images.*raise batch_size"):
            Recipe.load(DETECTOR).replace({"augment.hide": {"kind": "copy-paste"}} | change)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (
            CLASSIFIER,
            {"hide": [{"kind": "grid-mask"}, {"kind": "random-erasing", "where": "image"}, {"kind": "paste"}]},
        ),
        (CLASSIFIER, {"hide": {"kind": "adversarial-placement"}, "photometric": {}}),
        (DETECTOR, {"hide": {"kind": "paste", "occluders": ["cup", "~/mine/tree.png"]}}),
        ("retinanet/digits", {"hide": {"kind": "adversarial-placement"}}),
        ("deep-mask/digits", {"photometric": {}}),
        (DETECTOR, {"hide": []}),
    ],
)
def test_what_fits_goes_through_yaml(name, change, tmp_path):
    recipe = Recipe.load(name).replace({f"augment.{key}": value for key, value in change.items()})
    assert Recipe.load(recipe.save(tmp_path / "recipe.yaml")) == recipe


def test_none_of_several_hiders_is_none():
    """So that a recipe can leave out what its base hides; recipes from before these keys keep their fingerprint."""
    plain = Recipe.load(DETECTOR)
    empty = plain.replace({"augment.hide": []})
    assert empty.augment.hide is None
    assert empty.fingerprint() == plain.fingerprint()
    changes = {"hide": {"kind": "paste"}, "photometric": {}, "fixed_size": {"size": [9, 9]}}
    prints = {plain.replace({f"augment.{key}": value}).fingerprint() for key, value in changes.items()}
    assert len(prints | {plain.fingerprint()}) == 4


def test_each_stage_says_whether_it_hides():
    stage = Recipe.load(DETECTOR).stages[0]
    assert "augment.hide" in type(stage).model_fields["harden"].description
