"""Response maps of a detector whose score is known in closed form, and hidden fractions counted by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.analysis.occlusion_response import (
    OcclusionResponse,
    box_coverage,
    grid_positions,
    hidden_fraction,
    occlusion_response,
    response_steps,
)
from workbench.data.drawing.occluders import paste
from workbench.errors import DataError
from workbench.types import Target


class MeanBrightness:
    """Scores class 1 of a box by the mean brightness of its pixels, 0..1."""

    classes = ("bright", "never")

    def __init__(self):
        self.batches = []

    def score_boxes(self, images, boxes):
        self.batches.append(len(images))
        out = []
        for image, box in zip(images, boxes, strict=True):
            x1, y1, x2, y2 = box[0].int().tolist()
            mean = image[:, y1:y2, x1:x2].float().mean() / 255
            out.append(torch.tensor([[1 - mean, mean, 0.0]]))
        return out


@pytest.fixture
def white():
    return torch.full((3, 32, 48), 255, dtype=torch.uint8)


def test_what_is_left_is_a_share_of_the_score_without_an_occluder():
    scores = torch.tensor([[0.0, 0.01], [0.02, 0.05]])
    response = OcclusionResponse(scores, torch.zeros(2, 2, 4), 8, 0.04, torch.zeros(4), 1)
    assert response.left.tolist() == [[0, 0.25], [0.5, 1]]
    never = OcclusionResponse(torch.zeros(1, 1), torch.zeros(1, 1, 4), 8, 0.0, torch.zeros(4), 1)
    assert never.left.tolist() == [[0]]


def test_grid_tiles_the_image():
    positions = grid_positions(32, 50, (4, 6), 8)
    assert positions.shape == (4, 7, 4)
    assert positions[0, 0].tolist() == [1, 2, 7, 6]  # centre (4, 4), 6 wide and 4 high
    assert positions[3, 6].tolist() == [49, 26, 55, 30]  # centre (52, 28): the last cell reaches outside


def test_scores_of_a_known_detector(white):
    """A grey occluder of 8 × 8 over a white box of 16 × 16: each score is 1 − covered share × (1 − 128/255)."""
    detector = MeanBrightness()
    box = torch.tensor([16.0, 8.0, 32.0, 24.0])
    response = occlusion_response(detector, white, box, 1, occluder_size=8, stride=8, batch_size=5)
    assert response.baseline == pytest.approx(1)
    covered = torch.zeros(4, 6)
    covered[1:3, 2:4] = 64 / 256  # the four cells of the box
    torch.testing.assert_close(response.scores, 1 - covered * (127 / 255))
    torch.testing.assert_close(response.drop, covered * (127 / 255))
    assert detector.batches == [1, 5, 5, 5, 5, 4]


def test_occluder_size_is_height_then_width(white):
    box = torch.tensor([0.0, 0.0, 48.0, 32.0])
    flat = occlusion_response(MeanBrightness(), white, box, 1, occluder_size=(2, 10), stride=16)
    assert (flat.positions[..., 2] - flat.positions[..., 0]).unique().tolist() == [10]
    assert (flat.positions[..., 3] - flat.positions[..., 1]).unique().tolist() == [2]


def test_an_occluder_covers_equally_many_pixels_everywhere(white):
    """With an odd stride and an even size the centres fall between pixels."""
    places = grid_positions(32, 48, (8, 8), 5)[1:-2, 1:-2].flatten(0, 1)
    assert {int(paste(white, place, "grey")[1].sum()) for place in places} == {64}


@settings(deadline=None, max_examples=20)
@given(height=st.integers(5, 30), width=st.integers(5, 30), stride=st.integers(3, 20), batch=st.integers(1, 9))
def test_each_cell_is_the_score_at_its_position(height, width, stride, batch):
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    box = torch.tensor([1.0, 1.0, width - 1.0, height - 1.0])
    detector = MeanBrightness()
    response = occlusion_response(
        detector, image, box, 1, occluder_size=(4, 3), stride=stride, texture="brick", batch_size=batch
    )
    for row, places in zip(response.scores, response.positions, strict=True):
        for score, place in zip(row, places, strict=True):
            alone = detector.score_boxes([paste(image, place, "brick")[0]], [box[None]])[0][0, 1]
            assert float(score) == pytest.approx(float(alone), abs=1e-6)


def test_grows_from_the_object_outwards(white):
    box = torch.tensor([32.0, 16.0, 48.0, 32.0])
    steps = list(response_steps(MeanBrightness(), white, box, 1, occluder_size=8, stride=8, batch_size=4))
    assert [round(step.done * 24) for step in steps] == [4, 8, 12, 16, 20, 24]
    assert steps[0].scores[2:4, 4:6].isfinite().all()  # the cells inside the box come first
    assert steps[0].scores[:2].isnan().all()


def test_the_coarse_map_comes_first(white):
    """8 × 12 cells of 4 pixels: 2 × 3 of them are the middles of 4 × 4; the whole is the same in any order."""
    box = torch.tensor([32.0, 16.0, 48.0, 32.0])
    options = {"occluder_size": 8, "stride": 4, "batch_size": 6}
    steps = list(response_steps(MeanBrightness(), white, box, 1, **options, coarse_first=True))
    known = steps[0].scores.isfinite()
    assert known.sum() == 6
    assert known[2::4, 2::4].all()
    assert steps[4].scores[1::2, 1::2].isfinite().all()
    whole = occlusion_response(MeanBrightness(), white, box, 1, **options)
    assert torch.equal(steps[-1].scores, whole.scores)


def test_progress_and_generator(white):
    shares = []
    options = {"occluder_size": 9, "stride": 16, "texture": "noise", "batch_size": 2}
    box = torch.tensor([0.0, 0.0, 16.0, 16.0])

    def run(seed):
        generator = torch.Generator().manual_seed(seed)
        return occlusion_response(
            MeanBrightness(), white, box, 1, generator=generator, progress=shares.append, **options
        ).scores

    assert torch.equal(run(3), run(3))
    assert not torch.equal(run(3), run(4))
    assert shares[:3] == pytest.approx([1 / 3, 2 / 3, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": 0}, "stride 0"),
        ({"occluder_size": -1}, r"occluder_size \(-1, -1\)"),
        ({"label": 3}, r"label 3 is outside 1\.\.2"),
        ({"label": 0}, "label 0"),
        ({"image": torch.zeros(3, 8, 8)}, "float32"),
        ({"texture": "wool"}, "wool"),
    ],
)
def test_impossible_settings_are_named(white, change, message):
    settings = {"image": white, "label": 1, "occluder_size": 8, "stride": 8, **change}
    with pytest.raises(DataError, match=message):
        occlusion_response(MeanBrightness(), box=torch.tensor([0, 0, 9, 9]), **settings)


def _square(y1, y2, x1, x2):
    mask = torch.zeros(10, 10, dtype=torch.bool)
    mask[y1:y2, x1:x2] = True
    return mask


def test_hidden_fraction_counts_what_was_hidden_before():
    """Object of 16 pixels, 4 of them hidden already; the occluder covers 8, 2 of which are hidden ones."""
    target = Target(
        boxes=torch.tensor([[0.0, 0.0, 4.0, 4.0]]),
        masks_amodal=_square(0, 4, 0, 4)[None],
        masks=_square(0, 4, 0, 3)[None],
    )
    occluder = _square(2, 4, 0, 10)
    assert hidden_fraction(target, 0, occluder) == ((4 + 6) / 16, "object")
    del target["masks_amodal"]
    assert hidden_fraction(target, 0, occluder) == (6 / 12, "visible pixels")
    del target["masks"]
    assert hidden_fraction(target, 0, occluder) == (8 / 16, "box")


def test_coverage_of_a_box_that_leaves_the_image():
    assert box_coverage(torch.tensor([-5.0, 8.0, 4.0, 99.0]), _square(9, 10, 0, 2)) == 2 / 8
    assert box_coverage(torch.tensor([20.0, 20.0, 30.0, 30.0]), _square(0, 10, 0, 10)) == 0
