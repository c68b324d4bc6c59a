"""What the loss of an image is divided by."""

from __future__ import annotations

import re

import pytest
import torch

from workbench.errors import RecipeError
from workbench.losses import build_normaliser

COUNTS = torch.tensor([4, 0, 16])


def test_per_image_is_the_mean_over_images():
    assert build_normaliser("image")(COUNTS).tolist() == pytest.approx([1 / 12, 1 / 3, 1 / 48])


def test_per_batch_gives_every_positive_anchor_the_same_say():
    assert build_normaliser("batch")(COUNTS).tolist() == pytest.approx([1 / 20] * 3)
    assert build_normaliser("batch")(COUNTS * 0).tolist() == [1, 1, 1]


def test_the_moving_average_follows_training_only():
    normaliser = build_normaliser({"kind": "moving-average", "decay": 0.5, "start": 10})
    assert normaliser(COUNTS).tolist() == pytest.approx([1 / 15] * 3)
    with torch.no_grad():
        assert normaliser(COUNTS * 100).tolist() == pytest.approx([1 / 15] * 3)
    assert normaliser(COUNTS * 0).tolist() == pytest.approx([1 / 8] * 3), "no object counts as one anchor"
    again = build_normaliser("moving-average")
    again.load_state_dict(normaliser.state_dict())
    assert again.mean == 8


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("images", "'images' does not exist (did you mean 'image'?); choose one of"),
        ({"kind": "batch", "decay": 0.9}, "decay"),
        ({"kind": "moving-average", "decay": 1.0}, "decay is 1.0"),
        ({"kind": "moving-average", "start": 0}, "start is 0"),
    ],
)
def test_bad_configurations_say_what_exists(config, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        build_normaliser(config)
