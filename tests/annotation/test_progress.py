"""What actions come to: crosses, labels, verdicts, how far a picture is, and votes."""

from __future__ import annotations

import pytest

from workbench.annotation.progress import Progress
from workbench.annotation.store import AnnotationStore


@pytest.fixture
def store(tmp_path):
    return AnnotationStore(tmp_path / "my.json")


def do(store, what, worker="ann", stage="spotting", image="a.jpg", **facts):
    with store.action(what, worker=worker, stage=stage, image=image, **facts):
        pass
    return store.actions[-1]["id"]


def test_crosses_are_set_and_taken_away(store):
    progress = Progress(store)
    first = do(store, "cross", category="cup", point=[1, 2])
    do(store, "cross", "bob", category="cup", point=[5, 6])
    assert progress.follow() == {"a.jpg"}
    assert [(one.worker, one.point) for one in progress.of("a.jpg").crosses] == [("ann", [1, 2]), ("bob", [5, 6])]
    do(store, "uncross", cross=first)
    progress.follow()
    assert [one.worker for one in progress.of("a.jpg").crosses] == ["bob"]
    store.undo("ann")
    progress.follow()
    assert len(progress.of("a.jpg").crosses) == 2


def test_one_worker_who_names_a_category_is_enough(store):
    do(store, "label", stage="labelling", category="cup", point=[1, 2])
    do(store, "label", "bob", "labelling", category="cat", point=[3, 2])
    do(store, "unlabel", "bob", "labelling", category="cup")
    state = Progress(store).of("a.jpg")
    assert state.categories() == ["cup", "cat"]
    do(store, "group", stage="labelling", supercategory="kitchen")
    assert Progress(store).of("a.jpg").groups["ann"] == {"kitchen"}


def test_how_far_a_picture_is(store):
    do(store, "label", "bob", "labelling", category="cup", point=[1, 2])
    progress = Progress(store)
    state = progress.of("a.jpg")
    assert state.status("labelling", "bob") == "begun"
    assert state.status("labelling", "ann") == "open"  # who labels it anew
    do(store, "finish", "bob", "segmentation")
    do(store, "verdict", "bob", "collecting", iconic=True)
    progress.follow()
    assert progress.of("a.jpg").status("collecting", "ann") == "left out"
    assert progress.of("a.jpg").status("segmentation", "ann") == "left out"
    do(store, "verdict", "ann", "collecting", iconic=False)
    do(store, "verdict", "eve", "collecting", iconic=False)
    progress.follow()
    assert progress.of("a.jpg").status("segmentation", "ann") == "done"
    do(store, "reopen", "eve", "segmentation")
    progress.follow()
    assert progress.of("a.jpg").status("segmentation", "ann") == "begun"


def test_a_worker_reopens_what_they_have_said_to_be_complete(store):
    for worker in ("ann", "bob"):
        do(store, "group", worker, "labelling", supercategory="kitchen")
        do(store, "spotted", worker, "spotting", category="cup")
        for stage in ("labelling", "spotting"):
            do(store, "finish", worker, stage)
    for stage in ("labelling", "spotting"):
        do(store, "reopen", "ann", stage)
    state = Progress(store).of("a.jpg")
    assert [state.status(stage, "ann") for stage in ("labelling", "spotting")] == ["begun", "begun"]
    assert [state.status(stage, "bob") for stage in ("labelling", "spotting")] == ["done", "done"]
    assert (dict(state.groups), dict(state.spotted)) == ({"bob": {"kitchen"}}, {"cup": {"bob"}})


def test_votes_of_jobs_that_passed_on_segments_as_they_are(store):
    store.changed_by = {1: "x", 2: "y"}
    facts = {"good": [1], "bad": [2], "seen": {"1": "x", "2": "y"}, "stage": "verification"}
    do(store, "judge", "ann", passed=True, **facts)
    do(store, "judge", "bob", passed=False, **facts)
    do(store, "judge", "eve", passed=True, **{**facts, "seen": {"1": "older", "2": "y"}})
    assert dict(Progress(store).votes()) == {1: {"ann": True}, 2: {"ann": False, "eve": False}}


def test_what_makes_no_sense_is_passed_over(store):
    for facts in ({"point": "x"}, {"point": [1]}, {"point": [1, float("1e300")]}, {}):
        do(store, "cross", category="cup", **facts)
    do(store, "claim", category="cup", claim="odd")
    do(store, "judge", returned=[1, {"image": "a.jpg"}])
    state = Progress(store).of("a.jpg")
    assert (state.crosses, state.claims) == ([], {})


def test_who_is_trained(store):
    do(store, "train", category="cup", passed=False, overlap=0.3)
    do(store, "train", category="cat", passed=True, overlap=0.9)
    assert Progress(store).trained("ann") == {"cat"}
    assert Progress(store).trained("bob") == set()
