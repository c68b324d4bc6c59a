"""The store of actions: what is on the disk after each, several writers, undo, and files of others."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest
from annotating import annotate
from forks import forks
from PIL import Image
from pycocotools.coco import COCO

from workbench.annotation.store import MARK, AnnotationStore
from workbench.data import load_data
from workbench.data.annotations import CocoFile
from workbench.errors import DataError
from workbench.files import write_json

RING = [10, 10, 50, 10, 50, 40, 10, 40]
KILLS = int(os.environ.get("KILLS", "10"))  #: `make kill` tries two hundred


def begin(path) -> AnnotationStore:
    store = AnnotationStore(path)
    with store.action("open", worker="", stage="") as edit:
        edit.add("category", name="cup")
        edit.add("image", file_name="a.jpg", height=60, width=80)
    return store


def draw(store, worker="ann", ring=RING):
    with store.action("segment", worker=worker, stage="segmentation", image="a.jpg") as edit:
        return edit.add("annotation", image_id=1, category_id=1, segmentation=[ring])


def content(path) -> dict:
    found = json.loads(Path(path).read_text())
    found.pop(MARK, None)
    return found


def test_each_action_is_in_both_files(tmp_path):
    store = begin(tmp_path / "my.json")
    assert draw(store) == 1
    lines = [json.loads(line) for line in (tmp_path / "my.actions.jsonl").read_text().splitlines()]
    assert [(one["do"], one["worker"], one["time"][-1]) for one in lines] == [
        ("open", "", "Z"),
        ("segment", "ann", "Z"),
    ]
    found = COCO(str(tmp_path / "my.json"))
    assert found.loadAnns([1])[0]["bbox"] == [10, 10, 40, 30]
    assert found.annToMask(found.loadAnns([1])[0]).sum() == 40 * 30
    again = AnnotationStore(tmp_path / "my.json")
    assert again.coco.annotations == store.coco.annotations
    assert again.coco.annotations_of(1)[0]["id"] == 1


def test_undo_and_redo_by_worker(tmp_path):
    store = begin(tmp_path / "my.json")
    before = content(store.path)
    draw(store, "ann")
    both = (draw(store, "bob"), content(store.path))[1]
    assert store.undo("ann")["worker"] == "ann"
    assert [*store.coco.annotations] == [2]
    assert store.can("ann") == (False, True)
    assert store.redo("ann")["worker"] == "ann"
    assert {str(one) for one in content(store.path)["annotations"]} == {str(one) for one in both["annotations"]}
    store.undo("bob")
    store.undo("ann")
    assert content(store.path) == before
    assert store.undo("ann") is None
    draw(store, "ann")  # what is done anew cannot be redone
    assert store.redo("ann") is None
    assert AnnotationStore(store.path).can("ann") == (True, False)


def test_what_somebody_else_changed_is_not_undone(tmp_path):
    store = begin(tmp_path / "my.json")
    first = draw(store, "ann")
    with store.action("change", worker="bob", stage="segmentation") as edit:
        edit.change("annotation", first, seen=store.changed_by[first], score=1)
    with pytest.raises(DataError, match="changed by another worker"):
        store.undo("ann")
    assert store.coco.annotations[first]["score"] == 1
    with (
        pytest.raises(DataError, match="changed by another worker"),
        store.action("change", worker="ann", stage="segmentation") as edit,
    ):
        edit.change("annotation", first, seen="", score=2)
    assert content(store.path)["annotations"][0]["score"] == 1


def test_an_image_stays_for_what_others_drew_in_it(tmp_path):
    store = AnnotationStore(tmp_path / "my.json")
    with store.action("segment", worker="ann", stage="segmentation") as edit:
        edit.add("category", name="cup")
        edit.add("image", file_name="a.jpg", height=60, width=80)
        edit.add("annotation", image_id=1, category_id=1, segmentation=[RING])
    draw(store, "bob")
    store.undo("ann")
    assert [*store.coco.images] == [1]
    assert [*store.coco.annotations] == [2]


def test_an_error_leaves_no_trace(tmp_path):
    store = begin(tmp_path / "my.json")
    before = store.path.read_bytes(), store.log.path.read_bytes()

    def half() -> None:
        with store.action("segment", worker="ann", stage="segmentation") as edit:
            edit.add("annotation", image_id=1, category_id=1, segmentation=[RING])
            edit.add("annotation", image_id=1, category_id=7, segmentation=[RING])

    with pytest.raises(DataError, match="category 7"):
        half()
    with pytest.raises(DataError, match="JSON"), store.action("odd", worker="ann", stage="", number=float("nan")):
        pass
    assert (store.path.read_bytes(), store.log.path.read_bytes()) == before
    assert not store.coco.annotations
    assert draw(store) == 1


def test_a_disk_that_refuses_leaves_no_trace(tmp_path, monkeypatch):
    store = begin(tmp_path / "my.json")
    before = store.path.read_bytes(), store.log.path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("os.pwrite", "os.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(name, full)
            with pytest.raises(DataError, match="No space left"):
                draw(store)
        assert (store.path.read_bytes(), store.log.path.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.actions.jsonl", "my.json"]
    assert draw(store) == 1


def test_two_writers_lose_nothing(tmp_path):
    one = begin(tmp_path / "my.json")
    two = AnnotationStore(one.path)
    for _ in range(3):
        draw(one, "ann")
        draw(two, "bob")
    assert one.stale
    assert not two.stale
    assert len(one.refresh()) == 1
    assert [*one.coco.annotations] == [*two.coco.annotations] == [1, 2, 3, 4, 5, 6]
    assert one.undo("ann") is not None
    two.refresh()
    assert 5 not in two.coco.annotations


def test_what_another_program_changes_meanwhile_stays(tmp_path):
    store, other = begin(tmp_path / "my.json"), AnnotationStore(tmp_path / "my.json")
    draw(store)
    file = CocoFile.open(store.path)
    file.add_category("saucer", supercategory="kitchen")
    file.save()
    draw(store)  # it has seen the change, and the other one sees both
    other.refresh()
    for one in (store.coco, other.coco, AnnotationStore(store.path).coco):
        assert [entry["name"] for entry in one.categories.values()] == ["cup", "saucer"]
        assert len(one.annotations) == 2


def test_files_of_other_tools_keep_what_they_have(tmp_path):
    """Keys as of Label Studio and CVAT; the export is what came in, but for what was done."""
    foreign = {
        "info": {"year": 2026, "version": "1.0", "contributor": "Label Studio"},
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "images": [{"id": 0, "width": 80, "height": 60, "file_name": "a.jpg", "coco_url": "", "x": [1]}],
        "categories": [{"id": 0, "name": "cup"}],
        "annotations": [
            {
                "id": 0, "image_id": 0, "category_id": 0, "segmentation": [], "bbox": [1.5, 2.0, 30.25, 40.0],
                "ignore": 0, "iscrowd": 0, "area": 1210.0, "attributes": {"occluded": False, "rotation": 0.0},
            },
            {
                "id": 4, "image_id": 0, "category_id": 0, "iscrowd": 1, "area": 100, "bbox": [0, 0, 2, 60],
                "segmentation": {"counts": [0, 100, 4700], "size": [60, 80]},
            },
        ],
    }  # fmt: skip
    path = tmp_path / "result.json"
    path.write_text(json.dumps(foreign).replace("30.25", "30.250"))
    store = AnnotationStore(path)
    assert not store.log.path.exists()  # until something is done
    with store.action("segment", worker="ann", stage="segmentation") as edit:
        edit.add("annotation", image_id=0, category_id=0, segmentation=[RING])
    store.undo("ann")
    store.export(tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == foreign
    assert content(path) == foreign
    assert "30.250" in path.read_text()  # to the letter
    with pytest.raises(DataError, match="another place"):
        store.export(path)


def test_a_lost_file_is_made_again_from_the_log(tmp_path):
    store = begin(tmp_path / "my.json")
    draw(store)
    before = content(store.path)
    store.path.unlink()
    again = AnnotationStore(store.path)
    assert content(store.path) == before
    draw(again)
    assert len(content(store.path)["annotations"]) == 2


def test_a_log_of_another_file_is_named(tmp_path):
    write_json(
        tmp_path / "my.json", {"images": [{"id": 5, "file_name": "b.jpg"}], "categories": [], "annotations": []}
    )
    store = AnnotationStore(tmp_path / "my.json")
    with store.action("category", worker="ann", stage="") as edit:
        cup = edit.add("category", name="cup")
        edit.change("image", 5, height=60, width=80)
        edit.add("annotation", image_id=5, category_id=cup, bbox=[1, 1, 9, 9])
    (tmp_path / "my.json").write_text("{")
    with pytest.raises(DataError, match="JSON"):
        AnnotationStore(tmp_path / "my.json")


@pytest.mark.parametrize("left", [b'{"id":"x","do":"segm', b'{"id":"x"', b"\xff\xfe"])
def test_a_torn_line_is_cut_off(tmp_path, left):
    store = begin(tmp_path / "my.json")
    with store.log.path.open("ab") as file:
        file.write(left)
    other = AnnotationStore(store.path)
    assert draw(other) == 1
    assert [one["do"] for one in AnnotationStore(store.path).actions] == ["open", "segment"]


def test_a_line_before_its_file(tmp_path):
    """Killed between the two: the log has the action, the file has not."""
    store = begin(tmp_path / "my.json")
    before = store.path.read_bytes()
    draw(store)
    store.path.write_bytes(before)
    again = AnnotationStore(store.path)
    assert [*again.coco.annotations] == [1]
    assert draw(again) == 2
    assert len(content(store.path)["annotations"]) == 2


def test_nonsense_in_the_log_does_no_harm(tmp_path):
    store = begin(tmp_path / "my.json")
    draw(store)
    odd = [
        1,
        [],
        {},
        {"id": "a"},
        {"id": "a", "do": "undo", "of": 7},
        {"id": "b", "do": "x", "changes": [[1], 2, "a"]},
    ]
    odd += [{"id": "c", "do": "x", "changes": [["annotation", True, None, {}], ["odd", 1, None, None]]}]
    with store.log.path.open("a") as file:
        file.write("".join(json.dumps(one) + "\n" for one in odd))
    again = AnnotationStore(store.path)
    assert [*again.coco.annotations] == [1]
    assert draw(again) == 2


def test_paths_that_cannot_be_written_are_refused_at_once(tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        AnnotationStore(tmp_path)


def test_what_was_annotated_is_a_data_set(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val").mkdir()
    Image.new("RGB", (80, 60)).save(tmp_path / "val" / "a.jpg")
    draw(begin(tmp_path / "annotations/instances_val.json"))
    data = load_data("coco", "val", tmp_path)
    assert data.target(0)["boxes"].tolist() == [[10, 10, 50, 40]]
    assert data.classes == ("cup",)


def test_ten_thousand_annotations_are_written_at_once(tmp_path):
    """Nearly all of the text is kept from the reading: five times as fast as writing it all, or more."""
    entries = [
        {"id": i, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [1, 1, 9, 9], "area": 81,
         "segmentation": [[j + i % 7 + 0.25 for j in range(40)]]}
        for i in range(1, 10_001)
    ]  # fmt: skip
    listed = {"images": [{"id": 1, "file_name": "a.jpg", "height": 60, "width": 80}]}
    whole = {**listed, "categories": [{"id": 1, "name": "cup"}], "annotations": entries}
    write_json(tmp_path / "my.json", whole)
    times = []
    for _ in range(3):
        store = AnnotationStore(tmp_path / "my.json")
        start = time.process_time()
        draw(store)
        times.append(time.process_time() - start)
    start = time.process_time()
    json.dumps(whole)
    assert min(times) < time.process_time() - start
    assert len(json.loads(store.path.read_text())["annotations"]) == 10_003


def test_a_process_that_is_killed_loses_nothing(tmp_path):
    """Killed at any moment, again and again: all that it had reported as done is there, and the file is whole."""
    path, report, reported, rng = tmp_path / "my.json", tmp_path / "report", 0, random.Random(7)
    begin(path)
    for _ in range(KILLS):
        report.write_bytes(b"")
        process = forks().Process(target=annotate, args=(str(path), str(report)))
        process.start()
        wanted = rng.random() < 0.8
        while wanted and not report.stat().st_size:  # else while it opens the file
            assert process.is_alive()
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        process.join()
        reported = max([reported, *map(int, report.read_bytes().split(b"\n")[:-1])])
        assert len(json.loads(path.read_text())["annotations"]) >= reported  # before anybody has looked after it
        store = AnnotationStore(path)
        assert reported <= len(store.coco.annotations) <= reported + 1
        reported = len(store.coco.annotations)
    found = COCO(str(path))
    assert all(found.annToMask(one).any() for one in found.loadAnns(found.getAnnIds()))
    draw(store)  # which also clears up
    assert sorted(one.name for one in tmp_path.iterdir()) == ["my.actions.jsonl", "my.json", "report"]
    assert reported >= KILLS // 2
