"""The same image in other data: by what both are views of, or by id and file or objects; and never another one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from listed_data import Listed

from widgets.parts.looking import OneImage, Place, find, found
from workbench import load_data
from workbench.errors import DataError

DATA = Listed([[(1, 0, 0, 10 + place, 10), (2, 50, 50, 60, 60 + place)] for place in range(12)])


class Files(Listed):
    """Images of files, with ids of their own."""

    def __init__(self, names, first_id=1):
        super().__init__([[(1, 0, 0, 10, 10)]] * len(names))
        self.names, self.first_id = names, first_id

    def path(self, index):
        return Path("/photos") / self.names[index]

    def image_id(self, index):
        return self.first_id + index


@given(
    ours=st.lists(st.integers(0, 11), min_size=1, unique=True),
    theirs=st.lists(st.integers(0, 11), min_size=1, unique=True),
    data=st.data(),
)
def test_subsets_of_one_data_set(ours, theirs, data):
    here, there = DATA.subset(ours), DATA.subset(theirs)
    index, row = data.draw(st.sampled_from(range(len(ours)))), data.draw(st.sampled_from([None, 0, 1]))
    place = find(Place(here, index, row), there)
    if ours[index] not in theirs:
        assert place is None
    else:
        assert place == (there, theirs.index(ours[index]), row)
        assert find(place, here) == (here, index, row)
    assert find(Place(here, index, row), DATA) == (DATA, ours[index], row)


def test_data_that_were_loaded_twice():
    one, two = (load_data("digit-scenes", split="test", length=8) for _ in range(2))
    assert find(Place(one, 5, 1), two.subset([7, 5]))[1:] == (1, 1)
    assert find(Place(one, 5), load_data("digit-scenes", split="val", length=8)) is None, "the same ids, other images"


def test_an_image_by_itself():
    data = load_data("digit-scenes", split="test", length=8)
    image, target = data[5]
    alone = OneImage(image, target, data.classes)
    assert find(Place(alone, 0, 1), data)[1:] == (5, 1)
    assert find(Place(data, 5, 1), alone) == (alone, 0, 1)
    assert find(Place(data, 4), alone) is None
    assert find(Place(OneImage(image, None, ()), 0), data) is None, "of which nothing is known"


def test_files_are_the_same_by_their_names_and_not_by_their_ids():
    data = Files(["a.jpg", "b.jpg", "c.jpg"])
    assert find(Place(data, 1), Files(["c.jpg", "b.jpg"], first_id=40))[1] == 1
    assert find(Place(data, 0), Files(["x.jpg", "a.jpg"]))[1] == 1, "the id of another file is no help"
    assert find(Place(data, 2), Files(["x.jpg", "a.jpg", "b.jpg"])) is None


def test_the_object_is_the_box_that_overlaps_it_most():
    data = Files(["a.jpg"])
    data.objects = [[(1, 0, 0, 10, 10), (1, 20, 20, 40, 40)]]
    other = Files(["a.jpg"], first_id=9)
    other.objects = [[(1, 21, 20, 40, 40), (1, 60, 60, 70, 70), (1, 0, 0, 10, 5)]]
    assert find(Place(data, 0, 1), other).object == 0
    assert find(Place(data, 0, 0), other).object == 2, "an IoU of just one half"
    other.objects = [[(1, 60, 60, 70, 70)]]
    assert find(Place(data, 0, 0), other).object is None


def test_an_image_under_a_pattern_is_found_as_itself_or_else_as_the_clean_one():
    some = {"occluders": ["cup"], "random_places": 0, "pair_classes": 2, "pair_images": 2}
    data = load_data("digits", split="test", occlusion=some)
    hidden = int((data.numbers > 0).nonzero()[0][0])
    row = int(data.rows[hidden])
    clean = int(((data.rows == row) & (data.numbers == 0)).nonzero()[0][0])
    assert find(Place(data, hidden), data.subset([clean, hidden]))[1] == 1
    assert find(Place(data, hidden), data.subset([clean]))[1] == 0
    assert find(Place(data, clean), data.subset([hidden])) is None
    assert find(Place(data, hidden), data.clean)[1] == row


def test_what_is_not_there_is_named():
    with pytest.raises(DataError, match=r"^listed/all image 4 is not among the 2 images here \(listed all\), so"):
        found(Place(DATA, 4), DATA.subset([1, 2]))
    with pytest.raises(DataError, match="is not among the one image here"):
        found(Place(DATA, 4), OneImage(torch.zeros(3, 4, 4), None, ()))
