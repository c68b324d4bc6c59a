"""Pictures of training images: what is said of them, and that what is ignored looks so."""

from __future__ import annotations

import pytest
import torch

from workbench import TrainingImages, load_data
from workbench.errors import DataError
from workbench.figures.training_images import hiding_figure, summary, training_grid
from workbench.hiders import build_hiders


class Judge:
    needs_targets = False

    def __call__(self, samples, rows):
        return torch.zeros(len(samples), len(rows))


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_a_grid_says_how_much_of_each_object_is_hidden():
    data = load_data("digit-scenes", length=4)
    seen = TrainingImages("digit-scenes/faster-rcnn+hide-and-seek", data=data)
    figure = training_grid(seen, columns=2, masks=True)
    assert len(figure.axes) == 4
    for index, axes in enumerate(figure.axes):
        target = seen.target(index)
        assert axes.get_title() == summary(target)
        hidden = [float(share) for share in target["occlusion"] if share > 0]
        said = [text for text in texts(axes) if "hidden" in text]
        assert sorted(text.split(", ")[1] for text in said) == sorted(f"{share:.0%} hidden" for share in hidden)
        ignored = int(target.get("ignored", torch.zeros(1)).sum())
        assert sum(text.endswith("ignored") for text in texts(axes)) == ignored
        assert sum(patch.get_linestyle() == "--" for patch in axes.patches) == ignored
    assert len(training_grid(seen, [2, 3]).axes) == 2
    with pytest.raises(DataError, match="no scene"):
        training_grid(seen, [])


def test_one_column_for_each_hider():
    data = load_data("digit-scenes", split="test", occlusion_rate=0.0)
    samples = [data[7], data[8]]
    hiders = {
        name: build_hiders({"kind": name, "chance": 1.0})[0] for name in ("copy-paste", "adversarial-placement")
    }
    figure = hiding_figure(
        samples, hiders, data.classes, judge=Judge(), mean=torch.tensor([1, 2, 3], dtype=torch.uint8)
    )
    titles = [axes.get_title() for axes in figure.axes]
    assert [title.split("\n")[0] for title in titles[:3]] == ["as it is", "copy-paste", "adversarial-placement"]
    assert titles[3] == f"0 of {len(samples[1][1]['labels'])} hidden"
    assert titles[2].endswith(f"1 of {len(samples[0][1]['labels'])} hidden")
    again = hiding_figure(samples, hiders, data.classes, judge=Judge())
    assert [axes.get_title() for axes in again.axes] == titles
    with pytest.raises(DataError, match="no image to hide"):
        hiding_figure([], hiders, data.classes)


def test_what_is_known_of_hiding_in_words():
    labels = torch.ones(3)
    assert summary({"labels": labels}) == "0 of 3 hidden"
    known = {
        "labels": labels,
        "occlusion": torch.tensor([0.0, 0.5, torch.nan]),
        "ignored": torch.tensor([False, True, False]),
    }
    assert summary(known) == "1 of 3 hidden, 1 ignored"
