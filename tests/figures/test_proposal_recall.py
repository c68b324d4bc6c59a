"""Figures of proposals show what recall says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.data import Dataset
from workbench.errors import DataError
from workbench.evaluation.proposal_recall import LIMITS, SIZES, ProposalRecall, proposal_recall
from workbench.figures.proposal_recall import proposal_recall_figure, proposal_recall_page, proposal_recall_panels
from workbench.rle import encode_masks
from workbench.types import Proposals


class Squares(Dataset):
    """One image with a small, a medium and a large square, and so many proposals that are somewhat too wide."""

    name, split, classes = "squares", "all", ("a",)

    def __init__(self, proposals: int, *, hidden: bool = True):
        sides = torch.tensor([20.0, 60.0, 120.0])
        boxes = torch.stack([torch.zeros(3), torch.zeros(3), sides, sides], dim=1)
        wide = torch.cat([boxes * torch.tensor([1, 1, 1 + k / 20, 1]) for k in range(proposals)]).flip(0)
        scores = torch.linspace(1, 0.1, len(wide))
        inside = [torch.zeros(150, 300, dtype=torch.bool) for _ in (*wide, *boxes)]
        for mask, (_, _, right, bottom) in zip(inside, torch.cat([wide, boxes]).int().tolist(), strict=True):
            mask[:bottom, :right] = True
        masks = torch.stack(inside)
        given = Proposals(wide, scores, encode_masks(masks[: len(wide)]))
        self.known = {"boxes": boxes, "labels": torch.ones(3, dtype=torch.long), "masks": masks[len(wide) :]}
        self.known |= {"proposals": given} | ({"occlusion": torch.tensor([0.0, 0.1, 0.7])} if hidden else {})

    def __len__(self) -> int:
        return 1

    def target(self, index: int) -> dict:
        return self.known

    def size(self, index: int) -> tuple[int, int]:
        return 150, 300


@pytest.fixture(scope="module")
def recalls() -> dict[str, ProposalRecall]:
    return {"few": proposal_recall(Squares(4)), "many": proposal_recall(Squares(12))}


def test_two_panels_show_each_number_of_proposals_and_each_name(recalls):
    recall = recalls["many"]
    left, right = proposal_recall_figure(recall).axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == [f"best {limit}" for limit in LIMITS]
    for line, limit in zip(left.lines, LIMITS, strict=True):
        np.testing.assert_allclose(line.get_ydata(), recall.against_iou(limit)["all"])
    line = right.lines[0]
    assert line.get_xdata()[[0, -1]].tolist() == [1, 1000]
    np.testing.assert_allclose(line.get_ydata(), recall.against_number().loc[line.get_xdata(), "all"])
    assert line.get_ydata()[0] < line.get_ydata()[-1]
    right = proposal_recall_figure(recalls, size="large").axes[1]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["few", "many"]


def test_what_overlaps_is_said(recalls):
    masks = proposal_recall(Squares(4), iou_type="segm")
    assert proposal_recall_figure(masks).axes[0].get_xlabel() == "IoU of masks"
    left, right = proposal_recall_figure({"one": recalls["few"], "two": masks}).axes
    assert left.get_xlabel() == "IoU of boxes or masks"
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["one (boxes)", "two (masks)"]


def test_panels_are_those_of_the_thesis_and_one_by_occlusion(recalls):
    figure = proposal_recall_panels(recalls)
    titles = [*(f"{size} objects" for size in SIZES), *(f"best {limit} proposals" for limit in LIMITS)]
    assert [axes.get_title() for axes in figure.axes] == [*titles, "best 100, average recall"]
    assert [axes.get_xscale() for axes in figure.axes] == ["log"] * 4 + ["linear"] * 4
    for axes, size in zip(figure.axes, SIZES, strict=False):
        for line, recall in zip(axes.lines, recalls.values(), strict=True):
            np.testing.assert_allclose(line.get_ydata(), recall.against_number().loc[line.get_xdata(), size])
    np.testing.assert_allclose(figure.axes[4].lines[1].get_ydata(), recalls["many"].against_iou(10)["all"])
    hidden = figure.axes[7].lines[0].get_ydata()
    np.testing.assert_allclose(hidden, recalls["few"].by_occlusion["AR@100"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["few", "many"]
    plain = proposal_recall_panels(proposal_recall(Squares(4, hidden=False)))
    assert not plain.axes[7].axison
    assert plain.legends == []


def test_the_page_has_the_same_curves(recalls):
    page, panels = proposal_recall_page(recalls), proposal_recall_panels(recalls)
    assert [note.text for note in page.layout.annotations] == [axes.get_title() for axes in panels.axes]
    drawn = [line for axes in panels.axes for line in axes.lines]
    assert len(page.data) == len(drawn)
    for trace, line in zip(page.data, drawn, strict=True):
        np.testing.assert_allclose(trace.y.astype(float), line.get_ydata())
        assert trace.name == line.get_label()
    assert [trace.showlegend for trace in page.data] == [True] * 2 + [False] * (len(drawn) - 2)
    assert page.layout.xaxis.type == "log"
    low = page.data[-1].y - page.data[-1].error_y.arrayminus
    known = recalls["many"].by_occlusion
    np.testing.assert_allclose(low.astype(float), np.minimum(known["low"], known["AR@100"]))


def test_nothing_to_show_is_said(recalls):
    with pytest.raises(DataError, match="'tiny'"):
        proposal_recall_figure(recalls, size="tiny")
    for draw in (proposal_recall_figure, proposal_recall_panels, proposal_recall_page):
        with pytest.raises(DataError, match="No recalls"):
            draw({})
