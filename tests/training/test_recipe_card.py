"""Recipes at a glance: base, players and stages, what differs, and names that mean harm."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import pytest
import yaml

from workbench.training.recipe import Recipe
from workbench.training.recipe_card import MOST_CHANGES, differences

HOSTILE = "<script>alert('x')</script>\n\"&"
PLAIN = "digit-scenes/faster-rcnn"


def tables(recipe: Recipe) -> dict[str, list[list[str]]]:
    """The text of each table by its caption."""
    found = {}
    for caption, body in re.findall(r"<table><caption[^>]*>(.*?)</caption>(.*?)</table>", recipe._repr_html_()):
        found[caption] = [
            re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", body)
        ]
    return found


def write(path: Path, **values) -> Path:
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def test_a_shipped_recipe_and_what_was_changed():
    recipe = Recipe.load(f"{PLAIN}+ia").replace({"stages.0.steps": 40}).replace(test=None, seed=3)
    text = "faster-rcnn with inverted-attention on digit-scenes train, 40 steps, seed 3"
    assert repr(recipe) == str(recipe) == f"Recipe('{PLAIN}+ia': {text})"
    shown = tables(recipe)
    assert list(shown) == [f"Recipe {PLAIN}+ia", f"differs from {PLAIN}", "changed by replace"]
    card = dict(shown[f"Recipe {PLAIN}+ia"])
    assert card["base"] == PLAIN
    assert card["hardener"] == "inverted-attention {preset: paper}"
    assert card["stages"] == "1. detector: 40 steps at 0.002"
    assert card["steps"] == "40 of 16 images, seed 3"
    assert "validation" in card
    assert "test" not in card
    assert [row[0] for row in shown[f"differs from {PLAIN}"]] == ["key", "hardener"]
    changed = {row[0]: row[1:] for row in shown["changed by replace"][1:]}
    assert changed["stages.0.steps"] == ["1500", "40"]
    assert changed["seed"] == ["0", "3"]
    assert changed["test"][1] == "null"
    assert len(changed) == 3


def test_bases_of_files_are_a_chain(tmp_path):
    write(tmp_path / "middle.yaml", base=PLAIN, seed=4)
    mine = write(tmp_path / "mine.yaml", base="middle.yaml", name="mine", **{"stages.0.steps": 7})
    shown = tables(Recipe.load(mine))
    assert dict(shown["Recipe mine"])["base"] == f"middle.yaml on {PLAIN}"
    assert shown["differs from middle.yaml"] == [["key", "there", "here"], ["stages.0.steps", "1500", "7"]]
    assert str(tmp_path) not in Recipe.load(mine)._repr_html_()
    assert dict(tables(Recipe.from_dict({"base": PLAIN, "name": "x"}))["Recipe x"])["base"] == PLAIN


def test_a_recipe_without_a_base_has_no_table_of_differences():
    recipe = Recipe.from_dict(Recipe.load(PLAIN).to_dict())
    assert list(tables(recipe)) == [f"Recipe {PLAIN}"]
    assert dict(tables(recipe)[f"Recipe {PLAIN}"])["hardener"] == "none"
    assert list(tables(recipe.replace(seed=0))) == [f"Recipe {PLAIN}"]  # nothing changed


def test_where_a_recipe_comes_from_makes_no_difference():
    loaded = Recipe.load(PLAIN)
    changed = loaded.replace(seed=1).replace(seed=loaded.seed)
    assert changed == loaded == Recipe.from_dict(loaded.to_dict())
    assert changed.to_dict() == loaded.to_dict()
    assert changed.fingerprint() == loaded.fingerprint()
    assert changed != loaded.replace(seed=1)
    for other in (pickle.loads(pickle.dumps(changed)), copy.deepcopy(changed)):
        assert other == changed
        assert other._repr_html_() == changed._repr_html_()


def test_hostile_names():
    values = Recipe.load(f"{PLAIN}+ia").to_dict()
    values |= {"name": HOSTILE, "notes": HOSTILE, "start": HOSTILE}
    values["detector"] |= {"kind": HOSTILE, HOSTILE: HOSTILE}
    values["data"] |= {"name": HOSTILE, "split": HOSTILE, "options": {HOSTILE: "x" * 9999}}
    values["stages"][0]["sources"] = [HOSTILE]
    recipe = Recipe.model_validate(values, context={"trial": False})
    page = recipe._repr_html_()
    assert "<script" not in page
    assert "cannot be shown" not in page
    assert len(page) < 9000
    assert "\n" not in repr(recipe)
    assert len(repr(recipe)) < 400


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"kind": "a", "x": 1}, {"kind": "b", "y": 2}, [("p", {"kind": "a", "x": 1}, {"kind": "b", "y": 2})]),
        ({"kind": "a", "x": 1}, {"kind": "a", "x": 2}, [("p.x", 1, 2)]),
        ([1, 2], [1, 2, 3], [("p", [1, 2], [1, 2, 3])]),
        ({"x": None}, {}, [("p.x", None, ...)]),
        ({"x": [{"y": 1}]}, {"x": [{"y": 1}]}, []),
    ],
)
def test_differences_by_hand(before, after, found):
    assert list(differences(before, after, "p")) == found


def test_of_very_many_differences_the_first_are_shown():
    recipe = Recipe.load(PLAIN)
    values = recipe.to_dict()
    values["detector"] = {"kind": "faster-rcnn"} | {f"key {number}": number for number in range(MOST_CHANGES + 9)}
    other = Recipe.model_validate(values, context={"trial": False})
    other._origin = other.origin._replace(loaded=recipe.to_dict())
    assert len(tables(other)["changed by replace"]) == 1 + MOST_CHANGES + 1
