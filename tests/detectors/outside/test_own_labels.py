"""Labels from 0, from 1, with gaps and by name; and where the columns of all scores stand."""

from __future__ import annotations

import pytest
import torch

from workbench.detectors.outside.families import Family
from workbench.detectors.outside.own_labels import own_labels
from workbench.detectors.outside.torchvision_models import COCO
from workbench.errors import DataError


class Plain(Family):
    """A family that knows what it is given."""

    name = "it"

    def __init__(self, names=None, num_labels=None, first_label=0):
        self.names, self.num_labels, self.first_label = names, num_labels, first_label

    @classmethod
    def recognises(cls, thing):
        return False

    def ask(self, images, device):
        return []


OWN = {0: "N/A", 1: "person", 2: "tv", 4: "dog"}


def labels_of(family, classes, first_label=None, background=None):
    return own_labels(family, classes, first_label, background)


@pytest.mark.parametrize(
    ("family", "classes", "first", "expected"),
    [
        (Plain(), ["a", "b"], None, {0: 1, 1: 2}),
        (Plain(), ["a", "b"], 1, {1: 1, 2: 2}),
        (Plain(), ["__background__", "a", "N/A", "b"], None, {0: 0, 1: 1, 2: 0, 3: 2}),
        (Plain(), {7: "a", 3: "b"}, None, {3: 1, 7: 2}),
        (Plain(first_label=1, num_labels=3), ["a", "b"], None, {0: 0, 1: 1, 2: 2}),  # torchvision
        (Plain(first_label=1, num_labels=3), ["background", "a", "b"], None, {0: 0, 1: 1, 2: 2}),
        (Plain(first_label=1, num_labels=2), ["a", "b"], 0, {0: 1, 1: 2}),
        (Plain(OWN), None, None, {0: 0, 1: 1, 2: 2, 4: 3}),
        (Plain(OWN), ["dog", "person"], None, {0: 0, 1: 2, 2: 0, 4: 1}),
        (Plain(OWN), ["human", "screen", "hound"], None, {1: 1, 2: 2, 4: 3}),
        (Plain(OWN), ["N/A", "human", "screen", "hound"], None, {0: 0, 1: 1, 2: 2, 4: 3}),
    ],
)
def test_numbers_find_their_class(family, classes, first, expected):
    labels = labels_of(family, classes, first)
    assert labels.of_number == expected
    assert labels(torch.tensor(list(expected))).tolist() == list(expected.values())


def test_names_find_their_class_and_can_be_changed():
    plain = labels_of(Plain(), ["a", "b"])
    assert plain(["b", "a", "background"]).tolist() == [2, 1, 0]
    own = labels_of(Plain(OWN), {"tv": "tvmonitor"})
    assert own.classes == ("person", "tvmonitor", "dog")
    assert own(["tv", "tvmonitor", "dog"]).tolist() == [2, 2, 3]
    some = labels_of(Plain(OWN), ["dog"])
    assert some(["dog", "person"]).tolist() == [1, 0], "a class that is known and not wanted is left out"
    renamed = labels_of(Plain(), {"tv": "tvmonitor", "man": "person"})
    assert renamed.classes == ("tvmonitor", "person")
    assert renamed(["man"]).tolist() == renamed(torch.tensor([1])).tolist() == [2]
    with pytest.raises(DataError, match=r"it: it found 'dgo', which is no class; did you mean 'dog'\?"):
        own(["dgo"])


def test_cocos_91_labels_are_80_classes():
    """Id 90 is the last of 91 names of torchvision, and the 80th class in COCO's order."""
    labels = labels_of(Plain(COCO), None)
    assert len(labels.classes) == 80
    assert labels.classes[0] == "person"
    assert labels(torch.tensor([1, 13, 90, 12, 0])).tolist() == [1, 12, 80, 0, 0]
    names = [*COCO.values()]
    assert labels_of(Plain(COCO, 91, 1), names).of_number == labels.of_number


@pytest.mark.parametrize(
    ("label", "classes", "first"),
    [(2, ["a", "b"], 0), (0, ["a", "b"], 1), (90, [f"class {i}" for i in range(80)], None)],
)
def test_a_label_that_cannot_be_is_named(label, classes, first):
    labels = labels_of(Plain(), classes, first)
    with pytest.raises(DataError, match=f"it: it gave the label {label}; .*first_label=1.*COCO.*category_ids"):
        labels(torch.tensor([label]))


@pytest.mark.parametrize(
    ("family", "classes", "first", "message"),
    [
        (Plain(), None, None, r"are not known; give them: wrap\(..., classes="),
        (Plain(), [], None, r"classes is \[\]; expected names"),
        (Plain(), "cat", None, "classes is 'cat'; expected names"),
        (Plain(), ["a", "a"], None, "the class 'a' stands twice"),
        (Plain(), ["background"], None, "there are no classes"),
        (Plain(), {0: "a", "b": "c"}, None, "keys of several kinds"),
        (Plain(), {0: "a"}, 1, "leave first_label out"),
        (Plain(OWN), {"tvmonitor": "tv"}, None, r"has 'tvmonitor', which it does not know"),
        (Plain(OWN), ["person", "tvs"], None, r"'tvs' is none of its classes \(did you mean 'tv'\?\); it has 3"),
        (Plain(num_labels=4, first_label=1), ["a", "b"], None, "it has 3 classes and came with the names of 2"),
        (Plain(num_labels=3, first_label=1), ["a", "b", "c"], None, "where those count from 0, say first_label=0"),
    ],
)
def test_classes_that_do_not_fit_are_refused(family, classes, first, message):
    with pytest.raises(DataError, match=f"it: .*{message}"):
        labels_of(family, classes, first)


def test_scores_of_all_classes_are_put_in_order():
    """Columns are labels 0 to 2: of no class, and of two whose order is another here."""
    labels = labels_of(Plain({0: "background", 1: "a", 2: "b"}), ["b", "a"])
    every = torch.tensor([[0.1, 0.7, 0.2]])
    torch.testing.assert_close(labels.spread(every), torch.tensor([[0.1, 0.2, 0.7]]))


@pytest.mark.parametrize("place", ["first", "last"])
def test_the_background_is_where_it_is_said_or_seen(place):
    """Two labels, three columns. The detection has label 1 with 0.6, which only one reading says of its column."""
    row = [0.3, 0.1, 0.6] if place == "first" else [0.1, 0.6, 0.3]
    every = torch.tensor([row])
    expected = torch.tensor([[0.3, 0.1, 0.6]])
    torch.testing.assert_close(labels_of(Plain(), ["a", "b"], background=place).spread(every), expected)
    seen = labels_of(Plain(), ["a", "b"]).spread(every, torch.tensor([1]), torch.tensor([0.6]))
    torch.testing.assert_close(seen, expected)
    with pytest.raises(DataError, match="say which one is the background: background='first' or 'last'"):
        labels_of(Plain(), ["a", "b"]).spread(every)


def test_without_a_background_it_is_what_is_left():
    spread = labels_of(Plain(), ["a", "b"]).spread(torch.tensor([[0.9, 0.2]]))
    torch.testing.assert_close(spread, torch.tensor([[0.1, 0.9, 0.2]]))


def test_what_are_no_scores_of_all_classes_is_refused():
    labels = labels_of(Plain(), ["a", "b"])
    with pytest.raises(DataError, match="run from -2 to 3; expected 0 to 1: give probabilities, not logits"):
        labels.spread(torch.tensor([[-2.0, 3.0]]))
    with pytest.raises(DataError, match="have 5 columns for 2 labels; expected 2, or 3"):
        labels.spread(torch.zeros(1, 5))
