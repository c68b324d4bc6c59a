"""Values that cross the seams: what is done to detections is done to every part of them."""

from __future__ import annotations

import torch

from workbench.training.recipe_sections import Stage
from workbench.types import Detections, TrainingStage


def detections() -> Detections:
    return Detections(
        torch.arange(12.0).view(3, 4),
        torch.tensor([3, 1, 2]),
        torch.tensor([0.9, 0.5, 0.1]),
        torch.eye(3, dtype=torch.bool)[:, None],
        {"shape": torch.tensor([7.0, 8.0, 9.0]), "hidden": torch.zeros(3, 4, 4)},
    )


def test_some_detections_keep_all_that_is_known_of_them():
    for some in (detections()[torch.tensor([True, False, True])], detections()[::2], detections()[[0, 2]]):
        assert some.labels.tolist() == [3, 2]
        assert some.scores.tolist() == [torch.tensor(0.9).item(), torch.tensor(0.1).item()]
        assert some.masks[:, 0].tolist() == [[True, False, False], [False, False, True]]
        assert some.extras["shape"].tolist() == [7, 9]
        assert some.extras["hidden"].shape == (2, 4, 4)


def test_detections_above_a_score_and_on_another_device():
    above = detections().above(0.5)
    assert above.extras["shape"].tolist() == [7, 8]
    moved = detections().to("meta")
    assert {part.device.type for part in (moved.boxes, moved.masks, *moved.extras.values())} == {"meta"}


def test_without_branches_there_is_nothing_more():
    plain = Detections(torch.zeros(2, 4), torch.ones(2, dtype=torch.long), torch.ones(2))
    plain.extras["mine"] = torch.zeros(2)
    other = Detections(torch.zeros(2, 4), torch.ones(2, dtype=torch.long), torch.ones(2))
    assert other.extras == {}
    assert other[:1].masks is None


def test_the_recipes_stage_is_what_detectors_may_ask():
    asked = [name for name in vars(TrainingStage) if not name.startswith("_")]
    assert asked
    assert set(asked) <= set(Stage.model_fields)
