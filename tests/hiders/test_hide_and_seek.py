"""Hide-and-Seek: cells of a grid, hidden each by itself, in the mean colour."""

from __future__ import annotations

import numpy as np
import torch

from workbench.hiders import HideAndSeek, Scene

IMAGE = torch.full((3, 40, 60), 200, dtype=torch.uint8)
TARGET = {"boxes": torch.tensor([[0.0, 0, 20, 40]]), "labels": torch.tensor([1])}
MEAN = torch.tensor([10, 20, 30], dtype=torch.uint8)


def hidden(seed: int, **options) -> tuple[torch.Tensor, torch.Tensor, dict]:
    scene = Scene(np.random.default_rng(seed), mean=MEAN)
    image, target = HideAndSeek(chance=1.0, **options).hide(IMAGE, TARGET, scene)
    return image, target["mask_hidden"].as_subclass(torch.Tensor), target


def test_cells_are_squares_and_all_of_one_or_none_of_it():
    """Four along the shorter side: 4 x 6 cells of 10 pixels."""
    cells = []
    for seed in range(40):
        _, pixels, target = hidden(seed, cells=[4])
        blocks = pixels.view(4, 10, 6, 10).transpose(1, 2).flatten(2)
        assert torch.equal(blocks.any(2), blocks.all(2))
        cells.append(blocks.any(2))
        expected = float(cells[-1][:, :2].float().mean())
        assert float(target["occlusion"][0]) == expected or expected == 0
    each = torch.stack(cells).float()
    assert 0.45 < float(each.mean()) < 0.55
    assert (each.mean(0) > 0.2).all(), "every cell is hidden now and then"
    assert (each.mean(0) < 0.8).all()


def test_hidden_cells_have_the_mean_colour_of_the_data():
    image, pixels, _ = hidden(1, cells=[5])
    assert torch.equal(image[:, pixels], MEAN[:, None].expand(-1, int(pixels.sum())))
    assert (image[:, ~pixels] == 200).all()
    assert HideAndSeek().needs_mean
    assert not HideAndSeek(fill="black").needs_mean


def test_the_last_cells_may_be_narrower():
    """Three along 40 pixels are 13.3 wide, and 4.5 of them fit into 60."""
    _, pixels, _ = hidden(2, cells=[3], share=0.5)
    assert [int(start) for start in (pixels[:, 1:] != pixels[:, :-1]).any(0).nonzero()[:, 0] + 1] in (
        [14, 27, 40, 54], [14, 27, 54], [14, 40, 54], [27, 40, 54], [14, 27, 40],
    )  # fmt: skip


def test_one_of_the_sizes_is_drawn_for_each_image():
    """Of cells of 20 pixels no edge lies between the columns 9 and 10; of cells of 10 there is one."""
    masks = [hidden(seed, cells=[2, 4])[1] for seed in range(12)]
    assert {bool((mask[:, 9] != mask[:, 10]).any()) for mask in masks} == {False, True}
