"""Annotator without a browser: its stages, what it sends, several kernels, and messages that make no sense."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
import traitlets
from PIL import Image

import workbench as wb
from widgets import Annotator
from workbench.data.dataset import Dataset, make_target
from workbench.errors import DataError

RING = [10, 10, 50, 10, 50, 40, 10, 40]
NAMES = {"kitchen": ["cup", "spoon"], "animal": ["<b>cat</b>"]}


class Gold(Dataset):
    """One image with a cup of 40 by 30 pixels."""

    name, split, classes = "gold", "test", ("cup",)

    def __len__(self):
        return 1

    def size(self, index):
        return 60, 80

    def image(self, index):
        return torch.zeros(3, 60, 80, dtype=torch.uint8)

    def target(self, index):
        masks = torch.zeros(1, 60, 80, dtype=torch.bool)
        masks[0, 10:40, 10:50] = True
        boxes, labels = torch.tensor([[10.0, 10, 50, 40]]), torch.tensor([1])
        return make_target(image_id=1, size=(60, 80), boxes=boxes, labels=labels, area=boxes[:, 0], masks=masks)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A current folder with four pictures of 80 × 60 in `photos`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number, name in enumerate("abcd"):
        Image.new("RGB", (80, 60), (60 * number, 90, 90)).save(tmp_path / "photos" / f"{name}.png")
    return "photos"


@pytest.fixture
def annotator(photos):
    return Annotator(photos, categories=NAMES, worker="ann")


def listen(widget):
    sent = []
    widget.send = lambda content, buffers=None: sent.append((content, buffers))
    return sent


def say(widget, **content):
    """The answer to a message, and all that came with it by kind."""
    sent = listen(widget)
    widget._handle_custom_msg({"seq": 1, "view": "v", **content}, [])
    found = {one["kind"]: (one, buffers) for one, buffers in sent}
    json.dumps([one for one, _ in sent])
    return found.pop("done")[0], found


def act(widget, what, **values):
    return say(widget, kind="act", do=what, values=values)[0]


def test_what_a_page_is_sent(annotator):
    done, sent = say(annotator, kind="hello")
    state, (picture, buffers) = sent["state"][0], sent["picture"]
    assert done["ok"]
    assert [row["name"] for row in state["rows"]] == ["a.png", "b.png", "c.png", "d.png"]
    assert state["groups"] == [["cup", "kitchen"], ["spoon", "kitchen"], ["<b>cat</b>", "animal"]]
    assert (picture["name"], picture["width"], picture["height"]) == ("a.png", 80, 60)
    assert Image.open(io.BytesIO(buffers[0])).size == (80, 60)


def test_a_new_file_is_valid_before_anything_is_drawn(annotator):
    content = json.loads(Path("my.json").read_text())
    assert content["categories"][2] == {"id": 3, "name": "<b>cat</b>", "supercategory": "animal"}
    assert content["images"] == content["annotations"] == []
    assert annotator.undo() is False  # it is nobody's action


def test_an_outline_its_change_and_its_removal(annotator):
    done = act(annotator, "segment", image="b.png", category="cup", rings=[RING], seconds=3.2)
    entry = annotator.coco.annotations[done["result"]["annotation"]]
    assert (entry["area"], entry["bbox"], entry["segmentation"]) == (1200, [10, 10, 40, 30], [RING])
    annotator.picture = 1
    seen = say(annotator, kind="hello")[1]["picture"][0]["objects"][0]["seen"]
    whole = [10, 10, 70, 10, 70, 40, 10, 40]
    values = {"image": "b.png", "annotation": 1, "category": "spoon", "rings": [RING]}
    assert act(annotator, "change", seen=seen, amodal=[whole], **values)["ok"]
    assert (entry["category_id"], entry["occlusion"]) == (2, pytest.approx(1 / 3, abs=1e-4))
    refused = act(annotator, "change", seen=seen, **values)
    assert "changed by another worker" in refused["text"]
    now = say(annotator, kind="hello")[1]["picture"][0]["objects"][0]["seen"]
    act(annotator, "change", seen=now, **values)
    assert "segmentation_amodal" not in annotator.coco.annotations[1]
    now = say(annotator, kind="hello")[1]["picture"][0]["objects"][0]["seen"]
    assert act(annotator, "delete", image="b.png", annotation=1, seen=now)["ok"]
    assert not annotator.coco.annotations


def test_an_image_without_objects_is_in_the_file_once_that_was_said(annotator):
    act(annotator, "claim", image="a.png", category="cup", claim="no such object")
    assert not annotator.coco.images
    say(annotator, kind="act", do="finish", values={"image": "a.png"}, next=True)
    assert [one["file_name"] for one in annotator.coco.images.values()] == ["a.png"]
    assert annotator.picture == 1


def test_collecting_leaves_pictures_out(annotator):
    annotator.stage = "collecting"
    act(annotator, "verdict", image="b.png", iconic=True)
    act(annotator, "verdicts", images=["a.png", "b.png", "c.png", "d.png"])
    annotator.stage = "segmentation"
    state = say(annotator, kind="hello")[1]["state"][0]
    assert [row["status"] for row in state["rows"]] == ["open", "left out", "open", "open"]
    assert state["counts"]["left out"] == 1
    say(annotator, kind="next")
    assert annotator.picture == 2
    annotator.show = "left out"
    assert annotator.picture == 1


def test_labels_crosses_and_what_is_covered(annotator):
    act(annotator, "label", image="a.png", category="cup", point=[20, 20])
    act(annotator, "cross", image="a.png", category="cup", point=[20, 20])
    act(annotator, "cross", image="a.png", category="cup", point=[70, 50])
    act(annotator, "segment", image="a.png", category="cup", rings=[RING])
    picture = say(annotator, kind="hello")[1]["picture"][0]
    assert [one["covered"] for one in picture["crosses"]] == [True, False]
    assert picture["labels"] == [{"mine": True, "category": "cup", "point": [20.0, 20.0]}]
    for number in range(8):
        assert act(annotator, "cross", image="a.png", category="cup", point=[number, 1])["ok"]
    assert "10 cup are marked" in act(annotator, "cross", image="a.png", category="cup", point=[1, 1])["text"]
    assert act(annotator, "cross", image="a.png", category="spoon", point=[1, 1])["ok"]


def test_a_crowd_by_strokes(annotator):
    annotator.stage = "crowd"
    act(annotator, "paint", image="a.png", category="cup", counts=[0, 60, 4740])
    entry = annotator.coco.annotations[1]
    assert (entry["iscrowd"], entry["area"], entry["bbox"]) == (1, 60, [0, 0, 1, 60])
    picture = say(annotator, kind="hello")[1]["picture"][0]["objects"][0]
    assert picture["runs"] == [0, 60, 4740]
    values = {"image": "a.png", "category": "cup", "annotation": 1, "seen": picture["seen"]}
    assert act(annotator, "paint", counts=[0, 120, 4680], **values)["ok"]
    assert entry["area"] == 120
    now = say(annotator, kind="hello")[1]["picture"][0]["objects"][0]["seen"]
    act(annotator, "paint", counts=[4800], **{**values, "seen": now})
    assert not annotator.coco.annotations


def test_judges_keep_and_discard(annotator):
    for image, x in (("a.png", 10), ("b.png", 30)):
        act(annotator, "segment", image=image, category="cup", rings=[[x, 10, x + 30, 10, x + 30, 40, x, 40]])
    annotator.stage = "verification"
    grid = say(annotator, kind="hello")[1]["grid"]
    assert (grid[0]["items"], grid[0]["own"]) == ([], 2)
    for judge, doubts in (("bob", True), ("eve", False), ("joe", True), ("zoe", False), ("kim", False)):
        annotator.worker = judge
        say(annotator, kind="hello")
        tiles = annotator._grid.tiles
        bad = [place for place, one in enumerate(tiles) if one.bad or (one.annotation == 1 and doubts)]
        few = say(annotator, kind="judge", bad=[])[0]["result"]
        assert not few["passed"]  # the known bad one was not found
        assert say(annotator, kind="judge", bad=bad)[0]["result"]["passed"]
    assert [*annotator.coco.annotations] == [2]  # 3 of 5 votes are too few
    annotator.stage, annotator.category, annotator.picture = "segmentation", "cup", 0
    cross = say(annotator, kind="hello")[1]["picture"][0]["crosses"][0]
    assert cross["returned"]
    assert not cross["covered"]
    assert annotator.undo()  # of the last judge
    assert [*annotator.coco.annotations] == [2, 1]


def test_nobody_segments_before_the_training(photos):
    annotator = Annotator(photos, categories=NAMES, worker="ann", gold=Gold())
    picture = say(annotator, kind="hello")[1]["picture"][0]
    assert picture["example"] == {"category": "cup", "box": [10, 10, 50, 40], "iou": 0.75}
    values = {"image": "a.png", "category": "cup", "rings": [RING]}
    assert "first segment the example" in act(annotator, "segment", **values)["text"]
    # half of the cup is 20 of its 40 columns
    half = say(annotator, kind="train", category="cup", rings=[[10, 10, 30, 10, 30, 40, 10, 40]])[0]["result"]
    assert (half["overlap"], half["missing"], half["beyond"], half["passed"]) == (0.5, 0.5, 0.0, False)
    assert say(annotator, kind="train", category="cup", rings=[RING])[0]["result"]["passed"]
    assert "example" not in say(annotator, kind="hello")[1]["picture"][0]
    assert act(annotator, "segment", **values)["ok"]
    annotator.category = "spoon"  # the gold data have none
    assert "example" not in say(annotator, kind="hello")[1]["picture"][0]
    annotator.worker, annotator.category = "bob", "cup"
    assert "example" in say(annotator, kind="hello")[1]["picture"][0]


def test_suggestions_of_detectors_and_functions(photos):
    def boxes(image):
        return torch.tensor([[1.0, 2, 30, 40], [0, 0, 80, 60]])

    annotator = Annotator(photos, categories=NAMES, suggest={"boxes": boxes})
    found = say(annotator, kind="suggest")[0]["result"]
    assert [one["source"] for one in found] == ["boxes", "boxes"]
    assert found[0]["rings"] == [[1, 2, 30, 2, 30, 40, 1, 40]]
    data = wb.load_data("digit-scenes", "test", length=2)
    digits = Annotator(data, "digits.json", suggest="digit-scenes/faster-rcnn")
    found = say(digits, kind="suggest")[0]["result"]
    assert found
    assert {one["category"] for one in found} <= set(data.classes)


def test_two_kernels_on_one_file(annotator, photos):
    other = Annotator(photos, worker="bob")
    act(annotator, "segment", image="a.png", category="cup", rings=[RING])
    act(other, "segment", image="a.png", category="cup", rings=[RING])
    news = say(annotator, kind="news")[1]
    assert len(news["picture"][0]["objects"]) == 2
    assert not say(annotator, kind="news")[1]
    assert annotator.undo()
    assert [*annotator.coco.annotations] == [2]
    assert [one.worker for one in annotator.answers()] == ["bob"]


def test_a_new_kernel_goes_on(annotator, photos):
    annotator.stage = "spotting"
    act(annotator, "cross", image="c.png", category="spoon", point=[3, 4])
    again = Annotator(photos, worker="ann")
    assert (again.stage, again.picture, again.category) == ("spotting", 2, "spoon")
    assert Annotator(photos, worker="bob").picture == 0


def test_a_draft_outlives_the_page(annotator):
    say(annotator, kind="draft", draft={"image": "a.png", "outline": {}})
    assert say(annotator, kind="hello")[1]["picture"][0]["draft"]["image"] == "a.png"
    say(annotator, kind="draft", draft={"image": "a" * 300_000})
    assert say(annotator, kind="hello")[1]["picture"][0]["draft"] is None


def test_it_opens_at_what_the_doctor_found(photos, tmp_path):
    root = tmp_path / "root"
    (root / "annotations").mkdir(parents=True)
    (tmp_path / "photos").rename(root / "val")
    images = [{"id": i, "file_name": f"{name}.png", "height": 60, "width": 80} for i, name in enumerate("abcd")]
    entries = [{"id": 1, "image_id": 2, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0}]
    entries.append({**entries[0], "id": 2})
    entries.append({**entries[0], "id": 3, "image_id": 1, "segmentation": [[1, 2]]})
    file = root / "annotations/instances_val.json"
    whole = {"images": images, "categories": [{"id": 1, "name": "cup"}], "annotations": entries}
    file.write_text(json.dumps(whole))
    data = wb.load_data("coco", "val", root, strict=False)
    annotator = Annotator(data, file, problems=wb.doctor(data))
    state = say(annotator, kind="hello")[1]["state"][0]
    assert [row["name"] for row in state["rows"]] == ["b.png", "c.png"]
    picture = say(annotator, kind="hello")[1]["picture"][0]
    assert (picture["name"], "polygon" in picture["problems"][0]) == ("b.png", True)
    assert "wrong" in picture["objects"][0]
    annotator.picture = 2
    assert "same box" in say(annotator, kind="hello")[1]["picture"][0]["problems"][0]
    assert "no objects" in state["problems"][0]


def test_a_category_that_nobody_thought_of(annotator, photos):
    other = Annotator(photos, worker="bob")
    done = act(annotator, "category", name=" <i>plate ", supercategory="kitchen")
    assert done["result"] == {"category": "<i>plate"}
    annotator.category = annotator.having = "<i>plate"
    assert say(other, kind="news")[1]["state"][0]["groups"][-1] == ["<i>plate", "kitchen"]
    assert act(other, "segment", image="b.png", category="<i>plate", rings=[RING])["ok"]
    other.undo()
    annotator.undo()
    assert (annotator.category, annotator.having) == ("cup", None)
    assert not act(annotator, "segment", image="b.png", category="<i>plate", rings=[RING])["ok"]


def test_the_list_has_what_has_a_category_and_what_was_reopened(annotator):
    act(annotator, "segment", image="b.png", category="cup", rings=[RING])
    act(annotator, "cross", image="c.png", category="cup", point=[3, 4])
    act(annotator, "label", image="d.png", category="cup", point=[3, 4])
    act(annotator, "label", image="a.png", category="spoon", point=[3, 4])
    state = say(annotator, kind="set", state={"having": "cup"})[1]["state"][0]
    assert ([row["name"] for row in state["rows"]], annotator.picture) == (["b.png", "c.png", "d.png"], 1)
    act(annotator, "finish", image="b.png")
    state = say(annotator, kind="set", state={"show": "done"})[1]["state"][0]
    assert ([row["name"] for row in state["rows"]], state["status"]) == (["b.png"], "done")
    act(annotator, "reopen", image="b.png")
    assert say(annotator, kind="hello")[1]["state"][0]["rows"] == []
    assert say(annotator, kind="set", state={"having": None, "show": "all"})[1]["state"][0]["status"] == "begun"


def test_exports_of_annotation_tools_come_in_and_go_out(photos):
    """Ids from 0, names without their folder, sizes that are not known, boxes alone, points, codes, further keys."""
    foreign = {
        "images": [
            {"width": 80, "height": 60, "id": 0, "file_name": "images/photos/a.png", "path": "images/a.png"},
            {"width": None, "height": None, "id": 1, "file_name": "photos\\b.png"},
            {"width": 80, "height": 60, "id": 2, "file_name": "c.png", "license": 0, "date_captured": 0},
        ],
        "categories": [{"id": 0, "name": "Täßchen"}, {"id": 4, "name": "猫 <b>", "color": "#76413e"}],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 0, "segmentation": [], "bbox": [2.8e-15, 6.0, 31.09, 20.4],
             "ignore": 0, "iscrowd": 0, "area": 634.07, "annotator": "a@b"},
            {"id": 1, "image_id": 0, "category_id": 4, "keypoints": [40, 30, 2], "num_keypoints": 1,
             "bbox": [40, 30, 0, 0], "iscrowd": 0},
            {"id": 5, "image_id": 2, "category_id": 4, "segmentation": {"counts": [610, 10, 4180], "size": [60, 80]},
             "area": 10.0, "bbox": [10.0, 10.0, 1.0, 10.0], "iscrowd": 1, "attributes": {"occluded": False}},
        ],
        "info": {"year": 2026, "version": "1.0", "contributor": "Label Studio"},
    }  # fmt: skip
    Path("my.json").write_text(json.dumps(foreign, indent=2))
    annotator = Annotator(photos, worker="ann")
    names = [one["file_name"] for one in foreign["images"]]
    assert annotator._pictures.names == [*names, "d.png"]
    shown = [say(annotator, kind="set", state={"picture": place})[1].get("picture") for place in (1, 2, 0)]
    assert [[sorted({"box", "runs"} & one.keys()) for one in sent[0]["objects"]] for sent in shown] == [
        [], [["runs"]], [["box"], ["box"]],
    ]  # fmt: skip
    assert act(annotator, "segment", image=names[1], category="猫 <b>", rings=[RING])["ok"]
    assert annotator.coco.images[1] | {"width": 80, "height": 60} == annotator.coco.images[1]
    about = {"image": names[0], "annotation": 0, "seen": ""}
    assert act(annotator, "change", category="Täßchen", rings=[RING], **about)["ok"]
    assert annotator.coco.annotations[0]["annotator"] == "a@b"
    for _ in range(2):
        annotator.undo()
    annotator.export("out.json")
    assert json.loads(Path("out.json").read_text()) == foreign


def test_a_picture_of_another_size_than_the_file_says(photos):
    """With annotations it is another picture; without any the file is wrong."""
    images = [{"id": i, "file_name": name, "height": 10**30, "width": 8} for i, name in ((1, "a.png"), (2, "b.png"))]
    entry = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "area": 4, "iscrowd": 0}
    whole = {"images": images, "categories": [{"id": 1, "name": "cup"}], "annotations": [entry]}
    Path("my.json").write_text(json.dumps(whole))
    annotator = Annotator(photos, worker="ann")
    assert "of another picture" in act(annotator, "segment", image="a.png", category="cup", rings=[RING])["text"]
    assert act(annotator, "segment", image="b.png", category="cup", rings=[RING])["ok"]
    assert annotator.coco.images[2]["height"] == 60
    assert act(annotator, "delete", image="a.png", annotation=1, seen="")["ok"]
    assert act(annotator, "segment", image="a.png", category="cup", rings=[RING])["ok"]


ODD = [
    {"bbox": ["a", 1, 2, 3]}, {"bbox": [1, 2, [3], None]}, {"bbox": 7}, {"bbox": [1e308] * 4}, {"segmentation": "x"},
    {"segmentation": [["a"] * 6]}, {"segmentation": {"size": "x", "counts": {}}}, {"segmentation": 7},
    {"segmentation_amodal": {"a": 1}}, {"category_id": [1]}, {"category_id": None}, {"iscrowd": "yes"},
    {"image_id": None}, {"bbox": None},
]  # fmt: skip


def test_entries_of_wrong_types_do_not_keep_others_from_being_shown(photos):
    entry = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0}
    entries = [{**entry, **odd, "id": place} for place, odd in enumerate([*ODD, {}])]
    images = [{"id": 1, "file_name": "a.png", "height": "60", "width": [80]}, {"id": 2, "file_name": 7}, {"id": 3}]
    images.append({"id": 4, "file_name": "b.png\0"})
    categories = [{"id": 1, "name": "cup"}, {"id": 2, "name": 3}]
    Path("my.json").write_text(json.dumps({"images": images, "categories": categories, "annotations": entries}))
    annotator = Annotator(photos, worker="ann")
    done, sent = say(annotator, kind="hello")
    objects = sent["picture"][0]["objects"]
    assert (done["ok"], objects[-1]["box"], len(objects)) == (True, [1, 1, 10, 10], len(ODD))  # one is of no picture
    assert "neither" in objects[0]["wrong"]
    assert "neither" in say(annotator, kind="trace", annotation=0)[0]["text"]
    for stage in ("collecting", "verification", "spotting", "crowd", "segmentation"):
        assert say(annotator, kind="set", state={"stage": stage})[0]["ok"]
    assert say(annotator, kind="set", state={"having": "cup"})[0]["ok"]
    assert act(annotator, "segment", image="a.png", category="cup", rings=[RING])["ok"]
    assert len(annotator.answers()) == 1


def test_segments_of_pixels_are_edited_as_outlines(photos):
    runs = {"size": [60, 80], "counts": [610, 30, 30, 30, 30, 30, 4040]}
    entries = [{"id": 7, "image_id": 1, "category_id": 1, "bbox": [10, 10, 3, 30], "area": 90, "iscrowd": 0}]
    image = {"id": 1, "file_name": "a.png", "height": 60, "width": 80}
    whole = {"images": [image], "categories": [{"id": 1, "name": "cup"}]}
    whole["annotations"] = [{**entries[0], "segmentation": runs}]
    Path("my.json").write_text(json.dumps(whole))
    annotator = Annotator(photos)
    ring = say(annotator, kind="trace", annotation=7)[0]["result"][0]
    assert (min(ring[::2]), max(ring[::2])) == pytest.approx((10, 13), abs=0.5)
    assert say(annotator, kind="trace", annotation=8)[0]["ok"] is False


def test_a_picture_that_cannot_be_read_says_so(annotator):
    Path("photos/a.png").write_text("no picture")
    picture = say(annotator, kind="hello")[1]["picture"][0]
    assert "cannot be read" in picture["error"]
    annotator.stage = "collecting"
    assert "cannot be read" in say(annotator, kind="hello")[1]["candidates"][0]["items"][0]["error"]


WRONG = [
    ("odd", {}),
    (["segment"], {}),
    ("segment", {}),
    ("segment", {"image": "../a.png", "category": "cup", "rings": [RING]}),
    ("segment", {"image": "a.png", "category": "dog", "rings": [RING]}),
    ("segment", {"image": "a.png", "category": "cup", "rings": "odd"}),
    ("segment", {"image": "a.png", "category": "cup", "rings": []}),
    ("segment", {"image": "a.png", "category": "cup", "rings": [[1, 2, 3, 4]]}),
    ("segment", {"image": "a.png", "category": "cup", "rings": [[1, 2, 3, 4, 5, None]]}),
    ("segment", {"image": "a.png", "category": "cup", "rings": [[float("inf")] * 6]}),
    ("segment", {"image": "a.png", "category": "cup", "rings": [[200] * 6]}),
    ("segment", {"image": "a.png", "category": "cup", "rings": [RING], "worker": "eve"}),
    ("cross", {"image": "a.png", "category": "cup", "point": [81, 3]}),
    ("cross", {"image": "a.png", "category": ["cup"], "point": [8, 3]}),
    ("paint", {"image": "a.png", "category": "cup", "counts": [1, 2]}),
    ("paint", {"image": "a.png", "category": "cup", "counts": [-5, 4805]}),
    ("paint", {"image": "a.png", "category": "cup", "counts": [4800]}),
    ("change", {"image": "a.png", "annotation": {}, "seen": "", "category": "cup", "rings": [RING]}),
    ("delete", {"image": "a.png", "annotation": 5, "seen": ""}),
    ("category", {"name": "cup"}),
    ("category", {"name": 5}),
]


@pytest.mark.parametrize(("what", "values"), WRONG)
def test_what_makes_no_sense_changes_nothing(annotator, what, values):
    before = Path("my.json").read_text(), Path("my.actions.jsonl").read_text()
    answer = act(annotator, what, **values)
    assert not answer["ok"]
    assert answer["text"]
    assert (Path("my.json").read_text(), Path("my.actions.jsonl").read_text()) == before
    assert act(annotator, "segment", image="a.png", category="cup", rings=[RING])["ok"]


def test_refuses_what_does_not_exist(annotator, photos):
    for name, value in {"picture": 9, "category": "dog", "stage": "odd", "worker": " "}.items():
        with pytest.raises(traitlets.TraitError):
            setattr(annotator, name, value)
        assert not say(annotator, kind="set", state={name: value})[0]["ok"]
    for wrong in ({"training_iou": 0}, {"colour": 1}, {"categories": "cup"}, {"categories": [3]}, {"gold": "x"}):
        with pytest.raises(DataError):
            Annotator(photos, "other.json", **{"categories": ["cup"], **wrong})
    with pytest.raises(DataError, match="which categories"):
        Annotator(photos, "other.json")
    Path("photos/note.txt").touch()
    (annotator._store.path.parent / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        Annotator("empty", "other.json", categories=["cup"])
    assert not say(annotator, kind="odd")[0]["ok"]
    assert not say(annotator, kind="judge", bad=[1])[0]["ok"]
    assert not say(annotator, kind="train", rings=[RING], category="cup")[0]["ok"]
