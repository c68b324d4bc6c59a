"""What every detector is given, and what it says where it lacks something."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stages import stage

from workbench import load_detector, read_image
from workbench.detectors.base import LACKS, Detector, HasDifferences, HasRoIs, ScoresBoxes, asked
from workbench.detectors.layers.inputs import as_float
from workbench.errors import DataError, RecipeError, WorkbenchError
from workbench.hardeners import ASTN, DFVAugmentation, RandomDropout
from workbench.registry import DETECTORS
from workbench.types import Detections, HeadLayout

GREY = torch.full((3, 4, 5), 0.5)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (GREY * 255, "float values from 128 to 128; expected 0 to 1, or uint8"),
        (GREY - 2, "float values from -1.5 to -1.5"),
        (GREY * float("nan"), "float values from nan to nan"),
        (GREY.to(torch.int32), "dtype torch.int32; expected uint8 or float"),
        (GREY[:, :0], r"shape \(3, 0, 5\)"),
        (GREY[:1], r"shape \(1, 4, 5\)"),
        ("photo.jpg", r"image 0 of the batch is a str; .*read_image\(path\)"),
        (np.zeros((4, 5, 3), np.uint8), "image 0 of the batch is a ndarray"),
    ],
)
def test_images_that_would_silently_give_nothing_are_refused(image, message):
    with pytest.raises(DataError, match=message):
        as_float([image], torch.device("cpu"))


def test_images_that_overshoot_a_little_are_taken():
    """Bicubic resizing of an edge overshoots by 0.07."""
    assert torch.equal(as_float([GREY + 0.6], torch.device("cpu"))[0], GREY + 0.6)
    assert float(as_float([torch.full((3, 2, 2), 255, dtype=torch.uint8)], torch.device("cpu"))[0].max()) == 1


def test_what_a_detector_lacks_is_said():
    retinanet, classifier = load_detector("digit-scenes/retinanet"), load_detector("dfv/digits-c")
    with pytest.raises(
        WorkbenchError, match="RetinaNet has no pooled features of boxes; choose one of aofd, fast-rcnn, "
    ):
        asked(retinanet, HasRoIs)
    with pytest.raises(WorkbenchError, match="RetinaNet has no deep feature vectors; choose one of classifier"):
        asked(retinanet, HasDifferences)
    with pytest.raises(WorkbenchError, match="Classifier cannot score given boxes"):
        asked(classifier, ScoresBoxes)
    assert asked(retinanet, ScoresBoxes) is retinanet
    assert asked(classifier, HasDifferences) is classifier


def test_every_ability_says_what_kinds_have_it():
    """From the registry: all kinds that can do what a protocol says, and no others."""
    for ability, lacks in LACKS.items():
        with pytest.raises(WorkbenchError, match=f"^object {lacks}; choose one of ") as caught:
            asked(object(), ability)
        able = str(caught.value).partition("choose one of ")[2].split(", ")
        assert able == [kind for kind in DETECTORS.names() if issubclass(DETECTORS.class_of(kind), ability)] != []


class BrightSpot(Detector):
    """A detector with a head of its own, within another part, and nothing else."""

    hardens = "maps"

    def __init__(self):
        super().__init__()
        self.second = torch.nn.ModuleDict({"head": Staged(), "frozen": load_detector("dfv/digits-c")})

    def detect(self, images, proposals=None):
        return []

    def head_layout(self):
        return HeadLayout(6, 7)


class Staged(torch.nn.Linear):
    """A part that takes stages up."""

    def __init__(self):
        super().__init__(2, 2)
        self.stages = []

    def begin_stage(self, stage):
        self.stages.append(stage)


def test_a_stage_comes_to_every_part_that_takes_it_up():
    detector = BrightSpot()
    assert (detector.hardener, detector.config) == (None, {})
    detector.take_hardener(RandomDropout())
    for one in (stage("detector"), stage("hardener"), stage("both", harden=False)):
        detector.begin_stage(one)
        assert detector.second["head"].stages[-1] is one
        assert detector.second["frozen"].training == (one.train != "hardener"), "the whole says what trains"
        assert detector.hardener.training
        assert detector.hardener.active == one.harden
    assert len(detector.second["head"].stages) == 3


def test_a_hardener_that_does_not_fit_changes_nothing():
    """Six channels cannot be divided into four blocks."""
    detector = BrightSpot()
    before = RandomDropout()
    detector.take_hardener(before)
    with pytest.raises(RecipeError, match=r"hardener\.blocks is 4, but the features have 6 channels"):
        detector.take_hardener(ASTN())
    with pytest.raises(RecipeError, match="it changes vectors of whole images, and a BrightSpot has maps"):
        detector.take_hardener(DFVAugmentation())
    assert detector.hardener is before
    detector.take_hardener(fits := ASTN(blocks=3))
    assert detector.hardener is fits
    assert fits.net is not None
    detector.take_hardener(None)
    assert detector.hardener is None


def test_without_a_proposal_network_detections_are_proposals(monkeypatch):
    """The best ones, with their scores and masks."""
    detector = BrightSpot()
    masks = torch.eye(6).reshape(3, 2, 6).bool()
    found = Detections(torch.rand(3, 4), torch.tensor([1, 2, 1]), torch.tensor([0.9, 0.5, 0.1]), masks)
    monkeypatch.setattr(detector, "detect", lambda images: [found] * len(images))
    (given,) = detector.proposals([GREY], 2)
    assert torch.equal(given.boxes, found.boxes[:2])
    assert torch.equal(given.scores, found.scores[:2])
    assert torch.equal(given.decode_masks(), masks[:2])


def test_a_file_can_be_looked_at(tmp_path):
    from PIL import Image

    Image.new("L", (50, 40), 200).save(tmp_path / "photo.png")
    image = read_image(tmp_path / "photo.png")
    assert image.shape == (3, 40, 50)
    assert load_detector("digit-scenes/faster-rcnn").detect([image])[0].boxes.shape[1] == 4
