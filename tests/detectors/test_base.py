"""What every detector is given, and what it says where it lacks something."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench import load_detector, read_image
from workbench.detectors.base import Detector, HasDifferences, HasRoIs, ScoresBoxes, as_float, asked
from workbench.errors import DataError, WorkbenchError
from workbench.types import Detections

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
    with pytest.raises(WorkbenchError, match="RetinaNet has no pooled features of boxes; Faster"):
        asked(retinanet, HasRoIs)
    with pytest.raises(WorkbenchError, match="RetinaNet has no deep feature vectors; a Classifier has"):
        asked(retinanet, HasDifferences)
    with pytest.raises(WorkbenchError, match="Classifier cannot score given boxes"):
        asked(classifier, ScoresBoxes)
    assert asked(retinanet, ScoresBoxes) is retinanet
    assert asked(classifier, HasDifferences) is classifier


def test_without_a_proposal_network_detections_are_proposals(monkeypatch):
    """The best ones, with their scores and masks."""
    detector = Detector()
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
