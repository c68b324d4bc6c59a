"""Which names are which labels, and names that may be meant as one."""

from __future__ import annotations

import pytest

from workbench.data.reading.class_names import choice_problems, class_labels, similar_names
from workbench.errors import DataError

NAMES = ["cat", "dog", "owl"]


@pytest.mark.parametrize(
    ("options", "classes", "labels"),
    [
        ((None, None, None), ("cat", "dog", "owl"), [1, 2, 3]),
        ((["owl", "cat", "fox"], None, None), ("owl", "cat", "fox"), [2, 0, 1]),
        ((None, {"dog": "pet", "cat": "pet"}, None), ("pet", "owl"), [1, 1, 2]),
        ((["pet"], {"dog": "pet", "cat": "pet"}, None), ("pet",), [1, 1, 0]),
        ((None, None, "animal"), ("animal",), [1, 1, 1]),
    ],
)
def test_labels_of_names(options: tuple, classes: tuple, labels: list) -> None:
    chosen, found = class_labels(NAMES, *options)
    assert chosen == classes
    assert [found[name] for name in NAMES] == labels


def test_equal_names_are_one_class_and_no_name_leaves_the_single_one() -> None:
    assert class_labels(["cup", "box", "cup"], None, None, None)[0] == ("cup", "box")
    assert class_labels([], None, None, "thing")[0] == ("thing",)


@pytest.mark.parametrize("classes", [[], ["cat", "cat"]])
def test_classes_that_are_none(classes: list) -> None:
    with pytest.raises(DataError, match="each of them once"):
        class_labels(NAMES, classes, None, None)


def test_misspelt_choices_are_said_with_the_nearest() -> None:
    found = list(choice_problems(NAMES, ["cats", "pet", "owl"], {"dgo": "pet"}, "file"))
    assert ["'dgo'" in found[0].what, "did you mean 'dog'?" in found[0].what] == [True, True]
    assert "classes has 'cats'" in found[1].what
    assert len(found) == 2


def test_names_that_are_nearly_the_same() -> None:
    [problem] = similar_names(["cup", "Cup ", "cup_", "c++", "c", "ｃup"], "here")
    assert problem.what == "the classes 'cup', 'Cup ', 'cup_', 'ｃup' have names that are nearly the same"
