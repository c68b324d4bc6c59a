"""Maps that are kept are those of the same image and detector alone, and only where no gradients are wanted."""

from __future__ import annotations

import pytest
import torch

from workbench.analysis.pyramid import look
from workbench.data import load_data
from workbench.detectors import load_detector
from workbench.detectors.layers.proposing import keeping_maps


@pytest.fixture(scope="module")
def data():
    return load_data("digit-scenes", split="test", length=3)


@pytest.fixture
def detector():
    return load_detector("digit-scenes/faster-rcnn")


@pytest.fixture
def calls(detector):
    """Grows by one whenever the network sees an image."""
    seen = []
    detector.backbone.register_forward_hook(lambda *_: seen.append(1))
    return seen


def test_the_network_sees_an_image_once(detector, calls, data):
    image, target = data[0]
    plain = detector.detect([image])[0], detector.roi_features([image], [target["boxes"]])
    assert len(calls) == 2
    with keeping_maps():
        kept = detector.detect([image])[0], detector.roi_features([image], [target["boxes"]])
        assert len(calls) == 3
        assert torch.equal(kept[0].scores, plain[0].scores)
        assert torch.equal(kept[0].boxes, plain[0].boxes)
        assert torch.equal(kept[1], plain[1])
        detector.detect([data[1][0]])
        assert len(calls) == 4, "another image"
    detector.detect([data[1][0]])
    assert len(calls) == 5, "what was kept is forgotten"


def test_two_detectors_do_not_share(detector, calls, data):
    other = load_detector("digit-scenes/faster-rcnn")
    with torch.no_grad():
        next(other.backbone.parameters()).mul_(1.5)
    image, target = data[0]
    with keeping_maps():
        mine, theirs = (one.score_boxes([image], [target["boxes"]])[0] for one in (detector, other))
        assert not torch.equal(mine, theirs)
        assert torch.equal(detector.score_boxes([image], [target["boxes"]])[0], mine)
    assert len(calls) == 1


def test_gradients_find_their_way(detector, calls, data):
    image, target = data[0]
    with keeping_maps():
        detector.detect([image])
        detector.box_logits([image], [target["boxes"]])[0].sum().backward()
        assert len(calls) == 2
    assert any(parameter.grad is not None for parameter in detector.backbone.parameters())


def test_within_another_it_begins_anew_and_leaves_what_it_made(detector, calls, data):
    image = data[0][0]
    with keeping_maps():
        detector.detect([image])
        view = look(detector, image)
        assert len(calls) == 2
        assert [level.name for level in view.body] == ["C2", "C3", "C4"], "hooks hear of it"
        detector.proposals([image], 10)
        assert len(calls) == 2


def test_an_error_does_not_leave_it_open(detector, calls, data):
    with pytest.raises(RuntimeError), keeping_maps():
        raise RuntimeError
    detector.detect([data[0][0]])
    detector.detect([data[0][0]])
    assert len(calls) == 2
