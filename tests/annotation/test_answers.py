"""What a store's log says in the form that workers are judged by."""

from __future__ import annotations

import pytest
from PIL import Image

from workbench.annotation import combine, verdicts, worker_quality
from workbench.annotation.answers import answers
from workbench.annotation.store import AnnotationStore
from workbench.data import load_data

SQUARE = [10, 10, 50, 10, 50, 40, 10, 40]


@pytest.fixture
def store(tmp_path) -> AnnotationStore:
    """Two categories, one picture in the file, and one that is not in it yet."""
    store = AnnotationStore(tmp_path / "my.json")
    with store.action("open", worker="", stage="") as edit:
        edit.add("category", name="cup")
        edit.add("category", name="cat")
        edit.add("image", file_name="a.jpg", height=60, width=80)
    return store


def do(store, what, worker, stage, image="a.jpg", **about):
    with store.action(what, worker=worker, stage=stage, image=image, **about):
        pass
    return store.actions[-1]["id"]


def draw(store, worker, ring=SQUARE, category=1):
    with store.action("segment", worker=worker, stage="segmentation", image="a.jpg") as edit:
        return edit.add("annotation", image_id=1, category_id=category, segmentation=[ring])


def test_labels_and_what_was_looked_at_give_precision_and_recall(store):
    for worker, categories in {"ann": ("cup", "cat"), "bob": ("cup",), "eve": ()}.items():
        for category in categories:
            do(store, "label", worker, "labelling", category=category, point=[20, 20])
        do(store, "finish", worker, "labelling")
    do(store, "unlabel", "ann", "labelling", category="cat")
    found = worker_quality(answers(store)).workers
    assert found["loo_recall"].to_dict() == {"ann": 1, "bob": 1, "eve": 0}
    assert {one.image for one in answers(store)} == {"a.jpg"}  # not 1, the id in the file that is written


def test_what_was_undone_is_not_said(store):
    do(store, "label", "ann", "labelling", image="b.jpg", category="cup", point=[1, 2])
    assert [one.image for one in answers(store)] == ["b.jpg"]
    store.undo("ann")
    assert answers(store) == []


def test_crosses_are_added_and_taken_back(store):
    cross = do(store, "cross", "ann", "spotting", category="cup", point=[20, 30])
    do(store, "uncross", "ann", "spotting", category="cup", cross=cross)
    do(store, "spotted", "ann", "spotting", category="cup")
    said = [(one.kind, one.item == cross) for one in answers(store)]
    assert said == [("add", True), ("remove", True), ("done", False)]
    assert {one.unit for one in answers(store)} == {("a.jpg", "cup")}


def test_outlines_of_two_workers_become_one_object(store, tmp_path):
    drawn = draw(store, "ann")
    draw(store, "bob", [10, 10, 50, 10, 50, 38, 10, 38])
    spare = draw(store, "bob", [60, 5, 75, 5, 75, 20, 60, 20], category=2)
    with store.action("delete", worker="bob", stage="segmentation", image="a.jpg") as edit:
        edit.remove("annotation", spare)
    segments = [one for one in answers(store) if one.stage == "segment"]
    assert [(one.worker, one.kind, one.category) for one in segments] == [
        ("ann", "add", "cup"), ("bob", "add", "cup"), ("bob", "add", "cat"), ("bob", "remove", "cat"),
    ]  # fmt: skip
    assert segments[0].item == str(drawn)
    assert segments[0].box.tolist() == [10, 10, 50, 40]
    assert worker_quality(segments, stage="segment").workers["loo_precision"].tolist() == [1, 1]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val").mkdir()
    Image.new("RGB", (80, 60)).save(tmp_path / "val" / "a.jpg")
    store.export(tmp_path / "annotations" / "instances_val.json")
    both = combine(segments, load_data("coco", "val", tmp_path)).annotations
    assert [(one["votes"], one["category_id"]) for one in both.values()] == [(2, 1)]


def test_votes_decide(store):
    segment = draw(store, "ann")
    for worker in ("ann", "bob", "eve"):
        do(store, "judge", worker, "verification", good=[segment], bad=[], passed=True)
    do(store, "judge", "sloppy", "verification", good=[], bad=[segment], passed=False)  # does not count
    assert verdicts(answers(store))[str(segment)].state == "kept"


def test_all_stages_in_their_order(store):
    do(store, "verdict", "ann", "collecting", iconic=True)
    segment = draw(store, "ann")
    do(store, "judge", "bob", "verification", good=[segment], bad=[], passed=True)
    said = answers(store)
    assert [(one.stage, one.kind, one.item) for one in said] == [
        ("collect", "add", "iconic"),
        ("collect", "done", ""),
        ("segment", "add", "1"),
        ("verify", "add", "1"),
    ]
    assert all(one.time > 1.7e9 for one in said)
