"""DatasetBrowser without a browser: pages, filters, statistics, and what it sends."""

import asyncio
import io

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image

from widgets.dataset_browser import DatasetBrowser
from widgets.parts.looking import Place
from workbench import TrainingImages, load_data
from workbench.data.dataset import Dataset, make_target
from workbench.errors import DataError


class Numbered(Dataset):
    """Image i has i % 3 objects of class "a", and one of class "b" hidden by i percent if i is even."""

    name, split, classes = "numbered", "test", ("a", "<b>b</b>")

    def __init__(self, length=50, broken=()):
        self.length, self.broken, self.decoded, self.read = length, broken, [], []

    def __len__(self):
        return self.length

    def size(self, index):
        return 12, 16

    def image(self, index):
        self.decoded.append(index)
        if index in self.broken:
            raise DataError(f"image {index}: <i>truncated</i>")
        return torch.full((3, 12, 16), index % 256, dtype=torch.uint8)

    def target(self, index):
        self.read.append(index)
        labels = torch.tensor([1] * (index % 3) + [2] * (index % 2 == 0))
        number = len(labels)
        hidden = torch.where(labels == 2, index / 100, torch.nan)
        return make_target(
            image_id=1000 + index,
            size=(12, 16),
            boxes=torch.tensor([[1.0, 2.0, 5.0, 6.0]]).repeat(number, 1),
            labels=labels,
            area=torch.full((number,), 16.0),
            occlusion=hidden,
            masks=torch.ones(number, 12, 16, dtype=torch.bool),
        )


@pytest.fixture
def data():
    return Numbered()


def listen(browser):
    sent = []
    browser.send = lambda content, buffers=None: sent.append((content, buffers))
    return sent


def say(browser, sent, **content):
    sent.clear()
    browser._handle_custom_msg(content, [])
    return {content["kind"]: (content, buffers) for content, buffers in sent}


def test_pages_decode_only_what_they_show(data):
    browser = DatasetBrowser(data, page_size=8)
    assert browser.shown == list(range(8))
    assert data.decoded == list(range(8))
    browser.page = 6
    assert (browser.shown, browser.more) == ([48, 49], False)
    assert data.decoded[8:] == [48, 49]
    browser.page = 99
    assert (browser.page, browser.shown) == (6, [48, 49])


def test_filters(data):
    browser = DatasetBrowser(data, page_size=4)
    browser.class_name = "<b>b</b>"
    assert browser.shown == [0, 2, 4, 6]
    browser.occlusion = (0.1, 0.15)
    assert (browser.shown, browser.more) == ([10, 12, 14], False)
    browser.class_name = "a"  # its occlusion is unknown, so it lies in no range
    assert browser.shown == []
    browser.occlusion = None
    assert browser.shown == [1, 2, 4, 5]
    browser.page = 1
    assert browser.shown == [7, 8, 10, 11]
    browser.class_name = None  # a new filter starts at its first page
    assert (browser.page, browser.shown) == (0, [0, 1, 2, 3])


def test_a_filter_reads_no_further_than_it_must():
    data = Numbered(6000)
    browser = DatasetBrowser(data, page_size=10)
    known = browser.index.scanned
    assert known < 500
    browser.class_name = "a"
    browser.page = 40
    assert known < browser.index.scanned < 700
    assert max(data.read) < browser.index.scanned


def test_statistics_say_how_much_they_have_seen(data):
    browser = DatasetBrowser(Numbered(300), page_size=1)
    assert "the first 200 of 300 images" in browser.statistics()["text"]
    whole = browser.count_all()
    assert whole["counts"] == {"a": 300, "<b>b</b>": 150}
    assert whole["text"].startswith("450 objects in 300 images, 1.5 per image")
    small = DatasetBrowser(data).count_all()
    # 25 objects hidden by 0, 2, ..., 48 %: three below 5 %, fifteen from 20 % up
    assert small["text"].endswith("12% of them hidden by less than 5%, 60% by 20% or more")


def test_counting_lets_others_in_between():
    browser = DatasetBrowser(Numbered(1000), page_size=2)
    sent = listen(browser)

    async def session():
        say(browser, sent, kind="count")
        await asyncio.sleep(0.005)
        browser._handle_custom_msg({"kind": "set", "state": {"page": 1}}, [])
        while not browser.index.complete:
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(session(), 20))
    kinds = [content["kind"] for content, _ in sent]
    assert kinds.index("page") < len(kinds) - 1 - kinds[::-1].index("counting")
    assert sent[-1][0] == {"kind": "statistics", "text": browser.statistics()["text"], "complete": True}


def test_messages_of_a_page(data):
    browser = DatasetBrowser(data, page_size=3)
    sent = listen(browser)
    messages = say(browser, sent, kind="hello")
    page, pictures = messages["page"]
    assert [item["position"] for item in page["items"]] == [0, 1, 2]
    assert page["items"][2]["labels"] == [1, 1, 2]
    assert page["items"][2]["occlusion"] == [None, None, 0.02]  # NaN is no JSON
    assert np.asarray(Image.open(io.BytesIO(pictures[2])))[0, 0].tolist() == [2, 2, 2]
    assert messages["detail"][0]["item"] is None
    assert messages["statistics"][1][0][1:4] == b"PNG"


def test_detail_with_masks(data):
    browser = DatasetBrowser(data)
    sent = listen(browser)
    content, (picture, masks) = say(browser, sent, kind="set", state={"selected": 4})["detail"]
    assert browser.selected == 4
    assert content["item"]["image_id"] == 1004
    assert content["item"]["area"] == [16, 16]
    assert Image.open(io.BytesIO(picture)).size == (16, 12)
    assert np.asarray(Image.open(io.BytesIO(masks)))[..., 3].min() == 170
    assert say(browser, sent, kind="set", state={"selected": None})["detail"][0]["item"] is None


def test_detail_with_what_hides_objects(data, monkeypatch):
    """Without masks of objects, too: a white line around the pixels, and nothing elsewhere."""
    occluder = torch.zeros(12, 16, dtype=torch.bool)
    occluder[2:6, 3:8] = True
    target = {**Numbered.target(data, 4), "mask_occluder": occluder}
    del target["masks"]
    monkeypatch.setattr(data, "target", lambda _: target)
    browser = DatasetBrowser(data)
    content, (_, layer) = say(browser, listen(browser), kind="set", state={"selected": 4})["detail"]
    assert content["item"]["masked"]
    pixels = np.asarray(Image.open(io.BytesIO(layer)))
    line = occluder.numpy().copy()
    line[3:5, 4:7] = False
    assert np.array_equal(pixels[..., 3] == 255, line)
    assert (pixels[line] == 255).all()
    assert not pixels[~line].any()


def test_an_unreadable_image_is_shown_as_its_error():
    browser = DatasetBrowser(Numbered(broken=[1]), page_size=3)
    sent = listen(browser)
    items = say(browser, sent, kind="hello")["page"][0]["items"]
    assert [item.get("error") for item in items] == [None, "image 1: <i>truncated</i>", None]
    detail, _ = say(browser, sent, kind="set", state={"selected": 1})["detail"]
    assert "truncated" in detail["item"]["error"]


def test_refuses_what_does_not_exist(data):
    browser = DatasetBrowser(data)
    with pytest.raises(traitlets.TraitError, match="no class 'cat'"):
        browser.class_name = "cat"
    with pytest.raises(traitlets.TraitError, match="image 50 of 50"):
        browser.selected = 50
    with pytest.raises(DataError, match="page_size"):
        DatasetBrowser(data, page_size=0)
    with pytest.raises(DataError, match="colour"):
        DatasetBrowser(data, colour=1)
    sent = listen(browser)
    assert "no class" in say(browser, sent, kind="set", state={"class_name": "cat"})["error"][0]["text"]


def test_starts_where_it_is_asked_to(data):
    browser = DatasetBrowser(data, page_size=5, class_name="a", page=1, selected=3)
    assert (browser.shown, browser.selected) == ([8, 10, 11, 13, 14], 3)


def test_training_images_with_what_is_hidden_and_ignored():
    """As a training sees them: how much of each object is hidden, and what is not learned for it."""
    scenes = load_data("digit-scenes", length=6)
    images = TrainingImages("digit-scenes/faster-rcnn+hide-and-seek", data=scenes)
    browser = DatasetBrowser(images, page_size=6)
    assert browser.count_all()["images"] == 6
    place = next(index for index in range(6) if bool(images.target(index).get("ignored", torch.zeros(1)).any()))
    sent = listen(browser)
    browser.selected = place
    item = sent[-1][0]["item"]
    target = images.target(place)
    assert item["flags"] == ["ignored" if flag else "" for flag in target["ignored"].tolist()]
    assert item["occlusion"] == pytest.approx([round(share, 3) for share in target["occlusion"].tolist()])


def test_the_selection_are_the_objects_of_what_is_chosen_or_of_the_page(data):
    browser = DatasetBrowser(data, page_size=3)
    assert browser.selection[["image", "class"]].values.tolist() == [
        [0, "<b>b</b>"], [1, "a"], [2, "a"], [2, "a"], [2, "<b>b</b>"],
    ]  # fmt: skip
    browser.selected = 8
    assert browser.selection["object"].tolist() == [0, 1, 2]
    assert browser.selection["image_id"].unique().tolist() == [1008]
    assert browser.selection.iloc[2][["x1", "y2", "area", "occlusion"]].tolist() == pytest.approx([1, 6, 16, 0.08])
    browser.object = 2
    assert browser.selection["class"].tolist() == ["<b>b</b>"]
    browser.marked = [3, 1, 3]
    assert browser.marked == [1, 3]
    assert browser.selection["image"].tolist() == [1, 3, 8], "image 3 has no object and a row of its own"
    assert browser.selection["object"].isna().tolist() == [False, True, False]
    browser.selected = None
    assert browser.object is None
    assert browser.selection["image"].tolist() == [1, 3]


def test_clicks_announce_selections_and_objects_are_those_of_the_image(data):
    browser = DatasetBrowser(data, page_size=3)
    sent, seen = listen(browser), []
    browser.observe(lambda change: seen.append(change["new"]["image"].unique().tolist()), "selection")
    say(browser, sent, kind="set", state={"selected": 2, "marked": []})
    messages = say(browser, sent, kind="set", state={"marked": [1, 2]})
    assert "detail" not in messages, "no image is decoded anew"
    assert messages["choice"][0] == {"kind": "choice", "object": None, "marked": [1, 2]}
    say(browser, sent, kind="set", state={"page": 4})
    assert seen == [[2], [1, 2]]
    assert say(browser, sent, kind="set", state={"object": 1})["choice"][0]["object"] == 1
    assert "image 2 has 3 objects" in say(browser, sent, kind="set", state={"object": 3})["error"][0]["text"]
    assert browser.object == 1
    with pytest.raises(traitlets.TraitError, match="image 50 of 50 does not exist"):
        browser.marked = [50]
    with pytest.raises(traitlets.TraitError, match="no image is selected"):
        DatasetBrowser(data).object = 0


def test_what_cannot_be_shown_of_a_linked_widget_is_said_also_to_a_page_that_comes_later(data):
    browser = DatasetBrowser(data)
    sent = listen(browser)
    browser.follow(Place(Numbered(60), 55))
    assert sent[-1][0]["kind"] == "notice"
    assert say(browser, sent, kind="hello")["notice"][0]["text"].startswith(
        "numbered/test image 55 is not among the 50"
    )
    browser.selected = 1
    assert sent[-1][0] == {"kind": "notice", "text": ""}
