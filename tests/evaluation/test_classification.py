"""Accuracies by column, their intervals and differences, by hand; files; and evaluate itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from workbench.data import load_data
from workbench.detectors import build_detector
from workbench.detectors.base import Detector
from workbench.errors import DataError
from workbench.evaluation import ImageResult, Result, accuracy_difference, evaluate, load_result

COLUMNS = {"clean": (0,), "20_centre": (1,), "20_random": (2, 3), "occluded": (1, 2, 3)}


def result_of(values: list[float], **changes: object) -> ImageResult:
    """Two sources under three patterns each: rows are (source 0: 0 1 2 3), (source 1: 0 1 2 3)."""
    content = {
        "data": "toy", "split": "test", "classes": ("a", "b"), "measure": "accuracy", "columns": COLUMNS,
        "labels": np.array([1] * 4 + [2] * 4), "predictions": np.array([1] * 8),
        "patterns": np.tile(np.arange(4), 2), "sources": np.repeat([7, 9], 4), "values": np.float32(values),
    }  # fmt: skip
    return ImageResult(**content | changes)


def test_figures_by_hand() -> None:
    result = result_of([1, 1, 0, 1, 1, 0, 0, 0])
    assert result.summary == {
        "accuracy_clean": 1.0, "accuracy_20_centre": 0.5, "accuracy_20_random": 0.25,
        "accuracy_occluded": pytest.approx(2 / 6),
    }  # fmt: skip
    assert (result.num_images, result.num_sources) == (8, 2)
    assert result.by_class.loc["a", "occluded"] == pytest.approx(2 / 3)
    assert result.by_class.loc["b"].tolist() == [1, 0, 0, 0]
    assert result.by_pattern.tolist() == [1, 0.5, 0, 0.5]
    assert result.table()["n"].tolist() == [2, 2, 4, 6]


def test_the_papers_average_is_over_patterns_not_over_columns() -> None:
    """Table 2 of the paper: 3 central and 9 random patterns of each ratio."""
    for columns, average in (((22.66, 30.59, 47.91, 61.74), 43.44), ((46.87, 57.3, 68.76, 79.18), 65.63)):
        each = np.repeat(np.array(columns) / 100, (3, 9, 3, 9))
        numbers = np.arange(1, 25)
        occluded = result_of(
            each, columns={"occluded": tuple(numbers)}, patterns=numbers, sources=np.zeros(24, int),
            labels=np.ones(24, int), predictions=np.ones(24, int),
        )  # fmt: skip
        assert 100 * occluded.summary["accuracy_occluded"] == pytest.approx(average, abs=0.01)


def test_intervals_resample_sources_not_images() -> None:
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random(200) < 0.5, 4).astype(float)  # all images of a source share their fate
    sources = np.repeat(np.arange(200), 4)
    result = result_of(
        right,
        sources=sources,
        patterns=np.tile(np.arange(4), 200),
        labels=np.ones(800, int),
        predictions=np.ones(800, int),
    )
    row = result.table().loc["accuracy_occluded"]
    expected = 1.96 * (0.25 / 200) ** 0.5  # that of 200 coins, not of 600
    assert row["high"] - row["value"] == pytest.approx(expected, rel=0.12)
    assert row["value"] - row["low"] == pytest.approx(expected, rel=0.12)


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(1)
    first = np.repeat(rng.random(100) < 0.5, 4).astype(float)
    second = first.copy()
    second[4 * np.flatnonzero(first[::4] == 0)[:10] + 1] = 1  # ten sources gain one centre pattern
    shared = {
        "sources": np.repeat(np.arange(100), 4), "patterns": np.tile(np.arange(4), 100),
        "labels": np.ones(400, int), "predictions": np.ones(400, int),
    }  # fmt: skip
    table = accuracy_difference(result_of(first, **shared), result_of(second, **shared))
    assert table.loc["accuracy_20_centre", "difference"] == pytest.approx(0.1)
    assert 0 < table.loc["accuracy_20_centre", "low"] < 0.1 < table.loc["accuracy_20_centre", "high"] < 0.2
    assert table.loc["accuracy_clean", ["difference", "low", "high"]].tolist() == [0, 0, 0]
    with pytest.raises(DataError, match="differ in fingerprint"):
        accuracy_difference(result_of([1] * 8), result_of([1] * 8, sources=np.repeat([1, 2], 4)))


def test_other_pixels_are_other_images() -> None:
    one, other, before = (result_of([1] * 8, pixels=pixels) for pixels in ("a", "b", ""))
    assert one.fingerprint != other.fingerprint
    with pytest.raises(DataError, match="differ in fingerprint"):
        accuracy_difference(one, other)
    for first, second in ((one, one), (one, before), (before, other)):
        assert (accuracy_difference(first, second)["difference"] == 0).all()


def test_evaluate_tells_images_apart_by_their_pixels() -> None:
    def result(occluder: str, batch_size: int = 16) -> ImageResult:
        options = {"occluders": [occluder], "pair_classes": 2, "random_places": 1}
        data = load_data("digits", split="val", occlusion=options).subset(range(8))
        return evaluate(Knows(data.classes), data, progress=False, batch_size=batch_size)

    cup, coin = result("cup"), result("coin")
    assert cup.fingerprint == result("cup", batch_size=3).fingerprint
    with pytest.raises(DataError, match="differ in fingerprint"):
        accuracy_difference(cup, coin)


def test_what_is_not_finite_is_saved_and_is_nan_again(tmp_path: Path) -> None:
    result = result_of([np.nan, np.inf, 0, 1, 1, 0, 0, 0], losses={"classifier": float("nan")}, pixels="ab")
    again = ImageResult.load(result.save(tmp_path / "result.json"))
    assert np.isnan(again.values).tolist() == [True] * 2 + [False] * 6
    assert np.isnan(again.losses["classifier"])
    assert again.pixels == "ab"
    assert "NaN" not in (tmp_path / "result.json").read_text()


@pytest.mark.parametrize(
    "change",
    [
        {"labels": [1e400] * 8},
        {"labels": [2**70] * 8},
        {"values": [1.0] * 7},
        {"labels": [[1]] * 8},
        {"patterns": 0},
        {"pixels": 3},
        {"losses": [1]},
        {"classes": None},
        {"sources": [None] * 8},
    ],
)
def test_files_that_are_not_as_written_are_refused(tmp_path: Path, change: dict) -> None:
    path = result_of([1] * 8).save(tmp_path / "result.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=r"result\.json: not a result"):
        ImageResult.load(path)
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"result\.json: this is not JSON"):
        ImageResult.load(path)


def test_files_written_before_have_no_digest(tmp_path: Path) -> None:
    path = result_of([1] * 8).save(tmp_path / "result.json")
    content = json.loads(path.read_text())
    content.pop("pixels", None)
    path.write_text(json.dumps(content))
    assert ImageResult.load(path).pixels == ""


def test_saved_and_loaded_it_is_the_same(tmp_path) -> None:
    result = result_of([1, 1, 0, 1, 1, 0, 0, 0], losses={"classifier": 0.5})
    again = load_result(result.save(tmp_path / "result.json"))
    assert isinstance(again, ImageResult)
    assert again.summary == result.summary
    assert (again.fingerprint, again.losses, again.columns) == (
        result.fingerprint,
        result.losses,
        result.columns,
    )
    assert "accuracy_20_centre" in again._repr_html_()
    assert "20_centre 0.500" in repr(again)
    for content in ('{"format": "something"}', "[" * 100_000):
        (tmp_path / "other.json").write_text(content)
        for load in (load_result, ImageResult.load, Result.load):
            with pytest.raises(DataError, match=r"other\.json"):
                load(tmp_path / "other.json")


class Knows(Detector):
    """Says the class of images whose corner holds it, unless the middle pixel is not as in clean images."""

    task = "classification"

    def __init__(self, classes: tuple[str, ...]):
        super().__init__()
        self.classes, self.hardener, self.config = classes, None, {}
        self.scale = nn.Parameter(torch.ones(()))

    def logits(self, images: list[Tensor]) -> Tensor:
        brightness = torch.stack([image.as_subclass(Tensor).float().mean() for image in images])
        return torch.eye(len(self.classes))[brightness.long() % len(self.classes)]


def test_evaluate_gives_the_mean_of_what_is_right_in_each_column() -> None:
    data = load_data("digits", split="val", occlusion={"pair_classes": 2, "random_places": 1}).subset(
        range(13 * 4 + 5)
    )
    model = Knows(data.classes)
    result = evaluate(model, data, progress=False, batch_size=7)
    assert isinstance(result, ImageResult)
    right = {}
    for image, target in data:
        said = int(model.logits([image]).argmax()) + 1
        right.setdefault(target["pattern"], []).append(said == target["label"])
    for name, patterns in result.columns.items():
        expected = np.mean([value for pattern in patterns for value in right[pattern]])
        assert result.summary[f"accuracy_{name}"] == pytest.approx(expected), name
    assert result.num_sources == 5


def test_losses_and_devices_come_with_it() -> None:
    data = load_data("digits", split="val").subset(range(6))
    model = build_detector(
        {"kind": "classifier", "backbone": {"name": "small", "widths": [8], "stem": 8}}, data.classes
    )
    result = evaluate(model, data, progress=False, losses=True, device="cpu")
    assert set(result.losses) == {"classifier"}
    assert list(result.summary) == ["accuracy_clean"]


def test_data_with_objects_are_refused() -> None:
    scenes = load_data("digit-scenes", split="val", length=2)
    with pytest.raises(DataError, match="no images of one class"):
        evaluate(Knows(scenes.classes), scenes, progress=False)
    with pytest.raises(DataError, match="knows the classes"):
        evaluate(Knows(("a", "b")), load_data("digits", split="val"), progress=False)
