"""What every target holds that follows from other parts of it."""

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from workbench.data.dataset import make_target
from workbench.training.stepping.batches import flip_horizontally
from workbench.types import Target


def target(**pixels: torch.Tensor) -> Target:
    """Two objects of 4 x 6 pixels, of which the left one is hidden by the right one in its last column."""
    boxes, labels = torch.tensor([[0.0, 0, 3, 4], [2, 0, 6, 4]]), torch.tensor([1, 1])
    return make_target(image_id=1, size=(4, 6), boxes=boxes, labels=labels, area=torch.ones(2), **pixels)


def masks() -> dict[str, torch.Tensor]:
    amodal = torch.zeros(2, 4, 6, dtype=torch.bool)
    amodal[0, :, :3] = amodal[1, :, 2:] = True
    return {"masks": amodal & ~torch.stack([amodal[1], torch.zeros(4, 6, dtype=torch.bool)]), "masks_amodal": amodal}


def test_where_whole_and_visible_pixels_are_known_so_is_what_hides_them() -> None:
    occluder = target(**masks())["mask_occluder"]
    assert type(occluder) is tv_tensors.Mask
    assert occluder.tolist() == [[False, False, True, False, False, False]] * 4
    assert "mask_occluder" not in target(masks=masks()["masks"])
    assert "mask_occluder" not in target(masks_amodal=masks()["masks_amodal"])
    own = torch.ones(4, 6, dtype=torch.bool)
    assert target(**masks(), mask_occluder=own)["mask_occluder"].all()
    empty = torch.zeros(0, 4, 6, dtype=torch.bool)
    bare = make_target(
        image_id=1, size=(4, 6), boxes=torch.zeros(0, 4), labels=torch.zeros(0), area=torch.zeros(0), masks=empty,
        masks_amodal=empty,
    )  # fmt: skip
    assert bare["mask_occluder"].shape == (4, 6)
    assert not bare["mask_occluder"].any()


def test_it_is_mirrored_resized_and_cropped_with_the_image() -> None:
    image = tv_tensors.Image(torch.zeros(3, 4, 6, dtype=torch.uint8))
    mirrored = flip_horizontally(image, target(**masks()))[1]["mask_occluder"]
    assert mirrored.tolist() == [[False, False, False, True, False, False]] * 4
    assert type(mirrored) is tv_tensors.Mask
    large = v2.Resize((8, 12))(image, target(**masks()))[1]
    assert large["mask_occluder"].tolist() == [[column in (4, 5) for column in range(12)]] * 8
    part = v2.CenterCrop((2, 2))(image, target(**masks()))[1]
    assert part["mask_occluder"].tolist() == [[True, False]] * 2
