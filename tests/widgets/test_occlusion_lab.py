"""OcclusionLab without a browser: its state, and the messages it would exchange with one."""

import asyncio
import io

import numpy as np
import pytest
import torch
import traitlets
from bright_detector import BrightDetector
from PIL import Image

from widgets.occlusion_lab import OcclusionLab
from workbench import wrap
from workbench.analysis import occlusion_probe
from workbench.detectors import build_detector
from workbench.errors import DataError
from workbench.figures.drawing.colours import colour
from workbench.types import Target

CLASSES = ("square", "<b>bold</b>")
BOXES = [[8, 8, 24, 24], [40, 16, 48, 24]]
GREY = 128 / 255


@pytest.fixture
def white():
    return torch.full((3, 48, 64), 255, dtype=torch.uint8)


@pytest.fixture
def detector():
    return BrightDetector(CLASSES, BOXES, [1, 2])


@pytest.fixture
def target():
    masks = torch.zeros(2, 48, 64, dtype=torch.bool)
    masks[0, 8:24, 8:16] = True  # only the left half of its box
    masks[1, 16:24, 40:48] = True
    return Target(boxes=torch.tensor(BOXES).float(), labels=torch.tensor([1, 2]), masks=masks, masks_amodal=masks)


@pytest.fixture
def lab(detector, white, target):
    return OcclusionLab({"one": detector}, white, target, texture="grey")


class Wire:
    """Stands in for the browser: records what the widget sends, and sends what the browser would."""

    def __init__(self, lab):
        self.lab, self.sent = lab, []
        lab.send = lambda content, buffers=None: self.sent.append((content, buffers))

    def say(self, **content):
        self.sent.clear()
        self.lab._handle_custom_msg(content, [])
        return self.sent

    def kinds(self):
        return [content["kind"] for content, _ in self.sent]


def picture(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_first_state(lab):
    assert lab.chosen == 0  # the larger object
    assert lab.box == [16, 16, 24, 24]  # a quarter of it
    assert [thing["name"] for thing in lab.objects] == list(CLASSES)
    assert lab.scores["one"] == pytest.approx((1, 1 - (1 - GREY) / 4))
    assert lab.hidden == 0  # the visible half lies left of the occluder
    assert lab.result["hidden_of"] == "object"


def test_setting_the_box_recomputes(lab):
    """The left half of the box, which is all of the object's pixels, under grey."""
    lab.box = [8, 8, 16, 24]
    assert lab.hidden == 1
    assert lab.scores["one"] == pytest.approx((1, (1 + GREY) / 2))
    assert lab.result["detectors"]["one"]["found"] == pytest.approx((1 + GREY) / 2)
    assert lab.result["detectors"]["one"]["names"] == ["<b>bold</b>", "square"]  # by falling score
    assert lab.result["detectors"]["one"]["scores"] == pytest.approx([1, (1 + GREY) / 2], abs=1e-4)


def test_what_the_scene_hides_is_told_from_what_the_occluder_hides(detector, white, target):
    """The scene hides the lower half of the object's 8 × 16 pixels, the occluder the upper quarter."""
    target["masks"] = target["masks"].clone()
    target["masks"][0, 16:] = False
    lab = OcclusionLab(detector, white, target, box=[8, 8, 16, 12])
    assert (lab.result["hidden_by_scene"], lab.hidden) == (0.5, 0.75)
    del target["masks_amodal"]
    lab.show(white, target, box=[8, 8, 16, 12])
    assert (lab.result["hidden_by_scene"], lab.hidden) == (None, 0.5)


def test_texture_outline_and_object_recompute(lab):
    lab.box = [8, 8, 24, 24]
    whole = lab.scores["one"][1]
    lab.outline = "ellipse"
    assert lab.scores["one"][1] > whole  # the corners are bright again
    assert 0.7 < lab.hidden < 0.85  # about pi / 4
    before = lab.scores["one"][1]
    lab.texture = "noise"
    assert lab.scores["one"][1] != before
    lab.chosen = 1
    assert lab.scores["one"] == pytest.approx((1, 1))
    assert lab.hidden == 0


def test_each_change_asks_each_detector_once(lab, detector):
    calls = detector.calls
    lab.box = [1, 2, 30, 40]
    assert detector.calls == calls + 1
    lab.box = [1, 2, 30, 40]
    assert detector.calls == calls + 1


def test_fast_rcnn_gets_proposals_of_what_is_seen_now(white, target, monkeypatch):
    """By selective search of the picture with the occluder, once for all detectors that need some."""
    config = {"kind": "fast-rcnn", "backbone": {"name": "small", "widths": [8, 8]}, "pyramid": True, "min_size": None}
    fast = build_detector(config, CLASSES).eval()
    seen, given, detect = [], [], fast.detect
    boxes = torch.tensor([[8.0, 8, 24, 24], [30, 10, 50, 30]])
    monkeypatch.setattr(occlusion_probe, "searched", lambda image: (seen.append(image), boxes)[1])
    monkeypatch.setattr(fast, "detect", lambda *both: (given.append(both[1]), detect(*both))[1])
    lab = OcclusionLab({"one": fast, "two": fast}, white, target, texture="grey", box=[8, 8, 16, 16])
    assert [int(image[:, 8:16, 8:16].max()) for image in seen] == [255, 128]
    assert all(torch.equal(proposals[0], boxes) for proposals in given)
    lab.box = [40, 16, 48, 24]
    assert len(seen) == 3
    assert int(seen[-1][:, 16:24, 40:48].max()) == 128
    assert set(lab.result["detectors"]) == {"one", "two"}


def test_found_needs_the_class_and_an_overlap(white, target):
    """A detector that calls the object by another name has not found it, though its head still scores it."""
    other = BrightDetector(CLASSES, BOXES, [2, 2])
    lab = OcclusionLab({"other": other}, white, target)
    assert lab.chosen == 0
    assert lab.result["detectors"]["other"]["found"] is None
    assert lab.result["detectors"]["other"]["before"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ([-9, -9, 11, 11], [0, 0, 20, 20]),
        ([60, 40, 80, 60], [44, 28, 64, 48]),
        ([5, 5, 5, 5], [5, 5, 9, 9]),
        ([0, 0, 500, 500], [0, 0, 64, 48]),
        ([30, 20, 10, 10], [10, 10, 30, 20]),
        ([63, 47, 64, 48], [60, 44, 64, 48]),
    ],
)
def test_box_is_kept_in_the_image(lab, asked, given):
    lab.box = asked
    assert lab.box == given


def test_refuses_what_makes_no_sense(lab, white, detector):
    with pytest.raises(traitlets.TraitError, match="4 numbers"):
        lab.box = [1, 2, 3]
    with pytest.raises(traitlets.TraitError):
        lab.texture = "wool"
    with pytest.raises(traitlets.TraitError, match="there are 2 objects"):
        lab.chosen = 2
    with pytest.raises(DataError, match="no detector to explore"):
        OcclusionLab({}, white)
    with pytest.raises(DataError, match=r"\[3, H, W\]"):
        OcclusionLab(detector, torch.zeros(48, 64))
    with pytest.raises(DataError, match="colour"):
        OcclusionLab(detector, white, colour="red")


def test_without_target_the_detections_can_be_chosen(white, detector):
    """Both detectors find the same objects: each is listed once, and hiding is measured on the box."""
    lab = OcclusionLab({"one": detector, "two": detector}, white)
    assert [(thing["name"], thing["source"]) for thing in lab.objects] == [
        ("square", "one"),
        ("<b>bold</b>", "one"),
    ]
    lab.box = [8, 8, 24, 12]
    assert (lab.hidden, lab.result["hidden_of"]) == (0.25, "box")


def test_detections_that_are_no_true_object_can_be_chosen(white):
    eager = BrightDetector(CLASSES, [*BOXES, [50, 30, 60, 40]], [1, 2, 2])
    target = Target(boxes=torch.tensor(BOXES).float(), labels=torch.tensor([1, 2]))
    lab = OcclusionLab({"eager": eager}, white, target)
    assert [thing["source"] for thing in lab.objects] == [None, None, "eager"]
    assert lab.objects[2]["box"] == (50, 30, 60, 40)


def test_nothing_in_sight(white):
    lab = OcclusionLab(BrightDetector(CLASSES, [], []), white)
    assert (lab.chosen, lab.hidden, lab.objects) == (None, None, [])
    assert lab.scores == {"detector": (None, None)}
    with pytest.raises(DataError, match="choose an object"):
        lab.response_map()


def test_detectors_with_other_classes(white, target):
    stranger = BrightDetector(("cat", "square"), BOXES, [1, 1])
    lab = OcclusionLab({"one": BrightDetector(CLASSES, BOXES, [1, 2]), "stranger": stranger}, white, target)
    assert lab.scores["stranger"] == pytest.approx(lab.scores["one"])  # "square" is its label 2
    lab.chosen = 1
    assert lab.scores["stranger"] == (None, None)
    assert list(lab.response_map("coarse")) == ["one"]


def test_images_of_any_kind(white, detector):
    array = white.permute(1, 2, 0).numpy()
    for image in (white, white.float() / 255, array, Image.fromarray(array)):
        assert OcclusionLab(detector, image).scores == OcclusionLab(detector, white).scores


def test_show_takes_another_picture(lab):
    lab.show(torch.zeros(3, 30, 20, dtype=torch.uint8), box=[0, 0, 10, 10])
    assert lab.objects == []
    assert lab.box == [0, 0, 10, 10]
    assert lab.result["detectors"]["one"]["scores"] == []


def test_hello_sends_everything_a_view_needs(lab):
    wire = Wire(lab)
    (setup, clean), (answer, frame) = wire.say(kind="hello")
    assert (setup["width"], setup["height"], setup["detectors"]) == (64, 48, ["one"])
    assert answer["result"] == lab.result
    assert (picture(clean[0]) == 255).all()
    assert (picture(frame[0])[16:24, 16:24] == 128).all()
    assert picture(frame[0]).mean() == pytest.approx(255 - 127 * 64 / (48 * 64))


def test_one_answer_for_several_changes(lab, detector):
    wire, calls = Wire(lab), detector.calls
    sent = wire.say(kind="change", seq=7, state={"box": [8, 8, 16, 24], "texture": "brick", "chosen": 1})
    assert [content["seq"] for content, _ in sent] == [7]
    assert (lab.box, lab.texture, lab.chosen) == ([8, 8, 16, 24], "brick", 1)
    assert detector.calls == calls + 1


def test_python_changes_reach_the_browser(lab):
    wire = Wire(lab)
    lab.box = [0, 0, 8, 8]
    assert [(c["kind"], c["seq"], c["result"]["box"]) for c, _ in wire.sent] == [("answer", None, [0, 0, 8, 8])]


def test_an_error_frees_the_request_and_the_lab_goes_on(lab, detector):
    wire = Wire(lab)
    detector.detect = lambda images: 1 / 0
    ((error, _),) = wire.say(kind="change", seq=3, state={"box": [0, 0, 8, 8]})
    assert error == {"kind": "error", "seq": 3, "text": "ZeroDivisionError: division by zero"}
    del detector.detect
    assert wire.say(kind="change", seq=4, state={"box": [0, 0, 9, 9]})[0][0]["kind"] == "answer"
    assert wire.say(kind="change", seq=5, state={"texture": "wool"})[0][0]["kind"] == "error"


def test_a_change_that_fails_leaves_everything_as_it_was(lab, detector, white):
    wire = Wire(lab)
    before = lab.get_state()
    image, objects = lab.image, list(lab.objects)
    ((error, _),) = wire.say(kind="change", seq=1, state={"box": [0, 0, 8, 8], "chosen": 0, "texture": "wool"})
    assert "texture" in error["text"]
    assert lab.get_state() == before
    with pytest.raises(traitlets.TraitError, match="there are 0 objects"):
        lab.show(torch.zeros(3, 20, 20, dtype=torch.uint8), chosen=9)
    assert lab.image is image
    assert lab.objects == objects
    detector.detect = lambda images: 1 / 0
    with pytest.raises(ZeroDivisionError):
        lab.box = [0, 0, 8, 8]
    assert lab.get_state() == before
    assert wire.say(kind="hello")[1][0]["result"] == lab.result


def test_a_region_of_your_own(detector, white):
    """Half of it is covered, and grey: its brightness falls from 1 to (1 + 128 / 255) / 2."""
    detector.boxes, detector.labels = detector.boxes[:0], detector.labels[:0]
    lab = OcclusionLab(detector, white, texture="grey", box=[0, 0, 10, 20])
    assert lab.objects == []
    wire = Wire(lab)
    ((answer, _),) = wire.say(kind="change", seq=1, state={"region": {"box": [0, 0, 20, 20], "name": CLASSES[1]}})
    assert [(thing["name"], thing["source"]) for thing in answer["objects"]] == [(CLASSES[1], "you")]
    assert lab.chosen == 0
    assert lab.scores["detector"] == pytest.approx((1, (1 + GREY) / 2))
    assert lab.hidden == 0.5
    lab.region([40, 0, 60, 20])
    assert [(thing["name"], thing["box"]) for thing in lab.objects] == [(CLASSES[0], (40, 0, 60, 20))]
    assert lab.scores["detector"] == pytest.approx((1, 1))
    with pytest.raises(DataError, match=r"no box \(xyxy pixels\) in an image of 64 × 48"):
        lab.region([40, 0, 80, 20])
    with pytest.raises(DataError, match="no detector knows the class 'cat'"):
        lab.region([40, 0, 60, 20], "cat")
    assert lab.objects[0]["box"] == (40, 0, 60, 20)


def follower(boxes=BOXES, gain=1.0):
    """A detector of others that scores each box by its brightness, and cannot score boxes that are given."""
    bright = BrightDetector(CLASSES, boxes, list(range(1, len(boxes) + 1)), gain=gain)

    def find(images):
        found = bright.detect([torch.from_numpy(image).permute(2, 0, 1) for image in images])
        return [(one.boxes, one.labels - 1, one.scores) for one in found]

    return wrap(find, CLASSES), bright


def test_of_a_detector_that_cannot_score_boxes_the_detection_is_followed(white, target):
    """A quarter of the first object is grey, then all of it; both ways of scoring agree, and ask once."""
    detector, bright = follower()
    lab = OcclusionLab({"followed": detector, "scored": bright}, white, target, texture="grey")
    answers = lab.result["detectors"]
    assert [answers[name]["followed"] for name in ("followed", "scored")] == [True, False]
    assert lab.scores["followed"] == pytest.approx(lab.scores["scored"])
    calls = bright.calls
    lab.box = [8, 8, 24, 24]
    assert lab.scores["followed"] == pytest.approx((1, GREY))
    assert bright.calls == calls + 2, "one question to each"
    maps = lab.response_map("coarse")
    torch.testing.assert_close(maps["followed"].scores, maps["scored"].scores)
    assert maps["followed"].followed


def test_an_object_that_nothing_matches_any_more_has_no_score(white, target):
    detector, bright = follower()
    lab = OcclusionLab(detector, white, target)
    bright.boxes, bright.labels = bright.boxes[1:], bright.labels[1:]
    lab.box = [0, 0, 8, 8]
    assert lab.scores["detector"] == pytest.approx((1, 0))
    assert lab.result["detectors"]["detector"]["found"] is None


def test_any_detection_that_is_drawn_can_be_chosen(white):
    """Two sure ones are objects at once; a faint one becomes an object when it is clicked, and only once."""
    faint = [0, 30, 20, 47]
    image = white.clone()
    image[:, 30:47, 0:20] = 77  # a score of 0.3
    detector, _ = follower([*BOXES[:1], faint])
    lab = OcclusionLab(detector, image, texture="grey", box=[60, 44, 64, 48])
    assert [thing["name"] for thing in lab.objects] == [CLASSES[0]]
    lab.min_score = 0.2
    wire = Wire(lab)
    region = {"box": [0.0, 30.0, 20.0, 47.3], "name": CLASSES[1], "source": "detector"}
    for _ in range(2):
        ((answer, _),) = wire.say(kind="change", seq=1, state={"region": region})
        assert [(thing["name"], thing["source"]) for thing in answer["objects"]][1:] == [(CLASSES[1], "detector")]
        assert lab.chosen == 1
        assert lab.scores["detector"] == pytest.approx((77 / 255, 77 / 255))
    lab.region([30, 0, 40, 10], CLASSES[0])
    lab.region([30, 0, 44, 10], CLASSES[1])
    assert [thing["source"] for thing in lab.objects] == ["detector", "detector", "you"]
    lab.chosen = 1
    assert lab.scores["detector"][0] == pytest.approx(77 / 255)
    for wrong, message in (({"source": "nobody"}, "no detector 'nobody'"), ({"name": "cat"}, "no detector knows"),
                           ({"box": [70, 0, 80, 9]}, "is no box")):  # fmt: skip
        ((error, _),) = wire.say(kind="change", seq=2, state={"region": region | wrong})
        assert message in error["text"]


def test_a_region_looks_like_what_is_found_there(white):
    detector, _ = follower()
    lab = OcclusionLab(detector, white)
    lab.region([38, 14, 50, 26])
    assert lab.objects[-1]["name"] == CLASSES[1]
    lab.region([0, 40, 6, 47])
    assert lab.objects[-1]["name"] == CLASSES[0], "where nothing is found, what is surest in the picture"
    assert lab.scores["detector"] == (0, 0)
    nothing = OcclusionLab(wrap(lambda images: [[] for _ in images], CLASSES), white)
    assert nothing.objects == []
    nothing.region([0, 40, 6, 47])
    assert nothing.objects[-1]["name"] == CLASSES[0]


def test_maps_of_other_objects_are_kept_when_one_is_drawn(white, target):
    lab = OcclusionLab(follower()[0], white, target, texture="grey", box=[0, 0, 8, 8])
    kept = lab.response_map("coarse")
    lab.region([30, 0, 44, 10], CLASSES[1])
    lab.response_map("coarse")
    lab.region([30, 0, 40, 10], CLASSES[1])
    assert len(lab._maps) == 1, "that of the region before is of another region"
    lab.chosen = 0
    assert lab.response_map("coarse") is kept


def test_without_a_sure_detection_the_best_can_be_chosen(white):
    lab = OcclusionLab(BrightDetector(CLASSES, BOXES, [1, 2], gain=0.3), white)
    assert [thing["source"] for thing in lab.objects] == ["detector", "detector"]
    assert lab.scores["detector"][0] == pytest.approx(0.3)


def test_classes_have_the_colours_of_figures_in_every_view(white):
    detector = BrightDetector(("a", "b"), BOXES, [1, 2])
    other = BrightDetector(("b", "c"), BOXES, [1, 2])
    setup = Wire(OcclusionLab({"one": detector, "two": other}, white)).say(kind="hello")[0][0]
    assert setup["colours"] == {"a": colour(1), "b": colour(2), "c": colour(3)}


def test_large_pictures_travel_small(detector):
    lab = OcclusionLab(detector, torch.full((3, 1500, 2000), 255, dtype=torch.uint8))
    wire = Wire(lab)
    frame = wire.say(kind="hello")[1][1][0]
    image = Image.open(io.BytesIO(frame))
    assert image.format == "JPEG"
    assert image.size == (1280, 960)


def test_response_map_knows_the_object_and_is_cached(lab, detector):
    lab.box = [0, 0, 8, 8]
    maps = lab.response_map("coarse")
    scores = maps["one"].scores
    assert scores.shape == (10, 13)  # cells of round(64 / 12) = 5 pixels
    lowest = maps["one"].positions.flatten(0, 1)[scores.argmin()]
    assert float(scores.min()) == pytest.approx(1 - (1 - GREY) / 4)  # an 8 × 8 patch inside the 16 × 16 box
    assert (lowest[:2] >= 8).all()
    assert (lowest[2:] <= 24).all()
    lab.box = [20, 20, 28, 28]  # same size elsewhere: the same map
    assert lab.response_map("coarse") is maps
    lab.box = [20, 20, 28, 30]
    assert lab.response_map("coarse") is not maps
    with pytest.raises(DataError, match="coarse, medium, fine"):
        lab.response_map("tiny")


def test_map_messages_grow_to_the_whole(lab):
    wire = Wire(lab)
    sent = wire.say(kind="map", grid="coarse")
    assert set(wire.kinds()) == {"map"}
    shares = [content["done"] for content, _ in sent]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    content, buffers = sent[-1]
    values = np.frombuffer(buffers[0], "<f4").reshape(content["rows"], content["columns"])
    assert np.array_equal(values, lab.response_map("coarse")["one"].scores.numpy())
    assert content["key"] == [0, 8, 8, "grey", "rectangle"]
    assert np.isnan(np.frombuffer(sent[0][1][0], "<f4")).any()


def test_dragging_goes_on_while_the_map_grows(lab):
    """In a running event loop, as in a kernel, answers come between the batches of the map."""
    wire = Wire(lab)

    async def session():
        wire.say(kind="map", grid="medium")
        await asyncio.sleep(0.005)
        lab._handle_custom_msg({"kind": "change", "seq": 1, "state": {"chosen": 0, "box": [0, 0, 8, 8]}}, [])
        while wire.sent[-1][0].get("done") != 1:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(session(), 20))
    kinds = wire.kinds()
    assert kinds.count("answer") == 1
    assert 0 < kinds.index("answer") < len(kinds) - 1


def test_a_stopped_map_stops(lab):
    wire = Wire(lab)

    async def session():
        wire.say(kind="map", grid="fine")
        await asyncio.sleep(0.005)
        lab._handle_custom_msg({"kind": "stop-map"}, [])
        count = len(wire.sent)
        await asyncio.sleep(0.05)
        return count

    assert asyncio.run(session()) == len(wire.sent)
    assert wire.sent[-1][0]["done"] < 1


def test_what_a_detector_finds_to_hide_objects_travels_as_a_layer(detector, white, target):
    """The lower right quarter of the first object is grey, and so dark; drawn are detections from 0.5 up."""
    seeing = BrightDetector(CLASSES, BOXES, [1, 2], darker=200)
    lab = OcclusionLab({"plain": detector, "seeing": seeing}, white, target, texture="grey", box=[16, 16, 24, 24])
    wire = Wire(lab)
    ((content, buffers),) = [one for one in wire.say(kind="hello") if one[0]["kind"] == "answer"]
    assert content["layers"] == ["seeing"]
    assert "masks_occluder" not in content["result"]["detectors"]["seeing"]
    layer = np.asarray(Image.open(io.BytesIO(buffers[1])))
    expected = np.zeros((48, 64, 4), np.uint8)
    expected[16:24, 16:24] = 255
    assert np.array_equal(layer, expected)
    lab.min_score = 0.95  # the first object, of 0.87, is drawn no more
    assert not np.asarray(Image.open(io.BytesIO(wire.sent[-1][1][1]))).any()
