"""What is recognised by the names of its classes alone, and images as others take them."""

from __future__ import annotations

import numpy as np
import torch
from outside_stand_ins import YOLO, DefaultPredictor, of

from workbench.detectors.outside.families import arrays_of, made_by


def test_a_family_is_recognised_by_module_and_name():
    class Own(YOLO):
        """A class of a user's, made from one of the package."""

    assert made_by(YOLO(), "ultralytics", "Model")
    assert made_by(Own(), "ultralytics", "Model")
    assert not made_by(YOLO, "ultralytics", "Model"), "a class is no model"
    assert not made_by(of("ultralyticsx.engine")(type("Model", (), {}))(), "ultralytics", "Model")
    assert not made_by(DefaultPredictor(), "detectron2", "Default")


def test_arrays_are_upright_of_their_own_memory_and_in_either_order_of_colours():
    image = torch.arange(24, dtype=torch.uint8).reshape(3, 2, 4)
    (array,), (turned,) = arrays_of([image]), arrays_of([image], bgr=True)
    assert array.shape == (2, 4, 3)
    assert array[1, 2].tolist() == [6, 14, 22]
    assert turned[1, 2].tolist() == [22, 14, 6]
    assert turned.flags["C_CONTIGUOUS"]
    array[:] = 0
    assert int(image.sum()) == sum(range(24)), "what a function draws into it stays there"
    (rounded,) = arrays_of([image.float() / 255])
    assert np.array_equal(rounded, arrays_of([image])[0])
