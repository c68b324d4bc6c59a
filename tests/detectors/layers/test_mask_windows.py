"""Which windows look for which objects, and what they should see there: by hand, and by the rule for each place."""

import math

import pytest
import torch

from workbench.detectors.layers.mask_windows import MaskWindows, have_masks, mask_goals, sample_places

SHAPES = ((16, 20), (8, 10))  #: of the maps of an image of 64 x 80 pixels at strides 4 and 8
BOTH = MaskWindows((4, 8), sizes=(5, 7), finest_scale=32.0, padding=1.25)
NUMBERS = (320, 320, 80, 80)  #: of the places of each window at each level


def maps(batch: int = 1) -> list[torch.Tensor]:
    return [torch.zeros(batch, 3, *shape) for shape in SHAPES]


def owned(*boxes: tuple[float, ...]) -> list[torch.Tensor]:
    """The owners of both windows at both levels [h, w] of an image with these objects."""
    owners = BOTH.assign(maps(), [torch.tensor(boxes).reshape(-1, 4)])[0].split(NUMBERS)
    return [each.view(*SHAPES[slot // 2]) for slot, each in enumerate(owners)]


def claimed(owners: torch.Tensor, row: int = 0) -> list[list[int]]:
    """Rows and columns that an object has."""
    return (owners == row).nonzero().tolist()


def test_scales_and_regions_are_those_of_the_paper():
    """{32, 64, ..., 512} px at P2 to P6 for 5 x 5, √2 more for 7 x 7, and a quarter more for the regions."""
    windows = MaskWindows((4, 8, 16, 32, 64), sizes=(5, 7), finest_scale=32.0, padding=1.25)
    assert windows.scales[::2] == [32, 64, 128, 256, 512]
    assert windows.scales[1::2] == pytest.approx([math.sqrt(2) * scale for scale in (32, 64, 128, 256, 512)])
    places = windows.places([torch.zeros(1, 1, 1, 1)] * 5)
    assert places.side[::2].tolist() == [40, 80, 160, 320, 640]
    assert places.level.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert places.window.tolist() == [0, 1] * 5
    alone = MaskWindows((4, 8), sizes=(7,), finest_scale=32.0, padding=1.25)
    assert alone.scales == pytest.approx([45.25, 90.51], abs=0.01)


def test_places_go_level_by_level_window_by_window_row_by_row():
    places = BOTH.places(maps())
    assert len(places.row) == sum(NUMBERS)
    some = places.take(torch.tensor([0, 319, 320 + 21, 640, 640 + 80 + 79]))
    assert some.level.tolist() == [0, 0, 0, 1, 1]
    assert some.window.tolist() == [0, 0, 1, 0, 1]
    assert some.row.tolist() == [0, 15, 1, 0, 7]
    assert some.column.tolist() == [0, 19, 1, 0, 9]
    regions = some.regions()  # 40 px about the centre of the first cell, which is at 2 px, and so on
    assert regions[[0, 1, 3]].tolist() == [[-18, -18, 22, 22], [58, 42, 98, 82], [-36, -36, 44, 44]]
    assert (regions[2, 2:] - regions[2, :2]).tolist() == pytest.approx([40 * math.sqrt(2)] * 2)


@pytest.mark.parametrize(
    ("side", "slot"),
    [(3.0, 0), (32.0, 0), (38.0, 0), (38.1, 1), (45.0, 1), (53.8, 1), (53.9, 2), (76.0, 2), (76.2, 3), (500.0, 3)],
)
def test_the_nearest_scale_in_log_space_has_the_object(side, slot):
    """The borders are 32 * 2^(1/4) = 38.05, 32 * 2^(3/4) = 53.82 and 64 * 2^(1/4) = 76.11."""
    for width, height in ((side, side / 3), (side / 3, side)):
        owners = owned((33 - width / 2, 21 - height / 2, 33 + width / 2, 21 + height / 2))
        assert [bool((each >= 0).any()) for each in owners] == [number == slot for number in range(4)]


def test_cells_within_one_cell_of_the_centre():
    """At stride 4 the centre (25, 20) lies at column 5.75 and row 4.5, counted from the centre of the first cell."""
    owners = owned((10.0, 10, 40, 30))
    assert claimed(owners[0]) == [[4, 5], [4, 6], [5, 5], [5, 6]]
    assert claimed(owned((7.0, 8, 37, 28))[0]) == [[row, column] for row in (3, 4, 5) for column in (4, 5, 6)]
    assert claimed(owned((0.0, 0, 2, 30))[0]) == [[3, 0], [4, 0]], "there is no column before the first"
    assert claimed(owned((65.0, 50, 80, 64))[0]) == [[13, 17], [13, 18], [14, 17], [14, 18]]


def test_the_nearer_object_has_a_cell_and_of_two_equal_ones_the_first():
    first, second = (4.0, 4, 34, 34), (7.0, 4, 37, 34)  # centres (19, 19) and (22, 19): columns 4.25 and 5
    owners = owned(first, second)[0]
    assert owners[4].tolist() == [-1] * 4 + [0, 1, 1] + [-1] * 13
    assert claimed(owned(first, first)[0]) == claimed(owned(first)[0])


def by_rule(boxes: torch.Tensor) -> torch.Tensor:
    """The owner of each place, as the module's docstring says it."""
    places, out = BOTH.places(maps()), []
    for level, window, row, column in zip(*(part.tolist() for part in places[:4]), strict=True):
        stride, best = (4, 8)[level], (2.0, -1)
        for number, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            apart = [abs(math.log(max(x2 - x1, y2 - y1) / scale)) for scale in BOTH.scales]
            x, y = (x1 + x2) / 2 / stride - column - 0.5, (y1 + y2) / 2 / stride - row - 0.5
            mine = apart.index(min(apart)) == 2 * level + window
            if mine and max(abs(x), abs(y)) <= 1 and (x * x + y * y, number) < best:
                best = (x * x + y * y, number)
        out.append(best[1])
    return torch.tensor(out)


def random_boxes(number: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(number, 2, generator=generator) * torch.tensor([80.0, 64.0])
    half = 2 ** (2 + 4 * torch.rand(number, 2, generator=generator)) / 2
    return torch.cat([centre - half, centre + half], dim=1)


def test_all_images_at_once_follow_the_rule():
    boxes = [random_boxes(number, seed) for seed, number in enumerate((12, 0, 1, 40))]
    owners = BOTH.assign(maps(4), boxes)
    assert owners.dtype == torch.int64
    for own, each in zip(owners, boxes, strict=True):
        assert torch.equal(own, by_rule(each))
    assert (BOTH.assign(maps(2), [torch.zeros(0, 4)] * 2) == -1).all()


def test_mirrored_objects_have_mirrored_places():
    boxes = random_boxes(20, 7)
    mirrored = torch.stack([80 - boxes[:, 2], boxes[:, 1], 80 - boxes[:, 0], boxes[:, 3]], dim=1)
    for one, other in zip(owned(*boxes.tolist()), owned(*mirrored.tolist()), strict=True):
        assert torch.equal(one.flip(1), other)
    places = BOTH.places(maps())
    regions = places.regions().split(NUMBERS)[1].view(16, 20, 4)
    assert torch.equal(80 - regions.flip(1)[..., [2, 1, 0, 3]][..., [0, 2]], regions[..., [0, 2]])


def test_cells_of_the_image_and_of_what_fills_up_the_batch():
    within = BOTH.places(maps()).within([(64, 80), (33, 41)])
    assert within[0].all()
    fine, _, coarse, _ = within[1].split(NUMBERS)
    rows, columns = torch.where(fine.view(16, 20))
    assert (rows.max(), columns.max()) == (8, 10), "the cell that begins at 32 px holds the last row of pixels"
    assert int(coarse.sum()) == 5 * 6


def test_samples_are_within_and_a_quarter_positive():
    owners = torch.full((2, 100), -1)
    owners[0, :40], owners[1, 3] = 0, 2
    within = torch.ones(2, 100, dtype=torch.bool)
    within[1, 50:] = False
    image, place = sample_places(owners, within, 40, 0.25, torch.Generator().manual_seed(0))
    assert torch.bincount(image).tolist() == [40, 40]
    assert (owners[image, place] >= 0).split(40)[0].sum() == 10
    assert (owners[1, place[40:]] >= 0).sum() == 1
    assert place[40:].max() < 50
    again = sample_places(owners, within, 40, 0.25, torch.Generator().manual_seed(0))
    assert torch.equal(again[1], place)


def test_who_has_a_mask():
    masks = [torch.zeros(2, 4, 4, dtype=torch.uint8), torch.zeros(0, 4, 4, dtype=torch.uint8)]
    masks.append(torch.ones(1, 4, 4, dtype=torch.uint8))
    masks[0][1, 2, 2] = 1
    image, owner = torch.tensor([0, 0, 0, 1, 2, 2]), torch.tensor([0, 1, -1, -1, 0, -1])
    assert have_masks(masks, image, owner).tolist() == [False, True, False, False, True, False]
    assert not have_masks([masks[1]], torch.zeros(3, dtype=torch.long), torch.full((3,), -1)).any()


def test_goals_by_hand():
    """Regions of 8 x 8 px with goals of 4 x 4 cells of 2 px; `roi_align` repeats the image's last pixel once."""
    masks = [torch.zeros(2, 12, 16, dtype=torch.uint8), torch.ones(1, 12, 16, dtype=torch.uint8)]
    masks[0][1, 4:8, 6:10] = 1
    regions = torch.tensor([[4.0, 2, 12, 10], [6, 4, 14, 12], [4, 2, 12, 10], [12, 8, 20, 16]])
    image, owner = torch.tensor([0, 0, 0, 1]), torch.tensor([1, 1, 0, 0])
    goals = mask_goals(masks, regions, image, owner, 4)
    middle, corner = torch.zeros(4, 4), torch.zeros(4, 4)
    middle[1:3, 1:3] = corner[:2, :2] = 1
    assert torch.equal(goals[:3], torch.stack([middle, corner, torch.zeros(4, 4)]))
    ends = torch.tensor([1, 1, 0.5, 0])
    assert torch.equal(goals[3], ends[:, None] * ends)


def test_goals_of_mirrored_masks_are_mirrored():
    masks = (torch.rand(3, 64, 80, generator=torch.Generator().manual_seed(0)) > 0.5).byte()
    regions = BOTH.places(maps()).take(torch.tensor([5, 200, 700])).regions()
    other = torch.stack([80 - regions[:, 2], regions[:, 1], 80 - regions[:, 0], regions[:, 3]], dim=1)
    image, owner = torch.zeros(3, dtype=torch.long), torch.arange(3)
    one = mask_goals([masks], regions, image, owner, 14)
    torch.testing.assert_close(mask_goals([masks.flip(2)], other, image, owner, 14), one.flip(2))
