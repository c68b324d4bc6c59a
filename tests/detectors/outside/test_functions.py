"""Functions, plain modules and MAITE's models: what they are given, and what they may answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from outside_stand_ins import BOX, Maite
from torch import nn

from workbench import wrap
from workbench.detectors.outside.functions import Function
from workbench.detectors.outside.functions import Maite as MaiteFamily
from workbench.errors import DataError

RED = torch.zeros(3, 24, 32, dtype=torch.uint8)
RED[0] = 200
FOUND = {"boxes": [BOX], "labels": [0], "scores": [0.5]}


def seen_by(**options):
    """The images that a function is given for one red image, and the detector around it."""
    seen = []
    one = options.get("one_by_one", False)

    def function(given):
        seen.append(given)
        return FOUND if one else [FOUND for _ in given]

    wrap(function, ["lamp"], **options).detect([RED, RED[:, :20]])
    return seen


def test_a_function_gets_a_list_of_arrays():
    (batch,) = seen_by()
    assert [array.shape for array in batch] == [(24, 32, 3), (20, 32, 3)]
    assert batch[0].dtype == np.uint8
    assert batch[0][5, 5].tolist() == [200, 0, 0]


def test_blue_may_come_first_and_images_one_by_one():
    assert seen_by(bgr=True)[0][0][5, 5].tolist() == [0, 0, 200]
    first, second = seen_by(one_by_one=True)
    assert (first.shape, second.shape) == ((24, 32, 3), (20, 32, 3))


def test_it_may_ask_for_tensors():
    (batch,) = seen_by(images="tensors", bgr=True)
    assert batch[0].dtype == torch.float32
    torch.testing.assert_close(batch[0][:, 5, 5], torch.tensor([0, 0, 200 / 255]))


class Net(nn.Module):
    """A module of a user's that finds one box, scored by the mean of the image times its weight."""

    def __init__(self):
        super().__init__()
        self.weight, self.drop = nn.Parameter(torch.ones(())), nn.Dropout(1.0)

    def forward(self, images):
        return [{**FOUND, "scores": self.drop(self.weight * image.mean()).reshape(1)} for image in images]


def test_a_module_gets_tensors_in_evaluation_mode_and_moves_with_its_detector():
    net = Net().train()
    detector = wrap(net, ["lamp"])
    (found,) = detector.detect([RED])
    assert float(found.scores[0]) == pytest.approx(200 / 255 / 3)  # with dropout it would be 0
    assert not found.scores.requires_grad
    assert net.training
    assert detector.device == net.weight.device
    assert list(detector.parameters()) == [net.weight]


def test_a_function_may_score_boxes():
    def scores(images, boxes):
        return [np.stack([box[:, 0] / 100, 1 - box[:, 0] / 100], axis=1) for box in boxes]

    plain, scoring = (wrap(lambda images: [FOUND], ["a", "b"], score_boxes=one) for one in (None, scores))
    (found,) = scoring.score_boxes([RED], [torch.tensor([[20.0, 0, 30, 10]])])
    torch.testing.assert_close(found, torch.tensor([[0.2, 0.2, 0.8]]))
    assert not hasattr(plain, "score_boxes")
    with pytest.raises(DataError, match="1 images came with 2 boxes"):
        scoring.score_boxes([RED], [torch.zeros(1, 4)] * 2)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (FOUND, r"it gave a dict for a list of 2 images; return a list.* or say one_by_one=True"),
        ([FOUND], "it gave 1 answers for 2 images; return a list"),
        (None, "it gave a NoneType for a list of 2 images"),
        ((x for x in ()), "it gave a generator"),
    ],
)
def test_an_answer_for_each_image_is_expected(answer, message):
    with pytest.raises(DataError, match=f"shown: {message}"):
        wrap(named(lambda images: answer), ["lamp"]).detect([RED, RED])


def named(function):
    function.__name__ = "shown"
    return function


def test_a_function_of_one_image_is_told_by_its_error():
    def single(image):
        return {**FOUND, "scores": [image.shape[0] / 100]}

    message = r"single failed for a list of 1 images uint8 \[H, W, 3\] \(AttributeError: .*shape.*one_by_one=True"
    with pytest.raises(DataError, match=message) as caught:
        wrap(single, ["lamp"]).detect([RED])
    assert isinstance(caught.value.__cause__, AttributeError)
    assert float(wrap(single, ["lamp"], one_by_one=True).detect([RED])[0].scores) == pytest.approx(0.24)


def test_options_are_checked_by_name_and_value():
    with pytest.raises(DataError, match=r"wrap.image is not an option of a function \(did you mean 'images'"):
        wrap(single_box, ["lamp"], image="arrays")
    with pytest.raises(DataError, match=r"wrap\.images is 'pil'; expected 'arrays' or 'tensors'"):
        wrap(single_box, ["lamp"], images="pil")
    with pytest.raises(DataError, match=r"wrap\.boxes is 'xxyy'; expected 'xyxy', 'xywh', 'cxcywh' or 'yxyx'"):
        wrap(single_box, ["lamp"], boxes="xxyy")
    assert not Function.recognises(Net)
    assert Function.recognises(Net())


def single_box(images):
    return [FOUND for _ in images]


def test_a_model_in_maites_form_knows_its_classes():
    model = Maite()
    assert MaiteFamily.recognises(model)
    assert not MaiteFamily.recognises(single_box)
    detector = wrap(model)
    (found,) = detector.detect([RED])
    assert detector.classes == ("person", "lamp")
    assert model.seen[0].shape == (3, 24, 32)
    assert model.seen[0].dtype == np.uint8
    assert found.labels.tolist() == [2]
    assert found.boxes.tolist() == [list(BOX)]
    assert float(found.scores[0]) == pytest.approx(0.7)
    torch.testing.assert_close(found.extras["class_scores"], torch.tensor([[0.3, 0.2, 0.7]]))
