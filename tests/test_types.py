"""Values that cross the seams: what is learned of targets, what is done to every part of detections and proposals."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench import types
from workbench.errors import DataError
from workbench.rle import encode_masks
from workbench.training.recipe_sections import Stage
from workbench.types import Detections, Proposals, Target, TrainingStage, check_label, learnable


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


HEIGHT, WIDTH = 9, 12


@st.composite
def proposals(draw, masks: bool | None = None) -> Proposals:
    """Any number, with and without masks, some of them outside the image."""
    number = draw(st.integers(0, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corners = np.sort(rng.integers(-4, 16, (number, 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
    scores = np.sort(rng.random(number).astype(np.float32))[::-1].copy()
    with_masks = draw(st.booleans()) if masks is None else masks
    codes = encode_masks(torch.from_numpy(rng.random((number, HEIGHT, WIDTH)) > 0.5)) if with_masks else None
    return Proposals(torch.from_numpy(corners), torch.from_numpy(scores), codes)


def same(one: Proposals, other: Proposals) -> bool:
    parts = torch.equal(one.boxes, other.boxes) and torch.equal(one.scores, other.scores)
    return parts and one.masks == other.masks


@given(some=proposals(), keep=st.lists(st.booleans(), min_size=6, max_size=6), start=st.integers(0, 6))
def test_rows_are_kept_in_all_parts(some, keep, start):
    """By flags, by numbers and by slices the same."""
    flags = torch.tensor(keep[: len(some)], dtype=torch.bool)
    rows = flags.nonzero()[:, 0]
    assert same(some[flags], some[rows])
    assert torch.equal(some[flags].boxes, some.boxes[rows])
    assert some.masks is None or some[flags].masks == [some.masks[row] for row in rows]
    assert same(some[start:], some[torch.arange(len(some))[start:]])
    assert same(some.top(2), some[:2])
    assert same(some.to("cpu"), some)


@given(some=proposals())
def test_clipped_to_the_image_row_by_row(some):
    kept = some.inside((HEIGHT, WIDTH), smallest=2)
    rows = []
    for row, (x1, y1, x2, y2) in enumerate(some.boxes.tolist()):
        box = [min(max(x1, 0), WIDTH), min(max(y1, 0), HEIGHT), min(max(x2, 0), WIDTH), min(max(y2, 0), HEIGHT)]
        if box[2] - box[0] >= 2 and box[3] - box[1] >= 2:
            rows.append((row, box))
    assert kept.boxes.tolist() == [box for _, box in rows]
    assert kept.scores.tolist() == [float(some.scores[row]) for row, _ in rows]
    assert kept.masks == (None if some.masks is None else [some.masks[row] for row, _ in rows])
    assert same(kept.inside((HEIGHT, WIDTH), smallest=2), kept)


@given(some=proposals(masks=True))
def test_mirrored_with_their_masks(some):
    flipped = some.flip_horizontally(WIDTH)
    assert torch.equal(flipped.decode_masks(), some.decode_masks().flip(-1))
    assert torch.equal(flipped.boxes[:, 0], WIDTH - some.boxes[:, 2])
    assert torch.equal(flipped.boxes[:, 3], some.boxes[:, 3])
    assert same(flipped.flip_horizontally(WIDTH), some)


def test_ranks_where_there_are_no_scores():
    boxes = torch.tensor([[0.0, 0, 4, 4], [1, 1, 3, 3], [2, 2, 5, 5]])
    some = Proposals.of(boxes)
    assert some.scores.tolist() == pytest.approx([1, 1 / 2, 1 / 3])
    assert some.masks is None
    many = Proposals.ranked(torch.zeros(10_000, 4)).scores
    assert bool((many[1:] < many[:-1]).all()), "no two are equal"
    assert Proposals.of(some) is some


def test_detections_without_their_classes():
    masks = torch.zeros(2, HEIGHT, WIDTH, dtype=torch.bool)
    masks[0, 2:5, 3:8] = True
    found = Detections(torch.rand(2, 4), torch.tensor([1, 3]), torch.tensor([0.9, 0.2]), masks)
    some = Proposals.of(found)
    assert torch.equal(some.scores, found.scores)
    assert torch.equal(some.decode_masks(), masks)
    assert Proposals.of(Detections(found.boxes, found.labels, found.scores)).masks is None


def test_parts_that_do_not_fit_are_named():
    with pytest.raises(DataError, match=r"boxes \(2, 4\), scores \(3,\) do not fit together"):
        Proposals(torch.zeros(2, 4), torch.zeros(3))
    with pytest.raises(DataError, match=r"boxes \(2, 4\), scores \(2,\) and 1 masks"):
        Proposals(torch.zeros(2, 4), torch.zeros(2), [{"size": [1, 1], "counts": b"1"}])
    with pytest.raises(DataError, match=r"boxes \(2, 5\)"):
        Proposals(torch.zeros(2, 5), torch.zeros(2))


def test_masks_are_not_decoded_by_accident(monkeypatch):
    some = Proposals.ranked(torch.zeros(3, 4))
    with pytest.raises(DataError, match="boxes without masks"):
        some.decode_masks()
    some = Proposals(some.boxes, some.scores, encode_masks(torch.ones(3, HEIGHT, WIDTH)))
    monkeypatch.setattr(types, "MASK_BYTES", 2 * HEIGHT * WIDTH)
    with pytest.raises(DataError, match=r"3 masks of 9 x 12 pixels .* proposals\.top\(20\)\.decode_masks"):
        some.decode_masks()
    assert some.top(2).decode_masks().all()
    assert "counts" not in repr(some)


def test_crowds_and_difficult_objects_are_not_learned():
    target = Target(
        boxes=torch.zeros(4, 4),
        labels=torch.tensor([1, 2, 1, 3]),
        iscrowd=torch.tensor([True, False, False, True]),
        difficult=torch.tensor([0, 1, 0, 1]),  # some files write numbers
    )
    assert learnable(target).tolist() == [False, False, True, False]


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=6), st.sets(st.sampled_from(["iscrowd", "difficult"]))
)
def test_a_flag_that_is_absent_leaves_no_object_out(flags, known):
    columns = dict(zip(("iscrowd", "difficult"), zip(*flags, strict=True) if flags else ((), ()), strict=True))
    target = Target(labels=torch.ones(len(flags), dtype=torch.int64))
    target.update({name: torch.tensor(columns[name], dtype=torch.bool) for name in known})
    wanted = [not any(columns[name][row] for name in known) for row in range(len(flags))]
    assert learnable(target).tolist() == wanted


def test_code_that_knows_bare_boxes_takes_proposals_as_such():
    some = Proposals.ranked(torch.tensor([[0.0, 0, 4, 4], [2, 2, 6, 6]]))
    assert torch.equal(some.as_subclass(torch.Tensor), some.boxes)
    assert np.asarray(some).tolist() == some.boxes.tolist()


@pytest.mark.parametrize("label", [1, 3, np.int64(2), torch.tensor(3)])
def test_whole_numbers_of_any_kind_are_labels(label):
    check_label(label, 3)
    check_label(0, 3, least=0)


@pytest.mark.parametrize("label", [0, 4, -1, 2.0, "2", None, [1], torch.tensor([1, 2])])
def test_what_is_no_label_is_said(label):
    with pytest.raises(
        DataError, match=r"^label .* (is outside|is no whole number; expected one in) 1\.\.3, the classes$"
    ):
        check_label(label, 3)


# ---------------------------------------------------------------------------------------- detections in notebooks


def cells(page: str) -> list[list[str]]:
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(<td.*?)</tr>", page)]


def test_detections_by_hand():
    found = detections()
    found.labels = torch.tensor([3, 1, 3])
    more = "masks of 1 × 3 pixels, with shape, hidden"
    assert repr(found) == f"Detections(3 objects, scores 0.10 to 0.90, 2 labels, {more})"
    page = found._repr_html_()
    assert cells(page) == [
        ["3", "2", "0.900"], ["1", "1", "0.500"],
        ["3", "0.900", "0, 1, 2, 3"], ["1", "0.500", "4, 5, 6, 7"], ["3", "0.100", "8, 9, 10, 11"],
    ]  # fmt: skip
    assert "all of them" in page


def test_no_detections():
    none = detections()[:0]
    assert repr(none) == "Detections(0 objects, masks of 1 × 3 pixels, with shape, hidden)"
    assert none._repr_html_() == f"<p>{repr(none).replace('(', ': ', 1)[:-1]}</p>"


def test_of_many_detections_the_best_are_shown_whatever_their_order():
    number = 50
    scores = torch.linspace(0, 1, number)
    found = Detections(torch.zeros(number, 4), torch.arange(1, number + 1), scores)
    rows = cells(found._repr_html_())
    assert rows[types.MOST_LABELS] == [f"{number - types.MOST_LABELS} more", str(number - types.MOST_LABELS), ""]
    best = rows[types.MOST_LABELS + 1 :]
    assert len(best) == types.MOST_SHOWN
    assert best[0][:2] == ["50", "1.000"]


def test_detections_that_learn_or_lie_elsewhere_or_are_none():
    found = detections()
    found.scores = found.scores.bfloat16().requires_grad_()
    assert "scores 0.10 to 0.90" in found._repr_html_()
    away = detections().to("meta")  # has no values
    assert repr(away).startswith("<Detections, which cannot be shown:")
    assert away._repr_html_().startswith("<p>&lt;Detections, which cannot be shown:")
    broken = Detections(torch.zeros(2, 4), torch.ones(1, dtype=torch.long), torch.tensor([float("nan")] * 2))
    assert "Detections" in repr(broken) + broken._repr_html_()
    hostile = detections()
    hostile.extras = {"<script>\n": torch.zeros(3), "x" * 999: torch.zeros(3)}
    assert "<script" not in hostile._repr_html_()
    assert len(repr(hostile)) < 200
