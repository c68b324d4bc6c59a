"""FDDB: ellipses as its lists have them, and the boxes around them."""

from __future__ import annotations

from math import pi
from pathlib import Path

import numpy as np
import pytest
from folders import picture
from hypothesis import given
from hypothesis import strategies as st

from workbench.data import check_data, load_data
from workbench.data.fddb import ellipse_boxes
from workbench.errors import DataError
from workbench.training.stepping.batches import flip_horizontally

NAME = "2002/07/19/big/img_130"
TEXT = f"""{NAME}
2
10.0 5.0 1.570796 20.0 15.0  1{" "}
8.0 6.0 0.0 58.0 30.0  1
"""


def write(root: Path, text: str = TEXT, folds: range = range(1, 11)) -> Path:
    """The same image in each fold, 40 x 60 pixels."""
    (root / "FDDB-folds").mkdir(parents=True, exist_ok=True)
    for number in folds:
        (root / "FDDB-folds" / f"FDDB-fold-{number:02d}-ellipseList.txt").write_text(text)
        (root / "FDDB-folds" / f"FDDB-fold-{number:02d}.txt").write_text(f"{NAME}\n")
    picture(root / "originalPics" / f"{NAME}.jpg", 40, 60)
    return root


def test_a_tiny_set_by_hand(tmp_path: Path) -> None:
    data = load_data("fddb", "test", write(tmp_path), folds=[3])
    image, target = data[0]
    assert image.shape == (3, 40, 60)
    assert target["boxes"].tolist() == [[15, 5, 25, 25], [50, 24, 60, 36]]  # upright; lying, and clipped
    ellipses = target["ellipses"]
    assert ellipses.dtype.is_floating_point
    np.testing.assert_allclose(ellipses, [[10, 5, pi / 2, 20, 15], [8, 6, 0, 58, 30]], atol=1e-5)
    assert target["fold"] == 3
    assert target["difficult"].tolist() == [False, False]
    assert data.file_name(0) == f"{NAME}.jpg"
    exported = data.export_coco()
    assert exported["images"][0]["fold"] == 3
    assert [one["ellipses"] for one in exported["annotations"]] == ellipses.tolist()
    assert data.problems == ()
    assert str(check_data(data)).endswith("nothing wrong was found")


def test_folds_are_chosen(tmp_path: Path) -> None:
    data = load_data("fddb", "test", write(tmp_path))
    assert [data.target(index)["fold"] for index in range(len(data))] == list(range(1, 11))
    chosen = load_data("fddb", "test", tmp_path, folds=[10, 2]).subset([0, 1])
    assert [chosen.target(index)["fold"] for index in (0, 1)] == [10, 2]
    for folds in ([0], [11], [1, 1], []):
        with pytest.raises(DataError, match="folds"):
            load_data("fddb", "test", tmp_path, folds=folds)
    with pytest.raises(DataError, match="split 'train' does not exist; fddb has test"):
        load_data("fddb", "train", tmp_path)
    (tmp_path / "FDDB-folds" / "FDDB-fold-07-ellipseList.txt").unlink()
    with pytest.raises(DataError, match=r"FDDB-fold-07-ellipseList\.txt: this file cannot be read"):
        load_data("fddb", "test", tmp_path)


def test_the_box_of_a_turned_ellipse_by_hand() -> None:
    """At 45 degrees both half sides are sqrt((a² + b²) / 2): sqrt((49 + 1) / 2) = 5."""
    boxes = ellipse_boxes(np.array([[7.0, 1, pi / 4, 10, 20], [7, 1, -pi / 4, 10, 20], [3, 2, pi, 0, 0]]))
    np.testing.assert_allclose(boxes, [[5, 15, 15, 25], [5, 15, 15, 25], [-3, -2, 3, 2]], atol=1e-9)


@given(long=st.floats(1, 50), share=st.floats(0.1, 1), angle=st.floats(-4, 4))
def test_boxes_are_tight(long: float, share: float, angle: float) -> None:
    """Compared with points on the ellipse."""
    turn = np.linspace(0, 2 * pi, 2001)
    along, across = long * np.cos(turn), long * share * np.sin(turn)
    x, y = along * np.cos(angle) - across * np.sin(angle), along * np.sin(angle) + across * np.cos(angle)
    box = ellipse_boxes(np.array([[long, long * share, angle, 0, 0]]))[0]
    np.testing.assert_allclose(box, [x.min(), y.min(), x.max(), y.max()], atol=long * 1e-5)


def test_ellipses_are_mirrored_with_their_image(tmp_path: Path) -> None:
    text = f"{NAME}\n1\n10 4 0.6 25 20 1\n"
    image, target = load_data("fddb", "test", write(tmp_path, text), folds=[1])[0]
    flipped_image, flipped = flip_horizontally(image, target)
    np.testing.assert_allclose(flipped["ellipses"], [[10, 4, -0.6, 35, 20]], atol=1e-5)
    np.testing.assert_allclose(ellipse_boxes(flipped["ellipses"].double().numpy()), flipped["boxes"], atol=1e-4)
    again = flip_horizontally(flipped_image, flipped)[1]
    assert again["ellipses"].tolist() == target["ellipses"].tolist()
    assert again["fold"] == 1


def test_swapped_radii_are_put_in_order(tmp_path: Path) -> None:
    """5 along the horizontal and 10 across is 10 along the vertical."""
    data = load_data("fddb", "test", write(tmp_path, f"{NAME}\n1\n5 10 0 20 15 1\n"), folds=[1])
    np.testing.assert_allclose(data.target(0)["ellipses"], [[10, 5, pi / 2, 20, 15]], atol=1e-5)
    assert data.target(0)["boxes"].tolist() == [[15, 5, 25, 25]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT.replace("10.0 5.0", "10.0 -5.0"), "line 1: face 1 of .*img_130: its ellipse has radii 10 and -5"),
        (TEXT.replace("1.570796", "1e50"), r"line 1: face 1 of .*: its ellipse has radii 10 and 5, angle 1e\+50"),
        (TEXT.replace("10.0 5.0", "10.0 x"), "line 3: expected the 6 numbers major_axis_radius"),
        (TEXT + "2002/gone\n0\n", "line 5: there is no image 2002/gone in"),
    ],
)
def test_wrong_lines_are_named_and_can_be_left_out(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_data("fddb", "test", write(tmp_path, text), folds=[1])
    data = load_data("fddb", "test", tmp_path, folds=[1], strict=False)
    assert len(data.problems) == 1
    assert len(data.target(0)["boxes"]) in (1, 2)


def test_images_without_an_entry_of_ellipses_are_said(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "FDDB-folds" / "FDDB-fold-01.txt").write_text(f"{NAME}\n2002/more\n")
    with pytest.raises(DataError, match=r"FDDB-fold-01\.txt: line 2: 2002/more has no entry in the list of ellipses"):
        load_data("fddb", "test", tmp_path)


@pytest.mark.parametrize("file", ["FDDB-fold-01-ellipseList.txt", "FDDB-fold-01.txt"])
def test_lists_stay_in_the_folder(tmp_path: Path, file: str) -> None:
    path = write(tmp_path / "root") / "FDDB-folds" / file
    path.rename(tmp_path / "list")
    path.symlink_to(tmp_path / "list")
    with pytest.raises(DataError, match=rf"{file}: leads out of .* by a link; follow_links=True"):
        load_data("fddb", "test", tmp_path / "root")
    assert len(load_data("fddb", "test", tmp_path / "root", follow_links=True)) == 10
