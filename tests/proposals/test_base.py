"""Proposals as data: what is computed and kept, what files hold, and what is said of wrong ones."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from folders import coco_content, write_coco
from scipy.io import savemat
from torchvision import tv_tensors

from workbench import Recipe, load_data, plug_in, plugins, with_proposals
from workbench.data import Dataset
from workbench.data.dataset import make_target
from workbench.errors import DataError, RecipeError
from workbench.proposals import Computed, SelectiveSearch, WithProposals, prepare
from workbench.registry import PROPOSALS
from workbench.rle import encode_masks
from workbench.training.stepping.batches import flip_horizontally, load_spec
from workbench.types import Proposals


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Squares(Dataset):
    """Two images of 60 × 80 pixels with a bright rectangle, numbered 5 and 6."""

    name, split, classes = "squares", "all", ("square",)
    box = (20.0, 10.0, 50.0, 40.0)

    def __len__(self) -> int:
        return 2

    def image(self, index: int) -> tv_tensors.Image:
        pixels = torch.full((3, 60, 80), 40 + index, dtype=torch.uint8)
        pixels[:, 10:40, 20:50] = 220
        return tv_tensors.Image(pixels)

    def target(self, index: int) -> dict:
        boxes = torch.tensor([self.box])
        return make_target(
            image_id=5 + index, size=(60, 80), boxes=boxes, labels=torch.ones(1), area=torch.tensor([900.0])
        )

    def size(self, index: int) -> tuple[int, int]:
        return 60, 80

    def file_name(self, index: int) -> str:
        return f"{index:06d}.jpg"


def given(data: Dataset, index: int) -> list[list[float]]:
    return data.target(index)["proposals"].boxes.tolist()


def write_results(path, entries) -> str:
    path.write_text(json.dumps(entries))
    return str(path)


def cells(*parts: list[list[float]]) -> np.ndarray:
    """A MATLAB cell [1, N] of arrays."""
    cell = np.empty((1, len(parts)), dtype=object)
    for place, part in enumerate(parts):
        cell[0, place] = np.array(part, np.float64)
    return cell


def test_computed_once_and_kept(tmp_path):
    calls = []

    def propose(image: torch.Tensor) -> torch.Tensor:
        calls.append(int(image[0, 0, 0]))
        return torch.tensor([[-5.0, 2, 30, 90], [1, 1, 2, 50], [3, 3, 9, 9]])

    data = WithProposals(Squares(), Computed(propose, {"a": 1}, cache=tmp_path))
    assert given(data, 0) == [[0, 2, 30, 60], [3, 3, 9, 9]], "clipped to the image, thin ones left out"
    assert data.prepare(progress=False) is data
    assert sorted(calls) == [40, 41]
    image, target = data[1]
    assert torch.equal(image, Squares().image(1))
    assert isinstance(target["proposals"], Proposals)
    torch.testing.assert_close(
        target["proposals"].scores, torch.tensor([1, 1 / 3]), msg="ranks stay with their boxes"
    )
    again = WithProposals(Squares(), Computed(propose, {"a": 1}, cache=tmp_path), top=1)
    assert given(again.subset([1]), 0) == [[0, 2, 30, 60]]
    assert calls == [40, 41]
    given(WithProposals(Squares(), Computed(propose, {"a": 2}, cache=tmp_path)), 0)
    assert calls == [40, 41, 40], "other options, other boxes"
    broken = next(path for path in tmp_path.rglob("*.safetensors"))
    for wrong in (b"", b"no numpy", broken.read_bytes()[:-4]):
        for path in tmp_path.rglob("*.safetensors"):
            path.write_bytes(wrong)
        assert len(given(WithProposals(Squares(), Computed(propose, {"a": 1}, cache=tmp_path)), 0)) == 2
    assert calls[3:] == [40] * 3, "what cannot be read is made anew"
    assert not list(tmp_path.rglob(".partial-*"))


def test_scores_and_masks_are_kept(tmp_path):
    """From what proposes through the cache to the target, clipped row by row."""
    masks = torch.zeros(3, 60, 80)
    masks[0, :9], masks[1, :5], masks[2, :3] = 1, 1, 1
    made = Proposals(
        torch.tensor([[-5.0, 2, 30, 90], [1, 1, 2, 50], [3, 3, 9, 9]]),
        torch.tensor([9, 0.5, -3]),
        encode_masks(masks),
    )
    for propose in (lambda _: made, lambda _: 1 / 0):  # the second time from the cache
        given = WithProposals(Squares(), Computed(propose, {}, cache=tmp_path)).target(0)["proposals"]
        assert given.scores.tolist() == [9, -3]
        assert torch.equal(given.decode_masks(), masks[[0, 2]] > 0)
    (old,) = (path.with_suffix(".npy") for path in tmp_path.rglob("*.safetensors"))
    np.save(old, np.zeros((7, 4), np.float32))
    assert len(WithProposals(Squares(), Computed(propose, {}, cache=tmp_path)).target(0)["proposals"]) == 2


def test_a_part_is_computed_and_told_until_enough(tmp_path):
    calls = []

    def propose(image: torch.Tensor) -> torch.Tensor:
        calls.append(int(image[0, 0, 0]))
        return torch.tensor([[1.0, 2, 30, 50]])

    data = WithProposals(Squares(), Computed(propose, {}, cache=tmp_path))
    prepare(data, progress=False, part=(1, 2))
    assert calls == [41]
    heard = []
    prepare(data, progress=False, proceed=lambda *numbers: heard.append(numbers) or False)
    assert heard == [(1, 2)]
    prepare(data.subset([1]).subset([0]), progress=False, proceed=lambda *numbers: heard.append(numbers) or True)
    assert heard[1:] == [(1, 1)], "of a part of the data only that"
    prepare(Squares(), progress=False, proceed=lambda *_: heard.append("nothing to do"))
    assert len(heard) == 2


def test_objects_in_cached_files_are_not_unpickled(tmp_path):
    source = Computed(lambda _: torch.zeros(0, 4), {}, cache=tmp_path)
    source(Squares(), 0, 5)
    path = next(tmp_path.rglob("*.safetensors"))
    np.save(path, np.array([print], dtype=object), allow_pickle=True)
    assert source(Squares(), 0, 5).boxes.shape == (0, 4)


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    data = WithProposals(Squares(), Computed(lambda _: torch.zeros(0, 4), {}, cache=tmp_path / "file"))
    with pytest.raises(DataError, match=r"file/.*cannot be kept here.*`cache`"):
        data.target(0)


def test_selective_search_finds_a_rectangle(tmp_path):
    pytest.importorskip("cv2", reason="selective search needs opencv-contrib-python-headless")
    data = with_proposals(Squares(), kind="selective-search", cache=str(tmp_path))
    boxes = data.target(0)["proposals"].boxes
    assert min(float((box - torch.tensor(Squares.box)).abs().max()) for box in boxes) <= 2
    search = SelectiveSearch(longest=40)
    small = search(Squares().image(0)).boxes
    assert torch.equal(small, search(Squares().image(0)).boxes), "the same boxes in the same order"
    assert min(float((box - torch.tensor(Squares.box)).abs().max()) for box in small) <= 4


def test_without_opencv_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cv2", None)
    data = with_proposals(Squares(), kind="selective-search", cache=str(tmp_path))
    with pytest.raises(DataError, match="pip install opencv-contrib-python-headless"):
        data.target(0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "edge-boxes"}, r"'edge-boxes' does not exist.* \['detector', 'file', 'selective-search'\]"),
        ({}, r"proposals\.kind None does not exist; choose one of"),
        (
            {"kind": "selective-search", "mod": 1},
            "proposals.mod is not an option of selective-search",
        ),
        ({"kind": "selective-search", "longest": "x"}, "proposals.longest is 'x'; expected a"),
        ({"kind": "selective-search", "mode": "slow"}, "proposals.mode is 'slow'; expected 'fast' or 'quality'"),
        ({"kind": "file"}, "proposals.path is missing; file needs it"),
        ({"kind": "file", "path": "a.txt"}, r"read from \.json and \.mat files"),
        ({"kind": "file", "path": "nowhere.json"}, "nowhere.json: this file cannot be read"),
        ({"kind": "file", "path": "nowhere.mat"}, "nowhere.mat: this file does not exist"),
    ],
)
def test_wrong_options_are_named(spec, message):
    with pytest.raises(DataError, match=message):
        with_proposals(Squares(), **spec)


def test_coco_results_come_best_first(tmp_path):
    entries = [
        {"image_id": 6, "bbox": [1, 2, 10, 20], "score": 0.5},
        {"image_id": 6, "category_id": 1, "bbox": [5, 5, 30, 30], "score": 0.9},
        {"image_id": 99, "bbox": [0, 0, 500, 500], "score": 1},
    ]
    data = with_proposals(Squares(), kind="file", path=write_results(tmp_path / "r.json", entries))
    assert given(data, 1) == [[5, 5, 35, 35], [1, 2, 11, 22]]
    assert given(data, 0) == []
    assert "1 of 2 images have no proposals" in str(data.problems[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"annotations": []}, "a JSON list was expected; after 0 entries there is '\\{"),
        (["x"], "entry 0 is not a result"),
        ([{"image_id": "5", "bbox": [0, 0, 9, 9]}], "entry 0 is not a result with a whole number"),
        ([{"image_id": 5, "bbox": [0, 0, 9]}], r"entry 0 \(image 5\): bbox is \[0, 0, 9\]"),
        ([{"image_id": 5, "bbox": [0, 0, -9, 9]}], r"entry 0 \(image 5\): bbox"),
        ([{"image_id": 5, "bbox": [0, 0, 10**400, 9]}], r"entry 0 \(image 5\): bbox"),
        ([{"image_id": 5, "bbox": [0, 0, 9, 9], "score": "high"}], r"entry 0 \(image 5\): score is 'high'"),
        ([{"image_id": 1, "bbox": [0, 0, 9, 9]}], "it has no proposals for squares/all image 0.*about other images"),
        ([{"image_id": 5, "bbox": [50, 40, 60, 50]}], "100% of the proposals of squares/all image 0 reach outside"),
    ],
)
def test_wrong_results_are_named_with_file_and_image(tmp_path, content, message):
    path = write_results(tmp_path / "r.json", content)
    with pytest.raises(DataError, match=rf"r\.json: {message}"):
        with_proposals(Squares(), kind="file", path=path)


def test_mat_lists_of_the_original(tmp_path):
    """y1 x1 y2 x2 from 1, the last pixel included, by the order of images or by their names."""
    first, second = [[11, 21, 40, 50]], [[1, 1, 60, 80], [2, 3, 10, 9]]
    savemat(tmp_path / "order.mat", {"boxes": cells(first, second)})
    data = with_proposals(Squares(), kind="file", path=tmp_path / "order.mat")
    assert given(data, 0) == [list(Squares.box)]
    assert given(data, 1) == [[0, 0, 80, 60], [2, 1, 9, 10]]
    for written in ("{}", "{}.jpg", "JPEGImages/{}.JPEG ", "C:\\VOC\\{}.png"):
        names = np.array([[written.format("000001")], [written.format("000000")]], dtype=object)
        savemat(tmp_path / "names.mat", {"boxes": cells(second, first), "images": names})
        data = with_proposals(Squares().subset([0]), kind="file", path=tmp_path / "names.mat")
        assert given(data, 0) == [list(Squares.box)], written


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"rois": np.zeros((2, 4))}, "there is no cell `boxes`"),
        ({"boxes": np.zeros((2, 4))}, "there is no cell `boxes`"),
        ({"boxes": cells([[1, 1, 2, 2]])}, "proposals of 1 images without their names.*has 2"),
        ({"boxes": cells([[1, 1, 2]], [[1, 1, 2, 2]])}, r"squares/all image 0: its boxes are .*\(1, 3\)"),
        ({"boxes": cells([[1, 1, 9, 9]], [[9, 9, 1, 1]])}, "squares/all image 1: its boxes are not y1 x1 y2 x2"),
        ({"boxes": cells([[np.nan, 1, 2, 2]], [[1, 1, 2, 2]])}, "squares/all image 0: .*expected finite"),
    ],
)
def test_wrong_mat_lists_are_named_with_file_and_image(tmp_path, content, message):
    savemat(tmp_path / "b.mat", content)
    with pytest.raises(DataError, match=rf"b\.mat: {message}"):
        with_proposals(Squares(), kind="file", path=tmp_path / "b.mat")


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file" + bytes(200), b"\x89HDF\r\n\x1a\n" + bytes(600)])
def test_files_that_are_no_mat_are_refused(tmp_path, content):
    (tmp_path / "b.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"b\.mat"):
        with_proposals(Squares(), kind="file", path=tmp_path / "b.mat")


def test_mat_lists_are_read_by_the_scipy_that_this_process_would_take(tmp_path, monkeypatch):
    """Also one that lies in the user's own folder or on PYTHONPATH."""
    (tmp_path / "scipy").mkdir()
    (tmp_path / "scipy" / "__init__.py").touch()
    (tmp_path / "scipy" / "io.py").write_text("def loadmat(*_, **__): raise OSError('the one of PYTHONPATH')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    savemat(tmp_path / "b.mat", {"boxes": cells([[11, 21, 40, 50]], [[1, 1, 60, 80]])})
    with pytest.raises(DataError, match="the one of PYTHONPATH"):
        with_proposals(Squares(), kind="file", path=tmp_path / "b.mat")


@pytest.mark.parametrize("bit", range(8))
def test_a_damaged_mat_does_not_end_the_process(tmp_path, bit):
    """SciPy's reader crashes where the type of the first array is another."""
    path = tmp_path / "b.mat"
    savemat(path, {"boxes": cells([[11, 21, 40, 50]], [[1, 1, 60, 80]])})
    content = bytearray(path.read_bytes())
    content[144] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"b\.mat: "):
        with_proposals(Squares(), kind="file", path=path)


def test_coco_data_keep_their_own_ids(tmp_path):
    coco = load_data("coco", split="train", root=write_coco(tmp_path, coco_content()))
    entries = [{"image_id": 7, "bbox": [1, 2, 10, 20], "score": 0.5}]
    data = with_proposals(coco, kind="file", path=write_results(tmp_path / "r.json", entries))
    by_id = {data.target(index)["image_id"]: given(data, index) for index in range(2)}
    assert by_id == {7: [[1, 2, 11, 22]], 3: []}


def test_proposals_are_mirrored_with_their_image():
    """Also bare boxes of data of one's own."""
    image, target = Squares()[0]
    mask = torch.zeros(1, 60, 80)
    mask[0, 5:20, :10] = 1
    target["proposals"] = Proposals(torch.tensor([[0.0, 5, 10, 20]]), torch.tensor([0.5]), encode_masks(mask))
    flipped = flip_horizontally(image, target)[1]["proposals"]
    assert flipped.boxes.tolist() == [[70, 5, 80, 20]]
    assert torch.equal(flipped.decode_masks(), mask.flip(-1) > 0)
    target["proposals"] = torch.tensor([[0.0, 5, 10, 20]])
    assert flip_horizontally(image, target)[1]["proposals"].tolist() == [[70, 5, 80, 20]]


def test_a_source_of_ones_own_is_used_by_data_and_recipes(tmp_path, monkeypatch):
    """One file with a function; its options are checked as those of any other kind."""
    method = tmp_path / "my_proposals.py"
    method.write_text(CORNERS)
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(plugins, "_loaded", {})
    with all_kinds_restored():
        plug_in(method)
        data = with_proposals(Squares(), kind="corners", side=8, top=3)
        assert given(data, 0) == [[0, 0, 8, 8], [72, 0, 80, 8], [0, 52, 8, 60]]
        with pytest.raises(DataError, match=r"proposals\.side is 0; expected"):
            with_proposals(Squares(), kind="corners", side=0)
        recipe = Recipe.load("a-fast-rcnn/digits").replace({"data.proposals": {"kind": "corners", "side": 8}})
        assert recipe.data.proposals == {"kind": "corners", "side": 8}
        target = load_spec(recipe.replace({"data.options.length": 2}).data).target(0)
        assert len(target["proposals"]) == 4
        with pytest.raises(RecipeError, match=r"data\.proposals\.size is not an option of corners"):
            recipe.replace({"data.proposals.size": 8})


CORNERS = """
import torch
from workbench.options import Count
from workbench.registry import PROPOSALS
from workbench.types import Proposals


@PROPOSALS.register("corners")
class Corners:
    problems = ()

    def __init__(self, data, top, *, side: Count = 4):
        self.side = side

    def __call__(self, data, index, image_id):
        height, width = data.size(index)
        left = torch.tensor([0, width - self.side]).repeat(2)
        top = torch.tensor([0, height - self.side]).repeat_interleave(2)
        return Proposals.ranked(torch.stack([left, top, left + self.side, top + self.side], dim=1).float())
"""


@contextmanager
def all_kinds_restored():
    """What is plugged in is forgotten afterwards."""
    before = dict(PROPOSALS._made)
    yield
    PROPOSALS._made = before
